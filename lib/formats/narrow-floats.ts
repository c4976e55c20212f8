/** Floats of 4, 6 and 8 bits (Open Compute Project's MX formats and FP8, and the variants without −0): what each pattern of bits stands for. */

/** By ONNX's names. `float8e8m0` is an exponent alone: a power of two. */
export type NarrowFloatName =
  | 'float4e2m1'
  | 'float6e2m3'
  | 'float6e3m2'
  | 'float8e4m3fn'
  | 'float8e4m3fnuz'
  | 'float8e5m2'
  | 'float8e5m2fnuz'
  | 'float8e8m0'

/** What the largest exponent is kept for: infinities and NaN, NaN alone at its last fraction, or nothing but numbers. */
type Special = 'infinities' | 'last' | 'none'

interface NarrowFloat {
  /** Bits of the exponent and of the fraction; before them comes the sign. */
  readonly exponent: number
  readonly fraction: number
  readonly bias: number
  readonly special: Special
  /** −0 stands for NaN instead, the only one. */
  readonly unsignedZero?: true
}

const formats: Readonly<Record<Exclude<NarrowFloatName, 'float8e8m0'>, NarrowFloat>> = {
  float4e2m1: { exponent: 2, fraction: 1, bias: 1, special: 'none' },
  float6e2m3: { exponent: 2, fraction: 3, bias: 1, special: 'none' },
  float6e3m2: { exponent: 3, fraction: 2, bias: 3, special: 'none' },
  float8e4m3fn: { exponent: 4, fraction: 3, bias: 7, special: 'last' },
  float8e4m3fnuz: { exponent: 4, fraction: 3, bias: 8, special: 'none', unsignedZero: true },
  float8e5m2: { exponent: 5, fraction: 2, bias: 15, special: 'infinities' },
  float8e5m2fnuz: { exponent: 5, fraction: 2, bias: 16, special: 'none', unsignedZero: true },
}

const tables = new Map<NarrowFloatName, Float32Array>()

/** The number of each pattern of bits, by the pattern. */
export function narrowFloats(name: NarrowFloatName): Float32Array {
  const known = tables.get(name)
  if (known) return known
  const table = name === 'float8e8m0' ? powers() : tableOf(formats[name])
  tables.set(name, table)
  return table
}

function powers(): Float32Array {
  const table = Float32Array.from({ length: 256 }, (_, i) => 2 ** (i - 127))
  table[255] = Number.NaN
  return table
}

function tableOf({ exponent, fraction, bias, special, unsignedZero }: NarrowFloat): Float32Array {
  const table = new Float32Array(2 ** (1 + exponent + fraction))
  const half = table.length / 2
  const largest = 2 ** exponent - 1
  for (let i = 0; i < half; i++) {
    const [e, f] = [i >> fraction, i & (2 ** fraction - 1)]
    // exponent 0 is for subnormal numbers
    let value = e === 0 ? f * 2 ** (1 - bias - fraction) : (2 ** fraction + f) * 2 ** (e - bias - fraction)
    if (e === largest && special === 'infinities') value = f === 0 ? Number.POSITIVE_INFINITY : Number.NaN
    if (i === half - 1 && special === 'last') value = Number.NaN
    table[i] = value
    table[half + i] = -value
  }
  if (unsignedZero) table[half] = Number.NaN
  return table
}

/** Numbers of fewer bits than a byte, which lie one after the other from the lowest bit of the first byte on. */
export function unpack(bytes: Uint8Array, width: number, count: number): Uint8Array {
  const mask = 2 ** width - 1
  return Uint8Array.from({ length: count }, (_, i) => {
    const at = i * width
    const low = bytes[at >> 3] ?? 0
    const high = bytes[(at >> 3) + 1] ?? 0
    return (((high << 8) | low) >> (at & 7)) & mask
  })
}
