/** Losses that a training graph computes. They are run, not compiled: a Trainer has losses of its own. */
import { elements, formatShape, sameShape } from '../../../tensor/shape.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { float64 } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { arrayOf, indicesOf, type Read, required, type Value } from '../value.ts'

/** What both have: classes that count nothing, and what becomes of the losses of single places. */
interface Options {
  readonly ignored: number | undefined
  readonly reduction: string
}

function optionsOf(node: OnnxNode): Options {
  const reduction = node.text('reduction', 'mean')
  if (!['none', 'mean', 'sum'].includes(reduction))
    throw node.error('ERR_FORMAT', `attribute reduction=${reduction} should be none, mean or sum`)
  return { ignored: node.has('ignore_index') ? node.int('ignore_index', 0) : undefined, reduction }
}

/**
 * −logarithm · weight of the class at each place.
 *
 * @param logs [n, classes, …] logarithms of probabilities, in double
 */
function likelihoodLoss(
  node: OnnxNode,
  logs: nd.NdArray,
  inputs: readonly (Value | undefined)[],
  { ignored, reduction }: Options,
): nd.NdArray {
  const [n = 0, classes = 0, ...places] = logs.shape
  const targets = indicesOf(node, required(node, inputs, 1), 'the targets')
  if (logs.shape.length < 2 || !sameShape(targets.shape, [n, ...places])) {
    throw node.error(
      'ERR_SHAPE',
      `expected scores [n, classes, …] and targets [n, …] but received ${formatShape(logs.shape)} and ${formatShape(targets.shape)}`,
    )
  }
  const given = inputs[2] === undefined ? undefined : arrayOf(node, inputs[2])
  if (given && !sameShape(given.shape, [classes]))
    throw node.error('ERR_SHAPE', `expected ${classes} weights but received ${formatShape(given.shape)}`)
  const plane = elements(places)
  const losses = nd.allocate(float64, targets.shape)
  spend(losses.values.length)
  let [sum, weights] = [0, 0]
  for (let i = 0; i < losses.values.length; i++) {
    const target = Number(targets.values[i])
    if (target === ignored) continue
    if (!(target >= 0 && target < classes))
      throw node.error('ERR_ARGUMENT', `target ${target} is none of the ${classes} classes`)
    const weight = given ? Number(given.values[target]) : 1
    const at = (Math.floor(i / plane) * classes + target) * plane + (i % plane)
    const loss = -Number(logs.values[at]) * weight
    losses.values[i] = loss
    sum += loss
    weights += weight
  }
  if (reduction === 'none') return losses
  return { ...losses, shape: [], values: Float64Array.of(reduction === 'sum' ? sum : sum / weights) }
}

function doubles(array: nd.NdArray): nd.NdArray {
  return { ...array, type: float64, values: Float64Array.from(array.values as Float64Array) }
}

/** In the type that the scores have. */
function typed(array: nd.NdArray, like: nd.NdArray): nd.NdArray {
  return nd.combine<number>(like.type, [array], (x) => x)
}

function scoresOf(node: OnnxNode, inputs: readonly (Value | undefined)[]): nd.NdArray {
  const scores = arrayOf(node, required(node, inputs, 0), 'a loss')
  if (scores.type.kind === 'float') return scores
  throw node.error('ERR_FORMAT', `it takes floating-point numbers but gets ${scores.type.name}`)
}

const NegativeLogLikelihoodLoss: Read = (node) => {
  const options = optionsOf(node)
  return (inputs) => {
    const scores = scoresOf(node, inputs)
    return typed(likelihoodLoss(node, doubles(scores), inputs, options), scores)
  }
}

const SoftmaxCrossEntropyLoss: Read = (node) => {
  const options = optionsOf(node)
  return (inputs) => {
    const scores = scoresOf(node, inputs)
    const logs = doubles(scores)
    const [n = 0, classes = 0, ...places] = logs.shape
    const [plane, values] = [elements(places), logs.values]
    for (let row = 0; row < n * plane; row++) {
      const start = Math.floor(row / plane) * classes * plane + (row % plane)
      const at = (c: number) => start + c * plane
      let [largest, sum] = [Number.NEGATIVE_INFINITY, 0]
      for (let c = 0; c < classes; c++) largest = Math.max(largest, Number(values[at(c)]))
      for (let c = 0; c < classes; c++) sum += Math.exp(Number(values[at(c)]) - largest)
      for (let c = 0; c < classes; c++) values[at(c)] = Number(values[at(c)]) - largest - Math.log(sum)
    }
    return [typed(likelihoodLoss(node, logs, inputs, options), scores), typed(logs, scores)]
  }
}

export const losses: Family = {
  operators: { NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss },
}
