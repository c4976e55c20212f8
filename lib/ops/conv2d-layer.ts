import { type InitOptions, initialise } from '../nn/init.ts'
import { Module } from '../nn/module.ts'
import type { Parameter } from '../tensor/parameter.ts'
import { type Pair, pair, sides, size } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions } from '../util/check.ts'
import { type Conv2dOptions as ConvolutionOptions, conv2d } from './functional.ts'
import { groupsOf } from './groups.ts'

/** Options of `Conv2d`. */
export interface Conv2dOptions extends ConvolutionOptions, InitOptions {
  /** Height and width of the window. */
  kernelSize: Pair
}

/** A word, [height, width] or [top, left, bottom, right]. */
function paddingOf(
  value: NonNullable<ConvolutionOptions['padding']>,
): NonNullable<ConvolutionOptions['padding']> {
  if (value === 'same' || value === 'valid') return value
  return Array.isArray(value) && value.length === 4
    ? sides(value, 'Conv2d: padding')
    : pair(value, 'Conv2d: padding', 0)
}

/** 2-D convolution with weights, `torch.nn.Conv2d`: [n, inChannels, h, w] → [n, outChannels, oh, ow]. */
export class Conv2d extends Module {
  /** [outChannels, inChannels / groups, kh, kw] */
  readonly weight: Parameter
  /** [outChannels], or undefined with `bias: false`. */
  readonly bias: Parameter | undefined
  readonly options: Readonly<Required<ConvolutionOptions>>

  /** @throws KerneletError `ERR_ARGUMENT` for sizes that are no positive integers or groups that do not divide. */
  constructor(inChannels: number, outChannels: number, options: Conv2dOptions) {
    super()
    checkOptions('Conv2d', options, [
      'kernelSize',
      'stride',
      'padding',
      'dilation',
      'groups',
      'bias',
      'generator',
    ])
    size(inChannels, 'Conv2d: inChannels', 1)
    size(outChannels, 'Conv2d: outChannels', 1)
    const kernel = pair(options.kernelSize, 'Conv2d: kernelSize', 1)
    const groups = groupsOf('Conv2d', inChannels, outChannels, options.groups)
    this.options = {
      stride: pair(options.stride ?? 1, 'Conv2d: stride', 1),
      padding: paddingOf(options.padding ?? 0),
      dilation: pair(options.dilation ?? 1, 'Conv2d: dilation', 1),
      groups,
    }
    const { weight, bias } = initialise([outChannels, inChannels / groups, ...kernel], options)
    this.weight = weight
    this.bias = bias
  }

  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, this.options)
  }
}
