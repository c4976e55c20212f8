/** .pt files: those PyTorch wrote, and those somebody made to do harm. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { loadSafetensors, loadTorch, readTorch } from '../lib/index.ts'
import { bitsOf, fixtures } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-'))
afterAll(() => rmSync(folder, { recursive: true }))
const saved = (name: string) => `${fixtures}/torch/${name}`

describe('files of PyTorch', () => {
  /** `x.float()` of every tensor in tensors.pt, by PyTorch. */
  const expected = JSON.parse(readFileSync(saved('tensors.json'), 'utf8')) as Record<
    string,
    { shape: number[]; bits: number[] }
  >

  test('tensors of every type, transposed, sliced, expanded, shared: the bits of x.float()', () => {
    const tensors = loadTorch(saved('tensors.pt'))
    expect([...tensors.keys()]).toEqual(Object.keys(expected))
    for (const [name, { shape, bits }] of Object.entries(expected)) {
      const tensor = tensors.get(name)!
      expect(tensor.shape, name).toEqual(shape)
      expect([...bitsOf(tensor.data)], name).toEqual([
        ...bitsOf(new Float32Array(Uint32Array.from(bits).buffer)),
      ])
    }
  })

  test('element types and bytes as they lie in the file', () => {
    const { tensors } = readTorch(readFileSync(saved('tensors.pt')))
    const types = Object.fromEntries([...tensors].map(([name, { dtype }]) => [name, dtype]))
    expect(types).toMatchObject({
      ...{ plain: 'F32', double: 'F64', half: 'F16', brain: 'BF16', long: 'I64', int: 'I32', short: 'I16' },
      ...{ char: 'I8', byte: 'U8', bool: 'BOOL', half_transposed: 'F16' },
    })
    expect(tensors.get('char')?.bytes).toEqual(Uint8Array.of(128, 127))
    expect(tensors.get('half_transposed')).toMatchObject({ shape: [3, 2] })
  })

  test('tensors that share a storage are copied apart', () => {
    const tensors = loadTorch(saved('tensors.pt'))
    tensors.get('plain')!.data.fill(0)
    expect(tensors.get('same')!.data[0]).not.toBe(0)
  })

  test.each(['bn_depthwise', 'residual'])('%s, saved by PyTorch 2.13, beside its golden', (name) => {
    const tensors = loadTorch(saved(`${name}.state_dict.pt`))
    const golden = loadSafetensors(saved(`${name}.safetensors`))
    expect([...tensors.keys()].sort()).toEqual([...golden.keys()].sort())
    for (const [key, { data, shape }] of golden) {
      expect(tensors.get(key)!.shape).toEqual(shape)
      expect(bitsOf(tensors.get(key)!.data)).toEqual(bitsOf(data))
    }
  })

  test('pickle protocol 4', () => {
    const [a, b] = [loadTorch(saved('state_dict.pt')), loadTorch(saved('checkpoint.pt'), { key: 'model' })]
    expect([...a.keys()]).toEqual([...b.keys()])
    expect(a.get('0.weight')!.shape).toEqual([2, 1, 3, 3])
  })

  test('a checkpoint: the part that is asked for, and what lies beside', () => {
    const { tensors, metadata } = readTorch(saved('checkpoint.pt'), { key: 'model' })
    expect(tensors.get('1.num_batches_tracked')).toMatchObject({ dtype: 'I64', shape: [] })
    expect(Object.fromEntries(metadata)).toEqual({ epoch: '3', best: '0.5', note: 'x', done: 'true' })
    const refused = (key?: string) => () => loadTorch(saved('checkpoint.pt'), { key })
    expect(refused()).toThrow(
      /checkpoint of several things.*by its key.*such as "model"; it holds "epoch" \(3\), "model" \(a dictionary\)/,
    )
    expect(refused('optimizer')).toThrow('"optimizer" is not a dictionary of tensors')
    expect(refused('modell')).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
    expect(() => loadTorch(saved('checkpoint.pt'), { name: 'model' } as never)).toThrow(
      'unknown option "name"',
    )
  })

  test.each([
    [
      'module.pt',
      'ERR_UNSUPPORTED',
      /holds a torch\.nn\.modules\.container\.Sequential.*model\.state_dict\(\)/,
    ],
    ['script.pt', 'ERR_UNSUPPORTED', /is a TorchScript archive/],
    ['legacy.pt', 'ERR_UNSUPPORTED', /before PyTorch 1\.6.*torch\.save\(torch\.load/],
    ['list.pt', 'ERR_UNSUPPORTED', /holds a list instead of a dictionary of tensors/],
    ['complex.pt', 'ERR_DTYPE', /torch\.ComplexFloatStorage/],
    ['empty.pt', 'ERR_SHAPE', /\[0, 3\]/],
  ])('%s', (name, code, sentence) => {
    expect(() => loadTorch(saved(name))).toThrow(
      expect.objectContaining({ name: 'KerneletError', code, message: expect.stringMatching(sentence) }),
    )
  })

  test('nothing is executed', () => {
    // torch.save of an object whose __reduce__ is (os.system, ('echo executed > /tmp/executed',))
    expect(() => loadTorch(saved('evil.pt'))).toThrow(
      /holds a posix\.system, .*nothing in a file is executed/,
    )
    expect(existsSync('/tmp/executed')).toBe(false)
  })
})

/** A ZIP archive of stored entries; `zip64`: sizes and places in 64-bit records. */
function zip(entries: Record<string, Uint8Array>, { zip64 = false } = {}): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const [path, bytes] of Object.entries(entries)) {
    const name = Buffer.from(path)
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50)
    local.writeUInt16LE(name.length, 26)
    const extra = Buffer.alloc(zip64 ? 28 : 0)
    const central = Buffer.alloc(46)
    central.writeUInt32LE(0x02014b50)
    central.writeUInt32LE(crc32(bytes), 16)
    central.writeUInt32LE(zip64 ? 0xffffffff : bytes.length, 20)
    central.writeUInt32LE(zip64 ? 0xffffffff : bytes.length, 24)
    central.writeUInt16LE(name.length, 28)
    central.writeUInt16LE(extra.length, 30)
    central.writeUInt32LE(zip64 ? 0xffffffff : offset, 42)
    if (zip64) {
      extra.writeUInt16LE(1)
      extra.writeUInt16LE(24, 2)
      for (const [i, value] of [bytes.length, bytes.length, offset].entries()) {
        extra.writeBigUInt64LE(BigInt(value), 4 + 8 * i)
      }
    }
    parts.push(local, name, Buffer.from(bytes))
    directory.push(central, name, extra)
    offset += 30 + name.length + bytes.length
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0)
  const count = Object.keys(entries).length
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50)
  end.writeUInt16LE(zip64 ? 0xffff : count, 10)
  end.writeUInt32LE(zip64 ? 0xffffffff : size, 12)
  end.writeUInt32LE(zip64 ? 0xffffffff : offset, 16)
  const end64 = Buffer.alloc(zip64 ? 76 : 0)
  if (zip64) {
    end64.writeUInt32LE(0x06064b50)
    for (const [i, value] of [count, size, offset].entries())
      end64.writeBigUInt64LE(BigInt(value), 32 + 8 * i)
    end64.writeUInt32LE(0x07064b50, 56)
    end64.writeBigUInt64LE(BigInt(offset + size), 64)
  }
  return Buffer.concat([...parts, ...directory, end64, end])
}

/** Values as a pickle describes them: `{ code }` is bytes of pickle as they are. */
type Code = { code: Buffer }
type Value = number | string | boolean | Value[] | Code

const raw = (...parts: (string | Buffer)[]): Code => ({
  code: Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part))),
})
const name = (path: string) => raw(`c${path.replace(/\.(\w+)$/, '\n$1')}\n`)
const call = (path: string, ...args: Value[]) => raw(name(path).code, value(args), 'R')

/** Arrays are tuples. */
function value(one: Value): Buffer {
  if (typeof one === 'boolean') return Buffer.from([one ? 0x88 : 0x89])
  if (typeof one === 'number') {
    const long = Buffer.from([0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 0])
    long.writeBigInt64LE(BigInt(one), 2)
    return long
  }
  if (typeof one === 'string') {
    const text = Buffer.from(one)
    const length = Buffer.alloc(4)
    length.writeUInt32LE(text.length)
    return Buffer.concat([Buffer.from('X'), length, text])
  }
  return 'code' in one
    ? one.code
    : Buffer.concat([Buffer.from('('), ...one.map((each) => value(each)), Buffer.from('t')])
}

const storage = (count: Value, key: Value = '0', type: Value = name('torch.FloatStorage')) =>
  raw(value(['storage', type, key, 'cpu', count]), 'Q')
const hooks = call('collections.OrderedDict')
const tensor = (shape: Value, strides: Value, offset: Value = 0, from: Value = storage(4)) =>
  call('torch._utils._rebuild_tensor_v2', from, offset, shape, strides, false, hooks)
const dictionary = (entries: Record<string, Value>) =>
  raw('}(', ...Object.entries(entries).map(([key, one]) => Buffer.concat([value(key), value(one)])), 'u')
const program = (...parts: (string | Code)[]) =>
  raw('\x80\x02', ...parts.map((part) => (typeof part === 'string' ? part : part.code)), '.').code

const four = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)
const archive = (pickle: Buffer, more: Record<string, Uint8Array> = {}, options = {}) =>
  zip({ 'w/data.pkl': pickle, 'w/data/0': four, ...more }, options)
const file = (w: Value) => archive(program(dictionary({ w })))
const good = tensor([2, 2], [2, 1])
const numbers = (bytes: Uint8Array) => [...loadTorch(bytes).get('w')!.data]

describe('files made by hand', () => {
  test('a good one', () => {
    expect(numbers(file(good))).toEqual([1, 2, 3, 4])
    expect(numbers(file(tensor([2, 2], [1, 2])))).toEqual([1, 3, 2, 4])
    expect(numbers(file(tensor([3], [0], 3)))).toEqual([4, 4, 4])
    expect(numbers(file(call('torch._utils._rebuild_parameter', good, true, hooks)))).toEqual([1, 2, 3, 4])
  })

  test('64-bit sizes', () => {
    expect(numbers(archive(program(dictionary({ w: good })), {}, { zip64: true }))).toEqual([1, 2, 3, 4])
  })

  test('big-endian numbers, those of a transposed view too', () => {
    const bytes = Uint8Array.from(four).reverse()
    const order = { 'w/data/0': bytes, 'w/byteorder': Buffer.from('big') }
    expect(numbers(archive(program(dictionary({ w: good })), order))).toEqual([4, 3, 2, 1])
    const transposed = tensor([2, 2], [1, 2])
    expect(numbers(archive(program(dictionary({ w: transposed })), order))).toEqual([4, 2, 3, 1])
    const little = { 'w/byteorder': Buffer.from('little') }
    expect(numbers(archive(program(dictionary({ w: good })), little))).toEqual([1, 2, 3, 4])
  })

  test('types without a class of storage', () => {
    const w = call(
      'torch._utils._rebuild_tensor_v3',
      ...[storage(16, '0', name('torch.storage.UntypedStorage')), 1, [2], [3], false, hooks],
      name('torch.uint16'),
    )
    // 1, 2, 3, 4 as float32 are the 16-bit words 0, 3f80, 0, 4000, 0, 4040, 0, 4080
    expect(numbers(file(w))).toEqual([0x3f80, 0])
    const eight = call(
      'torch._utils._rebuild_tensor_v3',
      ...[storage(16, '0', name('torch.storage.UntypedStorage')), 0, [2], [1], false, hooks],
      name('torch.float8_e4m3fn'),
    )
    expect(readTorch(file(eight)).tensors.get('w')).toMatchObject({ dtype: 'F8_E4M3', shape: [2] })
    // the first bytes of 1 as float32, little-endian
    expect(numbers(file(eight))).toEqual([0, 0])
  })

  test('names that mean something to JavaScript', () => {
    expect([
      ...loadTorch(archive(program(dictionary({ constructor: good, toString: good })))).keys(),
    ]).toEqual(['constructor', 'toString'])
  })

  test('by path, and what is no file', () => {
    const path = join(folder, 'w.pt')
    writeFileSync(path, file(good))
    expect(numbers(file(good))).toEqual([...loadTorch(path).get('w')!.data])
    expect(() => loadTorch(join(folder, 'none.pt'))).toThrow(expect.objectContaining({ code: 'ERR_IO' }))
    expect(() => loadTorch(7 as never)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })
})

describe('damaged and hostile files', () => {
  const state = (...parts: (string | Code)[]) => archive(program(...parts))
  const spoilt = (change: (bytes: Buffer) => void) => {
    const bytes = file(good)
    change(bytes)
    return bytes
  }
  const end = (bytes: Buffer) => bytes.length - 22
  const directory = (bytes: Buffer) => bytes.readUInt32LE(end(bytes) + 16)
  const last = 2 ** 52

  test.each<[string, Uint8Array, string, RegExp]>([
    ['nothing', new Uint8Array(0), 'ERR_FORMAT', /no ZIP archive/],
    ['a safetensors file', Buffer.from('\x10\0\0\0\0\0\0\0{}'), 'ERR_FORMAT', /no ZIP archive/],
    ['two letters', Buffer.from('PK'), 'ERR_FORMAT', /its end is missing/],
    ['an archive of other things', zip({ 'a/b': four }), 'ERR_FORMAT', /no data\.pkl/],
    ['two pickles', archive(program('}'), { 'v/data.pkl': program('}') }), 'ERR_FORMAT', /or several/],
    ['a bare pickle', program('}'), 'ERR_UNSUPPORTED', /bare pickle/],
    ['the last byte gone', file(good).subarray(0, -1), 'ERR_FORMAT', /its end is missing/],
    [
      'a changed number',
      spoilt((b) => b.writeFloatLE(9, b.indexOf(four))),
      'ERR_FORMAT',
      /checksum of "w\/data\/0"/,
    ],
    [
      'a directory past the end',
      spoilt((b) => b.writeUInt32LE(b.length, end(b) + 16)),
      'ERR_FORMAT',
      /directory/,
    ],
    ['65,535 entries', spoilt((b) => b.writeUInt16LE(0xffff, end(b) + 10)), 'ERR_FORMAT', /65535 entries/],
    ['one entry more', spoilt((b) => b.writeUInt16LE(3, end(b) + 10)), 'ERR_FORMAT', /entries/],
    ['a long name', spoilt((b) => b.writeUInt16LE(60000, directory(b) + 28)), 'ERR_FORMAT', /cut off/],
    [
      'an entry past the end',
      spoilt((b) => b.writeUInt32LE(1e9, directory(b) + 42)),
      'ERR_FORMAT',
      /not where/,
    ],
    [
      'an entry of 4 GB',
      spoilt((b) => {
        b.writeUInt32LE(4e9, directory(b) + 20)
        b.writeUInt32LE(4e9, directory(b) + 24)
      }),
      'ERR_FORMAT',
      /4000000000 bytes, is not where/,
    ],
    ['two sizes', spoilt((b) => b.writeUInt32LE(1, directory(b) + 20)), 'ERR_FORMAT', /has two sizes/],
    [
      '64-bit sizes that are not there',
      spoilt((b) => b.writeUInt32LE(0xffffffff, directory(b) + 24)),
      'ERR_FORMAT',
      /64-bit size is missing/,
    ],
    [
      'a compressed entry',
      spoilt((b) => b.writeUInt16LE(8, directory(b) + 10)),
      'ERR_UNSUPPORTED',
      /is compressed/,
    ],
    [
      'an encrypted entry',
      spoilt((b) => b.writeUInt16LE(1, directory(b) + 8)),
      'ERR_UNSUPPORTED',
      /is encrypted/,
    ],
    [
      'a storage that is not there',
      file(tensor([1], [1], 0, storage(1, '7'))),
      'ERR_FORMAT',
      /has no "data\/7"/,
    ],
    ['a storage elsewhere', file(tensor([1], [1], 0, storage(1, '../data.pkl'))), 'ERR_FORMAT', /has no/],
    [
      'more elements than bytes',
      file(tensor([1], [1], 0, storage(5))),
      'ERR_FORMAT',
      /should have 5 elements/,
    ],
    ['2⁵³ elements', file(tensor([1], [1], 0, storage(2 ** 53))), 'ERR_FORMAT', /not described as one/],
    [
      'a negative number of elements',
      file(tensor([1], [1], 0, storage(-1))),
      'ERR_FORMAT',
      /not described as one/,
    ],
    [
      'a storage of a dictionary',
      file(tensor([1], [1], 0, storage(1, '0', raw('}')))),
      'ERR_FORMAT',
      /no element type/,
    ],
    ['a tensor without a storage', file(tensor([1], [1], 0, 'x')), 'ERR_FORMAT', /no storage/],
    ['one past the end', file(tensor([2], [4])), 'ERR_FORMAT', /reaches element 4 of 4/],
    ['an offset past the end', file(tensor([1], [1], 4)), 'ERR_FORMAT', /reaches element 4 of 4/],
    ['a huge offset', file(tensor([1], [1], last)), 'ERR_FORMAT', /reaches element/],
    ['a negative offset', file(tensor([1], [1], -1)), 'ERR_FORMAT', /offset -1/],
    ['huge strides', file(tensor([2, 2], [last, last])), 'ERR_FORMAT', /reaches element/],
    ['negative strides', file(tensor([2], [-1], 3)), 'ERR_FORMAT', /strides \[-1\]/],
    ['a huge shape', file(tensor([last, last], [1, 1])), 'ERR_FORMAT', /reaches element/],
    ['a huge shape on one element', file(tensor([last], [0])), 'ERR_FORMAT', /far larger than the file/],
    [
      'one that overflows',
      file(tensor([last, last, last], [0, 0, 0])),
      'ERR_FORMAT',
      /far larger than the file/,
    ],
    ['65 dimensions', file(tensor(Array(65).fill(1), Array(65).fill(1))), 'ERR_FORMAT', /sizes or strides/],
    ['sizes and strides that differ in number', file(tensor([2], [1, 1])), 'ERR_FORMAT', /strides \[1, 1\]/],
    ['a shape in words', file(tensor(['2'], [1])), 'ERR_FORMAT', /sizes or strides \["2"\]/],
    ['half a shape', file(tensor([raw('G\x3f\xe0\0\0\0\0\0\0')], [1])), 'ERR_FORMAT', /\[0\.5\]/],
    [
      'a negated view',
      file(
        call(
          'torch._utils._rebuild_tensor_v2',
          storage(4),
          0,
          [1],
          [1],
          false,
          hooks,
          dictionary({ neg: true }),
        ),
      ),
      'ERR_UNSUPPORTED',
      /negated/,
    ],
    ['a single tensor', state(good), 'ERR_UNSUPPORTED', /holds a tensor 2×2 instead/],
    ['numbers for names', state('}K\x01', good, 's'), 'ERR_ARGUMENT', /it holds 1 \(a tensor 2×2\)/],
    ['an unknown opcode', state('\xff'), 'ERR_FORMAT', /opcode 0xff at byte 2/],
    ['an object made by its class', state('}', '\x81'), 'ERR_FORMAT', /opcode 0x81/],
    ['no end', archive(raw('\x80\x02}').code), 'ERR_FORMAT', /cut off/],
    ['values left behind', state('}}'), 'ERR_FORMAT', /leaves values behind/],
    ['no value', state(''), 'ERR_FORMAT', /a value is missing/],
    ['a value from below a mark', state('}(a'), 'ERR_FORMAT', /a value is missing/],
    ['no mark', state('}u'), 'ERR_FORMAT', /a mark is missing/],
    ['a key without a value', state('}(N', 'u'), 'ERR_FORMAT', /key without a value/],
    ['a memo never kept', state('h\x05'), 'ERR_FORMAT', /recalls value 5/],
    ['text of 4 GB', state('X\xff\xff\xff\xff'), 'ERR_FORMAT', /cut off/],
    ['text of 2⁶⁴ bytes', state('\x8d\xff\xff\xff\xff\xff\xff\xff\xff'), 'ERR_FORMAT', /cut off/],
    ['an integer of 2³¹ bytes', state('\x8b\xff\xff\xff\x7f'), 'ERR_FORMAT', /integer of 2147483647 bytes/],
    ['a name without end', state('cos'), 'ERR_FORMAT', /a name does not end/],
    ['a call of a number', state('K\x01)R'), 'ERR_FORMAT', /cannot be called/],
    ['a call of a type', state(name('torch.FloatStorage'), ')R'), 'ERR_FORMAT', /cannot be called/],
    [
      'a call without arguments',
      state(name('torch._utils._rebuild_tensor_v2'), ')R'),
      'ERR_FORMAT',
      /no storage/,
    ],
    [
      'a dictionary of something',
      state(call('collections.OrderedDict', [])),
      'ERR_FORMAT',
      /made of something/,
    ],
    ['attributes of a list', state(']}b'), 'ERR_FORMAT', /takes nothing/],
    ['eval', state(call('builtins.eval', '1')), 'ERR_UNSUPPORTED', /builtins\.eval/],
    ['a name of all objects', state(name('constructor.constructor')), 'ERR_UNSUPPORTED', /constructor/],
    ['a name put together', state('\x8c\x02os\x8c\x06system\x93'), 'ERR_UNSUPPORTED', /os\.system/],
    ['a list that holds itself', state(']q\x00h\x00a'), 'ERR_UNSUPPORTED', /holds a list/],
    [
      'a dictionary that holds itself',
      state('}q\x00', raw(value('w')), 'h\x00s'),
      'ERR_ARGUMENT',
      /"w" \(a dictionary\)/,
    ],
    [
      'lists in lists without end',
      state(']'.repeat(1e6), 'a'.repeat(1e6 - 1)),
      'ERR_UNSUPPORTED',
      /holds a list/,
    ],
    ['marks without end', state('('.repeat(1e6)), 'ERR_FORMAT', /a value is missing/],
  ])('%s', (_, bytes, code, sentence) => {
    expect(() => loadTorch(bytes)).toThrow(
      expect.objectContaining({ name: 'KerneletError', code, message: expect.stringMatching(sentence) }),
    )
  })

  test('a thousand views of one storage count together', () => {
    const count = 2 ** 16
    const big = { 'w/data/0': new Uint8Array(4 * count) }
    const views = (n: number) =>
      program(
        dictionary(
          Object.fromEntries(
            Array.from({ length: n }, (_, i) => [`w${i}`, tensor([count], [1], 0, storage(count))]),
          ),
        ),
      )
    expect(loadTorch(archive(views(4), big)).size).toBe(4)
    expect(() => loadTorch(archive(views(1000), big))).toThrow(/far larger than the file/)
  })

  test('entries that lie over each other', () => {
    const bytes = archive(program(dictionary({ w: good })), {
      'w/1': new Uint8Array(1e4),
      'w/2': new Uint8Array(1e4),
    })
    // The second large entry put where the first is would be fine; a hundred of them would not.
    const many = zip(
      Object.fromEntries(
        Array.from({ length: 100 }, (_, i) => [`w/${i}`, new Uint8Array(i === 0 ? 1e4 : 0)]),
      ),
    )
    let at = many.readUInt32LE(many.length - 22 + 16)
    const first = many.subarray(at, at + 46)
    for (let i = 0; i < 100; i++) {
      first.copy(many, at + 16, 16, 28)
      many.writeUInt32LE(0, at + 42)
      at += 46 + many.readUInt16LE(at + 28)
    }
    expect(() => loadTorch(many)).toThrow('its entries are larger than the file')
    expect(numbers(bytes)).toEqual([1, 2, 3, 4])
  })

  test('every file that differs from a good one in one byte, or ends early, is read or refused, nothing else', () => {
    const bytes = readFileSync(saved('state_dict.pt'))
    const attempt = (one: Uint8Array) => {
      try {
        readTorch(one)
      } catch (error) {
        if ((error as Error).name !== 'KerneletError') throw error
      }
    }
    for (let at = 0; at < bytes.length; at++) {
      attempt(bytes.subarray(0, at))
      for (const value of [0, 0x28, 0x52, 0x63, 0x74, 0xff, bytes[at]! ^ 1]) {
        const changed = Uint8Array.from(bytes)
        changed[at] = value
        attempt(changed)
      }
    }
  })

  test('every pickle that differs from a good one in one byte', () => {
    // Made anew around the changed pickle, so that the checksum does not catch it first.
    const pickle = program(dictionary({ w: good, v: tensor([2, 2], [1, 2]) }))
    for (let at = 0; at < pickle.length; at++) {
      for (let value = 0; value < 256; value += 3) {
        const changed = Buffer.from(pickle)
        changed[at] = value
        try {
          readTorch(archive(changed))
        } catch (error) {
          if ((error as Error).name !== 'KerneletError') throw error
        }
      }
    }
  })
})
