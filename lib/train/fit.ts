/** One run of `Trainer.fit`: epochs of steps off the event loop, with a report after each. */
import type { NativeHealth, NativeTrainCall, NativeTrainReport } from '../backend/backend.ts'
import type { Dataset } from '../data/dataset.ts'
import { atLeast0 } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { lengthOf } from '../util/typed-array.ts'
import type { Partial } from './checkpoint.ts'
import type { Evaluation } from './evaluate.ts'
import { deadUnits, type GradientHealth, layersOf, unread, warningsOf } from './health.ts'
import { checkClasses, type Loss, targetsOf } from './losses.ts'
import { epochOrder } from './order.ts'
import type { Schedule } from './schedules.ts'
import type { Opened, Session } from './session.ts'
import type { Setup } from './setup.ts'

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
  /**
   * Images of the epoch that were left out: a last step of one image, where a batch norm has but one value a channel
   * of it; 0 otherwise. Which these are changes with the order.
   */
  skipped: number
  /** Rate of the last step. */
  lr: number
  /** Of training, without validation. */
  seconds: number
  imagesPerSecond: number
  /** Loss of every step of the epoch (of a resumed one: since then). */
  stepLosses: Float32Array
  health?: GradientHealth | undefined
}

/** Values of one call: a copy of this many bytes is no burden on the event loop. */
const copyBytes = 8 * 2 ** 20
/** Milliseconds a call should take: long against its own cost, short enough for a progress bar. */
const callLength = 100
/** Images that decide which units are dead. */
const sampleImages = 256

/** What an epoch needs of its trainer. */
export interface Training {
  readonly session: Session
  readonly loss: Loss
  readonly scaling: { scale: number; shift: number }
  readonly seed: number
  readonly isa?: string | undefined
  readonly threads?: number | undefined
  /** Whether gradients are clipped in some way. */
  readonly clipped: boolean
  /** Rate before the schedule. */
  readonly lr: number
  /** The epoch in all, and in this run. */
  readonly epoch: number
  readonly runEpoch: number
  /** Throws once the trainer is disposed of. */
  checkAlive(): void
}

/** How many steps are one native call; follows from how long they take. */
export interface Pace {
  steps: number
}

/** An epoch that met a value that is not finite. */
export interface Diverged {
  readonly report: NativeTrainReport
  readonly step: number
  readonly lr: number
}

/**
 * Takes the steps of an epoch that `progress` has not taken yet, and says how far it came there.
 *
 * @returns the report; or what was not finite, the model being as that step left it
 */
export async function trainEpoch(
  training: Training,
  data: Dataset,
  indices: Uint32Array,
  options: FitOptions & { epochs: number; batchSize: number },
  progress: Partial,
  pace: Pace,
  keep: (progress: Partial) => void,
): Promise<EpochReport | Diverged> {
  const { session, runEpoch, lr: base } = training
  const { batchSize, epochs, schedule, signal, shuffle = true, health = true, onProgress } = options
  const start = performance.now()
  const all = shuffle ? epochOrder(indices, training.seed, training.epoch) : indices
  let ready: Ready | undefined
  const prepared = (): Ready => {
    ready = readyFor(training, data, Math.min(batchSize, indices.length), ready)
    return ready
  }
  // A last step of too few images for a batch norm is left out.
  const last = all.length % batchSize
  const tooFew = (): boolean => last > 0 && last < prepared().opened.leastImages
  let skipped = tooFew() ? last : 0
  const order = all.subarray(0, all.length - skipped)
  const steps = Math.ceil(order.length / batchSize)
  const bytes = data.imageLength * data.images.BYTES_PER_ELEMENT
  const mostSteps = Math.max(1, Math.floor(copyBytes / (bytes * batchSize)))
  const seenBefore = progress.seen
  const norms: number[] = []
  const losses: number[] = []
  let lr = base
  let figures: { health: NativeHealth; setup: Setup } | undefined
  const rate = (): number => (1000 * (progress.seen - seenBefore)) / Math.max(1e-3, performance.now() - start)
  while (progress.steps < steps) {
    const most = Math.min(pace.steps, mostSteps, steps - progress.steps)
    // Batch norms that are set to train() while the epoch is under way leave it out too.
    const without = skipped === 0 && progress.steps + most === steps && tooFew() ? 1 : 0
    const count = most - without
    if (count === 0) {
      skipped = last
      progress.steps++
      break
    }
    const learningRates = Float64Array.from({ length: count }, (_, i) => {
      if (!schedule) return base
      const step = runEpoch * steps + progress.steps + i
      return atLeast0(
        schedule.rate(base, { step, steps: epochs * steps, stepsPerEpoch: steps }),
        'fit: the rate of the schedule',
      )
    })
    training.checkAlive()
    if (signal?.aborted) throw aborted(signal, progress, steps, runEpoch)
    const { opened, targets } = prepared()
    const call: NativeTrainCall = {
      images: imagesOf(data),
      targets,
      indices: order.subarray(progress.steps * batchSize, (progress.steps + count) * batchSize),
      batch: Math.min(batchSize, order.length),
      learningRates,
      ...training.scaling,
      epoch: training.epoch,
      health: health && progress.steps + count === steps,
    }
    const called = performance.now()
    const report = await session.runAsync('fit', opened, call)
    const fitting = (count * callLength) / Math.max(1, performance.now() - called)
    pace.steps = Math.max(1, Math.floor(Math.min(fitting, 4 * count)))
    for (let i = 0; i < report.steps; i++) {
      const images = Math.min(batchSize, order.length - progress.steps * batchSize)
      progress.lossSum += (report.losses[i] ?? 0) * images
      progress.correct += report.correct[i] ?? 0
      progress.seen += images
      progress.steps++
      losses.push(report.losses[i] ?? 0)
      norms.push(report.gradientNorms[i] ?? 0)
    }
    if (report.steps > 0) lr = learningRates[report.steps - 1] ?? 0
    if (report.nonFinite) {
      return { report, step: progress.steps + 1, lr: learningRates[report.steps] ?? 0 }
    }
    keep(progress)
    if (report.health) figures = { health: report.health, setup: opened.setup }
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
  training.checkAlive()
  const seconds = (performance.now() - start) / 1000
  const imagesPerSecond = rate()
  return {
    epoch: runEpoch + 1,
    epochs,
    step: session.steps,
    loss: progress.lossSum / progress.seen,
    accuracy: progress.correct / progress.seen,
    skipped,
    lr,
    seconds,
    imagesPerSecond,
    stepLosses: Float32Array.from(losses),
    ...(figures && { health: await healthOf(training, figures, data, order, norms) }),
  }
}

/** A session and the targets that go with it. */
interface Ready {
  readonly opened: Opened
  readonly targets: Int32Array | Float32Array
}

/** The model may have changed since the last call; what it puts out, too. */
function readyFor(
  { session, loss }: Training,
  data: Dataset,
  images: number,
  last: Ready | undefined,
): Ready {
  const opened = session.open(data.shape)
  if (opened === last?.opened) return last
  session.checkBatch('fit', images, opened)
  checkClasses(loss, opened.outputShape, data.classes.length, 'fit')
  return { opened, targets: targetsOf(loss, data.labels, opened.outputShape[0] ?? 0) }
}

/** The images, if they are still there. */
function imagesOf({ images, imageLength, labels }: Dataset): Float32Array | Uint8Array {
  const [expected, found] = [imageLength * lengthOf(labels), lengthOf(images)]
  if (found === expected && found > 0) return images
  throw new KerneletError(
    'ERR_SHAPE',
    `fit: expected ${expected} values for ${lengthOf(labels)} labels but the data has ${found}: were its buffers detached?`,
  )
}

async function healthOf(
  training: Training,
  { health, setup }: { health: NativeHealth; setup: Setup },
  data: Dataset,
  order: Uint32Array,
  norms: readonly number[],
): Promise<GradientHealth> {
  const { isa, threads, scaling, clipped } = training
  const { graph, trained } = setup
  const sample = data.subset(order.subarray(0, sampleImages))
  const dead = await deadUnits(graph, sample.images, { ...scaling, isa, threads })
  const parameters = setup.parameters.map(([name, one]) => ({ name, frozen: !trained.has(one) }))
  const layers = layersOf(health, parameters, graph, dead)
  const sorted = Float64Array.from(norms).sort()
  const max = sorted.at(-1) ?? 1
  const gradientNorm = {
    median: sorted[Math.floor(sorted.length / 2)] ?? 0,
    max,
    step: norms.indexOf(max) + 1,
  }
  const missed = setup.parameters.filter(([, one]) => one.requiresGrad && !trained.has(one))
  const warnings = [
    ...warningsOf(graph, layers, gradientNorm, clipped),
    ...missed.map(([name]) => unread(name)),
  ]
  return { layers, gradientNorm, warnings }
}

function aborted(signal: AbortSignal, { steps }: Partial, all: number, runEpoch: number): KerneletError {
  return new KerneletError(
    'ERR_ABORTED',
    `fit: aborted after step ${steps} of ${all} in epoch ${runEpoch + 1}; the weights are those of that step`,
    { cause: signal.reason },
  )
}
