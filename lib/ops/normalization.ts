/** Normalization, as functions and as layers. */
import { apply, checkTensor, constant } from '../graph/apply.ts'
import { operation } from '../graph/definition.ts'
import { SymbolicTensor } from '../graph/graph.ts'
import { attached } from '../graph/operation.ts'
import { Module } from '../nn/module.ts'
import { zeros } from '../tensor/allocate.ts'
import { Buffer, Parameter } from '../tensor/parameter.ts'
import { elements, formatShape, size } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { checkOptions, flag, numberOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { className } from '../util/show.ts'
import { pow } from './activations.ts'
import { add, div, mul } from './arithmetic.ts'
import { reshape } from './movement.ts'
import { avgPool2d } from './pooling.ts'

const normalized = operation('batchNorm', {
  // of [features] or [channels, length] it is PyTorch's BatchNorm1d
  title: (_, shape = []) => (shape.length > 0 && shape.length < 3 ? 'BatchNorm1d' : 'BatchNorm2d'),
  needs: ['mean', 'variance'],
  takes: ['weight', 'bias', 'epsilon', 'training', 'momentum', 'batches'],
  defaults: { epsilon: 1e-5, momentum: 0.1 },
  byChannel: true,
  forms(_, input) {
    const channels = [input.slice(0, 1)]
    return { weight: channels, bias: channels, mean: channels, variance: channels }
  },
  keepsUnits: true,
  misfit: ({ mean }, [input = []], place) =>
    mean.shape[0] === input[0]
      ? undefined
      : `BatchNorm2d expects ${mean.shape[0]} channels but receives ${input[0]} (${place.origin(0)})`,
})

/** Options of `batchNorm`. */
export interface BatchNormOptions {
  /** [c] factors; default 1. */
  weight?: Tensor | null | undefined
  /** [c] summands; default 0. */
  bias?: Tensor | null | undefined
  /**
   * true: by the mean and variance of this batch, and running statistics move towards them; default false: by the
   * running statistics. Compiled models always use the latter.
   */
  training?: boolean | undefined
  /** How far running statistics move; default 0.1. */
  momentum?: number | undefined
  /** Added to the variance; default 1e-5. */
  eps?: number | undefined
  /** A scalar that counts the batches the running statistics have seen. */
  batches?: Tensor | undefined
}

/**
 * `(x − mean) / √(variance + eps) · weight + bias` of every channel, `torch.nn.functional.batch_norm`. By running
 * statistics it is one multiply-add: `x · scale + shift`, both rounded once from double.
 *
 * @param input [n, c, ...]
 * @param runningMean [c]
 * @param runningVar [c]
 * @example batchNorm(new Tensor(Float32Array.of(1, 2), [1, 2]), new Tensor(Float32Array.of(0, 1), [2]), new Tensor(Float32Array.of(1, 4), [2])) // → [[1, 0.5]]
 */
export function batchNorm(
  input: Tensor,
  runningMean: Tensor,
  runningVar: Tensor,
  options: BatchNormOptions = {},
): Tensor {
  checkOptions('batchNorm', options, ['weight', 'bias', 'training', 'momentum', 'eps', 'batches'])
  const epsilon = numberOf(options.eps ?? 1e-5, 'batchNorm: eps')
  const momentum = numberOf(options.momentum ?? 0.1, 'batchNorm: momentum')
  const training = flag(options.training ?? false, 'batchNorm: training')
  const { shape } = checkTensor('batchNorm', input)
  if (shape.length < 2) {
    throw new KerneletError(
      'ERR_SHAPE',
      `batchNorm expects [n, channels, …] but receives ${formatShape(shape)}`,
    )
  }
  const channels = shape[1] ?? 0
  const vector = (tensor: Tensor, what: string) => {
    const value = constant(`batchNorm: ${what}`, checkTensor(`batchNorm: ${what}`, tensor))
    if (value.shape.length === 1 && value.shape[0] === channels) return value
    throw new KerneletError(
      'ERR_SHAPE',
      `batchNorm expects a ${what} of [${channels}] for an input of ${formatShape(shape)} but receives ` +
        formatShape(value.shape),
    )
  }
  const optional = (tensor: Tensor | null | undefined, what: string) =>
    tensor === undefined || tensor === null ? undefined : vector(tensor, what)
  const batches =
    options.batches === undefined ? undefined : checkTensor('batchNorm: batches', options.batches)
  const attributes = {
    mean: vector(runningMean, 'running mean'),
    variance: vector(runningVar, 'running variance'),
    weight: optional(options.weight, 'weight'),
    bias: optional(options.bias, 'bias'),
    epsilon,
  }
  if (!training) return apply(normalized(attributes), [input])
  if (input instanceof SymbolicTensor)
    return apply(normalized({ ...attributes, training, momentum, batches }), [input])
  const { mean, variance, count } = statistics(input)
  if (count < 2) {
    throw new KerneletError(
      'ERR_SHAPE',
      'batchNorm expects more than one value a channel while it is trained',
    )
  }
  const move = (running: Tensor, values: Float64Array, factor: number) => {
    const data = attached(running, 'batchNorm')
    for (const [c, value] of values.entries())
      data[c] = (1 - momentum) * (data[c] ?? 0) + momentum * value * factor
  }
  const result = apply(
    normalized({
      ...attributes,
      mean: new Tensor(Float32Array.from(mean), [channels]),
      variance: new Tensor(Float32Array.from(variance), [channels]),
    }),
    [input],
  )
  if (batches) attached(batches, 'batchNorm: batches')[0]! += 1
  move(runningMean, mean, 1)
  move(runningVar, variance, count / (count - 1))
  return result
}

/** Mean and (biased) variance of each channel of [n, c, ...] over everything else, in double. */
function statistics(input: Tensor): { mean: Float64Array; variance: Float64Array; count: number } {
  const [batch = 1, channels = 1] = input.shape
  const inner = elements(input.shape.slice(2))
  const data = attached(input, 'batchNorm')
  const count = batch * inner
  const over = (value: (x: number, c: number) => number) =>
    Float64Array.from({ length: channels }, (_, c) => {
      let sum = 0
      for (let n = 0; n < batch; n++) {
        const begin = (n * channels + c) * inner
        for (let i = begin; i < begin + inner; i++) sum += value(data[i] ?? 0, c)
      }
      return sum / count
    })
  const mean = over((x) => x)
  return { mean, variance: over((x, c) => (x - (mean[c] ?? 0)) ** 2), count }
}

/** Options of `localResponseNorm`. */
export interface LocalResponseNormOptions {
  /** default 1e-4 */
  alpha?: number | undefined
  /** default 0.75 */
  beta?: number | undefined
  /** default 1 */
  k?: number | undefined
  /** How many of the `size` channels come before; default floor(size / 2). */
  before?: number | undefined
}

/**
 * `x / (k + alpha / size · Σ x²)^beta`, the sum over `size` neighbouring channels,
 * `torch.nn.functional.local_response_norm` (Krizhevsky et al. 2012). Computed as a chain of other operations.
 *
 * @param input [n, c, ...]
 * @example localResponseNorm(new Tensor(Float32Array.of(1, 2, 3), [1, 3, 1]), 3, { alpha: 1 }) // → [[[0.4792], [0.5445], [0.8548]]]
 */
export function localResponseNorm(
  input: Tensor,
  neighbours: number,
  options: LocalResponseNormOptions = {},
): Tensor {
  checkOptions('localResponseNorm', options, ['alpha', 'beta', 'k', 'before'])
  const { shape } = checkTensor('localResponseNorm', input)
  const window = size(neighbours, 'localResponseNorm: size', 1)
  const before = size(options.before ?? window >> 1, 'localResponseNorm: before', 0)
  if (shape.length < 2 || before >= window) {
    throw new KerneletError(
      'ERR_SHAPE',
      `localResponseNorm expects [n, channels, …] and fewer channels before than its ${window} but receives ` +
        `${formatShape(shape)} and ${before}`,
    )
  }
  const [batch = 1, channels = 1] = shape
  // a mean over channels: a pool over rows, where a row is a channel
  const planes = reshape(mul(input, input), [batch, 1, channels, elements(shape.slice(2))])
  const means = avgPool2d(planes, [window, 1], { stride: 1, padding: [before, 0, window - 1 - before, 0] })
  const alpha = numberOf(options.alpha ?? 1e-4, 'localResponseNorm: alpha')
  const beta = numberOf(options.beta ?? 0.75, 'localResponseNorm: beta')
  const k = numberOf(options.k ?? 1, 'localResponseNorm: k')
  return div(input, pow(add(mul(reshape(means, shape), alpha), k), beta))
}

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
abstract class BatchNorm extends Module {
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
    const filled = (value: number) => zeros([numFeatures], who).fill(value)
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
        `${className(this)} expects ${this.ranks.join(' or ')} dimensions, batch and all, but receives ${formatShape(x.shape)}`,
      )
    }
    const { eps, weight, bias, training } = this
    return batchNorm(x, this.runningMean, this.runningVar, {
      weight,
      bias,
      eps,
      training,
      momentum: this.momentum ?? 1 / ((this.numBatchesTracked.data[0] ?? 0) + 1),
      batches: this.numBatchesTracked,
    })
  }
}

/**
 * Batch normalization of [n, numFeatures] or [n, numFeatures, l], `torch.nn.BatchNorm1d`. Compiled, or after `eval()`,
 * it uses its running statistics; while `training` (as modules are at first) those of the batch it gets.
 * @example
 * const norm = new BatchNorm1d(2).eval()
 * norm.forward(new Tensor(Float32Array.of(1, 2), [1, 2])) // → [[1, 2]]
 */
export class BatchNorm1d extends BatchNorm {
  protected override readonly ranks: readonly number[] = [2, 3]
}

/**
 * Batch normalization of [n, numFeatures, h, w], `torch.nn.BatchNorm2d`. Compiled, or after `eval()`, it uses its
 * running statistics; while `training` (as modules are at first) those of the batch it gets.
 * @example
 * const norm = new BatchNorm2d(1).eval()
 * norm.forward(new Tensor(Float32Array.of(1, 2), [1, 1, 1, 2])) // → [[[[1, 2]]]]
 */
export class BatchNorm2d extends BatchNorm {
  protected override readonly ranks: readonly number[] = [4]
}

/**
 * `x / (k + alpha / size · Σ x²)^beta` over neighbouring channels, `torch.nn.LocalResponseNorm`.
 * @example new LocalResponseNorm(3, { alpha: 1 }).forward(new Tensor(Float32Array.of(1, 2, 3), [1, 3, 1])) // → [[[0.4792], [0.5445], [0.8548]]]
 */
export class LocalResponseNorm extends Module {
  readonly size: number
  readonly options: LocalResponseNormOptions

  constructor(neighbours: number, options: LocalResponseNormOptions = {}) {
    super()
    this.size = size(neighbours, 'LocalResponseNorm: size', 1)
    checkOptions('LocalResponseNorm', options, ['alpha', 'beta', 'k', 'before'])
    this.options = { ...options }
  }

  forward(x: Tensor): Tensor {
    return localResponseNorm(x, this.size, this.options)
  }
}
