/** Models run operator by operator, with results worked out from the ONNX specification: no other runtime needed. */
import { describe, expect, test } from 'vitest'
import { loadOnnx, type OnnxInput, type OnnxResult, Tensor } from '../lib/index.ts'
import { type AttributeValue, type Numbers, onnxModel, type TestNode } from './onnx-models.ts'

type Given = (Numbers | null)[]

/** The outputs of one operator. */
function run(
  op: string,
  given: Given,
  attributes: Record<string, AttributeValue> = {},
  opset = 17,
  outputs = 1,
) {
  const names = given.map((one, i) => (one ? `in${i}` : ''))
  const inputs = Object.fromEntries(given.flatMap((one, i) => (one ? [[`in${i}`, one]] : [])))
  const node: TestNode = {
    op,
    inputs: names,
    outputs: Array.from({ length: outputs }, (_, i) => `y${i}`),
    attributes,
  }
  const bytes = onnxModel({ opset, nodes: [node], inputs, outputs: node.outputs! })
  const results = loadOnnx(bytes).run<OnnxResult>(inputs as Record<string, OnnxInput>)
  return Object.values(results).map(({ shape, data }) => ({
    shape: [...shape],
    data: Array.from(data as ArrayLike<number | bigint>, Number),
  }))
}

const floats = (shape: number[], ...data: number[]): Numbers => ({ shape, data })
const ints = (...data: number[]): Numbers => ({ type: 'int64', shape: [data.length], data })
const round = (values: number[]) => values.map((value) => Math.round(value * 1e5) / 1e5)

describe('by the specification', () => {
  test('Softmax before opset 13 is taken over all dimensions from axis on', () => {
    const x = floats([1, 2, 2], 0, 0, 0, 0)
    expect(run('Softmax', [x], {}, 11)[0]!.data).toEqual([0.25, 0.25, 0.25, 0.25])
    expect(run('Softmax', [x], {}, 13)[0]!.data).toEqual([0.5, 0.5, 0.5, 0.5])
    expect(round(run('LogSoftmax', [x], {}, 7)[0]!.data)).toEqual(round(Array(4).fill(-Math.log(4))))
  })

  test('MatMul by a stack of matrices that is a weight', () => {
    const model = loadOnnx(
      onnxModel({
        nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
        inputs: { x: floats([1, 1, 2], 0, 0) },
        outputs: ['y'],
        initializers: { w: floats([2, 2, 3], 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) },
      }),
    )
    const { y } = model.run<OnnxResult>({ x: floats([1, 1, 2], 1, 10) as OnnxInput })
    expect(y!.shape).toEqual([2, 1, 3])
    expect(Array.from(y!.data as Float32Array)).toEqual([41, 52, 63, 107, 118, 129])
  })

  test('LRN over an even number of channels reaches further up', () => {
    const x = floats([1, 4, 1, 1], 1, 2, 3, 4)
    // c: from c − ⌊(size − 1)/2⌋ to c + ⌈(size − 1)/2⌉
    const sums = [1 + 4, 4 + 9, 9 + 16, 16]
    expect(
      round(
        run('LRN', [x], { size: 2, alpha: { float: 2 }, beta: { float: 1 }, bias: { float: 1 } })[0]!.data,
      ),
    ).toEqual(round(sums.map((sum, c) => (c + 1) / (1 + sum))))
  })

  test('pools with SAME padding put the odd row where the name says', () => {
    const x = floats([1, 1, 1, 2], 1, 5)
    const attributes = { kernel_shape: [1, 2], strides: [1, 1] }
    expect(run('MaxPool', [x], { ...attributes, auto_pad: 'SAME_UPPER' })[0]!.data).toEqual([5, 5])
    expect(run('MaxPool', [x], { ...attributes, auto_pad: 'SAME_LOWER' })[0]!.data).toEqual([1, 5])
    expect(run('AveragePool', [x], { ...attributes, auto_pad: 'SAME_UPPER' })[0]!.data).toEqual([3, 5])
    expect(
      run('AveragePool', [x], { ...attributes, auto_pad: 'SAME_UPPER', count_include_pad: 1 })[0]!.data,
    ).toEqual([3, 2.5])
  })

  test('indices of MaxPool count in the whole tensor, along columns with storage_order 1', () => {
    const x = floats([1, 2, 2, 2], 1, 2, 4, 3, 8, 5, 6, 7)
    expect(run('MaxPool', [x], { kernel_shape: [2, 2] }, 17, 2)).toEqual([
      { shape: [1, 2, 1, 1], data: [4, 8] },
      { shape: [1, 2, 1, 1], data: [2, 4] },
    ])
    const columns = run('MaxPool', [x], { kernel_shape: [2, 2], storage_order: 1 }, 17, 2)
    expect(columns[1]!.data).toEqual([1, 4])
  })

  test('Clip: crossed bounds give the upper one; integers stay integers', () => {
    expect(run('Clip', [floats([2], 1, 5), floats([], 3), floats([], 2)], {}, 13)[0]!.data).toEqual([2, 2])
    const bytes = (...data: number[]): Numbers => ({ type: 'int8', shape: [data.length], data })
    expect(run('Clip', [bytes(-3, 5), { ...bytes(0), shape: [] }], {}, 13)[0]!.data).toEqual([0, 5])
  })

  test('Div of integers drops the fraction', () => {
    expect(run('Div', [ints(7, -7), ints(2, 2)])[0]!.data).toEqual([3, -3])
  })

  test('Gemm adds C where it broadcasts', () => {
    const [a, b] = [floats([2, 1], 1, 2), floats([1, 2], 1, 10)]
    expect(run('Gemm', [a, b, floats([2, 1], 100, 200)], { beta: { float: 2 } }, 13)).toEqual([
      { shape: [2, 2], data: [201, 210, 402, 420] },
    ])
  })

  test('a batch norm in training gives its own statistics', () => {
    const x = floats([4, 1], 1, 2, 3, 6)
    const one = (value: number) => floats([1], value)
    const [y, mean, variance] = run(
      'BatchNormalization',
      [x, one(1), one(0), one(10), one(20)],
      { training_mode: 1, momentum: 0.5, epsilon: { float: 0 } },
      15,
      3,
    )
    // mean 3, variance (4 + 1 + 0 + 9) / 4
    expect(mean!.data).toEqual([6.5])
    expect(variance!.data).toEqual([11.75])
    expect(round(y!.data)).toEqual(round([-2, -1, 0, 3].map((value) => value / Math.sqrt(3.5))))
  })

  test('Dropout gives its input, and a mask of ones', () => {
    const x = floats([2], 1, 2)
    expect(run('Dropout', [x], {}, 13, 2)).toEqual([
      { shape: [2], data: [1, 2] },
      { shape: [2], data: [1, 1] },
    ])
    const training = { type: 'bool' as const, shape: [], data: [1] }
    expect(run('Dropout', [x, floats([], 0), training], {}, 13)[0]!.data).toEqual([1, 2])
    expect(() => run('Dropout', [x, floats([], 0.5), training], {}, 13)).toThrow(/training_mode/)
  })

  test('nothing at all: dimensions of 0', () => {
    const none = floats([0, 3])
    expect(run('Reshape', [none, ints(3, 0)], { allowzero: 1 })).toEqual([{ shape: [3, 0], data: [] }])
    expect(run('Shape', [none])[0]!.data).toEqual([0, 3])
    expect(run('ConstantOfShape', [ints(0, 2)])).toEqual([{ shape: [0, 2], data: [] }])
    expect(run('Concat', [none, floats([1, 3], 1, 2, 3)], { axis: 0 })).toEqual([
      { shape: [1, 3], data: [1, 2, 3] },
    ])
    expect(run('Slice', [floats([2], 1, 2), ints(5), ints(9)])).toEqual([{ shape: [0], data: [] }])
    expect(run('Relu', [none])).toEqual([{ shape: [0, 3], data: [] }])
  })

  test('slopes before opset 7 are one for each channel', () => {
    const x = floats([1, 2, 1, 1], -1, -1)
    expect(run('PRelu', [x, floats([2], 2, 3)], {}, 6)[0]!.data).toEqual([-2, -3])
  })
})

test('integers, other number types and names of every kind as inputs', () => {
  const bytes = onnxModel({
    nodes: [
      { op: 'Gather', inputs: ['table', '__proto__'], outputs: ['row'] },
      { op: 'Add', inputs: ['row', 'row'], outputs: ['twice'] },
    ],
    inputs: { table: { shape: [3, 2] }, ['__proto__']: { type: 'int64', shape: ['K'] } },
    outputs: ['twice', 'row'],
  })
  const table = new Tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2])
  const indices = { data: BigInt64Array.of(2n, -3n), shape: [2] }
  const { twice, row } = loadOnnx(bytes).run({ table, ['__proto__']: indices })
  expect([...row!.data]).toEqual([5, 6, 1, 2])
  expect([...twice!.data]).toEqual([10, 12, 2, 4])
  expect(() => loadOnnx(bytes).run({ table, ['__proto__']: { data: [1], shape: [2] } })).toThrow(
    /as many numbers as its shape says/,
  )
})
