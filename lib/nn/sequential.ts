/** Modules that only arrange others. */
import type { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { Module } from './module.ts'

/**
 * Modules one after the other, `torch.nn.Sequential`; `model[0]` is the first, `0.weight` its weight.
 * @example
 * const net = new Sequential(new Conv2d(1, 4, { kernelSize: 3 }), new ReLU(), new Flatten(), new Linear(4 * 26 * 26, 10))
 * summary(net, [1, 28, 28]).parameters // → 27090
 * [...net.stateDict().keys()] // → ['0.weight', '0.bias', '3.weight', '3.bias']
 */
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

/**
 * Its input, `torch.nn.Identity`.
 * @example new Identity().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-2, -0.5, 1]
 */
export class Identity extends Module {
  forward(x: Tensor): Tensor {
    return x
  }
}
