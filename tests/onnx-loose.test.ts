/** Models exported for one image that move their batch of 1 anywhere: compiled, they do the same with each image. */
import { expect, test } from 'vitest'
import { loadOnnx, type Tensor } from '../lib/index.ts'
import { elements } from '../lib/tensor/shape.ts'
import { largestError, noise } from './helpers.ts'
import { int64s, type Numbers, node, of, onnxModel, type TestNode, turn, weight } from './onnx-models.ts'

const index = (value: number) => of('int64', [], value)

/** A compiled model gives for three images what `run` gives for each. */
function compare(
  nodes: TestNode[],
  image: number[],
  initializers: Record<string, Numbers>,
  opset = 17,
): void {
  const model = loadOnnx(
    onnxModel({ opset, nodes, inputs: { x: { shape: [1, ...image] } }, outputs: ['y'], initializers }),
  )
  const data = noise(3 * elements(image), 5)
  using compiled = model.compile()
  const got = compiled.run(data)
  const size = elements(image)
  const want = [0, 1, 2].map((i) => {
    const one = data.slice(i * size, (i + 1) * size)
    return (model.run({ x: { shape: [1, ...image], data: one } }).y as Tensor).data
  })
  expect(got.length).toBe(3 * want[0]!.length)
  for (const [i, one] of want.entries()) {
    expect(largestError(got.slice(i * one.length, (i + 1) * one.length), one)).toBeLessThan(1e-6)
  }
  expect(new Set(got).size).toBeGreaterThan(5)
}

const [L, H, D] = [5, 2, 4]
const E = H * D

test('heads beside the batch, by numbers that are in the file', () => {
  const heads = int64s(L, H, D)
  compare(
    [
      turn('x', 't', 1, 0, 2),
      ...['q', 'k', 'v'].flatMap((name) => [
        node('MatMul', `t w${name}`, name),
        node('Reshape', `${name} heads`, `${name}r`),
        turn(`${name}r`, `${name}h`, 1, ...(name === 'k' ? [2, 0] : [0, 2])),
      ]),
      node('MatMul', 'qh kh', 'scores'),
      node('Softmax', 'scores', 'weights', { axis: 2 }),
      node('MatMul', 'weights vh', 'mixed'),
      turn('mixed', 'back', 1, 0, 2),
      node('Reshape', 'back rows', 'flat'),
      node('Gemm', 'flat wo bo', 'g'),
      node('Reshape', 'g whole', 'z'),
      turn('z', 'y', 1, 0, 2),
    ],
    [L, E],
    {
      ...{ wq: weight([E, E], 1), wk: weight([E, E], 2), wv: weight([E, E], 3) },
      ...{ wo: weight([E, E], 4), bo: weight([E], 6), heads, rows: int64s(L, E), whole: int64s(L, 1, E) },
    },
  )
})

test('steps of a recurrent layer as rows of a matrix', () => {
  compare(
    [
      turn('x', 't', 1, 0, 2),
      node('Add', 't shift', 's'),
      node('LSTM', 's w r', 'o', { hidden_size: 4 }),
      node('Squeeze', 'o one', 'p'),
      node('Reshape', 'p rows', 'q'),
      node('MatMul', 'q m', 'z'),
      node('LogSoftmax', 'z', 'lz', { axis: 1 }),
      node('Reshape', 'lz whole', 'u'),
      node('Mul', 'u each', 'y'),
    ],
    [L, 3],
    {
      ...{
        w: weight([1, 16, 3], 1),
        r: weight([1, 16, 4], 2),
        m: weight([4, 6], 3),
        shift: weight([L, 1, 3], 4),
      },
      ...{ one: int64s(1), rows: int64s(L, 4), whole: int64s(L, 1, 6), each: weight([L, 1, 1], 7) },
    },
  )
})

test('the batch taken away, joined and summed over', () => {
  compare(
    [
      node('Squeeze', 'x zero', 'a'),
      node('ReduceMax', 'a', 'm', { axes: [0], keepdims: 1 }),
      node('Sub', 'a m', 'b'),
      node('ReduceSum', 'b zero', 'n', { keepdims: 1 }),
      node('Div', 'b n', 'c'),
      node('Concat', 'c fixed a', 'd', { axis: 0 }),
      node('Slice', 'd from to', 'e'),
      node('Gather', 'e order', 'f'),
      node('Split', 'f', 'g h', { axis: 0 }),
      node('CumSum', 'g axis', 'i'),
      node('ArgMax', 'h', 'j', { axis: 0, keepdims: 1 }),
      node('Cast', 'j', 'k', { to: 1 }),
      node('Add', 'i k', 'l'),
      node('Unsqueeze', 'l zero', 'y'),
    ],
    [4, 3],
    {
      ...{ zero: int64s(0), from: int64s(1), to: int64s(100), axis: index(0), fixed: weight([2, 3], 3) },
      order: int64s(7, 0, 3, 3, 2, 8),
    },
  )
})

test('a plane of one number, gathered as PyTorch strides it', () => {
  compare(
    [
      node('ReduceMean', 'x', 'a', { axes: [2, 3], keepdims: 1 }),
      node('Reshape', 'a all', 'b'),
      node('Gather', 'b places', 'c'),
      node('Reshape', 'c rows', 'd'),
      node('Gemm', 'd w', 'y'),
    ],
    [200, 2, 3],
    {
      ...{ all: int64s(-1), rows: int64s(1, 200), w: weight([200, 7], 2) },
      places: of('int64', [1, 200, 1, 1], ...Array.from({ length: 200 }, (_, i) => (i * 7) % 200)),
    },
  )
})
