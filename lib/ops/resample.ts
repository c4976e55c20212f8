/**
 * Dimensions resized by sums of several neighbours: bicubic and smoothed resizing, and whatever else a fixed sum of an
 * axis' elements gives. Each dimension is one product with a matrix that is known before the image.
 */
import { elements } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { matmul } from './matmul.ts'
import { reshape } from './movement.ts'

/** How much a neighbour counts at a distance of `x` pixels. */
export type Kernel = (x: number) => number

/** Straight between two neighbours. */
export const triangle: Kernel = (x) => Math.max(0, 1 - Math.abs(x))

/** Keys' cubic over four neighbours; `a` is its slope at a distance of one. */
export function cubic(a: number): Kernel {
  return (given) => {
    const x = Math.abs(given)
    if (x >= 2) return 0
    if (x >= 1) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return ((a + 2) * x - (a + 3)) * x * x + 1
  }
}

/** How the elements of one dimension become those of another. */
export interface Resample {
  readonly from: number
  readonly to: number
  /** Where element `i` of the result lies among those of the input; undefined: nowhere, it is zero. */
  readonly place: (i: number) => number | undefined
  readonly kernel: Kernel
  /** Neighbours on each side that the kernel reaches. */
  readonly reach: number
  /** Above 1: the kernel is so much wider, so that every element of a larger input counts. */
  readonly wider?: number | undefined
  /** Neighbours beyond the edge count nothing, and the others more; else the edge stands for them. */
  readonly dropOutside?: boolean | undefined
}

/** The most numbers of a matrix: 256 MB. */
const mostShares = 2 ** 26

/**
 * The shares of the input's elements in those of the result, [to, from]; each row's sum is 1, or it is zero.
 *
 * @throws KerneletError `ERR_UNSUPPORTED` for a matrix of more than 256 MB
 */
export function shares({
  from,
  to,
  place,
  kernel,
  reach,
  wider = 1,
  dropOutside = false,
}: Resample): Float32Array {
  if (!(to * from <= mostShares)) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `a side of ${from} is not resized to ${to} by sums of neighbours: the product may be ${mostShares}`,
    )
  }
  const matrix = new Float32Array(to * from)
  const row = new Float64Array(from)
  const half = reach * wider
  for (let i = 0; i < to; i++) {
    const given = place(i)
    if (given === undefined) continue
    // beyond the edge by more than the kernel reaches is like further out
    const at = Math.min(Math.max(given || 0, -1 - half), from + half)
    row.fill(0)
    let sum = 0
    const first = Math.max(Math.ceil(at - half), dropOutside ? 0 : Number.NEGATIVE_INFINITY)
    const last = Math.min(Math.floor(at + half), dropOutside ? from - 1 : Number.POSITIVE_INFINITY)
    for (let j = first; j <= last; j++) {
      const share = kernel((j - at) / wider)
      const edge = Math.min(Math.max(j, 0), from - 1)
      row[edge] = (row[edge] as number) + share
      sum += share
    }
    if (sum === 0) {
      row[Math.min(Math.max(Math.round(at), 0), from - 1)] = 1
      sum = 1
    }
    for (let j = 0; j < from; j++) matrix[i * from + j] = (row[j] as number) / sum
  }
  return matrix
}

/**
 * One dimension of `x` times a matrix: [..., from, ...] becomes [..., to, ...].
 *
 * @param matrix [to, from], row by row
 */
export function resampled(x: Tensor, axis: number, matrix: Float32Array, to: number): Tensor {
  const { shape } = x
  const from = shape[axis] ?? 1
  const result = shape.with(axis, to)
  if (axis === 0) {
    const rest = elements(shape.slice(1))
    return reshape(matmul(new Tensor(matrix, [to, from]), reshape(x, [from, rest])), result)
  }
  const [n = 1] = shape
  const [before, after] = [elements(shape.slice(1, axis)), elements(shape.slice(axis + 1))]
  if (after > 1) {
    return reshape(matmul(new Tensor(matrix, [to, from]), reshape(x, [n, before, from, after])), result)
  }
  const turned = new Float32Array(matrix.length)
  for (let i = 0; i < to; i++)
    for (let j = 0; j < from; j++) turned[j * to + i] = matrix[i * from + j] as number
  return reshape(matmul(reshape(x, [n, before, from]), new Tensor(turned, [from, to])), result)
}
