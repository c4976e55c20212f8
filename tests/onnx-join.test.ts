/** Nodes that exporters take apart, and that are one operation here. */
import { expect, test } from 'vitest'
import { loadOnnx, silu, Tensor } from '../lib/index.ts'
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

test('Swish is silu; another alpha is refused', () => {
  const swish = (attributes = {}) => load([{ op: 'Swish', inputs: ['x'], outputs: ['y'], attributes }])
  expect(swish().forward(x).data).toEqual(silu(x).data)
  expect(() => swish({ alpha: { float: 2 } })).toThrow(/alpha=2/)
})
