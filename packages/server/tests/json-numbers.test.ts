/** Numbers of JSON bodies that are read apart, against JSON.parse. */
import { expect, test } from 'vitest'
import type { NumberType } from '../lib/protocol/datatypes.ts'
import { valuesFromJson } from '../lib/protocol/datatypes.ts'
import { liftNumbers } from '../lib/protocol/numbers.ts'
import { readCall, readJsonCall } from '../lib/protocol/read.ts'

const none = new Uint8Array(0)

/** A generator of numbers that are the same in each run (mulberry32). */
function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const bodyOf = (data: string, datatype: string, shape: number[]) =>
  Buffer.from(
    `{"inputs":[{"name":"x","datatype":"${datatype}","shape":${JSON.stringify(shape)},"data":${data}}]}`,
  )

/** What a body gives: bytes or the sentence that refuses it. */
function outcome(read: () => ReturnType<typeof readCall>): unknown {
  try {
    return read()
  } catch (error) {
    return (error as Error).message
  }
}

function same(body: Buffer): void {
  const expected = outcome(() => readCall(JSON.parse(body.toString()), none))
  expect(outcome(() => readJsonCall(body))).toEqual(expected)
}

/** The 23 bits of a float32 and a half: texts in the middle of two numbers, and a digit beside it. */
function nearMiddle(next: () => number): string {
  const below = Math.fround(next() * 10 ** Math.round(10 * next() - 5))
  const bits = new Uint32Array(Float32Array.of(below).buffer)
  bits[0] = (bits[0] ?? 0) + 1
  const above = new Float32Array(bits.buffer)[0] ?? 0
  const middle = ((below + above) / 2).toFixed(40).replace(/0+$/, '')
  return middle + ['', '1', '0000000000000000000001'][Math.floor(3 * next())]
}

const kinds: Record<string, (next: () => number) => string> = {
  'the shortest of float64': (next) => String(next() * 2 - 1),
  'of float32': (next) => String(Math.fround(next())),
  'with few digits': (next) => (next() * 1000 - 500).toFixed(Math.floor(7 * next())),
  'with many digits': (next) => (next() * 10 ** (20 * next())).toFixed(Math.floor(60 * next())),
  'with exponents': (next) => (next() * 10 ** (80 * next() - 40)).toExponential(Math.floor(18 * next())),
  'whole numbers': (next) => String(Math.floor(next() * 10 ** Math.floor(15 * next()))),
  'in the middle of two float32': nearMiddle,
}

for (const [kind, text] of Object.entries(kinds)) {
  test(`numbers ${kind}: the same bits as JSON.parse and a rounding to float32`, () => {
    const next = random(7)
    const texts = Array.from({ length: 5000 }, () => text(next))
    const data = `[${texts.join(',')}]`
    const expected = Float32Array.from(texts.map(Number))
    const [input] = readJsonCall(bodyOf(data, 'FP32', [texts.length])).inputs
    const { bytes } = input ?? { bytes: none }
    expect(Buffer.compare(bytes, new Uint8Array(expected.buffer))).toBe(0)
    expect(liftNumbers(bodyOf(data, 'FP32', [1]))?.lists.size).toBe(1)
    same(bodyOf(data, 'FP64', [texts.length]))
    same(bodyOf(data, 'INT32', [texts.length]))
  })
}

test('all element types, nested and with blanks, as JSON.parse gives them', () => {
  const types: NumberType[] = ['BOOL', 'UINT8', 'INT8', 'UINT16', 'INT64', 'UINT64', 'FP16', 'FP32', 'FP64']
  const lists = [
    '[0,1,1,0]',
    ' [ 0 , 1\n,\t1 ,\r\n0 ] ',
    '[[0,1],[1,0]]',
    '[ [ [0] , [1] ] , [ [1] , [0] ] ]',
    '[-0,0,-1,255]',
    '[256,1,1,9007199254740993]',
    '[0.5,1e2,1E+2,-1.5e-3]',
    '[123456789.123456789123456789,1234567890,12345678901234567890.5,0.1]',
    '[0.1234567890123456789,1,2,3]',
  ]
  for (const type of types) for (const list of lists) same(bodyOf(list, type, [4]))
  expect(valuesFromJson(Float64Array.of(1, 2), 'UINT8', 2, 'x')).toEqual(Uint8Array.of(1, 2))
})

test('wrong bodies are refused with the sentences that they have without', () => {
  const lists = [
    '[]',
    '[1,]',
    '[,1]',
    '[1 2]',
    '[01]',
    '[1.]',
    '[.5]',
    '[1.2.3]',
    '[1e]',
    '[+1]',
    '[-]',
    '[1',
    '[1]]',
  ]
  lists.push(
    '[1,"2"]',
    '[[1,2],3]',
    '[1,[2]]',
    '[null]',
    '[true]',
    '[NaN]',
    '[[1],[]]',
    '1',
    '"1"',
    '{"0":1}',
  )
  lists.push('[1,2,3]', '[0.12345678901234567.5]', '[12345678901.5.5]', `${'['.repeat(20)}1${']'.repeat(20)}`)
  for (const list of lists) {
    for (const type of ['FP32', 'UINT8', 'BYTES']) {
      const body = bodyOf(list, type, [2])
      let sentence = ''
      try {
        JSON.parse(body.toString())
      } catch (error) {
        sentence = `The body is not JSON: ${(error as Error).message}`
      }
      if (sentence) expect(() => readJsonCall(body)).toThrow(sentence)
      else same(body)
    }
  }
})

test('only a key is taken for one, wherever it stands', () => {
  const input = '{"name":"x","datatype":"FP32","shape":[2],"data":[1,2]}'
  const bodies = [
    `{"id":"\\"data\\":[1,2]","inputs":[${input}]}`,
    `{"id":"data","inputs":[${input},${input.replace('"x"', '"ÿ"')}],"outputs":[{"name":"data"}]}`,
    `{"data":[1,2],"inputs":[${input}],"parameters":{"data":[3]}}`,
    '{"inputs":[{"name":"x","data":[5],"datatype":"FP32","shape":[1],"data":[7]}]}',
    '{"inputs":[{"name":"x","datatype":"BYTES","shape":[2],"data":[1,2]}]}',
    `{"inputs":{"data":[1,2]}}`,
    `{"inputs":[${Array(70).fill(input).join(',')}]}`,
    '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":"0"}]}',
  ]
  for (const body of bodies) same(Buffer.from(body))
  expect(liftNumbers(Buffer.from('{"a,"data":[1]}'))).toBeUndefined()
})

test('two lists, the second one of which needs more memory', () => {
  const long = Array.from({ length: 20_000 }, (_, i) => i / 7)
  const inputs = [
    { name: 'a', datatype: 'FP32', shape: [3], data: [1, 2, 3] },
    { name: 'b', datatype: 'FP32', shape: [20_000], data: long },
  ]
  const call = readJsonCall(Buffer.from(JSON.stringify({ inputs })))
  const [a, b] = call.inputs.map(({ bytes }) => new Float32Array(bytes.slice().buffer))
  expect(a).toEqual(Float32Array.of(1, 2, 3))
  expect(b).toEqual(Float32Array.from(long))
})
