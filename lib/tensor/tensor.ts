/** Tensor: numbers and their shape. */

import { types } from 'node:util'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { lengthOf } from '../util/typed-array.ts'
import { checkShape, elements, formatShape } from './shape.ts'
import { StoredFloats } from './stored.ts'

/** Stands for the data of a tensor that has none: one that only records what is done with it. */
export const noData: Float32Array = new Float32Array(0)

/** Where the numbers of a tensor lie that nobody has asked for yet; undefined where they are in memory. */
export let storedOf: (tensor: Tensor) => StoredFloats | undefined
/** Puts numbers that lie in a file, as many as its shape says, into a tensor that was made with `noData`. */
export let store: <T extends Tensor>(tensor: T, floats: StoredFloats) => T

/**
 * A Float32Array with a shape, in row-major order; images are NCHW (batch, channels, height, width).
 * The array is kept, not copied: writing to it changes the tensor. It may lie in a SharedArrayBuffer.
 * @example
 * const x = new Tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3])
 * x.shape // → [2, 3]
 * x.data[5] // → 6
 */
export class Tensor {
  /** Size of each dimension; `[]` for a scalar. */
  readonly shape: readonly number[]
  #data: Float32Array | StoredFloats

  static {
    storedOf = (tensor) => (tensor.#data instanceof StoredFloats ? tensor.#data : undefined)
    store = (tensor, floats) => {
      tensor.#data = floats
      return tensor
    }
  }

  /**
   * @throws KerneletError `ERR_ARGUMENT` when `data` is no Float32Array, `ERR_SHAPE` when its length is not
   *   the product of `shape` (a detached buffer has length 0).
   */
  constructor(data: Float32Array, shape: readonly number[]) {
    const sizes = checkShape(shape, 'Tensor: shape')
    if (data !== noData) checkData(data, sizes)
    this.shape = Object.freeze(sizes)
    this.#data = data
  }

  /**
   * Whether a value is a Tensor. Not by `instanceof`: an object that only has the prototype has no numbers, and a Proxy
   * may do anything when it is asked.
   * @example
   * Tensor.is(new Tensor(new Float32Array(2), [2])) // → true
   * Tensor.is([1, 2]) // → false
   */
  static is(value: unknown): value is Tensor {
    return typeof value === 'object' && value !== null && #data in value
  }

  /**
   * The numbers themselves, not a copy.
   *
   * @throws KerneletError `ERR_IO` when they still lie in the file of a model that was loaded, and it cannot be read, or
   *   was written to since then
   */
  get data(): Float32Array {
    if (this.#data instanceof StoredFloats) this.#data = this.#data.read()
    return this.#data
  }
}

function checkData(data: unknown, shape: readonly number[]): void {
  if (!types.isFloat32Array(data)) {
    const hint =
      Array.isArray(data) || ArrayBuffer.isView(data) ? '; convert it with Float32Array.from(data)' : ''
    throw new KerneletError('ERR_ARGUMENT', `Tensor: data must be a Float32Array but is ${show(data)}${hint}`)
  }
  const expected = elements(shape)
  if (lengthOf(data) !== expected) {
    throw new KerneletError(
      'ERR_SHAPE',
      `Tensor: expected ${expected} values for shape ${formatShape(shape)} but received ${received(data)}`,
    )
  }
}

/** The length of an array for an error message, which for a detached buffer says why it is 0. */
export function received(data: Float32Array | Uint8Array | Uint8ClampedArray): string {
  const length = lengthOf(data)
  return length === 0 ? '0 (an empty or detached buffer)' : String(length)
}
