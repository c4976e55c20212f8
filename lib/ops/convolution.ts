/** Layers with weights: convolutions and linear. */
import { apply, checkBias, checkWeight } from '../graph/apply.ts'
import { SymbolicTensor } from '../graph/graph.ts'
import { along, ends, type Padding, type Pair, pair, sides, size } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

/** Options of `conv2d`. */
export interface Conv2dOptions {
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
export interface Conv1dOptions {
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
 */
export function conv2d(
  input: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: Conv2dOptions = {},
): Tensor {
  checkOptions('conv2d', options, ['stride', 'padding', 'dilation', 'groups'])
  const [out, , height, width] = checkWeight(
    'Conv2d: weight',
    weight,
    4,
    '[out, in / groups, height, width]',
  ).shape
  const groups = checkGroups('Conv2d', options.groups, out as number)
  const kernelSize: [number, number] = [height as number, width as number]
  const stride = pair(options.stride ?? 1, 'Conv2d: stride', 1)
  const dilation = pair(options.dilation ?? 1, 'Conv2d: dilation', 1)
  const padding = convolutionPadding('Conv2d', options.padding, kernelSize, stride, dilation, sides)
  return apply(
    {
      op: 'conv2d',
      weight,
      bias: checkBias('Conv2d: bias', bias, weight),
      kernelSize,
      stride,
      padding,
      dilation,
      groups,
    },
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
 */
export function conv1d(
  input: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: Conv1dOptions = {},
): Tensor {
  checkOptions('conv1d', options, ['stride', 'padding', 'dilation', 'groups'])
  const [out, , length] = checkWeight('Conv1d: weight', weight, 3, '[out, in / groups, length]').shape
  const kernelSize: [number, number] = [1, length as number]
  const stride = along(options.stride ?? 1, 'Conv1d: stride', 1)
  const dilation = along(options.dilation ?? 1, 'Conv1d: dilation', 1)
  const padding = convolutionPadding('Conv1d', options.padding, kernelSize, stride, dilation, ends)
  return apply(
    {
      op: 'conv2d',
      dims: 1,
      weight,
      bias: checkBias('Conv1d: bias', bias, weight),
      kernelSize,
      stride,
      padding,
      dilation,
      groups: checkGroups('Conv1d', options.groups, out as number),
    },
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

/**
 * `input · weightᵀ + bias` over the last dimension, `torch.nn.functional.linear`.
 *
 * @param input [..., in]
 * @param weight [out, in]
 * @param bias [out], or none
 * @returns [..., out]
 */
export function linear(input: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  if (input instanceof SymbolicTensor && input.shape.length === 1) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      'Linear: its input is one number an image, [n], so that it would mix the images of a batch; reshape it to [n, 1]',
    )
  }
  return apply(
    {
      op: 'linear',
      weight: checkWeight('Linear: weight', weight, 2, '[out, in]'),
      bias: checkBias('Linear: bias', bias, weight),
    },
    [input],
  )
}
