/** Nodes that exporters take apart, and that are one operation here. */
import { describe, expect, test } from 'vitest'
import { gelu, loadOnnx, silu, Tensor } from '../lib/index.ts'
import { noise } from './helpers.ts'
import { onnxModel, type TestNode } from './onnx-models.ts'

const x = new Tensor(
  noise(24).map((v) => 40 * v),
  [2, 12],
)
const sigmoid: TestNode = { op: 'Sigmoid', inputs: ['x'], outputs: ['s'] }
const load = (nodes: TestNode[], outputs = ['y']) =>
  loadOnnx(onnxModel({ nodes, inputs: { x: { shape: ['N', 12] } }, outputs }))
const ops = (model: ReturnType<typeof load>) =>
  model
    .compile()
    .describe()
    .steps.flatMap((step) => step.ops)

test.each([
  ['x · sigmoid(x)', ['x', 's']],
  ['sigmoid(x) · x', ['s', 'x']],
])('%s is silu', (_, inputs) => {
  const model = load([sigmoid, { op: 'Mul', inputs, outputs: ['y'] }])
  expect(ops(model)).toEqual(['silu'])
  expect(model.forward(x).data).toEqual(silu(x).data)
  expect(model.run({ x }).y!.data).toEqual(silu(x).data)
  expect(model.compile().run(x)).toEqual(silu(x).data)
})

test('a sigmoid that others read, or of another value, stays one', () => {
  const mul: TestNode = { op: 'Mul', inputs: ['x', 's'], outputs: ['y'] }
  expect(load([sigmoid, mul], ['y', 's']).run({ x }).s!.data[0]).toBeCloseTo(
    1 / (1 + Math.exp(-x.data[0]!)),
    6,
  )
  const other = load([
    { op: 'Tanh', inputs: ['x'], outputs: ['t'] },
    { op: 'Sigmoid', inputs: ['t'], outputs: ['s'] },
    mul,
  ])
  expect(ops(other)).toEqual(['tanh', 'sigmoid', 'mul'])
})

test('Swish is silu, where alpha is 1', () => {
  const swish = (attributes = {}) => load([{ op: 'Swish', inputs: ['x'], outputs: ['y'], attributes }])
  expect(swish().forward(x).data).toEqual(silu(x).data)
  expect(swish({ alpha: { float: 1 } }).forward(x).data).toEqual(silu(x).data)
  expect(swish({ alpha: { float: 2 } }).forward(x).data).not.toEqual(silu(x).data)
})

describe('GELU by erf', () => {
  const number = (value: number) => ({
    op: 'Constant',
    inputs: [],
    attributes: { value: { tensor: { shape: [], data: [value] } } },
  })
  const constants: TestNode[] = [
    { ...number(Math.SQRT2), outputs: ['root'] },
    { ...number(Math.SQRT1_2), outputs: ['inverse'] },
    { ...number(1), outputs: ['one'] },
    { ...number(0.5), outputs: ['half'] },
  ]
  const inner: TestNode = { op: 'Div', inputs: ['x', 'root'], outputs: ['z'] }
  const erf: TestNode = { op: 'Erf', inputs: ['z'], outputs: ['e'] }
  const sum: TestNode = { op: 'Add', inputs: ['e', 'one'], outputs: ['s'] }
  const forms: [string, TestNode[]][] = [
    [
      'x · (1 + erf(x / √2)) · ½',
      [
        inner,
        erf,
        sum,
        { op: 'Mul', inputs: ['x', 's'], outputs: ['p'] },
        { op: 'Mul', inputs: ['p', 'half'], outputs: ['y'] },
      ],
    ],
    [
      '½ · ((erf(√½ · x) + 1) · x)',
      [
        { op: 'Mul', inputs: ['inverse', 'x'], outputs: ['z'] },
        erf,
        { op: 'Add', inputs: ['one', 'e'], outputs: ['s'] },
        { op: 'Mul', inputs: ['s', 'x'], outputs: ['p'] },
        { op: 'Mul', inputs: ['half', 'p'], outputs: ['y'] },
      ],
    ],
    [
      '(½ · x) · (1 + erf(x / √2))',
      [
        inner,
        erf,
        sum,
        { op: 'Mul', inputs: ['x', 'half'], outputs: ['h'] },
        { op: 'Mul', inputs: ['h', 's'], outputs: ['y'] },
      ],
    ],
  ]
  test.each(forms)('%s', (_, nodes) => {
    const model = load([...constants, ...nodes])
    expect(ops(model)).toEqual(['gelu'])
    expect(model.forward(x).data).toEqual(gelu(x).data)
    // what others read too is still there
    const both = load([...constants, ...nodes], ['y', 'z'])
    expect(Object.keys(both.run({ x }))).toEqual(['y', 'z'])
  })
  test('with other numbers it is what it says', () => {
    const nodes = [...constants, inner, erf, { op: 'Add', inputs: ['e', 'half'], outputs: ['s'] }]
    const rest: TestNode[] = [
      { op: 'Mul', inputs: ['x', 's'], outputs: ['p'] },
      { op: 'Mul', inputs: ['p', 'half'], outputs: ['y'] },
    ]
    expect(ops(load([...nodes, ...rest]))).toEqual(['div', 'erf', 'add', 'mul', 'mul'])
  })
})
