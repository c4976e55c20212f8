/** Sampling, windows over three dimensions and boxes, by their definitions. */
import { describe, expect, test } from 'vitest'
import { loadOnnx, Tensor } from '../lib/index.ts'
import { elements } from '../lib/tensor/shape.ts'
import { bitsOf, largestError, noise } from './helpers.ts'
import {
  int64s,
  list,
  type Numbers,
  node,
  numbersOf,
  of,
  onnxModel,
  runOperator,
  turn,
} from './onnx-models.ts'

const f = (value: number) => ({ float: value })

describe('windows over three dimensions', () => {
  const [n, c, d, h, w] = [2, 2, 4, 5, 3]
  const x = new Tensor(noise(n * c * d * h * w), [n, c, d, h, w])
  const at = (i: number, k: number, z: number, y: number, u: number) =>
    z < 0 || y < 0 || u < 0 || z >= d || y >= h || u >= w
      ? undefined
      : x.data[(((i * c + k) * d + z) * h + y) * w + u]

  /** run() and a compiled model against sums, or maxima, in double. */
  function check(
    op: string,
    attributes: Record<string, number[] | number>,
    weights: Numbers[],
    value: Value,
  ) {
    const initializers = Object.fromEntries(weights.map((one, i) => [`w${i}`, one]))
    const model = loadOnnx(
      onnxModel({
        nodes: [{ op, inputs: ['x', ...Object.keys(initializers)], attributes }],
        inputs: { x: { shape: ['N', c, d, h, w] } },
        initializers,
      }),
    )
    const y = model.forward(x)
    const [, channels = 0, depth = 0, rows = 0, columns = 0] = y.shape
    const expected: number[] = []
    for (let i = 0; i < n; i++)
      for (let k = 0; k < channels; k++)
        for (let z = 0; z < depth; z++)
          for (let v = 0; v < rows; v++) for (let u = 0; u < columns; u++) expected.push(value(i, k, z, v, u))
    expect(largestError(y.data, expected)).toBeLessThan(1e-5)
    using plan = model.compile()
    expect(plan.run(x)).toEqual(y.data)
    return y.shape
  }
  type Value = (i: number, k: number, z: number, y: number, u: number) => number

  test('Conv', () => {
    const weight = of('float', [3, 2, 2, 3, 2], ...noise(3 * 2 * 12, 5))
    const bias = list('float', 1, 2, 3)
    const shape = check(
      'Conv',
      { pads: [1, 1, 0, 0, 1, 1], strides: [1, 2, 1], dilations: [2, 1, 1] },
      [weight, bias],
      (i, k, z, y, u) => {
        let sum = k + 1
        for (let ic = 0; ic < 2; ic++)
          for (let a = 0; a < 2; a++)
            for (let b = 0; b < 3; b++)
              for (let e = 0; e < 2; e++)
                sum +=
                  (at(i, ic, z - 1 + 2 * a, 2 * y - 1 + b, u + e) ?? 0) *
                  Number(weight.data[(((k * 2 + ic) * 2 + a) * 3 + b) * 2 + e])
        return sum
      },
    )
    expect(shape).toEqual([2, 3, 3, 3, 3])
  })

  test('ConvTranspose', () => {
    const weight = of('float', [2, 3, 3, 2, 2], ...noise(2 * 3 * 12, 5))
    const shape = check(
      'ConvTranspose',
      { pads: [1, 0, 0, 0, 1, 0], strides: [3, 1, 2], output_padding: [1, 0, 1], dilations: [1, 2, 1] },
      [weight, list('float', 1, 2, 3)],
      (i, k, z, y, u) => {
        let sum = k + 1
        for (let ic = 0; ic < 2; ic++)
          for (let a = 0; a < 3; a++)
            for (let b = 0; b < 2; b++)
              for (let e = 0; e < 2; e++) {
                const from = [(z + 1 - a) / 3, y - 2 * b, (u - e) / 2] as const
                const value = from.every(Number.isInteger) ? at(i, ic, ...from) : undefined
                sum += (value ?? 0) * Number(weight.data[(((ic * 3 + k) * 3 + a) * 2 + b) * 2 + e])
              }
        return sum
      },
    )
    expect(shape).toEqual([2, 3, 12, 6, 7])
  })

  const taps = (i: number, k: number, z: number, y: number, u: number) =>
    [-1, 0, 1].flatMap((a) => [0, 1].flatMap((b) => [-1, 0].map((e) => at(i, k, 2 * z + a, y + b, u + e))))
  const pool = { kernel_shape: [3, 2, 2], strides: [2, 1, 1], pads: [1, 0, 1, 0, 0, 0] }

  test('MaxPool', () => {
    check('MaxPool', pool, [], (...place) => Math.max(...taps(...place).filter((one) => one !== undefined)))
  })

  test.each([0, 1])('AveragePool that counts the padding: %d', (count_include_pad) => {
    check('AveragePool', { ...pool, count_include_pad }, [], (...place) => {
      const there = taps(...place).filter((one) => one !== undefined)
      const sum = there.reduce((a, b) => a + b, 0)
      return sum / (count_include_pad ? 12 : there.length)
    })
  })

  test('more dimensions are refused', () => {
    const deep = of('float', [1, 1, 2, 2, 2, 2], ...noise(16))
    expect(() => runOperator('Conv', [deep, of('float', [1, 1, 1, 1, 1, 1], 1)])).toThrow(
      expect.objectContaining({
        code: 'ERR_UNSUPPORTED',
        message: expect.stringMatching(/4 dimensions, not 1 to 3/),
      }),
    )
  })
})

test('pools of floats that were moved before are those of a compiled model, to the bit', () => {
  const image = [1, 3, 7, 6]
  const x = new Tensor(noise(elements(image), 3), image)
  const before = [
    node('Pad', 'x pads', 'p'),
    node('Slice', 'x from to last', 'p'),
    turn('x', 'p', 0, 2, 1, 3),
    node('Concat', 'x x', 'p', { axis: 1 }),
  ]
  const initializers = {
    pads: int64s(0, 0, 1, 1, 0, 0, 1, 1),
    from: int64s(1),
    to: int64s(6),
    last: int64s(3),
  }
  for (const first of before) {
    for (const op of ['AveragePool', 'MaxPool', 'GlobalAveragePool']) {
      const last = node(op, 'p', 'y', op.startsWith('G') ? {} : { kernel_shape: [3, 3], strides: [2, 2] })
      const net = loadOnnx(
        onnxModel({ nodes: [first, last], inputs: { x: { shape: image } }, outputs: ['y'], initializers }),
      )
      using compiled = net.compile()
      expect(bitsOf(net.run({ x }).y!.data)).toEqual(bitsOf(compiled.run(x.data)))
    }
  }
})

describe('sampling', () => {
  const image = of('float', [1, 1, 2, 3], 1, 2, 3, 4, 5, 6)
  const at = (x: number, y: number) => of('float', [1, 1, 1, 2], x, y)
  const sample = (x: number, y: number, attributes = {}) =>
    numbersOf('GridSample', [image, at(x, y)], attributes)[0]

  test('GridSample at corners, between pixels and outside', () => {
    expect(sample(-1, -1, { align_corners: 1 })).toBe(1)
    expect(sample(1, 1, { align_corners: 1 })).toBe(6)
    expect(sample(0.5, -1, { align_corners: 1 })).toBe(2.5)
    expect(sample(0, 0)).toBe(3.5)
    expect(sample(-1, -1)).toBe(0.25) // a quarter of the first pixel, the rest is padding
    expect(sample(-1, -1, { padding_mode: 'border' })).toBe(1)
    expect(sample(-5, 0.5, { padding_mode: 'border' })).toBe(4)
    expect(sample(-1.5, -0.5, { padding_mode: 'reflection', mode: 'nearest' })).toBe(1)
    expect(sample(Number.NaN, 0)).toBe(0)
    expect(sample(0, 0, { mode: 'bicubic', align_corners: 1, padding_mode: 'border' })).toBeCloseTo(3.5, 6)
  })

  test('GridSample by a grid that is known is compiled', () => {
    for (const mode of ['bilinear', 'nearest', 'bicubic']) {
      const x = new Tensor(noise(2 * 5 * 4), [1, 2, 5, 4])
      const model = loadOnnx(
        onnxModel({
          nodes: [{ op: 'GridSample', inputs: ['x', 'g'], attributes: { mode } }],
          inputs: { x: { shape: [1, 2, 5, 4] } },
          initializers: { g: of('float', [1, 6, 3, 2], ...noise(36, 5).map((one) => 1.2 * one)) },
        }),
      )
      using plan = model.compile()
      expect(largestError(plan.run(x), model.forward(x).data)).toBeLessThan(1e-6)
    }
  })

  test('AffineGrid and GridSample together leave an image as it is, or turn it round', () => {
    for (const align_corners of [0, 1]) {
      const through = (theta: number[]) => {
        const model = onnxModel({
          opset: 20,
          nodes: [
            { op: 'AffineGrid', inputs: ['theta', 'size'], outputs: ['g'], attributes: { align_corners } },
            { op: 'GridSample', inputs: ['x', 'g'], attributes: { align_corners } },
          ],
          inputs: { x: { shape: [1, 1, 2, 3] } },
          initializers: { theta: of('float', [1, 2, 3], ...theta), size: int64s(1, 1, 2, 3) },
        })
        return [...loadOnnx(model).run({ x: image }).y!.data].map((one) => Math.round(one * 1e5) / 1e5)
      }
      expect(through([1, 0, 0, 0, 1, 0])).toEqual([1, 2, 3, 4, 5, 6])
      expect(through([-1, 0, 0, 0, -1, 0])).toEqual([6, 5, 4, 3, 2, 1])
    }
  })

  test('RoiAlign: means of samples', () => {
    const square = of('float', [1, 1, 2, 2], 1, 2, 3, 4)
    const mean = numbersOf('RoiAlign', [square, of('float', [1, 4], 0, 0, 2, 2), int64s(0)], {
      sampling_ratio: 2,
    })
    // places -0.0, 1.0 of each side: the four pixels themselves
    expect(mean).toEqual([2.5])
    expect(numbersOf('RoiAlign', [square, of('float', [1, 4], 9, 9, 12, 12), int64s(0)])).toEqual([0])
    expect(() => numbersOf('RoiAlign', [square, of('float', [1, 4], 0, 0, 2, 2), int64s(1)])).toThrow(
      expect.objectContaining({ code: 'ERR_SHAPE' }),
    )
  })
})

test('NonMaxSuppression: the best boxes that do not overlap', () => {
  const boxes = of('float', [1, 4, 4], 0, 0, 2, 2, 0, 0, 2, 2.2, 5, 5, 4, 4, 0, 1, 2, 3)
  const scores = of('float', [1, 1, 4], 0.5, 0.9, 0.1, 0.8)
  const kept = (...more: Numbers[]) => numbersOf('NonMaxSuppression', [boxes, scores, ...more]).map(Number)
  expect(kept()).toEqual([])
  expect(kept(int64s(9), list('float', 0.5))).toEqual([0, 0, 1, 0, 0, 3, 0, 0, 2])
  expect(kept(int64s(9), list('float', 0.1))).toEqual([0, 0, 1, 0, 0, 2])
  expect(kept(int64s(9), list('float', 0.5), list('float', 0.1))).toEqual([0, 0, 1, 0, 0, 3])
  expect(kept(int64s(1), list('float', 0.5))).toEqual([0, 0, 1])
})

describe('rare windows', () => {
  test('LpPool and GlobalLpPool', () => {
    const x = of('float', [1, 1, 2, 3], 3, -4, 0, 0, 0, 12)
    expect(numbersOf('LpPool', [x], { kernel_shape: [2, 2] })).toEqual([5, Math.fround(Math.sqrt(16 + 144))])
    expect(numbersOf('GlobalLpPool', [x])).toEqual([13])
    expect(numbersOf('GlobalLpPool', [x], { p: 1 })).toEqual([19])
  })

  test('MaxUnpool puts values where they were, in a larger image too', () => {
    const x = of('float', [1, 1, 2, 2], 5, 6, 7, 8)
    const places = of('int64', [1, 1, 2, 2], 5, 7, 13, 15)
    const window = { kernel_shape: [2, 2], strides: [2, 2] }
    const filled = (length: number, where: Record<number, number>) =>
      Array.from({ length }, (_, i) => where[i] ?? 0)
    expect(numbersOf('MaxUnpool', [x, places], window)).toEqual(filled(16, { 5: 5, 7: 6, 13: 7, 15: 8 }))
    expect(numbersOf('MaxUnpool', [x, places, int64s(1, 1, 5, 5)], window)).toEqual(
      filled(25, { 6: 5, 8: 6, 16: 7, 18: 8 }),
    )
    expect(() => numbersOf('MaxUnpool', [x, of('int64', [1, 1, 2, 2], 5, 7, 13, 16)], window)).toThrow(
      expect.objectContaining({ code: 'ERR_SHAPE' }),
    )
  })

  test('Col2Im adds what overlaps', () => {
    const ones = of('float', [1, 4, 4], ...new Array(16).fill(1))
    expect(numbersOf('Col2Im', [ones, int64s(3, 3), int64s(2, 2)])).toEqual([1, 2, 1, 2, 4, 2, 1, 2, 1])
    expect(() => numbersOf('Col2Im', [ones, int64s(3, 4), int64s(2, 2)])).toThrow(
      expect.objectContaining({ code: 'ERR_SHAPE' }),
    )
  })
})

test('ImageScaler', () => {
  const x = of('float', [1, 2, 1, 2], 1, 2, 3, 4)
  const attributes = { scale: f(2), bias: { floats: [0.5, -1] } }
  expect(numbersOf('ImageScaler', [x], attributes, 7)).toEqual([2.5, 4.5, 5, 7])
  const model = {
    nodes: [{ op: 'ImageScaler', inputs: ['x'], attributes }],
    inputs: { x: { shape: [1, 2, 1, 2] } },
  }
  expect([
    ...loadOnnx(onnxModel(model))
      .compile()
      .run(Float32Array.of(1, 2, 3, 4)),
  ]).toEqual([2.5, 4.5, 5, 7])
})

test("what onnxruntime's optimiser fuses is as the operators one by one, and learns", () => {
  const x = new Tensor(noise(2 * 3 * 16), [2, 3, 4, 4])
  const initializers = {
    w: of('float', [2, 3, 3, 3], ...noise(54, 3)),
    b: of('float', [2], 0.1, -0.2),
    m: of('float', [4, 4], ...noise(16, 7)),
  }
  const model = (nodes: Parameters<typeof onnxModel>[0]['nodes']) =>
    loadOnnx(onnxModel({ nodes, inputs: { x: { shape: ['N', 3, 4, 4] } }, initializers }))
  const fused = model([
    {
      op: 'FusedConv',
      domain: 'com.microsoft',
      inputs: ['x', 'w', 'b'],
      outputs: ['c'],
      attributes: { activation: 'LeakyRelu', activation_params: { floats: [0.25] }, pads: [1, 1, 1, 1] },
    },
    {
      op: 'FusedMatMul',
      domain: 'com.microsoft',
      inputs: ['c', 'm'],
      attributes: { transB: 1, alpha: f(2) },
    },
  ])
  const apart = model([
    { op: 'Conv', inputs: ['x', 'w', 'b'], outputs: ['c'], attributes: { pads: [1, 1, 1, 1] } },
    { op: 'LeakyRelu', inputs: ['c'], outputs: ['r'], attributes: { alpha: 0.25 } },
    { op: 'Transpose', inputs: ['m'], outputs: ['t'], attributes: { perm: [1, 0] } },
    { op: 'MatMul', inputs: ['r', 't'], outputs: ['p'] },
    { op: 'Add', inputs: ['p', 'p'], outputs: ['y'] },
  ])
  expect(fused.forward(x).data).toEqual(apart.forward(x).data)
  expect(fused.compile().run(x)).toEqual(apart.compile().run(x))
  expect(fused.namedParameters().map(([name]) => name)).toEqual(expect.arrayContaining(['w', 'b']))
})
