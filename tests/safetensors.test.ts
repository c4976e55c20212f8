import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { loadSafetensors, readSafetensors, saveSafetensors, Tensor } from '../lib/index.ts'
import { bitsOf, lenet5Reference, root } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-'))
afterAll(() => rmSync(folder, { recursive: true }))
const reference = lenet5Reference()

/** A file with this header (an object, or text as it is) and so many bytes of data. */
function file(header: unknown, dataBytes = 0): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, Buffer.alloc(dataBytes, 7)])
}

const f32 = (shape: unknown, begin: unknown, end: unknown) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
})

describe('reading', () => {
  test.skipIf(!reference)('weights as written by the reference implementation', () => {
    const { tensors, metadata } = readSafetensors(reference!)
    expect([...metadata]).toEqual([['format', 'pt']])
    expect(tensors.get('conv1.weight')).toMatchObject({ dtype: 'F32', shape: [6, 1, 5, 5] })
    expect(tensors.size).toBe(10)
  })

  test('numbers are copied, wherever they begin', () => {
    const bytes = file('{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} ', 8)
    const values = new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 8)
    values.setFloat32(0, -0, true)
    values.setUint32(4, 0x7fc00123, true) // a NaN with a payload keeps it
    for (let shift = 0; shift < 4; shift++) {
      const moved = new Uint8Array(bytes.length + shift).subarray(shift)
      moved.set(bytes)
      const { data, shape } = loadSafetensors(moved).get('w')!
      moved.fill(0)
      expect(shape).toEqual([2])
      expect([...new Uint32Array(data.buffer)]).toEqual([0x80000000, 0x7fc00123])
    }
  })

  test('other element types stay bytes, empty tensors stay empty', () => {
    const { tensors } = readSafetensors(
      file(
        {
          half: { dtype: 'BF16', shape: [3], data_offsets: [0, 6] },
          none: { dtype: 'F64', shape: [4, 0], data_offsets: [6, 6] },
          label: { dtype: 'I64', shape: [], data_offsets: [6, 14] },
        },
        14,
      ),
    )
    expect(tensors.get('half')).toEqual({ dtype: 'BF16', shape: [3], bytes: new Uint8Array(6).fill(7) })
    expect(tensors.get('none')?.bytes).toHaveLength(0)
    expect(tensors.get('label')?.shape).toEqual([])
  })

  test('names that mean something to JavaScript are names like any other', () => {
    const header =
      '{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"constructor":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
    const tensors = loadSafetensors(file(header, 8))
    expect([...tensors.keys()]).toEqual(['__proto__', 'constructor'])
    expect(({} as { shape?: unknown }).shape).toBeUndefined()
  })

  test('an empty file of no tensors', () => {
    expect(readSafetensors(file('{}')).tensors.size).toBe(0)
  })
})

describe('numbers of other types become float32, rounded once', () => {
  const load = (dtype: string, bytes: Uint8Array, count: number) =>
    loadSafetensors(
      Buffer.concat([file({ w: { dtype, shape: [count], data_offsets: [0, bytes.length] } }), bytes]),
    ).get('w')!.data

  test('F16: all 65,536', () => {
    const words = Uint16Array.from({ length: 65536 }, (_, i) => i)
    const values = load('F16', new Uint8Array(words.buffer), 65536)
    // The definition: sign, five bits of exponent, ten of fraction.
    const expected = Float32Array.from(words, (word) => {
      const [sign, exponent, fraction] = [word >> 15, (word >> 10) & 31, word & 1023]
      const size =
        exponent === 31
          ? fraction === 0
            ? Number.POSITIVE_INFINITY
            : Number.NaN
          : exponent === 0
            ? (fraction / 1024) * 2 ** -14
            : (1 + fraction / 1024) * 2 ** (exponent - 15)
      return sign === 1 ? -size : size
    })
    expect(bitsOf(values)).toEqual(bitsOf(expected))
  })

  test('BF16: the upper half of a float32, the bits of a NaN too', () => {
    const values = load('BF16', new Uint8Array(Uint16Array.of(0x3f80, 0x8000, 0xff80, 0x7fc1, 1).buffer), 5)
    expect([...new Uint32Array(values.buffer)]).toEqual([
      0x3f800000, 0x80000000, 0xff800000, 0x7fc10000, 0x10000,
    ])
  })

  test('F64', () => {
    const numbers = [0.1, 1e300, -1e-300, 16777217, 16777219, Number.NaN, -0]
    const values = load('F64', new Uint8Array(Float64Array.from(numbers).buffer), numbers.length)
    expect(bitsOf(values)).toEqual(bitsOf(Float32Array.from(numbers)))
  })

  test('integers', () => {
    const integers = [
      0n,
      -1n,
      2n ** 24n + 1n,
      2n ** 62n + 2n ** 38n,
      2n ** 62n + 2n ** 38n + 1n,
      -(2n ** 63n),
    ]
    // Halfway between two float32 numbers the even one is nearest; by way of a double the fifth would be too.
    expect([...load('I64', new Uint8Array(BigInt64Array.from(integers).buffer), 6)]).toEqual([
      ...[0, -1, 2 ** 24, 2 ** 62, 2 ** 62 + 2 ** 39, -(2 ** 63)],
    ])
    expect([...load('U64', new Uint8Array(BigUint64Array.of(2n ** 64n - 1n, 5n).buffer), 2)]).toEqual([
      2 ** 64,
      5,
    ])
    expect([...load('U8', Uint8Array.of(255), 1), ...load('I8', Uint8Array.of(255), 1)]).toEqual([255, -1])
    expect([...load('BOOL', Uint8Array.of(0, 1, 2), 3)]).toEqual([0, 1, 1])
    expect([...load('U32', new Uint8Array(Uint32Array.of(2 ** 32 - 1).buffer), 1)]).toEqual([2 ** 32])
  })
})

describe('sharded files', () => {
  const shards = join(folder, 'shards')
  mkdirSync(join(shards, 'deep'), { recursive: true })
  const one = new Tensor(Float32Array.of(1, 2), [2])
  const two = new Tensor(Float32Array.of(3), [1])
  saveSafetensors(join(shards, 'a.safetensors'), { one, unused: two })
  saveSafetensors(join(shards, 'deep/b.safetensors'), { two })
  saveSafetensors(join(folder, 'outside.safetensors'), { one })
  const index = (map: unknown, metadata?: unknown) => {
    const path = join(shards, 'model.safetensors.index.json')
    writeFileSync(path, JSON.stringify({ metadata, weight_map: map }))
    return path
  }

  test('tensors from where the index says', () => {
    const path = index({ one: 'a.safetensors', two: 'deep/b.safetensors' }, { total_size: 12 })
    const tensors = loadSafetensors(path)
    expect([...tensors].map(([name, { data }]) => [name, ...data])).toEqual([
      ['one', 1, 2],
      ['two', 3],
    ])
    expect([...readSafetensors(path).metadata]).toEqual([['total_size', '12']])
  })

  test.each([
    ['../outside.safetensors'],
    ['deep/../../outside.safetensors'],
    ['..\\outside.safetensors'],
    [join(folder, 'outside.safetensors')],
    ['c:outside.safetensors'],
    ['model.safetensors.index.json'],
    [''],
    [7],
  ])('only files below its folder: not %s', (file) => {
    expect(() => loadSafetensors(index({ one: file }))).toThrow(
      expect.objectContaining({ code: 'ERR_FORMAT', message: expect.stringContaining('below its folder') }),
    )
  })

  test('an index that is none, or names what is not there', () => {
    const path = index({ three: 'a.safetensors' })
    expect(() => loadSafetensors(path)).toThrow(/looks for "three" in a.safetensors, which does not have it/)
    expect(() => loadSafetensors(index({ one: 'c.safetensors' }))).toThrow(
      expect.objectContaining({ code: 'ERR_IO' }),
    )
    expect(() => loadSafetensors(index([]))).toThrow('it has no "weight_map"')
    writeFileSync(path, '{')
    expect(() => loadSafetensors(path)).toThrow(/not a valid safetensors index: it is not JSON/)
  })
})

describe('writing', () => {
  test.skipIf(!reference)('gives the reference implementation’s bytes for the same weights', () => {
    const path = join(folder, 'same.safetensors')
    saveSafetensors(path, loadSafetensors(reference!), { format: 'pt' })
    expect(readFileSync(path).equals(readFileSync(reference!))).toBe(true)
  })

  test('comes back as it went, in whatever order and however named', () => {
    const path = join(folder, 'names.safetensors')
    const tensor = (value: number) => new Tensor(Float32Array.of(value, Number.NaN, -0), [3, 1])
    const state = new Map([
      ['zebra', tensor(1)],
      ['__proto__', tensor(2)],
      ['größe "x"\n', tensor(3)],
      ['', tensor(4)],
    ])
    saveSafetensors(path, state, new Map([['__proto__', 'kept']]))
    const bytes = readFileSync(path)
    expect(Number(bytes.readBigUInt64LE()) % 8).toBe(0)
    const back = loadSafetensors(path)
    expect([...back.keys()].sort()).toEqual([...state.keys()].sort())
    for (const [name, { data, shape }] of state) {
      expect(bitsOf(back.get(name)!.data)).toEqual(bitsOf(data))
      expect(back.get(name)!.shape).toEqual(shape)
    }
    expect([...readSafetensors(path).metadata]).toEqual([['__proto__', 'kept']])
  })

  test('only the part of a buffer that belongs to the tensor', () => {
    const path = join(folder, 'part.safetensors')
    const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3)
    saveSafetensors(path, { part: new Tensor(data, [2]) })
    expect([...loadSafetensors(path).get('part')!.data]).toEqual([2, 3])
  })

  test('a failure leaves the old file and nothing beside it', () => {
    const path = join(folder, 'kept')
    writeFileSync(path, 'old')
    const before = readdirSync(folder)
    const state = { w: new Tensor(new Float32Array(1), [1]) }
    expect(() => saveSafetensors(path, state, { note: 1 as never })).toThrow(
      'metadata "note" must be a string',
    )
    expect(() => saveSafetensors(path, { w: new Float32Array(1) as never })).toThrow('"w": expected a Tensor')
    expect(() => saveSafetensors(path, { __metadata__: state.w })).toThrow('"__metadata__"')
    expect(() => saveSafetensors(folder, state)).toThrow(expect.objectContaining({ code: 'ERR_IO' }))
    expect(() => saveSafetensors(join(folder, 'no/such'), state)).toThrow(
      `no/such could not be written: there is no folder ${join(folder, 'no')}`,
    )
    expect(readFileSync(path, 'utf8')).toBe('old')
    expect(readdirSync(folder)).toEqual(before)
  })
})

describe('damaged and hostile files', () => {
  const huge = Buffer.alloc(8 + 64)
  const length = (value: bigint) => {
    const bytes = Buffer.from(huge)
    bytes.writeBigUInt64LE(value)
    return bytes
  }
  const one = (tensor: unknown, bytes = 4) => file({ w: tensor }, bytes)

  test.each<[string, Uint8Array, string, RegExp]>([
    ['nothing', new Uint8Array(0), 'ERR_FORMAT', /is not a safetensors file but empty$/],
    ['text', Buffer.from('hello'), 'ERR_FORMAT', /is not a safetensors file but one of text$/],
    [
      'a file of PyTorch',
      readFileSync(join(root, 'tests/corpus/torch', readdirSync(join(root, 'tests/corpus/torch'))[0]!)),
      'ERR_FORMAT',
      /is not a safetensors file but one that looks like torch.save: loadTorch reads it$/,
    ],
    [
      'an ONNX model',
      Buffer.from([8, 8, 0x12, 4, ...Buffer.from('test'), 0x3a, 1, 0]),
      'ERR_FORMAT',
      /is not a safetensors file but an ONNX model: loadOnnx reads it$/,
    ],
    ['seven bytes', new Uint8Array(7), 'ERR_FORMAT', /it has 7 bytes/],
    [
      'a header longer than the file',
      length(65n),
      'ERR_FORMAT',
      /header would have 65 bytes, but only 64 follow/,
    ],
    ['a header of 2⁶⁴ − 1 bytes', length(2n ** 64n - 1n), 'ERR_FORMAT', /18446744073709551615 bytes/],
    ['a header of 2⁶³ bytes', length(2n ** 63n), 'ERR_FORMAT', /9223372036854775808 bytes/],
    ['no header', file(''), 'ERR_FORMAT', /not JSON in UTF-8/],
    ['half a header', file('{"w":'), 'ERR_FORMAT', /not JSON in UTF-8/],
    [
      'a header that is no UTF-8',
      file('{"\xff":1}').map((b) => (b === 0xc3 ? 0xff : b)),
      'ERR_FORMAT',
      /not JSON in UTF-8/,
    ],
    ['an array', file('[]'), 'ERR_FORMAT', /not a JSON object but \[\]/],
    ['null', file('null'), 'ERR_FORMAT', /not a JSON object but null/],
    ['brackets without end', file('['.repeat(1e6)), 'ERR_FORMAT', /not JSON in UTF-8/],
    ['a tensor that is a number', one(1), 'ERR_FORMAT', /"w" is not described by an object/],
    ['a tensor that is null', one(null), 'ERR_FORMAT', /"w" is not described by an object/],
    [
      'no element type',
      one({ shape: [1], data_offsets: [0, 4] }),
      'ERR_DTYPE',
      /"w" has the unknown element type undefined/,
    ],
    [
      'an unknown type',
      one({ dtype: 'F31', shape: [1], data_offsets: [0, 4] }),
      'ERR_DTYPE',
      /unknown element type "F31"/,
    ],
    [
      'a type of all objects',
      one({ dtype: 'toString', shape: [1], data_offsets: [0, 4] }),
      'ERR_DTYPE',
      /"toString"/,
    ],
    ['no shape', one({ dtype: 'F32', data_offsets: [0, 4] }), 'ERR_FORMAT', /the shape of "w" is undefined/],
    ['a negative dimension', one(f32([-1], 0, 4)), 'ERR_FORMAT', /the shape of "w" is \[-1\]/],
    ['two negative dimensions', one(f32([-1, -1], 0, 4)), 'ERR_FORMAT', /\[-1, -1\]/],
    ['half a dimension', one(f32([0.5, 2], 0, 4)), 'ERR_FORMAT', /\[0.5, 2\]/],
    ['a dimension in words', one(f32(['1'], 0, 4)), 'ERR_FORMAT', /\["1"\]/],
    ['a dimension of 2⁵³', one(f32([2 ** 53], 0, 4)), 'ERR_FORMAT', /the shape of "w"/],
    ['a product that overflows', one(f32([2 ** 32, 2 ** 32], 0, 4)), 'ERR_FORMAT', /too large/],
    ['one that overflows to nothing', one(f32([2 ** 40, 2 ** 40, 0], 0, 0), 0), 'ERR_FORMAT', /too large/],
    [
      '1e999',
      file('{"w":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}', 4),
      'ERR_FORMAT',
      /\[Infinity\]/,
    ],
    ['no offsets', one({ dtype: 'F32', shape: [1] }), 'ERR_FORMAT', /the offsets of "w" are undefined/],
    ['three offsets', one({ ...f32([1], 0, 4), data_offsets: [0, 4, 4] }), 'ERR_FORMAT', /offsets/],
    ['negative offsets', one(f32([1], -4, 0)), 'ERR_FORMAT', /the offsets of "w" are \[-4, 0\]/],
    ['offsets the wrong way round', one(f32([1], 4, 0)), 'ERR_FORMAT', /bytes 4 to 0 of 4/],
    ['offsets past the end', one(f32([1], 4, 8)), 'ERR_FORMAT', /bytes 4 to 8 of 4/],
    ['more bytes than the shape', one(f32([1], 0, 8), 8), 'ERR_FORMAT', /has 8 bytes, but F32 1 takes 4/],
    ['fewer bytes than the shape', one(f32([2], 0, 4)), 'ERR_FORMAT', /has 4 bytes, but F32 2 takes 8/],
    [
      'two tensors in one place',
      file({ a: f32([1], 0, 4), b: f32([1], 0, 4) }, 4),
      'ERR_FORMAT',
      /"b" begins at byte 0, inside another/,
    ],
    [
      'overlap',
      file({ a: f32([2], 0, 8), b: f32([2], 4, 12) }, 12),
      'ERR_FORMAT',
      /"b" begins at byte 4, inside another/,
    ],
    [
      'a gap',
      file({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12),
      'ERR_FORMAT',
      /"b" begins at byte 8, leaving a gap after 4/,
    ],
    ['bytes before the first', one(f32([1], 4, 8), 8), 'ERR_FORMAT', /leaving a gap after 0/],
    ['bytes after the last', one(f32([1], 0, 4), 8), 'ERR_FORMAT', /4 bytes after the last tensor/],
    [
      'metadata that is a list',
      file({ __metadata__: [] }),
      'ERR_FORMAT',
      /__metadata__ is not an object of strings/,
    ],
    ['metadata with numbers', file({ __metadata__: { a: 1 } }), 'ERR_FORMAT', /__metadata__/],
  ])('%s', (_, bytes, code, sentence) => {
    expect(() => readSafetensors(bytes)).toThrow(
      expect.objectContaining({ name: 'KerneletError', code, message: expect.stringMatching(sentence) }),
    )
  })

  test.each([['no/such/file'], [folder]])('a path that is no file: %s', (path) => {
    expect(() => readSafetensors(path)).toThrow(
      expect.objectContaining({
        code: 'ERR_IO',
        message: expect.stringContaining(`${path} cannot be read`),
      }),
    )
  })

  test('something else altogether', () => {
    expect(() => readSafetensors(7 as never)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
    expect(() => readSafetensors(new DataView(new ArrayBuffer(8)) as never)).toThrow(
      'but received a DataView',
    )
  })

  test('every file that differs from a good one in one byte is read or refused, nothing else', () => {
    const good = file({ a: f32([2, 1], 0, 8), b: { dtype: 'U8', shape: [3], data_offsets: [8, 11] } }, 11)
    for (let at = 0; at < good.length - 11; at++) {
      for (const value of [0, 0x22, 0x2c, 0x2d, 0x31, 0x39, 0x5d, 0x7d, 0xff]) {
        const bytes = Uint8Array.from(good)
        bytes[at] = value
        try {
          readSafetensors(bytes)
        } catch (error) {
          expect(error).toMatchObject({ name: 'KerneletError' })
        }
      }
    }
  })
})
