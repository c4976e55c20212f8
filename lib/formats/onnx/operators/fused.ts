/** Operators of com.microsoft that onnxruntime's optimiser writes for several of ONNX. */
import { add, clamp, hardsigmoid, leakyRelu, mul, permute, relu, sigmoid, tanh } from '../../../ops/index.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
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

export const fused: Family = {
  operators: {
    'com.microsoft.FusedConv': { ...conv, read: FusedConv },
    'com.microsoft.FusedGemm': { ...gemm, read: FusedGemm },
    'com.microsoft.FusedMatMul': { read: FusedMatMul, isKernel: true },
  },
}
