/** Operators that normalise, reduce, or drop. */

import {
  adaptiveMaxPool2d,
  batchNorm,
  localResponseNorm,
  logSoftmax,
  mean,
  mul,
  permute,
  prod,
  reshape,
  softmax,
} from '../../../ops/index.ts'
import { elements } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { KerneletError } from '../../../util/errors.ts'
import * as nd from '../array.ts'
import { bool, type ElementType, float32 } from '../element.ts'
import type { Write } from '../graph-writer.ts'
import type { OnnxNode } from '../node.ts'
import { axisAttribute, type Family, same } from '../operator.ts'
import { layer, statistic } from '../slots.ts'
import {
  arrayOf,
  axisOf,
  integersOf,
  isSymbolic,
  keepBatch,
  onlyArrays,
  type Read,
  required,
  tensorOf,
  typeOf,
  type Value,
} from '../value.ts'

const BatchNormalization: Read = (node) => {
  const epsilon = node.float('epsilon', 1e-5)
  const momentum = node.float('momentum', 0.9)
  const training = node.flag('training_mode', false)
  if (!node.flag('spatial', true)) throw node.unsupported('attribute spatial=0 is not supported')
  if (node.opset < 7 && !node.flag('is_test', false))
    throw node.unsupported('attribute is_test=0 is not supported')
  if (!training && node.outputs.slice(1).some((name) => name !== '')) {
    throw node.unsupported('the outputs of training are not supported')
  }
  return (inputs) => {
    const [x, weight, bias, mean, variance] = [0, 1, 2, 3, 4].map((i) =>
      tensorOf(required(node, inputs, i), node),
    ) as [Tensor, Tensor, Tensor, Tensor, Tensor]
    if (!training) return batchNorm(x, mean, variance, { weight, bias, eps: epsilon })
    if (isSymbolic(x)) throw inTraining(node, 'attribute training_mode=1')
    const own = moments(arrayOf(node, x))
    const y = batchNorm(x, own.mean, own.variance, { weight, bias, eps: epsilon })
    return [y, moved(mean, own.mean, momentum), moved(variance, own.variance, momentum)]
  }
}

/** A model that is not for use: batch norm would mix the images of a batch, dropout would drop values. */
function inTraining(node: OnnxNode, what: string): KerneletError {
  return node.unsupported(
    `${what}: the model was saved in training mode. Export it for evaluation, as after model.eval() in PyTorch`,
  )
}

/** Mean and variance (over n, not n − 1) of every channel. */
function moments(x: nd.NdArray): { mean: Tensor; variance: Tensor } {
  const axes = x.shape.map((_, d) => d).filter((d) => d !== 1)
  const average: nd.Fold = (values, from, to) => sumOf(values as Float32Array, from, to) / (to - from)
  const spread: nd.Fold = (values, from, to) => {
    const middle = average(values, from, to) as number
    let sum = 0
    for (let i = from; i < to; i++) sum += (Number(values[i]) - middle) ** 2
    return sum / (to - from)
  }
  return {
    mean: nd.toTensor(nd.reduce(x, axes, false, average)),
    variance: nd.toTensor(nd.reduce(x, axes, false, spread)),
  }
}

/** A running average after one more batch. */
function moved(running: Tensor, batch: Tensor, momentum: number): Value {
  const values = running.data.map((value, i) => value * momentum + (batch.data[i] ?? 0) * (1 - momentum))
  return { type: float32, shape: running.shape, values }
}

const LRN: Read = (node) => {
  if (!node.has('size')) throw node.error('ERR_FORMAT', 'attribute size is missing')
  const size = node.int('size', 1)
  const [alpha, beta, k] = [node.float('alpha', 1e-4), node.float('beta', 0.75), node.float('bias', 1)]
  const normed = (x: Tensor) => localResponseNorm(x, size, { alpha, beta, k })
  return (inputs) => {
    const value = required(node, inputs, 0)
    if (size % 2 === 1) return normed(tensorOf(value, node))
    // An even window reaches one further up than down, PyTorch's the other way round.
    if (isSymbolic(value)) throw node.unsupported(`attribute size=${size}, which is even, is for run() only`)
    return turned(nd.fromTensor(normed(nd.toTensor(turned(arrayOf(node, value))))))
  }
}

/** The channels from last to first. */
function turned(x: nd.NdArray): nd.NdArray {
  const channels = x.shape[1] ?? 0
  const backwards = Array.from({ length: channels }, (_, c) => channels - 1 - c)
  return nd.gather(x, nd.integers(backwards), 1)
}

/** As single operators round it: differences, powers, their sum and the quotients. */
function narrowSoftmax(x: Tensor, dim: number, round: (value: number) => number): Tensor {
  const { shape, data } = x
  const [n, inner] = [shape[dim] ?? 1, elements(shape.slice(dim + 1))]
  const result = new Float32Array(data.length)
  for (let i = 0; i < data.length; i++) {
    // every element of the first of n rows begins a column
    if (Math.floor(i / inner) % n > 0) continue
    const column = Array.from({ length: n }, (_, k) => i + k * inner)
    const most = column.reduce((max, at) => Math.max(max, data[at] as number), Number.NEGATIVE_INFINITY)
    const powers = column.map((at) => round(Math.exp(round((data[at] as number) - most))))
    const whole = powers.reduce((sum, one) => round(sum + one), 0)
    for (const [k, at] of column.entries()) result[at] = (powers[k] as number) / whole
  }
  return new Tensor(result, shape)
}

/** Softmax and its logarithm: since opset 13 along one dimension, before along all from `axis` on. */
function along(kernel: (x: Tensor, dim: number) => Tensor): Read {
  return (node) => {
    const merged = node.opset < 13
    const axis = node.int('axis', merged ? 1 : -1)
    return (inputs, run) => {
      const x = tensorOf(required(node, inputs, 0), node)
      const { shape } = x
      const type = run.types.get(node.outputs[0] ?? '')
      const round = kernel === softmax && !isSymbolic(x) && type?.name === 'bfloat16' ? type.round : undefined
      const compute = round ? (x: Tensor, dim: number) => narrowSoftmax(x, dim, round) : kernel
      const at = merged && axis === shape.length ? axis : axisOf(node, axis, shape.length)
      if (!merged || at === shape.length - 1) return compute(x, at)
      keepBatch(node, x, at)
      const rows = reshape(x, [elements(shape.slice(0, at)), elements(shape.slice(at))])
      return reshape(compute(rows, 1), shape)
    }
  }
}

/** Nothing is dropped: a model is run, not trained, by its nodes. */
const Dropout: Read = (node) => {
  node.ignore('ratio', 'seed')
  if (node.opset < 7) node.ignore('is_test')
  return (inputs) => {
    const value = required(node, inputs, 0)
    const training = inputs[2] ? nd.first(arrayOf(node, inputs[2], 'training_mode')) : 0
    const ratio = inputs[1] ? nd.first(arrayOf(node, inputs[1], 'ratio')) : 0.5
    if (training && ratio !== 0) throw inTraining(node, 'its input training_mode is true')
    if (isSymbolic(value) || (node.outputs[1] ?? '') === '') return value
    return [value, nd.filled(node.opset < 10 ? float32 : bool, value.shape, 1)]
  }
}

/** The dimensions that a reduction folds, from an attribute or, since the opset that says, an input. */
export function reduction(
  since: number,
  native: ((x: Tensor, dims: number[], keepDims: boolean) => Tensor | undefined) | undefined,
  foldOf: (type: ElementType) => nd.Fold,
): Read {
  return (node) => {
    const keepDims = node.flag('keepdims', true)
    const noop = node.opset >= since && node.flag('noop_with_empty_axes', false)
    const fixed = node.opset < since ? node.ints('axes') : undefined
    return (inputs) => {
      const value = required(node, inputs, 0)
      const rank = value.shape.length
      const given = (fixed ?? integersOf(node, inputs[1], 'axes') ?? []).map((axis) =>
        axisOf(node, axis, rank),
      )
      if (new Set(given).size < given.length) throw node.error('ERR_SHAPE', 'two axes are the same')
      const axes = given.length > 0 || noop ? given : value.shape.map((_, d) => d)
      for (const axis of axes) keepBatch(node, value, axis)
      const result = onlyArrays([value]) ? undefined : native?.(tensorOf(value, node), axes, keepDims)
      return result ?? nd.reduce(arrayOf(node, value), axes, keepDims, foldOf(typeOf(value)))
    }
  }
}

function sumOf(values: ArrayLike<number>, from: number, to: number): number {
  let sum = 0
  for (let i = from; i < to; i++) sum += values[i] ?? 0
  return sum
}

/** A fold by a function of two numbers, beginning with what it makes of nothing. */
function folding(
  start: (type: ElementType) => number | bigint,
  number: (a: number, b: number) => number,
  integer: (a: number, b: number) => number,
  wide: (a: bigint, b: bigint) => bigint,
): (type: ElementType) => nd.Fold {
  return (type) => {
    const begin = start(type)
    if (type.wide) {
      return (values, from, to) => {
        let result = begin as bigint
        for (let i = from; i < to; i++) result = wide(result, values[i] as bigint)
        return result
      }
    }
    const step = type.kind === 'float' ? number : integer
    return (values, from, to) => {
      let result = begin as number
      for (let i = from; i < to; i++) result = step(result, Number(values[i]))
      return result
    }
  }
}

const constant = (value: number) => (type: ElementType) => (type.wide ? BigInt(value) : value)

const folds = {
  sum: folding(
    constant(0),
    (a, b) => a + b,
    (a, b) => (a + b) | 0,
    (a, b) => BigInt.asIntN(64, a + b),
  ),
  product: folding(
    constant(1),
    (a, b) => a * b,
    Math.imul,
    (a, b) => BigInt.asIntN(64, a * b),
  ),
  // of nothing: −∞ or the smallest number of the type, ∞ or the largest
  max: folding(
    ({ lowest }) => lowest,
    Math.max,
    Math.max,
    (a, b) => (a < b ? b : a),
  ),
  min: folding(
    ({ highest }) => highest,
    Math.min,
    Math.min,
    (a, b) => (a < b ? a : b),
  ),
}

/** The mean of nothing is NaN; there is none of integers. Theirs drops the fraction. */
function meanOf(type: ElementType): nd.Fold {
  return (values, from, to) => {
    if (from === to && type.kind !== 'float') {
      throw new KerneletError('ERR_SHAPE', `there is no mean of no numbers of ${type.name}`)
    }
    if (type.wide) {
      let sum = 0n
      for (let i = from; i < to; i++) sum += values[i] as bigint
      return sum / BigInt(to - from)
    }
    const mean = sumOf(values as Float64Array, from, to) / (to - from)
    return type.kind === 'float' ? mean : Math.trunc(mean)
  }
}

const writeBatchNorm: Write = (to, { node, inputs, shapes, output }) => {
  const channels = shapes[0]?.[0] ?? 1
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
  to.add('BatchNormalization', names, output, { epsilon: { float: node.epsilon ?? 1e-5 } })
}

export const normalise: Family = {
  operators: {
    BatchNormalization: {
      read: BatchNormalization,
      isKernel: true,
      type: (_node, output, input) => input(output === 0 ? 0 : 3),
      slot: (_node, index) => (index === 0 ? undefined : index > 2 ? statistic : layer),
    },
    LRN: { read: LRN, isKernel: true },
    Softmax: { read: along(softmax), isKernel: true },
    LogSoftmax: { read: along(logSoftmax), isKernel: true },
    Dropout: {
      read: Dropout,
      type: ({ opset }, output, input) => (output === 0 ? input(0) : opset < 10 ? float32 : bool),
    },
    ReduceMean: reduction(18, reduceMean, meanOf),
    ReduceSum: reduction(13, imageByImage(reduceSum), folds.sum),
    ReduceMax: reduction(18, imageByImage(reduceMax), folds.max),
    ReduceMin: reduction(
      18,
      imageByImage((x, dims, keepDims) => mul(reduceMax(mul(x, -1), dims, keepDims), -1)),
      folds.min,
    ),
    ReduceProd: reduction(18, imageByImage(reduceProd), folds.product),
  },
  writers: {
    softmax: same('Softmax', axisAttribute),
    logSoftmax: same('LogSoftmax', axisAttribute),
    batchNorm: writeBatchNorm,
  },
}

type Reduce = (x: Tensor, dims: number[], keepDims: boolean) => Tensor

/** As a compiled model computes it, to the last bit, where each image is folded for itself. */
export function imageByImage(
  compute: Reduce,
): (x: Tensor, dims: number[], keepDims: boolean) => Tensor | undefined {
  return (x, dims, keepDims) => {
    const isApart = dims.length > 0 && !dims.includes(0)
    return isSymbolic(x) || isApart ? compute(x, dims, keepDims) : undefined
  }
}

export function reduceSum(x: Tensor, dims: number[], keepDims: boolean): Tensor {
  return mul(reduceMean(x, dims, keepDims), elements(dims.map((d) => x.shape[d] ?? 0)))
}

/** A pool over the folded dimensions, brought to the end. */
export function reduceMax(x: Tensor, dims: number[], keepDims: boolean): Tensor {
  const kept = x.shape.map((_, d) => d).filter((d) => !dims.includes(d))
  const sizes = kept.map((d) => x.shape[d] ?? 0)
  const rows = reshape(permute(x, [...kept, ...dims]), [
    x.shape[0] ?? 0,
    elements(sizes.slice(1)),
    1,
    elements(dims.map((d) => x.shape[d] ?? 0)),
  ])
  const shape = keepDims ? x.shape.map((size, d) => (dims.includes(d) ? 1 : size)) : sizes
  return reshape(adaptiveMaxPool2d(rows, 1), shape)
}

/** One dimension after the other. */
function reduceProd(x: Tensor, dims: number[], keepDims: boolean): Tensor {
  const product = dims.reduce((value, dim) => prod(value, dim, { keepdim: true }), x)
  return keepDims
    ? product
    : reshape(
        product,
        x.shape.filter((_, d) => !dims.includes(d)),
      )
}

function reduceMean(x: Tensor, dims: number[], keepdim: boolean): Tensor {
  return dims.length === 0 ? x : mean(x, dims, { keepdim })
}
