/** Changes to bytes that know nothing of a format, and the values that formats stumble over. */

/** Sizes, counts and offsets at the ends of their ranges. */
export const integers = [
  0,
  1,
  2,
  3,
  7,
  8,
  63,
  64,
  65,
  127,
  128,
  255,
  256,
  1000,
  4096,
  32767,
  32768,
  65535,
  65536,
  2 ** 24,
  2 ** 28,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 40,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 62,
  2 ** 63,
  2 ** 64 - 1,
  -1,
  -2,
  -128,
  -(2 ** 31),
  -(2 ** 63),
]

/** One of `integers`, a small one or any. */
export function integer(random) {
  const kind = random.below(4)
  return kind === 0 ? random.bits() : kind === 1 ? random.below(16) : random.pick(integers)
}

/** Applies a few changes. @param others files to take pieces of */
export function mutateBytes(random, bytes, others) {
  let result = bytes
  for (let left = random.between(1, random.oneIn(4) ? 12 : 3); left > 0; left--) {
    result = random.pick(changes)(random, result, others)
  }
  return result
}

const changes = [flipBit, setByte, setByte, setInteger, setInteger, truncate, remove, repeat, splice, insert]

function copyOf(bytes) {
  return Uint8Array.from(bytes)
}

function flipBit(random, bytes) {
  if (bytes.length === 0) return bytes
  const result = copyOf(bytes)
  result[random.below(bytes.length)] ^= 1 << random.below(8)
  return result
}

function setByte(random, bytes) {
  if (bytes.length === 0) return bytes
  const result = copyOf(bytes)
  result[random.below(bytes.length)] = random.oneIn(2)
    ? random.below(256)
    : random.pick([0, 1, 0x7f, 0x80, 0xff])
  return result
}

/** An integer of 2, 4 or 8 bytes, either end first. */
function setInteger(random, bytes) {
  const size = random.pick([2, 4, 8])
  if (bytes.length < size) return bytes
  const result = copyOf(bytes)
  const at = random.below(bytes.length - size + 1)
  let value = BigInt.asUintN(64, BigInt(integer(random)))
  const little = random.oneIn(2)
  for (let i = 0; i < size; i++, value >>= 8n) result[at + (little ? i : size - 1 - i)] = Number(value & 255n)
  return result
}

function range(random, bytes) {
  const from = random.below(bytes.length + 1)
  const most = random.oneIn(4) ? bytes.length : 32
  return [from, Math.min(bytes.length, from + random.below(most + 1))]
}

function truncate(random, bytes) {
  return bytes.subarray(0, random.below(bytes.length + 1))
}

function remove(random, bytes) {
  const [from, to] = range(random, bytes)
  return joined(bytes.subarray(0, from), bytes.subarray(to))
}

function repeat(random, bytes) {
  const [from, to] = range(random, bytes)
  const piece = bytes.subarray(from, to)
  const times = random.oneIn(8) ? Math.floor(2000 / (piece.length + 1)) : random.between(1, 3)
  return joined(bytes.subarray(0, to), ...Array(times).fill(piece), bytes.subarray(to))
}

function splice(random, bytes, others) {
  const other = random.pick(others)
  const [from, to] = range(random, other)
  const [start, end] = range(random, bytes)
  return joined(bytes.subarray(0, start), other.subarray(from, to), bytes.subarray(end))
}

function insert(random, bytes) {
  const at = random.below(bytes.length + 1)
  const piece = Uint8Array.from({ length: random.between(1, 16) }, () => random.below(256))
  return joined(bytes.subarray(0, at), piece, bytes.subarray(at))
}

/** @param {...Uint8Array} parts */
export function joined(...parts) {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    result.set(part, at)
    at += part.length
  }
  return result
}

/** Changes a list of parts: leaves some out, doubles, swaps, brings in some of another list. */
export function mutateList(random, list, others) {
  const result = [...list]
  const at = random.below(result.length + 1)
  switch (random.below(5)) {
    case 0:
      result.splice(at, random.between(1, 2))
      break
    case 1:
      if (result.length > 0) {
        const one = random.pick(result)
        result.splice(at, 0, ...Array(random.oneIn(16) ? 200 : 1).fill(one))
      }
      break
    case 2:
      if (result.length > 1) {
        const other = random.below(result.length)
        const from = at % result.length
        ;[result[from], result[other]] = [result[other], result[from]]
      }
      break
    case 3:
      if (others.length > 0) result.splice(at, 0, random.pick(others))
      break
    default:
      if (others.length > 0 && at < result.length) result[at] = random.pick(others)
  }
  return result
}
