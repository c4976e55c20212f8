/**
 * Values of a trace whose batch is not dimension 0, as sequences are given to recurrent layers, [steps, n, features]: in the
 * graph they lie with the images apart, as all do; here it is known where the batch belongs.
 */
import { SymbolicTensor } from '../../graph/graph.ts'
import { cat, permute, reshape, slice } from '../../ops/index.ts'
import { elements } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import * as nd from './array.ts'
import { float32 } from './element.ts'
import type { OnnxNode } from './node.ts'
import { integersOf, type Run, type Step, type Value } from './value.ts'

export class Turned extends SymbolicTensor {
  /** With the batch in front. */
  readonly images: SymbolicTensor
  /** Where the batch is, in the model. */
  readonly axis: number
  /** Dimension 0 of the model holds the image's dimension 0 and, within, the batch: [steps · n, …]. */
  readonly merged: boolean

  constructor(images: SymbolicTensor, axis: number, merged = false) {
    const rest = images.shape.slice(1)
    super(images.tracer, images.node, merged ? rest : rest.toSpliced(axis, 0, 1))
    this.images = images
    this.axis = axis
    this.merged = merged
  }

  /** How many elements of an image come before the batch. */
  get before(): number {
    return this.merged ? (this.shape[0] ?? 1) : elements(this.shape.slice(0, this.axis))
  }
}

/** With the batch at `axis`. */
export function turned(images: Tensor, axis: number): Tensor {
  return axis === 0 ? images : new Turned(images as SymbolicTensor, axis)
}

/** Dimension i of the result is dimension `axes[i]` of a value of a trace, also of its batch. */
export function transposed(value: SymbolicTensor, axes: readonly number[]): Tensor {
  const from = value instanceof Turned ? value.axis : 0
  const images = value instanceof Turned ? value.images : value
  const rest = axes.filter((axis) => axis !== from)
  // the place of a dimension among the image's
  const order = rest.map((axis) => (axis < from ? axis + 1 : axis))
  return turned(permute(images, [0, ...order]), axes.indexOf(from))
}

/** Operators that go element by element, or work on the dimensions behind the batch. */
const behind = new Set(
  'Add Cast Clip Div Dropout Elu Erf Exp Gelu Gemm HardSigmoid HardSwish Identity LayerNormalization LeakyRelu LogSoftmax MatMul Mul Relu Sigmoid Softmax Sub Tanh'.split(
    ' ',
  ),
)
const itself = new Set(['LSTM', 'GRU', 'RNN', 'Shape'])
const shapes = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'])

/** What a node makes of values of which some are turned. */
export function turnedResults(
  node: OnnxNode,
  step: Step,
  inputs: readonly (Value | undefined)[],
  run: Run,
): Value | readonly Value[] {
  const first = inputs.find((one) => one instanceof Turned) as Turned
  if (itself.has(node.op)) return step(inputs, run)
  if (node.op === 'Transpose' && !first.merged) {
    const rank = first.shape.length
    return transposed(first, node.ints('perm') ?? first.shape.map((_, d) => rank - 1 - d))
  }
  if (inputs[0] === first && shapes.has(node.op)) return inShape(node, first, step, inputs, run)
  if (node.op === 'Concat') return joined(node, inputs, first)
  if (node.op === 'Gather' || node.op === 'Slice') return pieces(node, inputs, first)
  if (!behind.has(node.op) || !isBehind(node, first)) throw elsewhere(node)
  const images = inputs.map((one, i) => imagesOf(node, one, i, first))
  const result = step(images, run)
  const [value] = Array.isArray(result) ? (result as Value[]) : [result as Value]
  if (!(value instanceof SymbolicTensor) || value.shape.length !== first.images.shape.length)
    throw elsewhere(node)
  return new Turned(value, first.axis, first.merged)
}

function elsewhere(node: OnnxNode) {
  return node.unsupported('the batch is not dimension 0 here, where a compiled model has it; run() can')
}

/** Whether an axis that the node has lies behind the batch. */
function isBehind(node: OnnxNode, { shape, axis, merged }: Turned): boolean {
  if (!['Softmax', 'LogSoftmax', 'LayerNormalization'].includes(node.op)) return true
  const given = node.int('axis', -1)
  if (node.op !== 'LayerNormalization' && node.opset < 13 && given !== shape.length - 1 && given !== -1)
    return false
  return merged ? given < 0 && given + shape.length > 0 : (given < 0 ? given + shape.length : given) > axis
}

/** An input, as it goes with the images of the first. */
function imagesOf(node: OnnxNode, value: Value | undefined, index: number, first: Turned): Value | undefined {
  if (value instanceof Turned) {
    const alike = value.axis === first.axis && value.merged === first.merged
    if (alike && value.shape.length === first.shape.length) return value.images
    throw elsewhere(node)
  }
  if (value instanceof SymbolicTensor) throw elsewhere(node)
  const rank = first.shape.length
  const matrix = index > 0 && ['MatMul', 'Gemm', 'LayerNormalization', 'Clip', 'Dropout'].includes(node.op)
  if (value === undefined || matrix || value.shape.length < rank - first.axis) return value
  if (value.shape.length > rank || first.merged) throw elsewhere(node)
  // a constant: what it has for the batch comes first, too
  const array = Tensor.is(value) ? nd.fromTensor(value) : value
  const shape = [...Array<number>(rank - value.shape.length).fill(1), ...value.shape]
  if (shape[first.axis] !== 1) throw elsewhere(node)
  const axes = [first.axis, ...shape.keys()].filter((axis, i) => i === 0 || axis !== first.axis)
  const moved = nd.transpose({ ...array, shape }, axes)
  return Tensor.is(value) ? nd.toTensor(moved) : moved
}

/** In the shape that the node makes of it, in which the batch has a place again. */
function inShape(
  node: OnnxNode,
  first: Turned,
  step: Step,
  inputs: readonly (Value | undefined)[],
  run: Run,
): Value {
  const stand = { type: float32, shape: first.shape, values: new Float32Array(0) }
  const { shape } = step([stand, ...inputs.slice(1)], run) as Value
  const fits = (d: number) => shape[d] === 1 && elements(shape.slice(0, d)) === first.before
  const places = [...shape.keys()].filter(fits)
  const same = places.includes(first.axis) && !first.merged ? first.axis : places[0]
  if (same !== undefined) return turned(reshape(first.images, [1, ...shape.toSpliced(same, 1)]), same)
  if (shape[0] === first.before)
    return new Turned(reshape(first.images, [1, ...shape]) as SymbolicTensor, 0, true)
  throw elsewhere(node)
}

function joined(node: OnnxNode, inputs: readonly (Value | undefined)[], first: Turned): Value {
  const given = node.int('axis', 0)
  const axis = given < 0 ? given + first.shape.length : given
  const images = inputs.map((one) => (one instanceof Turned ? one : undefined))
  const alike = images.every((one) => one?.axis === first.axis && one.merged === first.merged)
  if (!alike || first.merged || axis === first.axis) throw elsewhere(node)
  const at = axis < first.axis ? axis + 1 : axis
  return turned(
    cat(
      images.map((one) => (one as Turned).images),
      at,
    ),
    first.axis,
  )
}

/** Gather of one index, and Slice, along other dimensions than the batch. */
function pieces(node: OnnxNode, inputs: readonly (Value | undefined)[], first: Turned): Value {
  const rank = first.shape.length
  const placeOf = (given: number) => {
    const axis = given < 0 ? given + rank : given
    if (first.merged || inputs[0] !== first || axis === first.axis || axis >= rank || axis < 0)
      throw elsewhere(node)
    return axis < first.axis ? axis + 1 : axis
  }
  const list = (i: number, what: string) => integersOf(node, inputs[i], what)
  if (node.op === 'Gather') {
    const [at, ...more] = list(1, 'the indices') ?? []
    if (at === undefined || more.length > 0 || inputs[1]?.shape.length !== 0) throw elsewhere(node)
    const place = placeOf(node.int('axis', 0))
    const size = first.images.shape[place] ?? 0
    if (at < -size || at >= size)
      throw node.error('ERR_SHAPE', `index ${at} is outside a dimension of ${size}`)
    const from = at < 0 ? at + size : at
    const one = slice(first.images, place, from, from + 1)
    return turned(
      reshape(one, one.shape.toSpliced(place, 1)),
      place <= first.axis ? first.axis - 1 : first.axis,
    )
  }
  const [starts, ends] = [list(1, 'starts'), list(2, 'ends')]
  const axes = list(3, 'axes') ?? starts?.map((_, i) => i)
  const within = (value: number) => Math.min(Math.max(value, -(2 ** 40)), 2 ** 40)
  const images = (axes ?? []).reduce<Tensor>(
    (value, axis, i) =>
      slice(
        value,
        placeOf(axis),
        within(starts?.[i] ?? 0),
        within(ends?.[i] ?? 0),
        list(4, 'steps')?.[i] ?? 1,
      ),
    first.images,
  )
  return turned(images, first.axis)
}
