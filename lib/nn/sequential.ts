/** Modules that only arrange others or shapes. */

import { flatten, reshape } from '../ops/functional.ts'
import { normaliseDim, show } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { Module } from './module.ts'

/** Modules one after the other, `torch.nn.Sequential`; `model[0]` is the first, `0.weight` its weight. */
export class Sequential extends Module {
  readonly [index: number]: Module

  /** @throws KerneletError `ERR_ARGUMENT` when one of `modules` is no Module. */
  constructor(...modules: Module[]) {
    super()
    for (const [i, module] of modules.entries()) {
      if (!(module instanceof Module)) {
        throw new KerneletError(
          'ERR_ARGUMENT',
          `Sequential: expected modules but argument ${i} is ${show(module)}`,
        )
      }
    }
    // Own properties named 0, 1, … are found, named and ordered like those of any module.
    Object.assign(this, modules)
  }

  forward(x: Tensor): Tensor {
    return this.namedChildren().reduce((value, [, module]) => module.forward(value), x)
  }
}

/** Merges dimensions from `startDim` to the last, `torch.nn.Flatten`; by default all but the batch. */
export class Flatten extends Module {
  readonly startDim: number

  constructor(startDim = 1) {
    super()
    this.startDim = startDim
  }

  forward(x: Tensor): Tensor {
    return flatten(x, this.startDim)
  }
}

/** Splits one dimension into several, `torch.nn.Unflatten`; one of `sizes` may be −1. */
export class Unflatten extends Module {
  readonly dim: number
  readonly sizes: readonly number[]

  constructor(dim: number, sizes: readonly number[]) {
    super()
    this.dim = dim
    this.sizes = [...sizes]
  }

  forward(x: Tensor): Tensor {
    const dim = normaliseDim(this.dim, x.shape.length, 'Unflatten: dim')
    const known = this.sizes.reduce((product, one) => (one === -1 ? product : product * one), 1)
    const sizes = this.sizes.map((one) => (one === -1 ? (x.shape[dim] as number) / known : one))
    return reshape(x, [...x.shape.slice(0, dim), ...sizes, ...x.shape.slice(dim + 1)])
  }
}

/** Its input, `torch.nn.Identity`. */
export class Identity extends Module {
  forward(x: Tensor): Tensor {
    return x
  }
}
