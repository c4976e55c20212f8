/** Learning-rate schedules: PyTorch's names, defaults and formulas. A rate is a function of where the run is. */

import { size } from '../tensor/shape.ts'
import { atLeast0, checkOptions, finite, flag, objectOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

/** Where a run is. */
export interface Position {
  /** Steps taken since the run began. */
  step: number
  /** Steps of the whole run. */
  steps: number
  /** Steps of one epoch. */
  stepsPerEpoch: number
}

/** What a schedule counts. */
export type Interval = 'epoch' | 'step'

/**
 * A learning rate that changes while a model is trained.
 * @example
 * class Halving extends Schedule {
 *   rate(base, { step, stepsPerEpoch }) {
 *     return base / 2 ** Math.floor(step / stepsPerEpoch)
 *   }
 * }
 * new Halving().rate(0.4, { step: 20, steps: 400, stepsPerEpoch: 10 }) // → 0.1
 */
export abstract class Schedule {
  /**
   * The rate of the step that comes next.
   *
   * @param base the optimizer's `lr`
   */
  abstract rate(base: number, position: Position): number
}

/** Options of `StepLR`. */
export interface StepLROptions {
  /** After so many epochs (or steps) the rate is multiplied. */
  stepSize: number
  /** By what; default 0.1. */
  gamma?: number | undefined
  /** Whether epochs are counted (default), or steps. */
  interval?: Interval | undefined
}

/**
 * `lr · gamma^⌊t / stepSize⌋`, `torch.optim.lr_scheduler.StepLR`.
 * @example new StepLR({ stepSize: 10, gamma: 0.5 }).rate(0.1, { step: 200, steps: 400, stepsPerEpoch: 10 }) // → 0.025
 */
export class StepLR extends Schedule {
  readonly #stepSize: number
  readonly #gamma: number
  readonly #interval: Interval

  /** @throws KerneletError `ERR_ARGUMENT` */
  constructor(options: StepLROptions) {
    super()
    checkOptions('StepLR', options, ['stepSize', 'gamma', 'interval'])
    this.#stepSize = size(options.stepSize, 'StepLR: stepSize', 1)
    this.#gamma = atLeast0(options.gamma ?? 0.1, 'StepLR: gamma')
    this.#interval = checkInterval(options.interval ?? 'epoch', 'StepLR')
  }

  rate(base: number, position: Position): number {
    checkPosition(base, position)
    return base * this.#gamma ** Math.floor(count(this.#interval, position) / this.#stepSize)
  }
}

/** Options of `CosineAnnealingLR`. */
export interface CosineAnnealingLROptions {
  /** Epochs (or steps) from the highest rate to the lowest; default: the whole run, changing with every step. */
  tMax?: number | undefined
  /** Lowest rate; default 0. */
  etaMin?: number | undefined
  /** Whether `tMax` counts epochs (default), or steps. */
  interval?: Interval | undefined
}

/**
 * `etaMin + (lr − etaMin) · (1 + cos(π t / tMax)) / 2` (Loshchilov and Hutter 2017),
 * `torch.optim.lr_scheduler.CosineAnnealingLR`.
 * @example new CosineAnnealingLR({ etaMin: 0.01 }).rate(0.1, { step: 200, steps: 400, stepsPerEpoch: 10 }) // → 0.055
 */
export class CosineAnnealingLR extends Schedule {
  readonly #tMax: number | undefined
  readonly #etaMin: number
  readonly #interval: Interval

  /** @throws KerneletError `ERR_ARGUMENT` */
  constructor(options: CosineAnnealingLROptions = {}) {
    super()
    checkOptions('CosineAnnealingLR', options, ['tMax', 'etaMin', 'interval'])
    if (options.tMax !== undefined) size(options.tMax, 'CosineAnnealingLR: tMax', 1)
    this.#tMax = options.tMax
    this.#etaMin = finite(options.etaMin ?? 0, 'CosineAnnealingLR: etaMin')
    this.#interval = checkInterval(options.interval ?? 'epoch', 'CosineAnnealingLR')
  }

  rate(base: number, position: Position): number {
    checkPosition(base, position)
    const part =
      this.#tMax === undefined ? position.step / position.steps : count(this.#interval, position) / this.#tMax
    return this.#etaMin + ((base - this.#etaMin) * (1 + Math.cos(Math.PI * part))) / 2
  }
}

/** Options of `OneCycleLR`. */
export interface OneCycleLROptions {
  /** Highest rate. */
  maxLr: number
  /** Steps from beginning to end; default: those of the run. */
  totalSteps?: number | undefined
  /** Share of the steps in which the rate rises; default 0.3. */
  pctStart?: number | undefined
  /** Default 'cos'. */
  annealStrategy?: 'cos' | 'linear' | undefined
  /** The rate begins at `maxLr / divFactor`; default 25. */
  divFactor?: number | undefined
  /** The rate ends at the first rate / finalDivFactor; default 10,000. */
  finalDivFactor?: number | undefined
  /** The way down in two parts: to the first rate as fast as it rose, then to the last; default false. */
  threePhase?: boolean | undefined
}

/**
 * Up to `maxLr` and down again, once in a run (Smith and Topin 2018), `torch.optim.lr_scheduler.OneCycleLR` with
 * `cycle_momentum=False`. The optimizer's `lr` does not count. Changes with every step.
 * @example new OneCycleLR({ maxLr: 0.1 }).rate(0.1, { step: 0, steps: 400, stepsPerEpoch: 10 }) // → 0.004
 */
export class OneCycleLR extends Schedule {
  readonly #totalSteps: number | undefined
  readonly #linear: boolean
  readonly #rates: { max: number; first: number; last: number }
  readonly #pctStart: number
  readonly #threePhase: boolean

  /** @throws KerneletError `ERR_ARGUMENT` */
  constructor(options: OneCycleLROptions) {
    super()
    checkOptions('OneCycleLR', options, [
      'maxLr',
      'totalSteps',
      'pctStart',
      'annealStrategy',
      'divFactor',
      'finalDivFactor',
      'threePhase',
    ])
    const { totalSteps, pctStart = 0.3, annealStrategy = 'cos' } = options
    if (totalSteps !== undefined) size(totalSteps, 'OneCycleLR: totalSteps', 1)
    if (typeof pctStart !== 'number' || !(pctStart >= 0 && pctStart <= 1)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `OneCycleLR: pctStart must be from 0 to 1 but is ${show(pctStart)}`,
      )
    }
    if (annealStrategy !== 'cos' && annealStrategy !== 'linear') {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `OneCycleLR: annealStrategy must be 'cos' or 'linear' but is ${show(annealStrategy)}`,
      )
    }
    const max = atLeast0(options.maxLr, 'OneCycleLR: maxLr')
    const first = max / positive(options.divFactor ?? 25, 'OneCycleLR: divFactor')
    const last = first / positive(options.finalDivFactor ?? 1e4, 'OneCycleLR: finalDivFactor')
    this.#totalSteps = totalSteps
    this.#pctStart = pctStart
    this.#linear = annealStrategy === 'linear'
    this.#threePhase = flag(options.threePhase ?? false, 'OneCycleLR: threePhase')
    this.#rates = { max, first, last }
  }

  rate(base: number, position: Position): number {
    checkPosition(base, position)
    const { step, steps } = position
    const total = this.#totalSteps ?? steps
    if (step >= total) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `OneCycleLR: step ${step + 1} of a cycle of ${total} steps: totalSteps is smaller than the run`,
      )
    }
    const { max, first, last } = this.#rates
    const top = this.#pctStart * total - 1
    const phases: [end: number, from: number, to: number][] = this.#threePhase
      ? [
          [top, first, max],
          [2 * top, max, first],
          [total - 1, first, last],
        ]
      : [
          [top, first, max],
          [total - 1, max, last],
        ]
    let start = 0
    for (const [i, [end, from, to]] of phases.entries()) {
      if (step <= end || i === phases.length - 1) {
        // A cycle of one step, or a phase of none, has no way to go.
        const part = end === start ? 1 : (step - start) / (end - start)
        if (this.#linear) return from + (to - from) * part
        return to + ((from - to) * (1 + Math.cos(Math.PI * part))) / 2
      }
      start = end
    }
    return last
  }
}

function count(interval: Interval, { step, stepsPerEpoch }: Position): number {
  return interval === 'step' ? step : Math.floor(step / stepsPerEpoch)
}

function checkInterval(value: unknown, who: string): Interval {
  if (value === 'epoch' || value === 'step') return value
  throw new KerneletError('ERR_ARGUMENT', `${who}: interval must be 'epoch' or 'step' but is ${show(value)}`)
}

function positive(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be a number above 0 but is ${show(value)}`)
}

/** @throws KerneletError `ERR_ARGUMENT` for what is no rate, or no place in a run */
function checkPosition(base: unknown, position: Position): void {
  finite(base, 'rate: base')
  const { step, steps, stepsPerEpoch } = objectOf(position, 'rate: position') as Position
  for (const [name, value] of Object.entries({ step, steps, stepsPerEpoch })) {
    if (Number.isSafeInteger(value) && value >= 0) continue
    throw new KerneletError('ERR_ARGUMENT', `rate: ${name} must be a number of steps but is ${show(value)}`)
  }
}
