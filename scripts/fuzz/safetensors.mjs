/** safetensors: the JSON header is changed as JSON, so that it gets past the parser. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../util.mjs'
import { integer, joined, mutateBytes } from './mutate.mjs'

export const extension = 'safetensors'

const dtypes = [
  'F32',
  'F64',
  'F16',
  'BF16',
  'I64',
  'I32',
  'I8',
  'U8',
  'BOOL',
  'F8_E4M3',
  'F4',
  'toString',
  '',
]

export function prepare(kernelet) {
  const file = (path) => readFileSync(join(root, 'tests/fixtures', path))
  const seeds = [
    file('torch/bn_depthwise.safetensors'),
    file('residual.golden.safetensors'),
    encode({}, new Uint8Array(0)),
    encode({ __metadata__: { format: 'pt' }, ...described(dtypes.slice(0, 9)) }, new Uint8Array(9 * 48)),
  ]
  return { kernelet, seeds }
}

/** Tensors of these types, one after the other. */
function described(types) {
  const entries = types.map((dtype, i) => {
    const count = 48 / ({ F64: 8, I64: 8, F32: 4, I32: 4, F16: 2, BF16: 2 }[dtype] ?? 1)
    return [`t${i}`, { dtype, shape: [count / 2, 2], data_offsets: [48 * i, 48 * i + 48] }]
  })
  return Object.fromEntries(entries)
}

function encode(header, data) {
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return joined(length, json, data)
}

export function make({ seeds }, random) {
  const seed = random.pick(seeds)
  if (random.oneIn(3)) return mutateBytes(random, seed, seeds)
  const length = Number(new DataView(seed.buffer, seed.byteOffset).getBigUint64(0, true))
  const text = Buffer.from(seed.buffer, seed.byteOffset + 8, length)
  if (random.oneIn(4)) return withHeader(mutateBytes(random, text, [text]), seed.subarray(8 + length))
  let header = JSON.parse(text.toString())
  for (let left = random.between(1, 4); left > 0; left--) header = mutateJson(random, header, 0)
  return encode(header, seed.subarray(8 + length))
}

function withHeader(json, data) {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return joined(length, json, data)
}

/** A value with one change somewhere in it. */
function mutateJson(random, value, depth) {
  if (typeof value !== 'object' || value === null || random.oneIn(6 + 4 * depth))
    return anyJson(random, value)
  if (Array.isArray(value)) {
    const items = [...value]
    const at = random.below(items.length + 1)
    const kind = random.below(4)
    if (kind === 0) items.splice(at, 1)
    else if (kind === 1) items.splice(at, 0, ...Array(random.oneIn(8) ? 100 : 1).fill(integer(random)))
    else if (items.length > 0) {
      const one = at % items.length
      items[one] = mutateJson(random, items[one], depth + 1)
    }
    return items
  }
  const entries = Object.entries(value)
  if (entries.length === 0) return { a: anyJson(random) }
  const at = random.below(entries.length)
  const [key, item] = entries[at]
  switch (random.below(8)) {
    case 0:
      entries.splice(at, 1)
      break
    case 1:
      entries[at] = [random.pick(names), item]
      break
    case 2:
      entries.push([`${key}2`, random.pick(entries)[1]])
      break
    default:
      entries[at] = [key, mutateJson(random, item, depth + 1)]
  }
  return Object.fromEntries(entries)
}

const names = [
  '',
  '__metadata__',
  '__proto__',
  'constructor',
  'dtype',
  'shape',
  'data_offsets',
  'x'.repeat(300),
]

function anyJson(random, value) {
  switch (random.below(8)) {
    case 0:
      return integer(random)
    case 1:
      return random.pick(dtypes)
    case 2:
      return null
    case 3:
      return [integer(random), integer(random)]
    case 4:
      return { a: value ?? 1 }
    case 5: {
      let nested = value ?? 0
      for (let left = random.pick([1, 3, 300]); left > 0; left--) nested = [nested]
      return nested
    }
    case 6:
      return random.pick([true, 0.5, 1e300, 'text', ''])
    default:
      return Array.from({ length: random.pick([0, 1, 64, 65, 500]) }, () => random.pick([0, 1, 2]))
  }
}

export function read({ kernelet }, bytes) {
  kernelet.readSafetensors(bytes)
  kernelet.loadSafetensors(bytes)
}
