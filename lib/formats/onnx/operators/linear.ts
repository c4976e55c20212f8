/** Matrix products. */
import { add, linear, mul, permute, reshape } from '../../../ops/functional.ts'
import { elements, formatShape, sameShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import type { OnnxNode } from '../node.ts'
import { isSymbolic, type Operator, type Run, required, tensorOf, type Value } from '../value.ts'

/** A matrix [in, out] as `linear` takes it, [out, in]. */
function outIn(value: Value, run: Run): Tensor {
  const tensor = tensorOf(value)
  return run.held.has(tensor) ? tensor : nd.toTensor(nd.transpose(nd.fromTensor(tensor), [1, 0]))
}

/** `alpha · A · B + beta · C` */
const Gemm: Operator = (node) => {
  const [alpha, beta] = [node.float('alpha', 1), node.float('beta', 1)]
  const [transA, transB] = [node.flag('transA', false), node.flag('transB', false)]
  // C broadcasts as it does since opset 7.
  if (node.opset < 7) node.ignore('broadcast')
  return (inputs, run) => {
    const [a, b] = [tensorOf(required(node, inputs, 0)), tensorOf(required(node, inputs, 1))]
    const c = inputs[2] ? tensorOf(inputs[2]) : undefined
    checkMatrix(node, a)
    checkMatrix(node, b)
    if (isSymbolic(b)) throw node.unsupported('a matrix B that is computed from the image is for run() only')
    const x = transA ? transposed(node, a) : a
    const weight = transB ? b : outIn(b, run)
    const out = weight.shape[0] as number
    const bias = c && biasOf(c, out)
    if (alpha === 1 && (bias === undefined || beta === 1)) {
      return c && !bias ? addScaled(linear(x, weight), c, beta) : linear(x, weight, bias)
    }
    const product = linear(x, alpha === 1 ? weight : scaled(weight, alpha), bias && scaled(bias, beta))
    return c && !bias ? addScaled(product, c, beta) : product
  }
}

function checkMatrix(node: OnnxNode, { shape }: Tensor): void {
  if (shape.length !== 2) throw node.error('ERR_SHAPE', `${formatShape(shape)} is no matrix`)
}

function transposed(node: OnnxNode, a: Tensor): Tensor {
  if (isSymbolic(a)) throw node.unsupported('attribute transA=1 would mix the images of a batch')
  return nd.toTensor(nd.transpose(nd.fromTensor(a), [1, 0]))
}

/** C as one number for each column, where it is the same in every row. */
function biasOf(c: Tensor, out: number): Tensor | undefined {
  if (isSymbolic(c)) return undefined
  if (sameShape(c.shape, [out])) return c
  if (elements(c.shape.slice(0, -1)) !== 1) return undefined
  const count = c.shape.at(-1) ?? 1
  if (count === out) return new Tensor(c.data, [out])
  return count === 1 ? new Tensor(new Float32Array(out).fill(c.data[0] as number), [out]) : undefined
}

function scaled(tensor: Tensor, factor: number): Tensor {
  return factor === 1
    ? tensor
    : new Tensor(
        tensor.data.map((value) => value * factor),
        tensor.shape,
      )
}

function addScaled(product: Tensor, c: Tensor, beta: number): Tensor {
  return add(product, beta === 1 ? c : mul(c, beta))
}

/** NumPy's matmul. A third input is the bias of a linear layer, of which `joinBiases` made one node. */
const MatMul: Operator = (node) => (inputs, run) => {
  const [a, b] = [tensorOf(required(node, inputs, 0)), tensorOf(required(node, inputs, 1))]
  if (isSymbolic(b)) {
    throw node.unsupported('a second factor that is computed from the image is for run() only')
  }
  const inner = b.shape.length === 1 ? b.shape[0] : run.held.has(b) ? b.shape.at(-1) : b.shape.at(-2)
  if (a.shape.length === 0 || b.shape.length === 0 || a.shape.at(-1) !== inner) {
    throw node.error('ERR_SHAPE', `${formatShape(a.shape)} and ${formatShape(b.shape)} cannot be multiplied`)
  }
  if (b.shape.length === 2) return linear(a, outIn(b, run), inputs[2] && tensorOf(inputs[2]))
  if (b.shape.length === 1) {
    const product = linear(a, new Tensor(b.data, [1, b.shape[0] as number]))
    return reshape(product, a.shape.slice(0, -1))
  }
  if (isSymbolic(a)) throw node.unsupported('a second factor of more than two dimensions is for run() only')
  return stacks(nd.fromTensor(a), nd.fromTensor(b))
}

/** Products of two stacks of matrices, which broadcast. */
function stacks(a: nd.NdArray, b: nd.NdArray): Tensor {
  const left = a.shape.length === 1 ? { ...a, shape: [1, ...a.shape] } : a
  const [rows, inner] = left.shape.slice(-2) as [number, number]
  const columns = b.shape.at(-1) as number
  const stack = nd.broadcastShapes([left.shape.slice(0, -2), b.shape.slice(0, -2)])
  const lefts = nd.broadcastTo(left, [...stack, rows, inner]).values as Float32Array
  const rights = nd.broadcastTo(b, [...stack, inner, columns]).values as Float32Array
  const result = nd.allocate('float', [...stack, rows, columns])
  for (let i = 0; i < elements(stack); i++) {
    const x = new Tensor(lefts.subarray(i * rows * inner, (i + 1) * rows * inner), [rows, inner])
    const y = new Tensor(rights.subarray(i * inner * columns, (i + 1) * inner * columns), [inner, columns])
    result.values.set(linear(x, permute(y, [1, 0])).data, i * rows * columns)
  }
  return nd.toTensor(a.shape.length === 1 ? { ...result, shape: [...stack, columns] } : result)
}

export const linearOperators: Readonly<Record<string, Operator>> = { Gemm, MatMul }
