/** evaluate: how well a model does on labelled images it was not trained on. */
import { types } from 'node:util'
import { compile } from '../compile/compiled-model.ts'
import { Dataset } from '../data/dataset.ts'
import type { Module } from '../nn/module.ts'
import { sameShape, size } from '../tensor/shape.ts'
import { checkOptions, signalOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { formatTable } from '../util/text-table.ts'
import { checkClasses, checkLoss, type Loss, predict } from './losses.ts'
import { type Pixels, pixelsOf } from './scaling.ts'

/** Options of `evaluate`. */
export interface EvaluateOptions extends Pixels {
  /** What is reported as loss, and how outputs are read; default 'crossEntropy'. */
  loss?: Loss | undefined
  /** With crossEntropy, scores are divided by this first: calibration (Guo et al. 2017). Default 1. */
  temperature?: number | undefined
  /** Images a call; the result does not depend on it. Default 1024. */
  batchSize?: number | undefined
  /** As for `compile`. */
  threads?: number | undefined
  /** As for `compile`. */
  isa?: string | undefined
  /** Stops between batches with `ERR_ABORTED`. */
  signal?: AbortSignal | undefined
}

/** One image and what the model made of it. */
export interface Example {
  /** Place in the data. */
  index: number
  /** The right class. */
  label: number
  /** The model's. */
  predicted: number
  /** Its probability for what it says. */
  confidence: number
  loss: number
  /** Where the image comes from, where the data knows. */
  name?: string | undefined
}

/**
 * What `evaluate` finds.
 * @example
 * const data = new Dataset({ images: new Uint8Array(2 * 784), labels: [0, 1], shape: [1, 28, 28] })
 * const { count, confusion } = await evaluate(LeNet5.pretrained(), data)
 * count // → 2
 * confusion.length // → 10
 */
export class Evaluation {
  /** Names of the classes. */
  readonly classes: readonly string[]
  /** Number of images. */
  readonly count: number
  /** Of those, read rightly. */
  readonly correct: number
  /** Mean, without label smoothing. */
  readonly loss: number
  /** Images by right class (row) and what the model says (column). */
  readonly confusion: readonly (readonly number[])[]
  /**
   * Expected calibration error: by how much confidence and accuracy differ, over 15 bins of confidence (Guo et
   * al. 2017). NaN with mse, whose outputs are no probabilities.
   */
  readonly ece: number
  /** Every image, that with the highest loss first. */
  readonly examples: readonly Example[]

  constructor(classes: readonly string[], examples: Example[], calibrated: boolean) {
    this.classes = classes
    this.count = examples.length
    this.correct = examples.filter(({ label, predicted }) => label === predicted).length
    this.loss = examples.reduce((sum, { loss }) => sum + loss, 0) / examples.length
    const confusion = classes.map(() => new Array<number>(classes.length).fill(0))
    for (const { label, predicted } of examples) {
      const row = confusion[label] as number[]
      row[predicted] = (row[predicted] ?? 0) + 1
    }
    this.confusion = confusion
    this.ece = calibrated ? calibrationError(examples) : Number.NaN
    this.examples = examples.sort((a, b) => b.loss - a.loss || a.index - b.index)
  }

  /** 0 … 1. */
  get accuracy(): number {
    return this.correct / this.count
  }

  /** 1 − accuracy. */
  get errorRate(): number {
    return (this.count - this.correct) / this.count
  }

  /** The images that were read wrongly, that with the highest loss first. */
  get misread(): Example[] {
    return this.examples.filter(({ label, predicted }) => label !== predicted)
  }

  /**
   * The `count` images with the highest loss.
   * @example
   * const data = new Dataset({ images: new Uint8Array(2 * 784), labels: [0, 1], shape: [1, 28, 28] })
   * const evaluation = await evaluate(LeNet5.pretrained(), data)
   * evaluation.worst(1).length // → 1
   */
  worst(count = 10): Example[] {
    return this.examples.slice(0, size(count, 'worst: count', 0))
  }

  /** Figures and the confusion matrix, for JSON.stringify: everything but the examples. */
  toJSON(): object {
    const { count, correct, accuracy, errorRate, loss, ece, classes, confusion } = this
    return { count, correct, accuracy, errorRate, loss, ece, classes, confusion }
  }

  /** The confusion matrix as a table, zeros as dots, with the share of each class that was read rightly. */
  toString(): string {
    const width = this.confusion[0]?.length ?? 0
    const heads = Array.from({ length: width }, (_, i) => this.classes[i] ?? String(i))
    const rows = this.confusion.map((row, label) => {
      const total = row.reduce((sum, one) => sum + one, 0)
      const share = total === 0 ? '' : `${((100 * (row[label] ?? 0)) / total).toFixed(2)} %`
      return [heads[label] ?? '', ...row.map((one) => (one === 0 ? '·' : String(one))), share]
    })
    const columns = Array.from({ length: width + 2 }, (_, i) => i)
    return formatTable([['', ...heads, 'right'], ...rows], columns)
  }
}

const bins = 15

function calibrationError(examples: readonly Example[]): number {
  const sums = Array.from({ length: bins }, () => ({ confidence: 0, right: 0 }))
  for (const { confidence, label, predicted } of examples) {
    const bin = sums[Math.min(bins - 1, Math.max(0, Math.ceil(confidence * bins) - 1))]
    if (!bin) continue
    bin.confidence += confidence
    bin.right += Number(label === predicted)
  }
  return sums.reduce((sum, { confidence, right }) => sum + Math.abs(confidence - right), 0) / examples.length
}

/**
 * Runs a model over labelled images, off the event loop, and compares.
 *
 * @throws KerneletError (by rejection) `ERR_SHAPE` when images or outputs do not fit the model; `ERR_ARGUMENT` for
 *   no images, more classes than outputs, or a wrong option; `ERR_ABORTED`
 * @example
 * const data = new Dataset({ images: new Uint8Array(2 * 784), labels: [0, 1], shape: [1, 28, 28] })
 * (await evaluate(LeNet5.pretrained(), data)).count // → 2
 */
export async function evaluate(
  model: Module,
  data: Dataset,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  checkOptions('evaluate', options, [
    'loss',
    'temperature',
    'batchSize',
    'threads',
    'isa',
    'signal',
    'mean',
    'std',
  ])
  checkData('evaluate', data)
  const { threads, isa, temperature = 1 } = options
  const signal = signalOf(options.signal, 'evaluate: signal')
  if (typeof temperature !== 'number' || !(temperature > 0 && temperature < Number.POSITIVE_INFINITY)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `evaluate: temperature must be a number above 0 but is ${show(temperature)}`,
    )
  }
  const loss = checkLoss(options.loss ?? 'crossEntropy')
  const batchSize = size(options.batchSize ?? 1024, 'evaluate: batchSize', 1)
  const inputType = types.isUint8Array(data.images) ? 'uint8' : 'float32'
  const scaling = pixelsOf('evaluate', options)
  using compiled = compile(model, {
    inputShape: data.shape,
    threads,
    isa,
    inputType,
    ...(inputType === 'uint8' && scaling),
  })
  const { outputShape } = compiled
  checkClasses(loss, outputShape, data.classes.length, 'evaluate')
  const outputs = outputShape[0] ?? 0
  const examples: Example[] = []
  for (let from = 0; from < data.length; from += batchSize) {
    if (signal?.aborted) {
      throw new KerneletError('ERR_ABORTED', 'evaluate: aborted', { cause: signal.reason })
    }
    const batch = data.images.subarray(from * data.imageLength, (from + batchSize) * data.imageLength)
    const values = await compiled.runAsync(batch)
    if (loss === 'crossEntropy' && temperature !== 1) {
      for (let i = 0; i < values.length; i++) values[i] = (values[i] ?? 0) / temperature
    }
    for (let i = 0; i < values.length / outputs; i++) {
      const index = from + i
      const label = data.labels[index] ?? 0
      const prediction = predict(loss, values.subarray(i * outputs, (i + 1) * outputs), label)
      examples.push({ index, label, ...prediction, ...(data.names && { name: data.names[index] }) })
    }
  }
  // A class that only the model knows has a column and a row of its own.
  const classes = Array.from(
    { length: Math.max(data.classes.length, outputs === 1 ? 2 : outputs) },
    (_, i) => (data.classes[i] === undefined ? String(i) : data.classes[i]),
  )
  return new Evaluation(classes, examples, loss !== 'mse')
}

/** @throws KerneletError `ERR_ARGUMENT` */
export function checkData(who: string, data: unknown, shape?: readonly number[]): asserts data is Dataset {
  if (!(data instanceof Dataset)) {
    throw new KerneletError('ERR_ARGUMENT', `${who}: expected a Dataset but received ${show(data)}`)
  }
  if (data.length === 0) throw new KerneletError('ERR_ARGUMENT', `${who}: the data has no images`)
  if (shape && !sameShape(data.shape, shape)) {
    throw new KerneletError(
      'ERR_SHAPE',
      `${who}: expected images of ${shape.join('×')} but the data has ${data.shape.join('×')}`,
    )
  }
}
