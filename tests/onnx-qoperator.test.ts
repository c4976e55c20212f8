/** Operators of quantized values that onnxruntime adds to ONNX's, and whole networks as its static quantisation writes them. */
import { describe, expect, test } from 'vitest'
import { loadOnnx } from '../lib/index.ts'
import { noise } from './helpers.ts'
import {
  type AttributeValue,
  list,
  type Numbers,
  of,
  onnxModel,
  onnxruntime,
  runOrt,
  type TestNode,
} from './onnx-models.ts'

const ort = onnxruntime()
const scale = (value: number) => of('float', [], value)
const ints = (type: 'int8' | 'uint8' | 'int32', shape: number[], seed: number, most: number): Numbers => ({
  type,
  shape,
  data: Array.from(
    noise(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
    (x) => Math.round(type === 'uint8' ? ((x + 1) / 2) * most : x * most),
  ),
})

const initializers: Record<string, Numbers> = {
  sx: scale(0.021),
  zx: of('uint8', [], 117),
  sy: scale(0.034),
  zy: of('uint8', [], 101),
  w: ints('int8', [6, 3, 3, 3], 2, 90),
  w2: ints('int8', [6, 6, 1, 1], 5, 90),
  ws: list('float', 0.01, 0.02, 0.015, 0.008, 0.011, 0.02),
  wz: list('int8', 0, 0, 0, 0, 0, 0),
  b: ints('int32', [6], 3, 900),
  bs: list('float', 0.00021, 0.00042, 0.000315, 0.000168, 0.000231, 0.00042),
  m: ints('int8', [6, 5], 4, 100),
  mt: ints('int8', [5, 6], 4, 100),
  ms: scale(0.013),
  mz: of('int8', [], 0),
  mb: ints('int32', [5], 8, 500),
  fb: list('float', 0.1, -0.2, 0.3, 0, 0.5),
  c: ints('uint8', [6, 1, 1], 6, 255),
}

const node = (
  op: string,
  inputs: string,
  output: string,
  attributes: Record<string, AttributeValue> = {},
): TestNode => ({
  op,
  ...(/^(QLinear(?!Conv|MatMul)|QGemm|MatMulIntegerToFloat)/.test(op) && { domain: 'com.microsoft' }),
  inputs: inputs.split(' ').map((name) => (name === '-' ? '' : name)),
  outputs: [output],
  attributes,
})

const shape = ['N', 3, 8, 8]
const x: Numbers = { shape: [3, 3, 8, 8], data: noise(3 * 192, 3).map((one) => 2 * one) }
const quantize = node('QuantizeLinear', 'x sx zx', 'q')
const conv = node('QLinearConv', 'q sx zx w ws wz sy zy b', 'c1', { pads: [1, 1, 1, 1] })
const back = (from: string) => node('DequantizeLinear', `${from} sy zy`, 'y')

/** Compiled is what run() gives, to the bit; onnxruntime's roundings may lie a step apart. */
async function check(
  nodes: TestNode[],
  judge: 'steps' | 'ties' | 'none' = 'steps',
  step = 0.034,
): Promise<void> {
  const used = new Set(nodes.flatMap(({ inputs }) => inputs))
  const bytes = onnxModel({
    opset: 13,
    nodes,
    inputs: { x: { shape } },
    outputs: ['y'],
    initializers: Object.fromEntries(Object.entries(initializers).filter(([name]) => used.has(name))),
  })
  const model = loadOnnx(bytes)
  const want = [...(model.run({ x }).y?.data ?? [])]
  expect(new Set(want).size).toBeGreaterThan(5)
  using compiled = model.compile()
  expect([...compiled.run(Float32Array.from(x.data as ArrayLike<number>))]).toEqual(want)
  if (!ort || judge === 'none') return
  const { y } = await runOrt(ort, bytes, { x })
  const steps = want.map((one, i) => Math.abs(one - (y?.data[i] ?? Number.NaN)) / step)
  expect(Math.max(...steps)).toBeLessThan(1.01)
  if (judge === 'steps') expect(steps.filter((one) => one > 0.01).length).toBeLessThan(want.length / 50 + 1)
}

describe('after a convolution of integers', () => {
  test.each<[string, TestNode[]]>([
    ['a sum', [node('QLinearAdd', 'c1 sy zy c1 sy zy sy zy', 'r'), back('r')]],
    ['a sum with a constant', [node('QLinearAdd', 'c1 sy zy c sx zx sy zy', 'r'), back('r')]],
    ['a product', [node('QLinearMul', 'c1 sy zy c1 sy zy sy zy', 'r'), back('r')]],
    ['a product with a constant', [node('QLinearMul', 'c sx zx c1 sy zy sy zy', 'r'), back('r')]],
    ['all of each channel', [node('QLinearGlobalAveragePool', 'c1 sy zy sy zy', 'r'), back('r')]],
    [
      'windows',
      [
        node('QLinearAveragePool', 'c1 sy zy sy zy', 'r', {
          kernel_shape: [3, 3],
          strides: [2, 2],
          pads: [1, 1, 1, 1],
        }),
        back('r'),
      ],
    ],
    ['sigmoid', [node('QLinearSigmoid', 'c1 sy zy sy zy', 'r'), back('r')]],
    ['leaky ReLU', [node('QLinearLeakyRelu', 'c1 sy zy sy zy', 'r', { alpha: 0.125 }), back('r')]],
    [
      'softmax',
      [
        node('QLinearSoftmax', 'c1 sy zy s1 zs', 'r', { axis: 1, opset: 13 }),
        node('DequantizeLinear', 'r s1 zs', 'y'),
      ],
    ],
    ['parts side by side', [node('QLinearConcat', 'sy zy c1 sy zy q sx zx', 'r', { axis: 1 }), back('r')]],
    [
      'a pool of the largest, a flat vector, a matrix',
      [
        node('QLinearGlobalAveragePool', 'c1 sy zy sy zy', 'r'),
        node('Flatten', 'r', 'f'),
        node('QGemm', 'f sy zy m ms mz mb sy zy', 'g'),
        back('g'),
      ],
    ],
    [
      'a matrix that lies the other way, and floats of it',
      [
        node('QLinearGlobalAveragePool', 'c1 sy zy sy zy', 'r'),
        node('Flatten', 'r', 'f'),
        node('QGemm', 'f sy zy mt ms mz mb', 'y', { transB: 1, alpha: { float: 0.5 } }),
      ],
    ],
    [
      'a mean over dimensions',
      [node('QLinearReduceMean', 'c1 sy zy sy zy', 'r', { axes: [2, 3], keepdims: 0 }), back('r')],
    ],
    [
      'floats of a product, and a bias',
      [
        node('QLinearGlobalAveragePool', 'c1 sy zy sy zy', 'r'),
        node('Flatten', 'r', 'f'),
        node('MatMulIntegerToFloat', 'f m sy ms zy mz fb', 'y'),
      ],
    ],
    [
      'pools and reshapes of bytes',
      [
        node('MaxPool', 'c1', 'p', { kernel_shape: [2, 2], strides: [2, 2] }),
        node('Transpose', 'p', 't', { perm: [0, 2, 3, 1] }),
        back('t'),
      ],
    ],
  ])('%s', async (name, nodes) => {
    initializers.s1 = scale(1 / 256)
    initializers.zs = of('uint8', [], 0)
    // Means of four and six bytes often lie in the middle between two; onnxruntime-node has no QLinearReduceMean.
    const judge = name === 'windows' ? 'ties' : name === 'a mean over dimensions' ? 'none' : 'steps'
    await check([quantize, conv, ...nodes], judge)
  })
})

test('channels last', () => {
  const q = ints('uint8', [1, 4, 4, 2], 1, 255)
  const names = { q, sx: scale(0.02), zx: of('uint8', [], 7), sy: scale(0.01), zy: of('uint8', [], 3) }
  const y = loadOnnx(
    onnxModel({
      opset: 13,
      nodes: [node('QLinearGlobalAveragePool', 'q sx zx sy zy', 'y', { channels_last: 1 })],
      inputs: names,
      outputs: ['y'],
    }),
  ).run(names).y
  const sums = [0, 1].map((c) =>
    Array.from(q.data, Number).reduce((sum, one, i) => (i % 2 === c ? sum + one - 7 : sum), 0),
  )
  expect(y?.shape).toEqual([1, 1, 1, 2])
  expect([...(y?.data ?? [])]).toEqual(sums.map((sum) => Math.min(Math.round((sum / 16) * 2) + 3, 255)))
})

/** conv, ReLU inside the scales, a residual block, pool, classes: as quantize_static writes it in its two formats. */
const qoperator = [
  quantize,
  conv,
  node('QLinearConv', 'c1 sy zy w2 ws wz sy zy b', 'c2'),
  node('QLinearAdd', 'c1 sy zy c2 sy zy sy zy', 'sum'),
  node('QLinearGlobalAveragePool', 'sum sy zy sy zy', 'pool'),
  node('Flatten', 'pool', 'flat'),
  node('QLinearMatMul', 'flat sy zy m ms mz sy zy', 'g'),
  back('g'),
]
const there = (from: string, to: string) => [
  node('QuantizeLinear', `${from} sy zy`, `${to}_q`),
  node('DequantizeLinear', `${to}_q sy zy`, to),
]
const qdq = [
  quantize,
  node('DequantizeLinear', 'q sx zx', 'a'),
  node('DequantizeLinear', 'w ws wz', 'wf', { axis: 0 }),
  node('DequantizeLinear', 'w2 ws wz', 'w2f', { axis: 0 }),
  node('DequantizeLinear', 'b bs wzero', 'bf', { axis: 0 }),
  node('DequantizeLinear', 'm ms mz', 'mf'),
  node('Conv', 'a wf bf', 'cv', { pads: [1, 1, 1, 1] }),
  node('Relu', 'cv', 'relu'),
  ...there('relu', 'c1'),
  node('Conv', 'c1 w2f', 'cc'),
  ...there('cc', 'c2'),
  node('Add', 'c1 c2', 'add'),
  ...there('add', 'sum'),
  node('GlobalAveragePool', 'sum', 'p'),
  ...there('p', 'pool'),
  node('Flatten', 'pool', 'flat'),
  node('MatMul', 'flat mf', 'mm'),
  ...there('mm', 'y'),
]

describe('a whole network of static quantisation runs and compiles', () => {
  test('QOperator', () => check(qoperator))
  test('QDQ', () => {
    initializers.wzero = list('int32', 0, 0, 0, 0, 0, 0)
    return check(qdq)
  })
})

test('sums beyond 2^24 are exact before the one rounding', () => {
  const channels = 700
  const wide: Record<string, Numbers> = {
    sx: scale(0.02),
    zx: of('uint8', [], 0),
    w: ints('int8', [2, channels, 1, 1], 3, 127),
    ws: scale(0.01),
    wz: of('int8', [], 0),
    sy: scale(9),
    zy: of('uint8', [], 128),
    b: list('int32', 20000001, -20000003),
  }
  const many = of('int8', [2, channels, 1, 1], ...Array<number>(2 * channels).fill(127))
  const model = loadOnnx(
    onnxModel({
      opset: 13,
      nodes: [quantize, node('QLinearConv', 'q sx zx w ws wz sy zy b', 'r'), back('r')],
      inputs: { x: { shape: ['N', channels, 3, 3] } },
      outputs: ['y'],
      initializers: {
        ...wide,
        w: { ...many, data: Array.from(many.data, (one, i) => Number(one) - (i % 3)) },
      },
    }),
  )
  const values = {
    shape: [1, channels, 3, 3],
    data: noise(channels * 9, 4).map((one) => 2.5 * Math.abs(one)),
  }
  using compiled = model.compile()
  expect([...compiled.run(values.data)]).toEqual([...(model.run({ x: values }).y?.data ?? [])])
})

test('what does not fit is refused by name', () => {
  const run = (nodes: TestNode[]) => () =>
    loadOnnx(
      onnxModel({ opset: 13, nodes: [quantize, conv, ...nodes], inputs: { x: { shape } }, initializers }),
    ).run({
      x,
    })
  expect(run([node('QLinearConcat', 'sy zy c1 sy', 'y')])).toThrow(/node y \(QLinearConcat.*has 4 inputs/)
  expect(run([node('QLinearAdd', 'c1 ws zy c1 sy zy sy zy', 'y')])).toThrow(
    /node y \(QLinearAdd.*scales that differ/,
  )
  expect(run([node('QGemm', 'c1 sy zy m ms mz mb sy zy', 'y')])).toThrow(/node y \(QGemm.*no matrices/)
})
