/** Why a step takes as long as it does, and what would help: a judgement on what was measured. */
import type { StepDescription } from '../backend/backend.ts'
import { type Problem, parseProblem } from './problem.ts'
import { formatTime } from './report/markdown.ts'
import type { Roof } from './roof.ts'
import { costsOf, type StepCosts } from './step-costs.ts'

export interface Limit {
  /** What takes longest of these: multiply-adds at the peak, weights or values at the bandwidth of where they lie. */
  kind: 'compute' | 'weights' | 'values'
  /** `compute`, `weights (L3)`, `values (L2)` */
  name: string
  /** Nanoseconds for the whole batch, at the least. */
  ns: number
  costs: StepCosts
}

/**
 * The limit of each step, on one thread.
 *
 * @param together images that a step computes before the next step begins
 * @param peak GFLOP/s
 */
export function limitsOf(
  steps: readonly StepDescription[],
  batch: number,
  together: number,
  peak: number,
  roof: Roof,
): Limit[] {
  const all = steps.map(costsOf)
  const far = roof.levelOf(all.reduce((sum, { weights }) => sum + weights, 0))
  return all.map((costs): Limit => {
    const near = roof.levelOf(costs.values * together)
    const limits: Limit[] = [
      { kind: 'compute', name: 'compute', ns: (costs.flops * batch) / peak, costs },
      { kind: 'weights', name: `weights (${far.name})`, ns: costs.weights / far.bandwidth, costs },
      { kind: 'values', name: `values (${near.name})`, ns: (costs.values * batch) / near.bandwidth, costs },
    ]
    return limits.reduce((most, one) => (one.ns > most.ns ? one : most))
  })
}

/** What advice goes by. */
export interface Judged {
  step: StepDescription
  limit: Limit
  /** Measured, for the whole batch. */
  ns: number
  /** By Winograd, where that was measured too. */
  fastest?: number | undefined
}

/** The share of its limit from which on a step is as good as can be. */
const GOOD = 0.8
const SHORT_NS = 3000

/** Whether a step is as good as can be: its multiply-adds take most of its time. */
export function isNearItsBound({ step, limit, ns }: Judged): boolean {
  return step.macs > 0 && limit.kind !== 'weights' && limit.ns / ns >= GOOD
}

/** Whether Winograd's fewer multiplications pay. */
export function isFasterByWinograd({ ns, fastest }: Judged): boolean {
  return fastest !== undefined && fastest < 0.95 * ns
}

/** Whether nothing in the shape of what a step multiplies holds it up, be it near its bound or not. */
export function isShapeFine(judged: Judged, lanes: number): boolean {
  const { step, limit, ns } = judged
  if (isNearItsBound(judged)) return true
  if (step.macs === 0 || limit.kind === 'weights') return false
  const problem = convolutionOf(step)
  return problem === undefined || shapeOf(problem, step, lanes, ns).length === 0
}

/** One sentence on several such steps: all near their bounds or none, all faster by Winograd or none. */
export function adviceOnFine(steps: readonly Judged[]): string {
  const shares = steps.map(({ limit, ns }) => Math.round((100 * limit.ns) / ns))
  const [least, most] = [Math.min(...shares), Math.max(...shares)]
  const range = least === most ? `${least}` : `${least} to ${most}`
  const what = steps.every(isNearItsBound)
    ? ': fewer multiply-adds would help, nothing else'
    : `, and nothing in ${steps.length > 1 ? 'their shapes' : 'its shape'} says why not more: kernelet tune times the other ways to compute ${steps.length > 1 ? 'them' : 'it'}`
  const reached = `at ${range} % of what the machine allows${what}`
  if (!steps.every(isFasterByWinograd)) return `${reached}.`
  const before = steps.reduce((sum, { ns }) => sum + ns, 0)
  const after = steps.reduce((sum, { fastest }) => sum + fastest!, 0)
  return `numerics 'fastest' takes ${formatTime(after)} instead of ${formatTime(before)}, by Winograd: other roundings; ${reached}.`
}

/**
 * A sentence on what holds the step up and what would help.
 *
 * @param lanes floats of a register
 * @param batch images a call
 */
export function adviceOf(judged: Judged, lanes: number, batch: number): string {
  if (isShapeFine(judged, lanes)) return adviceOnFine([judged])
  const { step, limit, ns, fastest } = judged
  const problem = convolutionOf(step)
  const reached = limit.ns / ns
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`
  const parts = [
    isFasterByWinograd(judged)
      ? `numerics 'fastest' takes ${formatTime(fastest!)}, by Winograd: other roundings`
      : '',
    ...(step.macs === 0
      ? [withoutMultiplyAdds(step)]
      : limit.kind === 'weights'
        ? [
            `its weights, ${megabytes(limit.costs.weights)}, come from ${limit.name.slice(9, -1)} at ${percent(reached)} of ` +
              `its bandwidth: ${batch === 1 ? 'several images a call read them once' : 'int8 weights are a quarter'}`,
          ]
        : shapeOf(problem!, step, lanes, ns)),
  ]
  return `${parts.filter((part) => part !== '').join('; ')}.`
}

/** The first convolution of a step. */
function convolutionOf({ macs, problem }: StepDescription): Problem | undefined {
  try {
    return macs === 0 ? undefined : parseProblem(problem.split('+')[0]!)
  } catch {
    return undefined
  }
}

function withoutMultiplyAdds({ algorithm, ops }: StepDescription): string {
  if (algorithm === 'reorder') {
    return (
      'a copy from one layout to another: the step before it and one behind it want the value differently, as where a ' +
      'layer has too few channels for blocks of them, or an operation has no form for blocks'
    )
  }
  if (algorithm === 'copy') {
    return 'a copy: what it joins or takes apart lies otherwise than its readers want it'
  }
  return `a pass over memory of its own (${ops.join(' + ')}): right behind a convolution that nothing else reads, most operations cost none`
}

/** What of the shape keeps a convolution from the peak. */
function shapeOf(p: Problem, { algorithm }: StepDescription, lanes: number, ns: number): string[] {
  const outputs = p.oc / p.g
  const terms = (p.ic / p.g) * p.kh * p.kw
  const reasons: string[] = []
  const blocks = algorithm === 'blocked' || algorithm === 'winograd'
  const filled = p.oc / (Math.ceil(p.oc / lanes) * lanes)
  if (p.g === p.oc && p.g > 1) {
    reasons.push(
      `depthwise: ${terms} multiply-adds a value that is loaded and stored, which takes longer than they do` +
        (p.sh > 1 || p.sw > 1 ? '; with a stride still fewer of them meet what was loaded' : ''),
    )
  } else if (p.g > 1 && outputs < lanes) {
    reasons.push(`${p.g} groups of ${outputs} channels: a register holds ${lanes}`)
  } else if (blocks && filled < 0.9) {
    reasons.push(
      `${p.oc} channels fill ${p.oc % lanes} of the ${lanes} lanes of the last block: ` +
        `${Math.ceil(p.oc / lanes) * lanes} would take ${lanes === 16 && p.oc % lanes <= 8 ? 'little longer' : 'as long'}`,
    )
  }
  if (blocks && p.g === 1 && p.oc <= lanes) {
    reasons.push(
      `${p.oc} channels are one register of a tile that holds two: each value that is read is used half as often`,
    )
  }
  if (p.g === 1 && terms < 3 * lanes) {
    reasons.push(`a sum has ${terms} terms only, so that what surrounds it (loads, the end of a tile) weighs`)
  }
  if (p.oh * p.ow < 16 && p.oh * p.ow > 1) {
    reasons.push(`a plane of ${p.oh}×${p.ow} is few pixels for the weights that are read`)
  }
  if (reasons.length === 0 && ns < SHORT_NS) {
    reasons.push('so short that beginning it (first loads, prefetches, a branch or two) is much of it')
  }
  return reasons
}

function megabytes(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}
