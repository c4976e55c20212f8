/** Optimizers: PyTorch's names and defaults. They are settings; the arithmetic is native. */

import type { NativeOptimizer } from '../backend/backend.ts'
import { atLeast0, checkOptions, finite, flag } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

/** Options of `SGD`. */
export interface SGDOptions {
  /** Learning rate; default 0.001. */
  lr?: number | undefined
  /** Share of the last step's direction that is kept; default 0. */
  momentum?: number | undefined
  /** Share of the gradient that does not enter the momentum; default 0. */
  dampening?: number | undefined
  /** L2 penalty: this share of the weight is added to its gradient; default 0. */
  weightDecay?: number | undefined
  /** Nesterov's momentum; default false. */
  nesterov?: boolean | undefined
}

/** Options of `Adam` and `AdamW`. */
export interface AdamOptions {
  /** Learning rate; default 0.001. */
  lr?: number | undefined
  /** Decay of the running means of the gradient and of its square; default [0.9, 0.999]. */
  betas?: readonly [number, number] | undefined
  /** Added to the denominator; default 1e-8. */
  eps?: number | undefined
  /**
   * Adam: L2 penalty, this share of the weight is added to its gradient; default 0. AdamW: this share of lr ·
   * weight is taken off the weight; default 0.01.
   */
  weightDecay?: number | undefined
}

/** Values that an optimizer keeps from step to step, one for each number of a parameter. */
export type OptimizerState = 'momentum' | 'expAvg' | 'expAvgSq'

/**
 * How gradients become changes of the weights.
 * @example
 * const optimizer = new Adam()
 * optimizer instanceof Optimizer // → true
 * optimizer.lr = 1e-4   // counts from the next step
 */
export abstract class Optimizer {
  /** Learning rate of the first step, and of all where there is no schedule. */
  readonly lr: number
  /** In the terms of the native core. */
  abstract readonly settings: Readonly<NativeOptimizer>
  /** What it keeps of every parameter, as checkpoints call it: `momentum`; `expAvg` and `expAvgSq`; or nothing. */
  abstract readonly keeps: readonly OptimizerState[]

  /** @throws KerneletError `ERR_ARGUMENT` */
  constructor(who: string, lr: unknown = 1e-3) {
    this.lr = atLeast0(lr, `${typeof who === 'string' ? who : 'Optimizer'}: lr`)
  }
}

/**
 * Stochastic gradient descent, `torch.optim.SGD`.
 *
 * @throws KerneletError `ERR_ARGUMENT` for options out of range
 * @example new SGD({ lr: 0.1, momentum: 0.9, nesterov: true }).lr // → 0.1
 */
export class SGD extends Optimizer {
  readonly settings: Readonly<NativeOptimizer>
  readonly keeps: readonly OptimizerState[]

  constructor(options: SGDOptions = {}) {
    checkOptions('SGD', options, ['lr', 'momentum', 'dampening', 'weightDecay', 'nesterov'])
    super('SGD', options.lr)
    const momentum = atLeast0(options.momentum ?? 0, 'SGD: momentum')
    const dampening = finite(options.dampening ?? 0, 'SGD: dampening')
    const nesterov = flag(options.nesterov ?? false, 'SGD: nesterov')
    if (nesterov && !(momentum > 0 && dampening === 0)) {
      throw new KerneletError('ERR_ARGUMENT', 'SGD: nesterov needs a momentum above 0 and no dampening')
    }
    this.settings = Object.freeze({
      kind: 'sgd',
      momentum,
      dampening,
      weightDecay: atLeast0(options.weightDecay ?? 0, 'SGD: weightDecay'),
      nesterov,
    })
    this.keeps = momentum > 0 ? ['momentum'] : []
  }
}

/**
 * Adam (Kingma and Ba 2015), `torch.optim.Adam`.
 *
 * @throws KerneletError `ERR_ARGUMENT` for options out of range
 * @example new Adam({ lr: 0.002 }).lr // → 0.002
 */
export class Adam extends Optimizer {
  readonly settings: Readonly<NativeOptimizer>
  readonly keeps: readonly OptimizerState[] = ['expAvg', 'expAvgSq']

  constructor(options: AdamOptions = {}) {
    checkOptions('Adam', options, adamNames)
    super('Adam', options.lr)
    this.settings = adamSettings('adam', 'Adam', options, 0)
  }
}

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter 2019), `torch.optim.AdamW`.
 *
 * @throws KerneletError `ERR_ARGUMENT` for options out of range
 * @example new AdamW({ lr: 0.002, weightDecay: 0.05 }).lr // → 0.002
 */
export class AdamW extends Optimizer {
  readonly settings: Readonly<NativeOptimizer>
  readonly keeps: readonly OptimizerState[] = ['expAvg', 'expAvgSq']

  constructor(options: AdamOptions = {}) {
    checkOptions('AdamW', options, adamNames)
    super('AdamW', options.lr)
    this.settings = adamSettings('adamW', 'AdamW', options, 1e-2)
  }
}

const adamNames = ['lr', 'betas', 'eps', 'weightDecay'] as const

function adamSettings(
  kind: 'adam' | 'adamW',
  who: string,
  options: AdamOptions,
  decay: number,
): Readonly<NativeOptimizer> {
  const betas: unknown = options.betas ?? [0.9, 0.999]
  const isBeta = (value: unknown): boolean => typeof value === 'number' && value >= 0 && value < 1
  if (!Array.isArray(betas) || betas.length !== 2 || !betas.every(isBeta)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: betas must be two numbers from 0 to below 1 but is ${show(betas)}`,
    )
  }
  return Object.freeze({
    kind,
    beta1: betas[0],
    beta2: betas[1],
    eps: atLeast0(options.eps ?? 1e-8, `${who}: eps`),
    weightDecay: atLeast0(options.weightDecay ?? decay, `${who}: weightDecay`),
  })
}
