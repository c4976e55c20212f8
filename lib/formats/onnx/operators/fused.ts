/** Operators beside ONNX's own: what onnxruntime's optimiser writes for several of them, and scalers of old tools. */
import {
  add,
  clamp,
  gelu,
  hardsigmoid,
  leakyRelu,
  mul,
  permute,
  relu,
  sigmoid,
  sub,
  tanh,
} from '../../../ops/index.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { float32 } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family, Operator } from '../operator.ts'
import { arrayOf, isSymbolic, type Read, required, tensorOf, type Value } from '../value.ts'
import { operand } from './arithmetic.ts'
import { matrices } from './linear.ts'
import { windows } from './window.ts'

/** An operator of ONNX that another one is built on. */
function standard({ operators }: Family, name: string): Operator {
  const row = operators[name]
  return typeof row === 'function' ? { read: row } : (row as Operator)
}

const conv = standard(windows, 'Conv')
const gemm = standard(matrices, 'Gemm')
const matMul = standard(matrices, 'MatMul')

/** The activation at the end, with its parameters in the order of the optimiser's attribute. */
function activationOf(node: OnnxNode): (x: Tensor) => Tensor {
  const name = node.text('activation', '')
  const [alpha, beta] = node.floats('activation_params') ?? [
    ...(node.has('activation_alpha') ? [node.float('activation_alpha', 0)] : []),
    ...(node.has('activation_beta') ? [node.float('activation_beta', 0)] : []),
  ]
  switch (name) {
    case '':
      return (x) => x
    case 'Relu':
      return (x) => relu(x)
    case 'Tanh':
      return (x) => tanh(x)
    case 'Sigmoid':
      return (x) => sigmoid(x)
    case 'LeakyRelu':
      return (x) => leakyRelu(x, alpha ?? 0.01)
    case 'HardSigmoid':
      return (x) => hardsigmoid(x, { alpha: alpha ?? Math.fround(0.2), beta: beta ?? 0.5 })
    case 'Clip':
      return (x) => clamp(x, alpha ?? Number.NEGATIVE_INFINITY, beta ?? Number.POSITIVE_INFINITY)
    default:
      throw node.unsupported(`attribute activation=${name} is not supported`)
  }
}

/** A convolution, a value added to it, and an activation. */
const FusedConv: Read = (node) => {
  const step = conv.read(node)
  const activation = activationOf(node)
  return (inputs, run) => {
    const result = step(inputs.slice(0, 3), run) as Value
    const other = inputs[3]
    const sum = other
      ? (add(operand(node, result, other), operand(node, other, result)) as Tensor)
      : tensorOf(result, node)
    return activation(sum)
  }
}

const FusedGemm: Read = (node) => {
  const step = gemm.read(node)
  const activation = activationOf(node)
  node.ignore('activation_gamma')
  return (inputs, run) => activation(tensorOf(step(inputs, run) as Value, node))
}

/** A product of matrices, either turned before, times a number. */
const FusedMatMul: Read = (node) => {
  const step = matMul.read(node)
  const turned = [node.flag('transA', false), node.flag('transB', false)]
  const alpha = node.float('alpha', 1)
  for (const name of ['transBatchA', 'transBatchB']) {
    if (node.flag(name, false)) throw node.unsupported(`attribute ${name}=1 is not supported`)
  }
  return (inputs, run) => {
    const [a, b] = [0, 1].map((i) => {
      const value = required(node, inputs, i)
      return turned[i] && value.shape.length > 1 ? lastTurned(node, value) : value
    })
    const product = step([a, b], run) as Value
    return alpha === 1 ? product : mul(tensorOf(product, node), alpha)
  }
}

function lastTurned(node: OnnxNode, value: Value): Value {
  const rank = value.shape.length
  const order = value.shape.map((_, d) => (d < rank - 2 ? d : 2 * rank - 3 - d))
  if (isSymbolic(value)) return permute(value, order)
  return nd.transpose(arrayOf(node, value), order)
}

/** A bias that may be left out, and a function of the sum. */
function behindBias(value: (x: Tensor, node: OnnxNode) => Tensor): Read {
  return (node) => (inputs) => {
    const x = required(node, inputs, 0)
    const bias = inputs[1]
    const sum = bias ? add(operand(node, x, bias), operand(node, bias, x)) : tensorOf(x, node)
    return value(sum, node)
  }
}

/** x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))) */
function fastGelu(x: Tensor): Tensor {
  const inner = mul(add(mul(mul(mul(x, x), x), 0.044715), x), Math.sqrt(2 / Math.PI))
  return mul(mul(x, 0.5), add(tanh(inner), 1))
}

const QuickGelu: Read = (node) => {
  const alpha = node.float('alpha', Math.fround(1.702))
  return (inputs) => {
    const x = tensorOf(required(node, inputs, 0), node)
    return mul(x, sigmoid(mul(x, alpha)))
  }
}

/** What images were once brought to numbers with: a factor for all, and a bias for each channel. */
const ImageScaler: Read = (node) => {
  const [scale, bias] = [node.float('scale', 1), node.floats('bias') ?? []]
  return (inputs) => {
    const x = tensorOf(required(node, inputs, 0), node)
    const scaled = scale === 1 ? x : mul(x, scale)
    if (bias.length === 0) return scaled
    const ones = x.shape.slice(2).map(() => 1)
    return add(scaled, new Tensor(Float32Array.from(bias), [bias.length, ...ones]))
  }
}

/** (x − offset) · scale, for each feature or all. */
const Scaler: Read = (node) => {
  const [offset, scale] = [node.floats('offset') ?? [0], node.floats('scale') ?? [1]]
  const row = (numbers: readonly number[]) =>
    numbers.length === 1 ? (numbers[0] as number) : new Tensor(Float32Array.from(numbers), [numbers.length])
  return (inputs) => mul(sub(tensorOf(required(node, inputs, 0), node), row(offset)), row(scale))
}

export const fused: Family = {
  operators: {
    ImageScaler: { read: ImageScaler, isKernel: true },
    'ai.onnx.ml.Scaler': { read: Scaler, isKernel: true, type: () => float32 },
    'com.microsoft.BiasGelu': { read: behindBias((x) => gelu(x)), isKernel: true },
    'com.microsoft.FastGelu': { read: behindBias(fastGelu), isKernel: true },
    'com.microsoft.Gelu': { read: behindBias((x) => gelu(x)), isKernel: true },
    'com.microsoft.QuickGelu': { read: QuickGelu, isKernel: true },
    'com.microsoft.FusedConv': { ...conv, read: FusedConv },
    'com.microsoft.FusedGemm': { ...gemm, read: FusedGemm },
    'com.microsoft.FusedMatMul': { read: FusedMatMul, isKernel: true },
  },
}
