/** .pt: the opcodes of the pickle are changed as opcodes, and the archive is put together again around it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { root } from '../util.mjs'
import { integer, joined, mutateBytes, mutateList } from './mutate.mjs'

export const extension = 'pt'

export function prepare(kernelet) {
  const folder = join(root, 'tests/fixtures/torch')
  const files = readdirSync(folder).filter((name) => name.endsWith('.pt'))
  const seeds = files.map((name) => readFileSync(join(folder, name)))
  // those that are read more often than those that are refused as they are
  const weighted = seeds.flatMap((bytes) => Array(isRead(kernelet, bytes) ? 4 : 1).fill(bytes))
  const archives = weighted.map(entriesOf).filter((entries) => entries.some(isPickle))
  const programs = archives.map((entries) => operationsOf(entries.find(isPickle).bytes))
  return { kernelet, seeds, archives, programs, all: programs.flat() }
}

function isRead(kernelet, bytes) {
  try {
    kernelet.readTorch(bytes)
    return true
  } catch {
    return false
  }
}

const isPickle = ({ name }) => name.endsWith('/data.pkl')

/** The entries of an archive as torch.save writes it: stored, one after the other. */
function entriesOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const entries = []
  for (let at = bytes.length - 22; at >= 0; at--) {
    if (view.getUint32(at, true) !== 0x06054b50) continue
    let central = view.getUint32(at + 16, true)
    for (let left = view.getUint16(at + 10, true); left > 0; left--) {
      const [size, name, extra, comment] = [24, 28, 30, 32].map((field, i) =>
        i === 0 ? view.getUint32(central + field, true) : view.getUint16(central + field, true),
      )
      const local = view.getUint32(central + 42, true)
      const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true)
      entries.push({
        name: Buffer.from(bytes.subarray(central + 46, central + 46 + name)).toString(),
        bytes: bytes.subarray(start, start + size),
      })
      central += 46 + name + extra + comment
    }
    break
  }
  return entries
}

/** Bytes that follow an opcode: a fixed number, or those that a count of so many bytes says. */
const fixed = { '\x80': 1, '\x95': 8, K: 1, M: 2, J: 4, G: 8, q: 1, h: 1, r: 4, j: 4 }
const counted = { '\x8a': 1, '\x8b': 4, '\x8c': 1, X: 4, '\x8d': 8, U: 1, T: 4, C: 1, B: 4, '\x8e': 8 }

/** The opcodes of a pickle, each with what belongs to it. */
function operationsOf(bytes) {
  const operations = []
  for (let at = 0; at < bytes.length; ) {
    const letter = String.fromCharCode(bytes[at])
    let end = at + 1 + (fixed[letter] ?? 0)
    if (letter in counted) {
      let count = 0
      for (let i = counted[letter] - 1; i >= 0; i--) count = count * 256 + bytes[at + 1 + i]
      end = at + 1 + counted[letter] + count
    } else if (letter === 'c') {
      end = bytes.indexOf(0x0a, bytes.indexOf(0x0a, at) + 1) + 1
    }
    operations.push(bytes.subarray(at, end))
    at = end
  }
  return operations
}

export function make({ seeds, archives, programs, all }, random) {
  if (random.oneIn(4)) return mutateBytes(random, random.pick(seeds), seeds)
  const which = random.below(archives.length)
  let program = programs[which]
  for (let left = random.between(1, 4); left > 0; left--) {
    const others = random.oneIn(3) ? all : operations.map((make) => make(random))
    program = random.oneIn(2) ? mutateList(random, program, others) : withArgument(random, program)
  }
  const entries = archives[which].map((entry) =>
    isPickle(entry) ? { ...entry, bytes: joined(...program) } : entry,
  )
  return archive(random, random.oneIn(4) ? mutateList(random, entries, entries) : entries)
}

/** Another argument for one of the opcodes. */
function withArgument(random, program) {
  const result = [...program]
  const at = random.below(result.length)
  const one = result[at] ?? Uint8Array.of(0x4e)
  if (one.length === 1) result[at] = random.pick(operations)(random)
  else result[at] = joined(one.subarray(0, 1), mutateBytes(random, one.subarray(1), [one]))
  return result
}

const op = (letter) => () => Uint8Array.of(letter.charCodeAt(0))
const text = (string) => joined(Uint8Array.of(0x8c, Buffer.byteLength(string)), Buffer.from(string))

const operations = [
  ...[...'N()]}aetsu.Q0Rb\x85\x86\x87\x88\x89\x93\x94'].map(op),
  // recalled again and again: values within values, and in themselves
  (random) => Uint8Array.of(0x68, random.below(40)),
  (random) => Uint8Array.of(0x71, random.below(40)),
  (random) => Uint8Array.of(0x4b, random.below(256)),
  (random) => {
    const bytes = new Uint8Array(10)
    bytes.set([0x8a, 8])
    new DataView(bytes.buffer).setBigInt64(2, BigInt.asIntN(64, BigInt(integer(random))), true)
    return bytes
  },
  (random) => {
    const bytes = new Uint8Array(9)
    bytes[0] = 0x47
    new DataView(bytes.buffer).setFloat64(1, random.pick([Number.NaN, 1e300, -0, 0.5]))
    return bytes
  },
  (random) => text(random.pick(['storage', 'cpu', '0', '__proto__', 'weight', 'model_state_dict', ''])),
  (random) =>
    Buffer.from(
      `c${random.pick(['torch._utils\n_rebuild_tensor_v2', 'collections\nOrderedDict', 'torch\nFloatStorage', 'os\nsystem', 'torch._utils\n_rebuild_parameter', 'torch\nDoubleStorage'])}\n`,
    ),
  // a list that holds itself; lists that hold the same one twice, some times over
  () => Uint8Array.of(0x5d, 0x71, 39, 0x68, 39, 0x61),
  (random) => {
    const doubled = [0x5d, 0x71, 38]
    for (let left = random.between(2, 40); left > 0; left--) doubled.push(0x68, 38, 0x68, 38, 0x86, 0x71, 38)
    return Uint8Array.from(doubled)
  },
]

/** A ZIP archive; now and then a number in it is wrong. */
function archive(random, entries) {
  const broken = random.oneIn(8)
  const wrong = () => broken && random.oneIn(8)
  const locals = []
  const directory = []
  let offset = 0
  for (const { name, bytes } of entries) {
    const title = Buffer.from(name)
    const checksum = crc32(bytes)
    const size = wrong() ? integer(random) >>> 0 : bytes.length
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50)
    local.writeUInt16LE(title.length, 26)
    const central = Buffer.alloc(46)
    central.writeUInt32LE(0x02014b50)
    central.writeUInt16LE(wrong() ? 8 : 0, 10)
    central.writeUInt32LE(checksum, 16)
    central.writeUInt32LE(size, 20)
    central.writeUInt32LE(size, 24)
    central.writeUInt16LE(title.length, 28)
    central.writeUInt32LE(wrong() ? integer(random) >>> 0 : offset, 42)
    locals.push(local, title, bytes)
    directory.push(central, title)
    offset += local.length + title.length + bytes.length
  }
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50)
  end.writeUInt16LE(wrong() ? random.below(65536) : entries.length, 10)
  end.writeUInt32LE(
    directory.reduce((sum, part) => sum + part.length, 0),
    12,
  )
  end.writeUInt32LE(offset, 16)
  return joined(...locals, ...directory, end)
}

export function read({ kernelet }, bytes) {
  for (const key of [undefined, 'model_state_dict']) {
    try {
      kernelet.readTorch(bytes, { key })
    } catch (error) {
      if (!(error instanceof kernelet.KerneletError) || error.code === 'ERR_INTERNAL') throw error
    }
  }
  kernelet.loadTorch(bytes)
}
