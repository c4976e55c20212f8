/** Gradient health: how strongly every layer is told to change, and what is wrong where one is not. */

import { types } from 'node:util'
import type { NativeHealth } from '../backend/backend.ts'
import { compile } from '../compile/compiled-model.ts'
import { definitionOf } from '../graph/definition.ts'
import type { Graph, GraphNode } from '../graph/graph.ts'
import { elements } from '../tensor/shape.ts'

/** One layer with weights, at the last step of an epoch. */
export interface LayerHealth {
  /** Path: `conv1`. */
  layer: string
  op: GraphNode['op']
  /** Euclidean norm of the gradients of its weights and biases, before clipping. */
  gradientNorm: number
  /** Euclidean norm of its weights and biases. */
  weightNorm: number
  /** Norm of the step's change / weight norm. Around 0.001 is usual. */
  updateRatio: number
  /** Root of the mean square of what it puts out. */
  activation: number
  /** What it puts out goes into this ReLU; undefined where there is none. */
  relu?: ReluHealth | undefined
}

/** The units of a ReLU: channels of a picture, features of a row. */
export interface ReluHealth {
  name: string
  /** Share of its values that are 0 at the last step: half is usual. */
  zeros: number
  /** Share of its units that are 0 for every image of a sample: they have stopped learning. */
  deadShare: number
}

/** Something wrong with the gradients, and what to do. */
export interface HealthWarning {
  kind: 'vanishing' | 'exploding' | 'dead' | 'unread'
  /** With 'unread', the parameter. */
  layer: string
  /** A sentence with the figures and the cure. */
  message: string
}

/** Gradient health of one epoch. */
export interface GradientHealth {
  /** Layers with weights that are trained, in the order of the graph. */
  layers: LayerHealth[]
  /** Over all weights, at every step: median, and the largest with the step it came at (from 1, of the epoch). */
  gradientNorm: { median: number; max: number; step: number }
  warnings: HealthWarning[]
}

/** Puts the figures of the native core in order, by layer. */
export function layersOf(
  health: NativeHealth,
  parameters: readonly { name: string; frozen: boolean }[],
  graph: Graph,
  dead: ReadonlyMap<string, number>,
): LayerHealth[] {
  const figures = new Map(health.nodes.map((node) => [node.name, node]))
  const layers: LayerHealth[] = []
  for (const [index, node] of graph.nodes.entries()) {
    const own = parameters.flatMap(({ name, frozen }, i) =>
      !frozen && name.slice(0, name.lastIndexOf('.')) === node.name ? [health.parameters[i]] : [],
    )
    if (own.length === 0) continue
    const norm = (of: 'gradientNorm' | 'weightNorm' | 'updateNorm'): number =>
      Math.hypot(...own.map((one) => one?.[of] ?? 0))
    const weightNorm = norm('weightNorm')
    const reader = reluAfter(graph, index)
    layers.push({
      layer: node.name,
      op: node.op,
      gradientNorm: norm('gradientNorm'),
      weightNorm,
      updateRatio: weightNorm > 0 ? norm('updateNorm') / weightNorm : 0,
      activation: figures.get(node.name)?.rms ?? Number.NaN,
      ...(reader && {
        relu: {
          name: reader.name,
          zeros: figures.get(reader.name)?.zeros ?? Number.NaN,
          deadShare: dead.get(reader.name) ?? Number.NaN,
        },
      }),
    })
  }
  return layers
}

/** The ReLU that reads what node `index` puts out, through pools and normalisations if need be. */
function reluAfter(graph: Graph, index: number): GraphNode | undefined {
  const next = graph.nodes.find(({ inputs }) => inputs.includes(index))
  if (!next || definitionOf(next.op).rectifies) return next
  return definitionOf(next.op).keepsUnits ? reluAfter(graph, graph.nodes.indexOf(next)) : undefined
}

/**
 * Share of dead units of every ReLU of a graph: units that are 0 for all of these images.
 *
 * @param images a sample, as many as shall count
 */
export async function deadUnits(
  graph: Graph,
  images: Float32Array | Uint8Array,
  options: { scale: number; shift: number; isa: string | undefined; threads: number | undefined },
): Promise<Map<string, number>> {
  const { scale, shift, isa, threads } = options
  const pixels = types.isUint8Array(images) ? { inputType: 'uint8' as const, scale, shift } : {}
  const shares = new Map<string, number>()
  for (const [index, { op, name, shape }] of graph.nodes.entries()) {
    if (!definitionOf(op).rectifies) continue
    using part = compile(
      { nodes: graph.nodes.slice(0, index + 1), output: index },
      { isa, threads, ...pixels },
    )
    const values = await part.runAsync(images)
    const units = shape.length === 3 ? (shape[0] ?? 0) : elements(shape)
    const each = elements(shape) / units
    const alive = new Uint8Array(units)
    for (const [i, value] of values.entries()) {
      if (value > 0) alive[Math.floor(i / each) % units] = 1
    }
    shares.set(name, 1 - alive.reduce((sum, one) => sum + one, 0) / units)
  }
  return shares
}

/** Below this part of the strongest later layer's change, a layer hardly learns. */
const vanishes = 1e-3
/** Steps that change a layer by more than this part of it are leaps. */
const leaps = 0.25
/** A gradient so many times the usual one has exploded. */
const explodes = 50

/** What to say about an epoch. */
export function warningsOf(
  graph: Graph,
  layers: readonly LayerHealth[],
  gradientNorm: GradientHealth['gradientNorm'],
  clipped: boolean,
): HealthWarning[] {
  const dead = dying(layers)
  // Nothing comes back through dead units: that is the one thing to say of the layers before them.
  const vanished = vanishing(graph, layers).filter(({ layer }) => {
    const found = layers.find((one) => one.layer === layer)
    return dead.length === 0 || (found?.gradientNorm ?? 0) > 0
  })
  return [...vanished, ...exploding(layers, gradientNorm, clipped), ...dead]
}

/** What to say of a parameter that is to be trained but that no step of the graph reads: its gradient is none. */
export function unread(name: string): HealthWarning {
  return {
    kind: 'unread',
    layer: name,
    message:
      `${name}: no gradient reaches it: the result does not depend on it, or forward() computes with its values ` +
      'where only layers and functions of tensors can be traced; freeze() it if it is to stay as it is',
  }
}

/** Gradient for its size: layers are compared by the share of their weights a plain step would change. */
function relative({ gradientNorm, weightNorm }: LayerHealth): number {
  return weightNorm > 0 ? gradientNorm / weightNorm : 0
}

function vanishing(graph: Graph, layers: readonly LayerHealth[]): HealthWarning[] {
  const weak = layers.filter((layer, i) => {
    const later = Math.max(0, ...layers.slice(i + 1).map(relative))
    return later > 0 && relative(layer) < vanishes * later
  })
  const first = weak[0]
  if (!first) return []
  const strongest = layers.reduce((best, layer) => (relative(layer) > relative(best) ? layer : best))
  const squash = graph.nodes.find(({ op }) => definitionOf(op).squashes)
  const cure = squash
    ? `${squash.op} passes on ${definitionOf(squash.op).squashes} of a gradient: use ReLU`
    : 'draw larger first weights (He et al. 2015: deviation √(2 / inputs)), or make the net less deep'
  const others = weak.length > 1 ? ` (and ${weak.length - 1} more)` : ''
  return [
    {
      kind: 'vanishing',
      layer: first.layer,
      message:
        `${first.layer}${others}: the gradient vanishes, ${first.gradientNorm.toExponential(1)} against ` +
        `${strongest.gradientNorm.toExponential(1)} at ${strongest.layer}; ${cure}`,
    },
  ]
}

function exploding(
  layers: readonly LayerHealth[],
  { median, max, step }: GradientHealth['gradientNorm'],
  clipped: boolean,
): HealthWarning[] {
  const strongest = layers.reduce<LayerHealth | undefined>(
    (best, layer) => (!best || relative(layer) > relative(best) ? layer : best),
    undefined,
  )
  if (!strongest) return []
  const cure = clipped ? 'lower the learning rate' : 'clip gradients (clipNorm: 1) or lower the learning rate'
  if (max > explodes * median && max > explodes) {
    return [
      {
        kind: 'exploding',
        layer: strongest.layer,
        message:
          `${strongest.layer}: the gradient explodes, its norm over all layers reached ${max.toExponential(1)} at ` +
          `step ${step} where ${median.toExponential(1)} is usual; ${cure}`,
      },
    ]
  }
  const leap = layers.find(({ updateRatio }) => updateRatio > leaps)
  if (!leap) return []
  return [
    {
      kind: 'exploding',
      layer: leap.layer,
      message:
        `${leap.layer}: one step changes its weights by ${(100 * leap.updateRatio).toFixed(0)} %; ` +
        'lower the learning rate',
    },
  ]
}

function dying(layers: readonly LayerHealth[]): HealthWarning[] {
  return layers.flatMap(({ layer, relu }) =>
    relu && relu.deadShare > 0.5
      ? [
          {
            kind: 'dead' as const,
            layer,
            message:
              `${layer}: ${(100 * relu.deadShare).toFixed(0)} % of its units are 0 for every image after ${relu.name} ` +
              'and cannot learn any more; lower the learning rate, or draw smaller first weights',
          },
        ]
      : [],
  )
}
