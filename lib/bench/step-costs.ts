/** What a step of a plan computes, reads and writes, by its description; and what a network takes at the least. */
import type { StepDescription } from '../backend/backend.ts'
import { elements } from '../tensor/shape.ts'
import { countMacs, parseProblem } from './problem.ts'
import type { Roof } from './roof.ts'

export interface StepCosts {
  /** Operations an image, 2 a multiply-add, without those that would meet the padding. */
  flops: number
  /** Bytes of weights and biases, read once for however many images. */
  weights: number
  /** Bytes of input and output an image, each once. */
  values: number
}

export function costsOf(step: StepDescription): StepCosts {
  // two convolutions, depth first, have a + between them
  const problems = step.macs > 0 ? step.problem.split('+') : []
  const joined = step.ops.slice(step.ops[0] === 'add' || step.ops[0] === 'mul' ? 0 : 1)
  // what is added or multiplied comes from memory too
  const others = joined.filter((op) => op === 'add' || op === 'mul').length
  const outputs = elements(step.outputShape)
  return {
    flops: 2 * macsOf(step, problems),
    weights: 4 * problems.reduce((sum, problem) => sum + weightsOf(problem), 0),
    values: 4 * (elements(step.inputShape) + (1 + others) * outputs),
  }
}

function macsOf(step: StepDescription, problems: readonly string[]): number {
  try {
    return problems.reduce((sum, problem) => sum + countMacs(parseProblem(problem)), 0)
  } catch {
    // no convolution: a product of matrices, a transposed convolution
    return step.macs
  }
}

function weightsOf(problem: string): number {
  const size = (letters: string): number =>
    Number(new RegExp(`(?<![a-z])${letters}(\\d+)`).exec(problem)?.[1] ?? 1)
  return size('oc') * ((size('ic') / size('g')) * size('kh') * size('kw') + 1)
}

/**
 * Nanoseconds that no direct sum on this machine can beat: of each step its multiply-adds at the peak, or its weights
 * at the bandwidth of the level of memory that holds all of them, whichever takes longer. Threads are taken to share
 * the multiply-adds evenly; what is none costs nothing here.
 *
 * @param peak GFLOP/s of all threads together
 */
export function boundOf(costs: readonly StepCosts[], batch: number, peak: number, roof: Roof): number {
  const level = roof.levelOf(costs.reduce((sum, { weights }) => sum + weights, 0))
  return costs.reduce(
    (sum, { flops, weights }) => sum + Math.max((flops * batch) / peak, weights / level.bandwidth),
    0,
  )
}
