/** Options of a Trainer, checked and in the terms of a Session. */
import { type AugmentOptions, nativeAugment } from '../data/augment.ts'
import { size } from '../tensor/shape.ts'
import { atLeast0, checkOptions } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { checkLoss, type Loss } from './losses.ts'
import { Adam, Optimizer } from './optimizers.ts'
import { type Pixels, pixelsOf } from './scaling.ts'
import type { Settings } from './session.ts'

/** Options of `Trainer`. */
export interface TrainerOptions extends Pixels {
  /** Default `new Adam()`. */
  optimizer?: Optimizer | undefined
  /** What is minimised; default 'crossEntropy'. */
  loss?: Loss | undefined
  /** With crossEntropy: this part of every target is spread over all classes; default 0. */
  labelSmoothing?: number | undefined
  /** Gradients are scaled down to this norm over all weights, `clip_grad_norm_`; default: no limit. */
  clipNorm?: number | undefined
  /** Every gradient is cut to ± this, `clip_grad_value_`; default: no limit. */
  clipValue?: number | undefined
  /** Decay of averaged weights (0.999 …): after every step average = average · ema + weight · (1 − ema). */
  ema?: number | undefined
  /** Of the order of images, of validation splits, dropout and augmentation; default: from `manualSeed`'s generator. */
  seed?: number | undefined
  /** How images of [channels, height, width] are varied before they are used; see `augment`. Default: not at all. */
  augment?: AugmentOptions | undefined
  /** Threads; the weights that come out do not depend on it. Default 0: by the amount of work. */
  threads?: number | undefined
  /** Instruction set, by name. */
  isa?: string | undefined
  /** Shape of one image; needed for `step` with arrays before any data has told it. */
  inputShape?: readonly number[] | undefined
}

/** @throws KerneletError `ERR_ARGUMENT` for a wrong option. */
export function settingsOf(options: TrainerOptions): {
  optimizer: Optimizer
  settings: Settings
  scaling: { scale: number; shift: number }
} {
  checkOptions('Trainer', options, [
    'optimizer',
    'loss',
    'labelSmoothing',
    'clipNorm',
    'clipValue',
    'ema',
    'seed',
    'augment',
    'threads',
    'isa',
    'inputShape',
    'mean',
    'std',
  ])
  const { optimizer = new Adam(), labelSmoothing = 0, ema, seed } = options
  if (!(optimizer instanceof Optimizer)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `Trainer: optimizer must be an Optimizer, such as new Adam(), but is ${show(optimizer)}`,
    )
  }
  const loss = checkLoss(options.loss ?? 'crossEntropy')
  share(labelSmoothing, 'labelSmoothing')
  if (labelSmoothing > 0 && loss !== 'crossEntropy') {
    throw new KerneletError('ERR_ARGUMENT', 'Trainer: labelSmoothing goes with crossEntropy only')
  }
  if (ema !== undefined) share(ema, 'ema')
  for (const name of ['clipNorm', 'clipValue'] as const) {
    if (options[name] !== undefined) atLeast0(options[name], `Trainer: ${name}`)
  }
  if (options.threads !== undefined) size(options.threads, 'Trainer: threads', 0)
  if (seed !== undefined && !(Number.isSafeInteger(seed) && seed >= 0)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `Trainer: seed must be an integer from 0 to 2⁵³ − 1 but is ${show(seed)}`,
    )
  }
  const scaling = pixelsOf('Trainer', options)
  const { scale, shift } = scaling
  const { clipNorm, clipValue, isa, threads } = options
  const augment = options.augment && nativeAugment(options.augment, { low: shift, high: 255 * scale + shift })
  return {
    optimizer,
    settings: {
      optimizer,
      loss,
      labelSmoothing,
      clipNorm,
      clipValue,
      ema,
      augment,
      isa,
      threads,
    },
    scaling,
  }
}

function share(value: unknown, name: string): void {
  if (typeof value === 'number' && value >= 0 && value < 1) return
  throw new KerneletError(
    'ERR_ARGUMENT',
    `Trainer: ${name} must be a number from 0 to below 1 but is ${show(value)}`,
  )
}
