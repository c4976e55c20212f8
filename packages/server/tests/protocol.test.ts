import { describe, expect, test } from 'vitest'
import {
  floatsFromHalves,
  halvesFromFloats,
  stringsFromBytes,
  stringsToBytes,
} from '../lib/protocol/datatypes.ts'
import { readBinaryCall, readCall } from '../lib/protocol/read.ts'

const none = new Uint8Array(0)
const tensor = { name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }

test('every float16 comes back from float32, and those between go to the nearest', () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, i) => i)
  const back = halvesFromFloats(floatsFromHalves(halves))
  for (let i = 0; i < 65536; i++) {
    const isNaN16 = (i & 0x7c00) === 0x7c00 && (i & 0x3ff) !== 0
    if (!isNaN16) expect(back[i]).toBe(i)
  }
  const floats = Float32Array.of(
    1 + 2 ** -11,
    1 + 3 * 2 ** -11,
    65519,
    65520,
    2 ** -25,
    1.5 * 2 ** -25,
    -(2 ** -24),
    0.1,
  )
  expect(Array.from(halvesFromFloats(floats))).toEqual([0x3c00, 0x3c02, 0x7bff, 0x7c00, 0, 1, 0x8001, 0x2e66])
  expect(floatsFromHalves(halvesFromFloats(Float32Array.of(Number.NaN)))[0]).toBeNaN()
})

test('strings as binary data', () => {
  const strings = [Buffer.from('a'), Buffer.alloc(0), Buffer.from('…')]
  expect(stringsFromBytes(stringsToBytes(strings), 3, 'x').map((one) => Buffer.from(one).toString())).toEqual(
    ['a', '', '…'],
  )
})

test('integers keep all their digits, or are refused', () => {
  const call = readCall(
    { inputs: [{ name: 'x', datatype: 'INT64', shape: [2], data: [-5, 2 ** 53 - 1] }] },
    none,
  )
  expect(new BigInt64Array(call.inputs[0]!.bytes.slice().buffer)).toEqual(
    BigInt64Array.of(-5n, 2n ** 53n - 1n),
  )
})

test('data is flat or nested', () => {
  for (const data of [
    [1, 2, 3, 4],
    [
      [1, 2],
      [3, 4],
    ],
    [
      [[1], [2]],
      [[3], [4]],
    ],
  ]) {
    const { inputs } = readCall({ inputs: [{ name: 'x', datatype: 'FP32', shape: [2, 2], data }] }, none)
    expect(new Float32Array(inputs[0]!.bytes.slice().buffer)).toEqual(Float32Array.of(1, 2, 3, 4))
  }
})

test('binary inputs follow each other', () => {
  const head = {
    inputs: [
      { name: 'a', datatype: 'UINT8', shape: [3], parameters: { binary_data_size: 3 } },
      { name: 'b', datatype: 'FP16', shape: [1], parameters: { binary_data_size: 2 } },
    ],
    parameters: { binary_data_output: true, timeout: 1500 },
  }
  const text = Buffer.from(JSON.stringify(head))
  const call = readBinaryCall(Buffer.concat([text, Buffer.of(1, 2, 3, 0, 0x3c)]), String(text.length))
  expect(call.inputs.map(({ bytes }) => [...bytes])).toEqual([
    [1, 2, 3],
    [0, 0x3c],
  ])
  expect(call).toMatchObject({ binary: true, timeout: 1.5, outputs: undefined, id: undefined })
})

test('a shape that says more than there is takes no memory', () => {
  const before = process.memoryUsage().arrayBuffers
  const input = { ...tensor, shape: [2 ** 31] }
  expect(() => readCall({ inputs: [input] }, none)).toThrow(/2147483648 values but its data has 2/)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20)
})

test('JSON that was read before is read with the numbers of now', () => {
  const input = { name: 'a', datatype: 'UINT8', shape: [3], parameters: { binary_data_size: 3 } }
  const text = Buffer.from(JSON.stringify({ inputs: [input] }))
  const read = (...bytes: number[]) =>
    readBinaryCall(Buffer.concat([text, Buffer.from(bytes)]), String(text.length))
  for (const bytes of [
    [1, 2, 3],
    [4, 5, 6],
    [7, 8, 9],
  ])
    expect([...read(...bytes).inputs[0]!.bytes]).toEqual(bytes)
  expect(() => read(1, 2)).toThrow(/3 but 2 bytes are left/)
  expect(() => read(1, 2, 3, 4)).toThrow(/add up to 3 bytes but 4 follow/)
})

describe('refused, in a sentence', () => {
  const cases: [string, unknown, RegExp][] = [
    ['no object', [], /The body must be an object/],
    ['no inputs', {}, /inputs must be a list of 1 to 64/],
    ['no input', { inputs: [] }, /inputs must be/],
    ['a number for an input', { inputs: [3] }, /inputs\[0\] must be an object/],
    ['no name', { inputs: [{ ...tensor, name: undefined }] }, /inputs\[0\].name must be a string/],
    [
      'another type',
      { inputs: [{ ...tensor, datatype: 'FP33' }] },
      /datatype must be a type of the protocol.*FP33/,
    ],
    ['a type of Object.prototype', { inputs: [{ ...tensor, datatype: 'constructor' }] }, /datatype must be/],
    ['no shape', { inputs: [{ ...tensor, shape: undefined }] }, /shape must be a list/],
    ['a negative size', { inputs: [{ ...tensor, shape: [-1, 2] }] }, /shape must be a list/],
    ['a huge shape', { inputs: [{ ...tensor, shape: [1e9, 1e9] }] }, /would take 1000000000000000000 values/],
    ['too few values', { inputs: [{ ...tensor, data: [1] }] }, /takes 2 values but its data has 1/],
    ['too many values', { inputs: [{ ...tensor, data: [1, 2, 3] }] }, /takes 2 values but its data has 3/],
    [
      'a string among values',
      { inputs: [{ ...tensor, data: [1, 'x'] }] },
      /list of numbers, flat or nested.*"x"/,
    ],
    ['null among values', { inputs: [{ ...tensor, data: [1, null] }] }, /holds null/],
    [
      'a fraction for an integer',
      { inputs: [{ ...tensor, datatype: 'INT8', data: [1, 0.5] }] },
      /is INT8 but its data holds 0.5/,
    ],
    ['a value beyond its type', { inputs: [{ ...tensor, datatype: 'UINT8', data: [1, 256] }] }, /holds 256/],
    [
      'an integer JSON cannot tell',
      { inputs: [{ ...tensor, datatype: 'INT64', data: [1, 2 ** 60] }] },
      /cannot tell exactly/,
    ],
    ['FP16 in JSON', { inputs: [{ ...tensor, datatype: 'FP16' }] }, /FP16, which has no form in JSON/],
    [
      'both forms of data',
      { inputs: [{ ...tensor, parameters: { binary_data_size: 8 } }] },
      /both data and binary_data_size/,
    ],
    ['no data', { inputs: [{ ...tensor, data: undefined }] }, /neither data nor binary_data_size/],
    [
      'binary data that is not there',
      { inputs: [{ ...tensor, data: undefined, parameters: { binary_data_size: 8 } }] },
      /8 but 0 bytes are left/,
    ],
    ['outputs that are none', { inputs: [tensor], outputs: {} }, /outputs must be a list/],
    [
      'an output twice',
      { inputs: [tensor], outputs: [{ name: 'y' }, { name: 'y' }] },
      /y is asked for twice/,
    ],
    [
      'a classification of 0',
      { inputs: [tensor], outputs: [{ name: 'y', parameters: { classification: 0 } }] },
      /classification of output y/,
    ],
    [
      'a timeout that is none',
      { inputs: [tensor], parameters: { timeout: 'soon' } },
      /timeout must be a whole number of microseconds/,
    ],
    ['an id that is none', { inputs: [tensor], id: 7 }, /id must be a string/],
    ['deep nesting', { inputs: [{ ...tensor, shape: [1], data: nested(40) }] }, /flat or nested/],
  ]
  test.each(cases)('%s', (_, body, message) => {
    expect(() => readCall(body, none)).toThrow(message)
  })

  test.each(['-1', 'x', '99', '1e1', '', ' 1'])('a length of %j', (length) => {
    expect(() => readBinaryCall(Buffer.from('{}'), length)).toThrow(/Inference-Header-Content-Length must be/)
  })

  test('bytes that belong to nothing', () => {
    expect(() => readCall({ inputs: [tensor] }, Buffer.alloc(4))).toThrow(/add up to 0 bytes but 4 follow/)
  })

  test('strings that end early', () => {
    for (const bytes of [Buffer.of(1, 0, 0), Buffer.of(9, 0, 0, 0, 65), Buffer.of(255, 255, 255, 255)]) {
      expect(() => stringsFromBytes(bytes, 1, 'x')).toThrow(/ends within its string 0/)
    }
  })
})

function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)]
}
