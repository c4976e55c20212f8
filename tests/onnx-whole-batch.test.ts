/** Models that fix a batch of several and mix its images: compiled, the whole batch is one image. */
import { describe, expect, test } from 'vitest'
import { loadOnnx } from '../lib/index.ts'
import { elements } from '../lib/tensor/shape.ts'
import { largestError, noise } from './helpers.ts'
import { int64s, type Numbers, node, onnxModel, type TestNode, turn, weight } from './onnx-models.ts'

const model = (nodes: TestNode[], shape: number[], initializers: Record<string, Numbers> = {}) =>
  loadOnnx(onnxModel({ opset: 18, nodes, inputs: { x: { shape } }, outputs: ['y'], initializers }))

/** Compiled as what run() gives, for two batches at once too. */
function compare(nodes: TestNode[], shape: number[], initializers: Record<string, Numbers> = {}): void {
  const net = model(nodes, shape, initializers)
  const data = noise(2 * elements(shape), 5)
  const halves = [0, 1].map((i) => data.slice(i * elements(shape), (i + 1) * elements(shape)))
  const want = halves.map((half) => net.run({ x: { shape, data: half } }).y!)
  using compiled = net.compile()
  expect(compiled.inputShape).toEqual(shape)
  expect(compiled.outputShape).toEqual(want[0]!.shape.length ? want[0]!.shape : [])
  const both = Float32Array.from(want.flatMap((one) => [...one.data]))
  expect(largestError(compiled.run(data), both)).toBeLessThan(1e-5)
  expect(new Set(both).size).toBeGreaterThan(2)
}

describe('what mixes the images of a fixed batch', () => {
  const mean = node('ReduceMean', 'x', 'm')
  const by = (...more: TestNode[]) => [mean, node('Sub', 'x m', 'd'), ...more]
  const w = { w: weight([3, 2, 3, 3], 1), b: weight([3], 2) }

  test('layers that take the batch first go image by image', () => {
    const conv = node('Conv', 'd w b', 'c', { pads: [1, 1, 1, 1] })
    compare(by(conv, node('MaxPool', 'c', 'y', { kernel_shape: [2, 2] })), [2, 2, 6, 5], w)
    compare(by(conv, node('GlobalAveragePool', 'c', 'y')), [3, 2, 6, 5], w)
    compare(by(node('Resize', 'd   sizes', 'y', { mode: 'linear' })), [2, 2, 4, 4], {
      sizes: int64s(2, 2, 7, 7),
    })
    compare(by(node('GridSample', 'd g', 'y')), [2, 1, 4, 4], { g: weight([2, 3, 3, 2], 4) })
    compare(by(conv, node('Reshape', 'c flat', 'r'), node('Gemm', 'r g', 'y')), [2, 2, 2, 2], {
      ...w,
      flat: int64s(2, 12),
      g: weight([12, 4], 3),
    })
  })

  test('slopes and states of each image', () => {
    compare([node('PRelu', 'x s', 'y')], [2, 1], { s: weight([2, 1], 3) })
    compare([node('PRelu', 'x s', 'y')], [3, 2, 2], { s: weight([3, 1, 1], 3) })
    for (const [op, gates] of [
      ['LSTM', 4],
      ['GRU', 3],
      ['RNN', 1],
    ] as const) {
      const states = op === 'LSTM' ? 'h c' : 'h'
      compare(
        [turn('x', 't', 1, 0, 2), node(op, `t W R B  ${states}`, 'y hn', { hidden_size: 4 })],
        [2, 5, 3],
        {
          W: weight([1, 4 * gates, 3], 1),
          R: weight([1, 4 * gates, 4], 2),
          B: weight([1, 8 * gates], 3),
          h: weight([1, 2, 4], 4),
          ...(op === 'LSTM' && { c: weight([1, 2, 4], 5) }),
        },
      )
    }
  })

  test('copies, joins and constants of the whole batch', () => {
    compare(by(node('Expand', 'd s', 'y')), [2, 1, 3], { s: int64s(4, 1, 5, 1) })
    compare([node('Tile', 'x s', 'y')], [2, 3], { s: int64s(2, 1) })
    compare([node('Add', 'x c', 'y')], [2, 3], { c: weight([2, 3], 3) })
    compare([node('Concat', 'x c', 'y', { axis: 0 })], [2, 3], { c: weight([2, 3], 3) })
    compare([node('Reshape', 'x s', 'r'), node('MatMul', 'r x', 'y')], [2, 3], { s: int64s(3, 2) })
  })

  test('branches by a condition that is computed', () => {
    const graph = (body: TestNode) => ({ graph: { nodes: [body], outputs: body.outputs ?? [] } })
    const condition = [node('ReduceSum', 'x', 's', { keepdims: 0 }), node('Greater', 's zero', 'g')]
    const zero = { zero: weight([1], 1) }
    const choice = (then: TestNode, otherwise: TestNode) =>
      node('If', 'g', 'y', { then_branch: graph(then), else_branch: graph(otherwise) })
    compare([...condition, choice(node('Exp', 'x', 'a'), node('Neg', 'x', 'b'))], [2, 3], zero)
    const single = model([...condition, choice(node('Exp', 'x', 'a'), node('Neg', 'x', 'b'))], [1, 3], zero)
    using compiled = single.compile()
    for (const sign of [1, -1]) {
      const data = Float32Array.of(3, 1, 2).map((one) => one * sign)
      expect(compiled.run(data)).toEqual(single.run({ x: { shape: [1, 3], data } }).y!.data)
    }
    expect(() =>
      model(
        [...condition, choice(node('Exp', 'x', 'a'), node('ReduceMax', 'x', 'b'))],
        [1, 3],
        zero,
      ).compile(),
    ).toThrow(/node y \(If, opset 18\): its branches give 1×3 and 1×1/)
  })
})

test('a batch that must be whole is the only one', () => {
  using compiled = model([node('ReduceMean', 'x', 'm'), node('Sub', 'x m', 'y')], [2, 3]).compile({
    inputShape: [3],
  })
  expect(() => compiled.run(new Float32Array(9))).toThrow(/Expected 6 values per image \(2×3\)/)
  using any = model([node('Exp', 'x', 'y')], [2, 3]).compile()
  expect(any.inputShape).toEqual([3])
})

test('several inputs and outputs of a whole batch, by name', () => {
  const net = loadOnnx(
    onnxModel({
      nodes: [node('ReduceMax', 'a', 'm'), node('Mul', 'm b', 'y'), node('Concat', 'a b', 'z', { axis: 0 })],
      inputs: { a: { shape: [2, 3] }, b: { shape: [2, 3] } },
      outputs: ['y', 'z'],
    }),
  )
  const [a, b] = [noise(6, 1), noise(6, 2)]
  const want = net.run({ a: { shape: [2, 3], data: a }, b: { shape: [2, 3], data: b } })
  using compiled = net.compileNamed()
  expect(compiled.outputShapes).toEqual({ y: [2, 3], z: [4, 3] })
  const got = compiled.run({ a, b })
  expect(largestError(got.y!, want.y!.data)).toBeLessThan(1e-6)
  expect(largestError(got.z!, want.z!.data)).toBe(0)
})
