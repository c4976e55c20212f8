/** Trainer: teaches a model, a step or a whole run at a time. */

import type { NativeTrainReport } from '../backend/backend.ts'
import { type AugmentOptions, nativeAugment } from '../data/augment.ts'
import { type Dataset, splitIndices } from '../data/dataset.ts'
import { Module, type StateDict } from '../nn/module.ts'
import type { Parameter } from '../tensor/parameter.ts'
import { defaultGenerator } from '../tensor/random.ts'
import { checkShape, elements, size } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { lengthOf } from '../tensor/typed-array.ts'
import { checkOptions, objectOf } from '../util/check.ts'
import { disposable } from '../util/dispose.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { type FilePath, pathOf } from '../util/source.ts'
import {
  type Checkpoint,
  type Partial,
  type Progress,
  readCheckpoint,
  writeCheckpoint,
} from './checkpoint.ts'
import { DivergedError } from './diverged.ts'
import { checkData, type Evaluation, evaluate } from './evaluate.ts'
import { Diverged, type EpochReport, type FitOptions, type Pace, type Training, trainEpoch } from './fit.ts'
import { checkClasses, checkLoss, type Loss } from './losses.ts'
import { Adam, atLeast0, Optimizer } from './optimizers.ts'
import { stream, validationStream } from './order.ts'
import { samplesOf, targetsGiven } from './samples.ts'
import { type Pixels, pixelsOf } from './scaling.ts'
import { Schedule } from './schedules.ts'
import { Session, weightsOf } from './session.ts'

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

/** What `step` says. */
export interface StepReport {
  /** Steps taken in all. */
  step: number
  /** Before the step. */
  loss: number
  /** Of the images of the step, how many were read rightly. */
  correct: number
  /** Over all weights, before clipping. */
  gradientNorm: number
}

/**
 * Teaches a model by gradient descent. The model's own parameters change; compile it again to run it with the
 * new weights.
 */
export class Trainer {
  /** `dispose`, at the end of a `using` block. */
  declare readonly [Symbol.dispose]: () => void
  /** Learning rate of `step`, and the base rate of `fit`; the optimizer's at first. */
  lr: number
  readonly #model: Module
  readonly #options: TrainerOptions
  readonly #optimizer: Optimizer
  readonly #loss: Loss
  readonly #scaling: { scale: number; shift: number }
  readonly #session: Session
  readonly #pace: Pace = { steps: 4 }
  #epoch = 0
  #runStart = 0
  #partial: Partial | undefined
  #busy = false
  #disposed = false

  /** @throws KerneletError `ERR_ARGUMENT` for a wrong option. */
  constructor(model: Module, options: TrainerOptions = {}) {
    if (!(model instanceof Module)) {
      throw new KerneletError('ERR_ARGUMENT', `Trainer: expected a Module but received ${show(model)}`)
    }
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
        `Trainer: optimizer must be an SGD, Adam or AdamW but is ${show(optimizer)}`,
      )
    }
    this.#loss = checkLoss(options.loss ?? 'crossEntropy')
    share(labelSmoothing, 'labelSmoothing')
    if (labelSmoothing > 0 && this.#loss !== 'crossEntropy') {
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
    this.#scaling = pixelsOf('Trainer', options)
    const { scale, shift } = this.#scaling
    const { clipNorm, clipValue, isa, threads } = options
    const augment =
      options.augment && nativeAugment(options.augment, { low: shift, high: 255 * scale + shift })
    this.#model = model
    this.#options = { ...options }
    this.#optimizer = optimizer
    this.lr = optimizer.lr
    this.#session = new Session(
      model,
      {
        optimizer: optimizer.settings,
        loss: this.#loss,
        labelSmoothing,
        clipNorm,
        clipValue,
        ema,
        augment,
        isa,
        threads,
      },
      seed ?? defaultGenerator().random(),
    )
    if (!model.parameters().some(({ requiresGrad }) => requiresGrad)) {
      throw new KerneletError('ERR_ARGUMENT', 'Trainer: the model has no weights to train; all are frozen')
    }
    if (options.inputShape !== undefined) this.#session.open(checkShape(options.inputShape, 'inputShape'))
  }

  /** Steps taken. */
  get steps(): number {
    return this.#session.steps
  }

  /** Whole epochs done by `fit`. */
  get epochs(): number {
    return this.#epoch
  }

  get seed(): number {
    return this.#session.seed
  }

  /**
   * One step with a batch, synchronously, at the rate `lr`: forward, loss, backward, optimizer.
   *
   * @param x a Tensor [n, …], or n images one after the other: floats, or bytes that become (byte / 255 − mean) / std
   * @param y n classes; or targets as the loss takes them (a Float32Array or Tensor as long as the outputs)
   * @throws KerneletError `ERR_SHAPE`, `ERR_ARGUMENT` for what does not fit; `ERR_DIVERGED` for a NaN or infinite
   *   value, the weights then being as before; `ERR_BUSY` while `fit` runs; `ERR_DISPOSED`
   */
  step(x: Tensor | Float32Array | Uint8Array, y: Tensor | ArrayLike<number>): StepReport {
    this.#checkFree('step')
    const { images, shape } = samplesOf(x, this.#session.inputShape)
    const opened = this.#session.open(shape)
    const count = lengthOf(images) / elements(shape)
    this.#session.checkBatch('step', count, opened)
    const report = opened.trainer.run({
      images,
      targets: targetsGiven(y, count, opened.outputShape, this.#loss),
      indices: Uint32Array.from({ length: count }, (_, i) => i),
      batch: count,
      learningRates: [atLeast0(this.lr, 'step: lr')],
      ...this.#scaling,
    })
    this.#session.countBatches(report.steps)
    if (report.nonFinite) throw this.#diverged(report, 'the weights are as before this step', undefined)
    return {
      step: opened.trainer.step,
      loss: report.losses[0] as number,
      correct: report.correct[0] as number,
      gradientNorm: report.gradientNorms[0] as number,
    }
  }

  /**
   * Trains for some epochs, off the event loop; a report after each:
   * `for await (const report of trainer.fit(data, { epochs: 5 })) …`. Leaving the loop ends the run.
   *
   * The same seed, data and options give the same weights, whatever the number of threads.
   *
   * @throws KerneletError `ERR_ARGUMENT`, `ERR_SHAPE` at once for what does not fit; while it runs `ERR_ABORTED`
   *   after the signal, and `ERR_DIVERGED` (a `DivergedError`) when a NaN or an infinite value turns up: the
   *   weights are then those the epoch began with
   */
  fit(data: Dataset, options: FitOptions = {}): AsyncGenerator<EpochReport, void, undefined> {
    checkOptions('fit', options, [
      'epochs',
      'batchSize',
      'validation',
      'shuffle',
      'schedule',
      'signal',
      'resume',
      'health',
      'onProgress',
    ])
    this.#checkFree('fit')
    checkData('fit', data)
    const epochs = size(options.epochs ?? 1, 'fit: epochs', 1)
    const batchSize = size(options.batchSize ?? 64, 'fit: batchSize', 1)
    const { schedule, validation } = options
    if (schedule !== undefined && !(schedule instanceof Schedule)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `fit: schedule must be a StepLR, CosineAnnealingLR or OneCycleLR but is ${show(schedule)}`,
      )
    }
    const opened = this.#session.open(data.shape)
    checkClasses(this.#loss, opened.outputShape, data.classes.length, 'fit')
    let indices: Uint32Array = Uint32Array.from(data.labels.keys())
    let check: Dataset | undefined
    if (typeof validation === 'number') {
      const [rest, part] = splitIndices(data.labels, validation, stream(this.seed, validationStream))
      indices = rest
      check = data.subset(part)
    } else if (validation !== undefined) {
      checkData('fit: validation', validation, data.shape)
      checkClasses(this.#loss, opened.outputShape, validation.classes.length, 'fit: validation')
      check = validation
    }
    this.#session.checkBatch('fit', Math.min(batchSize, indices.length), opened)
    if (!options.resume) {
      this.#runStart = this.#epoch
      this.#partial = undefined
    }
    const partial = this.#partial
    if (partial && (partial.images !== indices.length || partial.batchSize !== batchSize)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `fit: the epoch to resume had ${partial.images} images in steps of ${partial.batchSize}, not ` +
          `${indices.length} in steps of ${batchSize}`,
      )
    }
    return this.#run(data, { ...options, epochs, batchSize }, indices, check)
  }

  async *#run(
    data: Dataset,
    options: FitOptions & { epochs: number; batchSize: number },
    indices: Uint32Array,
    check: Dataset | undefined,
  ): AsyncGenerator<EpochReport, void, undefined> {
    this.#checkFree('fit')
    this.#busy = true
    const interrupt = (): void => this.#session.interrupt()
    options.signal?.addEventListener('abort', interrupt)
    try {
      while (this.#epoch < this.#runStart + options.epochs) {
        const report = await this.#trainEpoch(data, options, indices)
        if (check) {
          report.validation = await this.#evaluateAveraged(check)
          this.#checkAlive()
        }
        // Between epochs the trainer is free: checkpoints are saved, rates changed.
        this.#busy = false
        yield report
        this.#checkFree('fit')
        this.#busy = true
      }
    } finally {
      options.signal?.removeEventListener('abort', interrupt)
      this.#busy = false
      if (this.#disposed) this.#session.dispose()
    }
  }

  async #trainEpoch(
    data: Dataset,
    options: FitOptions & { epochs: number; batchSize: number },
    indices: Uint32Array,
  ): Promise<EpochReport> {
    const { batchSize } = options
    const { isa, threads } = this.#options
    const before = this.#snapshot()
    const runEpoch = this.#epoch - this.#runStart
    const training: Training = {
      session: this.#session,
      loss: this.#loss,
      scaling: this.#scaling,
      seed: this.seed,
      isa,
      threads,
      clipped: this.#clipped,
      lr: atLeast0(this.lr, 'fit: lr'),
      epoch: this.#epoch,
      runEpoch,
      checkAlive: () => this.#checkAlive(),
    }
    const progress: Partial = this.#partial ?? {
      ...{ steps: 0, images: indices.length, batchSize },
      ...{ lossSum: 0, correct: 0, seen: 0 },
    }
    const result = await trainEpoch(training, data, indices, options, progress, this.#pace, (now) => {
      this.#partial = { ...now }
    })
    if (result instanceof Diverged) {
      this.#restore(before)
      const { report, step, lr } = result
      const at = { epoch: runEpoch + 1, step, lr }
      throw this.#diverged(report, 'the weights are those the epoch began with', at)
    }
    this.#epoch++
    this.#partial = undefined
    return result
  }

  /**
   * How the model does on labelled images, with the trainer's loss, mean and deviation; see `evaluate`.
   *
   * @throws KerneletError (by rejection) as `evaluate`
   */
  async evaluate(
    data: Dataset,
    options: { batchSize?: number | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<Evaluation> {
    checkOptions('evaluate', options, ['batchSize', 'signal'])
    const { mean, std, isa, threads } = this.#options
    return evaluate(this.#model, data, { ...options, loss: this.#loss, mean, std, isa, threads })
  }

  /** With `ema`, with the averaged weights in the model's place. */
  async #evaluateAveraged(data: Dataset): Promise<Evaluation> {
    const averaged = this.#options.ema === undefined ? undefined : this.averagedStateDict()
    if (!averaged) return this.evaluate(data)
    const own = new Map([...this.#model.stateDict()].map(([name, tensor]) => [name, tensor.data.slice()]))
    this.#model.loadStateDict(averaged)
    // compile() copies the weights before it first waits, so that the model is whole again when this returns.
    const evaluation = this.evaluate(data)
    for (const [name, tensor] of this.#model.stateDict()) tensor.data.set(own.get(name) as Float32Array)
    return evaluation
  }

  /** Gradients of the last step by parameter, unclipped; none for frozen ones. Copies. */
  gradients(): Map<string, Float32Array> {
    return this.#session.read('gradient')
  }

  /**
   * The state dictionary with averaged weights in the place of those that are trained; only with `ema`.
   * `model.loadStateDict(trainer.averagedStateDict())` makes them the model's.
   *
   * @throws KerneletError `ERR_ARGUMENT` without `ema`
   */
  averagedStateDict(): StateDict {
    if (this.#options.ema === undefined) {
      throw new KerneletError('ERR_ARGUMENT', 'averagedStateDict: the trainer has no ema')
    }
    const averages = this.#session.read('ema')
    const byParameter = new Map(this.#session.parameters.map(([name, one]) => [one, averages.get(name)]))
    return new Map(
      [...this.#model.stateDict()].map(([name, tensor]): [string, Tensor] => [
        name,
        new Tensor(byParameter.get(tensor as Parameter) ?? tensor.data.slice(), tensor.shape),
      ]),
    )
  }

  /**
   * Writes weights, optimizer state and where the run is, all or nothing: a trainer of the same kind that loads it
   * and calls `fit` with `resume` goes on to the same bits. Also between the reports of `fit`, and after `ERR_ABORTED`.
   *
   * @param metadata strings to keep with it
   * @throws KerneletError `ERR_IO`, `ERR_BUSY`
   */
  saveCheckpoint(path: FilePath, metadata: Readonly<Record<string, string>> = {}): void {
    this.#checkFree('saveCheckpoint')
    const notes = objectOf(metadata, 'saveCheckpoint: metadata')
    writeCheckpoint(path, { ...this.#snapshot(), metadata: new Map(Object.entries(notes)) })
  }

  /**
   * Reads what `saveCheckpoint` wrote, the seed too. On an error nothing is changed.
   *
   * @returns the strings kept with it
   * @throws KerneletError `ERR_FORMAT` for another file; `ERR_STATE_DICT` for another model or optimizer;
   *   `ERR_IO`, `ERR_BUSY`
   */
  loadCheckpoint(path: FilePath): Map<string, string> {
    this.#checkFree('loadCheckpoint')
    const checkpoint = readCheckpoint(path)
    const own = this.#optimizer.settings.kind
    if (checkpoint.progress.optimizer !== own) {
      throw new KerneletError(
        'ERR_STATE_DICT',
        `${pathOf(path)}: it was trained by ${checkpoint.progress.optimizer}, not by ${own}`,
      )
    }
    this.#restore(checkpoint)
    return new Map(checkpoint.metadata)
  }

  /**
   * Frees the native memory; every later call throws `ERR_DISPOSED`, except this one. A `fit` that is under way ends so
   * after its current step; the model's weights are those of that step.
   */
  dispose(): void {
    this.#disposed = true
    if (this.#busy) this.#session.interrupt()
    else this.#session.dispose()
  }

  #checkAlive(): void {
    if (this.#disposed) throw new KerneletError('ERR_DISPOSED', 'This trainer was disposed; make another')
  }

  #checkFree(who: string): void {
    this.#checkAlive()
    if (this.#busy) throw new KerneletError('ERR_BUSY', `${who}: fit is running`)
  }

  #snapshot(): Omit<Checkpoint, 'metadata'> {
    const progress: Progress = {
      epoch: this.#epoch,
      runStart: this.#runStart,
      seed: this.seed,
      optimizer: this.#optimizer.settings.kind,
      partial: this.#partial,
    }
    return { weights: weightsOf(this.#model), state: this.#session.state(), progress }
  }

  #restore({ weights, state, progress }: Omit<Checkpoint, 'metadata'>): void {
    this.#session.restore(weights, state, progress.seed)
    this.#epoch = progress.epoch
    this.#runStart = progress.runStart
    this.#partial = progress.partial
  }

  get #clipped(): boolean {
    const { clipNorm, clipValue } = this.#options
    return clipNorm !== undefined || clipValue !== undefined
  }

  #diverged(
    { nonFinite, steps }: NativeTrainReport,
    kept: string,
    at: { epoch: number; step: number; lr: number } | undefined,
  ): DivergedError {
    const { what, where } = nonFinite as NonNullable<NativeTrainReport['nonFinite']>
    return new DivergedError({
      what,
      layer: where,
      step: at?.step ?? this.steps + steps + 1,
      epoch: at?.epoch,
      lr: at?.lr ?? this.lr,
      clipped: this.#clipped,
      kept,
    })
  }
}
disposable(Trainer)

function share(value: unknown, name: string): void {
  if (typeof value === 'number' && value >= 0 && value < 1) return
  throw new KerneletError(
    'ERR_ARGUMENT',
    `Trainer: ${name} must be a number from 0 to below 1 but is ${show(value)}`,
  )
}
