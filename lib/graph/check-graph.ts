/** Graphs that come from outside: made by `trace`, perhaps changed since, or by hand. */
import { checkShape, elements, formatShape, mostDimensions, sameShape } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { flag, integer, itemsOf, numberOf, objectOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import type { Graph, GraphNode } from './graph.ts'
import { inferShape, type Operation } from './operation.ts'

const mostNodes = 2 ** 16

/** How each attribute is read. Every one of them is here: what is not is a slip. */
const readers: Record<
  Exclude<keyof GraphNode, 'op' | 'name' | 'inputs' | 'shape'>,
  (value: unknown, what: string) => unknown
> = {
  ...{ weight: tensorOf, bias: tensorOf, mean: tensorOf, variance: tensorOf, batches: tensorOf },
  ...{ kernelSize: integersOf, stride: integersOf, padding: integersOf, dilation: integersOf },
  ...{ axes: integersOf, starts: integersOf, steps: integersOf, ends: integersOf, size: integersOf },
  ...{ groups: integer, axis: integer, dims: integer },
  ...{ alpha: numberOf, beta: numberOf, epsilon: numberOf, momentum: numberOf, p: numberOf, value: numberOf },
  ...{ ceilMode: flag, countIncludePad: flag, training: flag, flat: flag },
  counts: countsOf,
}

const window = ['kernelSize', 'stride', 'padding', 'dilation'] as const
const two = { inputs: 2 }

/** What each operation cannot do without: attributes, and inputs where it has not one. */
const needs: Record<
  Operation['op'],
  { inputs?: number; has?: readonly (keyof Operation)[] }
> = {
  ...{ input: { inputs: 0 }, constant: { inputs: 0, has: ['weight'] } },
  ...{ conv2d: { has: ['weight', 'groups', ...window] }, linear: { has: ['weight'] } },
  ...{ maxPool2d: { has: window }, avgPool2d: { has: window } },
  ...{ adaptiveAvgPool2d: { has: ['size'] }, adaptiveMaxPool2d: { has: ['size'] } },
  ...{ flatten: { has: ['axis'] }, reshape: { has: ['size'] }, permute: { has: ['axes'] } },
  ...{ slice: { has: ['size', 'starts', 'steps'] }, pad: { has: ['starts', 'ends'] } },
  ...{ add: two, sub: two, mul: two, div: two, concat: { inputs: Number.NaN, has: ['axis'] } },
  ...{ prelu: { has: ['weight'] }, batchNorm: { has: ['mean', 'variance'] } },
  ...{ softmax: { has: ['axis'] }, logSoftmax: { has: ['axis'] }, dropout: { has: ['p'] } },
  ...{ relu: {}, tanh: {}, sigmoid: {}, leakyRelu: {}, elu: {}, selu: {}, silu: {}, hardswish: {} },
  ...{ hardsigmoid: {}, clip: {}, gelu: {}, exp: {}, log: {}, abs: {}, pow: {}, scaledTanh: {} },
}

/**
 * A copy of a graph whose every part is of the right type, uses only what comes before it, and has the shape that
 * follows. (The values of attributes are for native code to refuse.)
 *
 * @throws KerneletError `ERR_ARGUMENT`, `ERR_SHAPE` that name the node
 */
export function checkedGraph(graph: Graph): Graph {
  const { nodes, output } = objectOf(graph, 'Graph') as Graph
  const given = itemsOf(nodes, mostNodes)
  if (!given || given.length === 0) {
    throw new KerneletError('ERR_ARGUMENT', `A graph must have an array of nodes but has ${show(nodes)}`)
  }
  const checked: GraphNode[] = []
  for (const [i, node] of given.entries()) checked.push(checkedNode(node, i, checked))
  if (!Number.isInteger(output) || output < 0 || output >= checked.length) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `A graph must name one of its ${checked.length} nodes as output but names ${show(output)}`,
    )
  }
  return { nodes: checked, output }
}

function checkedNode(value: unknown, index: number, before: readonly GraphNode[]): GraphNode {
  const what = `Graph: node ${index}`
  const { op, name, inputs, shape, ...attributes } = objectOf(value, what) as Record<string, unknown>
  const known = typeof op === 'string' && Object.hasOwn(needs, op) ? needs[op as Operation['op']] : undefined
  if (!known || (op === 'input') !== (index === 0)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${what}: op must be ${index === 0 ? "'input'" : 'one of the operations'} but is ${show(op)}`,
    )
  }
  if (typeof name !== 'string') {
    throw new KerneletError('ERR_ARGUMENT', `${what}: name must be a string but is ${show(name)}`)
  }
  const sources = itemsOf(inputs, mostNodes)
  const earlier = (one: unknown): one is number =>
    Number.isInteger(one) && (one as number) >= 0 && (one as number) < index
  const wanted = known.inputs ?? 1
  const count = Number.isNaN(wanted) ? Math.max(sources?.length ?? 0, 1) : wanted
  if (!sources?.every(earlier) || sources.length !== count) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${what}: inputs must be the indices of ${count} earlier nodes but are ${show(inputs)}`,
    )
  }
  const node: Record<string, unknown> = { op, name, inputs: sources, shape: checkShape(shape, `${what}: shape`) }
  for (const [key, one] of Object.entries(attributes)) {
    if (one === undefined) continue
    const read = Object.hasOwn(readers, key) ? readers[key as keyof typeof readers] : undefined
    if (!read) throw new KerneletError('ERR_ARGUMENT', `${what}: unknown attribute ${show(key)}`)
    node[key] = read(one, `${what}: ${key}`)
  }
  const missing = known.has?.find((key) => node[key] === undefined)
  if (missing !== undefined) throw new KerneletError('ERR_ARGUMENT', `${what}: ${op} needs ${missing}`)
  checkFit(node as unknown as GraphNode, what, before)
  return node as unknown as GraphNode
}

/** That ranks of weights and the shape are those that follow from the inputs. */
function checkFit(node: GraphNode, what: string, before: readonly GraphNode[]): void {
  const { op, weight, shape, dims } = node
  const rank = op === 'conv2d' ? (dims === 1 ? 3 : 4) : op === 'linear' ? 2 : undefined
  if (rank !== undefined && weight?.shape.length !== rank) {
    throw new KerneletError(
      'ERR_SHAPE',
      `${what}: weight must have ${rank} dimensions but has ${formatShape(weight?.shape ?? [])}`,
    )
  }
  if (op === 'input') return
  const sources = node.inputs.map((input) => (before[input] as GraphNode).shape)
  const origin = (input: number) => formatShape(sources[input] ?? [])
  const values = elements(sources[0] ?? [])
  const expected =
    op === 'constant'
      ? undefined
      : inferShape(node, sources, { prefix: `${what}: `, origin })
  const fits =
    expected === undefined
      ? elements(shape) === elements((weight as Tensor).shape)
      : sameShape(expected, shape) && (op !== 'reshape' || elements(shape) === values)
  if (fits) return
  throw new KerneletError(
    'ERR_SHAPE',
    `${what}: shape must follow from ${op} and its inputs but is ${formatShape(shape)}`,
  )
}

function tensorOf(value: unknown, what: string): Tensor {
  if (Tensor.is(value)) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be a Tensor but is ${show(value)}`)
}

function integersOf(value: unknown, what: string): number[] {
  const items = itemsOf(value, mostDimensions)
  if (items?.every((one): one is number => Number.isSafeInteger(one))) return items
  throw new KerneletError('ERR_ARGUMENT', `${what} must be an array of integers but is ${show(value)}`)
}

function countsOf(value: unknown, what: string): Operation['counts'] {
  const { parameters, connections } = objectOf(value, what) as Record<string, unknown>
  return {
    ...(parameters !== undefined && { parameters: numberOf(parameters, `${what}.parameters`) }),
    ...(connections !== undefined && { connections: numberOf(connections, `${what}.connections`) }),
  }
}
