/**
 * Arithmetic on two tensors, or a tensor and a number. Shapes broadcast as PyTorch's: aligned at the last dimension,
 * a dimension of 1 is repeated. In a trace a tensor with values is a constant of the graph.
 */
import { operation } from '../graph/definition.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { binary, broadcastMisfit, type Operand } from './broadcast.ts'

export type { Operand }

const two = (op: string) => operation(op, { inputs: 2, misfit: broadcastMisfit(op) })
const [added, subtracted, multiplied, divided] = [two('add'), two('sub'), two('mul'), two('div')]

/** `a + b`, `torch.add`. */
export function add(a: Operand, b: Operand): Tensor {
  return binary('add', added, a, b)
}

/** `a − b`, `torch.sub`. */
export function sub(a: Operand, b: Operand): Tensor {
  return binary('sub', subtracted, a, b)
}

/** `a · b`, `torch.mul`. */
export function mul(a: Operand, b: Operand): Tensor {
  return binary('mul', multiplied, a, b)
}

/** `a / b`, `torch.div`. */
export function div(a: Operand, b: Operand): Tensor {
  return binary('div', divided, a, b)
}
