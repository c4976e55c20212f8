/** Modules that only arrange others. */
import type { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
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

/** Its input, `torch.nn.Identity`. */
export class Identity extends Module {
  forward(x: Tensor): Tensor {
    return x
  }
}
