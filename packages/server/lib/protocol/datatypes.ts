/** The element types of the Open Inference Protocol, and how their numbers lie in memory. */
import { badRequest } from '../errors.ts'

/** Numbers of any element type. */
export type Values =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array

interface ArrayType {
  new (buffer: ArrayBufferLike, offset: number, length: number): Values
  new (length: number): Values
}

interface Element {
  /** Bytes of one. */
  size: number
  /** What holds them; FP16 is held as its bits. */
  array: ArrayType
  /** The name kernelet has for it. */
  dtype: string
  /** Integers lie between these; undefined for floats. */
  range?: readonly [number, number]
}

const elements = {
  BOOL: { size: 1, array: Uint8Array, dtype: 'bool', range: [0, 1] },
  UINT8: { size: 1, array: Uint8Array, dtype: 'uint8', range: [0, 255] },
  UINT16: { size: 2, array: Uint16Array, dtype: 'uint16', range: [0, 2 ** 16 - 1] },
  UINT32: { size: 4, array: Uint32Array, dtype: 'uint32', range: [0, 2 ** 32 - 1] },
  UINT64: { size: 8, array: BigUint64Array, dtype: 'uint64', range: [0, 2 ** 64] },
  INT8: { size: 1, array: Int8Array, dtype: 'int8', range: [-128, 127] },
  INT16: { size: 2, array: Int16Array, dtype: 'int16', range: [-(2 ** 15), 2 ** 15 - 1] },
  INT32: { size: 4, array: Int32Array, dtype: 'int32', range: [-(2 ** 31), 2 ** 31 - 1] },
  INT64: { size: 8, array: BigInt64Array, dtype: 'int64', range: [-(2 ** 63), 2 ** 63] },
  FP16: { size: 2, array: Uint16Array, dtype: 'float16' },
  FP32: { size: 4, array: Float32Array, dtype: 'float32' },
  FP64: { size: 8, array: Float64Array, dtype: 'float64' },
} as const satisfies Record<string, Element>

/** Of numbers, or BYTES: strings of bytes. */
export type NumberType = keyof typeof elements
export type Datatype = NumberType | 'BYTES'

export function isNumberType(name: string): name is NumberType {
  return Object.hasOwn(elements, name)
}

export function elementOf(type: NumberType): Element {
  return elements[type]
}

/** The protocol's name of a type of kernelet's; undefined for one that it has none of. */
export function datatypeOf(dtype: string | undefined): NumberType | undefined {
  return (Object.keys(elements) as NumberType[]).find((type) => elements[type].dtype === dtype)
}

/** The bytes of an array. */
export function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

/** Bytes as numbers: where they lie if they are aligned, else copied. Little-endian, as the protocol and every CPU here. */
export function valuesOf(bytes: Uint8Array, type: NumberType): Values {
  const { array, size } = elementOf(type)
  const aligned = bytes.byteOffset % size === 0
  // a Buffer's own slice() would not copy
  const { buffer, byteOffset } = aligned ? bytes : new Uint8Array(bytes)
  return new array(buffer, byteOffset, bytes.byteLength / size)
}

/** The numbers of a JSON list, flat or nested row by row, or of one that was read already: `count` of them. */
export function valuesFromJson(data: unknown, type: NumberType, count: number, name: string): Values {
  if (type === 'FP16') {
    throw badRequest(`The input ${name} is FP16, which has no form in JSON; send it as binary data`)
  }
  const list = data instanceof Float64Array ? data : listOf(data)
  // before memory is taken: a shape can say anything
  if (list.length !== count) {
    throw badRequest(`The shape of input ${name} takes ${count} values but its data has ${list.length}`)
  }
  const { array, range } = elementOf(type)
  if (list instanceof Float64Array && type === 'FP32') return new Float32Array(list)
  const values = new array(count)
  const big = type === 'INT64' || type === 'UINT64'
  for (let i = 0; i < count; i++) {
    const item = list[i]
    const value: unknown = type === 'BOOL' && typeof item === 'boolean' ? Number(item) : item
    if (typeof value !== 'number') {
      throw badRequest(
        `The data of input ${name} must be a list of numbers, flat or nested, but holds ${shown(item)}`,
      )
    }
    if (range && (!Number.isInteger(value) || value < range[0] || value > range[1])) {
      throw badRequest(`The input ${name} is ${type} but its data holds ${value}`)
    }
    if (big && !Number.isSafeInteger(value)) {
      throw badRequest(
        `The input ${name} holds ${value}, which JSON cannot tell exactly; send it as binary data`,
      )
    }
    values[i] = big ? BigInt(value) : value
  }
  return values
}

function listOf(data: unknown): unknown[] {
  if (!Array.isArray(data)) return [data]
  return Array.isArray(data[0]) ? data.flat(16) : data
}

/** Numbers as JSON has them. Integers beyond 2⁵³ keep all their digits; what is not finite becomes null. */
export function toJson(values: Values, type: NumberType): string {
  if (type === 'BOOL') return JSON.stringify(Array.from(values as Uint8Array, (value) => value !== 0))
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) return `[${values.join(',')}]`
  return JSON.stringify(Array.from(values as Float32Array))
}

/** Strings of bytes out of binary data: each is its length, four bytes, and itself. */
export function stringsFromBytes(bytes: Uint8Array, count: number, name: string): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const strings: Uint8Array[] = []
  let at = 0
  while (at < bytes.length && strings.length < count) {
    const end = at + 4 <= bytes.length ? at + 4 + view.getUint32(at, true) : Number.POSITIVE_INFINITY
    if (end > bytes.length) {
      throw badRequest(`The binary data of input ${name} ends within its string ${strings.length}`)
    }
    strings.push(bytes.subarray(at + 4, end))
    at = end
  }
  if (at === bytes.length && strings.length === count) return strings
  throw badRequest(`The shape of input ${name} takes ${count} strings but its binary data has another number`)
}

/** Strings of bytes as binary data. */
export function stringsToBytes(strings: readonly Uint8Array[]): Uint8Array {
  const out = Buffer.alloc(strings.reduce((sum, { length }) => sum + 4 + length, 0))
  let at = 0
  for (const string of strings) {
    at = out.writeUInt32LE(string.length, at)
    out.set(string, at)
    at += string.length
  }
  return out
}

/** float16 to float32. */
export function floatsFromHalves(halves: Uint16Array): Float32Array {
  const floats = new Float32Array(halves.length)
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i] as number
    const sign = half & 0x8000 ? -1 : 1
    const exponent = (half >> 10) & 31
    const fraction = half & 1023
    floats[i] =
      exponent === 31
        ? fraction === 0
          ? sign * Number.POSITIVE_INFINITY
          : Number.NaN
        : exponent === 0
          ? sign * fraction * 2 ** -24
          : sign * (1024 + fraction) * 2 ** (exponent - 25)
  }
  return floats
}

/** float32 to float16, to the nearest, ties to even. */
export function halvesFromFloats(floats: Float32Array): Uint16Array {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length)
  const halves = new Uint16Array(floats.length)
  for (let i = 0; i < floats.length; i++) {
    const all = bits[i] as number
    const sign = (all >>> 16) & 0x8000
    const magnitude = all & 0x7fffffff
    if (magnitude > 0x7f800000) halves[i] = sign | 0x7e00
    else if (magnitude >= 0x47800000) halves[i] = sign | 0x7c00
    else if (magnitude >= 0x38800000) {
      const rebased = magnitude - 0x38000000
      halves[i] = sign + ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13)
    } else {
      // Below the smallest normal: a multiple of 2⁻²⁴.
      const scaled = Math.abs(floats[i] as number) * 2 ** 24
      const floor = Math.floor(scaled)
      const rest = scaled - floor
      halves[i] = sign + floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0)
    }
  }
  return halves
}

/** A value in a sentence. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  const text = typeof value === 'string' ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value))
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}
