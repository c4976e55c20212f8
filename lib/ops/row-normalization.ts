/** Normalization of each image by itself: layer, group, instance and RMS norm. The same in training as else. */
import { apply, axisMisfit, axisOf, checkTensor, constant } from '../graph/apply.ts'
import { operation } from '../graph/definition.ts'
import { Module } from '../nn/module.ts'
import { zeros } from '../tensor/allocate.ts'
import { Parameter } from '../tensor/parameter.ts'
import { elements, formatShape, sameShape, size } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { checkOptions, flag, itemsOf, numberOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { className, show } from '../util/show.ts'

const layerNormOf = operation('layerNorm', {
  title: 'LayerNorm',
  needs: ['axis'],
  takes: ['weight', 'bias', 'epsilon'],
  defaults: { axis: 0, epsilon: 1e-5 },
  forms: ({ axis }, input) => ({ weight: [input.slice(axis)], bias: [input.slice(axis)] }),
  check: axisMisfit,
})

const rmsNormOf = operation('rmsNorm', {
  title: 'RMSNorm',
  needs: ['axis'],
  takes: ['weight', 'epsilon'],
  defaults: { axis: 0, epsilon: 1e-5 },
  forms: ({ axis }, input) => ({ weight: [input.slice(axis)] }),
  check: axisMisfit,
})

const groupNormOf = operation('groupNorm', {
  title: ({ groups }, shape = []) => (groups === shape[0] && shape.length > 1 ? 'InstanceNorm' : 'GroupNorm'),
  needs: ['groups'],
  takes: ['weight', 'bias', 'epsilon'],
  defaults: { groups: 1, epsilon: 1e-5 },
  byChannel: true,
  forms: (_, input) => ({ weight: [input.slice(0, 1)], bias: [input.slice(0, 1)] }),
  misfit: ({ groups }, [input = []], place) =>
    (input[0] ?? 0) % groups === 0
      ? undefined
      : `GroupNorm expects channels that can be divided among ${groups} groups but receives ${input[0]} (${place.origin(0)})`,
})

/** Options of `layerNorm`, `groupNorm`, `instanceNorm`. */
export interface RowNormOptions {
  /** Factors; default 1. */
  weight?: Tensor | null | undefined
  /** Summands; default 0. */
  bias?: Tensor | null | undefined
  /** Added to the variance; default 1e-5. */
  eps?: number | undefined
}

/** Options of `rmsNorm`. */
export interface RmsNormOptions {
  /** Factors, of `normalizedShape`; default 1. */
  weight?: Tensor | null | undefined
  /** Added to the mean of squares; default 2⁻²³, as in PyTorch. */
  eps?: number | null | undefined
}

/** 2⁻²³, what PyTorch takes where a float32 RMSNorm has no eps. */
const smallest = 2 ** -23

/**
 * `(x − mean) / √(variance + eps) · weight + bias`, mean and variance over the last dimensions of each row,
 * `torch.nn.functional.layer_norm`.
 *
 * @param normalizedShape the sizes of those dimensions; weight and bias have this shape
 * @throws KerneletError `ERR_SHAPE` where the input does not end in it
 * @example layerNorm(new Tensor(Float32Array.of(1, 2, 3), [1, 3]), 3) // → [[-1.225, 0, 1.225]]
 */
export function layerNorm(
  input: Tensor,
  normalizedShape: number | readonly number[],
  options: RowNormOptions = {},
): Tensor {
  checkOptions('layerNorm', options, ['weight', 'bias', 'eps'])
  const { row, ...attributes } = rowsOf('layerNorm', input, normalizedShape, options)
  return apply(layerNormOf({ ...attributes, bias: optional(options.bias, row, 'layerNorm: bias') }), [input])
}

/**
 * `x / √(mean of x² + eps) · weight` over the last dimensions of each row, `torch.nn.functional.rms_norm`.
 *
 * @param normalizedShape the sizes of those dimensions; the weight has this shape
 * @throws KerneletError `ERR_SHAPE` where the input does not end in it
 * @example rmsNorm(new Tensor(Float32Array.of(3, 4), [1, 2]), 2) // → [[0.8485, 1.131]]
 */
export function rmsNorm(
  input: Tensor,
  normalizedShape: number | readonly number[],
  options: RmsNormOptions = {},
): Tensor {
  checkOptions('rmsNorm', options, ['weight', 'eps'])
  const { weight, eps } = options
  const { row: _, ...attributes } = rowsOf('rmsNorm', input, normalizedShape, {
    weight,
    eps: eps ?? smallest,
  })
  return apply(rmsNormOf(attributes), [input])
}

function rowsOf(
  who: string,
  input: Tensor,
  normalizedShape: number | readonly number[],
  { weight, eps }: Pick<RowNormOptions, 'weight' | 'eps'>,
): { row: number[]; axis: number; weight: Tensor | undefined; epsilon: number } {
  const row = rowOf(normalizedShape, who)
  const { shape } = checkTensor(who, input)
  if (row.length > shape.length || !sameShape(shape.slice(shape.length - row.length), row)) {
    throw new KerneletError(
      'ERR_SHAPE',
      `${who} expects an input whose last dimensions are ${formatShape(row)} but receives ${formatShape(shape)}`,
    )
  }
  return {
    row,
    axis: axisOf(input, shape.length - row.length, `${who}: dimension`),
    weight: optional(weight, row, `${who}: weight`),
    epsilon: numberOf(eps ?? 1e-5, `${who}: eps`),
  }
}

/** One size, or a list of them. */
function rowOf(value: unknown, who: string): number[] {
  const sizes = typeof value === 'number' ? [value] : itemsOf(value, 6)
  if (sizes && sizes.length > 0) return sizes.map((one) => size(one, `${who}: normalizedShape`, 1))
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${who}: normalizedShape must be a size or a list of sizes but is ${show(value)}`,
  )
}

function optional(
  tensor: Tensor | null | undefined,
  shape: readonly number[],
  what: string,
): Tensor | undefined {
  if (tensor === undefined || tensor === null) return undefined
  const value = constant(what, checkTensor(what, tensor))
  if (sameShape(value.shape, shape)) return value
  throw new KerneletError(
    'ERR_SHAPE',
    `${what} must have the shape ${formatShape(shape)} but has ${formatShape(value.shape)}`,
  )
}

/**
 * Each image's channels in `numGroups` groups, each normalised over all of its values as by `layerNorm`, with a weight
 * and a bias a channel, `torch.nn.functional.group_norm`.
 *
 * @param input [n, c, ...]
 * @param numGroups divides c
 * @example groupNorm(new Tensor(Float32Array.of(1, 3, 5, 9), [1, 2, 2]), 1) // → [[[-1.183, -0.5071], [0.169, 1.521]]]
 */
export function groupNorm(input: Tensor, numGroups: number, options: RowNormOptions = {}): Tensor {
  return byChannel('groupNorm', input, size(numGroups, 'groupNorm: numGroups', 1), options)
}

/**
 * Each channel of each image normalised over its values, `torch.nn.functional.instance_norm` without running statistics.
 *
 * @param input [n, c, ...], with weight and bias of [c]
 * @example instanceNorm(new Tensor(Float32Array.of(1, 3, 5, 9), [1, 2, 2])) // → [[[-1, 1], [-1, 1]]]
 */
export function instanceNorm(input: Tensor, options: RowNormOptions = {}): Tensor {
  return byChannel('instanceNorm', input, undefined, options)
}

function byChannel(who: string, input: Tensor, groups: number | undefined, options: RowNormOptions): Tensor {
  checkOptions(who, options, ['weight', 'bias', 'eps'])
  const { shape } = checkTensor(who, input)
  const channels = shape[1]
  if (channels === undefined || (groups === undefined && shape.length < 3)) {
    const wanted = groups === undefined ? '[n, channels, length, …]' : '[n, channels, …]'
    throw new KerneletError('ERR_SHAPE', `${who} expects ${wanted} but receives ${formatShape(shape)}`)
  }
  return apply(
    groupNormOf({
      groups: groups ?? channels,
      weight: optional(options.weight, [channels], `${who}: weight`),
      bias: optional(options.bias, [channels], `${who}: bias`),
      epsilon: numberOf(options.eps ?? 1e-5, `${who}: eps`),
    }),
    [input],
  )
}

/** Options of `LayerNorm`. */
export interface LayerNormOptions {
  /** Added to the variance; default 1e-5. */
  eps?: number | undefined
  /** Whether there is a weight and a bias; default true. */
  elementwiseAffine?: boolean | undefined
  /** false: only a weight. */
  bias?: boolean | undefined
}

/** Options of `RMSNorm`. */
export interface RMSNormOptions {
  /** Added to the mean of squares; default 2⁻²³. */
  eps?: number | null | undefined
  /** Whether there is a weight; default true. */
  elementwiseAffine?: boolean | undefined
}

/** Options of `GroupNorm`, `InstanceNorm1d` and `InstanceNorm2d`. */
export interface GroupNormOptions {
  /** Added to the variance; default 1e-5. */
  eps?: number | undefined
  /** Whether there is a weight and a bias; default true, of instance norms false. */
  affine?: boolean | undefined
}

function filled(shape: readonly number[], value: number, who: string): Parameter {
  return new Parameter(zeros([elements(shape)], who).fill(value), shape)
}

/**
 * Normalization over the last dimensions, `torch.nn.LayerNorm`; see `layerNorm`.
 * @example new LayerNorm(3).forward(new Tensor(Float32Array.of(1, 2, 3), [1, 3])) // → [[-1.225, 0, 1.225]]
 */
export class LayerNorm extends Module {
  readonly normalizedShape: readonly number[]
  readonly eps: number
  /** Of normalizedShape, all 1 at first; or undefined with `elementwiseAffine: false`. */
  readonly weight: Parameter | undefined
  /** Of normalizedShape, all 0 at first; or undefined. */
  readonly bias: Parameter | undefined

  constructor(normalizedShape: number | readonly number[], options: LayerNormOptions = {}) {
    super()
    checkOptions('LayerNorm', options, ['eps', 'elementwiseAffine', 'bias'])
    this.normalizedShape = rowOf(normalizedShape, 'LayerNorm')
    this.eps = numberOf(options.eps ?? 1e-5, 'LayerNorm: eps')
    const affine = flag(options.elementwiseAffine ?? true, 'LayerNorm: elementwiseAffine')
    const biased = flag(options.bias ?? true, 'LayerNorm: bias')
    this.weight = affine ? filled(this.normalizedShape, 1, 'LayerNorm') : undefined
    this.bias = affine && biased ? filled(this.normalizedShape, 0, 'LayerNorm') : undefined
  }

  forward(x: Tensor): Tensor {
    const { weight, bias, eps } = this
    return layerNorm(x, this.normalizedShape, { weight, bias, eps })
  }
}

/**
 * Division by the root of the mean square over the last dimensions, `torch.nn.RMSNorm`; see `rmsNorm`.
 * @example new RMSNorm(2).forward(new Tensor(Float32Array.of(3, 4), [1, 2])) // → [[0.8485, 1.131]]
 */
export class RMSNorm extends Module {
  readonly normalizedShape: readonly number[]
  readonly eps: number | null
  /** Of normalizedShape, all 1 at first; or undefined with `elementwiseAffine: false`. */
  readonly weight: Parameter | undefined

  constructor(normalizedShape: number | readonly number[], options: RMSNormOptions = {}) {
    super()
    checkOptions('RMSNorm', options, ['eps', 'elementwiseAffine'])
    this.normalizedShape = rowOf(normalizedShape, 'RMSNorm')
    const { eps } = options
    this.eps = eps === undefined || eps === null ? null : numberOf(eps, 'RMSNorm: eps')
    const affine = flag(options.elementwiseAffine ?? true, 'RMSNorm: elementwiseAffine')
    this.weight = affine ? filled(this.normalizedShape, 1, 'RMSNorm') : undefined
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.normalizedShape, { weight: this.weight, eps: this.eps })
  }
}

/**
 * Normalization of groups of channels, `torch.nn.GroupNorm`; see `groupNorm`.
 * @example new GroupNorm(1, 2).forward(new Tensor(Float32Array.of(1, 3, 5, 9), [1, 2, 2])) // → [[[-1.183, -0.5071], [0.169, 1.521]]]
 */
export class GroupNorm extends Module {
  readonly numGroups: number
  readonly numChannels: number
  readonly eps: number
  /** [numChannels], all 1 at first; or undefined with `affine: false`. */
  readonly weight: Parameter | undefined
  /** [numChannels], all 0 at first; or undefined with `affine: false`. */
  readonly bias: Parameter | undefined

  constructor(numGroups: number, numChannels: number, options: GroupNormOptions = {}) {
    super()
    checkOptions('GroupNorm', options, ['eps', 'affine'])
    this.numGroups = size(numGroups, 'GroupNorm: numGroups', 1)
    this.numChannels = size(numChannels, 'GroupNorm: numChannels', 1)
    if (numChannels % numGroups !== 0) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `GroupNorm: ${numChannels} channels cannot be divided among ${numGroups} groups`,
      )
    }
    this.eps = numberOf(options.eps ?? 1e-5, 'GroupNorm: eps')
    const affine = flag(options.affine ?? true, 'GroupNorm: affine')
    this.weight = affine ? filled([numChannels], 1, 'GroupNorm') : undefined
    this.bias = affine ? filled([numChannels], 0, 'GroupNorm') : undefined
  }

  forward(x: Tensor): Tensor {
    const { weight, bias, eps } = this
    checkChannels(this, x, this.numChannels)
    return groupNorm(x, this.numGroups, { weight, bias, eps })
  }
}

function checkChannels(layer: Module, x: Tensor, channels: number): void {
  if (!Tensor.is(x) || x.shape.length < 2 || x.shape[1] === channels) return
  throw new KerneletError(
    'ERR_SHAPE',
    `${className(layer)} expects ${channels} channels but receives ${formatShape(x.shape)}`,
  )
}

/** What the instance norms share. */
abstract class InstanceNorm extends Module {
  readonly numFeatures: number
  readonly eps: number
  /** [numFeatures], all 1 at first, with `affine: true`; else undefined. */
  readonly weight: Parameter | undefined
  /** [numFeatures], all 0 at first, with `affine: true`; else undefined. */
  readonly bias: Parameter | undefined

  constructor(numFeatures: number, options: GroupNormOptions = {}) {
    super()
    const who = new.target.name
    checkOptions(who, options, ['eps', 'affine'])
    this.numFeatures = size(numFeatures, `${who}: numFeatures`, 1)
    this.eps = numberOf(options.eps ?? 1e-5, `${who}: eps`)
    const affine = flag(options.affine ?? false, `${who}: affine`)
    this.weight = affine ? filled([numFeatures], 1, who) : undefined
    this.bias = affine ? filled([numFeatures], 0, who) : undefined
  }

  protected abstract readonly rank: number

  forward(x: Tensor): Tensor {
    if (Tensor.is(x) && x.shape.length !== this.rank) {
      throw new KerneletError(
        'ERR_SHAPE',
        `${className(this)} expects ${this.rank} dimensions, batch and all, but receives ${formatShape(x.shape)}`,
      )
    }
    checkChannels(this, x, this.numFeatures)
    const { weight, bias, eps } = this
    return instanceNorm(x, { weight, bias, eps })
  }
}

/**
 * Each channel of [n, numFeatures, l] normalised by itself, `torch.nn.InstanceNorm1d`.
 * @example new InstanceNorm1d(2).forward(new Tensor(Float32Array.of(1, 3, 5, 9), [1, 2, 2])) // → [[[-1, 1], [-1, 1]]]
 */
export class InstanceNorm1d extends InstanceNorm {
  protected override readonly rank: number = 3
}

/**
 * Each channel of [n, numFeatures, h, w] normalised by itself, `torch.nn.InstanceNorm2d`.
 * @example new InstanceNorm2d(1).forward(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 2, 2])) // → [[[[-1.342, -0.4472], [0.4472, 1.342]]]]
 */
export class InstanceNorm2d extends InstanceNorm {
  protected override readonly rank: number = 4
}
