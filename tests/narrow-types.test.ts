/** Element types narrower than a byte or float16: what their bits stand for, in ONNX, safetensors and PyTorch's files. */
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type NarrowFloatName, narrowFloats, unpack } from '../lib/formats/narrow-floats.ts'
import { loadOnnx, loadSafetensors, Tensor } from '../lib/index.ts'
import { dataTypes, encode, modelProto, type Numbers, numbersOf, type Type } from './onnx-models.ts'

const { NaN: nan, POSITIVE_INFINITY: inf } = Number

describe('floats by their bits', () => {
  // SHA-256, its beginning, of the float32 numbers that ml_dtypes 0.6 makes of the patterns 0, 1, 2 …
  test.each<[NarrowFloatName, number, string]>([
    ['float4e2m1', 16, 'c736c7e2e761e089'],
    ['float6e2m3', 64, '178eab5d385741cf'],
    ['float6e3m2', 64, '1f21874836838a0a'],
    ['float8e4m3fn', 256, '422eccfaa21e72a6'],
    ['float8e4m3fnuz', 256, 'ac4866f772a7c080'],
    ['float8e5m2', 256, '229a94c5f728edf2'],
    ['float8e5m2fnuz', 256, 'aac12d2730bf26ca'],
    ['float8e8m0', 256, '2fb2732a95604377'],
  ])('%s', (name, count, hash) => {
    const table = narrowFloats(name)
    expect(table).toHaveLength(count)
    const bytes = Buffer.from(Float32Array.from(table, (one) => (Number.isNaN(one) ? nan : one)).buffer)
    expect(createHash('sha256').update(bytes).digest('hex').slice(0, 16)).toBe(hash)
    // a cast to the type leaves each of them as it is
    const kept = [...table].filter(Number.isFinite)
    const x: Numbers = { type: 'float', shape: [kept.length], data: kept }
    expect(numbersOf('Cast', [x], { to: dataTypes[name] }, 25)).toEqual(kept)
  })
})

test('numbers lie one after the other from the lowest bit on', () => {
  expect([...unpack(Uint8Array.of(0x21, 0x43), 4, 3)]).toEqual([1, 2, 3])
  expect([...unpack(Uint8Array.of(0b11100100), 2, 4)]).toEqual([0, 1, 2, 3])
  // 1, 2, 3, 4 in 24 bits, then 63
  expect([...unpack(Uint8Array.of(0x81, 0x30, 0x10, 0x3f), 6, 5)]).toEqual([1, 2, 3, 4, 63])
})

describe('weights of an ONNX model', () => {
  function weights(type: Type, dims: number[], fields: object): (number | bigint)[] {
    const model = modelProto({
      nodes: [{ op: 'Cast', inputs: ['w'], outputs: ['y'], attributes: { to: 1 } }],
      inputs: { x: { shape: [1] } },
      outputs: ['y'],
      opset: 25,
    })
    model.graph!.initializer = [{ name: 'w', dims, data_type: dataTypes[type], ...fields }]
    return [...loadOnnx(encode(model)).run({ x: new Tensor(new Float32Array(1), [1]) }).y!.data]
  }

  test.each<[Type, number[], number[], number[]]>([
    ['uint4', [3], [0x21, 0x0f], [1, 2, 15]],
    ['int4', [3], [0x89, 0x07], [-7, -8, 7]],
    ['uint2', [5], [0b11100100, 0b10], [0, 1, 2, 3, 2]],
    ['int2', [2, 2], [0b11100100], [0, 1, -2, -1]],
    ['float4e2m1', [3], [0xf1, 0x07], [0.5, -6, 6]],
    ['float6e2m3', [5], [0x81, 0x30, 0x10, 0x3f], [0.125, 0.25, 0.375, 0.5, -7.5]],
    ['float6e3m2', [1], [0x1f], [28]],
    ['float8e4m3fn', [3], [0x7e, 0xff, 0x01], [448, nan, 2 ** -9]],
    ['float8e4m3fnuz', [3], [0x7f, 0x80, 0x01], [240, nan, 2 ** -10]],
    ['float8e5m2', [3], [0x7c, 0xfb, 0x01], [inf, -57344, 2 ** -16]],
    ['float8e5m2fnuz', [2], [0x7f, 0x80], [57344, nan]],
    ['float8e8m0', [3], [127, 254, 255], [1, 2 ** 127, nan]],
  ])('%s', (type, dims, bytes, expected) => {
    expect(weights(type, dims, { raw_data: Uint8Array.from(bytes) })).toEqual(expected)
    // the field for small numbers has the same bytes, but those of 6 bits one by one
    const small = type.startsWith('float6') ? unpack(Uint8Array.from(bytes), 6, expected.length) : bytes
    expect(weights(type, dims, { int32_data: [...small] })).toEqual(expected)
    expect(() => weights(type, dims, { raw_data: new Uint8Array(bytes.length + 1) })).toThrow(
      new RegExp(
        `expected ${bytes.length} bytes for ${dims.join('×')} but the model has ${bytes.length + 1}`,
      ),
    )
  })

  test('are what DequantizeLinear makes of them', () => {
    const w: Numbers = { type: 'int4', shape: [2], data: [-8, 7] }
    const scale: Numbers = { type: 'float', shape: [], data: [0.5] }
    expect(numbersOf('DequantizeLinear', [w, scale], {}, 21)).toEqual([-4, 3.5])
  })
})

test('floats of 8 bits in a safetensors file', () => {
  const types: [string, number][] = [
    ['F8_E4M3', 1],
    ['F8_E5M2', 0.5],
    ['F8_E4M3FNUZ', 0.5],
    ['F8_E5M2FNUZ', 0.25],
    ['F8_E8M0', 2 ** -71],
  ]
  const header = Object.fromEntries(
    types.map(([dtype], i) => [dtype, { dtype, shape: [1], data_offsets: [i, i + 1] }]),
  )
  const text = Buffer.from(JSON.stringify(header))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(text.length))
  const tensors = loadSafetensors(Buffer.concat([size, text, Buffer.alloc(types.length, 0x38)]))
  expect(types.map(([name]) => [name, tensors.get(name)?.data[0]])).toEqual(types)
})
