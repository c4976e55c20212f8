/** How each operation is written: a function for each, which adds one ONNX operator or a few. */

import type { GraphNode } from '../../graph/graph.ts'
import { formatShape } from '../../tensor/shape.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import type { Attributes, GraphWriter } from './save.ts'

/** A node of the graph to be written. */
interface Item {
  readonly node: GraphNode
  /** Names of its inputs. */
  readonly inputs: readonly string[]
  /** Their shapes, per image. */
  readonly shapes: readonly (readonly number[])[]
  /** The name its value must have. */
  readonly output: string
}

type Write = (to: GraphWriter, item: Item) => void

/** An operator of the same meaning. */
function same(op: string, attributes: (node: GraphNode) => Attributes = () => ({}), since = 0): Write {
  return (to, { node, inputs, output }) => {
    to.need(since)
    to.add(op, inputs, output, attributes(node))
  }
}

/** Per image to per batch. */
const axis = (node: GraphNode): Attributes => ({ axis: (node.axis as number) + 1 })

const conv2d: Write = (to, { node, inputs, shapes, output }) => {
  const weight = node.weight as Tensor
  const flat = (shapes[0] as readonly number[]).length === 2
  const form = flat ? [...weight.shape.slice(0, 2), weight.shape.at(-1) as number] : undefined
  const names = [
    ...inputs,
    to.weight(weight, `${node.name}.weight`, weight.shape.length === 3 ? undefined : form),
  ]
  if (node.bias) names.push(to.weight(node.bias, `${node.name}.bias`))
  to.add('Conv', names, output, {
    ...windowAttributes(node, flat),
    dilations: lastOf(node.dilation as number[], flat),
    group: node.groups as number,
  })
}

/** A window over [c, l] is one over two dimensions of which ONNX wants only the second. */
function lastOf(pair: readonly number[], flat: boolean): number[] {
  return flat ? pair.slice(1) : [...pair]
}

function windowAttributes(node: GraphNode, flat: boolean): Record<string, number[]> {
  const [top, left, bottom, right] = node.padding as [number, number, number, number]
  return {
    kernel_shape: lastOf(node.kernelSize as number[], flat),
    strides: lastOf(node.stride as number[], flat),
    pads: flat ? [left, right] : [top, left, bottom, right],
  }
}

const maxPool2d: Write = (to, { node, inputs, shapes, output }) => {
  const flat = (shapes[0] as readonly number[]).length === 2
  to.add('MaxPool', inputs, output, {
    ...windowAttributes(node, flat),
    dilations: lastOf(node.dilation as number[], flat),
    ceil_mode: node.ceilMode ? 1 : 0,
  })
}

const avgPool2d: Write = (to, { node, inputs, shapes, output }) => {
  const flat = (shapes[0] as readonly number[]).length === 2
  const dilated = (node.dilation ?? []).some((one) => one !== 1)
  if (dilated) to.need(19)
  to.add('AveragePool', inputs, output, {
    ...windowAttributes(node, flat),
    ...(dilated && { dilations: lastOf(node.dilation as number[], flat) }),
    ceil_mode: node.ceilMode ? 1 : 0,
    count_include_pad: node.countIncludePad ? 1 : 0,
  })
}

/** To one value a channel, or to a size that windows of one size tile. */
function adaptivePool(globalOp: string, op: string): Write {
  return (to, { node, inputs, shapes, output }) => {
    const [from, size] = [shapes[0]?.slice(1) as number[], node.shape.slice(1)]
    if (size.every((one) => one === 1)) {
      to.add(globalOp, inputs, output)
      return
    }
    if (from.some((one, d) => one % (size[d] as number) !== 0)) {
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `saveOnnx: ${node.name}: ONNX has no operator for an adaptive pool from ${formatShape(from)} to ${formatShape(size)}`,
      )
    }
    const kernel = from.map((one, d) => one / (size[d] as number))
    to.add(op, inputs, output, { kernel_shape: kernel, strides: kernel })
  }
}

const linear: Write = (to, { node, inputs, shapes, output }) => {
  // Gemm takes matrices only: one row for each image.
  const rows = shapes[0]?.length === 1
  const names = [
    ...inputs,
    to.weight(node.weight as Tensor, `${node.name}.weight`, rows ? undefined : 'transposed'),
  ]
  if (node.bias) names.push(to.weight(node.bias, `${node.name}.bias`))
  if (rows) to.add('Gemm', names, output, { transB: 1 })
  else if (node.bias)
    to.add('Add', [to.step('MatMul', names.slice(0, 2), output), names[2] as string], output)
  else to.add('MatMul', names, output)
}

const silu: Write = (to, { inputs, output }) => {
  to.add('Mul', [...inputs, to.step('Sigmoid', inputs, output)], output)
}

const clip: Write = (to, { node, inputs, output }) => {
  const bound = (value: number | undefined, name: string) =>
    value === undefined || !Number.isFinite(value) ? '' : to.floats(`${node.name}.${name}`, [], [value])
  to.add('Clip', [...inputs, bound(node.alpha, 'min'), bound(node.beta, 'max')], output)
}

const pow: Write = (to, { node, inputs, output }) => {
  to.add('Pow', [...inputs, to.floats(`${node.name}.exponent`, [], [node.alpha as number])], output)
}

/** Slopes line up with the channels, the first dimension of an image. */
const prelu: Write = (to, { node, inputs, shapes, output }) => {
  const slope = node.weight as Tensor
  const rank = (shapes[0] as readonly number[]).length
  const form = rank === 1 ? undefined : [slope.shape[0] as number, ...Array<number>(rank - 1).fill(1)]
  to.add('PRelu', [...inputs, to.weight(slope, `${node.name}.weight`, form)], output)
}

/** Shapes line up at the end, so that the lower rank gets ones between the batch and the rest. */
function arithmetic(op: string): Write {
  return (to, { inputs, shapes, output }) => {
    const rank = Math.max(...shapes.map((shape) => shape.length))
    const names = inputs.map((name, i) => {
      const missing = rank - (shapes[i] as readonly number[]).length
      if (missing === 0 || to.isConstant(name)) return name
      const axes = to.integers(
        `${output}.axes`,
        Array.from({ length: missing }, (_, d) => d + 1),
      )
      return to.step('Unsqueeze', [name, axes], output)
    })
    to.add(op, names, output)
  }
}

const batchNorm: Write = (to, { node, inputs, shapes, output }) => {
  const channels = (shapes[0] as readonly number[])[0] as number
  const tensor = (value: Tensor | undefined, name: string, otherwise: number) =>
    value
      ? to.weight(value, `${node.name}.${name}`)
      : to.floats(`${node.name}.${name}`, [channels], Array<number>(channels).fill(otherwise))
  const names = [
    ...inputs,
    tensor(node.weight, 'weight', 1),
    tensor(node.bias, 'bias', 0),
    tensor(node.mean, 'running_mean', 0),
    tensor(node.variance, 'running_var', 1),
  ]
  to.add('BatchNormalization', names, output, { epsilon: { float: node.epsilon as number } })
}

/** The batch stays: 0 takes that dimension over. */
const reshape: Write = (to, { node, inputs, output }) => {
  if (node.flat) to.add('Reshape', [...inputs, to.integers(`${output}.shape`, [-1])], output)
  else if (node.shape.length === 1) to.add('Flatten', inputs, output, { axis: 1 })
  else to.add('Reshape', [...inputs, to.integers(`${output}.shape`, [0, ...node.shape])], output)
}

const slice: Write = (to, { node, inputs, output }) => {
  const [starts, steps] = [node.starts as number[], node.steps as number[]]
  // Past the last element taken; a step back from the first one would count from the end.
  const ends = node.shape.map((count, d) => {
    const end = (starts[d] as number) + ((count - 1) * (steps[d] as number) + Math.sign(steps[d] as number))
    return end < 0 ? -(2 ** 31) : end
  })
  const list = (name: string, values: readonly number[]) => to.integers(`${output}.${name}`, values)
  const axes = node.shape.map((_, d) => d + 1)
  const names = [list('starts', starts.slice(0, axes.length)), list('ends', ends), list('axes', axes)]
  to.add('Slice', [...inputs, ...names, list('steps', steps.slice(0, axes.length))], output)
}

const pad: Write = (to, { node, inputs, shapes, output }) => {
  const before = (node.starts as number[]).slice(0, node.shape.length)
  const after = node.shape.map((size, d) => size - (shapes[0]?.[d] as number) - (before[d] as number))
  const pads = to.integers(`${output}.pads`, [0, ...before, 0, ...after])
  to.add('Pad', [...inputs, pads, to.floats(`${output}.value`, [], [node.value ?? 0])], output)
}

const concat: Write = (to, { node, inputs, output }) => {
  if (inputs.some((name) => to.isConstant(name))) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `saveOnnx: ${node.name}: constants cannot be joined to a batch`,
    )
  }
  to.add('Concat', inputs, output, axis(node))
}

export const writers: Readonly<Partial<Record<GraphNode['op'], Write>>> = {
  conv2d,
  maxPool2d,
  avgPool2d,
  adaptiveAvgPool2d: adaptivePool('GlobalAveragePool', 'AveragePool'),
  adaptiveMaxPool2d: adaptivePool('GlobalMaxPool', 'MaxPool'),
  linear,
  relu: same('Relu'),
  tanh: same('Tanh'),
  sigmoid: same('Sigmoid'),
  silu,
  hardswish: same('HardSwish'),
  gelu: same('Gelu', () => ({}), 20),
  exp: same('Exp'),
  log: same('Log'),
  abs: same('Abs'),
  leakyRelu: same('LeakyRelu', ({ alpha }) => ({ alpha: { float: alpha as number } })),
  elu: same('Elu', ({ alpha }) => ({ alpha: { float: alpha as number } })),
  selu: same('Selu', ({ alpha, beta }) => ({
    alpha: { float: alpha as number },
    gamma: { float: beta as number },
  })),
  hardsigmoid: same('HardSigmoid', ({ alpha, beta }) => ({
    alpha: { float: alpha as number },
    beta: { float: beta as number },
  })),
  clip,
  pow,
  prelu,
  softmax: same('Softmax', axis),
  logSoftmax: same('LogSoftmax', axis),
  flatten: reshape,
  reshape,
  permute: same('Transpose', ({ axes }) => ({ perm: [0, ...(axes as number[]).map((one) => one + 1)] })),
  slice,
  pad,
  concat,
  add: arithmetic('Add'),
  sub: arithmetic('Sub'),
  mul: arithmetic('Mul'),
  div: arithmetic('Div'),
  batchNorm,
}
