import type { InitOptions } from '../nn/init.ts'
import { Module } from '../nn/module.ts'
import { flatten, sigmoid } from '../ops/index.ts'
import { Linear } from '../ops/linear.ts'
import type { Tensor } from '../tensor/tensor.ts'

/**
 * A single neuron, σ(wᵀx + b): the probability that an image shows what is looked for. [n, …] of `features` numbers an
 * image → [n, 1]. Trained with `loss: 'binaryCrossEntropy'` on classes 0 and 1.
 * @example summary(new LogisticRegression(784), [784]).parameters // → 785
 */
export class LogisticRegression extends Module {
  readonly linear: Linear

  /** @throws KerneletError `ERR_ARGUMENT` when `features` is no positive integer. */
  constructor(features = 784, options: Pick<InitOptions, 'generator'> = {}) {
    super()
    this.linear = new Linear(features, 1, options)
  }

  forward(x: Tensor): Tensor {
    return sigmoid(this.linear.forward(flatten(x, 1)))
  }
}
