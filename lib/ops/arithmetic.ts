/**
 * Arithmetic on two tensors, or a tensor and a number. Shapes broadcast as PyTorch's: aligned at the last dimension,
 * a dimension of 1 is repeated. In a trace a tensor with values is a constant of the graph.
 */
import { apply, checkTensor } from '../graph/apply.ts'
import type { Operation } from '../graph/operation.ts'
import { Tensor } from '../tensor/tensor.ts'

/** What can stand on either side; one of the two is a Tensor. */
export type Operand = Tensor | number

/** `a + b`, `torch.add`. */
export function add(a: Operand, b: Operand): Tensor {
  return binary('add', a, b)
}

/** `a − b`, `torch.sub`. */
export function sub(a: Operand, b: Operand): Tensor {
  return binary('sub', a, b)
}

/** `a · b`, `torch.mul`. */
export function mul(a: Operand, b: Operand): Tensor {
  return binary('mul', a, b)
}

/** `a / b`, `torch.div`. */
export function div(a: Operand, b: Operand): Tensor {
  return binary('div', a, b)
}

function binary(op: Operation['op'], a: Operand, b: Operand): Tensor {
  const scalar = (value: Operand) =>
    typeof value === 'number' ? new Tensor(Float32Array.of(value), []) : value
  const left = typeof b === 'number' ? checkTensor(op, a) : scalar(a)
  return apply({ op }, [left, scalar(b)])
}
