/** The element types of ONNX: which array holds them, and how a number becomes one of them. */
import { exactOdd } from '../dtype.ts'

/** What holds the numbers of an array. Floats narrower than float32 are float32 numbers that the type has too. */
export type Values =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array

/** One number of an array: a bigint for integers of 64 bits. */
export type Scalar = number | bigint

export type Kind = 'float' | 'int' | 'bool'

export interface ElementType {
  /** As ONNX calls it: `float`, `int64`. */
  readonly name: string
  /** As PyTorch calls it, or ml_dtypes: `float32`, `int64`. */
  readonly dtype: string
  readonly kind: Kind
  /** Integers of 64 bits, whose numbers are bigints. */
  readonly wide: boolean
  /** Floats that are held as float32, as a Tensor's. */
  readonly single: boolean
  /** The smallest number there is: −∞ where there is one. */
  readonly lowest: Scalar
  readonly highest: Scalar
  readonly make: (length: number) => Values
  /** The number of the type that stands for another one, where storing it does not do that by itself. */
  readonly round: Rounding | undefined
}

/** To a power of two: which of those around a number. */
export type RoundMode = 'up' | 'down' | 'nearest'

/** @param mode for types that have powers of two alone */
export type Rounding = (value: number, saturate?: boolean, mode?: RoundMode) => number

type Make = ElementType['make']

function float(name: string, dtype: string, make: Make, round?: ElementType['round']): ElementType {
  const [lowest, highest] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
  const single = make(0) instanceof Float32Array
  return { name, dtype, kind: 'float', wide: false, single, lowest, highest, make, round }
}

/** An integer type of so many bits. Arrays wrap what is stored in them, but for those of fewer than 8. */
function integer(name: string, bits: number, make: Make): ElementType {
  const signed = !name.startsWith('u')
  const wide = bits === 64
  const highest = 2n ** BigInt(signed ? bits - 1 : bits) - 1n
  const lowest = signed ? -highest - 1n : 0n
  const as = (value: bigint): Scalar => (wide ? value : Number(value))
  const shift = 32 - bits
  const wrap = signed ? (one: number) => (one << shift) >> shift : (one: number) => (one << shift) >>> shift
  const round = bits < 8 ? wrap : undefined
  return {
    name,
    dtype: name,
    kind: 'int',
    wide,
    single: false,
    lowest: as(lowest),
    highest: as(highest),
    make,
    round,
  }
}

const f32: Make = (length) => new Float32Array(length)

/** By `TensorProto.DataType`. */
const elementTypes: Readonly<Record<number, ElementType>> = {
  1: float('float', 'float32', f32),
  2: integer('uint8', 8, (length) => new Uint8Array(length)),
  3: integer('int8', 8, (length) => new Int8Array(length)),
  4: integer('uint16', 16, (length) => new Uint16Array(length)),
  5: integer('int16', 16, (length) => new Int16Array(length)),
  6: integer('int32', 32, (length) => new Int32Array(length)),
  7: integer('int64', 64, (length) => new BigInt64Array(length)),
  9: {
    name: 'bool',
    dtype: 'bool',
    kind: 'bool',
    wide: false,
    single: false,
    lowest: 0,
    highest: 1,
    make: (length) => new Uint8Array(length),
    round: (value) => (value === 0 ? 0 : 1),
  },
  10: float('float16', 'float16', f32, rounder(10, -14, 65504, 'infinity')),
  11: float('double', 'float64', (length) => new Float64Array(length)),
  12: integer('uint32', 32, (length) => new Uint32Array(length)),
  13: integer('uint64', 64, (length) => new BigUint64Array(length)),
  16: float('bfloat16', 'bfloat16', f32, rounder(7, -126, (2 - 2 ** -7) * 2 ** 127, 'infinity')),
  17: float('float8e4m3fn', 'float8_e4m3fn', f32, rounder(3, -6, 448, 'nan')),
  18: float('float8e4m3fnuz', 'float8_e4m3fnuz', f32, rounder(3, -7, 240, 'one-zero')),
  19: float('float8e5m2', 'float8_e5m2', f32, rounder(2, -14, 57344, 'saturated')),
  20: float('float8e5m2fnuz', 'float8_e5m2fnuz', f32, rounder(2, -15, 57344, 'one-zero')),
  21: integer('uint4', 4, (length) => new Uint8Array(length)),
  22: integer('int4', 4, (length) => new Int8Array(length)),
  23: float('float4e2m1', 'float4_e2m1fn', f32, rounder(1, 0, 6, 'never')),
  24: float('float8e8m0', 'float8_e8m0fnu', f32, powerOfTwo),
  25: integer('uint2', 2, (length) => new Uint8Array(length)),
  26: integer('int2', 2, (length) => new Int8Array(length)),
  27: float('float6e2m3', 'float6_e2m3fn', f32, rounder(3, 0, 7.5, 'never')),
  28: float('float6e3m2', 'float6_e3m2fn', f32, rounder(2, -2, 28, 'never')),
}

const byName: ReadonlyMap<string, ElementType> = new Map(
  Object.values(elementTypes).map((type) => [type.name, type]),
)

export function elementTypeOf(code: number): ElementType | undefined {
  return elementTypes[code]
}

/** The type of that name, as ONNX writes it. */
export function elementTypeNamed(name: string): ElementType | undefined {
  return byName.get(name)
}

export const float32: ElementType = elementTypes[1] as ElementType
export const float64: ElementType = elementTypes[11] as ElementType
export const int64: ElementType = elementTypes[7] as ElementType
export const bool: ElementType = elementTypes[9] as ElementType

const words = new Uint32Array(2)
const double = new Float64Array(words.buffer)
const upper = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 1 : 0

/** The exponent of a number: n with `2ⁿ ≤ |value| < 2ⁿ⁺¹`; below those of normal doubles, −1023. */
function exponentOf(value: number): number {
  double[0] = value
  return (((words[upper] ?? 0) >>> 20) & 0x7ff) - 1023
}

/**
 * Rounding to a narrow float, to the nearest and on a tie to the even one, with subnormal numbers.
 *
 * @param fraction bits after the point
 * @param smallest the exponent of the smallest normal number
 * @param largest the largest number
 * @param beyond what is too large: infinity; for the types of 8 bits the largest number, or without saturation
 *   infinity (`saturated`) or NaN (`nan`; `one-zero`: those have no −0 either); for narrower ones always the largest
 *   number, and NaN, which they do not have, −0 (`never`)
 */
function rounder(
  fraction: number,
  smallest: number,
  largest: number,
  beyond: 'infinity' | 'saturated' | 'nan' | 'one-zero' | 'never',
): Rounding {
  const magic = 1.5 * 2 ** 52
  const signed = (size: number, value: number) => (value < 0 ? -size : size)
  return (value, saturate = true) => {
    if (Number.isNaN(value)) return beyond === 'never' ? -0 : value
    if (value === 0) return beyond === 'one-zero' ? 0 : value
    if (Number.isFinite(value)) {
      const quantum = 2 ** (Math.max(exponentOf(value), smallest) - fraction)
      // a double this large has no bits after the point: adding rounds to the even integer
      const size = (Math.abs(value) / quantum + magic - magic) * quantum
      if (size <= largest) return size === 0 && beyond === 'one-zero' ? 0 : signed(size, value)
    }
    if (beyond === 'infinity') return signed(Number.POSITIVE_INFINITY, value)
    if (saturate || beyond === 'never') return signed(largest, value)
    return beyond === 'saturated' ? signed(Number.POSITIVE_INFINITY, value) : Number.NaN
  }
}

/**
 * Rounding to a power of two from 2⁻¹²⁷ to 2¹²⁷, the numbers of float8e8m0. It has neither 0 nor a sign: what is too
 * small or too large becomes the nearest one, or without saturation NaN, as negative numbers do.
 */
function powerOfTwo(value: number, saturate = true, mode: RoundMode = 'up'): number {
  if (!(value >= 0)) return Number.NaN
  const exponent = exponentOf(value)
  const fraction = value / 2 ** exponent
  const more = mode === 'up' ? fraction > 1 : mode === 'nearest' && fraction >= 1.5
  const rounded = more ? exponent + 1 : exponent
  if (!saturate && (rounded > 127 || rounded < -127)) return Number.NaN
  return 2 ** Math.min(Math.max(rounded, -127), 127)
}

/** What numbers beyond int64 become, as on x86. */
const beyondInt64 = -(2n ** 63n)

/**
 * Numbers of one type as numbers of another, as ONNX's Cast has it: floats are rounded to the nearest, integers drop
 * the fraction and wrap, what is not zero is true. NaN and what lies beyond 64 bits are not defined there: they
 * become 0, as integers of 64 bits −2⁶³.
 *
 * @param saturate for floats of 8 bits: what is too large becomes the largest number
 */
export function convert(
  values: Values,
  from: ElementType,
  to: ElementType,
  saturate: boolean,
  mode: RoundMode = 'up',
): Values {
  const result = to.make(values.length)
  if (from.wide) {
    const [source, wide] = [values as BigInt64Array, result as BigInt64Array]
    const narrow = narrower(to, saturate, mode)
    for (let i = 0; i < source.length; i++) {
      if (to.wide) wide[i] = source[i] as bigint
      else (result as Float64Array)[i] = narrow(source[i] as bigint)
    }
    return result
  }
  const source = values as Float64Array
  if (to.wide) {
    const wide = result as BigInt64Array
    for (let i = 0; i < source.length; i++) wide[i] = toWide(source[i] ?? 0)
    return result
  }
  const { round } = to
  const target = result as Float64Array
  for (let i = 0; i < source.length; i++) {
    const value = source[i] ?? 0
    target[i] = round ? round(value, saturate, mode) : value
  }
  return result
}

function toWide(value: number): bigint {
  return Math.abs(value) < 2 ** 64 ? BigInt(Math.trunc(value)) : beyondInt64
}

/** From integers of 64 bits to anything narrower. */
function narrower(to: ElementType, saturate: boolean, mode: RoundMode): (value: bigint) => number {
  const { round } = to
  if (to.kind === 'bool') return (value) => (value === 0n ? 0 : 1)
  if (to.kind === 'int') {
    return (value) => {
      const low = Number(BigInt.asIntN(32, value))
      return round ? round(low) : low
    }
  }
  if (to === float64) return Number
  return (value) => (round ? round(exactOdd(value), saturate, mode) : exactOdd(value))
}
