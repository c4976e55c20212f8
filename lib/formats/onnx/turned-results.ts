/** What operators make of values whose batch is not dimension 0. Few CNNs have such, so that this is loaded with the first. */
import { SymbolicTensor } from '../../graph/graph.ts'
import { cat, reshape, slice } from '../../ops/index.ts'
import { elements } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import type { KerneletError } from '../../util/errors.ts'
import { broadcastShapes, integers } from './array.ts'
import { fromTheEnd } from './axes.ts'
import { spend } from './budget.ts'
import { float32 } from './element.ts'
import type { OnnxNode } from './node.ts'
import type { Operator } from './operator.ts'
import { picked, tracedSteps } from './pieces.ts'
import { batchAt, placed, Turned, transposed, turned } from './turned.ts'
import {
  arrayOf,
  indicesOf,
  integersOf,
  isSymbolic,
  type Read,
  type Run,
  type Step,
  type Value,
} from './value.ts'

/**
 * A turned value in another shape. Where the batch goes is not always told by numbers: [steps, 1, 8] as [steps, 2, 4] may
 * be [steps, n · 2, 4] or [steps · n, 2, 4]; then two images tell.
 */
function reshaped(node: OnnxNode, first: Turned, shape: readonly number[], run: Run): Tensor {
  const { images, before } = first
  const ahead = (d: number) => elements(shape.slice(0, d))
  const places = [...shape.keys()].filter(
    (d) => ahead(d) <= before && before <= ahead(d) * (shape[d] ?? 0) && before % ahead(d) === 0,
  )
  const two = places.length > 1 ? run.ofTwo?.()?.get(node.outputs[0] ?? '')?.shape : undefined
  const at = two
    ? places.find((d) => two.every((one, i) => one === (i === d ? 2 : 1) * (shape[i] ?? 0)))
    : places[0]
  const value =
    at === undefined || (places.length > 1 && !two) ? undefined : placed(images, before, shape, at)
  if (value) return value
  throw elsewhere(node)
}

/** Dimensions of 1 put in or taken out. */
function withOnes(
  node: OnnxNode,
  first: Turned,
  inputs: readonly (Value | undefined)[],
  rank: number,
): Tensor {
  const given = node.ints('axes') ?? integersOf(node, inputs[1], 'axes')
  const { axis, left, right, shape } = first
  if (node.op === 'Unsqueeze') {
    const axes = (given ?? []).map((one) => (one < 0 ? one + rank : one)).sort((a, b) => a - b)
    let [at, images] = [axis, first.images as Tensor]
    for (const one of axes) {
      const place = one <= at ? one + 1 : one + first.spread
      if (one <= at) at++
      images = reshape(images, images.shape.toSpliced(place, 0, 1))
    }
    return turned(images, at, left, right)
  }
  const ones = shape.flatMap((size, d) => (size === 1 && d !== axis ? [d] : []))
  const axes = given?.map((one) => (one < 0 ? one + shape.length : one)) ?? ones
  const places = axes.map((one) => placeOf(node, one, first))
  const images = reshape(
    first.images,
    first.images.shape.filter((_, d) => !places.includes(d)),
  )
  return turned(images, axis - axes.filter((one) => one < axis).length, left, right)
}

/** Operators that go element by element. */
const elementwise = new Set(
  (
    'Abs Acos Acosh Add And Asin Asinh Atan Atanh Cast CastLike Ceil Celu Clip Cos Cosh Div Dropout Elu Equal Erf Exp ' +
    'Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max ' +
    'Mean Min Mish Mod Mul Neg Not Or Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign ' +
    'Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor'
  ).split(' '),
)
const products = new Set(['MatMul', 'Gemm'])
const itself = new Set(['LSTM', 'GRU', 'RNN', 'Shape', 'If'])
const recurrent = new Set(['LSTM', 'GRU', 'RNN'])
const shaping = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'])
/** Which go over all dimensions from their axis on. */
const inward = new Set(['LayerNormalization', 'RMSNormalization'])
/** Whose other inputs are weights and options that no image has. */
const weighted = new Set(['Cast', 'CastLike', 'Clip', 'Dropout', 'Gemm', 'Pow', 'Shrink'])

/** Whether the dimensions of an operator's inputs are those of its result, so that a batch among them is one there. */
export function goesTogether(op: string): boolean {
  return elementwise.has(op) || products.has(op)
}

/** What a node makes of values of which some are turned. */
export function turnedResults(
  node: OnnxNode,
  { read }: Operator,
  step: Step,
  inputs: readonly (Value | undefined)[],
  run: Run,
): Value | readonly Value[] {
  const first = inputs.find((one) => one instanceof Turned) as Turned
  if (recurrent.has(node.op) && inputs[0] === first && first.spread === 1)
    return manySequences(node, step, inputs, first, run)
  if (itself.has(node.op)) return step(inputs, run)
  if (inputs[0] === first) {
    const rank = first.shape.length
    if (node.op === 'Transpose') {
      return transposed(first, node.ints('perm') ?? first.shape.map((_, d) => rank - 1 - d))
    }
    if (shaping.has(node.op)) {
      const stand = { type: float32, shape: first.shape, values: new Float32Array(0) }
      const { shape } = step([stand, ...inputs.slice(1)], run) as Value
      if (node.op !== 'Reshape' && node.op !== 'Flatten') return withOnes(node, first, inputs, shape.length)
      return reshaped(node, first, shape, run)
    }
    if (node.op === 'Gather') {
      if ((inputs[1]?.shape.length ?? 0) > 0) return manyGathered(node, read, inputs, first, run)
      return gathered(node, inputs, first)
    }
    if (node.op === 'GatherND') return placesGathered(node, inputs, first)
    if (node.op === 'Slice') return sliced(node, inputs, first)
    if (node.op === 'Split') return split(node, inputs, first)
    if (node.op === 'Concat') return joined(node, inputs, first)
    if (node.op === 'Expand') return copied(node, step, inputs, first, run)
  }
  // rows of a table that is known, by indices of a trace
  if (node.op === 'Gather' && inputs[1] === first && !isSymbolic(inputs[0])) {
    return turned(step([inputs[0], first.images], run) as Tensor, first.axis, first.left, first.right)
  }
  const together = goesTogether(node.op)
  const rank = first.shape.length
  const isBefore = (axis: number) => axis + rank < first.axis
  // the images have one more dimension before the batch's place, and as many there as that is spread over
  const place = (axis: number) => (isBefore(axis) ? axis + 1 - first.spread : axis)
  const own = together ? { axes: [], step, inputs } : fromTheEnd(node, read, step, inputs, place)
  if (inputs[0] !== first && !together) throw elsewhere(node)
  // of a model of one image all dimensions are the image's, which takes more than windows: see Loose
  const isRows = first.axis === 0 && first.spread === 1 && run.declaredBatch !== 1
  if (!own && isRows) return rowByRow(node, step, inputs, first, run)
  const isApart = (axis: number) => axis + rank !== first.axis && !(inward.has(node.op) && isBefore(axis))
  if (!own?.axes.every(isApart)) throw elsewhere(node)
  const result = own.step(
    own.inputs.map((one, i) => (together || i === 0 ? imagesOf(node, one, i, first) : one)),
    { ...run, apart: first.spread === 1 && rank === 2 },
  )
  const [value] = Array.isArray(result) ? (result as Value[]) : [result as Value]
  const fits = !together || value?.shape.length === first.images.shape.length
  if (!fits || !(value instanceof SymbolicTensor)) throw elsewhere(node)
  const isKept = value.shape.length === first.images.shape.length
  return turned(value, first.axis - (isKept ? 0 : own.axes.filter(isBefore).length), first.left, first.right)
}

/** By an operator that takes the batch first, as windows of an image go through convolutions: one after the other. */
function rowByRow(
  node: OnnxNode,
  step: Step,
  inputs: readonly (Value | undefined)[],
  first: Turned,
  run: Run,
): readonly Value[] {
  const { images, left, right } = first
  if (inputs.slice(1).some(isSymbolic)) throw elsewhere(node)
  const rows = Array.from({ length: left * right }, (_, i) => {
    spend(tracedSteps)
    const row = reshape(slice(images, 1, i, i + 1), images.shape.toSpliced(1, 1))
    const results = step([row, ...inputs.slice(1)], run)
    return (Array.isArray(results) ? results : [results]) as readonly Value[]
  })
  return (rows[0] as readonly Value[]).map((_, k) => {
    const parts = rows.map((one) => {
      const value = one[k]
      if (!isSymbolic(value) || value instanceof Turned) throw elsewhere(node)
      return reshape(value, [1, ...value.shape])
    })
    return turned(cat(parts, 1), 0, left, right)
  })
}

/** Rows or columns of an image as sequences, [steps, n · rows, features]: one after the other. */
function manySequences(
  node: OnnxNode,
  step: Step,
  inputs: readonly (Value | undefined)[],
  first: Turned,
  run: Run,
): readonly Value[] {
  const { images, axis, left, right } = first
  // a state that is the same for all sequences is one of zeros
  const known = inputs.slice(4).every((one, i) => {
    if (one === undefined) return true
    return i > 0 && !isSymbolic(one) && arrayOf(node, one).values.every((number) => Number(number) === 0)
  })
  if (!known || node.int('layout', 0) === 1 || axis !== 1) throw elsewhere(node)
  const weights = inputs.slice(1, 4)
  const all = Array.from({ length: left * right }, (_, i) => {
    spend(tracedSteps)
    const row = slice(images, 2, i, i + 1)
    const x = batchAt(reshape(row, row.shape.toSpliced(2, 1)), 1)
    return step([x, ...weights], run) as readonly Turned[]
  })
  return (all[0] as readonly Turned[]).map((one, k) => {
    const place = one.axis + 1
    const parts = all.map((results) => (results[k] as Turned).images)
    return turned(
      cat(
        parts.map((part) => reshape(part, part.shape.toSpliced(place, 0, 1))),
        place,
      ),
      one.axis,
      left,
      right,
    )
  })
}

function elsewhere(node: OnnxNode): KerneletError {
  return node.unsupported('the batch is not dimension 0 here, where a compiled model has it; run() can')
}

/** An input, as it goes with the images of the first. */
function imagesOf(node: OnnxNode, value: Value | undefined, index: number, first: Turned): Value | undefined {
  if (value instanceof Turned) {
    const alike = value.axis === first.axis && value.left === first.left && value.right === first.right
    if (alike && value.shape.length === first.shape.length) return value.images
    throw elsewhere(node)
  }
  if (value instanceof SymbolicTensor) throw elsewhere(node)
  const rank = first.shape.length
  if (value === undefined || (index > 0 && weighted.has(node.op)) || value.shape.length < rank - first.axis)
    return value
  if (node.op === 'MatMul' && value.shape.length <= 2) return value
  // a constant, that is the same along the batch
  const shape = [...Array<number>(rank - value.shape.length).fill(1), ...value.shape]
  if (value.shape.length > rank || shape[first.axis] !== 1) throw elsewhere(node)
  const ones = Array<number>(first.spread).fill(1)
  const apart = [1, ...shape.toSpliced(first.axis, 1, ...ones)]
  return Tensor.is(value) ? new Tensor(value.data, apart) : { ...value, shape: apart }
}

/** The dimension of the images that an axis of the model is; not the batch's. */
function placeOf(node: OnnxNode, given: number, first: Turned): number {
  const axis = given < 0 ? given + first.shape.length : given
  if (axis >= 0 && axis < first.shape.length && axis !== first.axis) return first.places(axis)[0] as number
  throw elsewhere(node)
}

function gathered(node: OnnxNode, inputs: readonly (Value | undefined)[], first: Turned): Value {
  const [at, ...more] = integersOf(node, inputs[1], 'the indices') ?? []
  if (at === undefined || more.length > 0 || inputs[1]?.shape.length !== 0) throw elsewhere(node)
  const place = placeOf(node, node.int('axis', 0), first)
  const size = first.images.shape[place] ?? 0
  if (at < -size || at >= size) throw node.error('ERR_SHAPE', `index ${at} is outside a dimension of ${size}`)
  const from = at < 0 ? at + size : at
  const one = slice(first.images, place, from, from + 1)
  const axis = place <= first.axis ? first.axis - 1 : first.axis
  return turned(reshape(one, one.shape.toSpliced(place, 1)), axis, first.left, first.right)
}

/** By a tensor of indices: along a dimension of the images, or in the one that their rows make together. */
function manyGathered(
  node: OnnxNode,
  read: Read,
  inputs: readonly (Value | undefined)[],
  first: Turned,
  run: Run,
): Value {
  const { axis, left, right, images } = first
  const indices = indicesOf(node, inputs[1] as Value, 'the indices')
  const given = node.int('axis', 0)
  const at = given < 0 ? given + first.shape.length : given
  if (at !== axis) {
    const place = placeOf(node, given, first)
    const result = read(node.with({ axis: place }))([images, indices], run) as Tensor
    return turned(result, place <= axis ? axis - 1 + indices.shape.length : axis, left, right)
  }
  // [n · rows, …]: the indices of each image must be those of the first one's rows, so many further on
  const two = run.ofTwo?.()?.get(node.inputs[1] ?? '')?.values
  const own = Array.from<number | bigint, number>(indices.values, Number)
  const rows = first.shape[axis] ?? 0
  const apart =
    axis === 0 && left === 1 && two?.length === 2 * own.length && own.every((one) => one >= 0 && one < rows)
  if (!apart || own.some((one, i) => Number(two[i]) !== one || Number(two[own.length + i]) !== one + rows)) {
    throw elsewhere(node)
  }
  const whole = reshape(images, [1, rows, ...first.shape.slice(1)])
  const result = read(node.with({ axis: 1 }))([whole, indices], run) as Tensor
  const shape = [...indices.shape, ...first.shape.slice(1)]
  const value = shape[0] === 1 ? reshape(result, shape) : placed(result, 1, shape, 0)
  if (value) return value
  throw elsewhere(node)
}

/** By indices of several dimensions, all of them before the batch. */
function placesGathered(node: OnnxNode, inputs: readonly (Value | undefined)[], first: Turned): Value {
  const { axis, left, right, images, shape } = first
  const indices = indicesOf(node, inputs[1] as Value, 'the indices')
  const count = indices.shape.at(-1) ?? 0
  if (count < 1 || count > axis || node.int('batch_dims', 0) !== 0) throw elsewhere(node)
  const sizes = shape.slice(0, count)
  const places = Array.from({ length: indices.values.length / count }, (_, row) =>
    sizes.reduce((sum, size, d) => {
      const one = Number(indices.values[row * count + d])
      if (!(one >= -size && one < size))
        throw node.error('ERR_SHAPE', `index ${one} is outside a dimension of ${size}`)
      return sum * size + (one < 0 ? one + size : one)
    }, 0),
  )
  const rest = images.shape.slice(1 + count)
  const result = picked(node, reshape(images, [1, elements(sizes), ...rest]), 1, places) as Tensor
  const before = indices.shape.slice(0, -1)
  return turned(reshape(result, [1, ...before, ...rest]), axis - count + before.length, left, right)
}

function sliced(node: OnnxNode, inputs: readonly (Value | undefined)[], first: Turned): Value {
  const list = (i: number, what: string) => integersOf(node, inputs[i], what)
  const [starts = [], ends = []] = [list(1, 'starts'), list(2, 'ends')]
  const [axes, steps] = [list(3, 'axes') ?? starts.map((_, i) => i), list(4, 'steps')]
  const within = (value: number) => Math.min(Math.max(value, -(2 ** 40)), 2 ** 40)
  const images = axes.reduce<Tensor>((value, axis, i) => {
    const [start, end] = [within(starts[i] ?? 0), within(ends[i] ?? 0)]
    return slice(value, placeOf(node, axis, first), start, end, steps?.[i] ?? 1)
  }, first.images)
  return turned(images, first.axis, first.left, first.right)
}

function split(node: OnnxNode, inputs: readonly (Value | undefined)[], first: Turned): Value[] {
  const place = placeOf(node, node.int('axis', 0), first)
  const size = first.images.shape[place] ?? 0
  const count = node.outputs.length
  const given = node.ints('split') ?? integersOf(node, inputs[1], 'the sizes')
  const sizes = given ?? Array.from({ length: count }, () => Math.ceil(size / count))
  let start = 0
  return sizes.map((one) => {
    const piece = slice(first.images, place, start, start + one)
    start += one
    return turned(piece, first.axis, first.left, first.right)
  })
}

/** Copies along any dimensions but the batch's, also new ones in front. */
function copied(
  node: OnnxNode,
  step: Step,
  inputs: readonly (Value | undefined)[],
  first: Turned,
  run: Run,
): Value {
  const { images, left, right } = first
  const target = integersOf(node, inputs[1], 'the shape') ?? []
  const shape = broadcastShapes([first.shape, target])
  const ahead = shape.length - first.shape.length
  const axis = first.axis + ahead
  if (shape[axis] !== first.shape[first.axis]) throw elsewhere(node)
  const parts = [left, right].filter((one) => one > 1)
  const sizes = [1, ...shape.toSpliced(axis, 1, ...parts)]
  const apart = reshape(images, [1, ...Array<number>(ahead).fill(1), ...images.shape.slice(1)])
  return turned(step([apart, integers(sizes)], run) as Tensor, axis, left, right)
}

function joined(node: OnnxNode, inputs: readonly (Value | undefined)[], first: Turned): Value {
  const place = placeOf(node, node.int('axis', 0), first)
  const all = inputs.map((one, i) => {
    if (one instanceof Turned) return imagesOf(node, one, i, first) as Tensor
    throw elsewhere(node)
  })
  return turned(cat(all, place), first.axis, first.left, first.right)
}
