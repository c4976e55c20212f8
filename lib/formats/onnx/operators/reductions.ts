/** Reductions but for the plain ones (normalise.ts), places of largest values, running sums. */
import type { GraphNode } from '../../../graph/graph.ts'
import { abs, add, argmax, argmin, cat, cumsum, exp, log, mul, pow, slice, sub } from '../../../ops/index.ts'
import { elements } from '../../../tensor/shape.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { type ElementType, int64, type Scalar, type Values } from '../element.ts'
import type { Attributes, Write } from '../graph-writer.ts'
import type { Family, Operator } from '../operator.ts'
import { tracedSteps } from '../pieces.ts'
import { arrayOf, dimensionOf, indicesOf, isSymbolic, keepBatch, type Read, required } from '../value.ts'
import { imageByImage, reduceMax, reduceSum, reduction } from './normalise.ts'

/** A sum of what `of` makes of each number, in double or with whole integers; `then` of the sum. */
function summing(
  of: (x: number) => number,
  wide: (x: bigint) => bigint,
  then: (sum: number) => number = (sum) => sum,
): (type: ElementType) => nd.Fold {
  return (type) =>
    (values: Values, from: number, to: number): Scalar => {
      if (type.wide) {
        let sum = 0n
        for (let i = from; i < to; i++) sum += wide(values[i] as bigint)
        const result = then(Number(sum))
        // what is a sum alone is exact
        return Number(sum) === result ? sum : toWide(result)
      }
      let sum = 0
      for (let i = from; i < to; i++) sum += of(Number(values[i]))
      const result = then(sum)
      return type.kind === 'float' ? result : Math.trunc(result)
    }
}

function toWide(value: number): bigint {
  return Number.isFinite(value) ? BigInt(Math.trunc(value)) : -(2n ** 63n)
}

/** The largest is taken out, so that nothing overflows. */
function logSumExp(type: ElementType): nd.Fold {
  return (values, from, to) => {
    let largest = Number.NEGATIVE_INFINITY
    for (let i = from; i < to; i++) largest = Math.max(largest, Number(values[i]))
    if (!Number.isFinite(largest)) return type.wide ? toWide(largest) : largest
    let sum = 0
    for (let i = from; i < to; i++) sum += Math.exp(Number(values[i]) - largest)
    const result = largest + Math.log(sum)
    return type.wide ? toWide(result) : type.kind === 'float' ? result : Math.trunc(result)
  }
}

const square = (x: Tensor) => mul(x, x)
const absolute = (x: bigint) => (x < 0n ? -x : x)

/** The sum without its largest number, which goes in front. */
function tracedLogSumExp(x: Tensor, dims: number[], keepDims: boolean): Tensor {
  const largest = reduceMax(x, dims, true)
  const sum = log(reduceSum(exp(sub(x, largest)), dims, keepDims))
  return add(sum, keepDims ? largest : reduceMax(x, dims, false))
}

/** Where the largest or smallest number is, of equals the first unless select_last_index=1. */
function places(largest: boolean): Operator {
  const read: Read = (node) => {
    const [axis, keepDims] = [node.int('axis', 0), node.flag('keepdims', true)]
    const last = node.flag('select_last_index', false)
    return (inputs) => {
      const value = required(node, inputs, 0)
      const at = dimensionOf(node, axis, value)
      keepBatch(node, value, at)
      if (isSymbolic(value)) return (largest ? argmax : argmin)(value, at, { keepdim: keepDims, last })
      const x = arrayOf(node, value)
      const n = x.shape[at] ?? 0
      if (n === 0) throw node.error('ERR_SHAPE', `dimension ${at}, of which it looks for the place, is empty`)
      const kept = x.shape.filter((_, d) => keepDims || d !== at)
      const shape = keepDims ? kept.map((size, d) => (d === at ? 1 : size)) : kept
      const result = nd.allocate(int64, shape)
      const inner = elements(x.shape.slice(at + 1))
      const { values } = x
      spend(values.length)
      for (let row = 0; row < result.values.length; row++) {
        const start = Math.floor(row / inner) * n * inner + (row % inner)
        let best = 0
        for (let i = 1; i < n; i++) {
          const [one, other] = [values[start + i * inner] as Scalar, values[start + best * inner] as Scalar]
          if ((largest ? one > other : one < other) || (last && one === other)) best = i
        }
        result.values[row] = BigInt(best)
      }
      return result
    }
  }
  return { read, type: () => int64 }
}

/** Sums, or products, of all up to each element of a dimension. */
function running(product: boolean): Read {
  return (node) => {
    const [exclusive, reverse] = [node.flag('exclusive', false), node.flag('reverse', false)]
    return (inputs) => {
      const value = required(node, inputs, 0)
      const given = indicesOf(node, required(node, inputs, 1), 'the axis')
      if (given.values.length !== 1)
        throw node.error('ERR_SHAPE', `axis should be one number but is ${given.values.length}`)
      const at = dimensionOf(node, Number(given.values[0]), value)
      keepBatch(node, value, at)
      if (isSymbolic(value) && !product) return cumsum(value, at, { exclusive, reverse })
      if (isSymbolic(value)) return products(value, at, exclusive, reverse)
      const x = arrayOf(node, value)
      const result = nd.allocate(x.type, x.shape)
      const [n, inner] = [x.shape[at] ?? 0, elements(x.shape.slice(at + 1))]
      const { round, wide } = x.type
      const target = result.values as Float64Array
      spend((wide ? 16 : 1) * target.length)
      for (let row = 0; row < target.length / Math.max(n, 1); row++) {
        const start = Math.floor(row / inner) * n * inner + (row % inner)
        let sum: Scalar = wide ? BigInt(product) : Number(product)
        for (let i = 0; i < n; i++) {
          const index = start + (reverse ? n - 1 - i : i) * inner
          const one = x.values[index] as number
          const next: number = product ? (sum as number) * one : (sum as number) + one
          const stored = (exclusive ? sum : next) as number
          target[index] = round ? round(stored) : stored
          // as a number of the type: a float of its own precision, an integer that wraps when it is stored
          sum = next
        }
      }
      return result
    }
  }
}

/** The same of a trace: each product is a step. */
function products(x: Tensor, axis: number, exclusive: boolean, reverse: boolean): Tensor {
  const size = x.shape[axis] ?? 1
  spend(2 * size * tracedSteps)
  const order = Array.from({ length: size }, (_, i) => (reverse ? size - 1 - i : i))
  const pieces: Tensor[] = []
  let all: Tensor | undefined
  for (const at of order) {
    const one = slice(x, axis, at, at + 1)
    if (exclusive) pieces.push(all ?? add(mul(one, 0), 1))
    all = all ? mul(all, one) : one
    if (!exclusive) pieces.push(all)
  }
  return cat(reverse ? pieces.reverse() : pieces, axis)
}

/** Along a dimension of one image, which stays. */
function alongAxis({ axis = 0, alpha = 0 }: GraphNode): Attributes {
  return { axis: axis + 1, keepdims: 1, ...(alpha !== 0 && { select_last_index: 1 }) }
}

function writePlace(op: string): Write {
  return (to, { node, inputs, output }) => {
    to.add('Cast', [to.step(op, inputs, output, alongAxis(node))], output, { to: 1 })
  }
}

const writeProd: Write = (to, { node, inputs, output }) => {
  to.need(18)
  to.add('ReduceProd', [...inputs, to.integers(`${output}.axes`, [(node.axis ?? 0) + 1])], output, {
    keepdims: 1,
  })
}

const writeCumSum: Write = (to, { node, inputs, output }) => {
  const { axis = 0, alpha = 0, beta = 0 } = node
  const at = to.integers(`${output}.axis`, [axis + 1])
  to.add('CumSum', [...inputs, at], output, { exclusive: alpha === 0 ? 0 : 1, reverse: beta === 0 ? 0 : 1 })
}

/** All of a dimension in order are the largest, or smallest, of as many. */
const writeSort: Write = (to, { node: { axis = 0, alpha = 0, beta = 0, shape }, inputs, output }) => {
  const attributes = { axis: axis + 1, largest: alpha === 0 ? 0 : 1, sorted: 1 }
  const names = [...inputs, to.integers(`${output}.k`, [shape[axis] ?? 1])]
  const other = to.unused(`${output}.topk`)
  if (beta === 0) {
    to.add('TopK', names, output, attributes, [output, other])
  } else {
    to.add('TopK', names, other, attributes, [to.unused(`${output}.topk`), other])
    to.add('Cast', [other], output, { to: 1 })
  }
}

export const reductions: Family = {
  operators: {
    ReduceL1: reduction(
      18,
      imageByImage((x, dims, keepDims) => reduceSum(abs(x), dims, keepDims)),
      summing(Math.abs, absolute),
    ),
    ReduceL2: reduction(
      18,
      imageByImage((x, dims, keepDims) => pow(reduceSum(square(x), dims, keepDims), 0.5)),
      summing(
        (x) => x * x,
        (x) => x * x,
        Math.sqrt,
      ),
    ),
    ReduceSumSquare: reduction(
      18,
      imageByImage((x, dims, keepDims) => reduceSum(square(x), dims, keepDims)),
      summing(
        (x) => x * x,
        (x) => x * x,
      ),
    ),
    ReduceLogSum: reduction(
      18,
      imageByImage((x, dims, keepDims) => log(reduceSum(x, dims, keepDims))),
      summing(
        (x) => x,
        (x) => x,
        Math.log,
      ),
    ),
    ReduceLogSumExp: reduction(18, imageByImage(tracedLogSumExp), logSumExp),
    ArgMax: places(true),
    ArgMin: places(false),
    CumProd: running(true),
    CumSum: running(false),
  },
  writers: {
    prod: writeProd,
    argMax: writePlace('ArgMax'),
    argMin: writePlace('ArgMin'),
    cumSum: writeCumSum,
    sort: writeSort,
  },
}
