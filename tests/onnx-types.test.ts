/** Element types of ONNX: casts, inputs, outputs, and what does not go together. */
import { describe, expect, test } from 'vitest'
import { KerneletError, loadOnnx, OnnxArray, type OnnxResult, Tensor } from '../lib/index.ts'
import {
  type AttributeValue,
  dataTypes,
  int64s,
  list,
  type Numbers,
  onnxModel,
  runOperator,
  type Type,
} from './onnx-models.ts'

const { NaN: nan, POSITIVE_INFINITY: inf } = Number

describe('Cast and CastLike', () => {
  test.each<[string, Type, Type, (number | bigint)[], (number | bigint)[], number?]>([
    [
      'rounds to the nearest',
      'float',
      'float16',
      [0.1, -0.1, 1 / 3],
      [0.0999755859375, -0.0999755859375, 0.333251953125],
    ],
    [
      'ties go to even',
      'float',
      'float16',
      [2049, 2051, 1 + 2 ** -11, 1 + 3 * 2 ** -11],
      [2048, 2052, 1, 1 + 2 ** -9],
    ],
    ['too large', 'float', 'float16', [65504, 65519, 65520, 70000, -1e30], [65504, 65504, inf, inf, -inf]],
    [
      'subnormal',
      'double',
      'float16',
      [2 ** -24, 2 ** -25, 1.01 * 2 ** -25, 3 * 2 ** -25],
      [2 ** -24, 0, 2 ** -24, 2 ** -23],
    ],
    ['special', 'float', 'float16', [-0, nan, inf, -inf], [-0, nan, inf, -inf]],
    ['once, not by way of float32', 'double', 'float16', [1 + 2 ** -11 + 2 ** -40], [1 + 2 ** -10]],
    [
      'ties go to even',
      'float',
      'bfloat16',
      [1 + 2 ** -8, 1 + 3 * 2 ** -8, 0.1],
      [1, 1 + 2 ** -6, 0.10009765625],
    ],
    [
      'too large',
      'float',
      'bfloat16',
      [3.3895313892515355e38, 3.4e38, nan],
      [3.3895313892515355e38, inf, nan],
    ],
    ['subnormal', 'float', 'bfloat16', [2 ** -133, 2 ** -134, -(2 ** -134)], [2 ** -133, 0, -0]],
    [
      'saturates',
      'float',
      'float8e4m3fn',
      [0.48, 448, 464, 500, inf, -inf, nan],
      [0.46875, 448, 448, 448, 448, -448, nan],
    ],
    ['subnormal', 'float', 'float8e4m3fn', [2 ** -9, 2 ** -10, 3 * 2 ** -10, -0], [2 ** -9, 0, 2 ** -8, -0]],
    ['without saturation', 'float', 'float8e4m3fn', [448, 500, inf, -inf], [448, nan, nan, nan], 0],
    [
      'saturates',
      'float',
      'float8e4m3fnuz',
      [240, 300, -1000, inf, -inf, -0],
      [240, 240, -240, 240, -240, 0],
    ],
    ['subnormal', 'float', 'float8e4m3fnuz', [2 ** -10, -(2 ** -12)], [2 ** -10, 0]],
    ['without saturation', 'float', 'float8e4m3fnuz', [240, 300, inf], [240, nan, nan], 0],
    ['saturates', 'float', 'float8e5m2', [1.1, 57344, 65000, inf, -inf], [1, 57344, 57344, 57344, -57344]],
    ['without saturation', 'float', 'float8e5m2', [57344, 65000, inf, -inf], [57344, inf, inf, -inf], 0],
    ['saturates', 'float', 'float8e5m2fnuz', [57344, 1e9, inf, 2 ** -17], [57344, 57344, 57344, 2 ** -17]],
    ['without saturation', 'float', 'float8e5m2fnuz', [1e9], [nan], 0],
    [
      'rounds',
      'float',
      'float4e2m1',
      [0.48, 0.25, 1.05, -3.5, -8, inf, nan, -0],
      [0.5, 0, 1, -4, -6, 6, -0, -0],
    ],
    ['rounds', 'float', 'float6e2m3', [0.06, 0.0625, 1.0625, 7.3, 100, -inf], [0, 0, 1, 7.5, 7.5, -7.5]],
    ['rounds', 'float', 'float6e3m2', [0.03, 0.04, 26, 27, 1e9, -1e9], [0, 0.0625, 24, 28, 28, -28]],
    ['to powers of two', 'float', 'float8e8m0', [0.124, 0.25, 1.1, 3], [0.125, 0.25, 2, 4]],
    [
      'saturates',
      'float',
      'float8e8m0',
      [0, 2 ** -140, 3e38, inf, nan, -1],
      [2 ** -127, 2 ** -127, 2 ** 127, 2 ** 127, nan, nan],
    ],
    ['without saturation', 'float', 'float8e8m0', [0, 3e38, inf, 4], [nan, nan, nan, 4], 0],
    ['wraps', 'float', 'int2', [-3, -2, 1.9, 2], [1, -2, 1, -2]],
    ['wraps', 'int64', 'uint2', [-1n, 5n], [3, 1]],
    ['rounds', 'double', 'float', [0.1, 1e39, 1e-46], [Math.fround(0.1), inf, 0]],
    ['drops the fraction', 'float', 'int32', [2.9, -2.9, -0.5], [2, -2, 0]],
    ['wraps', 'float', 'int32', [3e9], [3e9 - 2 ** 32]],
    ['wraps', 'int64', 'int32', [2n ** 32n + 5n, 2n ** 31n], [5, -(2 ** 31)]],
    ['wraps', 'int64', 'uint8', [300n, -1n, 2n ** 60n + 7n], [44, 255, 7]],
    ['wraps', 'int32', 'int8', [200, -129], [-56, 127]],
    ['wraps', 'int64', 'uint64', [-1n], [2n ** 64n - 1n]],
    ['wraps', 'uint64', 'int64', [2n ** 64n - 2n], [-2n]],
    ['wraps', 'float', 'uint16', [65537.5, -1], [1, 65535]],
    ['wraps', 'float', 'int4', [9, -9, 7.9], [-7, 7, 7]],
    ['wraps', 'int64', 'int4', [9n, -9n], [-7, 7]],
    ['wraps', 'float', 'uint4', [17, -1, 15.5], [1, 15, 15]],
    ['is exact', 'double', 'int64', [2 ** 53 + 2, -1.5], [2n ** 53n + 2n, -1n]],
    ['beyond', 'float', 'int64', [nan, inf, 1e30], [-(2n ** 63n), -(2n ** 63n), -(2n ** 63n)]],
    ['rounds', 'int64', 'float', [16777217n, 16777219n], [16777216, 16777220]],
    ['rounds once', 'int64', 'float', [2n ** 53n + 2n ** 29n + 1n], [2 ** 53 + 2 ** 30]],
    ['rounds once', 'int64', 'float16', [2n ** 53n], [inf]],
    ['rounds', 'uint64', 'double', [2n ** 64n - 1n], [2 ** 64]],
    ['is exact', 'int64', 'double', [2n ** 53n], [2 ** 53]],
    ['of what is not zero is true', 'float', 'bool', [0.5, nan, -0, 0], [1, 1, 0, 0]],
    ['of what is not zero is true', 'int64', 'bool', [2n ** 32n, 0n], [1, 0]],
    ['is 0 and 1', 'bool', 'float', [1, 0], [1, 0]],
    ['is 0 and 1', 'bool', 'int64', [1, 0], [1n, 0n]],
  ])('%s: %s to %s', (_, from, to, given, expected, saturate = 1) => {
    const attributes = to.startsWith('float8') ? { saturate } : {}
    const x = list(from, ...given)
    const [cast] = runOperator('Cast', [x], { to: dataTypes[to], ...attributes }, 21)
    const [like] = runOperator(
      'CastLike',
      [x, list(to, to.endsWith('64') && to !== 'double' ? 0n : 0)],
      attributes,
      21,
    )
    expect([...(cast!.data as Iterable<number | bigint>)]).toEqual(expected)
    expect(like).toEqual(cast)
  })

  test('to a power of two: up, down, to the nearest', () => {
    const x = list('float', 1.1, 1.5, 1.75, 4)
    const cast = (round_mode: string) =>
      runOperator('Cast', [x], { to: dataTypes.float8e8m0, round_mode }, 25)[0]!.data
    expect([...cast('up')]).toEqual([2, 2, 2, 4])
    expect([...cast('down')]).toEqual([1, 1, 1, 4])
    expect([...cast('nearest')]).toEqual([1, 2, 2, 4])
    expect(() => cast('odd')).toThrow(/round_mode="odd" is not supported/)
  })

  test('like a tensor that stands for a narrow float', () => {
    const bytes = onnxModel({
      nodes: [
        { op: 'Cast', inputs: ['x'], outputs: ['h'], attributes: { to: 10 } },
        { op: 'Relu', inputs: ['h'], outputs: ['r'] },
        { op: 'CastLike', inputs: ['x', 'r'], outputs: ['y'] },
      ],
      inputs: { x: { shape: [1] } },
    })
    const model = loadOnnx(bytes)
    expect(model.outputs[0]?.dtype).toBe('float16')
    expect([...model.run({ x: { data: [0.1], shape: [1] } }).y!.data]).toEqual([0.0999755859375])
  })
})

describe('inputs and outputs', () => {
  const same = (type: Type) =>
    loadOnnx(onnxModel({ nodes: [{ op: 'Identity', inputs: ['x'] }], inputs: { x: { type, shape: ['N'] } } }))

  test.each<[Type, string, (number | bigint)[], Exclude<OnnxResult, Tensor>['data']]>([
    ['int64', 'int64', [2n ** 63n - 1n, -5], BigInt64Array.of(2n ** 63n - 1n, -5n)],
    ['uint64', 'uint64', [2n ** 64n - 1n, 5], BigUint64Array.of(2n ** 64n - 1n, 5n)],
    ['int32', 'int32', [-(2 ** 31), 7n], Int32Array.of(-(2 ** 31), 7)],
    ['uint32', 'uint32', [2 ** 32 - 1], Uint32Array.of(2 ** 32 - 1)],
    ['int16', 'int16', [-32768], Int16Array.of(-32768)],
    ['uint16', 'uint16', [65535], Uint16Array.of(65535)],
    ['int8', 'int8', [-128], Int8Array.of(-128)],
    ['uint8', 'uint8', [255], Uint8Array.of(255)],
    ['int4', 'int4', [-8, 7], Int8Array.of(-8, 7)],
    ['uint4', 'uint4', [15], Uint8Array.of(15)],
    ['int2', 'int2', [-2, 1], Int8Array.of(-2, 1)],
    ['uint2', 'uint2', [3], Uint8Array.of(3)],
    ['bool', 'bool', [0, 5, 1n], Uint8Array.of(0, 1, 1)],
    ['double', 'float64', [0.1, 1e300], Float64Array.of(0.1, 1e300)],
  ])('%s', (type, dtype, data, expected) => {
    const model = same(type)
    const { y } = model.run<OnnxArray>({ x: { data, shape: [data.length] } })
    expect(y).toBeInstanceOf(OnnxArray)
    expect(y!.data).toEqual(expected)
    expect(y!.dtype).toBe(dtype)
    expect(y!.shape).toEqual([data.length])
    expect([model.inputs[0]?.dtype, model.outputs[0]?.dtype]).toEqual([dtype, dtype])
    expect(model.run<OnnxArray>({ x: { data: [], shape: [0] } }).y).toMatchObject({ shape: [0], dtype })
  })

  test.each<[Type, string]>([
    ['float', 'float32'],
    ['float16', 'float16'],
    ['bfloat16', 'bfloat16'],
  ])('%s is a Tensor', (type, dtype) => {
    const model = same(type)
    expect(model.run({ x: { data: [1, 2], shape: [2] } }).y).toEqual(new Tensor(Float32Array.of(1, 2), [2]))
    expect(model.run({ x: { data: [], shape: [0] } }).y).toBeInstanceOf(Tensor)
    expect(model.outputs[0]?.dtype).toBe(dtype)
  })

  test.each<[Type, number | bigint]>([
    ['int64', 0.5],
    ['int64', 2n ** 63n],
    ['int64', 2 ** 63],
    ['int64', nan],
    ['uint64', -1n],
    ['uint8', 256],
    ['uint8', -1],
    ['int8', 128n],
    ['int32', 2 ** 31],
    ['int4', 8],
    ['int2', 2],
  ])('%s does not take %s', (type, value) => {
    expect(() => same(type).run({ x: { data: [value], shape: [1] } })).toThrow(
      new KerneletError('ERR_ARGUMENT', `run: "x" takes ${type} but holds ${value}`),
    )
  })

  test('a Tensor is taken for any type; forward() gives one', () => {
    const x = new Tensor(Float32Array.of(3, -4), [2])
    expect(same('int64').run<OnnxArray>({ x }).y!.data).toEqual(BigInt64Array.of(3n, -4n))
    expect(same('double').run<OnnxArray>({ x }).y!.data).toEqual(Float64Array.of(3, -4))
    expect(same('int64').forward(x)).toEqual(x)
  })

  test('constants of the model cannot be changed through results', () => {
    const bytes = onnxModel({
      nodes: [{ op: 'Add', inputs: ['x', 'c'], outputs: ['y'] }],
      inputs: { x: { type: 'int64', shape: [1] } },
      initializers: { c: int64s(5) },
      outputs: ['y', 'c'],
    })
    const model = loadOnnx(bytes)
    const x = { data: [1], shape: [1] }
    model.run<OnnxArray>({ x }).c!.data[0] = 7n as never
    expect(model.run<OnnxArray>({ x }).y!.data).toEqual(BigInt64Array.of(6n))
  })

  test('types of all outputs follow from the model', () => {
    const bytes = onnxModel({
      nodes: [
        { op: 'MaxPool', inputs: ['x'], outputs: ['pooled', 'places'], attributes: { kernel_shape: [2] } },
        { op: 'Shape', inputs: ['pooled'], outputs: ['shape'] },
        { op: 'Greater', inputs: ['pooled', 'zero'], outputs: ['positive'] },
        { op: 'Where', inputs: ['positive', 'pooled', 'zero'], outputs: ['chosen'] },
        { op: 'Cast', inputs: ['chosen'], outputs: ['bytes'], attributes: { to: 2 } },
      ],
      inputs: { x: { shape: ['N', 1, 'L'] } },
      initializers: { zero: list('float', 0) },
      outputs: ['pooled', 'places', 'shape', 'positive', 'chosen', 'bytes'],
    })
    const model = loadOnnx(bytes)
    const results = model.run<OnnxResult>({ x: { data: [1, -2, -3], shape: [1, 1, 3] } })
    expect(model.outputs.map(({ dtype }) => dtype)).toEqual([
      'float32',
      'int64',
      'int64',
      'bool',
      'float32',
      'uint8',
    ])
    for (const { name, dtype } of model.outputs) {
      const result = results[name]!
      expect(result instanceof Tensor ? 'float32' : result.dtype).toBe(dtype)
    }
    expect(results.places!.data).toEqual(BigInt64Array.of(0n, 1n))
    expect(results.positive!.data).toEqual(Uint8Array.of(1, 0))
  })

  test('integers of 64 bits as numbers one by one are exact', () => {
    const wide = [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, -1n]
    const varint = (value: bigint): number[] => {
      const bits = BigInt.asUintN(64, value)
      return bits < 128n ? [Number(bits)] : [Number(bits & 127n) | 128, ...varint(bits >> 7n)]
    }
    // messages by hand: the writer of the other models takes numbers
    const field = (tag: number, ...parts: (string | number[])[]) => {
      const bytes = Buffer.concat(parts.map((part) => Buffer.from(part as string)))
      return [(tag << 3) | 2, bytes.length, ...bytes]
    }
    const node = field(1, field(1, 'w'), field(2, 'y'), field(4, 'Identity'))
    const [dims, type] = [
      [0x08, wide.length],
      [0x10, 7],
    ]
    const tensor = field(5, dims, type, field(7, wide.flatMap(varint)), field(8, 'w'))
    const graph = field(7, node, tensor, field(12, field(1, 'y')))
    const bytes = Uint8Array.from([...graph, ...field(8, [0x10, 18])])
    expect(loadOnnx(bytes).run<OnnxArray>({}).y!.data).toEqual(BigInt64Array.from(wide))
  })
})

describe('types that do not go together', () => {
  test.each<[string, Numbers[], RegExp]>([
    ['Add', [int64s(1), list('float', 1)], /takes inputs of one type but gets int64 and float/],
    ['Mul', [list('int32', 1), int64s(1)], /gets int32 and int64/],
    ['Concat', [int64s(1), list('float', 1)], /gets int64 and float/],
    ['Where', [list('bool', 1), int64s(1), list('float', 1)], /gets int64 and float/],
    ['Max', [list('uint8', 1), list('int8', 1)], /gets uint8 and int8/],
    ['Add', [list('bool', 1), list('bool', 1)], /takes numbers but gets bool/],
    ['Sqrt', [int64s(4)], /takes floating-point numbers but gets int64/],
    ['Sigmoid', [int64s(4)], /takes floating-point numbers but gets int64/],
    ['Softmax', [int64s(4)], /takes floating-point numbers but gets int64/],
    ['Reshape', [list('float', 1), list('float', 1)], /the shape must be integers but are float/],
    ['Gather', [list('float', 1), list('float', 0.5)], /the indices must be integers but are float/],
    ['ConstantOfShape', [list('float', 1.5)], /the shape must be integers/],
  ])('%s', (op, given, reason) => {
    const attributes: Record<string, AttributeValue> = op === 'Concat' ? { axis: 0 } : {}
    expect(() => runOperator(op, given, attributes)).toThrow(reason)
  })
})

describe('narrow floats', () => {
  /** x cast, a node, and back: the numbers that the node made. */
  const through = (to: number, op: string, x: number[], attributes: Record<string, AttributeValue> = {}) => {
    const inputs = { x: { shape: [1, x.length], data: x } }
    const nodes = [
      { op: 'Cast', inputs: ['x'], outputs: ['h'], attributes: { to } },
      { op, inputs: op === 'Add' || op === 'Mul' ? ['h', 'h'] : ['h'], outputs: ['r'], attributes },
      { op: 'Cast', inputs: ['r'], outputs: ['y'], attributes: { to: 1 } },
    ]
    return [...loadOnnx(onnxModel({ opset: 20, nodes, inputs })).run({ x: inputs.x }).y!.data]
  }

  test.each([
    ['float16', 10, 11],
    ['bfloat16', 16, 8],
  ])('each node rounds what it makes to %s', (_name, to, bits) => {
    // of numbers from 1 to 2 so many bits are kept, the first of which is not written
    const kept = (value: number, least: number) =>
      Math.abs(value * 2 ** (bits - 1 - Math.log2(least))) % 1 === 0
    const [x] = [1 + 2 ** (1 - bits)]
    expect(through(to, 'Mul', [x])).toEqual([1 + 2 ** (2 - bits)]) // and not the last term of the square
    expect(kept(through(to, 'Sigmoid', [0.3])[0]!, 0.5)).toBe(true)
    expect(kept(through(to, 'Exp', [0.3])[0]!, 1)).toBe(true)
    expect(through(to, 'Softmax', [0.1, 0.2, 0.5]).every((one) => kept(one, 0.25))).toBe(true)
    expect(through(to, 'Add', [x])).toEqual([2 * x])
  })

  test('Softmax of bfloat16 rounds differences, powers and their sum, as ONNX defines it by operators', () => {
    const x = [4.08, -5.11, 0.84, -1.14, -0.91, -0.43]
    const want = [
      0.94140625, 9.059906005859375e-5, 0.03662109375, 0.00494384765625, 0.00634765625, 0.0101318359375,
    ]
    expect(through(16, 'Softmax', x)).toEqual(want)
    expect(through(16, 'Softmax', [...x], { axis: 0 })).toEqual(x.map(() => 1))
  })
})
