/** Tuning as plain JSON: what was found by timing, which machine and model it is of, and whether it fits here. */
import type { NativeCompileOptions, NativePlan } from '../backend/backend.ts'
import { native } from '../backend/node-addon.ts'
import type { Graph } from '../graph/graph.ts'
import { size } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { checkOptions, flag, isInteger, itemsOf, numberOf, objectOf, text } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

/** Options of `compile({ tune })`. */
export interface TuneOptions {
  /** Images a call that the model is tuned for; default 1. Any batch can be run. */
  batch?: number | undefined
}

/** How a step is computed where the cost model would have chosen otherwise; what is left out is as it says. */
export interface TunedStep {
  /** Of the graph: the convolution or linear layer that decides the step. */
  node: number
  name: string
  /** How a convolution writes its value; 'winograd' only by numerics 'fastest'. */
  layout?: 'planes' | 'blocked' | 'winograd' | undefined
  /** Over planes, or, of a linear layer, the width of its registers: 'wide' or 'narrow'. */
  algorithm?: string | undefined
  /**
   * Tiles of a convolution over blocks between two changes of weights; of a depthwise one the rows at a time, depth first
   * with the 1×1 convolution before it, and −1 where it goes apart.
   */
  strip?: number | undefined
}

/**
 * What `CompiledModel.tuning` gives and `compile({ tuned })` takes: plain JSON. It holds for one graph (weights may
 * differ), instruction set, CPU, number of threads and kind of numerics.
 */
export interface Tuning {
  /** Of this form: 1. */
  format: number
  /** Hash of operations, shapes and attributes. */
  graph: string
  isa: string
  cpu: string
  /** As `compile` was told; 0: by the amount of work. */
  threads: number
  numerics: 'exact' | 'fastest'
  /** Images a call that it was tuned for. */
  batch: number
  steps: TunedStep[]
  /** Whether images of a batch go side by side in the lanes. */
  lanes?: boolean | undefined
  /** Multiply-adds from which threads share a step of one image. */
  divideFrom?: number | undefined
  /** Nanoseconds of a call, before and after, when it was tuned. */
  untunedNs: number
  tunedNs: number
  /** false: where it does not fit, the cost model chooses, and `describe().tuning` says why. Default true: an error. */
  strict?: boolean | undefined
}

const FORMAT = 1
/** Native numbers of Choice::Way and of Choice::algorithm (native/plan/choices.h). */
const LAYOUTS: readonly string[] = ['any', 'planes', 'blocked', 'winograd']
const ALGORITHMS: readonly string[] = [
  ...['any', 'im2col', 'direct-pixels', 'narrow-pixels', 'direct-channels', 'depthwise'],
  ...['wide', 'narrow'],
]
const MOST_STEPS = 1 << 14

/** What a tuning is of. */
export type TuningKey = Pick<Tuning, 'graph' | 'isa' | 'cpu' | 'threads' | 'numerics'>

/** Of a graph on this machine. */
export function tuningKey(
  graph: Graph,
  options: { isa?: string | undefined; threads?: number | undefined },
  numerics: 'exact' | 'fastest',
): TuningKey {
  const { isa, threads, cpu } = native()
  return {
    graph: hashOf(graph),
    isa: options.isa ?? isa().chosen,
    cpu,
    threads: options.threads ?? threads().default,
    numerics,
  }
}

/** Operations, shapes and attributes; of weights the shapes. */
function hashOf({ nodes, output }: Graph): string {
  const facts = nodes.map((node) =>
    Object.entries(node)
      .filter(([key, value]) => key !== 'name' && value !== undefined)
      .map(([key, value]) => [key, Tensor.is(value) ? value.shape : value])
      .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
  )
  const { createHash } = process.getBuiltinModule('node:crypto')
  return createHash('sha256')
    .update(JSON.stringify([facts, output]))
    .digest('hex')
    .slice(0, 32)
}

/** The tuning of a plan that was compiled to be tuned. */
export function tuningOf(plan: NativePlan, graph: Graph, key: TuningKey, batch: number): Tuning {
  const { choices, lanes, divideFrom, untunedNs, tunedNs } = plan.tuning!
  const steps: TunedStep[] = []
  for (let i = 0; i + 3 < choices.length; i += 4) {
    const [node = 0, way = 0, algorithm = 0, strip = 0] = choices.subarray(i, i + 4)
    steps.push({
      node,
      name: graph.nodes[node]!.name,
      ...(way > 0 && { layout: LAYOUTS[way] as NonNullable<TunedStep['layout']> }),
      ...(algorithm > 0 && { algorithm: ALGORITHMS[algorithm]! }),
      ...(strip !== 0 && { strip }),
    })
  }
  return {
    format: FORMAT,
    ...key,
    batch,
    steps,
    ...(lanes >= 0 && { lanes: lanes === 1 }),
    ...(divideFrom !== DIVIDE_FROM && { divideFrom }),
    untunedNs,
    tunedNs,
  }
}

/** PlanOptions::divide_from. */
const DIVIDE_FROM = 400_000

/** A tuning that was given, read once, and in native terms; or why it does not fit. */
export type Given = { tuning: Tuning; choices: NativeCompileOptions } | { reason: string }

/** @throws KerneletError `ERR_ARGUMENT` for what is no tuning, and for one that does not fit, if it is `strict` */
export function tuningGiven(value: unknown, key: TuningKey): Given {
  checkOptions('compile: tuned', value as Tuning, [
    ...(['format', 'graph', 'isa', 'cpu', 'threads', 'numerics', 'batch', 'steps'] as const),
    ...(['lanes', 'divideFrom', 'untunedNs', 'tunedNs', 'strict'] as const),
  ])
  const given: Partial<Tuning> = { ...(value as Tuning) }
  const strict = flag(given.strict ?? true, 'compile: tuned: strict')
  const reason = misfit(given, key)
  if (reason !== undefined) return unfit(reason, strict)
  const { batch = 1, lanes, divideFrom, untunedNs, tunedNs } = given
  const list = itemsOf(given.steps, MOST_STEPS)
  if (!list) throw bad(`steps must be an array but is ${show(given.steps)}`)
  const steps = list.map(stepGiven)
  if (lanes !== undefined && typeof lanes !== 'boolean') throw bad(`lanes is ${show(lanes)}`)
  if (divideFrom !== undefined && !(isInteger(divideFrom) && divideFrom >= 0))
    throw bad(`divideFrom is ${show(divideFrom)}`)
  const choices = Int32Array.from(
    steps.flatMap(({ node, layout = 'any', algorithm = 'any', strip = 0 }) => [
      ...[node, LAYOUTS.indexOf(layout), ALGORITHMS.indexOf(algorithm), strip],
    ]),
  )
  const measured = {
    batch: size(batch, 'compile: tuned: batch', 1),
    untunedNs: numberOf(untunedNs, 'compile: tuned: untunedNs'),
    tunedNs: numberOf(tunedNs, 'compile: tuned: tunedNs'),
  }
  const rest = { ...(lanes !== undefined && { lanes }), ...(divideFrom !== undefined && { divideFrom }) }
  return {
    tuning: { format: FORMAT, ...key, ...rest, ...measured, steps, ...(strict ? {} : { strict }) },
    choices: { choices, divideFrom, ...(lanes !== undefined && { lanes: lanes ? 1 : 0 }) },
  }
}

/**
 * What becomes of one that does not fit.
 *
 * @throws KerneletError `ERR_ARGUMENT` where it is strict
 */
export function unfit(reason: string, strict: boolean): { reason: string } {
  if (!strict) return { reason }
  throw bad(`it does not fit: ${reason}; tune again, or say strict: false to have the cost model choose`)
}

function misfit(given: Partial<Tuning>, key: TuningKey): string | undefined {
  if (given.format !== FORMAT) return `its format is ${show(given.format)} where ${FORMAT} is read`
  if (given.graph !== key.graph) return 'it is of another graph: other operations, shapes or attributes'
  const other = (['isa', 'cpu', 'threads', 'numerics'] as const).find((name) => given[name] !== key[name])
  return other && `its ${other} is ${show(given[other])} where ${show(key[other])} is used`
}

function stepGiven(item: unknown): TunedStep {
  const { node, name, layout, algorithm, strip } = objectOf(
    item,
    'compile: tuned: a step',
  ) as Partial<TunedStep>
  if (!isInteger(node) || node < 0 || node > MOST_STEPS) throw bad(`a step's node is ${show(node)}`)
  if (layout !== undefined && !LAYOUTS.slice(1).includes(layout))
    throw bad(`a step's layout is ${show(layout)}; there are ${LAYOUTS.slice(1).join(', ')}`)
  if (algorithm !== undefined && !ALGORITHMS.slice(1).includes(algorithm))
    throw bad(`a step's algorithm is ${show(algorithm)}; there are ${ALGORITHMS.slice(1).join(', ')}`)
  if (strip !== undefined && (!isInteger(strip) || strip < -1 || strip > 2 ** 30))
    throw bad(`a step's strip is ${show(strip)}`)
  return { node, name: text(name, 'compile: tuned: name of a step'), layout, algorithm, strip }
}

function bad(what: string): KerneletError {
  return new KerneletError('ERR_ARGUMENT', `compile: tuned: ${what}`)
}
