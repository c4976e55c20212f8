/** Trainer: teaches a model, a step or a whole run at a time. */
import type { NativeTrainReport } from '../backend/backend.ts'
import { type Dataset, splitIndices } from '../data/dataset.ts'
import { Module, type StateDict } from '../nn/module.ts'
import type { Parameter } from '../tensor/parameter.ts'
import { defaultGenerator } from '../tensor/random.ts'
import { checkShape, elements, size } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { atLeast0, callbackOf, checkOptions, flag, signalOf } from '../util/check.ts'
import { disposable } from '../util/dispose.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { type FilePath, pathOf } from '../util/source.ts'
import { lengthOf } from '../util/typed-array.ts'
import {
  type Checkpoint,
  notesOf,
  type Partial,
  type Progress,
  readCheckpoint,
  writeCheckpoint,
} from './checkpoint.ts'
import { DivergedError } from './diverged.ts'
import { checkData, type Evaluation, evaluate } from './evaluate.ts'
import { type EpochReport, type FitOptions, type Pace, type Training, trainEpoch } from './fit.ts'
import { checkClasses, type Loss } from './losses.ts'
import type { Optimizer } from './optimizers.ts'
import { settingsOf, type TrainerOptions } from './options.ts'
import { stream, validationStream } from './order.ts'
import { samplesOf, targetsGiven } from './samples.ts'
import { Schedule } from './schedules.ts'
import { openSession, type Session, weightsOf } from './session.ts'

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
 * @example
 * const trainer = new Trainer(new Linear(2, 2), { optimizer: new SGD({ lr: 0.5 }), seed: 1 })
 * const x = new Tensor(Float32Array.of(1, 0, 0, 1), [2, 2])
 * const first = trainer.step(x, [0, 1]).loss
 * for (let i = 0; i < 50; i++) trainer.step(x, [0, 1])
 * trainer.step(x, [0, 1]).loss < first / 2 // → true
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
  /** The run of `fit` that computes now. */
  #running: object | undefined
  #disposed = false

  /** @throws KerneletError `ERR_ARGUMENT` for a wrong option. */
  constructor(model: Module, options: TrainerOptions = {}) {
    if (!(model instanceof Module)) {
      throw new KerneletError('ERR_ARGUMENT', `Trainer: expected a Module but received ${show(model)}`)
    }
    const { optimizer, settings, scaling } = settingsOf(options)
    this.#model = model
    this.#options = { ...options }
    this.#optimizer = optimizer
    this.#loss = settings.loss
    this.#scaling = scaling
    this.lr = optimizer.lr
    this.#session = openSession(model, settings, options.seed ?? defaultGenerator().random())
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
   * @example
   * const trainer = new Trainer(new Linear(2, 2), { optimizer: new SGD({ lr: 0.5 }), seed: 1 })
   * const { step, loss } = trainer.step(new Tensor(Float32Array.of(1, 0, 0, 1), [2, 2]), [0, 1])
   * step // → 1
   */
  step(x: Tensor | Float32Array | Uint8Array, y: Tensor | ArrayLike<number>): StepReport {
    this.#checkFree('step')
    const { images, shape } = samplesOf(x, this.#session.inputShape)
    const opened = this.#session.open(shape)
    const count = lengthOf(images) / elements(shape)
    this.#session.checkBatch('step', count, opened)
    const report = this.#session.run('step', opened, {
      images,
      targets: targetsGiven(y, count, opened.outputShape, this.#loss),
      indices: Uint32Array.from({ length: count }, (_, i) => i),
      batch: count,
      learningRates: [atLeast0(this.lr, 'step: lr')],
      ...this.#scaling,
    })
    if (report.nonFinite) throw this.#diverged(report, 'the weights are as before this step', undefined)
    return {
      step: opened.trainer.step,
      loss: report.losses[0] ?? 0,
      correct: report.correct[0] ?? 0,
      gradientNorm: report.gradientNorms[0] ?? 0,
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
   * @example
   * const data = new Dataset({ images: new Uint8Array(6 * 4), labels: [0, 1, 0, 1, 0, 1], shape: [1, 2, 2], classes: ['a', 'b'] })
   * const model = new Sequential(new Flatten(), new Linear(4, 2))
   * const trainer = new Trainer(model, { seed: 1 })
   * for await (const { epoch, loss } of trainer.fit(data, { epochs: 2, batchSize: 3 })) console.assert(loss > 0, epoch)
   * trainer.epochs // → 2
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
    const settled = {
      ...options,
      epochs,
      batchSize,
      shuffle: flag(options.shuffle ?? true, 'fit: shuffle'),
      health: flag(options.health ?? true, 'fit: health'),
      signal: signalOf(options.signal, 'fit: signal'),
      onProgress: callbackOf(options.onProgress, 'fit: onProgress'),
    }
    const resume = flag(options.resume ?? false, 'fit: resume')
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
    if (!resume) {
      this.#runStart = this.#epoch
      this.#partial = undefined
    }
    this.#checkPartial(indices.length, batchSize)
    return this.#run(data, settled, indices, check)
  }

  async *#run(
    data: Dataset,
    options: FitOptions & { epochs: number; batchSize: number },
    indices: Uint32Array,
    check: Dataset | undefined,
  ): AsyncGenerator<EpochReport, void, undefined> {
    this.#checkFree('fit')
    const me = {}
    this.#running = me
    const interrupt = (): void => this.#session.interrupt()
    options.signal?.addEventListener('abort', interrupt)
    try {
      while (this.#epoch < this.#runStart + options.epochs) {
        const report = await this.#trainEpoch(data, options, indices)
        this.#checkAlive()
        if (check) {
          report.validation = await this.#evaluateAveraged(check)
          this.#checkAlive()
        }
        // Between epochs the trainer is free: checkpoints are saved and loaded, rates changed.
        this.#running = undefined
        yield report
        this.#checkFree('fit')
        this.#running = me
      }
    } finally {
      options.signal?.removeEventListener('abort', interrupt)
      // Between two reports another run may have begun.
      if (this.#running === me) this.#running = undefined
      if (this.#disposed && !this.#running) this.#session.dispose()
    }
  }

  async #trainEpoch(
    data: Dataset,
    options: FitOptions & { epochs: number; batchSize: number },
    indices: Uint32Array,
  ): Promise<EpochReport> {
    const { batchSize } = options
    const { isa, threads } = this.#options
    this.#checkPartial(indices.length, batchSize)
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
    if ('report' in result) {
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
   * @throws KerneletError (by rejection) as `evaluate`; `ERR_DISPOSED`
   * @example
   * const data = new Dataset({ images: new Uint8Array(6 * 4), labels: [0, 1, 0, 1, 0, 1], shape: [1, 2, 2], classes: ['a', 'b'] })
   * const model = new Sequential(new Flatten(), new Linear(4, 2))
   * const trainer = new Trainer(model, { seed: 1 })
   * const { count } = await trainer.evaluate(data)
   * count // → 6
   */
  async evaluate(
    data: Dataset,
    options: { batchSize?: number | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<Evaluation> {
    this.#checkAlive()
    checkOptions('evaluate', options, ['batchSize', 'signal'])
    const { mean, std, isa, threads } = this.#options
    return evaluate(this.#model, data, { ...options, loss: this.#loss, mean, std, isa, threads })
  }

  /** With `ema`, with the averaged weights in the model's place. */
  async #evaluateAveraged(data: Dataset): Promise<Evaluation> {
    const averaged = this.#options.ema === undefined ? undefined : this.#averages()
    if (!averaged) return this.evaluate(data)
    const own = new Map([...this.#model.stateDict()].map(([name, tensor]) => [name, tensor.data.slice()]))
    this.#model.loadStateDict(averaged)
    // compile() copies the weights before it first waits, so that the model is whole again when this returns.
    const evaluation = this.evaluate(data)
    for (const [name, tensor] of this.#model.stateDict()) tensor.data.set(own.get(name) as Float32Array)
    return evaluation
  }

  /**
   * Gradients of the last step by parameter, unclipped; none for frozen ones. Copies.
   *
   * @throws KerneletError `ERR_BUSY` while `fit` runs; `ERR_DISPOSED`
   * @example
   * const trainer = new Trainer(new Linear(2, 2), { seed: 1 })
   * trainer.step(new Tensor(Float32Array.of(1, 0, 0, 1), [2, 2]), [0, 1])
   * trainer.gradients().get('weight').length // → 4
   */
  gradients(): Map<string, Float32Array> {
    this.#checkFree('gradients')
    return this.#session.read('gradient')
  }

  /**
   * The state dictionary with averaged weights in the place of those that are trained; only with `ema`.
   * `model.loadStateDict(trainer.averagedStateDict())` makes them the model's.
   *
   * @throws KerneletError `ERR_ARGUMENT` without `ema`; `ERR_BUSY` while `fit` runs; `ERR_DISPOSED`
   * @example
   * const model = new Linear(2, 2)
   * const trainer = new Trainer(model, { ema: 0.9, seed: 1 })
   * trainer.step(new Tensor(Float32Array.of(1, 0, 0, 1), [2, 2]), [0, 1])
   * model.loadStateDict(trainer.averagedStateDict()).missingKeys // → []
   */
  averagedStateDict(): StateDict {
    this.#checkFree('averagedStateDict')
    if (this.#options.ema === undefined) {
      throw new KerneletError('ERR_ARGUMENT', 'averagedStateDict: the trainer has no ema')
    }
    return this.#averages()
  }

  #averages(): StateDict {
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
   * @param metadata strings to keep with it, by name
   * @throws KerneletError `ERR_ARGUMENT` for other metadata; `ERR_IO`, `ERR_BUSY`, `ERR_DISPOSED`
   * @example
   * const trainer = new Trainer(new Linear(2, 2), { seed: 1 })
   * trainer.step(new Tensor(Float32Array.of(1, 0, 0, 1), [2, 2]), [0, 1])
   * trainer.saveCheckpoint('run.safetensors', { notes: 'one step' })
   * new Trainer(new Linear(2, 2)).loadCheckpoint('run.safetensors').get('notes') // → 'one step'
   */
  saveCheckpoint(
    path: FilePath,
    metadata: Readonly<Record<string, string>> | ReadonlyMap<string, string> = {},
  ): void {
    this.#checkFree('saveCheckpoint')
    writeCheckpoint(path, { ...this.#snapshot(), metadata: notesOf(metadata) })
  }

  /**
   * Reads what `saveCheckpoint` wrote, the seed too. On an error nothing is changed.
   *
   * @returns the strings kept with it
   * @throws KerneletError `ERR_FORMAT` for another file; `ERR_STATE_DICT` for another model or optimizer, or averages
   *   that this trainer does not keep; `ERR_IO`, `ERR_BUSY`, `ERR_DISPOSED`
   * @example
   * const trainer = new Trainer(new Linear(2, 2), { seed: 1 })
   * trainer.step(new Tensor(Float32Array.of(1, 0, 0, 1), [2, 2]), [0, 1])
   * trainer.saveCheckpoint('run.safetensors')
   * const again = new Trainer(new Linear(2, 2))
   * again.loadCheckpoint('run.safetensors')
   * again.steps // → 1
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
    for (const kind of checkpoint.state.arrays.keys()) {
      if (this.#session.keeps.includes(kind)) continue
      const option = kind === 'ema' ? 'ema' : 'an optimizer with momentum'
      throw new KerneletError(
        'ERR_STATE_DICT',
        `${pathOf(path)}: it was trained with ${option}, which this trainer has not`,
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
    if (this.#running) this.#session.interrupt()
    else this.#session.dispose()
  }

  #checkAlive(): void {
    if (this.#disposed) throw new KerneletError('ERR_DISPOSED', 'This trainer was disposed; make another')
  }

  #checkFree(who: string): void {
    this.#checkAlive()
    if (this.#running) throw new KerneletError('ERR_BUSY', `${who}: fit is running`)
  }

  /** An epoch that was begun, or that a checkpoint brought, goes on with as many images in as large steps. */
  #checkPartial(images: number, batchSize: number): void {
    const partial = this.#partial
    if (!partial || (partial.images === images && partial.batchSize === batchSize)) return
    throw new KerneletError(
      'ERR_ARGUMENT',
      `fit: the epoch to resume had ${partial.images} images in steps of ${partial.batchSize}, not ` +
        `${images} in steps of ${batchSize}`,
    )
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
      probabilities: this.#loss === 'binaryCrossEntropy',
    })
  }
}
disposable(Trainer)
