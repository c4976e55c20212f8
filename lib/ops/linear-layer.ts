import { type InitOptions, initialise } from '../nn/init.ts'
import { Module } from '../nn/module.ts'
import type { Parameter } from '../tensor/parameter.ts'
import { size } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions } from '../util/check.ts'
import { linear } from './functional.ts'

/** Fully connected layer, `torch.nn.Linear`: [..., inFeatures] → [..., outFeatures]. */
export class Linear extends Module {
  /** [outFeatures, inFeatures] */
  readonly weight: Parameter
  /** [outFeatures], or undefined with `bias: false`. */
  readonly bias: Parameter | undefined

  /** @throws KerneletError `ERR_ARGUMENT` for sizes that are no positive integers. */
  constructor(inFeatures: number, outFeatures: number, options: InitOptions = {}) {
    super()
    checkOptions('Linear', options, ['bias', 'generator'])
    size(inFeatures, 'Linear: inFeatures', 1)
    size(outFeatures, 'Linear: outFeatures', 1)
    const { weight, bias } = initialise([outFeatures, inFeatures], options)
    this.weight = weight
    this.bias = bias
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias)
  }
}
