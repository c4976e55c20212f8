/** Graphs that are handed over: made by `trace`, perhaps changed since, or by hand. */
import type { Coordinates, Rounding } from '../backend/backend.ts'
import { checkShape, mostDimensions, pair, sides, size } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { flag, integer, itemsOf, numberOf, objectOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { checkNode } from './check-node.ts'
import { checkCost } from './cost.ts'
import { definitionOf, isInput, isOperation, type Operation } from './definition.ts'
import { type Graph, type GraphNode, isGraph } from './graph.ts'

/** The largest of the networks people train have some thousands. */
const mostNodes = 2 ** 14

/** Of a name, and of all names and inputs together: a graph can say the same long one for each of its nodes. */
const longestName = 2 ** 12
const mostText = 2 ** 22

/** How resized planes lie over their input. */
const coordinates: readonly Coordinates[] = [
  'asymmetric',
  'half_pixel',
  'pytorch_half_pixel',
  'align_corners',
  'step',
]
const roundings: readonly Rounding[] = ['floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil']

/** How each attribute is read. Every one of them is here: what is not is a slip. */
const readers: Record<
  Exclude<keyof GraphNode, 'op' | 'name' | 'inputs' | 'shape'>,
  (value: unknown, what: string) => unknown
> = {
  ...{ weight: tensorOf, bias: tensorOf, mean: tensorOf, variance: tensorOf, batches: tensorOf },
  ...{ kernelSize: extentOf, stride: extentOf, dilation: extentOf, padding: sides },
  ...{ axes: integersOf, starts: integersOf, steps: integersOf, ends: integersOf, size: integersOf },
  ...{ groups: (value: unknown, what: string) => size(value, what, 1), axis: integer, dims: dimsOf },
  ...{ alpha: numberOf, beta: numberOf, epsilon: numberOf, momentum: numberOf, p: numberOf, value: numberOf },
  ...{ outputPadding: (value: unknown, what: string) => pair(value, what, 0), scales: scalesOf },
  ...{ coordinates: oneOf(coordinates), rounding: oneOf(roundings) },
  ...{ ceilMode: flag, countIncludePad: flag, training: flag, flat: flag },
  counts: countsOf,
}

/** Attributes that any operation may have. */
const ofAll: readonly string[] = ['counts', 'flat']

/**
 * A checked copy of a graph, or undefined for something that is none: a model, or nothing of ours. Every part of the
 * copy is of the right type, uses only what comes before it, and has the shape that follows; attributes that were left
 * out have the values they stand for.
 *
 * @throws KerneletError `ERR_ARGUMENT`, `ERR_SHAPE` that name the node; `ERR_UNSUPPORTED` for one that would take a gibibyte, and
 *   much more than its weights and input do
 */
export function checkGraph(value: unknown): Graph | undefined {
  let graph: Graph | undefined
  try {
    graph = isGraph(value) ? copyOf(value) : undefined
  } catch (error) {
    if (error instanceof KerneletError) throw error
    throw new KerneletError('ERR_ARGUMENT', 'Graph: what it is made of throws when it is looked at', {
      cause: error,
    })
  }
  if (!graph) return undefined
  const nodes: GraphNode[] = []
  for (const node of graph.nodes) nodes.push(checkNode(node, nodes))
  const checked = { nodes, output: graph.output }
  checkCost('Graph', checked)
  return checked
}

/** All of it read, once. */
function copyOf(value: object): Graph {
  const { nodes, output } = value as { nodes: unknown; output: unknown }
  const given = itemsOf(nodes, mostNodes)
  if (!given || given.length === 0) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `A graph must begin with its input: nodes must be an array of at most ${mostNodes} nodes but is ${show(nodes)}`,
    )
  }
  if (!isIndex(output, given.length)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `A graph must name one of its ${given.length} nodes as output but names ${show(output)}`,
    )
  }
  let text = 0
  const copies = given.map((node, i) => {
    const copy = copyOfNode(node, i)
    text += copy.name.length + copy.inputs.length
    if (text <= mostText) return copy
    throw new KerneletError(
      'ERR_ARGUMENT',
      `Graph: names and inputs up to node ${i} have ${text} letters and numbers; at most ${mostText} are read`,
    )
  })
  return { nodes: copies, output }
}

function isIndex(value: unknown, below: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < below
}

function copyOfNode(value: unknown, index: number): GraphNode {
  const what = `Graph: node ${index}`
  const { op, name, inputs, shape, ...attributes } = objectOf(value, what) as Record<string, unknown>
  if (!isOperation(op) || isInput({ op }) !== (index === 0)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${what}: op must be ${index === 0 ? "'input', with which a graph must begin," : 'one of the operations'} ` +
        `but is ${show(op)}`,
    )
  }
  if (typeof name !== 'string' || name.length > longestName) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${what}: name must be a string of at most ${longestName} letters but is ${show(name)}`,
    )
  }
  const sources = itemsOf(inputs, mostNodes)
  if (!sources?.every((one): one is number => isIndex(one, index))) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${what}: inputs must be indices of earlier nodes but are ${show(inputs)}`,
    )
  }
  const node: GraphNode = { op, name, inputs: sources, shape: checkShape(shape, `${what}: shape`) }
  const { needs = [], takes = [] }: { needs?: readonly string[]; takes?: readonly string[] } =
    definitionOf(op)
  for (const [key, one] of Object.entries(attributes)) {
    if (one === undefined) continue
    const read = Object.hasOwn(readers, key) ? readers[key as keyof typeof readers] : undefined
    if (!read) throw new KerneletError('ERR_ARGUMENT', `${what}: unknown attribute ${show(key)}`)
    if (!ofAll.includes(key) && !needs.includes(key) && !takes.includes(key)) {
      throw new KerneletError('ERR_ARGUMENT', `${what}: ${op} takes no ${key}`)
    }
    Object.assign(node, { [key]: read(one, `${what}: ${key}`) })
  }
  return node
}

function tensorOf(value: unknown, what: string): Tensor {
  if (!Tensor.is(value)) {
    throw new KerneletError('ERR_ARGUMENT', `${what} must be a Tensor but is ${show(value)}`)
  }
  checkShape(value.shape, `${what}: shape`)
  return value
}

function extentOf(value: unknown, what: string): [number, number] {
  return pair(value, what, 1)
}

function dimsOf(value: unknown, what: string): 1 | 2 {
  if (value === 1 || value === 2) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be 1 or 2 but is ${show(value)}`)
}

function integersOf(value: unknown, what: string): number[] {
  const items = itemsOf(value, mostDimensions)
  if (items?.every((one): one is number => Number.isSafeInteger(one))) return items
  throw new KerneletError('ERR_ARGUMENT', `${what} must be an array of integers but is ${show(value)}`)
}

/** A function that takes one of these words. */
function oneOf(words: readonly string[]) {
  return (value: unknown, what: string): string => {
    if (typeof value === 'string' && words.includes(value)) return value
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${what} must be one of ${words.join(', ')} but is ${show(value)}`,
    )
  }
}

function scalesOf(value: unknown, what: string): number[] {
  const items = itemsOf(value, 2)
  const fits = (one: unknown): one is number => typeof one === 'number' && Number.isFinite(one) && one > 0
  if (items?.length === 2 && items.every(fits)) return items
  throw new KerneletError('ERR_ARGUMENT', `${what} must be two numbers above 0 but is ${show(value)}`)
}

function countsOf(value: unknown, what: string): Operation['counts'] {
  const { parameters, connections } = objectOf(value, what) as Record<string, unknown>
  return {
    ...(parameters !== undefined && { parameters: numberOf(parameters, `${what}.parameters`) }),
    ...(connections !== undefined && { connections: numberOf(connections, `${what}.connections`) }),
  }
}
