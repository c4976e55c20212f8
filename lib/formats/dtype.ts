/** Tensors as they lie in weight files, of any element type, and how they become float32. */

import { mostDimensions } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { type NarrowFloatName, narrowFloats } from './narrow-floats.ts'

/** Bits of one element, by the names safetensors gives. */
export const bits = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E5M2FNUZ: 8,
  F8_E4M3FNUZ: 8,
  F8_E8M0: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  F64: 64,
  I64: 64,
  U64: 64,
} as const

/** Of a tensor; PyTorch allows no more. */
export { mostDimensions }

/** Element types of weight files. */
export type Dtype = keyof typeof bits

/** A tensor as it lies in a file. */
export interface StoredTensor {
  dtype: Dtype
  /** Dimensions may be 0. */
  shape: number[]
  /** Its bytes, little-endian, in row-major order: a view of the file's where they lie so there. */
  bytes: Uint8Array
}

/** What a file of weights holds. */
export interface WeightsFile {
  tensors: Map<string, StoredTensor>
  /** What it says besides, as strings: `__metadata__` of safetensors; numbers and words beside the weights in a .pt. */
  metadata: Map<string, string>
}

/** Stored tensors as float32; see `toFloat32`. */
export function toTensors(stored: ReadonlyMap<string, StoredTensor>): Map<string, Tensor> {
  return new Map([...stored].map(([name, one]) => [name, new Tensor(toFloat32(one), one.shape)]))
}

/** `toTensors` for who copies the numbers on: those that lie as float32 in the file are not copied before. */
export function viewTensors(stored: ReadonlyMap<string, StoredTensor>): Map<string, Tensor> {
  const view = (one: StoredTensor): Float32Array => {
    const { buffer, byteOffset, byteLength } = one.bytes
    const inPlace = one.dtype === 'F32' && byteOffset % 4 === 0
    return inPlace ? new Float32Array(buffer, byteOffset, byteLength / 4) : toFloat32(one)
  }
  return new Map([...stored].map(([name, one]) => [name, new Tensor(view(one), one.shape)]))
}

type Reader = (view: DataView, at: number) => number

function eight(name: NarrowFloatName): Reader {
  return (view, at) => narrowFloats(name)[view.getUint8(at)] as number
}

/** How to read one element, little-endian. */
const readers: Record<Exclude<Dtype, 'F32' | 'BF16'>, Reader> = {
  BOOL: (view, at) => (view.getUint8(at) === 0 ? 0 : 1),
  U8: (view, at) => view.getUint8(at),
  I8: (view, at) => view.getInt8(at),
  I16: (view, at) => view.getInt16(at, true),
  U16: (view, at) => view.getUint16(at, true),
  F16: (view, at) => half(view.getUint16(at, true)),
  I32: (view, at) => view.getInt32(at, true),
  U32: (view, at) => view.getUint32(at, true),
  F64: (view, at) => view.getFloat64(at, true),
  I64: (view, at) => exactOdd(view.getBigInt64(at, true)),
  U64: (view, at) => exactOdd(view.getBigUint64(at, true)),
  F8_E4M3: eight('float8e4m3fn'),
  F8_E5M2: eight('float8e5m2'),
  F8_E4M3FNUZ: eight('float8e4m3fnuz'),
  F8_E5M2FNUZ: eight('float8e5m2fnuz'),
  F8_E8M0: eight('float8e8m0'),
}

/**
 * A copy of a stored tensor's numbers as float32, rounded to the nearest where they are not float32 numbers, as
 * `torch.Tensor.float` does; numbers that are keep their bits, a NaN's too.
 */
export function toFloat32({ dtype, bytes }: StoredTensor): Float32Array {
  const size = bits[dtype] / 8
  const length = bytes.length / size
  const values = new Float32Array(length)
  if (dtype === 'F32') {
    // Copied byte by byte: nothing says that numbers begin at a multiple of four.
    new Uint8Array(values.buffer).set(bytes)
    return values
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (dtype === 'BF16') {
    // The upper half of a float32.
    const words = new Uint32Array(values.buffer)
    for (let i = 0; i < length; i++) words[i] = view.getUint16(2 * i, true) << 16
    return values
  }
  const read = readers[dtype]
  for (let i = 0; i < length; i++) values[i] = read(view, size * i)
  return values
}

/** IEEE 754 binary16. */
function half(word: number): number {
  const sign = word & 0x8000 ? -1 : 1
  const exponent = (word >> 10) & 31
  const fraction = word & 0x3ff
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25)
}

/**
 * An integer as a double that rounds to the float32 (or narrower number) nearest to it. Past 2⁵³ it would be rounded
 * twice: the bits that do not fit go into the last one that does, so that they count for the second rounding.
 */
export function exactOdd(value: bigint): number {
  const size = value < 0n ? -value : value
  const odd = size >> 53n === 0n ? size : ((size >> 11n) << 11n) | (size & 0x7ffn ? 1n << 11n : 0n)
  return Number(value < 0n ? -odd : odd)
}
