/** Setup: what a native trainer takes of a model when it is made. Where that has changed, another one is made. */
import { isConstant } from '../graph/definition.ts'
import { type Graph, traceWatched } from '../graph/graph.ts'
import { Module } from '../nn/module.ts'
import { BatchNorm1d, BatchNorm2d } from '../ops/normalization.ts'
import { Parameter } from '../tensor/parameter.ts'
import { Tensor } from '../tensor/tensor.ts'
import { itemsOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { bufferOf, byteLengthOf, byteOffsetOf, lengthOf } from '../util/typed-array.ts'

/** Values that a step moves. */
export interface Moved {
  readonly name: string
  readonly tensor: Tensor
}

/** A model as it was at one moment. */
export interface Setup {
  readonly graph: Graph
  readonly parameters: readonly (readonly [name: string, parameter: Parameter])[]
  /** Those that learn: not frozen, and the output depends on them. */
  readonly trained: ReadonlySet<Parameter>
  readonly statistics: readonly Moved[]
  /** What a call writes: weights that learn, and statistics. */
  readonly written: readonly Moved[]
  /** Counters of batches, each as often as a batch counts there. */
  readonly counters: readonly Tensor[]
  readonly facts: readonly unknown[]
  readonly fixed: readonly Fixed[]
}

/** An array that the native trainer has copied, and what was in it. */
interface Fixed {
  readonly array: Float32Array | Uint8Array
  readonly bytes: Uint8Array
}

/**
 * Traces a model for images of this shape.
 *
 * @throws KerneletError `ERR_UNSUPPORTED` for what training cannot follow; else as `trace`
 */
export function setupOf(model: Module, shape: readonly number[]): Setup {
  const { graph, taken } = traceWatched(model, shape)
  // After the trace: a forward() that notes something about itself does not make every step a new setup.
  const facts = factsOf(model)
  const parameters = model.namedParameters()
  const live = liveNodes(graph)
  const used = new Set(live.flatMap(({ weight, bias }) => [weight?.data, bias?.data]))
  const learning = parameters.filter(([, { requiresGrad }]) => requiresGrad)
  checkTrainable(learning)
  for (const [name, { data }] of learning) {
    if (!taken.has(data)) continue
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `Trainer: ${name}: forward() computes other weights from it, and its gradient stops there; ` +
        'freeze it, or use it on values of the images only',
    )
  }
  const trained = new Set(learning.map(([, one]) => one).filter(({ data }) => used.has(data)))
  const norms = live.filter(({ training }) => training)
  for (const [path, layer] of model.namedModules()) {
    if (
      !(layer instanceof BatchNorm1d || layer instanceof BatchNorm2d) ||
      layer.momentum !== null ||
      !norms.some(({ mean }) => mean === layer.runningMean)
    )
      continue
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `Trainer: ${path}: momentum null (a mean over all batches) is for eager training only`,
    )
  }
  const statistics = new Map<Tensor, Moved>()
  for (const { name, mean, variance } of norms) {
    if (mean) statistics.set(mean, { name: `${name}.running_mean`, tensor: mean })
    if (variance) statistics.set(variance, { name: `${name}.running_var`, tensor: variance })
  }
  const learned = parameters.flatMap(([name, tensor]) => (trained.has(tensor) ? [{ name, tensor }] : []))
  return {
    graph,
    parameters,
    trained,
    statistics: [...statistics.values()],
    written: [...learned, ...statistics.values()],
    counters: norms.flatMap(({ batches }) => (batches ? [batches] : [])),
    facts,
    fixed: fixedOf(graph, parameters, trained, statistics),
  }
}

/** @throws KerneletError `ERR_UNSUPPORTED` for weights that a step would train into another model, by name */
function checkTrainable(learning: Setup['parameters']): void {
  const found = learning.filter(([, { untrainable }]) => untrainable)
  if (found.length === 0) return
  const names = found.map(([name]) => name).join(', ')
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `Trainer: ${names} cannot be trained: ${found[0]?.[1].untrainable}; freeze() ${found.length > 1 ? 'them' : 'it'} ` +
      'to train the others',
  )
}

/** Whether a native trainer made for this setup still does what the model says. */
export function isCurrent({ facts, fixed }: Setup, model: Module): boolean {
  const now = factsOf(model)
  return (
    now.length === facts.length &&
    now.every((fact, i) => Object.is(fact, facts[i])) &&
    fixed.every(({ array, bytes }) => Buffer.compare(bytesOf(array), bytes) === 0)
  )
}

/** Items of an array that are looked at; of a longer one only whether it is the same. */
const mostCompared = 2 ** 24

/**
 * What forward() may go by, to be compared one by one: all properties of all modules, with what is in arrays and
 * plain objects, and which parameters are frozen.
 */
function factsOf(model: Module): unknown[] {
  const facts: unknown[] = []
  const seen = new Set<Module>()
  const visit = (module: Module): void => {
    if (seen.has(module)) return
    seen.add(module)
    for (const [name, value] of Object.entries(module)) {
      facts.push(name, value)
      if (Array.isArray(value)) {
        for (const one of itemsOf(value, mostCompared) ?? []) {
          facts.push(one)
          look(one)
        }
      } else if (isPlain(value)) {
        facts.push(...Object.entries(value).flat())
      } else {
        look(value)
      }
    }
  }
  const look = (value: unknown): void => {
    if (value instanceof Module) visit(value)
    else if (value instanceof Parameter) facts.push(value.requiresGrad, value.mask)
  }
  visit(model)
  return facts
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

/** The nodes that the output depends on, in the order of the graph. */
function liveNodes({ nodes, output }: Graph): Graph['nodes'][number][] {
  const live = new Set([output])
  for (let i = output; i >= 0; i--) {
    if (live.has(i)) for (const input of nodes[i]?.inputs ?? []) live.add(input)
  }
  return nodes.filter((_, i) => live.has(i))
}

/** What a native trainer does not load anew with every call: constants, statistics at rest, masks. */
function fixedOf(
  graph: Graph,
  parameters: Setup['parameters'],
  trained: ReadonlySet<Parameter>,
  statistics: ReadonlyMap<Tensor, Moved>,
): Fixed[] {
  const loaded = new Set([...parameters.map(([, one]) => one), ...statistics.keys()].map(({ data }) => data))
  const learning = new Set([...trained].map(({ data }) => data))
  const arrays = new Set<Float32Array | Uint8Array>()
  for (const node of graph.nodes) {
    for (const tensor of [node.weight, node.bias, node.mean, node.variance]) {
      if (!Tensor.is(tensor)) continue
      const { data } = tensor
      if (isConstant(node) ? !learning.has(data) : !loaded.has(data)) arrays.add(data)
    }
  }
  for (const [, { mask }] of parameters) if (mask) arrays.add(mask)
  return [...arrays].map((array) => ({ array, bytes: bytesOf(array).slice() }))
}

function bytesOf(array: Float32Array | Uint8Array): Uint8Array {
  if (lengthOf(array) === 0) return new Uint8Array(0) // whose buffer may be detached
  return new Uint8Array(bufferOf(array), byteOffsetOf(array), byteLengthOf(array))
}
