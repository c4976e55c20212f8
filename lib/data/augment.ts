/** Augmentation: images varied at random, so that a network sees more hands and pens than its training set has. */

import { types } from 'node:util'
import type { NativeAugment } from '../backend/backend.ts'
import { native } from '../backend/node-addon.ts'
import { attached } from '../graph/operation.ts'
import { checkShape, elements, formatShape } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { checkOptions, flag, keysOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { lengthOf } from '../util/typed-array.ts'

/**
 * What may happen to an image, in the order in which it does. Each group happens with its `probability` (1 where
 * none is given), each time with other values, drawn evenly up to the strengths given. Lengths are in pixels.
 */
export interface AugmentOptions {
  /** Strokes lose or gain up to so much on either side: a grey erosion or dilation. At most 8. */
  thickness?: { thinner?: number; thicker?: number; probability?: number } | undefined
  /**
   * `degrees`: turned by up to so much either way. `scale`: larger or smaller, 1 ± scale. `stretch`: width over
   * height, 1 ± stretch. `shear`: slanted by up to so many degrees either way. `translate`: moved by up to so
   * much each way.
   */
  affine?:
    | {
        degrees?: number
        scale?: number
        stretch?: number
        shear?: number
        translate?: number
        probability?: number
      }
    | undefined
  /**
   * Narrow digits widened (and flat ones heightened) towards a square box, by up to `strength` of the way:
   * 1 is all of it. Collections of small bitmaps often stretch every digit so.
   */
  square?: { strength: number; probability?: number } | undefined
  /**
   * Elastic distortion (Simard, Steinkraus and Platt 2003): every pixel is displaced by a field of uniform
   * noise, smoothed by a Gaussian of deviation `sigma` (default 4) and multiplied by `alpha`. With (34, 4), the
   * paper's for MNIST, the displacements' deviation is 1.4 pixels.
   */
  elastic?: { alpha: number; sigma?: number; probability?: number } | undefined
  /** Gaussian blur, a deviation of up to `sigma`. */
  blur?: { sigma: number; probability?: number } | undefined
  /**
   * Before scale and translate: the ink's longer side to 20/28 of the image's shorter one, its centre of mass
   * to the middle, its highest level to full ink. It is what `normalizeDigit` does to pictures, so that
   * augmented images keep MNIST's form. Default false.
   */
  mnistForm?: boolean | undefined
  /** Levels spread about their mean by 1 ± strength, and cut off at empty paper and full ink. */
  contrast?: { strength: number; probability?: number } | undefined
  /** Paper of up to this share of full ink, unevenly lit. */
  background?: { strength: number; probability?: number } | undefined
  /** Normal grain, a deviation of up to this share of full ink. */
  noise?: { std: number; probability?: number } | undefined
}

/**
 * For digits that `normalizeDigit` has brought into MNIST's form: other hands (turned, slanted, stretched, bent)
 * and other pens.
 * @example augment(new Uint8Array(784), [1, 28, 28], { ...handwriting }).length // → 784
 */
export const handwriting: AugmentOptions = Object.freeze({
  thickness: { thinner: 0.7, thicker: 0.9, probability: 0.5 },
  affine: { degrees: 10, scale: 0.06, stretch: 0.12, shear: 14, translate: 0.5, probability: 0.9 },
  elastic: { alpha: 24, sigma: 4, probability: 0.6 },
  blur: { sigma: 0.5, probability: 0.3 },
  mnistForm: true,
  contrast: { strength: 0.15, probability: 0.3 },
})

/** Names of the groups and of their fields: those of NativeAugment. */
const groups = {
  thickness: { thinner: 'thinner', thicker: 'thicker' },
  affine: {
    degrees: 'degrees',
    scale: 'scale',
    stretch: 'stretch',
    shear: 'shear',
    translate: 'translate',
  },
  square: { strength: 'square' },
  elastic: { alpha: 'alpha', sigma: 'sigma' },
  blur: { sigma: 'blur' },
  contrast: { strength: 'contrast' },
  background: { strength: 'background' },
  noise: { std: 'noise' },
} as const satisfies {
  [Group in keyof Groups]: {
    [Field in Exclude<keyof NonNullable<Groups[Group]>, 'probability'>]-?: keyof NativeAugment
  }
}

/** What can be varied, each with its options. */
type Groups = Required<Omit<AugmentOptions, 'mnistForm'>>

/**
 * The options as the native core takes them.
 *
 * @param levels of empty paper and of full ink in the images the network gets
 * @throws KerneletError `ERR_ARGUMENT` for unknown names and what is no number
 */
export function nativeAugment(
  options: AugmentOptions,
  { low = 0, high = 1 }: { low?: number; high?: number } = {},
): NativeAugment {
  checkOptions('augment', options, [...keysOf(groups), 'mnistForm'])
  const flat: Record<string, number | boolean> = {
    low,
    high,
    mnistForm: flag(options.mnistForm ?? false, 'augment: mnistForm'),
  }
  for (const group of keysOf(groups)) {
    const fields = groups[group]
    const given: Readonly<Record<string, unknown>> | undefined = options[group]
    if (given === undefined) continue
    checkOptions(`augment: ${group}`, given, [...Object.keys(fields), 'probability'])
    for (const [name, to] of Object.entries({ ...fields, probability: `${group}Probability` })) {
      const value = given[name]
      if (value === undefined) continue
      if (typeof value !== 'number') {
        throw new KerneletError(
          'ERR_ARGUMENT',
          `augment: ${group}.${name} must be a number but is ${show(value)}`,
        )
      }
      flat[to] = value
    }
  }
  return flat
}

/** Which variation of an image `augment` makes: the same seed, epoch and index give the same. */
export interface AugmentSeed {
  /** Integers from 0 to 2⁵³. */
  seed?: number | undefined
  epoch?: number | undefined
  /** Of the first image; the others follow. */
  index?: number | undefined
  /** Levels of empty paper and full ink, should they not be 0 and 1. */
  low?: number | undefined
  high?: number | undefined
}

/**
 * Variations of images: what a `Trainer` with `augment` sees in `epoch` of the images `index`, `index + 1` … A
 * variation depends on seed, epoch, index and options alone, on every machine, whatever the number of threads.
 *
 * @param images [n, channels, height, width]
 * @returns as many others
 * @throws KerneletError `ERR_SHAPE` for another rank; `ERR_ARGUMENT` for options out of range
 * @example
 * const varied = augment(new Tensor(new Float32Array(784), [1, 1, 28, 28]), handwriting, { seed: 1 })
 * varied.shape // → [1, 1, 28, 28]
 */
export function augment(images: Tensor, options: AugmentOptions, where?: AugmentSeed): Tensor
/**
 * The same of images one after another, of floats, or of bytes: these are varied between the levels 0 and 255 unless
 * told otherwise, and rounded.
 *
 * @param shape [channels, height, width] of one image
 * @returns an array of the same kind
 */
export function augment<T extends Float32Array | Uint8Array>(
  images: T,
  shape: readonly number[],
  options: AugmentOptions,
  where?: AugmentSeed,
): T
export function augment(images: unknown, ...rest: unknown[]): unknown {
  if ((types.isFloat32Array(images) || types.isUint8Array(images)) && Array.isArray(rest[0])) {
    const [shape, options, where] = rest as [readonly number[], AugmentOptions, AugmentSeed?]
    return augmentArray(images, shape, options, where)
  }
  const [options, where] = rest as [AugmentOptions, AugmentSeed?]
  return augmentTensor(images, options, where)
}

const seedNames = ['seed', 'epoch', 'index', 'low', 'high'] as const

function augmentArray(
  images: Float32Array | Uint8Array,
  shape: readonly number[],
  options: AugmentOptions,
  where: AugmentSeed = {},
): Float32Array | Uint8Array {
  const image = checkShape(shape, 'augment: shape')
  const length = lengthOf(images)
  if (length === 0 || length % elements(image) !== 0) {
    throw new KerneletError(
      'ERR_SHAPE',
      `augment: expected images of ${elements(image)} values (${formatShape(image)}) but received ${length}`,
    )
  }
  checkOptions('augment', where, seedNames)
  const sizes = [length / elements(image), ...image]
  if (types.isFloat32Array(images)) return augmentTensor(new Tensor(images, sizes), options, where).data
  const levels = new Tensor(Float32Array.from(images), sizes)
  const { data } = augmentTensor(levels, options, { high: 255, ...where })
  return Uint8Array.from(data, (level) => Math.min(255, Math.max(0, Math.round(level))))
}

function augmentTensor(images: unknown, options: AugmentOptions, where: AugmentSeed = {}): Tensor {
  if (!Tensor.is(images) || images.shape.length !== 4) {
    throw new KerneletError(
      'ERR_SHAPE',
      `augment: expected images [n, channels, height, width] but received ` +
        `${Tensor.is(images) ? formatShape(images.shape) : show(images)}`,
    )
  }
  checkOptions('augment', where, seedNames)
  const { seed = 0, epoch = 0, index = 0, low = 0, high = 1 } = where
  const shape = images.shape.slice(1)
  const out = native().augment(
    attached(images, 'augment'),
    shape,
    nativeAugment(options, { low, high }),
    seed,
    epoch,
    index,
    0,
  )
  return new Tensor(out, images.shape)
}
