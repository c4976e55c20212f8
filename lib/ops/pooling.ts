/** Pooling, as functions and as layers. */
import { apply, checkTensor } from '../graph/apply.ts'
import { type Operation, operation, type Place, type Told } from '../graph/definition.ts'
import { Module } from '../nn/module.ts'
import { along, ends, type Padding, type Pair, pair, sides, size, windowExtent } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions, flag, itemsOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import {
  imageDims,
  imageMisfit,
  imageRank,
  titled,
  windowDefaults,
  windowMisfit,
  windowNeeds,
} from './window.ts'

const windowed = {
  needs: windowNeeds,
  derived: imageDims,
  rank: imageRank,
  keepsUnits: true,
  misfit: (
    operation: Told<(typeof windowNeeds)[number]>,
    inputs: readonly (readonly number[])[],
    place: Place,
  ) => imageMisfit(operation, inputs, place) ?? windowMisfit(operation, inputs, place),
} as const

const maxPool = operation('maxPool2d', {
  title: titled('MaxPool'),
  takes: ['dims', 'ceilMode'],
  defaults: windowDefaults,
  ...windowed,
})

const avgPool = operation('avgPool2d', {
  title: titled('AvgPool'),
  takes: ['dims', 'ceilMode', 'countIncludePad'],
  defaults: { ...windowDefaults, countIncludePad: true },
  ...windowed,
})

const covering = {
  needs: ['size'],
  takes: ['dims'],
  rank: imageRank,
  derived: (operation: Operation, input: readonly number[], shape: readonly number[]) => ({
    size: shape.slice(1),
    ...imageDims(operation, input),
  }),
  own: ({ size }: Told<'size'>, [channels = 1]: readonly number[]) => [channels, ...size],
  misfit: imageMisfit,
} as const

const adaptiveAvgPool = operation('adaptiveAvgPool2d', { title: titled('AdaptiveAvgPool'), ...covering })
const adaptiveMaxPool = operation('adaptiveMaxPool2d', { title: titled('AdaptiveMaxPool'), ...covering })

/** Options of `maxPool2d`. */
export interface MaxPool2dOptions {
  /** Step of the window; default: the kernel size. */
  stride?: Pair | undefined
  /**
   * Rows and columns of −∞ added on every side; default 0. One number or a pair: at most half the window, as in
   * PyTorch; [top, left, bottom, right]: less than the window.
   */
  padding?: Padding | undefined
  /** Distance between the taps; default 1. */
  dilation?: Pair | undefined
  /** Lets a last window hang over the edge; default false. */
  ceilMode?: boolean | undefined
}

/** Options of `avgPool2d`. */
export interface AvgPool2dOptions {
  /** Step of the window; default: the kernel size. */
  stride?: Pair | undefined
  /** Rows and columns of zeros added on every side, within `maxPool2d`'s limits; default 0. */
  padding?: Padding | undefined
  /** Distance between the taps; default 1. (PyTorch's has none.) */
  dilation?: Pair | undefined
  /** Lets a last window hang over the edge; default false. */
  ceilMode?: boolean | undefined
  /** Whether the zeros of the padding count in the mean; default true. */
  countIncludePad?: boolean | undefined
}

/**
 * Largest value of every window, `torch.nn.functional.max_pool2d`. A NaN in the window wins.
 *
 * @param input [n, c, h, w], or one image [c, h, w]
 * @returns [n, c, oh, ow]
 * @example maxPool2d(new Tensor(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), [1, 1, 3, 3]), 2, { stride: 1 }) // → [[[[5, 6], [8, 9]]]]
 */
export function maxPool2d(input: Tensor, kernelSize: Pair, options: MaxPool2dOptions = {}): Tensor {
  return apply(maxPool2dOperation(kernelSize, options), [input])
}

/** The operation of `maxPool2d` from its arguments, checked. */
function maxPool2dOperation(kernelSize: Pair, options: MaxPool2dOptions): Operation {
  checkOptions('MaxPool2d', options, ['stride', 'padding', 'dilation', 'ceilMode'])
  return maxPool(poolAttributes('MaxPool2d', kernelSize, options))
}

/**
 * Mean of every window, `torch.nn.functional.avg_pool2d`.
 *
 * @param input [n, c, h, w], or one image [c, h, w]
 * @returns [n, c, oh, ow]
 * @example avgPool2d(new Tensor(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), [1, 1, 3, 3]), 2, { stride: 1 }) // → [[[[3, 4], [6, 7]]]]
 */
export function avgPool2d(input: Tensor, kernelSize: Pair, options: AvgPool2dOptions = {}): Tensor {
  return apply(avgPool2dOperation(kernelSize, options), [input])
}

/** The operation of `avgPool2d` from its arguments, checked. */
function avgPool2dOperation(kernelSize: Pair, options: AvgPool2dOptions): Operation {
  checkOptions('AvgPool2d', options, ['stride', 'padding', 'dilation', 'ceilMode', 'countIncludePad'])
  const countIncludePad = flag(options.countIncludePad ?? true, 'AvgPool2d: countIncludePad')
  return avgPool({ ...poolAttributes('AvgPool2d', kernelSize, options), countIncludePad })
}

function poolAttributes(who: string, kernelSize: Pair, options: MaxPool2dOptions) {
  const kernel = pair(kernelSize, `${who}: kernelSize`, 1)
  const padding = sides(options.padding ?? 0, `${who}: padding`)
  const dilation = pair(options.dilation ?? 1, `${who}: dilation`, 1)
  const bySide = Array.isArray(options.padding) && options.padding.length === 4
  checkPadding(who, padding, kernel, dilation, bySide)
  return {
    kernelSize: kernel,
    stride: pair(options.stride ?? kernel, `${who}: stride`, 1),
    padding,
    dilation,
    ceilMode: flag(options.ceilMode ?? false, `${who}: ceilMode`),
  }
}

/** Options of `maxPool1d` and `avgPool1d`. */
export interface Pool1dOptions {
  /** Step of the window; default: the kernel size. */
  stride?: number | undefined
  /** What is added at both ends (−∞, or zeros), at most half the window; or [before, after], each less than it. */
  padding?: number | readonly [before: number, after: number] | undefined
  /** Distance between the taps; default 1. */
  dilation?: number | undefined
  /** Lets a last window hang over the edge; default false. */
  ceilMode?: boolean | undefined
  /** avgPool1d: whether the zeros of the padding count in the mean; default true. */
  countIncludePad?: boolean | undefined
}

/**
 * Largest value of every window, `torch.nn.functional.max_pool1d`. A NaN in the window wins.
 *
 * @param input [n, c, l], or one sample [c, l]
 * @returns [n, c, ol]
 * @example maxPool1d(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 4]), 2) // → [[[2, 4]]]
 */
export function maxPool1d(input: Tensor, kernelSize: number, options: Pool1dOptions = {}): Tensor {
  return apply(maxPool1dOperation(kernelSize, options), [input])
}

/** The operation of `maxPool1d` from its arguments, checked. */
function maxPool1dOperation(kernelSize: number, options: Omit<Pool1dOptions, 'countIncludePad'>): Operation {
  checkOptions('MaxPool1d', options, ['stride', 'padding', 'dilation', 'ceilMode'])
  return maxPool(pool1dAttributes('MaxPool1d', kernelSize, options))
}

/**
 * Mean of every window, `torch.nn.functional.avg_pool1d`.
 *
 * @param input [n, c, l], or one sample [c, l]
 * @returns [n, c, ol]
 * @example avgPool1d(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 4]), 2) // → [[[1.5, 3.5]]]
 */
export function avgPool1d(input: Tensor, kernelSize: number, options: Pool1dOptions = {}): Tensor {
  return apply(avgPool1dOperation(kernelSize, options), [input])
}

/** The operation of `avgPool1d` from its arguments, checked. */
function avgPool1dOperation(kernelSize: number, options: Pool1dOptions): Operation {
  checkOptions('AvgPool1d', options, ['stride', 'padding', 'dilation', 'ceilMode', 'countIncludePad'])
  const countIncludePad = flag(options.countIncludePad ?? true, 'AvgPool1d: countIncludePad')
  return avgPool({ ...pool1dAttributes('AvgPool1d', kernelSize, options), countIncludePad })
}

function pool1dAttributes(who: string, kernelSize: number, options: Pool1dOptions) {
  const kernel = along(kernelSize, `${who}: kernelSize`, 1)
  const padding = ends(options.padding ?? 0, `${who}: padding`)
  const dilation = along(options.dilation ?? 1, `${who}: dilation`, 1)
  checkPadding(who, padding, kernel, dilation, Array.isArray(options.padding))
  return {
    dims: 1 as const,
    kernelSize: kernel,
    stride: options.stride === undefined ? kernel : along(options.stride, `${who}: stride`, 1),
    padding,
    dilation,
    ceilMode: flag(options.ceilMode ?? false, `${who}: ceilMode`),
  }
}

/** PyTorch's rule is half the window; less than the window is what keeps one from lying in the padding altogether. */
function checkPadding(
  who: string,
  padding: readonly number[],
  kernel: readonly [number, number],
  dilation: readonly [number, number],
  bySide: boolean,
): void {
  for (const [i, pad] of padding.entries()) {
    const extent = windowExtent(kernel[i % 2] ?? 0, dilation[i % 2] ?? 0)
    if (bySide ? pad >= extent : pad > extent / 2) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `${who}: padding ${pad} is ${bySide ? 'not less than' : 'more than half'} the window of ${extent}`,
      )
    }
  }
}

/** Sides of an adaptive pool's output; null keeps the input's. */
export type OutputSize = number | readonly [height: number | null, width: number | null]

/**
 * Means over as many windows as the output has elements, which together cover the image,
 * `torch.nn.functional.adaptive_avg_pool2d`; size 1 is the global average.
 *
 * @param input [n, c, h, w], or one image [c, h, w]
 * @returns [n, c, oh, ow]
 * @example adaptiveAvgPool2d(new Tensor(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), [1, 1, 3, 3]), 1) // → [[[[5]]]]
 */
export function adaptiveAvgPool2d(input: Tensor, outputSize: OutputSize): Tensor {
  return adaptive(adaptiveAvgPool, 'AdaptiveAvgPool2d', input, outputSize, 2)
}

/**
 * Maxima over the windows of `adaptiveAvgPool2d`, `torch.nn.functional.adaptive_max_pool2d`.
 * @example adaptiveMaxPool2d(new Tensor(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), [1, 1, 3, 3]), 1) // → [[[[9]]]]
 */
export function adaptiveMaxPool2d(input: Tensor, outputSize: OutputSize): Tensor {
  return adaptive(adaptiveMaxPool, 'AdaptiveMaxPool2d', input, outputSize, 2)
}

/**
 * `adaptiveAvgPool2d` of [n, c, l] or [c, l], `torch.nn.functional.adaptive_avg_pool1d`.
 * @example adaptiveAvgPool1d(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 4]), 2) // → [[[1.5, 3.5]]]
 */
export function adaptiveAvgPool1d(input: Tensor, outputSize: number): Tensor {
  return adaptive(adaptiveAvgPool, 'AdaptiveAvgPool1d', input, outputSize, 1)
}

/**
 * `adaptiveMaxPool2d` of [n, c, l] or [c, l], `torch.nn.functional.adaptive_max_pool1d`.
 * @example adaptiveMaxPool1d(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 4]), 2) // → [[[2, 4]]]
 */
export function adaptiveMaxPool1d(input: Tensor, outputSize: number): Tensor {
  return adaptive(adaptiveMaxPool, 'AdaptiveMaxPool1d', input, outputSize, 1)
}

/** Sides of the output, one for each dimension; null where it keeps the input's. */
function sidesOf(who: string, value: unknown, dims: 1 | 2): (number | null)[] {
  const sides: unknown[] | undefined = Array.isArray(value) ? itemsOf(value, dims) : Array(dims).fill(value)
  if (sides?.length !== dims) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: outputSize must have ${dims} sides but is ${show(value)}`,
    )
  }
  return sides.map((side) => (side === null ? null : size(side, `${who}: outputSize`, 1)))
}

function adaptive(
  make: typeof adaptiveAvgPool,
  who: string,
  input: Tensor,
  outputSize: OutputSize,
  dims: 1 | 2,
): Tensor {
  const { shape } = checkTensor(who, input)
  const sizes = sidesOf(who, outputSize, dims).map((side, i) => side ?? shape.at(i - dims) ?? 1)
  return apply(make({ dims, size: sizes }), [input])
}

/**
 * Largest value of every window, `torch.nn.MaxPool2d`: [n, c, h, w] → [n, c, oh, ow].
 * @example new MaxPool2d(2, { stride: 1 }).forward(new Tensor(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), [1, 1, 3, 3])) // → [[[[5, 6], [8, 9]]]]
 */
export class MaxPool2d extends Module {
  readonly operation: Operation

  /** @throws KerneletError `ERR_ARGUMENT` for a size or option of the wrong type or value. */
  constructor(kernelSize: Pair, options: MaxPool2dOptions = {}) {
    super()
    this.operation = maxPool2dOperation(kernelSize, options)
  }

  forward(x: Tensor): Tensor {
    return apply(this.operation, [x])
  }
}

/**
 * Mean of every window, `torch.nn.AvgPool2d`: [n, c, h, w] → [n, c, oh, ow].
 * @example new AvgPool2d(2, { stride: 1 }).forward(new Tensor(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), [1, 1, 3, 3])) // → [[[[3, 4], [6, 7]]]]
 */
export class AvgPool2d extends Module {
  readonly operation: Operation

  /** @throws KerneletError `ERR_ARGUMENT` for a size or option of the wrong type or value. */
  constructor(kernelSize: Pair, options: AvgPool2dOptions = {}) {
    super()
    this.operation = avgPool2dOperation(kernelSize, options)
  }

  forward(x: Tensor): Tensor {
    return apply(this.operation, [x])
  }
}

/**
 * Largest value of every window, `torch.nn.MaxPool1d`: [n, c, l] → [n, c, ol].
 * @example new MaxPool1d(2).forward(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 4])) // → [[[2, 4]]]
 */
export class MaxPool1d extends Module {
  readonly operation: Operation

  /** @throws KerneletError `ERR_ARGUMENT` for a size or option of the wrong type or value. */
  constructor(kernelSize: number, options: Pool1dOptions = {}) {
    super()
    this.operation = maxPool1dOperation(kernelSize, options)
  }

  forward(x: Tensor): Tensor {
    return apply(this.operation, [x])
  }
}

/**
 * Mean of every window, `torch.nn.AvgPool1d`: [n, c, l] → [n, c, ol].
 * @example new AvgPool1d(2).forward(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 4])) // → [[[1.5, 3.5]]]
 */
export class AvgPool1d extends Module {
  readonly operation: Operation

  /** @throws KerneletError `ERR_ARGUMENT` for a size or option of the wrong type or value. */
  constructor(kernelSize: number, options: Pool1dOptions = {}) {
    super()
    this.operation = avgPool1dOperation(kernelSize, options)
  }

  forward(x: Tensor): Tensor {
    return apply(this.operation, [x])
  }
}

/**
 * Means over windows that cover the image, `torch.nn.AdaptiveAvgPool2d`; size 1 is the global average.
 * @example new AdaptiveAvgPool2d(1).forward(new Tensor(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), [1, 1, 3, 3])) // → [[[[5]]]]
 */
export class AdaptiveAvgPool2d extends Module {
  readonly outputSize: OutputSize

  constructor(outputSize: OutputSize) {
    super()
    sidesOf('AdaptiveAvgPool2d', outputSize, 2)
    this.outputSize = outputSize
  }

  forward(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, this.outputSize)
  }
}

/**
 * Maxima over windows that cover the image, `torch.nn.AdaptiveMaxPool2d`; size 1 is the global maximum.
 * @example new AdaptiveMaxPool2d(1).forward(new Tensor(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), [1, 1, 3, 3])) // → [[[[9]]]]
 */
export class AdaptiveMaxPool2d extends Module {
  readonly outputSize: OutputSize

  constructor(outputSize: OutputSize) {
    super()
    sidesOf('AdaptiveMaxPool2d', outputSize, 2)
    this.outputSize = outputSize
  }

  forward(x: Tensor): Tensor {
    return adaptiveMaxPool2d(x, this.outputSize)
  }
}

/**
 * `AdaptiveAvgPool2d` of [n, c, l], `torch.nn.AdaptiveAvgPool1d`.
 * @example new AdaptiveAvgPool1d(2).forward(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 4])) // → [[[1.5, 3.5]]]
 */
export class AdaptiveAvgPool1d extends Module {
  readonly outputSize: number

  constructor(outputSize: number) {
    super()
    sidesOf('AdaptiveAvgPool1d', outputSize, 1)
    this.outputSize = outputSize
  }

  forward(x: Tensor): Tensor {
    return adaptiveAvgPool1d(x, this.outputSize)
  }
}

/**
 * `AdaptiveMaxPool2d` of [n, c, l], `torch.nn.AdaptiveMaxPool1d`.
 * @example new AdaptiveMaxPool1d(2).forward(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 4])) // → [[[2, 4]]]
 */
export class AdaptiveMaxPool1d extends Module {
  readonly outputSize: number

  constructor(outputSize: number) {
    super()
    sidesOf('AdaptiveMaxPool1d', outputSize, 1)
    this.outputSize = outputSize
  }

  forward(x: Tensor): Tensor {
    return adaptiveMaxPool1d(x, this.outputSize)
  }
}
