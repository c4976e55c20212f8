/** Transposed convolutions, as functions and as layers. */
import { apply, checkTensor, checkWeight, constant } from '../graph/apply.ts'
import { operation, type Place, type Told } from '../graph/definition.ts'
import { type InitOptions, initialise } from '../nn/init.ts'
import { Module } from '../nn/module.ts'
import type { Parameter } from '../tensor/parameter.ts'
import {
  along,
  elements,
  ends,
  formatShape,
  type Padding,
  type Pair,
  pair,
  sameShape,
  sides,
  size,
  windowExtent,
} from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { groupsOf, imageDims, imageMisfit, imageRank, titled, windowDefaults, windowNeeds } from './window.ts'

const layer = titled('ConvTranspose')

const transposed = operation('convTranspose2d', {
  title: layer,
  needs: ['weight', 'groups', 'outputPadding', ...windowNeeds],
  takes: ['bias', 'dims'],
  rank: imageRank,
  defaults: { ...windowDefaults, groups: 1, outputPadding: [0, 0] },
  derived: imageDims,
  forms({ weight, groups, kernelSize: [kh, kw], dims }) {
    const [channels = 0, features = 0] = weight.shape
    const along = dims === 1 && kh === 1 ? [[channels, features, kw]] : []
    return { weight: [[channels, features, kh, kw], ...along], bias: [[features * groups]] }
  },
  own: ({ weight, groups }, input) => [(weight.shape[1] ?? 1) * groups, ...input.slice(1).map(() => 1)],
  // every pixel of the input times all weights of its channel
  macs: (operation, shape) => elements(operation.weight.shape) * elements(inputSides(operation, shape)),
  misfit(operation, inputs, place) {
    const [channels, ...image] = inputs[0] ?? []
    const expected = operation.weight.shape[0]
    const odd = imageMisfit(operation, inputs, place)
    if (odd) return odd
    if (channels !== expected) {
      const s = expected === 1 ? '' : 's'
      return `${layer(operation)} expects ${expected} input channel${s} but receives ${channels} (${place.origin(0)})`
    }
    return paddingMisfit(operation, image, place)
  },
})

type Window = Told<(typeof windowNeeds)[number] | 'outputPadding'>

/** Sides of the image that an output is made of. */
function inputSides(operation: Window, shape: readonly number[]): number[] {
  const { kernelSize, stride, dilation, padding, outputPadding } = operation
  return shape.slice(1).map((out, i) => {
    const d = operation.dims === 1 ? 1 : i
    const [step = 1, kernel = 1, apart = 1] = [stride[d], kernelSize[d], dilation[d]]
    const uncut = out + (padding[d] ?? 0) + (padding[d + 2] ?? 0) - (outputPadding[d] ?? 0)
    return (uncut - windowExtent(kernel, apart)) / step + 1
  })
}

/** That padding cuts off all there is. */
function paddingMisfit(operation: Window, image: readonly number[], place: Place): string | undefined {
  const { kernelSize, stride, dilation, padding, outputPadding } = operation
  const uncut = image.map((length, i) => {
    const d = operation.dims === 1 ? 1 : i
    const extent = windowExtent(kernelSize[d] ?? 1, dilation[d] ?? 1)
    return (length - 1) * (stride[d] ?? 1) + extent + (outputPadding[d] ?? 0)
  })
  const cut = image.map((_, i) => {
    const d = operation.dims === 1 ? 1 : i
    return (padding[d] ?? 0) + (padding[d + 2] ?? 0)
  })
  if (uncut.every((length, i) => length > (cut[i] ?? 0))) return undefined
  return (
    `${layer(operation)} has a padding of ${formatShape(cut)} in all, which leaves nothing of the ` +
    `${formatShape(uncut)} that it makes of ${place.origin(0)}`
  )
}

/** Options of `convTranspose2d`. */
export interface ConvTransposeOptions {
  /** Pixels of the output from one pixel of the input to the next; default 1. */
  stride?: Pair | undefined
  /** Rows and columns of the output that are cut off on every side; default 0. */
  padding?: Padding | undefined
  /** Rows and columns more at the bottom and right, fewer than stride or dilation; default 0. */
  outputPadding?: Pair | undefined
  /** Channels are split into this many groups that do not see each other; default 1. */
  groups?: number | undefined
  /** Distance between the taps; default 1. */
  dilation?: Pair | undefined
}

/** Options of `convTranspose1d`. */
export interface ConvTranspose1dOptions {
  /** Elements of the output from one of the input to the next; default 1. */
  stride?: number | undefined
  /** Elements of the output that are cut off at both ends, or [before, after]; default 0. */
  padding?: number | readonly [before: number, after: number] | undefined
  /** Elements more at the end, fewer than stride or dilation; default 0. */
  outputPadding?: number | undefined
  /** Channels are split into this many groups that do not see each other; default 1. */
  groups?: number | undefined
  /** Distance between the taps; default 1. */
  dilation?: number | undefined
}

/**
 * 2-D transposed convolution, `torch.nn.functional.conv_transpose2d`: the way back of a `conv2d` of these options, from
 * the size of its output to that of its input.
 *
 * @param input [n, ic, h, w], or one image [ic, h, w]
 * @param weight [ic, oc / groups, kh, kw]
 * @param bias [oc], or none
 * @returns [n, oc, oh, ow] with `oh = (h − 1)·stride − 2·padding + dilation·(kh − 1) + outputPadding + 1`
 * @example convTranspose2d(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 2, 2]), new Tensor(Float32Array.of(1, 1, 1, 1), [1, 1, 2, 2])) // → [[[[1, 3, 2], [4, 10, 6], [3, 7, 4]]]]
 */
export function convTranspose2d(
  input: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: ConvTransposeOptions = {},
): Tensor {
  const who = 'ConvTranspose2d'
  checkOptions('convTranspose2d', options, ['stride', 'padding', 'outputPadding', 'groups', 'dilation'])
  const form = '[in, out / groups, height, width]'
  const [inputs = 1, features = 1, height = 1, width = 1] = checkWeight(
    `${who}: weight`,
    weight,
    4,
    form,
  ).shape
  const groups = checkGroups(who, options.groups, inputs)
  const stride = pair(options.stride ?? 1, `${who}: stride`, 1)
  const dilation = pair(options.dilation ?? 1, `${who}: dilation`, 1)
  const outputPadding = pair(options.outputPadding ?? 0, `${who}: outputPadding`, 0)
  checkOutputPadding(who, outputPadding, stride, dilation)
  return apply(
    transposed({
      weight,
      bias: checkBias(who, bias, features * groups),
      kernelSize: [height, width],
      stride,
      padding: sides(options.padding ?? 0, `${who}: padding`),
      dilation,
      outputPadding,
      groups,
    }),
    [input],
  )
}

/**
 * 1-D transposed convolution, `torch.nn.functional.conv_transpose1d`.
 *
 * @param input [n, ic, l], or one sample [ic, l]
 * @param weight [ic, oc / groups, k]
 * @param bias [oc], or none
 * @returns [n, oc, ol]
 * @example convTranspose1d(new Tensor(Float32Array.of(1, 2), [1, 1, 2]), new Tensor(Float32Array.of(1, 1), [1, 1, 2])) // → [[[1, 3, 2]]]
 */
export function convTranspose1d(
  input: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: ConvTranspose1dOptions = {},
): Tensor {
  const who = 'ConvTranspose1d'
  checkOptions('convTranspose1d', options, ['stride', 'padding', 'outputPadding', 'groups', 'dilation'])
  const [inputs = 1, features = 1, length = 1] = checkWeight(
    `${who}: weight`,
    weight,
    3,
    '[in, out / groups, length]',
  ).shape
  const groups = checkGroups(who, options.groups, inputs)
  const stride = along(options.stride ?? 1, `${who}: stride`, 1)
  const dilation = along(options.dilation ?? 1, `${who}: dilation`, 1)
  const outputPadding = along(options.outputPadding ?? 0, `${who}: outputPadding`, 0)
  checkOutputPadding(who, outputPadding, stride, dilation)
  return apply(
    transposed({
      dims: 1,
      weight,
      bias: checkBias(who, bias, features * groups),
      kernelSize: [1, length],
      stride,
      padding: ends(options.padding ?? 0, `${who}: padding`),
      dilation,
      outputPadding,
      groups,
    }),
    [input],
  )
}

function checkGroups(who: string, value: unknown, inputs: number): number {
  const groups = size(value ?? 1, `${who}: groups`, 1)
  if (inputs % groups === 0) return groups
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${who}: ${inputs} input channels cannot be split into ${groups} groups`,
  )
}

/** PyTorch's rule: what is added is less than a step. */
function checkOutputPadding(
  who: string,
  outputPadding: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): void {
  if (outputPadding.every((more, d) => more < Math.max(stride[d] ?? 1, dilation[d] ?? 1))) return
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${who}: outputPadding must be less than stride or dilation but is ${show(outputPadding)}`,
  )
}

function checkBias(who: string, value: unknown, outputs: number): Tensor | undefined {
  if (value === undefined || value === null) return undefined
  const bias = checkTensor(`${who}: bias`, value)
  if (sameShape(bias.shape, [outputs])) return constant(`${who}: bias`, bias)
  throw new KerneletError(
    'ERR_SHAPE',
    `${who}: bias must have the shape ${outputs} but has ${formatShape(bias.shape)}`,
  )
}

const layerOptions = [
  'kernelSize',
  'stride',
  'padding',
  'outputPadding',
  'groups',
  'dilation',
  'bias',
  'generator',
] as const

/** Options of `ConvTranspose2d`. */
export interface ConvTranspose2dOptions extends ConvTransposeOptions, InitOptions {
  /** Height and width of the window. */
  kernelSize: Pair
}

/**
 * 2-D transposed convolution with weights, `torch.nn.ConvTranspose2d`: [n, inChannels, h, w] → [n, outChannels, oh, ow].
 * @example
 * const layer = new ConvTranspose2d(8, 4, { kernelSize: 2, stride: 2 })
 * layer.forward(new Tensor(new Float32Array(8 * 16), [1, 8, 4, 4])).shape // → [1, 4, 8, 8]
 */
export class ConvTranspose2d extends Module {
  /** [inChannels, outChannels / groups, kh, kw] */
  readonly weight: Parameter
  /** [outChannels], or undefined with `bias: false`. */
  readonly bias: Parameter | undefined
  readonly options: Readonly<Required<ConvTransposeOptions>>

  /** @throws KerneletError `ERR_ARGUMENT` for sizes that are no positive integers or groups that do not divide. */
  constructor(inChannels: number, outChannels: number, options: ConvTranspose2dOptions) {
    super()
    const who = 'ConvTranspose2d'
    checkOptions(who, options, layerOptions)
    size(inChannels, `${who}: inChannels`, 1)
    size(outChannels, `${who}: outChannels`, 1)
    const kernel = pair(options.kernelSize, `${who}: kernelSize`, 1)
    const groups = groupsOf(who, inChannels, outChannels, options.groups)
    const stride = pair(options.stride ?? 1, `${who}: stride`, 1)
    const dilation = pair(options.dilation ?? 1, `${who}: dilation`, 1)
    const outputPadding = pair(options.outputPadding ?? 0, `${who}: outputPadding`, 0)
    checkOutputPadding(who, outputPadding, stride, dilation)
    const padding = sides(options.padding ?? 0, `${who}: padding`)
    this.options = { stride, padding, outputPadding, groups, dilation }
    const shape = [inChannels, outChannels / groups, ...kernel]
    const { weight, bias } = initialise(who, shape, options, outChannels)
    this.weight = weight
    this.bias = bias
  }

  forward(x: Tensor): Tensor {
    return convTranspose2d(x, this.weight, this.bias, this.options)
  }
}

/** Options of `ConvTranspose1d`, the layer. */
export interface ConvTranspose1dLayerOptions extends ConvTranspose1dOptions, InitOptions {
  /** Length of the window. */
  kernelSize: number
}

/**
 * 1-D transposed convolution with weights, `torch.nn.ConvTranspose1d`: [n, inChannels, l] → [n, outChannels, ol].
 * @example
 * const layer = new ConvTranspose1d(1, 2, { kernelSize: 2, stride: 2 })
 * layer.forward(new Tensor(new Float32Array(5), [1, 1, 5])).shape // → [1, 2, 10]
 */
export class ConvTranspose1d extends Module {
  /** [inChannels, outChannels / groups, k] */
  readonly weight: Parameter
  /** [outChannels], or undefined with `bias: false`. */
  readonly bias: Parameter | undefined
  readonly options: Readonly<Required<ConvTranspose1dOptions>>

  /** @throws KerneletError `ERR_ARGUMENT` for sizes that are no positive integers or groups that do not divide. */
  constructor(inChannels: number, outChannels: number, options: ConvTranspose1dLayerOptions) {
    super()
    const who = 'ConvTranspose1d'
    checkOptions(who, options, layerOptions)
    size(inChannels, `${who}: inChannels`, 1)
    size(outChannels, `${who}: outChannels`, 1)
    const [, kernel] = along(options.kernelSize, `${who}: kernelSize`, 1)
    const groups = groupsOf(who, inChannels, outChannels, options.groups)
    const [, stride] = along(options.stride ?? 1, `${who}: stride`, 1)
    const [, dilation] = along(options.dilation ?? 1, `${who}: dilation`, 1)
    const [, outputPadding] = along(options.outputPadding ?? 0, `${who}: outputPadding`, 0)
    checkOutputPadding(who, [outputPadding], [stride], [dilation])
    const [, before, , after] = ends(options.padding ?? 0, `${who}: padding`)
    this.options = { stride, padding: [before, after], outputPadding, groups, dilation }
    const shape = [inChannels, outChannels / groups, kernel]
    const { weight, bias } = initialise(who, shape, options, outChannels)
    this.weight = weight
    this.bias = bias
  }

  forward(x: Tensor): Tensor {
    return convTranspose1d(x, this.weight, this.bias, this.options)
  }
}
