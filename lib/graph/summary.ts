/** Summary: what a model consists of, layer by layer, without running it. */

import { Parameter } from '../tensor/parameter.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { formatCount, formatTable } from '../util/text-table.ts'
import { isConstant, title } from './definition.ts'
import { graphGiven } from './given.ts'
import { type Graph, type GraphNode, graphShapes, trace } from './graph.ts'
import type { Model } from './model.ts'
import { countConnections, countMacs, countParameters } from './operation.ts'

/** One row of a summary. */
export interface LayerSummary {
  /** `conv1`, `relu_1`. */
  name: string
  /** `Conv2d`, `ReLU`. */
  type: string
  /** Per image: [channels, height, width] or [features]. */
  outputShape: number[]
  /** Weights and biases; those of a layer used before are counted there. */
  parameters: number
  /**
   * Multiply-adds per image: every tap of every window, padding included, nothing for pooling and
   * activations. Two floating-point operations each.
   */
  macs: number
  /** Connections per image as LeCun et al. 1998 count them: multiply-adds that have a weight, and biases. */
  connections: number
}

/**
 * Layers and totals of a model; `toString()` prints them as a table.
 * @example
 * const text = String(summary(new LeNet5(), [1, 28, 28]))
 * text.split('\n').length // → 17
 */
export class Summary {
  /** Per image. */
  readonly inputShape: readonly number[]
  readonly layers: readonly LayerSummary[]
  readonly parameters: number
  readonly macs: number
  readonly connections: number

  constructor(graph: Graph) {
    const counted = new Set<Tensor>()
    this.inputShape = graphShapes(graph).input
    this.layers = graph.nodes
      .slice(1)
      .filter(isLayer)
      .map((node) => summarise(node, counted))
    this.parameters = this.layers.reduce((sum, layer) => sum + layer.parameters, 0)
    this.macs = this.layers.reduce((sum, layer) => sum + layer.macs, 0)
    this.connections = this.layers.reduce((sum, layer) => sum + layer.connections, 0)
  }

  toString(): string {
    const rows = [
      ['Layer', 'Type', 'Output shape', 'Parameters', 'MACs', 'Connections'],
      ['input', '', format(this.inputShape), '', '', ''],
      ...this.layers.map(({ name, type, outputShape, parameters, macs, connections }) => [
        name,
        type,
        format(outputShape),
        count(parameters),
        count(macs),
        count(connections),
      ]),
      ['total', '', '', formatCount(this.parameters), formatCount(this.macs), formatCount(this.connections)],
    ]
    const lines = formatTable(rows, [3, 4, 5]).split('\n')
    const rule = '─'.repeat(Math.max(...lines.map((line) => line.length)))
    return [lines[0], rule, ...lines.slice(1, -1), rule, lines.at(-1)].join('\n')
  }
}

/**
 * Layers, output shapes, parameters and multiply-adds of a model for one input of `inputShape` (per image:
 * `[3, 128, 128]`). Computes nothing and allocates no activations.
 *
 * @throws KerneletError `ERR_SHAPE` that says which layer does not fit and why; otherwise as `trace`.
 * @example
 * const { macs, layers } = summary(new LeNet5(), [1, 28, 28])
 * macs // → 281640
 * layers[0].name // → 'conv1'
 */
export function summary(model: Model | Graph, inputShape?: readonly number[]): Summary {
  return new Summary(graphGiven(model) ?? trace(model as Model, inputShape as readonly number[]))
}

/** Constants are none, unless they are trained. */
function isLayer(node: GraphNode): boolean {
  return !isConstant(node) || node.weight instanceof Parameter
}

/** Parameters and multiply-adds of all layers, as a Summary has them, without the layers. */
export function totals({ nodes }: Graph): { parameters: number; macs: number } {
  const counted = new Set<Tensor>()
  let parameters = 0
  let macs = 0
  for (let i = 1; i < nodes.length; i++) {
    const node = nodes[i] as GraphNode
    if (!isLayer(node)) continue
    parameters += parametersOf(node, counted)
    macs += countMacs(node, node.shape)
  }
  return { parameters, macs }
}

/** Those that are not in `counted`, where they are put. */
function parametersOf(node: GraphNode, counted: Set<Tensor>): number {
  let sum = 0
  for (const tensor of [node.weight, node.bias]) {
    if (tensor === undefined || counted.has(tensor)) continue
    counted.add(tensor)
    sum += countParameters(tensor)
  }
  return node.counts?.parameters ?? sum
}

function summarise(node: GraphNode, counted: Set<Tensor>): LayerSummary {
  return {
    name: node.name,
    type: title(node, node.shape),
    outputShape: [...node.shape],
    parameters: parametersOf(node, counted),
    macs: countMacs(node, node.shape),
    connections: countConnections(node, node.shape),
  }
}

function format(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`
}

function count(value: number): string {
  return value === 0 ? '' : formatCount(value)
}
