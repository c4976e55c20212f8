/** Losses: what each takes as target, and its value for one image. */

import type { NativeLoss } from '../backend/backend.ts'
import { elements, formatShape } from '../tensor/shape.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

/**
 * What is minimised; the mean over the batch, PyTorch's `reduction='mean'`.
 *
 * - `crossEntropy`: of scores (logits), one a class; softmax is part of it
 * - `binaryCrossEntropy`: of probabilities, such as those of a sigmoid
 * - `binaryCrossEntropyWithLogits`: of scores; the sigmoid is part of it
 * - `mse`: mean square error
 */
export type Loss = Exclude<NativeLoss['kind'], 'dot'>

const losses: readonly Loss[] = ['crossEntropy', 'mse', 'binaryCrossEntropy', 'binaryCrossEntropyWithLogits']

/** @throws KerneletError `ERR_ARGUMENT` */
export function checkLoss(value: unknown): Loss {
  const found = losses.find((loss) => loss === value)
  if (found !== undefined) return found
  throw new KerneletError('ERR_ARGUMENT', `loss must be one of ${losses.join(', ')} but is ${show(value)}`)
}

/**
 * Number of classes a model with this output tells apart: with one output two, by the side of the middle.
 *
 * @throws KerneletError `ERR_SHAPE` when the output is no row of values; `ERR_ARGUMENT` when there are fewer
 *   outputs than classes
 */
export function checkClasses(loss: Loss, outputShape: readonly number[], classes: number, who: string): void {
  const outputs = elements(outputShape)
  if (outputShape.length !== 1) {
    throw new KerneletError(
      'ERR_SHAPE',
      `${who}: labels need a model with one row of outputs an image but it gives ${formatShape(outputShape)}; ` +
        'flatten them, or train by step() with targets',
    )
  }
  if (loss === 'crossEntropy' && outputs === 1) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: crossEntropy expects a score a class but the model has one output; ` +
        'use binaryCrossEntropy or binaryCrossEntropyWithLogits',
    )
  }
  const told = outputs === 1 ? 2 : outputs
  if (classes > told) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: the data has ${classes} classes but the model tells ${told} apart`,
    )
  }
}

/**
 * Labels as the loss takes them: classes for crossEntropy; elsewhere 0 or 1 where the model has one output, and
 * 1 at the class and 0 at the others where it has several.
 *
 * @throws KerneletError `ERR_ARGUMENT` for labels of other classes: a caller may have changed them since
 */
export function targetsOf(loss: Loss, labels: Int32Array, outputs: number): Int32Array | Float32Array {
  const told = outputs === 1 ? 2 : outputs
  const wrong = labels.findIndex((label) => label < 0 || label >= told)
  if (wrong >= 0) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `label ${wrong} must be a class from 0 to ${told - 1} but is ${labels[wrong]}`,
    )
  }
  if (loss === 'crossEntropy') return labels
  if (outputs === 1) return Float32Array.from(labels)
  const targets = new Float32Array(labels.length * outputs)
  for (const [i, label] of labels.entries()) targets[i * outputs + label] = 1
  return targets
}

/** What a model says of one image. */
export interface Prediction {
  /** Class with the highest output. */
  predicted: number
  /** Probability of that class, or the output itself with mse. */
  confidence: number
  /** Without label smoothing. */
  loss: number
}

/** Reads one row of outputs. */
export function predict(loss: Loss, outputs: Float32Array, label: number): Prediction {
  if (outputs.length === 1) return predictOne(loss, outputs[0] ?? 0, label)
  let predicted = 0
  for (let k = 1; k < outputs.length; k++) {
    if ((outputs[k] ?? 0) > (outputs[predicted] ?? 0)) predicted = k
  }
  const highest = outputs[predicted] ?? 0
  if (loss === 'crossEntropy') {
    let sum = 0
    for (const output of outputs) sum += Math.exp(output - highest)
    return {
      predicted,
      confidence: 1 / sum,
      loss: Math.log(sum) + highest - (outputs[label] ?? 0),
    }
  }
  let sum = 0
  for (const [k, output] of outputs.entries()) sum += term(loss, output, k === label ? 1 : 0)
  const confidence = loss === 'binaryCrossEntropyWithLogits' ? logistic(highest) : highest
  return { predicted, confidence, loss: sum / outputs.length }
}

function predictOne(loss: Loss, output: number, label: number): Prediction {
  const probability = loss === 'binaryCrossEntropyWithLogits' ? logistic(output) : output
  const predicted = probability > 0.5 ? 1 : 0
  return {
    predicted,
    confidence: predicted === 1 ? probability : 1 - probability,
    loss: term(loss, output, label),
  }
}

/** The loss of one output; logarithms of a probability are at least −100, as in PyTorch. */
function term(loss: Loss, output: number, target: number): number {
  if (loss === 'mse') return (output - target) ** 2
  if (loss === 'binaryCrossEntropy') {
    return -(target * Math.max(Math.log(output), -100) + (1 - target) * Math.max(Math.log(1 - output), -100))
  }
  return Math.max(output, 0) - output * target + Math.log1p(Math.exp(-Math.abs(output)))
}

function logistic(value: number): number {
  return 1 / (1 + Math.exp(-value))
}
