/** What each operation of a graph must have, and what follows where it is left out. */
import { elements, formatShape, sameShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import type { GraphNode } from './graph.ts'
import { inferShape, type Operation, type Place } from './operation.ts'

interface Form {
  /** One where not given; more than none of them where NaN. */
  readonly inputs?: number
  /** Attributes that nothing can stand for. */
  readonly needs?: readonly (keyof Operation)[]
  /** What attributes are where they are left out: the native core's values. */
  readonly defaults?: Partial<Operation>
}

const windows: Partial<Operation> = {
  kernelSize: [1, 1],
  stride: [1, 1],
  dilation: [1, 1],
  padding: [0, 0, 0, 0],
}
const scaled = { defaults: { alpha: 1, beta: 1 } }
const along = { defaults: { axis: 0 } }
const two = { inputs: 2 }

const forms: Record<Operation['op'], Form> = {
  ...{ input: { inputs: 0 }, constant: { inputs: 0, needs: ['weight'] } },
  ...{ conv2d: { needs: ['weight'], defaults: { ...windows, groups: 1 } }, linear: { needs: ['weight'] } },
  ...{ maxPool2d: { defaults: windows }, avgPool2d: { defaults: { ...windows, countIncludePad: true } } },
  ...{ adaptiveAvgPool2d: {}, adaptiveMaxPool2d: {}, flatten: along, reshape: {}, slice: {}, pad: {} },
  ...{ permute: { needs: ['axes'] }, concat: { ...along, inputs: Number.NaN } },
  ...{ add: two, sub: two, mul: two, div: two, softmax: along, logSoftmax: along },
  ...{ prelu: { needs: ['weight'] }, dropout: { defaults: { p: 0 } } },
  batchNorm: { needs: ['mean', 'variance'], defaults: { epsilon: 1e-5, momentum: 0.1 } },
  ...{ leakyRelu: scaled, elu: scaled, selu: scaled, hardsigmoid: scaled, clip: scaled, pow: scaled },
  ...{ scaledTanh: scaled, relu: {}, tanh: {}, sigmoid: {}, silu: {}, hardswish: {}, gelu: {} },
  ...{ exp: {}, log: {}, abs: {} },
}

export function isOperation(op: unknown): op is Operation['op'] {
  return typeof op === 'string' && Object.hasOwn(forms, op)
}

/**
 * A node of a graph with everything it needs, and the shape that follows from the nodes `before` it.
 *
 * @param node read from outside: types are right, nothing else is known
 * @throws KerneletError `ERR_ARGUMENT`, `ERR_SHAPE` that name the node
 */
export function checkNode(node: GraphNode, before: readonly GraphNode[]): GraphNode {
  const { inputs = 1, needs = [], defaults = {} } = forms[node.op]
  const prefix = `Graph: node ${before.length} (${node.name}): `
  const refuse = (sentence: string): never => {
    throw new KerneletError('ERR_ARGUMENT', prefix + sentence)
  }
  const count = node.inputs.length
  if (Number.isNaN(inputs) ? count === 0 : count !== inputs) {
    refuse(`${node.op} has ${Number.isNaN(inputs) ? 'one or more' : inputs} inputs but there are ${count}`)
  }
  const missing = needs.find((key) => node[key] === undefined)
  if (missing !== undefined) refuse(`${node.op} needs ${missing}`)
  const sources = node.inputs.map((input) => before[input] as GraphNode)
  const shapes = sources.map(({ shape }) => shape)
  const whole: GraphNode = { ...defaults, ...derived(node, shapes[0] ?? []), ...node }
  if (whole.shape.length === 0) misfit(prefix, 'shape must have one or more dimensions')
  checkAttributes(whole, shapes[0] ?? [], refuse)
  checkWeights(whole, shapes[0] ?? [], prefix)
  const origin = (i: number) => `${formatShape(shapes[i] ?? [])} from ${sources[i]?.name}`
  checkShapes(whole, shapes, { prefix, origin })
  return whole
}

/** What says again what the shapes say. */
function derived({ op, shape, starts }: GraphNode, from: readonly number[]): Partial<GraphNode> {
  switch (op) {
    case 'conv2d':
    case 'maxPool2d':
    case 'avgPool2d':
      return from.length === 2 ? { dims: 1 } : {}
    case 'adaptiveAvgPool2d':
    case 'adaptiveMaxPool2d':
      return { size: shape.slice(1), ...(from.length === 2 && { dims: 1 }) }
    case 'reshape':
      return { size: shape }
    case 'slice':
      return { size: shape, starts: from.map(() => 0), steps: from.map(() => 1) }
    case 'pad':
      return {
        starts: from.map(() => 0),
        ends: from.map((one, d) => (shape[d] ?? 0) - one - (starts?.[d] ?? 0)),
      }
    default:
      return {}
  }
}

/** Attributes that go by dimensions of the input. */
function checkAttributes(
  { op, axis = 0, axes = [], starts = [], steps = [], ends = [], size = [], p = 0 }: GraphNode,
  from: readonly number[],
  refuse: (sentence: string) => void,
): void {
  const rank = from.length
  const eachDimension = (list: readonly number[]) => list.length === rank
  if ((axis < 0 || axis >= rank) && forms[op].defaults?.axis !== undefined) {
    refuse(`axis must be from 0 to ${rank - 1} but is ${axis}`)
  }
  if (op === 'permute' && !(eachDimension(axes) && from.every((_, d) => axes.includes(d)))) {
    refuse(`axes must have each dimension of its input, 0 to ${rank - 1}, once, but are [${axes.join(', ')}]`)
  }
  if (op === 'pad' && !(eachDimension(starts) && eachDimension(ends))) {
    refuse(`starts and ends must have one number for each of the ${rank} dimensions`)
  }
  if (op === 'slice') {
    const inside = from.every((length, d) => {
      const [start = -1, step = 0, count = 0] = [starts[d], steps[d], size[d]]
      const last = start + (count - 1) * step
      return step !== 0 && start >= 0 && start < length && last >= 0 && last < length
    })
    if (!inside || ![starts, steps, size].every(eachDimension)) {
      refuse(`starts and steps must stay inside its input, ${formatShape(from)}`)
    }
  }
  if (p < 0 || p > 1) refuse(`p must be from 0 to 1 but is ${p}`)
}

/** That weights are of the shapes the operation has. */
function checkWeights(node: GraphNode, from: readonly number[], prefix: string): void {
  const { op, weight, bias, kernelSize = [], groups = 1, shape } = node
  const check = (name: string, tensor: Tensor | undefined, ...wanted: (readonly number[])[]) => {
    if (!tensor || wanted.some((one) => sameShape(tensor.shape, one))) return
    const forms = wanted.map(formatShape).join(' or ')
    misfit(prefix, `${name} must have the shape ${forms} but has ${formatShape(tensor.shape)}`)
  }
  const [out = 0, features = 0] = weight?.shape ?? []
  const channels = from.slice(0, 1)
  if (op === 'conv2d') {
    const along = node.dims === 1 && kernelSize[0] === 1 ? [[out, features, ...kernelSize.slice(1)]] : []
    check('weight', weight, [out, features, ...kernelSize], ...along)
    check('bias', bias, [out])
    if (out % groups !== 0) misfit(prefix, `${out} output channels cannot be divided among ${groups} groups`)
  } else if (op === 'linear') {
    check('weight', weight, [out, features])
    check('bias', bias, [out])
  } else if (op === 'batchNorm') {
    const { mean, variance } = node
    for (const [name, one] of Object.entries({ weight, bias, mean, variance })) check(name, one, channels)
  } else if (op === 'prelu') {
    check('weight', weight, [1], channels)
  } else if (op === 'constant' && elements(shape) !== elements(weight?.shape ?? [])) {
    check('weight', weight, shape)
  }
}

function checkShapes(node: GraphNode, shapes: readonly (readonly number[])[], place: Place): void {
  const { op, shape } = node
  if (op !== 'input' && op !== 'constant') {
    const expected = inferShape(node, shapes, place)
    if (!sameShape(expected, shape)) {
      misfit(
        place.prefix,
        `shape must be ${formatShape(expected)}, which follows from ${op} and its inputs, but is ${formatShape(shape)}`,
      )
    }
    if (op === 'reshape' && elements(shape) !== elements(shapes[0] ?? [])) {
      misfit(place.prefix, `${place.origin(0)} cannot be reshaped to ${formatShape(shape)}`)
    }
  }
  if (node.flat && !sameShape(shape, [1])) {
    misfit(place.prefix, `flat goes with the shape 1 but the shape is ${formatShape(shape)}`)
  }
}

function misfit(prefix: string, sentence: string): never {
  throw new KerneletError('ERR_SHAPE', prefix + sentence)
}
