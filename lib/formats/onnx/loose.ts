/**
 * Values of a trace of a model that is exported for one image. Wherever such a model has its batch of 1, and whatever it
 * joins it with, what it makes of an image is one value of a known shape: here all its dimensions belong to the image, so
 * that any of them may be moved, joined, summed or taken from.
 */
import { SymbolicTensor } from '../../graph/graph.ts'
import { permute, reshape } from '../../ops/index.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { integers } from './array.ts'
import { float32 } from './element.ts'
import type { OnnxNode } from './node.ts'
import type { Operator } from './operator.ts'
import { Turned } from './turned.ts'
import { integersOf, isSymbolic, type Run, type Step, type Value } from './value.ts'

export class Loose extends SymbolicTensor {
  /** With a batch in front that the model has not. */
  readonly images: SymbolicTensor

  constructor(images: SymbolicTensor) {
    super(images.tracer, images.node, images.shape.slice(1))
    this.images = images
  }
}

/** Of any value of such a trace: all its dimensions, of which there are at least `rank`, behind a batch. */
function imagesOf(value: SymbolicTensor, rank: number): SymbolicTensor {
  const images = value instanceof Loose || value instanceof Turned ? value.images : value
  const ones = Array<number>(Math.max(rank - value.shape.length, 0)).fill(1)
  return reshape(images, [1, ...ones, ...value.shape]) as SymbolicTensor
}

/** The value whose dimensions are those behind the batch. A first one of 1 is where the batch goes. */
function settled(images: SymbolicTensor): Tensor {
  const [first, ...rest] = images.shape.slice(1)
  if (first === undefined) return images
  return first === 1 ? reshape(images, [1, ...rest]) : new Loose(images)
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
const shaping = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze'])
/** Operators that know how a value lies. */
const itself = new Set(['LSTM', 'GRU', 'RNN', 'Shape'])
const products = new Set(['MatMul', 'Gemm'])
/** Operators of one axis, and which they take where nothing is said. */
const alongOne: Readonly<Record<string, number>> = {
  ...{ ArgMax: 0, ArgMin: 0, Concat: 0, Gather: 0, GatherElements: 0, Split: 0 },
  ...{ LayerNormalization: -1, LogSoftmax: -1, Softmax: -1, LpNormalization: -1, RMSNormalization: -1 },
}

/**
 * What a node makes of values of a model of one image, some of them of a trace; undefined: the operator takes the batch
 * first.
 */
export function looseResults(
  node: OnnxNode,
  operator: Operator,
  step: Step,
  inputs: readonly (Value | undefined)[],
  run: Run,
): Value | readonly Value[] | undefined {
  const [first] = inputs
  if (itself.has(node.op)) return step(inputs, run)
  if (shaping.has(node.op) && isSymbolic(first)) {
    const stand = { type: float32, shape: first.shape, values: new Float32Array(0) }
    const { shape } = step([stand, ...inputs.slice(1)], { ...run, declaredBatch: undefined }) as Value
    return settled(reshape(imagesOf(first, 0), [1, ...shape]) as SymbolicTensor)
  }
  if (node.op === 'Transpose' && isSymbolic(first)) {
    const axes = node.ints('perm') ?? first.shape.map((_, d) => first.shape.length - 1 - d)
    return settled(permute(imagesOf(first, 0), [0, ...axes.map((axis) => axis + 1)]) as SymbolicTensor)
  }
  const own = fromTheEnd(node, operator, step, inputs)
  if (own === undefined) return undefined
  const together = elementwise.has(node.op) || products.has(node.op)
  const rank = together ? Math.max(...inputs.map((one) => one?.shape.length ?? 0)) : 0
  const results = own.step(
    own.inputs.map((one) => (isSymbolic(one) ? imagesOf(one, rank) : constantOf(one, node))),
    { ...run, apart: node.op === 'Gemm' },
  )
  const list = (Array.isArray(results) ? results : [results]) as readonly Value[]
  return list.map((one) => (isSymbolic(one) ? settled(one) : one))
}

/** What is joined to a value of a trace goes in a batch, too. */
function constantOf(value: Value | undefined, node: OnnxNode): Value | undefined {
  if (value === undefined || node.op !== 'Concat') return value
  const shape = [1, ...value.shape]
  return Tensor.is(value) ? new Tensor(value.data, shape) : { ...value, shape }
}

/** The operator with its axes counted from the end, where a batch in front does not move them. */
function fromTheEnd(
  node: OnnxNode,
  operator: Operator,
  step: Step,
  inputs: readonly (Value | undefined)[],
): { step: Step; inputs: readonly (Value | undefined)[] } | undefined {
  if (elementwise.has(node.op) || products.has(node.op)) return { step, inputs }
  const rank = inputs[0]?.shape.length ?? 0
  const back = (axis: number) => (axis < 0 ? axis : axis - rank)
  const all = Array.from({ length: rank }, (_, d) => d)
  const otherwise = alongOne[node.op]
  if (otherwise !== undefined) {
    const old = (node.op === 'Softmax' || node.op === 'LogSoftmax') && node.opset < 13
    const axis = back(node.int('axis', old ? 1 : otherwise))
    // before opset 13 everything from the axis on is one
    if (old && axis !== -1) return undefined
    return { step: operator.read(node.with({ axis })), inputs }
  }
  if (node.op === 'CumSum') {
    const axis = integersOf(node, inputs[1], 'the axis') ?? []
    return { step, inputs: [inputs[0], integers(axis.map(back))] }
  }
  if (node.op.startsWith('Reduce')) {
    const byInput = node.op === 'ReduceSum' ? node.opset >= 13 : node.opset >= 18
    const given = byInput ? integersOf(node, inputs[1], 'axes') : node.ints('axes')
    if (!given?.length && node.opset >= 13 && node.flag('noop_with_empty_axes', false)) return undefined
    const axes = (given?.length ? given : all).map(back)
    if (byInput) return { step, inputs: [inputs[0], integers(axes)] }
    return { step: operator.read(node.with({ axes })), inputs }
  }
  if (node.op === 'Slice') {
    if (node.opset < 10) {
      const axes = (node.ints('axes') ?? all.slice(0, node.ints('starts')?.length)).map(back)
      return { step: operator.read(node.with({ axes })), inputs }
    }
    const count = inputs[1]?.shape[0] ?? 0
    const axes = (integersOf(node, inputs[3], 'axes') ?? all.slice(0, count)).map(back)
    return { step, inputs: inputs.toSpliced(3, 1, integers(axes)) }
  }
  return undefined
}
