/**
 * Arrays of numbers with a shape, in JavaScript: what is computed once, before any image (shapes, indices, folded
 * weights), and what an operator does to real tensors without a native operation for it.
 */
import { elements, formatShape, sameShape } from '../../tensor/shape.ts'
import type { StoredFloats } from '../../tensor/stored.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import { mostDimensions } from '../dtype.ts'
import { spend } from './budget.ts'
import { convert, type ElementType, float32, float64, int64, type Scalar, type Values } from './element.ts'

/** What a bigint costs. */
const wideSteps = 16

/** Unlike a Tensor it may hold numbers of any type, and nothing at all (a dimension of 0). */
export interface NdArray {
  readonly type: ElementType
  readonly shape: readonly number[]
  readonly values: Values
}

/** Arrays whose numbers lie in files. */
const places = new WeakMap<NdArray, StoredFloats>()

/** An array of float32 that is read from its file when somebody asks for its numbers. */
export function storedArray(shape: readonly number[], floats: StoredFloats): NdArray {
  let values: Float32Array | undefined
  const array: NdArray = {
    type: float32,
    shape,
    get values() {
      values ??= floats.read()
      return values
    },
  }
  places.set(array, floats)
  return array
}

/** Where the numbers of an array lie, if that is in a file. */
export function placeOf(array: NdArray): StoredFloats | undefined {
  return places.get(array)
}

/** Room for an array that a model asks for, taken from the budget that there is. */
export function allocate(type: ElementType, shape: readonly number[]): NdArray {
  checkRank(shape.length)
  const length = elements(shape)
  if (!(length >= 0 && length <= 2 ** 32)) {
    throw new KerneletError('ERR_UNSUPPORTED', `an array of ${formatShape(shape)} elements is too large`)
  }
  spend(length, length * type.make(0).BYTES_PER_ELEMENT)
  return { type, shape, values: type.make(length) }
}

/** @throws KerneletError `ERR_UNSUPPORTED` for more dimensions than arrays have anywhere */
export function checkRank(rank: number): void {
  if (rank <= mostDimensions) return
  throw new KerneletError('ERR_UNSUPPORTED', `an array of ${rank} dimensions; there may be ${mostDimensions}`)
}

export function filled(type: ElementType, shape: readonly number[], value: Scalar): NdArray {
  const array = allocate(type, shape)
  ;(array.values as Float64Array).fill(value as number)
  return array
}

/** A list of int64, such as a shape. */
export function integers(values: readonly number[]): NdArray {
  return { type: int64, shape: [values.length], values: BigInt64Array.from(values, BigInt) }
}

/** A tensor's numbers, not copied. */
export function fromTensor(tensor: Tensor): NdArray {
  return { type: float32, shape: tensor.shape, values: tensor.data }
}

/**
 * The numbers as float32: the same where they are held so, else rounded to the nearest.
 *
 * @throws KerneletError `ERR_UNSUPPORTED` for a double that is finite and beyond float32
 */
export function toFloat32(array: NdArray): Float32Array {
  const { values, type } = array
  if (values instanceof Float32Array) return values
  const result = convert(values, type, float32, true) as Float32Array
  if (type !== float64) return result
  for (let i = 0; i < result.length; i++) {
    if (Number.isFinite(result[i]) || !Number.isFinite(values[i])) continue
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `the ${type.name} ${values[i]} is beyond float32, in which this is computed (at most 3.4e38)`,
    )
  }
  return result
}

/** A Tensor of the numbers; see `toFloat32`. */
export function toTensor(array: NdArray): Tensor {
  const { shape } = array
  if (elements(shape) === 0) {
    throw new KerneletError('ERR_UNSUPPORTED', `a tensor without elements (${formatShape(shape)})`)
  }
  return new Tensor(toFloat32(array), shape)
}

/** The first number, as a double. */
export function first({ values }: NdArray): number | undefined {
  return values.length === 0 ? undefined : Number(values[0])
}

/** Elements from one index of a dimension to the next. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides: number[] = []
  for (let d = shape.length - 1, step = 1; d >= 0; step *= shape[d] ?? 0, d--) strides[d] = step
  return strides
}

/** `shape` with ones in front up to `rank`. */
function padded(shape: readonly number[], rank: number): number[] {
  return [...Array<number>(rank - shape.length).fill(1), ...shape]
}

/** The common shape of NumPy's broadcasting. */
export function broadcastShapes(shapes: readonly (readonly number[])[]): number[] {
  const rank = shapes.reduce((most, shape) => Math.max(most, shape.length), 0)
  checkRank(rank)
  const result = Array<number>(rank).fill(1)
  for (const shape of shapes) {
    for (const [d, size] of padded(shape, rank).entries()) {
      if (size === 1 || size === result[d]) continue
      if (result[d] !== 1) {
        throw new KerneletError(
          'ERR_SHAPE',
          `the shapes ${shapes.slice(0, 4).map(formatShape).join(' and ')} do not broadcast`,
        )
      }
      result[d] = size
    }
  }
  return result
}

/** The elements of `array` that an array of `shape` takes: `steps[d]` apart along dimension d, from `start` on. */
export function view(
  array: NdArray,
  shape: readonly number[],
  start: number,
  steps: readonly number[],
): NdArray {
  const result = allocate(array.type, shape)
  const total = result.values.length
  if (total === 0) return result
  // dimensions of one element only cost time
  const kept = shape.map((_, d) => d).filter((d) => shape[d] !== 1)
  const sizes = kept.map((d) => shape[d] ?? 0)
  const apart = kept.map((d) => steps[d] ?? 0)
  const [row, step] = [sizes.pop() ?? 1, apart.pop() ?? 1]
  const index = new Array<number>(sizes.length).fill(0)
  const [target, source] = [result.values as Float64Array, array.values as Float64Array]
  for (let to = 0, from = start; to < total; ) {
    for (let i = 0, at = from; i < row; i++, at += step) target[to++] = source[at] ?? 0
    for (let d = sizes.length - 1; d >= 0; d--) {
      from += apart[d] ?? 0
      index[d] = (index[d] ?? 0) + 1
      if ((index[d] ?? 0) < (sizes[d] ?? 0)) break
      from -= (apart[d] ?? 0) * (sizes[d] ?? 0)
      index[d] = 0
    }
  }
  return result
}

export function broadcastTo(array: NdArray, shape: readonly number[]): NdArray {
  if (sameShape(array.shape, shape)) return array
  const own = padded(array.shape, shape.length)
  const strides = stridesOf(own).map((stride, d) => (own[d] === 1 ? 0 : stride))
  return view(array, shape, 0, strides)
}

/**
 * Element by element, broadcasting. What is computed is stored as a number of `type`: rounded, or wrapped.
 *
 * @param compute gets numbers as the arrays hold them: bigints of 64 bits, or doubles
 */
export function combine<T extends Scalar>(
  type: ElementType,
  arrays: readonly NdArray[],
  compute: (a: T, b: T, c: T) => Scalar,
): NdArray {
  const shape = broadcastShapes(arrays.map((array) => array.shape))
  const [a, b = a, c = a] = arrays.map((array) => broadcastTo(array, shape).values as ArrayLike<unknown>) as [
    ArrayLike<T>,
    ArrayLike<T>?,
    ArrayLike<T>?,
  ]
  const result = allocate(type, shape)
  const target = result.values as Float64Array
  if (arrays.some((array) => array.type.wide)) spend(wideSteps * target.length)
  const { round } = type
  for (let i = 0; i < target.length; i++) {
    const value = compute(a[i] as T, b[i] as T, c[i] as T) as number
    target[i] = round ? round(value) : value
  }
  return result
}

/** Output dimension i is input dimension `axes[i]`. */
export function transpose(array: NdArray, axes: readonly number[]): NdArray {
  const strides = stridesOf(array.shape)
  const pick = (list: readonly number[]) => axes.map((axis) => list[axis] ?? 0)
  return view(array, pick(array.shape), 0, pick(strides))
}

/** `counts[d]` elements of every dimension, from `starts[d]` in steps of `steps[d]`. */
export function slice(
  array: NdArray,
  starts: readonly number[],
  steps: readonly number[],
  counts: readonly number[],
): NdArray {
  const strides = stridesOf(array.shape)
  const start = starts.reduce((sum, at, d) => sum + at * (strides[d] ?? 0), 0)
  return view(
    array,
    counts,
    start,
    strides.map((stride, d) => stride * (steps[d] ?? 0)),
  )
}

/** Copies `count` elements from one array to another of the same type. */
export function copy(from: Values, at: number, to: Values, start: number, count: number): void {
  const [source, target] = [from as Float64Array, to as Float64Array]
  if (count > 16) target.set(source.subarray(at, at + count), start)
  else for (let i = 0; i < count; i++) target[start + i] = source[at + i] ?? 0
}

/** The rows of `axis` that `indices` names. */
export function gather(array: NdArray, indices: NdArray, axis: number): NdArray {
  const size = array.shape[axis] ?? 0
  const inner = elements(array.shape.slice(axis + 1))
  const outer = elements(array.shape.slice(0, axis))
  const shape = [...array.shape.slice(0, axis), ...indices.shape, ...array.shape.slice(axis + 1)]
  const result = allocate(array.type, shape)
  const count = indices.values.length
  spend(outer * count + count)
  const rows = new Float64Array(count)
  for (let i = 0; i < count; i++) {
    const index = Number(indices.values[i])
    const at = index < 0 ? index + size : index
    if (!(at >= 0 && at < size)) {
      throw new KerneletError('ERR_SHAPE', `index ${index} is outside a dimension of ${size}`)
    }
    rows[i] = at
  }
  let to = 0
  for (let i = 0; i < outer; i++) {
    for (const at of rows) {
      copy(array.values, (i * size + at) * inner, result.values, to, inner)
      to += inner
    }
  }
  return result
}

export function concat(arrays: readonly NdArray[], axis: number): NdArray {
  const head = arrays[0] as NdArray
  const sizes = arrays.map((array) => array.shape[axis] ?? 0)
  for (const { shape } of arrays) {
    if (shape.length !== head.shape.length || shape.some((one, d) => d !== axis && one !== head.shape[d])) {
      throw new KerneletError(
        'ERR_SHAPE',
        `shapes ${formatShape(head.shape)} and ${formatShape(shape)} differ in more than dimension ${axis}`,
      )
    }
  }
  const shape = head.shape.map((one, d) => (d === axis ? sizes.reduce((sum, size) => sum + size, 0) : one))
  const result = allocate(head.type, shape)
  const outer = elements(shape.slice(0, axis))
  const inners = arrays.map((array) => elements(array.shape.slice(axis)))
  spend(outer * arrays.length)
  let to = 0
  for (let i = 0; i < outer; i++) {
    for (const [k, { values }] of arrays.entries()) {
      const inner = inners[k] ?? 0
      copy(values, i * inner, result.values, to, inner)
      to += inner
    }
  }
  return result
}

/** Folds elements `from` to `to` of a row, which holds bigints for integers of 64 bits, into one. */
export type Fold = (values: Values, from: number, to: number) => Scalar

/** Folds the dimensions `axes` into one value each; with `keepDims` they stay as 1. */
export function reduce(array: NdArray, axes: readonly number[], keepDims: boolean, fold: Fold): NdArray {
  const kept = array.shape.map((_, d) => d).filter((d) => !axes.includes(d))
  const moved = transpose(array, [...kept, ...axes])
  const count = elements(axes.map((axis) => array.shape[axis] ?? 0))
  const { type } = array
  const result = allocate(
    type,
    kept.map((d) => array.shape[d] ?? 0),
  )
  const target = result.values as Float64Array
  spend(type.wide ? wideSteps * moved.values.length : target.length)
  for (let i = 0; i < target.length; i++) {
    const value = fold(moved.values, i * count, (i + 1) * count) as number
    target[i] = type.round ? type.round(value) : value
  }
  if (!keepDims) return result
  return { ...result, shape: array.shape.map((size, d) => (axes.includes(d) ? 1 : size)) }
}
