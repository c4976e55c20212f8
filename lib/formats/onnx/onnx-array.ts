/** What goes into and comes out of OnnxModel.run. */
import { types } from 'node:util'
import type { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import type { Values } from './element.ts'

/** Numbers for `OnnxModel.run`: a Tensor, or any array of numbers and its shape. */
export type OnnxInput = Tensor | { data: ArrayLike<number | bigint>; shape: readonly number[] }

/** What `OnnxModel.run` makes: a Tensor of floats, or numbers of another type. */
export type OnnxResult = Tensor | OnnxArray

/**
 * Numbers that are no float32, with their shape, in row-major order.
 * @example
 * const ids = new OnnxArray(BigInt64Array.of(1n, 2n), [2], 'int64')
 * ids.shape // → [2]
 */
export class OnnxArray {
  /** Size of each dimension, which may be 0; `[]` for a scalar. */
  readonly shape: readonly number[]
  /** BigInt64Array for int64, Int32Array for int32, Float64Array for float64 …; Uint8Array of 0 and 1 for bool. */
  readonly data: Values
  /** Element type, as PyTorch calls it: 'int64', 'float64', 'bool' … */
  readonly dtype: string

  /** Made by `OnnxModel.run`. */
  constructor(data: Values, shape: readonly number[], dtype: string) {
    if (!types.isTypedArray(data) || !Array.isArray(shape) || typeof dtype !== 'string') {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `OnnxArray: expected numbers, shape and type but received ${show(data)}, ${show(shape)} and ${show(dtype)}`,
      )
    }
    this.data = data
    this.shape = Object.freeze([...shape])
    this.dtype = dtype
  }
}
