/** Padding layers. */

import { Module } from '../nn/module.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { numberOf } from '../util/check.ts'
import { pad } from './functional.ts'

/** The same on all sides, or [left, right, top, bottom] as PyTorch orders them; negative numbers cut off. */
export type Pads2d = number | readonly [left: number, right: number, top: number, bottom: number]

/** Puts `value` around, `torch.nn.ConstantPad2d`. */
export class ConstantPad2d extends Module {
  readonly padding: readonly number[]
  readonly value: number

  constructor(padding: Pads2d, value: number) {
    super()
    this.padding = Array.isArray(padding) ? [...padding] : Array(4).fill(padding)
    this.value = numberOf(value, 'ConstantPad2d: value')
  }

  forward(x: Tensor): Tensor {
    return pad(x, this.padding, this.value)
  }
}

/** Puts zeros around, `torch.nn.ZeroPad2d`. */
export class ZeroPad2d extends ConstantPad2d {
  constructor(padding: Pads2d) {
    super(padding, 0)
  }
}
