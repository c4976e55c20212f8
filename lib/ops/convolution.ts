/** Convolutions, as functions and as layers. */
import { apply, checkBias, checkWeight } from '../graph/apply.ts'
import { operation } from '../graph/definition.ts'
import { type InitOptions, initialise } from '../nn/init.ts'
import { Module } from '../nn/module.ts'
import type { Parameter } from '../tensor/parameter.ts'
import {
  along,
  elements,
  ends,
  looksLikeNhwc,
  type Padding,
  type Pair,
  pair,
  sides,
  size,
} from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import {
  groupsOf,
  imageDims,
  imageMisfit,
  imageRank,
  titled,
  windowDefaults,
  windowMisfit,
  windowNeeds,
} from './window.ts'

const convolution = operation('conv2d', {
  title: titled('Conv'),
  needs: ['weight', 'groups', ...windowNeeds],
  takes: ['bias', 'dims'],
  rank: imageRank,
  defaults: { ...windowDefaults, groups: 1 },
  derived: imageDims,
  forms({ weight, kernelSize: [kh, kw], dims }) {
    const [out = 0, features = 0] = weight.shape
    const along = dims === 1 && kh === 1 ? [[out, features, kw]] : []
    return { weight: [[out, features, kh, kw], ...along], bias: [[out]] }
  },
  own: ({ weight }, input) => [weight.shape[0] ?? 1, ...input.slice(1).map(() => 1)],
  macs: ({ weight }, shape) => elements(weight.shape.slice(1)) * elements(shape),
  misfit(operation, inputs, place) {
    const { weight, groups } = operation
    const [channels, ...image] = inputs[0] ?? []
    const [out = 0, features = 0] = weight.shape
    if (out % groups !== 0) return `${out} output channels cannot be divided among ${groups} groups`
    const expected = features * groups
    const odd = imageMisfit(operation, inputs, place)
    if (odd || channels === expected) return odd ?? windowMisfit(operation, inputs, place)
    const [height, width] = [channels, ...image]
    const hint = looksLikeNhwc([channels ?? 0, ...image], expected)
      ? '; this looks like NHWC (height, width, channels): kernelet expects channels first, ' +
        `[${[expected, height, width].join(', ')}]`
      : ''
    return (
      `${titled('Conv')(operation)} expects ${expected} input channel${expected === 1 ? '' : 's'} but receives ` +
      `${channels} (${place.origin(0)})${hint}`
    )
  },
})

/** Options of `conv2d`. */
export interface ConvolutionOptions {
  /** Step of the window; default 1. */
  stride?: Pair | undefined
  /**
   * Rows and columns of zeros added on every side; default 0. `'same'` keeps the size (stride 1 only), with an odd
   * number of zeros the last side gets one more; `'valid'` is none.
   */
  padding?: Padding | 'same' | 'valid' | undefined
  /** Distance between the taps; default 1. */
  dilation?: Pair | undefined
  /** Channels are split into this many groups that do not see each other; default 1. */
  groups?: number | undefined
}

/** Options of `conv1d`. */
export interface Convolution1dOptions {
  /** Step of the window; default 1. */
  stride?: number | undefined
  /** Zeros added at both ends, or [before, after]; default 0. `'same'` and `'valid'` as `conv2d` has them. */
  padding?: number | readonly [before: number, after: number] | 'same' | 'valid' | undefined
  /** Distance between the taps; default 1. */
  dilation?: number | undefined
  /** Channels are split into this many groups that do not see each other; default 1. */
  groups?: number | undefined
}

/**
 * 2-D convolution (cross-correlation), `torch.nn.functional.conv2d`.
 *
 * @param input [n, ic, h, w], or one image [ic, h, w]
 * @param weight [oc, ic / groups, kh, kw]
 * @param bias [oc], or none
 * @returns [n, oc, oh, ow] with `oh = floor((h + 2·padding − dilation·(kh − 1) − 1) / stride) + 1`
 * @example
 * const image = new Tensor(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), [1, 1, 3, 3])
 * const cross = new Tensor(Float32Array.of(0, 1, 0, 1, 1, 1, 0, 1, 0), [1, 1, 3, 3])
 * conv2d(image, cross) // → [[[[25]]]]
 * conv2d(image, cross, null, { padding: 1, stride: 2 }) // → [[[[7, 11], [19, 23]]]]
 */
export function conv2d(
  input: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: ConvolutionOptions = {},
): Tensor {
  checkOptions('conv2d', options, ['stride', 'padding', 'dilation', 'groups'])
  const [out = 1, , height = 1, width = 1] = checkWeight(
    'Conv2d: weight',
    weight,
    4,
    '[out, in / groups, height, width]',
  ).shape
  const groups = checkGroups('Conv2d', options.groups, out)
  const kernelSize: [number, number] = [height, width]
  const stride = pair(options.stride ?? 1, 'Conv2d: stride', 1)
  const dilation = pair(options.dilation ?? 1, 'Conv2d: dilation', 1)
  const padding = convolutionPadding('Conv2d', options.padding, kernelSize, stride, dilation, sides)
  return apply(
    convolution({
      weight,
      bias: checkBias('Conv2d: bias', bias, weight),
      kernelSize,
      stride,
      padding,
      dilation,
      groups,
    }),
    [input],
  )
}

/**
 * 1-D convolution (cross-correlation), `torch.nn.functional.conv1d`: a convolution of images one row high.
 *
 * @param input [n, ic, l], or one sample [ic, l]
 * @param weight [oc, ic / groups, k]
 * @param bias [oc], or none
 * @returns [n, oc, ol]
 * @example conv1d(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 4]), new Tensor(Float32Array.of(1, -1), [1, 1, 2])) // → [[[-1, -1, -1]]]
 */
export function conv1d(
  input: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: Convolution1dOptions = {},
): Tensor {
  checkOptions('conv1d', options, ['stride', 'padding', 'dilation', 'groups'])
  const [out = 1, , length = 1] = checkWeight('Conv1d: weight', weight, 3, '[out, in / groups, length]').shape
  const kernelSize: [number, number] = [1, length]
  const stride = along(options.stride ?? 1, 'Conv1d: stride', 1)
  const dilation = along(options.dilation ?? 1, 'Conv1d: dilation', 1)
  const padding = convolutionPadding('Conv1d', options.padding, kernelSize, stride, dilation, ends)
  return apply(
    convolution({
      dims: 1,
      weight,
      bias: checkBias('Conv1d: bias', bias, weight),
      kernelSize,
      stride,
      padding,
      dilation,
      groups: checkGroups('Conv1d', options.groups, out),
    }),
    [input],
  )
}

function checkGroups(who: string, value: unknown, out: number): number {
  const groups = size(value ?? 1, `${who}: groups`, 1)
  if (out % groups === 0) return groups
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${who}: ${out} output channels cannot be split into ${groups} groups`,
  )
}

type Sides = [top: number, left: number, bottom: number, right: number]

/** Padding as the native core takes it, by the caller's reading of numbers. */
function convolutionPadding(
  who: string,
  value: unknown,
  kernel: readonly [number, number],
  stride: readonly [number, number],
  dilation: readonly [number, number],
  read: (value: unknown, what: string) => Sides,
): Sides {
  if (value === 'valid') return [0, 0, 0, 0]
  if (value !== 'same') return read(value ?? 0, `${who}: padding`)
  if (stride[0] !== 1 || stride[1] !== 1) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: padding 'same' needs a stride of 1 but it is ${show(stride)}`,
    )
  }
  const [height, width] = [dilation[0] * (kernel[0] - 1), dilation[1] * (kernel[1] - 1)]
  return [height >> 1, width >> 1, height - (height >> 1), width - (width >> 1)]
}

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

/**
 * 2-D convolution with weights, `torch.nn.Conv2d`: [n, inChannels, h, w] → [n, outChannels, oh, ow].
 * @example
 * const layer = new Conv2d(3, 8, { kernelSize: 3, padding: 1 })
 * layer.weight.shape // → [8, 3, 3, 3]
 * layer.forward(new Tensor(new Float32Array(3 * 32 * 32), [1, 3, 32, 32])).shape // → [1, 8, 32, 32]
 */
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
    const { weight, bias } = initialise('Conv2d', [outChannels, inChannels / groups, ...kernel], options)
    this.weight = weight
    this.bias = bias
  }

  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, this.options)
  }
}

/** Options of `Conv1d`. */
export interface Conv1dOptions extends Convolution1dOptions, InitOptions {
  /** Length of the window. */
  kernelSize: number
}

/**
 * 1-D convolution with weights, `torch.nn.Conv1d`: [n, inChannels, l] → [n, outChannels, ol].
 * @example
 * const layer = new Conv1d(1, 4, { kernelSize: 3, padding: 1 })
 * layer.forward(new Tensor(new Float32Array(10), [1, 1, 10])).shape // → [1, 4, 10]
 */
export class Conv1d extends Module {
  /** [outChannels, inChannels / groups, k] */
  readonly weight: Parameter
  /** [outChannels], or undefined with `bias: false`. */
  readonly bias: Parameter | undefined
  readonly options: Readonly<Required<Convolution1dOptions>>

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
    const { weight, bias } = initialise('Conv1d', [outChannels, inChannels / groups, kernel], options)
    this.weight = weight
    this.bias = bias
  }

  forward(x: Tensor): Tensor {
    return conv1d(x, this.weight, this.bias, this.options)
  }
}
