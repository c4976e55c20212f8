/** Quantized numbers in ONNX: there and back, convolutions and products of them, run and compiled. */
import { describe, expect, test } from 'vitest'
import { loadOnnx } from '../lib/index.ts'
import { noise } from './helpers.ts'
import {
  type AttributeValue,
  list,
  type Numbers,
  numbersOf,
  of,
  onnxModel,
  runOperator,
  type Type,
} from './onnx-models.ts'

const floats = (...data: number[]) => list('float', ...data)
const scale = (value: number) => of('float', [], value)
const zero = (type: Type, value: number) => of(type, [], value)
const limits: Partial<Record<Type, [number, number]>> = {
  uint8: [0, 255],
  int8: [-128, 127],
  uint16: [0, 65535],
  int16: [-32768, 32767],
}
const round = (x: number) => {
  const down = Math.floor(x)
  return x - down > 0.5 || (x - down === 0.5 && down % 2 !== 0) ? down + 1 : down
}
/** By the definition. */
const quantized = (x: number, s: number, z: number, type: Type) => {
  const [low, high] = limits[type]!
  return Math.min(Math.max(round(Math.fround(x / Math.fround(s))) + z, low), high)
}
/** Integers of the whole range. */
const integers = (type: Type, shape: number[], seed: number): Numbers => {
  const [low, high] = limits[type]!
  const count = shape.reduce((product, size) => product * size, 1)
  return {
    type,
    shape,
    data: Array.from(noise(count, seed), (x) => round(low + ((x + 1) / 2) * (high - low))),
  }
}

describe('QuantizeLinear, DequantizeLinear', () => {
  const odd = [0.25, 0.75, 1.25, -0.25, -0.75, 2.25, -5.25, 1e9, -1e9, 0, 3]

  test.each<Type>(['uint8', 'int8', 'uint16', 'int16'])('%s: to the nearest, ties to even, cut', (type) => {
    const q = numbersOf('QuantizeLinear', [floats(...odd), scale(0.5), zero(type, 7)])
    expect(q).toEqual(odd.map((x) => quantized(x, 0.5, 7, type)))
    const back = numbersOf('DequantizeLinear', [list(type, ...q), scale(0.3), zero(type, 7)])
    expect(back).toEqual(q.map((one) => Math.fround((Number(one) - 7) * Math.fround(0.3))))
  })

  test('along an axis, and in blocks', () => {
    const x = of('float', [2, 3], 1, 2, 3, -1, -2, -3)
    const [s, z] = [floats(0.1, 0.2, 0.4), list('int8', 1, 2, 3)]
    const want = [1, 2, 3, -1, -2, -3].map((one, i) =>
      quantized(one, [0.1, 0.2, 0.4][i % 3]!, (i % 3) + 1, 'int8'),
    )
    expect(numbersOf('QuantizeLinear', [x, s, z], {}, 13)).toEqual(want)
    expect(numbersOf('QuantizeLinear', [x, s, z], { axis: -1 }, 13)).toEqual(want)
    const blocks = of('float', [2, 2], 1, 2, 3, 4)
    const y = runOperator(
      'DequantizeLinear',
      [of('int8', [2, 3], 1, 2, 3, 4, 5, 6), blocks],
      { block_size: 2 },
      21,
    )[0]!
    expect([...y.data]).toEqual([1, 2, 6, 12, 15, 24])
    expect(() => runOperator('QuantizeLinear', [x, floats(1, 2)], {}, 13)).toThrow(
      /2 scales or zero points do not fit 2×3/,
    )
    expect(() => runOperator('QuantizeLinear', [x, floats(1, 2, 3)], { axis: 5 }, 13)).toThrow(
      /axis 5 is outside/,
    )
  })

  test('types: that of the zero point, as asked for, float8', () => {
    expect(runOperator('QuantizeLinear', [floats(-3), scale(1)])[0]).toMatchObject({
      dtype: 'uint8',
      data: new Uint8Array(1),
    })
    expect(runOperator('QuantizeLinear', [floats(-3), scale(1)], { output_dtype: 3 }, 21)[0]).toMatchObject({
      dtype: 'int8',
    })
    const nine = of('float8e4m3fn', [], 0)
    expect(numbersOf('QuantizeLinear', [floats(1.07, 1000, -3), scale(1), nine], {}, 19)).toEqual([
      1.125, 448, -3,
    ])
  })

  test('numbers of other types are refused by name', () => {
    const wide = list('int64', 1, 2)
    for (const [op, given] of [
      ['QuantizeLinear', [wide, scale(1)]],
      ['QuantizeLinear', [floats(1), zero('int8', 1)]],
      ['QuantizeLinear', [floats(1), scale(1), zero('int64', 1)]],
      ['DequantizeLinear', [wide, scale(1)]],
      ['DequantizeLinear', [floats(1), scale(1)]],
      ['DynamicQuantizeLinear', [wide]],
      ['MatMulInteger', [wide, wide]],
      ['ConvInteger', [floats(1), floats(1)]],
    ] as [string, Numbers[]][]) {
      const refused = expect.objectContaining({
        code: 'ERR_FORMAT',
        message: expect.stringMatching(/ must be .* but is /),
      })
      expect(() => runOperator(op, given, {}, 21), op).toThrow(refused)
    }
    expect(() => runOperator('QuantizeLinear', [floats(1), scale(1)], { output_dtype: 7 }, 21)).toThrow(
      /output_dtype=7/,
    )
    expect(() =>
      runOperator('MatMulInteger', [zero('uint8', 1), zero('uint8', 1), of('uint8', [0])]),
    ).toThrow(/do not fit/)
  })

  test('DynamicQuantizeLinear takes the range that there is, with 0', () => {
    const dynamic = (...x: number[]) =>
      runOperator('DynamicQuantizeLinear', [floats(...x)], {}, 11, 3).map(({ data }) => [...data])
    expect(dynamic(0, 2, -3, -2.5, 1.34, 0.5)).toEqual([
      [153, 255, 0, 26, 221, 179],
      [Math.fround(5 / 255)],
      [153],
    ])
    expect(dynamic(1, 2, 4)).toEqual([[64, 127, 255], [Math.fround(4 / 255)], [0]])
    expect(dynamic(0, 0)).toEqual([[0, 0], [1], [0]])
  })
})

describe('products', () => {
  /** Sums of a convolution without padding, exact. */
  function sums(x: Numbers, w: Numbers, xz: number, wz: number): number[] {
    const [n, c, h, wide] = x.shape as [number, number, number, number]
    const [oc, , kh, kw] = w.shape as [number, number, number, number]
    const [oh, ow] = [h - kh + 1, wide - kw + 1]
    return Array.from({ length: n * oc * oh * ow }, (_, at) => {
      const [ox, oy, o, i] = [
        at % ow,
        Math.floor(at / ow) % oh,
        Math.floor(at / ow / oh) % oc,
        Math.floor(at / ow / oh / oc),
      ]
      let sum = 0
      for (let k = 0; k < c * kh * kw; k++) {
        const [dx, dy, ch] = [k % kw, Math.floor(k / kw) % kh, Math.floor(k / kw / kh)]
        sum +=
          (Number(x.data[((i * c + ch) * h + oy + dy) * wide + ox + dx]) - xz) *
          (Number(w.data[o * c * kh * kw + k]) - wz)
      }
      return sum
    })
  }

  test.each([3, 90])('convolutions of %i channels, also of sums that floats do not hold', (channels) => {
    const [x, w] = [integers('uint8', [2, channels, 6, 5], 1), integers('uint8', [4, channels, 3, 3], 2)]
    const exact = sums(x, w, 7, 130)
    expect(numbersOf('ConvInteger', [x, w, zero('uint8', 7), zero('uint8', 130)])).toEqual(exact)
    const all = of('uint8', x.shape, ...Array<number>(x.data.length).fill(255))
    const most = of('uint8', w.shape, ...Array<number>(w.data.length).fill(255))
    expect(numbersOf('ConvInteger', [all, most])).toEqual(sums(all, most, 0, 0))
    const bias = list('int32', -90000, 5, 70000, 1)
    const [ws, ys] = [[0.02, 0.01, 0.03, 0.015], 0.6 * Math.sqrt(channels)]
    const given = [
      x,
      scale(0.02),
      zero('uint8', 7),
      w,
      floats(...ws),
      list('uint8', 130, 130, 130, 130),
      scale(ys),
      zero('uint8', 200),
      bias,
    ]
    const per = exact.length / 2 / 4
    const want = exact.map((sum, i) => {
      const o = Math.floor(i / per) % 4
      const factor = Math.fround(Math.fround(Math.fround(0.02) * Math.fround(ws[o]!)) / Math.fround(ys))
      return Math.min(
        Math.max(round(Math.fround(Math.fround(sum + Number(bias.data[o])) * factor)) + 200, 0),
        255,
      )
    })
    expect(numbersOf('QLinearConv', given)).toEqual(want)
    expect(new Set(want).size).toBeGreaterThan(10)
  })

  test('matrices, with zero points of columns', () => {
    const [a, b] = [integers('uint8', [3, 400], 1), integers('int8', [400, 2], 2)]
    const bz = [3, -100]
    const exact = Array.from({ length: 6 }, (_, at) => {
      let sum = 0
      for (let k = 0; k < 400; k++) {
        sum +=
          (Number(a.data[Math.floor(at / 2) * 400 + k]) - 12) *
          (Number(b.data[k * 2 + (at % 2)]) - bz[at % 2]!)
      }
      return sum
    })
    expect(numbersOf('MatMulInteger', [a, b, zero('uint8', 12), list('int8', ...bz)])).toEqual(exact)
    const given = [
      a,
      scale(0.02),
      zero('uint8', 12),
      b,
      floats(0.01, 0.02),
      list('int8', ...bz),
      scale(9),
      zero('int8', -3),
    ]
    const want = exact.map((sum, i) => {
      const factor = Math.fround(Math.fround(Math.fround(0.02) * Math.fround([0.01, 0.02][i % 2]!)) / 9)
      return Math.min(Math.max(round(Math.fround(Math.fround(sum) * factor)) - 3, -128), 127)
    })
    expect(numbersOf('QLinearMatMul', given)).toEqual(want)
    expect(() => runOperator('MatMulInteger', [a, b, list('uint8', 1, 2)])).toThrow(/do not fit/)
  })
})

describe('compiled', () => {
  const shape = ['N', 3, 8, 8]
  const initializers: Record<string, Numbers> = {
    s1: scale(0.02),
    z1: zero('uint8', 120),
    w: integers('int8', [4, 3, 3, 3], 2),
    ws: floats(0.01, 0.02, 0.03, 0.04),
    wz: list('int8', 0, 0, 0, 0),
    b: list('int32', 100, -900, 0, 7),
    bs: floats(0.0002, 0.0004, 0.0006, 0.0008),
    s2: scale(0.05),
    z2: zero('uint8', 10),
    m: of('int8', [256, 5], ...Array.from(noise(1280, 4), (x) => Math.trunc(x * 40))),
    ms: scale(0.01),
    mz: zero('int8', 0),
    s3: scale(0.02),
    z3: zero('int8', 7),
  }
  const node = (
    op: string,
    inputs: string,
    output: string,
    attributes: Record<string, AttributeValue> = {},
  ) => ({
    op,
    inputs: inputs.split(' '),
    outputs: [output],
    attributes,
  })
  const x = { shape: [5, 3, 8, 8], data: noise(5 * 192, 3) }

  /** What run() gives to the bit, and it is no constant. */
  function same(nodes: ReturnType<typeof node>[], outputs = ['y']): void {
    const model = loadOnnx(onnxModel({ opset: 13, nodes, inputs: { x: { shape } }, outputs, initializers }))
    using compiled = model.compile()
    const want = model.run({ x }).y!
    expect([...compiled.run(x.data)]).toEqual([...want.data])
    expect(new Set(want.data).size).toBeGreaterThan(5)
  }
  const there = node('QuantizeLinear', 'x s1 z1', 'q')

  test('fake quantization around a convolution, its weights quantized', () => {
    same([
      there,
      node('DequantizeLinear', 'q s1 z1', 'a'),
      node('DequantizeLinear', 'w ws wz', 'wf', { axis: 0 }),
      node('DequantizeLinear', 'b bs', 'bf', { axis: 0 }),
      node('Conv', 'a wf bf', 'c', { pads: [1, 1, 1, 1] }),
      node('QuantizeLinear', 'c s2 z2', 'r'),
      node('DequantizeLinear', 'r s2 z2', 'd'),
      node('MaxPool', 'd', 'y', { kernel_shape: [2, 2], strides: [2, 2] }),
    ])
  })

  const conv = node('QLinearConv', 'q s1 z1 w ws wz s2 z2 b', 'c', { pads: [1, 1, 1, 1] })
  test('a network of integers', () => {
    same([
      there,
      conv,
      node('Flatten', 'c', 'f'),
      node('QLinearMatMul', 'f s2 z2 m ms mz s3 z3', 'g'),
      node('DequantizeLinear', 'g s3 z3', 'y'),
    ])
  })

  test('what cannot be is refused by name', () => {
    const compile =
      (more: Record<string, Numbers>, ...nodes: ReturnType<typeof node>[]) =>
      () =>
        loadOnnx(
          onnxModel({
            opset: 19,
            nodes,
            inputs: { x: { shape } },
            initializers: { ...initializers, ...more },
          }),
        ).compile()
    const wide = of('int8', [4, 3, 3, 3], ...Array<number>(108).fill(127))
    expect(compile({}, there, conv)).not.toThrow()
    const large = list('int32', 2 ** 30, 0, 0, 0)
    expect(compile({ w: wide, b: large }, there, conv)).toThrow(/node c \(QLinearConv.*beyond 2\^24/)
    expect(compile({}, node('DynamicQuantizeLinear', 'x', 'y'))).toThrow(/node y \(DynamicQuantizeLinear/)
    expect(compile({}, there, node('ConvInteger', 'q w z1 wz', 'y'))).toThrow(
      /node y \(ConvInteger.*run\(\) only/,
    )
  })
})
