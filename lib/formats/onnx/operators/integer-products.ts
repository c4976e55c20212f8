/** Convolutions and matrix products of quantized numbers, whose sums are integers. */
import { add, linear, matmul, mul, permute } from '../../../ops/index.ts'
import { elements, formatShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { type ElementType, float32 } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { isSymbolic, type Read, type Run, required, tensorOf, type Value } from '../value.ts'
import { centred, int32, quantizedOf, requantized, scalesOf, stored, uint8 } from './quantize.ts'
import { windows } from './window.ts'

/** Integers up to here are float32 numbers, and so are their sums. */
const exactly = 2 ** 24

type Product = (a: Tensor, b: Tensor) => Tensor

const largest = ({ data }: Tensor) => data.reduce((most, one) => Math.max(most, Math.abs(one)), 0)

/**
 * A sum of `count` products of integers by kernels that sum floats: factors whose sums might be too large are cut in two
 * parts of fewer bits.
 */
function exactProduct(
  a: Tensor,
  b: Tensor,
  count: number,
  product: Product,
): { shape: readonly number[]; sums: Float64Array } {
  const [left, right] = [largest(a), largest(b)]
  if (left * right * count < exactly || (left <= 1 && right <= 1)) {
    const { shape, data } = product(a, b)
    return { shape, sums: Float64Array.from(data) }
  }
  const cutLeft = left > right
  const whole = cutLeft ? a : b
  const unit = 2 ** Math.ceil(Math.log2((cutLeft ? left : right) + 1) / 2)
  const high = new Tensor(
    whole.data.map((one) => Math.round(one / unit)),
    whole.shape,
  )
  const low = new Tensor(
    whole.data.map((one, i) => one - unit * (high.data[i] ?? 0)),
    whole.shape,
  )
  const parts = [high, low].map((part) =>
    exactProduct(cutLeft ? part : a, cutLeft ? b : part, count, product),
  )
  const [above, below] = parts as [(typeof parts)[0], (typeof parts)[0]]
  return { shape: above.shape, sums: above.sums.map((one, i) => one * unit + (below.sums[i] ?? 0)) }
}

/** A weight of `rows` rows, and as many numbers that are added to their sums. */
interface Rows {
  readonly weight: Tensor
  readonly bias: Float64Array | undefined
}

/** Whether no sum of a row, of inputs up to `widest`, is too large for a float. */
function areSmall({ weight, bias }: Rows, widest: number): boolean {
  const rows = weight.shape[0] ?? 1
  const length = elements(weight.shape) / rows
  for (let row = 0; row < rows; row++) {
    let sum = Math.abs(bias?.[row] ?? 0)
    for (let i = 0; i < length; i++) sum += widest * Math.abs(weight.data[row * length + i] ?? 0)
    if (sum >= exactly) return false
  }
  return true
}

/**
 * Sums in a trace, rounded to float32 once: where they might be too large for it the weights are cut in two parts of fewer
 * bits, whose sums are not.
 */
function tracedSums(node: OnnxNode, whole: Rows, widest: number, product: (rows: Rows) => Tensor): Tensor {
  if (areSmall(whole, widest)) return product(whole)
  const unit = 2 ** Math.ceil(Math.log2(largest(whole.weight) + 1) / 2)
  const cut = (one: number) => Math.round(one / unit)
  const part = (of: (one: number) => number): Rows => ({
    weight: new Tensor(whole.weight.data.map(of), whole.weight.shape),
    bias: whole.bias?.map(of),
  })
  const [high, low] = [part(cut), part((one) => one - unit * cut(one))]
  if (areSmall(high, widest) && areSmall(low, widest)) return add(mul(product(high), unit), product(low))
  throw node.unsupported(
    'sums of its integers go too far beyond 2^24, which float32 does not hold; run() computes them',
  )
}

/** Numbers to add to the sums of rows. */
function biasOf(bias: Float64Array | undefined): Tensor | undefined {
  return bias && new Tensor(Float32Array.from(bias), [bias.length])
}

/** The largest number that stands between a quantized one and its zero point. */
function widest({ lowest, highest }: ElementType, zero: number): number {
  return Math.max(Number(highest) - zero, zero - Number(lowest))
}

/** As it is stored: sums times a factor, one or one for each index of `axis`. */
function rescaled(
  { shape, sums }: { shape: readonly number[]; sums: Float64Array },
  factors: Float32Array,
  axis: number,
  zero: nd.NdArray | undefined,
): nd.NdArray {
  const type = zero?.type ?? uint8
  const z = Number(zero?.values[0] ?? 0)
  const inner = elements(shape.slice(axis + 1))
  const result = nd.allocate(type, shape)
  const values = result.values as Int8Array
  for (let i = 0; i < values.length; i++) {
    const factor = factors[Math.floor(i / inner) % factors.length] ?? 1
    values[i] = stored(Math.fround(Math.fround(sums[i] ?? 0) * factor), z, type)
  }
  return result
}

/** What a sum is multiplied by: scales of both factors over that of the result. */
function factorsOf(node: OnnxNode, a: Value, b: Value, y: Value): Float32Array {
  const [[left = 1, ...more], right, [result = 1]] = [scalesOf(node, a), scalesOf(node, b), scalesOf(node, y)]
  if (more.length > 0) throw node.unsupported('scales of its rows are not supported')
  return right.map((one) => Math.fround(Math.fround(left * one) / result))
}

function zeroOf(node: OnnxNode, value: Value | undefined): nd.NdArray | undefined {
  if (value === undefined) return undefined
  const zero = quantizedOf(node, value, 'a zero point')
  if (zero.values.length === 1) return zero
  throw node.error('ERR_SHAPE', `a zero point of ${formatShape(zero.shape)} where one is taken`)
}

const readConv = (windows.operators.Conv as { read: Read }).read

const ConvInteger: Read = (node) => {
  const conv = readConv(node)
  return (inputs, run) => {
    const w = centred(node, required(node, inputs, 1), inputs[3], 0)
    const x = centred(node, known(node, required(node, inputs, 0)), inputs[2], 1)
    return toInt32(exactConv(conv, x, w, run))
  }
}

function exactConv(conv: ReturnType<Read>, x: Tensor, w: Tensor, run: Run) {
  const count = elements(w.shape) / (w.shape[0] ?? 1)
  return exactProduct(x, w, count, (a, b) => conv([a, b], run) as Tensor)
}

function toInt32({ shape, sums }: { shape: readonly number[]; sums: Float64Array }): nd.NdArray {
  return { type: int32, shape, values: Int32Array.from(sums, (one) => one | 0) }
}

/** A value whose sums cannot be told to be small. */
function known(node: OnnxNode, value: Value): Value {
  if (!isSymbolic(value)) return value
  throw node.unsupported('integers that are computed from the image are for run() only')
}

const QLinearConv: Read = (node) => {
  const conv = readConv(node)
  return (inputs, run) => {
    const value = required(node, inputs, 0)
    const [w, zero] = [centred(node, required(node, inputs, 3), inputs[5], 0), zeroOf(node, inputs[7])]
    const factors = factorsOf(
      node,
      required(node, inputs, 1),
      required(node, inputs, 4),
      required(node, inputs, 6),
    )
    const bias = inputs[8] && Float64Array.from(quantizedOf(node, inputs[8], 'the bias').values as Int32Array)
    const rows = w.shape[0] ?? 1
    const x = centred(node, value, inputs[2], 1)
    if (isSymbolic(x)) {
      const own = zeroOf(node, inputs[2])
      const sums = tracedSums(
        node,
        { weight: w, bias },
        widest(own?.type ?? uint8, Number(own?.values[0] ?? 0)),
        (part) => conv([x, part.weight, biasOf(part.bias)], run) as Tensor,
      )
      const by = new Tensor(factors, [factors.length, ...Array<number>(x.shape.length - 2).fill(1)])
      return requantized(mul(sums, by), zero && nd.toTensor(asFloats(zero)), zero?.type ?? uint8)
    }
    const product = exactConv(conv, x, w, run)
    const inner = elements(product.shape.slice(2))
    if (bias) {
      product.sums.forEach((one, i) => {
        product.sums[i] = one + (bias[Math.floor(i / inner) % rows] ?? 0)
      })
    }
    return rescaled(product, factors, 1, zero)
  }
}

function asFloats({ shape, values }: nd.NdArray): nd.NdArray {
  return { type: float32, shape, values: Float32Array.from(values as Int8Array) }
}

/** Sums of a · b, both less their zero points; of a, zero points may be of its rows. */
function sumsOf(node: OnnxNode, a: Value, az: Value | undefined, b: Value, bz: Value | undefined) {
  const left = centred(node, a, az, Math.max(a.shape.length - 2, 0))
  const right = centred(node, b, bz, Math.max(b.shape.length - 1, 0))
  return { left, right, count: left.shape.at(-1) ?? 1 }
}

const MatMulInteger: Read = (node) => (inputs) => {
  const [a, b] = [required(node, inputs, 0), required(node, inputs, 1)].map((one) => known(node, one)) as [
    Value,
    Value,
  ]
  const { left, right, count } = sumsOf(node, a, inputs[2], b, inputs[3])
  return toInt32(exactProduct(left, right, count, matmul))
}

/** The sums of a value of a trace times a matrix that is known, which is given as a layer has it, [out, in]. */
function tracedProduct(
  node: OnnxNode,
  left: Tensor,
  right: Tensor,
  zero: nd.NdArray | undefined,
  bias?: Float64Array,
): Tensor {
  if (isSymbolic(right) || right.shape.length !== 2)
    throw node.unsupported('a second factor but a matrix is for run() only')
  const most = widest(zero?.type ?? uint8, Number(zero?.values[0] ?? 0))
  return tracedSums(node, { weight: permute(right, [1, 0]), bias }, most, (part) =>
    linear(left, part.weight, biasOf(part.bias)),
  )
}

const QLinearMatMul: Read = (node) => (inputs) => {
  const [a, b, zero] = [required(node, inputs, 0), required(node, inputs, 3), zeroOf(node, inputs[7])]
  const factors = factorsOf(
    node,
    required(node, inputs, 1),
    required(node, inputs, 4),
    required(node, inputs, 6),
  )
  const { left, right, count } = sumsOf(node, a, inputs[2], b, inputs[5])
  if (isSymbolic(left) || isSymbolic(right)) {
    const sums = tracedProduct(node, left, right, zeroOf(node, inputs[2]))
    const scaled = mul(sums, new Tensor(factors, [factors.length]))
    return requantized(scaled, zero && nd.toTensor(asFloats(zero)), zero?.type ?? uint8)
  }
  const product = exactProduct(left, right, count, matmul)
  return rescaled(product, factors, product.shape.length - 1, zero)
}

/** A · B + C of integers, C in units of both scales; the result is quantized, or floats where it has no scale. */
const QGemm: Read = (node) => {
  const alpha = node.float('alpha', 1)
  const [transA, transB] = [node.flag('transA', false), node.flag('transB', false)]
  return (inputs) => {
    const a = centred(node, required(node, inputs, 0), inputs[2], 1)
    const b = centred(node, required(node, inputs, 3), inputs[5], transB ? 0 : 1)
    const [zero, y] = [zeroOf(node, inputs[8]), inputs[7]]
    if (a.shape.length !== 2 || b.shape.length !== 2) {
      throw node.error('ERR_SHAPE', `${formatShape(a.shape)} and ${formatShape(b.shape)} are no matrices`)
    }
    if (transA && isSymbolic(a)) throw node.unsupported('attribute transA=1 would mix the images of a batch')
    const [left, right] = [transA ? permute(a, [1, 0]) : a, transB ? permute(b, [1, 0]) : b]
    const outputs = right.shape[1] ?? 1
    const given = inputs[6] && quantizedOf(node, inputs[6], 'C')
    const bias = given && Float64Array.from(given.values as Int32Array)
    if (bias && bias.length !== outputs) {
      throw node.error(
        'ERR_SHAPE',
        `C of ${formatShape(given.shape)} is not one number for each of ${outputs} columns`,
      )
    }
    const unit = nd.filled(float32, [], y ? (scalesOf(node, y)[0] ?? 1) : 1)
    const products = factorsOf(node, required(node, inputs, 1), required(node, inputs, 4), unit)
    const factors = products.map((one) => Math.fround(one * alpha))
    if (isSymbolic(left) || isSymbolic(right)) {
      const scaled = mul(
        tracedProduct(node, left, right, zeroOf(node, inputs[2]), bias),
        new Tensor(factors, [factors.length]),
      )
      return y ? requantized(scaled, zero && nd.toTensor(asFloats(zero)), zero?.type ?? uint8) : scaled
    }
    const product = exactProduct(left, right, left.shape[1] ?? 1, matmul)
    if (bias) {
      product.sums.forEach((one, i) => {
        product.sums[i] = one + (bias[i % outputs] ?? 0)
      })
    }
    return y ? rescaled(product, factors, 1, zero) : floatsOf(product, factors)
  }
}

/** Sums times a factor, one or one for each of the last dimension. */
function floatsOf(
  { shape, sums }: { shape: readonly number[]; sums: Float64Array },
  factors: Float32Array,
): Tensor {
  return new Tensor(
    Float32Array.from(sums, (one, i) => Math.fround(one) * (factors[i % factors.length] ?? 1)),
    shape,
  )
}

/** A · B of integers as floats: A, B, their scales, their zero points, a bias. */
const MatMulIntegerToFloat: Read = (node) => (inputs) => {
  const { left, right, count } = sumsOf(
    node,
    required(node, inputs, 0),
    inputs[4],
    required(node, inputs, 1),
    inputs[5],
  )
  const one = nd.filled(float32, [], 1)
  const factors = factorsOf(node, required(node, inputs, 2), required(node, inputs, 3), one)
  const product =
    isSymbolic(left) || isSymbolic(right)
      ? mul(tracedProduct(node, left, right, zeroOf(node, inputs[4])), new Tensor(factors, [factors.length]))
      : floatsOf(exactProduct(left, right, count, matmul), factors)
  return inputs[6] ? add(product, tensorOf(inputs[6], node)) : product
}

export const integerProducts: Family = {
  operators: {
    ConvInteger: { read: ConvInteger, type: () => int32 },
    MatMulInteger: { read: MatMulInteger, type: () => int32 },
    'com.microsoft.MatMulIntegerToFloat': { read: MatMulIntegerToFloat, type: () => float32 },
    'com.microsoft.QGemm': {
      read: QGemm,
      type: (_node, _output, input) => (input(7) ? (input(8) ?? input(0)) : float32),
    },
    QLinearConv: { read: QLinearConv, type: (_node, _output, input) => input(7) },
    QLinearMatMul: { read: QLinearMatMul, type: (_node, _output, input) => input(7) },
  },
}
