/** Elements taken from places that are computed from the image: compiled, as `run` takes them. */
import { expect, test } from 'vitest'
import { loadOnnx, type Tensor } from '../lib/index.ts'
import { largestError, noise } from './helpers.ts'
import { type AttributeValue, type Numbers, of, onnxModel, type TestNode } from './onnx-models.ts'

const node = (
  op: string,
  inputs: string,
  output: string,
  attributes: Record<string, AttributeValue> = {},
): TestNode => ({ op, inputs: inputs.split(' '), outputs: output.split(' '), attributes })
const count = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)
const weight = (shape: number[], seed: number): Numbers => ({ shape, data: noise(count(shape), seed) })
const indices = [
  node('Mul', 'x three', 'scaled'),
  node('Floor', 'scaled', 'whole'),
  node('Cast', 'whole', 'index', { to: 7 }),
]

/** Three images of numbers from −1 to 1. */
function compare(nodes: TestNode[], image: number[], initializers: Record<string, Numbers>): void {
  const three = { three: of('float', [1], 3) }
  const model = loadOnnx(
    onnxModel({
      opset: 20,
      nodes,
      inputs: { x: { shape: ['N', ...image] } },
      outputs: ['y'],
      initializers: { ...three, ...initializers },
    }),
  )
  const data = Float32Array.from({ length: 3 * count(image) }, (_, i) => Math.sin(i * i * 1.7 + i))
  const x = { shape: [3, ...image], data }
  const want = model.run({ x }).y as Tensor
  using compiled = model.compile()
  const got = compiled.run(x.data)
  expect([3, ...compiled.outputShape]).toEqual(want.shape)
  expect(largestError(got, want.data)).toBeLessThan(1e-6)
  expect(new Set(want.data).size).toBeGreaterThan(4)
}

test('rows of a table', () => {
  const table = weight([4, 2, 5], 1)
  compare([...indices, node('Gather', 'table index', 'y')], [2, 6], { table })
  const turned = [
    node('Transpose', 'index', 't', { perm: [1, 0] }),
    node('Gather', 'table t', 'g'),
    node('Transpose', 'g', 'y', { perm: [1, 0, 2, 3] }),
  ]
  compare([...indices, ...turned], [6], { table })
  const whole = of('int64', [6], 3, 1, 4, 1, 5, 9)
  compare([...indices, node('Gather', 'whole_table index', 'g'), node('Cast', 'g', 'y', { to: 1 })], [30], {
    whole_table: whole,
  })
})

test('elements beside each other', () => {
  for (const axis of [1, 2, 3]) {
    compare([...indices, node('GatherElements', 'x index', 'y', { axis })], [3, 4, 3], {})
  }
  const some = [node('Slice', 'index zero two axes', 'i'), node('GatherElements', 'x i', 'y', { axis: 2 })]
  const lists = { zero: of('int64', [2], 0, 0), two: of('int64', [2], 2, 3), axes: of('int64', [2], 1, 2) }
  compare([...indices, ...some], [3, 4], lists)
})

test.each(
  ['linear', 'nearest'].flatMap((mode) =>
    ['zeros', 'border', 'reflection'].flatMap((padding_mode) =>
      [0, 1].map((align_corners) => ({ mode, padding_mode, align_corners })),
    ),
  ),
)('pixels at places of a grid: $mode, $padding_mode, $align_corners', (attributes) => {
  const nodes = [
    node('Mul', 'x some', 'wide'),
    node('Transpose', 'wide', 'grid', { perm: [0, 2, 3, 1] }),
    node('GridSample', 'x grid', 'y', attributes),
  ]
  const some = { some: of('float', [1], 1.4) }
  compare(nodes, [2, 5, 4], some)
  compare(nodes, [2, 2, 6], some)
})

test('numbers cast to integers', () => {
  for (const to of [2, 3, 4, 5, 6, 7]) {
    const nodes = [
      node('Mul', 'x far', 'scaled'),
      node('Cast', 'scaled', 'whole', { to }),
      node('Cast', 'whole', 'again', { to: 7 }),
      node('Cast', 'again', 'y', { to: 1 }),
    ]
    compare(nodes, [40], { far: of('float', [1], to === 2 || to === 4 ? 300 : 100000) })
  }
})

test('what is too much is refused by name', () => {
  const model = (nodes: TestNode[], initializers: Record<string, Numbers>, image: number[]) =>
    loadOnnx(
      onnxModel({
        nodes,
        inputs: { x: { shape: ['N', ...image] } },
        outputs: ['y'],
        initializers,
        opset: 20,
      }),
    )
  const three = of('float', [1], 3)
  const wide = model([...indices, node('GatherElements', 'x index', 'y', { axis: 1 })], { three }, [20000])
  expect(() => wide.compile()).toThrow(/node y \(GatherElements.*run\(\) takes them/)
  const large = of('int64', [2], 2 ** 24, 1)
  const exact = model([...indices, node('Gather', 'large index', 'y')], { three, large }, [4])
  expect(() => exact.compile()).toThrow(/integers of 2²⁴ and more/)
  const cubic = model(
    [
      node('Transpose', 'x', 'grid', { perm: [0, 2, 3, 1] }),
      node('GridSample', 'x grid', 'y', { mode: 'cubic' }),
    ],
    {},
    [2, 3, 3],
  )
  expect(() => cubic.compile()).toThrow(/the grid is computed from the image/)
})
