/**
 * Arrays of numbers with a shape, in JavaScript: what is computed once, before any image (shapes, indices, folded
 * weights), and what an operator does to real tensors without a native operation for it.
 */

import { elements, formatShape, sameShape } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'

/** Floats of every width are float32; integers of every width are doubles, exact to 2⁵³; a bool is 0 or 1. */
export type Kind = 'float' | 'int' | 'bool'

/** Unlike a Tensor it may hold integers, and nothing at all (a dimension of 0). */
export interface NdArray {
  readonly kind: Kind
  readonly shape: readonly number[]
  readonly values: Float32Array | Float64Array
}

/** So many elements a computed array may have: a few bytes of a file can ask for any size. */
const most = 2 ** 28

/** Room for an array that a file asks for. */
export function allocate(kind: Kind, shape: readonly number[]): NdArray {
  const length = elements(shape)
  if (!(length <= most)) {
    throw new KerneletError('ERR_UNSUPPORTED', `an array of ${formatShape(shape)} elements is too large`)
  }
  return { kind, shape, values: new (kind === 'float' ? Float32Array : Float64Array)(length) }
}

export function filled(kind: Kind, shape: readonly number[], value: number): NdArray {
  const array = allocate(kind, shape)
  array.values.fill(value)
  return array
}

/** A list of integers, such as a shape. */
export function integers(values: readonly number[]): NdArray {
  return { kind: 'int', shape: [values.length], values: Float64Array.from(values) }
}

/** A tensor's numbers, not copied. */
export function fromTensor(tensor: Tensor): NdArray {
  return { kind: 'float', shape: tensor.shape, values: tensor.data }
}

/** A Tensor of the numbers, which are rounded to float32 where they are not. */
export function toTensor({ kind, shape, values }: NdArray): Tensor {
  if (elements(shape) === 0) {
    throw new KerneletError('ERR_UNSUPPORTED', `a tensor without elements (${formatShape(shape)})`)
  }
  return new Tensor(kind === 'float' ? (values as Float32Array) : Float32Array.from(values), shape)
}

/** Elements from one index of a dimension to the next. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides: number[] = []
  for (let d = shape.length - 1, step = 1; d >= 0; step *= shape[d] as number, d--) strides[d] = step
  return strides
}

/** `shape` with ones in front up to `rank`. */
function padded(shape: readonly number[], rank: number): number[] {
  return [...Array<number>(rank - shape.length).fill(1), ...shape]
}

/** The common shape of NumPy's broadcasting. */
export function broadcastShapes(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length))
  const aligned = shapes.map((shape) => padded(shape, rank))
  return Array.from({ length: rank }, (_, d) => {
    const sizes = new Set(aligned.map((shape) => shape[d] as number).filter((size) => size !== 1))
    if (sizes.size > 1) {
      throw new KerneletError(
        'ERR_SHAPE',
        `the shapes ${shapes.map(formatShape).join(' and ')} do not broadcast`,
      )
    }
    return [...sizes][0] ?? 1
  })
}

/**
 * Where the elements of an array of `shape` come from: `visit(to, from)` for every one in order, where `from`
 * advances by `steps[d]` along dimension d and starts at `start`.
 */
function walk(
  shape: readonly number[],
  start: number,
  steps: readonly number[],
  visit: (to: number, from: number) => void,
): void {
  const rank = shape.length
  const index = new Array<number>(rank).fill(0)
  const total = elements(shape)
  for (let to = 0, from = start; to < total; to++) {
    visit(to, from)
    for (let d = rank - 1; d >= 0; d--) {
      from += steps[d] as number
      if (++(index[d] as number) < (shape[d] as number)) break
      from -= (steps[d] as number) * (shape[d] as number)
      index[d] = 0
    }
  }
}

/** The elements of `array` that an array of `shape` takes, `steps` apart. */
export function view(
  array: NdArray,
  shape: readonly number[],
  start: number,
  steps: readonly number[],
): NdArray {
  const result = allocate(array.kind, shape)
  const { values } = result
  walk(shape, start, steps, (to, from) => {
    values[to] = array.values[from] as number
  })
  return result
}

export function broadcastTo(array: NdArray, shape: readonly number[]): NdArray {
  if (sameShape(array.shape, shape)) return array
  const own = padded(array.shape, shape.length)
  const strides = stridesOf(own).map((stride, d) => (own[d] === 1 ? 0 : stride))
  return view(array, shape, 0, strides)
}

/** Element by element, broadcasting. */
export function combine(
  kind: Kind,
  arrays: readonly NdArray[],
  compute: (...values: number[]) => number,
): NdArray {
  const shape = broadcastShapes(arrays.map((array) => array.shape))
  const sources = arrays.map((array) => broadcastTo(array, shape).values)
  const result = allocate(kind, shape)
  for (let i = 0; i < result.values.length; i++) {
    result.values[i] = compute(...sources.map((source) => source[i] as number))
  }
  return result
}

/** Output dimension i is input dimension `axes[i]`. */
export function transpose(array: NdArray, axes: readonly number[]): NdArray {
  const strides = stridesOf(array.shape)
  const pick = (list: readonly number[]) => axes.map((axis) => list[axis] as number)
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
  const start = starts.reduce((sum, at, d) => sum + at * (strides[d] as number), 0)
  return view(
    array,
    counts,
    start,
    strides.map((stride, d) => stride * (steps[d] as number)),
  )
}

/** The rows of `axis` that `indices` names. */
export function gather(array: NdArray, indices: NdArray, axis: number): NdArray {
  const size = array.shape[axis] as number
  const inner = elements(array.shape.slice(axis + 1))
  const outer = elements(array.shape.slice(0, axis))
  const shape = [...array.shape.slice(0, axis), ...indices.shape, ...array.shape.slice(axis + 1)]
  const result = allocate(array.kind, shape)
  let to = 0
  for (let i = 0; i < outer; i++) {
    for (const index of indices.values) {
      const at = index < 0 ? index + size : index
      if (!(at >= 0 && at < size)) {
        throw new KerneletError('ERR_SHAPE', `index ${index} is outside a dimension of ${size}`)
      }
      const from = (i * size + at) * inner
      result.values.set(array.values.subarray(from, from + inner), to)
      to += inner
    }
  }
  return result
}

export function concat(arrays: readonly NdArray[], axis: number): NdArray {
  const first = arrays[0] as NdArray
  const sizes = arrays.map((array) => array.shape[axis] as number)
  for (const { shape } of arrays) {
    if (shape.length !== first.shape.length || shape.some((one, d) => d !== axis && one !== first.shape[d])) {
      throw new KerneletError(
        'ERR_SHAPE',
        `shapes ${formatShape(first.shape)} and ${formatShape(shape)} differ in more than dimension ${axis}`,
      )
    }
  }
  const shape = first.shape.map((one, d) => (d === axis ? sizes.reduce((sum, size) => sum + size, 0) : one))
  const result = allocate(first.kind, shape)
  const outer = elements(shape.slice(0, axis))
  let to = 0
  for (let i = 0; i < outer; i++) {
    for (const { shape: own, values } of arrays) {
      const inner = elements(own.slice(axis))
      result.values.set(values.subarray(i * inner, (i + 1) * inner), to)
      to += inner
    }
  }
  return result
}

/** Folds the dimensions `axes` into one value each; with `keepDims` they stay as 1. */
export function reduce(
  array: NdArray,
  axes: readonly number[],
  keepDims: boolean,
  fold: (values: Float64Array) => number,
): NdArray {
  const kept = array.shape.map((_, d) => d).filter((d) => !axes.includes(d))
  const moved = transpose(array, [...kept, ...axes])
  const count = elements(axes.map((axis) => array.shape[axis] as number))
  const result = allocate(
    array.kind,
    kept.map((d) => array.shape[d] as number),
  )
  for (let i = 0; i < result.values.length; i++) {
    result.values[i] = fold(Float64Array.from(moved.values.subarray(i * count, (i + 1) * count)))
  }
  if (!keepDims) return result
  return { ...result, shape: array.shape.map((size, d) => (axes.includes(d) ? 1 : size)) }
}
