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

/**
 * `a + b`, `torch.add`.
 * @example add(new Tensor(Float32Array.of(1, 2, 3, 4), [2, 2]), new Tensor(Float32Array.of(10, 20), [2])) // → [[11, 22], [13, 24]]
 */
export function add(a: Operand, b: Operand): Tensor {
  return binary('add', added, a, b)
}

/**
 * `a − b`, `torch.sub`.
 * @example sub(new Tensor(Float32Array.of(1, 5, 3), [3]), new Tensor(Float32Array.of(2, 5, 1), [3])) // → [-1, 0, 2]
 */
export function sub(a: Operand, b: Operand): Tensor {
  return binary('sub', subtracted, a, b)
}

/**
 * `a · b`, `torch.mul`.
 * @example mul(new Tensor(Float32Array.of(1, 5, 3), [3]), new Tensor(Float32Array.of(2, 5, 1), [3])) // → [2, 25, 3]
 */
export function mul(a: Operand, b: Operand): Tensor {
  return binary('mul', multiplied, a, b)
}

/**
 * `a / b`, `torch.div`.
 * @example div(new Tensor(Float32Array.of(1, 5, 3), [3]), 2) // → [0.5, 2.5, 1.5]
 */
export function div(a: Operand, b: Operand): Tensor {
  return binary('div', divided, a, b)
}
