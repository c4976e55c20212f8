import { Module } from '../nn/module.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { dropout } from './functional.ts'

/**
 * While a model is trained (`training`), zeros in the place of values drawn with probability `p`, the others
 * multiplied by 1 / (1 − p); otherwise nothing. `torch.nn.Dropout`.
 */
export class Dropout extends Module {
  readonly p: number

  constructor(p = 0.5) {
    super()
    this.p = p
  }

  forward(x: Tensor): Tensor {
    return dropout(x, this.p, this.training)
  }
}
