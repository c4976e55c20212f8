/** Shape arithmetic: how large things are, and how arguments that describe sizes are read. */
import { isInteger, itemsOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

/** One number for both directions, or [height, width]. */
export type Pair = number | readonly [height: number, width: number]

/** What is put around an image: the same on opposite sides, or each side by itself. */
export type Padding = Pair | readonly [top: number, left: number, bottom: number, right: number]

/** The native core addresses the elements of one tensor by 32-bit integers. */
const largest = 2 ** 31 - 1

/** PyTorch's limit too. */
export const mostDimensions = 64

/** The native core's limit for windows, strides, paddings and dilations. */
const largestExtent = 2 ** 15

function isSize(value: unknown, minimum: number, maximum = largest): value is number {
  return isInteger(value) && value >= minimum && value <= maximum
}

/** `value` checked as an integer of at least `minimum`; `what` names it in the error. */
export function size(value: unknown, what: string, minimum: number): number {
  if (isSize(value, minimum)) return value
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${what} must be an integer of at least ${minimum} but is ${show(value)}`,
  )
}

/** A number or pair that says something of a window as [height, width], each at least `minimum`. */
export function pair(value: unknown, what: string, minimum: number): [number, number] {
  const fits = (one: unknown): one is number => isSize(one, minimum, largestExtent)
  const [height, width, ...more] = (Array.isArray(value) ? itemsOf(value, 2) : [value, value]) ?? []
  if (fits(height) && fits(width) && more.length === 0) return [height, width]
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${what} must be an integer from ${minimum} to ${largestExtent}, or a pair [height, width] of them, but is ${show(value)}`,
  )
}

/** Padding as [top, left, bottom, right]. */
export function sides(value: unknown, what: string): [number, number, number, number] {
  const four = itemsOf(value, 4)
  if (four?.length === 4) {
    const [top, left] = pair(four.slice(0, 2), what, 0)
    const [bottom, right] = pair(four.slice(2), what, 0)
    return [top, left, bottom, right]
  }
  const [height, width] = pair(value, what, 0)
  return [height, width, height, width]
}

/** Padding of [channels, length], a number or [before, after], as [0, before, 0, after]. */
export function ends(value: unknown, what: string): [number, number, number, number] {
  const [before, after] = pair(value, what, 0)
  return [0, before, 0, after]
}

/** A number that says something of a window over [channels, length], or [number], as [minimum, number]. */
export function along(value: unknown, what: string, minimum: number): [number, number] {
  const one = Array.isArray(value) && value.length === 1 ? value[0] : value
  if (isSize(one, minimum, largestExtent)) return [minimum, one]
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${what} must be an integer from ${minimum} to ${largestExtent} but is ${show(value)}`,
  )
}

/** `shape` checked (positive integers) and copied. */
export function checkShape(shape: unknown, what: string): number[] {
  const sizes = itemsOf(shape, mostDimensions)
  if (sizes?.every((one): one is number => isSize(one, 1))) return sizes
  throw new KerneletError(
    'ERR_SHAPE',
    `${what} must be an array of positive integers such as [1, 28, 28] but is ${show(shape)}`,
  )
}

/** Number of elements of a shape; 1 for a scalar's `[]`. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, one) => product * one, 1)
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i])
}

/** `[1, 28, 28]` as `1×28×28`; of very many dimensions the first. */
export function formatShape(shape: readonly number[]): string {
  if (shape.length > mostShown) return `${shape.slice(0, 8).join('×')}×… (${shape.length} dimensions)`
  return shape.length === 0 ? 'scalar' : shape.join('×')
}

/** Dimensions that a sentence may have. */
const mostShown = 16

/** An index that may count from the end, as PyTorch's `dim`, made to count from the start. */
export function normaliseDim(dim: unknown, rank: number, what: string): number {
  if (isInteger(dim) && dim >= -rank && dim < rank) {
    return dim < 0 ? dim + rank : dim
  }
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${what} must be an integer from ${-rank} to ${rank - 1} for a tensor of rank ${rank} but is ${show(dim)}`,
  )
}

/** What a window covers of the input: `dilation·(kernel − 1) + 1`. */
export function windowExtent(kernel: number, dilation: number): number {
  return dilation * (kernel - 1) + 1
}

/**
 * Positions of a sliding window along one direction: `floor((in + padding − extent) / stride) + 1`, where
 * `before + after` is the padding. With `ceilMode` a last window may hang over the edge, unless it would
 * start in the padding after it (PyTorch's `pooling_output_shape`). Zero or less: the window does not fit.
 */
export function windowCount(
  input: number,
  kernel: number,
  stride: number,
  before: number,
  after: number,
  dilation: number,
  ceilMode = false,
): number {
  const room = input + before + after - windowExtent(kernel, dilation)
  if (room < 0) return 0
  if (!ceilMode) return Math.floor(room / stride) + 1
  const count = Math.ceil(room / stride) + 1
  return (count - 1) * stride >= input + before ? count - 1 : count
}

/** Shape of an image given height first and channels last, if `shape` looks like that for `channels`. */
export function looksLikeNhwc(shape: readonly number[], channels: number): boolean {
  return shape.length === 3 && shape[0] !== channels && shape[2] === channels
}
