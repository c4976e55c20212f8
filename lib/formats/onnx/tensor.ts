/** Numbers as ONNX stores them: in one of six fields of the model, or in a file beside it. */
import { join } from 'node:path'
import { elements, formatShape } from '../../tensor/shape.ts'
import { StoredFloats } from '../../tensor/stored.ts'
import { KerneletError, messageOf } from '../../util/errors.ts'
import { PartReader, unreadable } from '../../util/file.ts'
import { show } from '../../util/show.ts'
import { locateBelow } from '../below.ts'
import { bits, type Dtype, mostDimensions, type StoredTensor, toFloat32 } from '../dtype.ts'
import { type NarrowFloatName, narrowFloats, unpack } from '../narrow-floats.ts'
import { type NdArray, storedArray } from './array.ts'
import { give } from './budget.ts'
import { type ElementType, elementTypeOf } from './element.ts'
import { exactIntegers } from './message-reader.ts'
import type { TensorProto } from './proto.ts'

/** An element type of ONNX that is read. */
interface StoredType {
  readonly name: string
  /** Of the bytes that `storedTensor` gives. */
  readonly dtype: Dtype
  /** Elements of fewer bits than a byte: how many, and the number of each pattern. */
  readonly packed?: { readonly bits: number; readonly numbers: () => Int8Array | Float32Array }
  /** An array of such elements; of their bits for those that JavaScript has no numbers for. */
  readonly make: (numbers: readonly number[]) => NodeJS.TypedArray
}

const u8 = (numbers: readonly number[]) => Uint8Array.from(numbers)
const u16 = (numbers: readonly number[]) => Uint16Array.from(numbers)

/** By `TensorProto.DataType`. */
const types: Readonly<Record<number, StoredType>> = {
  1: { name: 'float', dtype: 'F32', make: (numbers) => Float32Array.from(numbers) },
  2: { name: 'uint8', dtype: 'U8', make: u8 },
  3: { name: 'int8', dtype: 'I8', make: u8 },
  4: { name: 'uint16', dtype: 'U16', make: u16 },
  5: { name: 'int16', dtype: 'I16', make: u16 },
  6: { name: 'int32', dtype: 'I32', make: (numbers) => Int32Array.from(numbers) },
  7: { name: 'int64', dtype: 'I64', make: (numbers) => BigInt64Array.from(exactIntegers(numbers)) },
  9: { name: 'bool', dtype: 'BOOL', make: u8 },
  10: { name: 'float16', dtype: 'F16', make: u16 },
  11: { name: 'double', dtype: 'F64', make: (numbers) => Float64Array.from(numbers) },
  12: { name: 'uint32', dtype: 'U32', make: (numbers) => Uint32Array.from(numbers) },
  13: { name: 'uint64', dtype: 'U64', make: (numbers) => BigUint64Array.from(exactIntegers(numbers)) },
  16: { name: 'bfloat16', dtype: 'BF16', make: u16 },
  17: { name: 'float8e4m3fn', dtype: 'F8_E4M3', make: u8 },
  18: { name: 'float8e4m3fnuz', dtype: 'F8_E4M3FNUZ', make: u8 },
  19: { name: 'float8e5m2', dtype: 'F8_E5M2', make: u8 },
  20: { name: 'float8e5m2fnuz', dtype: 'F8_E5M2FNUZ', make: u8 },
  21: packedInteger('uint4', 4),
  22: packedInteger('int4', 4),
  23: packedFloat('float4e2m1', 4),
  24: { name: 'float8e8m0', dtype: 'F8_E8M0', make: u8 },
  25: packedInteger('uint2', 2),
  26: packedInteger('int2', 2),
  27: packedFloat('float6e2m3', 6),
  28: packedFloat('float6e3m2', 6),
}

function packedInteger(name: string, width: number): StoredType {
  const half = name.startsWith('u') ? 2 ** width : 2 ** (width - 1)
  const numbers = Array.from({ length: 2 ** width }, (_, i) => (i < half ? i : i - 2 ** width))
  const dtype = name.startsWith('u') ? 'U8' : 'I8'
  return { name, dtype, make: u8, packed: { bits: width, numbers: () => Int8Array.from(numbers) } }
}

function packedFloat(name: NarrowFloatName, width: number): StoredType {
  return { name, dtype: 'F32', make: u8, packed: { bits: width, numbers: () => narrowFloats(name) } }
}

/** What the types are called that are not read. */
const otherTypes: Readonly<Record<number, string>> = {
  8: 'string',
  14: 'complex64',
  15: 'complex128',
}

/** @throws KerneletError `ERR_UNSUPPORTED` for a type that is not read */
function storedType(code: number, what: string): StoredType {
  const type = types[code]
  if (type) return type
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `${what} has the element type ${otherTypes[code] ?? code}; supported are ${Object.values(types)
      .map(({ name }) => name)
      .join(', ')}`,
  )
}

/** The name of an element type, also of one that is not read. */
export function typeName(code: number): string {
  return types[code]?.name ?? otherTypes[code] ?? String(code)
}

/** Where files of weights may lie. */
export interface DataFolder {
  /** The folder of the model; undefined where there is none, as with bytes. */
  readonly path: string | undefined
}

/** Bytes of numbers that tensors in files beside a model may become, beyond a multiple of those files' size. */
const freeBytes = 2 ** 26

/** Bytes of tensors for each byte of those files: several tensors may share some. */
const mostGrowth = 8

/**
 * What the tensors in files beside a model may take together. A thousand of them may refer to the same bytes, so
 * that a small model and a small file would fill any memory: every file counts once, however often it is read.
 */
class Budget {
  readonly #files: Set<string> = new Set()
  #left = freeBytes

  /** @throws KerneletError `ERR_UNSUPPORTED` when `bytes`, from a file of `size` bytes, are too many */
  spend(bytes: number, path: string, size: number, what: string): void {
    if (!this.#files.has(path)) this.#left += mostGrowth * size
    this.#files.add(path)
    this.#left -= bytes
    if (this.#left >= 0) return
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${what}: ${bytes} bytes more are wanted of ${path}; the tensors of a model may take ` +
        `${freeBytes / 2 ** 20} MB and ${mostGrowth} times the size of the files that they lie in`,
    )
  }
}

/** By the folder that a load makes: nothing is left behind when the model goes. */
const budgets = new WeakMap<DataFolder, Budget>()

function budgetOf(folder: DataFolder): Budget {
  const budget = budgets.get(folder) ?? new Budget()
  budgets.set(folder, budget)
  return budget
}

/** Tensors that were made of others: their bytes are no gift of the file. */
export const computed: WeakSet<TensorProto> = new WeakSet()

/**
 * The numbers of a tensor, its own, in their own type. Its bytes count as given in the budget of the model.
 *
 * @param what names it in errors
 * @throws KerneletError as `storedTensor`
 */
export function readTensor(tensor: TensorProto, what: string, folder: DataFolder): NdArray {
  const later = storedFloats(tensor, what, folder)
  if (later) {
    give(Float32Array.BYTES_PER_ELEMENT * later.length)
    return storedArray(tensor.dims, later)
  }
  const stored = storedTensor(tensor, what, folder)
  const type = elementTypeOf(tensor.data_type) as ElementType
  const { shape, bytes, dtype } = stored
  if (!computed.has(tensor)) give(bytes.length)
  if (type.single) {
    // bytes of a file beside the model were read for this tensor alone
    const fresh = dtype === 'F32' && tensor.data_location === 1
    const values = fresh
      ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
      : toFloat32(stored)
    return { type, shape, values }
  }
  const values = type.make((bytes.length * 8) / bits[dtype])
  // Copied byte by byte: nothing says that numbers begin at a multiple of their size.
  new Uint8Array(values.buffer).set(bytes)
  if (type.kind === 'bool') for (const [i, one] of values.entries()) values[i] = one === 0 ? 0 : 1
  return { type, shape, values }
}

/** Bytes from which numbers stay in their file until somebody asks for them. */
export const leftFrom: number = 2 ** 16

/** A tensor of a model's file that was read without its numbers. */
export type PlacedTensor = TensorProto & { place?: StoredFloats }

/** Files that may stay open for that; Windows lets nobody replace one that is. */
const mostOpen = process.platform === 'win32' ? 0 : 64

/** Whether the last file that was opened may stay so. */
export function mayStayOpen(): boolean {
  return PartReader.open <= mostOpen
}

/** Where many float32 lie that are in a file; undefined where the numbers are to be read now. */
function storedFloats(tensor: TensorProto, what: string, folder: DataFolder): StoredFloats | undefined {
  const { place } = tensor as PlacedTensor
  if (place) {
    checkSize(4 * place.length, sizeOf(tensor, what).size, tensor.dims, what)
    return place
  }
  if (tensor.data_location !== 1 || types[tensor.data_type]?.dtype !== 'F32') return undefined
  const { size } = sizeOf(tensor, what)
  if (size < leftFrom) return undefined
  return fromFile(tensor, what, folder, size, 1, (file, offset) =>
    mayStayOpen() ? new StoredFloats(keep(file, folder), offset, size / 4) : undefined,
  )
}

/**
 * A tensor as it is stored, in whichever field of the model or file beside it.
 *
 * @throws KerneletError `ERR_FORMAT` when its size is not what its shape says; `ERR_UNSUPPORTED` for its type, for
 *   more than 64 dimensions, or when files beside the model are referred to over and over (`Budget`); `ERR_IO` for a
 *   file of weights that cannot be read or lies outside the model's folder
 */
export function storedTensor(tensor: TensorProto, what: string, folder: DataFolder): StoredTensor {
  const { type, size } = sizeOf(tensor, what)
  const shape = tensor.dims
  const { packed } = type
  // Those of 6 bits, of which no whole number fits a byte, are one by one in the field for small integers.
  if (packed?.bits === 6 && tensor.data_location !== 1 && !tensor.raw_data) {
    checkSize(tensor.int32_data.length, elements(shape), shape, what)
    const patterns = Uint8Array.from(tensor.int32_data, (one) => one & 63)
    return { dtype: type.dtype, shape, bytes: numbersOf(patterns, packed) }
  }
  const bytes =
    tensor.data_location === 1
      ? fromFile(tensor, what, folder, size, growthOf(tensor.data_type, type), (file, offset) =>
          file.read(offset, size),
        )
      : (ownBytes(tensor) ?? bytesOf(type.make(fieldOf(tensor, type.name))))
  checkSize(bytes.length, size, shape, what)
  return {
    dtype: type.dtype,
    shape,
    bytes: packed ? numbersOf(unpack(bytes, packed.bits, elements(shape)), packed) : bytes,
  }
}

/** What patterns of bits stand for, as bytes. */
function numbersOf(patterns: Uint8Array, { numbers }: NonNullable<StoredType['packed']>): Uint8Array {
  const table = numbers()
  const values =
    table instanceof Float32Array ? new Float32Array(patterns.length) : new Int8Array(patterns.length)
  for (const [i, one] of patterns.entries()) values[i] = table[one] as number
  return bytesOf(values)
}

/** The bytes of a tensor that the model has as such. */
function ownBytes(tensor: PlacedTensor): Uint8Array | undefined {
  return tensor.place ? bytesOf(tensor.place.read()) : tensor.raw_data
}

/** The type of a tensor's numbers, and their bytes. */
function sizeOf(tensor: TensorProto, what: string): { type: StoredType; size: number } {
  const type = storedType(tensor.data_type, what)
  const shape = tensor.dims
  if (shape.length > mostDimensions) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${what}: it has ${shape.length} dimensions; at most ${mostDimensions} are read`,
    )
  }
  let size = widthOf(type)
  for (const dimension of shape) {
    size *= dimension
    if (!Number.isSafeInteger(dimension) || dimension < 0 || !Number.isSafeInteger(size)) {
      throw new KerneletError('ERR_FORMAT', `${what}: its shape is ${show(shape)}`)
    }
  }
  return { type, size: Math.ceil(size / 8) }
}

/** Bytes in memory for each byte of a file: narrow floats become float32. */
function growthOf(code: number, type: StoredType): number {
  const { BYTES_PER_ELEMENT: held } = (elementTypeOf(code) as ElementType).make(0)
  return (8 * held) / widthOf(type)
}

/** Bits of an element in the file. */
function widthOf({ dtype, packed }: StoredType): number {
  return packed?.bits ?? bits[dtype]
}

function checkSize(received: number, expected: number, shape: readonly number[], what: string): void {
  if (received === expected) return
  throw new KerneletError(
    'ERR_FORMAT',
    `${what}: expected ${expected} bytes for ${formatShape(shape)} but the model has ${received}`,
  )
}

function bytesOf(array: NodeJS.TypedArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

/** The field that holds numbers of a type one by one: small ones, and the bits of half floats, as int32. */
function fieldOf(tensor: TensorProto, type: string): readonly number[] {
  switch (type) {
    case 'float':
      return tensor.float_data
    case 'double':
      return tensor.double_data
    case 'int64':
      return tensor.int64_data
    case 'uint32':
    case 'uint64':
      return tensor.uint64_data
    default:
      return tensor.int32_data
  }
}

/**
 * What `use` makes of the bytes of a tensor in a file beside the model.
 *
 * @param growth bytes in memory for each of them
 */
function fromFile<T>(
  tensor: TensorProto,
  what: string,
  folder: DataFolder,
  expected: number,
  growth: number,
  use: (file: PartReader, offset: number) => T,
): T {
  const notes = new Map(tensor.external_data.map(({ key, value }) => [key, value]))
  const path = locate(notes.get('location') ?? '', what, folder)
  const offset = notes.has('offset') ? count(notes.get('offset') as string, 'offset', what) : 0
  const length = notes.has('length') ? count(notes.get('length') as string, 'length', what) : expected
  checkSize(length, expected, tensor.dims, what)
  try {
    const file = opened(path, folder)
    budgetOf(folder).spend(growth * length, path, file.size, what)
    return use(file, offset)
  } catch (cause) {
    if (cause instanceof KerneletError && cause.code !== 'ERR_IO') throw cause
    throw new KerneletError('ERR_IO', `${what}: ${messageOf(cause)}`, { cause })
  }
}

function count(text: string, field: string, what: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new KerneletError('ERR_FORMAT', `${what}: the ${field} of its external data is ${show(text)}`)
}

/** The files that are open for a load, by path, and of them those that stay open for numbers that are left there. */
interface Files {
  readonly open: Map<string, PartReader>
  readonly kept: Set<PartReader>
}

const files = new WeakMap<DataFolder, Files>()

function filesOf(folder: DataFolder): Files {
  const known = files.get(folder) ?? { open: new Map(), kept: new Set() }
  files.set(folder, known)
  return known
}

function opened(path: string, folder: DataFolder): PartReader {
  const { open } = filesOf(folder)
  const file = open.get(path) ?? new PartReader(path)
  open.set(path, file)
  return file
}

function keep(file: PartReader, folder: DataFolder): PartReader {
  filesOf(folder).kept.add(file)
  return file
}

/** Calls `load`, which reads tensors, and closes the files of which nothing is left to be read. */
export function closingFiles<T>(folder: DataFolder, load: () => T): T {
  try {
    return load()
  } finally {
    const { open, kept } = filesOf(folder)
    files.delete(folder)
    for (const file of open.values()) if (!kept.has(file)) file.close()
  }
}

/** The files that the tensors of a model named so far, by the folder that a load makes. */
const located = new WeakMap<DataFolder, Map<string, string>>()

/** The path of a file of weights, which a model may only name below its own folder, links followed. */
function locate(location: string, what: string, folder: DataFolder): string {
  const known = located.get(folder) ?? new Map<string, string>()
  const path = known.get(location) ?? find(location, what, folder)
  located.set(folder, known.set(location, path))
  return path
}

function find(location: string, what: string, folder: DataFolder): string {
  if (folder.path === undefined) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${what} lies in a file of its own, ${show(location)}: load the model by its path, or say where with ` +
        `{ dataFolder }`,
    )
  }
  let path: string | undefined
  try {
    path = locateBelow(location, folder.path)
  } catch (cause) {
    const { message } = unreadable(join(folder.path, location), cause)
    throw new KerneletError('ERR_IO', `${what}: ${message}`, { cause })
  }
  if (path === undefined) throw outside(location, what)
  return path
}

function outside(location: string, what: string): KerneletError {
  return new KerneletError(
    'ERR_IO',
    `${what}: its file ${show(location)} is not below the folder of the model, so it is not read`,
  )
}
