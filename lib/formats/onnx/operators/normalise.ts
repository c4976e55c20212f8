/** Operators that normalise, reduce, or drop. */
import {
  adaptiveMaxPool2d,
  batchNorm,
  localResponseNorm,
  logSoftmax,
  mean,
  mul,
  permute,
  reshape,
  softmax,
} from '../../../ops/functional.ts'
import { elements } from '../../../tensor/shape.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import {
  arrayOf,
  axisOf,
  integersOf,
  isSymbolic,
  keepBatch,
  type Operator,
  onlyArrays,
  required,
  tensorOf,
  type Value,
} from '../value.ts'

const BatchNormalization: Operator = (node) => {
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
      tensorOf(required(node, inputs, i)),
    ) as [Tensor, Tensor, Tensor, Tensor, Tensor]
    if (!training) return batchNorm(x, mean, variance, { weight, bias, eps: epsilon })
    const own = moments(arrayOf(node, x))
    const y = batchNorm(x, own.mean, own.variance, { weight, bias, eps: epsilon })
    return [y, moved(mean, own.mean, momentum), moved(variance, own.variance, momentum)]
  }
}

/** Mean and variance (over n, not n − 1) of every channel. */
function moments(x: nd.NdArray): { mean: Tensor; variance: Tensor } {
  const axes = x.shape.map((_, d) => d).filter((d) => d !== 1)
  const average = (values: Float64Array) => sum(values) / values.length
  const spread = (values: Float64Array) => {
    const middle = average(values)
    return average(values.map((value) => (value - middle) ** 2))
  }
  return {
    mean: nd.toTensor(nd.reduce(x, axes, false, average)),
    variance: nd.toTensor(nd.reduce(x, axes, false, spread)),
  }
}

/** A running average after one more batch. */
function moved(running: Tensor, batch: Tensor, momentum: number): Value {
  const values = running.data.map((value, i) => value * momentum + (batch.data[i] as number) * (1 - momentum))
  return { kind: 'float', shape: running.shape, values }
}

const LRN: Operator = (node) => {
  if (!node.has('size')) throw node.error('ERR_FORMAT', 'attribute size is missing')
  const size = node.int('size', 1)
  const [alpha, beta, k] = [node.float('alpha', 1e-4), node.float('beta', 0.75), node.float('bias', 1)]
  const normed = (x: Tensor) => localResponseNorm(x, size, { alpha, beta, k })
  return (inputs) => {
    const value = required(node, inputs, 0)
    if (size % 2 === 1) return normed(tensorOf(value))
    // An even window reaches one further up than down, PyTorch's the other way round.
    if (isSymbolic(value)) throw node.unsupported(`attribute size=${size}, which is even, is for run() only`)
    return turned(nd.fromTensor(normed(nd.toTensor(turned(arrayOf(node, value))))))
  }
}

/** The channels from last to first. */
function turned(x: nd.NdArray): nd.NdArray {
  const channels = x.shape[1] as number
  const backwards = Array.from({ length: channels }, (_, c) => channels - 1 - c)
  return nd.gather(x, nd.integers(backwards), 1)
}

/** Softmax and its logarithm: since opset 13 along one dimension, before along all from `axis` on. */
function along(compute: (x: Tensor, dim: number) => Tensor): Operator {
  return (node) => {
    const merged = node.opset < 13
    const axis = node.int('axis', merged ? 1 : -1)
    return (inputs) => {
      const x = tensorOf(required(node, inputs, 0))
      const { shape } = x
      const at = merged && axis === shape.length ? axis : axisOf(node, axis, shape.length)
      if (!merged || at === shape.length - 1) return compute(x, at)
      keepBatch(node, x, at)
      const rows = reshape(x, [elements(shape.slice(0, at)), elements(shape.slice(at))])
      return reshape(compute(rows, 1), shape)
    }
  }
}

/** Nothing is dropped: a model is run, not trained, by its nodes. */
const Dropout: Operator = (node) => {
  node.ignore('ratio', 'seed')
  if (node.opset < 7) node.ignore('is_test')
  return (inputs) => {
    const value = required(node, inputs, 0)
    const training = inputs[2] ? arrayOf(node, inputs[2], 'training_mode').values[0] : 0
    const ratio = inputs[1] ? arrayOf(node, inputs[1], 'ratio').values[0] : 0.5
    if (training && ratio !== 0) throw node.unsupported('training_mode is true, which is not supported')
    if (isSymbolic(value) || (node.outputs[1] ?? '') === '') return value
    return [value, nd.filled(node.opset < 10 ? 'float' : 'bool', value.shape, 1)]
  }
}

/** The dimensions that a reduction folds, from an attribute or, since the opset that says, an input. */
function reduction(
  since: number,
  native: ((x: Tensor, dims: number[], keepDims: boolean) => Tensor | undefined) | undefined,
  fold: (values: Float64Array) => number,
): Operator {
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
      if (given.length === 0 && noop) return value
      const axes = given.length > 0 ? given : value.shape.map((_, d) => d)
      for (const axis of axes) keepBatch(node, value, axis)
      const result = onlyArrays([value]) ? undefined : native?.(tensorOf(value), axes, keepDims)
      return result ?? nd.reduce(arrayOf(node, value), axes, keepDims, fold)
    }
  }
}

const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0)

export const normaliseOperators: Readonly<Record<string, Operator>> = {
  BatchNormalization,
  LRN,
  Softmax: along(softmax),
  LogSoftmax: along(logSoftmax),
  Dropout,
  ReduceMean: reduction(18, reduceMean, (values) => sum(values) / values.length),
  ReduceSum: reduction(13, onlyTraced(reduceSum), sum),
  ReduceMax: reduction(18, onlyTraced(reduceMax), (values) => extreme(values, Math.max)),
  ReduceMin: reduction(
    18,
    onlyTraced((x, dims, keepDims) => mul(reduceMax(mul(x, -1), dims, keepDims), -1)),
    (values) => extreme(values, Math.min),
  ),
  ReduceProd: reduction(18, undefined, (values) => values.reduce((product, value) => product * value, 1)),
}

type Reduce = (x: Tensor, dims: number[], keepDims: boolean) => Tensor

/** Made of several operations, so that real tensors are better folded here. */
function onlyTraced(compute: Reduce): (x: Tensor, dims: number[], keepDims: boolean) => Tensor | undefined {
  return (x, dims, keepDims) => (isSymbolic(x) ? compute(x, dims, keepDims) : undefined)
}

function extreme(values: Float64Array, pick: (a: number, b: number) => number): number {
  return values.reduce((a, b) => pick(a, b))
}

function reduceSum(x: Tensor, dims: number[], keepDims: boolean): Tensor {
  return mul(reduceMean(x, dims, keepDims), elements(dims.map((d) => x.shape[d] as number)))
}

/** A pool over the folded dimensions, brought to the end. */
function reduceMax(x: Tensor, dims: number[], keepDims: boolean): Tensor {
  const kept = x.shape.map((_, d) => d).filter((d) => !dims.includes(d))
  const sizes = kept.map((d) => x.shape[d] as number)
  const rows = reshape(permute(x, [...kept, ...dims]), [
    x.shape[0] as number,
    elements(sizes.slice(1)),
    1,
    elements(dims.map((d) => x.shape[d] as number)),
  ])
  const shape = keepDims ? x.shape.map((size, d) => (dims.includes(d) ? 1 : size)) : sizes
  return reshape(adaptiveMaxPool2d(rows, 1), shape)
}

function reduceMean(x: Tensor, dims: number[], keepdim: boolean): Tensor {
  return dims.length === 0 ? x : mean(x, dims, { keepdim })
}
