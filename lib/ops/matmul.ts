/** Products of two tensors, neither of which is a layer's weight. */
import { apply, checkTensor } from '../graph/apply.ts'
import { operation } from '../graph/definition.ts'
import { SymbolicTensor } from '../graph/graph.ts'
import { elements, formatShape } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { reshape } from './movement.ts'

const product = operation('matmul', {
  inputs: 2,
  needs: ['size'],
  derived: (_operation, input) => ({ size: input.slice(-1) }),
  misfit: (_operation, _inputs, place) =>
    `matmul expects [..., rows, inner] and [..., inner, columns], which broadcast before the matrices, but receives ` +
    `${place.origin(0)} and ${place.origin(1)}`,
  macs: ({ size: [inner = 1] }, shape) => inner * elements(shape),
})

/**
 * Matrix product, `torch.matmul`: [..., rows, inner] · [..., inner, columns] → [..., rows, columns]. What comes before
 * the matrices broadcasts. A tensor of one dimension is a row on the left, a column on the right, and leaves no
 * dimension behind. In a trace a tensor with values is the same for every image.
 * @example matmul(new Tensor(Float32Array.of(1, 2, 3, 4), [2, 2]), new Tensor(Float32Array.of(1, 0, 1, 1), [2, 2])) // → [[3, 2], [7, 4]]
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  const [left, right] = [checkTensor('matmul', a), checkTensor('matmul', b)]
  if (left.shape.length === 0 || right.shape.length === 0) throw misfit('matmul', left, right)
  // One row an image, which a matrix turns into another.
  const single = left instanceof SymbolicTensor && left.shape.length === 2 && right.shape.length <= 2
  if (
    [left, right].some(
      (one) => one instanceof SymbolicTensor && one.shape.length < 3 && !(single && one === left),
    )
  ) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `matmul: ${formatShape(left.shape)} by ${formatShape(right.shape)} would mix the images of a batch, which a ` +
        'compiled model keeps apart: each needs a matrix of its own, [n, rows, columns]',
    )
  }
  if (single) {
    const rows = matmul(reshape(left, [left.shape[0] ?? 1, 1, left.shape[1] ?? 1]), right)
    return reshape(rows, [left.shape[0] ?? 1, ...rows.shape.slice(2)])
  }
  const [row, column] = [left.shape.length === 1, right.shape.length === 1]
  const result = apply(product({ size: left.shape.slice(-1) }), [
    row ? new Tensor(left.data, [1, ...left.shape]) : left,
    column ? new Tensor(right.data, [...right.shape, 1]) : right,
  ])
  if (!row && !column) return result
  const { shape } = result
  const kept = [
    ...shape.slice(0, -2),
    ...(row ? [] : shape.slice(-2, -1)),
    ...(column ? [] : shape.slice(-1)),
  ]
  return result instanceof SymbolicTensor ? reshape(result, kept) : new Tensor(result.data, kept)
}

/**
 * Product of two stacks of matrices, `torch.bmm`: [n, rows, inner] · [n, inner, columns] → [n, rows, columns].
 *
 * @throws KerneletError `ERR_SHAPE` for other shapes, which `matmul` may take
 * @example bmm(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 2, 2]), new Tensor(Float32Array.of(1, 0, 1, 1), [1, 2, 2])) // → [[[3, 2], [7, 4]]]
 */
export function bmm(a: Tensor, b: Tensor): Tensor {
  const [left, right] = [checkTensor('bmm', a), checkTensor('bmm', b)]
  const fit = left.shape.length === 3 && right.shape.length === 3 && left.shape[0] === right.shape[0]
  if (!fit) throw misfit('bmm', left, right)
  return matmul(left, right)
}

function misfit(name: string, a: Tensor, b: Tensor): KerneletError {
  const forms =
    name === 'bmm' ? '[n, rows, inner] and [n, inner, columns]' : 'tensors of one dimension or more'
  return new KerneletError(
    'ERR_SHAPE',
    `${name} expects ${forms} but receives ${formatShape(a.shape)} and ${formatShape(b.shape)}`,
  )
}
