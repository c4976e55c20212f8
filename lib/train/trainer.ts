/** Trainer: teaches a model, a step or a whole run at a time. */

import {
  type NativeAugment,
  type NativeHealth,
  type NativeTrainCall,
  type NativeTrainer,
  type NativeTrainReport,
  native,
} from '../backend/node-addon.ts'
import { type AugmentOptions, nativeAugment } from '../data/augment.ts'
import { Dataset, splitIndices } from '../data/dataset.ts'
import { type Graph, graphShapes, trace } from '../graph/graph.ts'
import { attached, toNative } from '../graph/operation.ts'
import { Module, type StateDict } from '../nn/module.ts'
import { BatchNorm } from '../ops/normalization-layers.ts'
import type { Parameter } from '../tensor/parameter.ts'
import { defaultGenerator } from '../tensor/random.ts'
import { checkShape, elements, formatShape, sameShape, size } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { checkOptions } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import {
  type Checkpoint,
  type Kind,
  kinds,
  type Partial,
  type Progress,
  readCheckpoint,
  writeCheckpoint,
} from './checkpoint.ts'
import { DivergedError } from './diverged.ts'
import { checkData, type Evaluation, evaluate } from './evaluate.ts'
import { deadUnits, type GradientHealth, layersOf, warningsOf } from './health.ts'
import { checkClasses, checkLoss, type Loss, targetsOf } from './losses.ts'
import { Adam, atLeast0, Optimizer } from './optimizers.ts'
import { epochOrder, stream } from './order.ts'
import { type Pixels, pixelsOf } from './scaling.ts'
import { Schedule } from './schedules.ts'

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

/** Options of `Trainer.fit`. */
export interface FitOptions {
  /** Passes over the data; with `resume` those already done are counted. Default 1. */
  epochs?: number | undefined
  /** Images a step; default 64. */
  batchSize?: number | undefined
  /** Images to report on after every epoch, or the share of the data to keep from training for that. */
  validation?: Dataset | number | undefined
  /** Whether every epoch has an order of its own; default true. */
  shuffle?: boolean | undefined
  /** Default: the optimizer's rate throughout. */
  schedule?: Schedule | undefined
  /**
   * Stops after the step under way (or the validation): the loop throws `ERR_ABORTED`, the weights are those of that step, and
   * `resume` goes on from there.
   */
  signal?: AbortSignal | undefined
  /** Goes on with the run that was aborted, or that `loadCheckpoint` brought, rather than beginning one. */
  resume?: boolean | undefined
  /** Whether reports say how the gradients are; default true. */
  health?: boolean | undefined
  /** Called some times a second while an epoch is under way. */
  onProgress?: ((progress: FitProgress) => void) | undefined
}

/** What `onProgress` is told. */
export interface FitProgress {
  /** Epoch under way, from 1, and how many the run has. */
  epoch: number
  epochs: number
  /** Steps done of the epoch, and how many it has. */
  step: number
  steps: number
  /** Means over the epoch so far. */
  loss: number
  accuracy: number
  imagesPerSecond: number
}

/** What `fit` says after an epoch. */
export interface EpochReport {
  /** From 1. */
  epoch: number
  /** How many the run has. */
  epochs: number
  /** Steps taken in all. */
  step: number
  /** Mean over the images of the epoch, each as it was when its turn came, label smoothing included. */
  loss: number
  /** Share of those images that were read rightly. */
  accuracy: number
  /** How the model (with `ema`, that with averaged weights) does on the images kept for it. */
  validation?: Evaluation | undefined
  /** Rate of the last step. */
  lr: number
  /** Of training, without validation. */
  seconds: number
  imagesPerSecond: number
  /** Loss of every step of the epoch (of a resumed one: since then). */
  stepLosses: Float32Array
  health?: GradientHealth | undefined
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

/** Values of one call: a copy of this many bytes is no burden on the event loop. */
const copyBytes = 8 * 2 ** 20
/** Milliseconds a call should take: long against its own cost, short enough for a progress bar. */
const callLength = 100
/** Images that decide which units are dead. */
const sampleImages = 256

/** A graph with its native trainer. */
interface Opened {
  graph: Graph
  trainer: NativeTrainer
  /** Of batch norms: how many batches their running statistics have seen. */
  counts: readonly Tensor[]
  outputShape: readonly number[]
}

function countBatches({ counts }: Pick<Opened, 'counts'>, { steps }: { steps: number }): void {
  for (const { data } of counts) data[0] = (data[0] as number) + steps
}

/**
 * Teaches a model by gradient descent. The model's own parameters change; compile it again to run it with the
 * new weights.
 */
export class Trainer {
  /** Learning rate of `step`, and the base rate of `fit`; the optimizer's at first. */
  lr: number
  readonly #model: Module
  readonly #options: TrainerOptions
  readonly #optimizer: Optimizer
  readonly #loss: Loss
  readonly #scaling: { scale: number; shift: number }
  readonly #augment: NativeAugment | undefined
  readonly #names: string[]
  readonly #parameters: Parameter[]
  #seed: number
  #inputShape: readonly number[] | undefined
  #opened: Opened | undefined
  #epoch = 0
  #runStart = 0
  #partial: Partial | undefined
  /** Optimizer state that waits for the native trainer to be made. */
  #waiting: { state: Checkpoint['state']; step: number } | undefined
  /** How many steps are one native call; follows from how long they take. */
  #stepsPerCall = 4
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
    this.#augment =
      options.augment && nativeAugment(options.augment, { low: shift, high: 255 * scale + shift })
    this.#model = model
    this.#options = { ...options }
    this.#optimizer = optimizer
    this.lr = optimizer.lr
    this.#seed = seed ?? defaultGenerator().random()
    const named = model.namedParameters()
    this.#names = named.map(([name]) => name)
    this.#parameters = named.map(([, parameter]) => parameter)
    if (!this.#parameters.some(({ requiresGrad }) => requiresGrad)) {
      throw new KerneletError('ERR_ARGUMENT', 'Trainer: the model has no weights to train; all are frozen')
    }
    if (options.inputShape !== undefined) this.#open(checkShape(options.inputShape, 'inputShape'))
  }

  /** Steps taken. */
  get steps(): number {
    return this.#opened?.trainer.step ?? this.#waiting?.step ?? 0
  }

  /** Whole epochs done by `fit`. */
  get epochs(): number {
    return this.#epoch
  }

  get seed(): number {
    return this.#seed
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
    const { images, shape } = this.#batch(x)
    const opened = this.#open(shape)
    const count = images.length / elements(shape)
    const report = opened.trainer.run({
      images,
      targets: this.#targets(y, count, opened),
      indices: Uint32Array.from({ length: count }, (_, i) => i),
      batch: count,
      learningRates: [atLeast0(this.lr, 'step: lr')],
      ...this.#scaling,
    })
    countBatches(opened, report)
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
    const opened = this.#open(data.shape)
    checkClasses(this.#loss, opened.outputShape, data.classes.length, 'fit')
    let indices: Uint32Array = Uint32Array.from(data.labels.keys())
    let check: Dataset | undefined
    if (typeof validation === 'number') {
      const [rest, part] = splitIndices(data.labels, validation, stream(this.#seed, validationStream))
      indices = rest
      check = data.subset(part)
    } else if (validation !== undefined) {
      checkData('fit: validation', validation, data.shape)
      checkClasses(this.#loss, opened.outputShape, validation.classes.length, 'fit: validation')
      check = validation
    }
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
    const interrupt = (): void => this.#opened?.trainer.interrupt()
    options.signal?.addEventListener('abort', interrupt)
    try {
      while (this.#epoch < this.#runStart + options.epochs) {
        // A checkpoint loaded between epochs has another native trainer.
        const opened = this.#open(data.shape)
        const targets = targetsOf(this.#loss, data.labels, opened.outputShape[0] as number)
        const report = await this.#trainEpoch(opened, data, targets, indices, options)
        if (check) {
          report.validation = await this.#evaluateAveraged(check)
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
    }
  }

  async #trainEpoch(
    { graph, trainer, counts }: Opened,
    data: Dataset,
    targets: Int32Array | Float32Array,
    indices: Uint32Array,
    options: FitOptions & { epochs: number; batchSize: number },
  ): Promise<EpochReport> {
    const { batchSize, epochs, schedule, signal, shuffle = true, health = true, onProgress } = options
    const start = performance.now()
    const order = shuffle ? epochOrder(indices, this.#seed, this.#epoch) : indices
    const steps = Math.ceil(order.length / batchSize)
    const runEpoch = this.#epoch - this.#runStart
    const bytes = data.imageLength * data.images.BYTES_PER_ELEMENT
    const mostSteps = Math.max(1, Math.floor(copyBytes / (bytes * batchSize)))
    const before = this.#snapshot()
    const progress: Partial = this.#partial ?? {
      ...{ steps: 0, images: order.length, batchSize },
      ...{ lossSum: 0, correct: 0, seen: 0 },
    }
    const seenBefore = progress.seen
    const norms: number[] = []
    const losses: number[] = []
    const base = atLeast0(this.lr, 'fit: lr')
    let lr = base
    let figures: NativeHealth | undefined
    const rate = (): number =>
      (1000 * (progress.seen - seenBefore)) / Math.max(1e-3, performance.now() - start)
    while (progress.steps < steps) {
      if (signal?.aborted) throw this.#aborted(signal, progress, steps)
      const count = Math.min(this.#stepsPerCall, mostSteps, steps - progress.steps)
      const learningRates = Float64Array.from({ length: count }, (_, i) => {
        if (!schedule) return base
        const step = runEpoch * steps + progress.steps + i
        return atLeast0(
          schedule.rate(base, { step, steps: epochs * steps, stepsPerEpoch: steps }),
          'fit: the rate of the schedule',
        )
      })
      const call: NativeTrainCall = {
        images: data.images,
        targets,
        indices: order.subarray(progress.steps * batchSize, (progress.steps + count) * batchSize),
        batch: batchSize,
        learningRates,
        ...this.#scaling,
        epoch: this.#epoch,
        health: health && progress.steps + count === steps,
      }
      const called = performance.now()
      const report = await trainer.runAsync(call)
      const fitting = (count * callLength) / Math.max(1, performance.now() - called)
      this.#stepsPerCall = Math.max(1, Math.floor(Math.min(fitting, 4 * count)))
      countBatches({ counts }, report)
      for (let i = 0; i < report.steps; i++) {
        const images = Math.min(batchSize, order.length - progress.steps * batchSize)
        progress.lossSum += (report.losses[i] as number) * images
        progress.correct += report.correct[i] as number
        progress.seen += images
        progress.steps++
        losses.push(report.losses[i] as number)
        norms.push(report.gradientNorms[i] as number)
      }
      if (report.steps > 0) lr = learningRates[report.steps - 1] as number
      if (report.nonFinite) {
        const at = progress.steps + 1
        this.#restore(before)
        throw this.#diverged(report, 'the weights are those the epoch began with', {
          epoch: runEpoch + 1,
          step: at,
          lr: learningRates[report.steps] as number,
        })
      }
      this.#partial = { ...progress }
      figures = report.health ?? figures
      onProgress?.({
        epoch: runEpoch + 1,
        epochs,
        step: progress.steps,
        steps,
        loss: progress.lossSum / progress.seen,
        accuracy: progress.correct / progress.seen,
        imagesPerSecond: rate(),
      })
    }
    const seconds = (performance.now() - start) / 1000
    const imagesPerSecond = rate()
    this.#epoch++
    this.#partial = undefined
    return {
      epoch: runEpoch + 1,
      epochs,
      step: trainer.step,
      loss: progress.lossSum / progress.seen,
      accuracy: progress.correct / progress.seen,
      lr,
      seconds,
      imagesPerSecond,
      stepLosses: Float32Array.from(losses),
      ...(figures && { health: await this.#health(graph, figures, data, order, norms) }),
    }
  }

  async #health(
    graph: Graph,
    figures: NativeHealth,
    data: Dataset,
    order: Uint32Array,
    norms: readonly number[],
  ): Promise<GradientHealth> {
    const { isa, threads } = this.#options
    const sample = data.subset(order.subarray(0, sampleImages))
    const dead = await deadUnits(graph, sample.images, { ...this.#scaling, isa, threads })
    const parameters = this.#names.map((name, i) => ({
      name,
      frozen: !(this.#parameters[i] as Parameter).requiresGrad,
    }))
    const layers = layersOf(figures, parameters, graph, dead)
    const sorted = Float64Array.from(norms).sort()
    const max = sorted.at(-1) as number
    const gradientNorm = {
      median: sorted[Math.floor(sorted.length / 2)] as number,
      max,
      step: norms.indexOf(max) + 1,
    }
    const { clipNorm, clipValue } = this.#options
    const clipped = clipNorm !== undefined || clipValue !== undefined
    return { layers, gradientNorm, warnings: warningsOf(graph, layers, gradientNorm, clipped) }
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
    return this.#read('gradient')
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
    const averages = this.#read('ema')
    const byParameter = new Map(this.#names.map((name, i) => [this.#parameters[i], averages.get(name)]))
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
  saveCheckpoint(path: string, metadata: Readonly<Record<string, string>> = {}): void {
    this.#checkFree('saveCheckpoint')
    writeCheckpoint(path, { ...this.#snapshot(), metadata: new Map(Object.entries(metadata)) })
  }

  /**
   * Reads what `saveCheckpoint` wrote, the seed too. On an error nothing is changed.
   *
   * @returns the strings kept with it
   * @throws KerneletError `ERR_FORMAT` for another file; `ERR_STATE_DICT` for another model or optimizer;
   *   `ERR_IO`, `ERR_BUSY`
   */
  loadCheckpoint(path: string): Map<string, string> {
    this.#checkFree('loadCheckpoint')
    const checkpoint = readCheckpoint(path)
    const own = this.#optimizer.settings.kind
    if (checkpoint.progress.optimizer !== own) {
      throw new KerneletError(
        'ERR_STATE_DICT',
        `${path}: it was trained by ${checkpoint.progress.optimizer}, not by ${own}`,
      )
    }
    this.#restore(checkpoint)
    return new Map(checkpoint.metadata)
  }

  /** Frees the native memory; every later call throws `ERR_DISPOSED`, except this one. */
  dispose(): void {
    this.#disposed = true
    this.#opened?.trainer.dispose()
    this.#opened = undefined
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #checkFree(who: string): void {
    if (this.#disposed) throw new KerneletError('ERR_DISPOSED', 'This trainer was disposed; make another')
    if (this.#busy) throw new KerneletError('ERR_BUSY', `${who}: fit is running`)
  }

  /** The native trainer for images of this shape, made at first use. */
  #open(shape: readonly number[]): Opened {
    if (this.#inputShape && !sameShape(shape, this.#inputShape)) {
      throw new KerneletError(
        'ERR_SHAPE',
        `Trainer: expected images of ${formatShape(this.#inputShape)} but received ${formatShape(shape)}`,
      )
    }
    if (this.#opened) return this.#opened
    const graph = trace(this.#model, shape)
    const { input, output } = graphShapes(graph)
    const { labelSmoothing, clipNorm, clipValue, ema, isa, threads } = this.#options
    const normalized = this.#model
      .namedModules()
      .flatMap(([path, module]) => (module instanceof BatchNorm && module.training ? [{ path, module }] : []))
    for (const { path, module } of normalized) {
      if (module.momentum !== null) continue
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `Trainer: ${path}: momentum null (a mean over all batches) is for eager training only`,
      )
    }
    const trainer = native().trainer(
      {
        nodes: graph.nodes.map((node) => toNative(node, node.name, node.inputs, node.shape)),
        output: graph.output,
      },
      {
        parameters: this.#parameters.map((parameter, i) => ({
          name: this.#names[i] as string,
          data: attached(parameter, this.#names[i] as string),
          frozen: !parameter.requiresGrad,
          mask: parameter.mask,
        })),
        buffers: normalized.flatMap(({ path, module }) => [
          { name: `${path}.running_mean`, data: attached(module.runningMean, `${path}.running_mean`) },
          { name: `${path}.running_var`, data: attached(module.runningVar, `${path}.running_var`) },
        ]),
        loss: { kind: this.#loss, labelSmoothing },
        optimizer: this.#optimizer.settings,
        clipNorm,
        clipValue,
        emaDecay: ema,
        seed: this.#seed,
        augment: this.#augment,
        isa,
        threads,
      },
    )
    const counts = normalized.map(({ module }) => module.numBatchesTracked)
    this.#opened = { graph, trainer, counts, outputShape: output }
    this.#inputShape = input
    if (this.#waiting) this.#write(trainer, this.#waiting)
    this.#waiting = undefined
    return this.#opened
  }

  #batch(x: unknown): { images: Float32Array | Uint8Array; shape: readonly number[] } {
    if (x instanceof Tensor) {
      const shape = x.shape.slice(1)
      if (shape.length > 0) return { images: attached(x, 'step: x'), shape }
      throw new KerneletError(
        'ERR_SHAPE',
        `step: expected a tensor of shape [n, …] but received ${formatShape(x.shape)}`,
      )
    }
    if (!(x instanceof Float32Array || x instanceof Uint8Array)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `step: expected a Tensor, Float32Array or Uint8Array for x but received ${show(x)}`,
      )
    }
    const shape = this.#inputShape
    if (!shape) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        'step: the shape of an image is not known yet: give a Tensor, or inputShape to the Trainer',
      )
    }
    const length = elements(shape)
    if (x.length === 0 || x.length % length !== 0) {
      throw new KerneletError(
        'ERR_SHAPE',
        `step: expected ${length} values per image (${formatShape(shape)}) for x but received ${x.length}`,
      )
    }
    return { images: x, shape }
  }

  #targets(y: unknown, count: number, { outputShape }: Opened): Int32Array | Float32Array {
    const outputs = elements(outputShape)
    const values = y instanceof Tensor ? attached(y, 'step: y') : y
    if (values instanceof Float32Array && values.length === count * outputs) return values
    if (Array.isArray(values) || ArrayBuffer.isView(values)) {
      const labels = values as unknown as ArrayLike<number>
      if (labels.length === count) {
        const classes = outputShape.length === 1 ? (outputs === 1 ? 2 : outputs) : 0
        checkClasses(this.#loss, outputShape, classes, 'step')
        const data = { images: new Uint8Array(count), labels: Array.from(labels), shape: [1] }
        const names = Array.from({ length: classes }, (_, i) => String(i))
        return targetsOf(this.#loss, new Dataset({ ...data, classes: names }).labels, outputs)
      }
      throw new KerneletError(
        'ERR_SHAPE',
        `step: expected ${count} classes, or a Float32Array of ${count * outputs} targets ` +
          `(${count} × ${formatShape(outputShape)}), for y but received ${labels.length} values`,
      )
    }
    throw new KerneletError('ERR_ARGUMENT', `step: expected classes or targets for y but received ${show(y)}`)
  }

  #read(kind: Kind | 'gradient'): Map<string, Float32Array> {
    const arrays = this.#opened?.trainer.read(kind) ?? []
    const named = this.#names.map((name, i): [string, Float32Array | undefined] => [name, arrays[i]])
    return new Map(named.filter((entry): entry is [string, Float32Array] => (entry[1]?.length ?? 0) > 0))
  }

  #snapshot(): Omit<Checkpoint, 'metadata'> {
    const weights: StateDict = new Map(
      [...this.#model.stateDict()].map(([name, tensor]) => [
        name,
        new Tensor(attached(tensor, name).slice(), tensor.shape),
      ]),
    )
    const state = this.#opened
      ? new Map(
          kinds
            .map((kind): [Kind, Map<string, Float32Array>] => [kind, this.#read(kind)])
            .filter(([, values]) => values.size > 0),
        )
      : (this.#waiting?.state ?? new Map())
    const progress: Progress = {
      step: this.steps,
      epoch: this.#epoch,
      runStart: this.#runStart,
      seed: this.#seed,
      optimizer: this.#optimizer.settings.kind,
      partial: this.#partial,
    }
    return { weights, state, progress }
  }

  #restore({ weights, state, progress }: Omit<Checkpoint, 'metadata'>): void {
    this.#model.loadStateDict(weights)
    this.#seed = progress.seed
    this.#epoch = progress.epoch
    this.#runStart = progress.runStart
    this.#partial = progress.partial
    // A new native trainer gets the seed, and no state that this one lacks is left over in it.
    this.#opened?.trainer.dispose()
    this.#opened = undefined
    this.#waiting = { state, step: progress.step }
  }

  #write(trainer: NativeTrainer, { state, step }: { state: Checkpoint['state']; step: number }): void {
    for (const [kind, values] of state) {
      trainer.write(
        kind,
        this.#names.map((name) => values.get(name) ?? new Float32Array(0)),
      )
    }
    trainer.step = step
  }

  #aborted(signal: AbortSignal, { steps }: Partial, all: number): KerneletError {
    return new KerneletError(
      'ERR_ABORTED',
      `fit: aborted after step ${steps} of ${all} in epoch ${this.#epoch - this.#runStart + 1}; ` +
        'the weights are those of that step',
      { cause: signal.reason },
    )
  }

  #diverged(
    { nonFinite, steps }: NativeTrainReport,
    kept: string,
    at: { epoch: number; step: number; lr: number } | undefined,
  ): DivergedError {
    const { what, where } = nonFinite as NonNullable<NativeTrainReport['nonFinite']>
    const { clipNorm, clipValue } = this.#options
    const clipped = clipNorm !== undefined || clipValue !== undefined
    return new DivergedError({
      what,
      layer: where,
      step: at?.step ?? this.steps + steps + 1,
      epoch: at?.epoch,
      lr: at?.lr ?? this.lr,
      clipped,
      kept,
    })
  }
}

/** Whatever epoch a run reaches, its order comes from another stream. */
const validationStream = 2 ** 31 - 1

function share(value: unknown, name: string): void {
  if (typeof value === 'number' && value >= 0 && value < 1) return
  throw new KerneletError(
    'ERR_ARGUMENT',
    `Trainer: ${name} must be a number from 0 to below 1 but is ${show(value)}`,
  )
}
