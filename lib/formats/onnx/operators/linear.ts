/** Matrix products. */
import { add, linear, matmul, mul, permute, reshape } from '../../../ops/index.ts'
import { elements, formatShape, sameShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { float32, type Scalar } from '../element.ts'
import type { Write } from '../graph-writer.ts'
import type { OnnxNode } from '../node.ts'
import { type Family, same } from '../operator.ts'
import { bias, type FindSlot, layer, matrix } from '../slots.ts'
import {
  arrayOf,
  commonType,
  isEmpty,
  isSymbolic,
  onlyArrays,
  type Read,
  type Run,
  required,
  tensorOf,
  typeOf,
} from '../value.ts'

/** A matrix [in, out] as `linear` takes it, [out, in]. */
function outIn(tensor: Tensor, run: Run): Tensor {
  return run.held.has(tensor) ? tensor : nd.toTensor(nd.transpose(nd.fromTensor(tensor), [1, 0]))
}

/** `alpha · A · B + beta · C` */
const Gemm: Read = (node) => {
  const [alpha, beta] = [node.float('alpha', 1), node.float('beta', 1)]
  const [transA, transB] = [node.flag('transA', false), node.flag('transB', false)]
  // C broadcasts as it does since opset 7.
  if (node.opset < 7) node.ignore('broadcast')
  return (inputs, run) => {
    const [a, b] = [tensorOf(required(node, inputs, 0), node), tensorOf(required(node, inputs, 1), node)]
    const c = inputs[2] ? tensorOf(inputs[2], node) : undefined
    checkMatrix(node, a, run.apart ? 3 : 2)
    checkMatrix(node, b)
    if (isSymbolic(b))
      throw node.unsupported(
        'a matrix B that is computed from the image would mix the images of a batch; run() can',
      )
    const x = transA ? transposed(node, a) : a
    // A weight is held as the layer has it, alpha and beta in it.
    const weight = run.held.has(b) ? b : scaled(transB ? b : outIn(b, run), alpha)
    const bias = c && biasOf(c, weight.shape[0] ?? 0)
    const [own, factor] = [bias ?? c, c && run.held.has(c) ? 1 : beta]
    if (!own || bias) return linear(x, weight, own && scaled(own, factor))
    return add(linear(x, weight), factor === 1 ? own : mul(own, factor))
  }
}

function checkMatrix(node: OnnxNode, { shape }: Tensor, rank = 2): void {
  if (shape.length !== rank) throw node.error('ERR_SHAPE', `${formatShape(shape)} is no matrix`)
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
  return count === out ? new Tensor(c.data, [out]) : undefined
}

function scaled(tensor: Tensor, factor: number): Tensor {
  return factor === 1
    ? tensor
    : new Tensor(
        tensor.data.map((value) => value * factor),
        tensor.shape,
      )
}

/** NumPy's matmul. A third input is the bias of a linear layer, of which `joinBiases` made one node. */
const MatMul: Read = (node) => (inputs, run) => {
  const factors = [required(node, inputs, 0), required(node, inputs, 1)] as const
  if (factors.every((value) => typeOf(value).kind !== 'float') && onlyArrays(factors)) {
    commonType(node, factors)
    return integerProduct(node, arrayOf(node, factors[0]), arrayOf(node, factors[1]))
  }
  if (factors.some(isEmpty) && onlyArrays(factors)) {
    const { shape } = stacksOf(node, arrayOf(node, factors[0]), arrayOf(node, factors[1]))
    return nd.filled(float32, shape, 0)
  }
  const [a, b] = [tensorOf(factors[0], node), tensorOf(factors[1], node)]
  if (a.shape.length <= 2 && b.shape.length > 2 && !isSymbolic(a)) return fromLeft(node, a, b)
  if (isSymbolic(b) || b.shape.length > 2) {
    const stack = nd.broadcastShapes([a.shape.slice(0, -2), b.shape.slice(0, -2)])
    spend(40 * elements(stack)) // each is a product of its own
    return matmul(a, b)
  }
  // Only a matrix is held as a layer has it, [out, in].
  const turned = b.shape.length === 1 || (b.shape.length === 2 && run.held.has(b))
  const inner = turned ? b.shape.at(-1) : b.shape.at(-2)
  if (a.shape.length === 0 || b.shape.length === 0 || a.shape.at(-1) !== inner) {
    throw node.error('ERR_SHAPE', `${formatShape(a.shape)} and ${formatShape(b.shape)} cannot be multiplied`)
  }
  if (b.shape.length === 2) return linear(a, outIn(b, run), inputs[2] && tensorOf(inputs[2], node))
  const product = linear(a, new Tensor(b.data, [1, b.shape[0] ?? 0]))
  return reshape(product, a.shape.slice(0, -1))
}

/** A matrix or row times each of many: what a layer makes of the rows of the other, turned. */
function fromLeft(node: OnnxNode, a: Tensor, b: Tensor): Tensor {
  const last = b.shape.length - 1
  if (a.shape.at(-1) !== b.shape[last - 1]) {
    throw node.error('ERR_SHAPE', `${formatShape(a.shape)} and ${formatShape(b.shape)} cannot be multiplied`)
  }
  const turn = (x: Tensor) => permute(x, [...Array(last - 1).keys(), last, last - 1])
  if (a.shape.length === 2) return turn(linear(turn(b), a))
  const row = new Tensor(a.data, [1, a.shape[0] ?? 0])
  return reshape(linear(turn(b), row), [...b.shape.slice(0, last - 1), b.shape[last] ?? 0])
}

/** Two stacks of matrices, which broadcast, and the shape of their products. */
function stacksOf(node: OnnxNode, a: nd.NdArray, b: nd.NdArray) {
  if (
    a.shape.length === 0 ||
    b.shape.length === 0 ||
    a.shape.at(-1) !== b.shape.at(b.shape.length === 1 ? -1 : -2)
  ) {
    throw node.error('ERR_SHAPE', `${formatShape(a.shape)} and ${formatShape(b.shape)} cannot be multiplied`)
  }
  const left = a.shape.length === 1 ? { ...a, shape: [1, ...a.shape] } : a
  const right = b.shape.length === 1 ? { ...b, shape: [...b.shape, 1] } : b
  const [rows = 1, inner = 1] = left.shape.slice(-2)
  const columns = right.shape.at(-1) ?? 1
  const stack = nd.broadcastShapes([left.shape.slice(0, -2), right.shape.slice(0, -2)])
  return {
    lefts: nd.broadcastTo(left, [...stack, rows, inner]).values,
    rights: nd.broadcastTo(right, [...stack, inner, columns]).values,
    sizes: [rows, inner, columns] as const,
    whole: [...stack, rows, columns],
    shape: [...stack, ...(a.shape.length === 1 ? [] : [rows]), ...(b.shape.length === 1 ? [] : [columns])],
  }
}

/** The same of integers, whose sums wrap. */
export function integerProduct(node: OnnxNode, a: nd.NdArray, b: nd.NdArray): nd.NdArray {
  const { lefts, rights, sizes, whole, shape } = stacksOf(node, a, b)
  const [rows, inner, columns] = sizes
  const result = nd.allocate(a.type, whole)
  const { wide } = a.type
  spend(result.values.length * inner * (wide ? 16 : 1))
  for (let at = 0; at < result.values.length; at++) {
    const [row, column] = [Math.floor(at / columns), at % columns]
    const stack = Math.floor(row / rows)
    const [x, y] = [row * inner, stack * inner * columns + column]
    let [sum, wideSum] = [0, 0n]
    for (let k = 0; k < inner; k++) {
      const [p, q] = [lefts[x + k] as Scalar, rights[y + k * columns] as Scalar]
      if (wide) wideSum = BigInt.asIntN(64, wideSum + (p as bigint) * (q as bigint))
      else sum = (sum + Math.imul(p as number, q as number)) | 0
    }
    if (wide) (result.values as BigInt64Array)[at] = wideSum
    else (result.values as Int32Array)[at] = sum
  }
  return { ...result, shape }
}

/** A weight of Gemm, and its bias, as `linear` takes them. */
const gemmSlot: FindSlot = (node, index, shape, shapeOf) => {
  const turned = !node.flag('transB', false)
  if (index === 1) return matrix(shape, turned, node.float('alpha', 1))
  return index === 2 ? bias(shape, shapeOf(1)?.[turned ? 1 : 0], node.float('beta', 1)) : undefined
}

const writeLinear: Write = (to, { node, inputs, shapes, output }) => {
  // Gemm takes matrices only: one row for each image.
  const rows = shapes[0]?.length === 1
  const weight = to.weight(to.weightOf(node), `${node.name}.weight`, rows ? undefined : 'transposed')
  const product = [...inputs, weight]
  const added = node.bias ? [to.weight(node.bias, `${node.name}.bias`)] : []
  if (rows) to.add('Gemm', [...product, ...added], output, { transB: 1 })
  else if (node.bias) to.add('Add', [to.step('MatMul', product, output), ...added], output)
  else to.add('MatMul', product, output)
}

export const matrices: Family = {
  operators: {
    Gemm: { read: Gemm, isKernel: true, slot: gemmSlot },
    MatMul: {
      read: MatMul,
      isKernel: true,
      slot: (_node, index, shape) => (index === 1 ? matrix(shape, true, 1) : layer),
    },
  },
  writers: { linear: writeLinear, matmul: same('MatMul') },
}
