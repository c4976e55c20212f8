/** Normalization layers. */

import { Module } from '../nn/module.ts'
import { Buffer, Parameter } from '../tensor/parameter.ts'
import { formatShape, size } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { checkOptions, flag, numberOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { batchNorm, type LocalResponseNormOptions, localResponseNorm } from './functional.ts'

/** Options of `BatchNorm1d` and `BatchNorm2d`. */
export interface BatchNormLayerOptions {
  /** Added to the variance; default 1e-5. */
  eps?: number | undefined
  /** How far running statistics move towards a batch's; default 0.1. null: they are the mean over all batches. */
  momentum?: number | null | undefined
  /** Whether there is a weight and a bias; default true. */
  affine?: boolean | undefined
}

/** What `BatchNorm1d` and `BatchNorm2d` share. */
export abstract class BatchNorm extends Module {
  readonly numFeatures: number
  readonly eps: number
  readonly momentum: number | null
  /** [numFeatures], all 1 at first; or undefined with `affine: false`. */
  readonly weight: Parameter | undefined
  /** [numFeatures], all 0 at first; or undefined with `affine: false`. */
  readonly bias: Parameter | undefined
  /** [numFeatures] `running_mean` of a state dict. */
  readonly runningMean: Buffer
  /** [numFeatures] `running_var` of a state dict. */
  readonly runningVar: Buffer
  /** Scalar: batches the running statistics have seen, `num_batches_tracked` of a state dict. */
  readonly numBatchesTracked: Buffer

  /** @throws KerneletError `ERR_ARGUMENT` for a number or option of the wrong type or value. */
  constructor(numFeatures: number, options: BatchNormLayerOptions = {}) {
    super()
    const who = new.target.name
    checkOptions(who, options, ['eps', 'momentum', 'affine'])
    this.numFeatures = size(numFeatures, `${who}: numFeatures`, 1)
    this.eps = numberOf(options.eps ?? 1e-5, `${who}: eps`)
    this.momentum = options.momentum === null ? null : numberOf(options.momentum ?? 0.1, `${who}: momentum`)
    const filled = (value: number) => new Float32Array(numFeatures).fill(value)
    const affine = flag(options.affine ?? true, `${who}: affine`)
    this.weight = affine ? new Parameter(filled(1), [numFeatures]) : undefined
    this.bias = affine ? new Parameter(filled(0), [numFeatures]) : undefined
    this.runningMean = new Buffer(filled(0), [numFeatures])
    this.runningVar = new Buffer(filled(1), [numFeatures])
    this.numBatchesTracked = new Buffer(new Float32Array(1), [])
  }

  protected abstract readonly ranks: readonly number[]

  forward(x: Tensor): Tensor {
    if (Tensor.is(x) && !this.ranks.includes(x.shape.length)) {
      throw new KerneletError(
        'ERR_SHAPE',
        `${this.constructor.name} expects ${this.ranks.join(' or ')} dimensions, batch and all, but receives ${formatShape(x.shape)}`,
      )
    }
    const { eps, weight, bias, training } = this
    return batchNorm(x, this.runningMean, this.runningVar, {
      weight,
      bias,
      eps,
      training,
      momentum: this.momentum ?? 1 / ((this.numBatchesTracked.data[0] as number) + 1),
      batches: this.numBatchesTracked,
    })
  }
}

/**
 * Batch normalization of [n, numFeatures] or [n, numFeatures, l], `torch.nn.BatchNorm1d`. Compiled, or after `eval()`,
 * it uses its running statistics; while `training` (as modules are at first) those of the batch it gets.
 */
export class BatchNorm1d extends BatchNorm {
  protected override readonly ranks: readonly number[] = [2, 3]
}

/**
 * Batch normalization of [n, numFeatures, h, w], `torch.nn.BatchNorm2d`. Compiled, or after `eval()`, it uses its
 * running statistics; while `training` (as modules are at first) those of the batch it gets.
 */
export class BatchNorm2d extends BatchNorm {
  protected override readonly ranks: readonly number[] = [4]
}

/** `x / (k + alpha / size · Σ x²)^beta` over neighbouring channels, `torch.nn.LocalResponseNorm`. */
export class LocalResponseNorm extends Module {
  readonly size: number
  readonly options: LocalResponseNormOptions

  constructor(neighbours: number, options: LocalResponseNormOptions = {}) {
    super()
    this.size = size(neighbours, 'LocalResponseNorm: size', 1)
    this.options = { ...options }
  }

  forward(x: Tensor): Tensor {
    return localResponseNorm(x, this.size, this.options)
  }
}
