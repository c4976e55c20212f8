/** Pooling layers. */
import {
  type AvgPool2dOptions,
  apply,
  avgPool2dOperation,
  type MaxPool2dOptions,
  maxPool2dOperation,
} from '../functional.ts'
import type { Operation } from '../operation.ts'
import type { Pair } from '../shapes.ts'
import type { Tensor } from '../tensor.ts'
import { Module } from './module.ts'

/** Largest value of every window, `torch.nn.MaxPool2d`: [n, c, h, w] → [n, c, oh, ow]. */
export class MaxPool2d extends Module {
  readonly operation: Operation

  /** @throws KerneletError `ERR_ARGUMENT` for a size or option of the wrong type or value. */
  constructor(kernelSize: Pair, options: MaxPool2dOptions = {}) {
    super()
    this.operation = maxPool2dOperation(kernelSize, options)
  }

  forward(x: Tensor): Tensor {
    return apply(this.operation, [x])
  }
}

/** Mean of every window, `torch.nn.AvgPool2d`: [n, c, h, w] → [n, c, oh, ow]. */
export class AvgPool2d extends Module {
  readonly operation: Operation

  /** @throws KerneletError `ERR_ARGUMENT` for a size or option of the wrong type or value. */
  constructor(kernelSize: Pair, options: AvgPool2dOptions = {}) {
    super()
    this.operation = avgPool2dOperation(kernelSize, options)
  }

  forward(x: Tensor): Tensor {
    return apply(this.operation, [x])
  }
}
