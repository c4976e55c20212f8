import { type InitOptions, initialise } from '../nn/init.ts'
import { Module } from '../nn/module.ts'
import type { Parameter } from '../tensor/parameter.ts'
import { along, size } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions } from '../util/check.ts'
import { type Conv1dOptions as ConvolutionOptions, conv1d } from './functional.ts'
import { groupsOf } from './groups.ts'

/** Options of `Conv1d`. */
export interface Conv1dOptions extends ConvolutionOptions, InitOptions {
  /** Length of the window. */
  kernelSize: number
}

/** 1-D convolution with weights, `torch.nn.Conv1d`: [n, inChannels, l] → [n, outChannels, ol]. */
export class Conv1d extends Module {
  /** [outChannels, inChannels / groups, k] */
  readonly weight: Parameter
  /** [outChannels], or undefined with `bias: false`. */
  readonly bias: Parameter | undefined
  readonly options: Readonly<Required<ConvolutionOptions>>

  /** @throws KerneletError `ERR_ARGUMENT` for sizes that are no positive integers or groups that do not divide. */
  constructor(inChannels: number, outChannels: number, options: Conv1dOptions) {
    super()
    checkOptions('Conv1d', options, [
      'kernelSize',
      'stride',
      'padding',
      'dilation',
      'groups',
      'bias',
      'generator',
    ])
    size(inChannels, 'Conv1d: inChannels', 1)
    size(outChannels, 'Conv1d: outChannels', 1)
    const [, kernel] = along(options.kernelSize, 'Conv1d: kernelSize', 1)
    const groups = groupsOf('Conv1d', inChannels, outChannels, options.groups)
    this.options = {
      stride: options.stride ?? 1,
      padding: options.padding ?? 0,
      dilation: options.dilation ?? 1,
      groups,
    }
    const { weight, bias } = initialise([outChannels, inChannels / groups, kernel], options)
    this.weight = weight
    this.bias = bias
  }

  forward(x: Tensor): Tensor {
    return conv1d(x, this.weight, this.bias, this.options)
  }
}
