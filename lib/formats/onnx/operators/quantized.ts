/**
 * onnxruntime's operators of quantized values, which QOperator models are made of: sums, products, pools and functions of
 * what bytes stand for, stored as bytes again. What stands between is float32, the same under run and compiled.
 */
import { add, cat, div, leakyRelu, mean, mul, permute, sigmoid, softmax } from '../../../ops/index.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import type { ElementType } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family, Operator } from '../operator.ts'
import { dimensionOf, isSymbolic, keepBatch, type Read, type Run, required, type Value } from '../value.ts'
import { operand } from './arithmetic.ts'
import { centred, quantization, requantized, scalesOf, stored, uint8 } from './quantize.ts'
import { windows } from './window.ts'

type Inputs = readonly (Value | undefined)[]

function scaleOf(node: OnnxNode, inputs: Inputs, i: number): number {
  const [scale, ...more] = scalesOf(node, required(node, inputs, i))
  if (scale !== undefined && more.length === 0) return scale
  throw node.unsupported('scales that differ along a dimension are not supported')
}

/** What the value at input `i` stands for; its scale and zero point come behind it. */
function numbersAt(node: OnnxNode, inputs: Inputs, i: number): Tensor {
  return mul(centred(node, required(node, inputs, i), inputs[i + 2], 1), scaleOf(node, inputs, i + 1))
}

/** Numbers in units of the scale as they are stored. */
function storedAs(node: OnnxNode, x: Tensor, zero: Value | undefined, run: Run): Value {
  const known = zero && !Tensor.is(zero) ? zero.type : run.types.get(node.outputs[0] ?? '')
  const type: ElementType = known ?? uint8
  const offset = zero && centred(node, zero, undefined, 0)
  if (isSymbolic(x)) return requantized(x, offset, type)
  const from = x.data
  const result = nd.allocate(type, x.shape)
  const to = result.values as Int8Array
  for (let i = 0; i < to.length; i++) to[i] = stored(from[i] ?? 0, offset?.data[0] ?? 0, type)
  return result
}

/** A function of the numbers that one value stands for: value, scale, zero point; scale and zero point of the result. */
function ofOne(make: (node: OnnxNode) => (x: Tensor, run: Run) => Tensor): Operator {
  const read: Read = (node) => {
    const compute = make(node)
    return (inputs, run) => {
      const y = compute(numbersAt(node, inputs, 0), run)
      return storedAs(node, div(y, scaleOf(node, inputs, 3)), inputs[4], run)
    }
  }
  return { read }
}

/** The same of a mean: it is one of integers, and then times one factor. */
function ofMean(make: (node: OnnxNode) => (x: Tensor, run: Run) => Tensor): Operator {
  const read: Read = (node) => {
    const compute = make(node)
    return (inputs, run) => {
      const y = compute(centred(node, required(node, inputs, 0), inputs[2], 1), run)
      const factor = Math.fround(scaleOf(node, inputs, 1) / scaleOf(node, inputs, 3))
      return storedAs(node, mul(y, factor), inputs[4], run)
    }
  }
  return { read }
}

/** Sums are of the numbers; the product is one of integers, and then times one factor. */
const QLinearAdd: Read = (node) => (inputs, run) => {
  const [a, b] = [numbersAt(node, inputs, 0), numbersAt(node, inputs, 3)]
  const sum = add(operand(node, a, b), operand(node, b, a))
  return storedAs(node, div(sum, scaleOf(node, inputs, 6)), inputs[7], run)
}

const QLinearMul: Read = (node) => (inputs, run) => {
  const [a, b] = [0, 3].map((i) => centred(node, required(node, inputs, i), inputs[i + 2], 1)) as [
    Tensor,
    Tensor,
  ]
  const [left, right, result] = [1, 4, 6].map((i) => scaleOf(node, inputs, i)) as [number, number, number]
  const product = mul(operand(node, a, b), operand(node, b, a))
  return storedAs(node, mul(product, Math.fround(Math.fround(left * right) / result)), inputs[7], run)
}

/** Scale and zero point of the result, then each part with its own. */
const QLinearConcat: Read = (node) => {
  const axis = node.int('axis', 1)
  return (inputs, run) => {
    if (inputs.length < 5 || inputs.length % 3 !== 2) {
      throw node.error(
        'ERR_FORMAT',
        `it takes values with a scale and a zero point each but has ${inputs.length} inputs`,
      )
    }
    const first = required(node, inputs, 2)
    const at = dimensionOf(node, axis, first)
    const parts: Tensor[] = []
    for (let i = 2; i < inputs.length; i += 3) parts.push(numbersAt(node, inputs, i))
    for (const part of parts) keepBatch(node, part, at)
    return storedAs(node, div(cat(parts, at), scaleOf(node, inputs, 0)), inputs[1], run)
  }
}

/** A pool of ONNX; images may have their channels last. */
function pool(name: string): Operator {
  const row = windows.operators[name] as Read | Operator
  const read = typeof row === 'function' ? row : row.read
  return ofMean((node) => {
    const step = read(node)
    const last = node.flag('channels_last', false)
    return (x, run) => {
      if (!last) return step([x], run) as Tensor
      const rank = x.shape.length
      const dims = Array.from({ length: rank }, (_, d) => d)
      const first = permute(
        x,
        dims.map((d) => (d === 0 ? 0 : d === 1 ? rank - 1 : d - 1)),
      )
      return permute(
        step([first], run) as Tensor,
        dims.map((d) => (d === 0 ? 0 : d === rank - 1 ? 1 : d + 1)),
      )
    }
  })
}

/** Before opset 13 over all dimensions from `axis` on. */
const QLinearSoftmax = ofOne((node) => {
  const [axis, opset] = [node.int('axis', -1), node.int('opset', 13)]
  return (x) => {
    const at = dimensionOf(node, axis, x)
    if (opset < 13 && at !== x.shape.length - 1) {
      throw node.unsupported(`attribute axis=${axis} with opset=${opset} is not supported`)
    }
    keepBatch(node, x, at)
    return softmax(x, at)
  }
})

const QLinearReduceMean = ofMean((node) => {
  const [axes, keepdim] = [node.ints('axes'), node.flag('keepdims', true)]
  return (x) => {
    const dims = axes?.map((axis) => dimensionOf(node, axis, x)) ?? x.shape.map((_, d) => d)
    for (const one of dims) keepBatch(node, x, one)
    return mean(x, dims, { keepdim })
  }
})

/** Of the type of the zero point, or of the first value. */
const typeBy =
  (zero: number): NonNullable<Operator['type']> =>
  (_node, _output, input) =>
    input(zero) ?? input(0)

export const quantized: Family = {
  operators: {
    'com.microsoft.QLinearAdd': { read: QLinearAdd, type: typeBy(7) },
    'com.microsoft.QLinearMul': { read: QLinearMul, type: typeBy(7) },
    'com.microsoft.QLinearConcat': {
      read: QLinearConcat,
      type: (_node, _output, input) => input(1) ?? input(2),
    },
    'com.microsoft.QLinearAveragePool': { ...pool('AveragePool'), type: typeBy(4) },
    'com.microsoft.QLinearGlobalAveragePool': { ...pool('GlobalAveragePool'), type: typeBy(4) },
    'com.microsoft.QLinearLeakyRelu': {
      ...ofOne((node) => {
        const alpha = node.float('alpha', Math.fround(0.01))
        return (x) => leakyRelu(x, alpha)
      }),
      type: typeBy(4),
    },
    'com.microsoft.QLinearReduceMean': { ...QLinearReduceMean, type: typeBy(4) },
    'com.microsoft.QLinearSigmoid': { ...ofOne(() => (x) => sigmoid(x)), type: typeBy(4) },
    'com.microsoft.QLinearSoftmax': { ...QLinearSoftmax, type: typeBy(4) },
    'com.microsoft.DequantizeLinear': quantization.operators.DequantizeLinear as Operator,
    'com.microsoft.QuantizeLinear': quantization.operators.QuantizeLinear as Operator,
  },
}
