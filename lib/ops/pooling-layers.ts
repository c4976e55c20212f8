/** Pooling layers. */
import { apply } from '../graph/apply.ts'
import type { Operation } from '../graph/operation.ts'
import { Module } from '../nn/module.ts'
import type { Pair } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import {
  type AvgPool2dOptions,
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveMaxPool1d,
  adaptiveMaxPool2d,
  avgPool1dOperation,
  avgPool2dOperation,
  type MaxPool2dOptions,
  maxPool1dOperation,
  maxPool2dOperation,
  type OutputSize,
  type Pool1dOptions,
} from './pooling.ts'

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

/** Largest value of every window, `torch.nn.MaxPool1d`: [n, c, l] → [n, c, ol]. */
export class MaxPool1d extends Module {
  readonly operation: Operation

  /** @throws KerneletError `ERR_ARGUMENT` for a size or option of the wrong type or value. */
  constructor(kernelSize: number, options: Pool1dOptions = {}) {
    super()
    this.operation = maxPool1dOperation(kernelSize, options)
  }

  forward(x: Tensor): Tensor {
    return apply(this.operation, [x])
  }
}

/** Mean of every window, `torch.nn.AvgPool1d`: [n, c, l] → [n, c, ol]. */
export class AvgPool1d extends Module {
  readonly operation: Operation

  /** @throws KerneletError `ERR_ARGUMENT` for a size or option of the wrong type or value. */
  constructor(kernelSize: number, options: Pool1dOptions = {}) {
    super()
    this.operation = avgPool1dOperation(kernelSize, options)
  }

  forward(x: Tensor): Tensor {
    return apply(this.operation, [x])
  }
}

/** Means over windows that cover the image, `torch.nn.AdaptiveAvgPool2d`; size 1 is the global average. */
export class AdaptiveAvgPool2d extends Module {
  readonly outputSize: OutputSize

  constructor(outputSize: OutputSize) {
    super()
    this.outputSize = outputSize
  }

  forward(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, this.outputSize)
  }
}

/** Maxima over windows that cover the image, `torch.nn.AdaptiveMaxPool2d`; size 1 is the global maximum. */
export class AdaptiveMaxPool2d extends Module {
  readonly outputSize: OutputSize

  constructor(outputSize: OutputSize) {
    super()
    this.outputSize = outputSize
  }

  forward(x: Tensor): Tensor {
    return adaptiveMaxPool2d(x, this.outputSize)
  }
}

/** `AdaptiveAvgPool2d` of [n, c, l], `torch.nn.AdaptiveAvgPool1d`. */
export class AdaptiveAvgPool1d extends Module {
  readonly outputSize: number

  constructor(outputSize: number) {
    super()
    this.outputSize = outputSize
  }

  forward(x: Tensor): Tensor {
    return adaptiveAvgPool1d(x, this.outputSize)
  }
}

/** `AdaptiveMaxPool2d` of [n, c, l], `torch.nn.AdaptiveMaxPool1d`. */
export class AdaptiveMaxPool1d extends Module {
  readonly outputSize: number

  constructor(outputSize: number) {
    super()
    this.outputSize = outputSize
  }

  forward(x: Tensor): Tensor {
    return adaptiveMaxPool1d(x, this.outputSize)
  }
}
