/** Operators that normalise each image by itself: layer, group, instance, RMS and Lp norm. */
import type { GraphNode } from '../../../graph/graph.ts'
import {
  abs,
  add,
  clamp,
  div,
  groupNorm,
  instanceNorm,
  layerNorm,
  mean,
  mul,
  permute,
  pow,
  reshape,
  rmsNorm,
} from '../../../ops/index.ts'
import { elements, formatShape, sameShape } from '../../../tensor/shape.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { float32, float64 } from '../element.ts'
import type { GraphWriter, Write } from '../graph-writer.ts'
import type { OnnxNode } from '../node.ts'
import type { Family, Operator } from '../operator.ts'
import { layer } from '../slots.ts'
import {
  arrayOf,
  axisOf,
  dimensionOf,
  isSymbolic,
  keepBatch,
  type Read,
  required,
  tensorOf,
  type Value,
} from '../value.ts'

/** Scale and shift are a layer's weights, and the numbers are float32 whatever floats come. */
function norm(read: Read): Operator {
  return {
    read,
    isKernel: true,
    type: (_node, output, input) => (output === 0 ? input(0) : float32),
    slot: (_node, index) => (index === 0 ? undefined : layer),
  }
}

/** An input that may be left out. */
function optional(node: OnnxNode, inputs: readonly (Value | undefined)[], index: number): Tensor | undefined {
  return inputs[index] === undefined ? undefined : tensorOf(inputs[index], node)
}

const LayerNormalization: Read = (node) => {
  const [axis, epsilon] = [node.int('axis', -1), node.float('epsilon', 1e-5)]
  stash(node)
  return (inputs) => {
    const x = tensorOf(required(node, inputs, 0), node)
    const at = dimensionOf(node, axis, x)
    keepBatch(node, x, at)
    const row = x.shape.slice(at)
    const [scale, bias] = [tensorOf(required(node, inputs, 1), node), optional(node, inputs, 2)]
    const own = (tensor: Tensor | undefined) =>
      tensor && !isSymbolic(tensor) && sameShape(tensor.shape, row) ? tensor : undefined
    // what is of another shape, or computed, comes behind
    const weight = own(scale)
    const shift = weight && own(bias)
    let y = layerNorm(x, row, { weight, bias: shift, eps: epsilon })
    if (!weight) y = mul(y, scale)
    if (bias && !shift) y = add(y, bias)
    if (!sameShape(y.shape, x.shape)) throw misfit(node, scale, x)
    const others = node.outputs.slice(1).some((name) => name !== '')
    if (!others) return y
    if (isSymbolic(x)) throw node.unsupported('outputs 1 and 2, mean and deviation, are for run() only')
    return [y, ...moments(x, at, epsilon)]
  }
}

function misfit(node: OnnxNode, scale: Tensor, x: Tensor) {
  return node.error(
    'ERR_SHAPE',
    `a scale of ${formatShape(scale.shape)} does not broadcast to the ${formatShape(x.shape)} of its input`,
  )
}

/** In which type it is computed: here always in float32. */
function stash(node: OnnxNode): void {
  const type = node.int('stash_type', 1)
  if (type !== 1) throw node.unsupported(`attribute stash_type=${type} is not supported`)
}

/** Mean and 1 / deviation of each row. */
function moments(x: Tensor, axis: number, epsilon: number): [nd.NdArray, nd.NdArray] {
  const n = elements(x.shape.slice(axis))
  const shape = x.shape.map((size, d) => (d < axis ? size : 1))
  const [means, factors] = [nd.allocate(float32, shape), nd.allocate(float32, shape)]
  for (let row = 0; row < means.values.length; row++) {
    const values = x.data.subarray(row * n, row * n + n)
    const middle = values.reduce((sum, one) => sum + one, 0) / n
    const spread = values.reduce((sum, one) => sum + (one - middle) ** 2, 0) / n
    means.values[row] = middle
    factors.values[row] = 1 / Math.sqrt(spread + epsilon)
  }
  return [means, factors]
}

const InstanceNormalization: Read = (node) => {
  const epsilon = node.float('epsilon', 1e-5)
  return (inputs) => {
    const [x, weight, bias] = [0, 1, 2].map((i) => tensorOf(required(node, inputs, i), node)) as [
      Tensor,
      Tensor,
      Tensor,
    ]
    return instanceNorm(x, { weight, bias, eps: epsilon })
  }
}

const GroupNormalization: Read = (node) => {
  const [groups, epsilon] = [node.int('num_groups', 0), node.float('epsilon', 1e-5)]
  if (groups < 1) throw node.error('ERR_FORMAT', `attribute num_groups=${groups} should be at least 1`)
  if (node.opset >= 21) stash(node)
  return (inputs) => {
    const [x, scale, bias] = [0, 1, 2].map((i) => tensorOf(required(node, inputs, i), node)) as [
      Tensor,
      Tensor,
      Tensor,
    ]
    if (node.opset >= 21) return groupNorm(x, groups, { weight: scale, bias, eps: epsilon })
    // Before opset 21 there was one scale and one shift a group.
    const rows = reshape(groupNorm(x, groups, { eps: epsilon }), [x.shape[0] ?? 1, groups, -1])
    for (const one of [scale, bias]) {
      if (sameShape(one.shape, [groups])) continue
      throw node.error(
        'ERR_SHAPE',
        `expected ${groups} scales and shifts but received ${formatShape(one.shape)}`,
      )
    }
    return reshape(add(mul(rows, reshape(scale, [groups, 1])), reshape(bias, [groups, 1])), x.shape)
  }
}

const RMSNormalization: Read = (node) => {
  const [axis, epsilon] = [node.int('axis', -1), node.float('epsilon', 1e-5)]
  stash(node)
  return (inputs) => {
    const [x, scale] = [tensorOf(required(node, inputs, 0), node), tensorOf(required(node, inputs, 1), node)]
    const at = dimensionOf(node, axis, x)
    keepBatch(node, x, at)
    const row = x.shape.slice(at)
    if (!isSymbolic(scale) && sameShape(scale.shape, row))
      return rmsNorm(x, row, { weight: scale, eps: epsilon })
    const y = mul(rmsNorm(x, row, { eps: epsilon }), scale)
    if (!sameShape(y.shape, x.shape)) throw misfit(node, scale, x)
    return y
  }
}

/** What divides by a norm of 0 gives 0, as there is nothing but zeros to be divided. */
const smallest = 2 ** -149

const LpNormalization: Read = (node) => {
  const [axis, p] = [node.int('axis', -1), node.int('p', 2)]
  if (p !== 1 && p !== 2) throw node.error('ERR_FORMAT', `attribute p=${p} should be 1 or 2`)
  return (inputs) => {
    const value = required(node, inputs, 0)
    const at = dimensionOf(node, axis, value)
    keepBatch(node, value, at)
    if (isSymbolic(value)) {
      const sum = mul(
        mean(p === 1 ? abs(value) : mul(value, value), [at], { keepdim: true }),
        value.shape[at] ?? 1,
      )
      return div(value, clamp(p === 1 ? sum : pow(sum, 0.5), smallest))
    }
    const x = arrayOf(node, value)
    if (x.type.kind !== 'float')
      throw node.unsupported(`it takes floating-point numbers but gets ${x.type.name}`)
    const doubles = { ...x, type: float64, values: Float64Array.from(x.values as Float64Array) }
    const norms = nd.reduce(doubles, [at], true, (values, from, to) => {
      let sum = 0
      for (let i = from; i < to; i++) sum += p === 1 ? Math.abs(Number(values[i])) : Number(values[i]) ** 2
      return p === 1 ? sum : Math.sqrt(sum)
    })
    return nd.combine<number>(x.type, [x, norms], (one, by) => (by === 0 ? 0 : one / by))
  }
}

/** The deviation is never 0: the formula of the specification adds 10⁻⁹ to it. */
const smallestVariance = 1e-18

const MeanVarianceNormalization: Read = (node) => {
  const given = node.ints('axes') ?? [0, 2, 3]
  return (inputs) => {
    const x = tensorOf(required(node, inputs, 0), node)
    const axes = given.map((axis) => axisOf(node, axis, x.shape.length))
    for (const axis of axes) keepBatch(node, x, axis)
    const order = [...x.shape.keys()].filter((d) => !axes.includes(d)).concat([...axes].sort((a, b) => a - b))
    const moved = permute(x, order)
    const row = moved.shape.slice(moved.shape.length - axes.length)
    const y = layerNorm(moved, row, { eps: smallestVariance })
    return permute(
      y,
      [...order.keys()].map((d) => order.indexOf(d)),
    )
  }
}

/** A weight, or numbers that are all the same where there is none. */
function weightOf(
  to: GraphWriter,
  node: GraphNode,
  key: 'weight' | 'bias',
  shape: readonly number[],
): string {
  const [tensor, name] = [node[key], `${node.name}.${key}`]
  if (tensor) return to.weight(tensor, name)
  return to.floats(name, shape, Array<number>(elements(shape)).fill(key === 'weight' ? 1 : 0))
}

const writeLayerNorm: Write = (to, { node, inputs, output }) => {
  const { axis = 0, epsilon = 1e-5, shape, bias } = node
  const row = shape.slice(axis)
  const names = [...inputs, weightOf(to, node, 'weight', row)]
  if (bias) names.push(weightOf(to, node, 'bias', row))
  to.add('LayerNormalization', names, output, { axis: axis + 1, epsilon: { float: epsilon } })
}

const writeRmsNorm: Write = (to, { node, inputs, output }) => {
  const { axis = 0, epsilon = 1e-5, shape } = node
  to.need(23)
  const names = [...inputs, weightOf(to, node, 'weight', shape.slice(axis))]
  to.add('RMSNormalization', names, output, { axis: axis + 1, epsilon: { float: epsilon } })
}

const writeGroupNorm: Write = (to, { node, inputs, output }) => {
  const { groups = 1, epsilon = 1e-5, shape } = node
  const channels = shape.slice(0, 1)
  const names = [...inputs, weightOf(to, node, 'weight', channels), weightOf(to, node, 'bias', channels)]
  if (groups === shape[0] && shape.length > 1) {
    to.add('InstanceNormalization', names, output, { epsilon: { float: epsilon } })
  } else {
    to.need(21)
    to.add('GroupNormalization', names, output, { epsilon: { float: epsilon }, num_groups: groups })
  }
}

export const rowNorms: Family = {
  operators: {
    LayerNormalization: norm(LayerNormalization),
    InstanceNormalization: norm(InstanceNormalization),
    GroupNormalization: norm(GroupNormalization),
    RMSNormalization: norm(RMSNormalization),
    // onnxruntime's name for it, from before opset 23
    SimplifiedLayerNormalization: norm(RMSNormalization),
    LpNormalization,
    MeanVarianceNormalization: { read: MeanVarianceNormalization, isKernel: true },
  },
  writers: { layerNorm: writeLayerNorm, groupNorm: writeGroupNorm, rmsNorm: writeRmsNorm },
}
