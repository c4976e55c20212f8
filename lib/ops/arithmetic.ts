/**
 * Arithmetic on two tensors, or a tensor and a number. Shapes broadcast as PyTorch's: aligned at the last dimension,
 * a dimension of 1 is repeated. In a trace a tensor with values is a constant of the graph.
 */
import { apply, checkTensor } from '../graph/apply.ts'
import { type Maker, operation, type Place } from '../graph/definition.ts'
import { Tensor } from '../tensor/tensor.ts'

const added = operation('add', twoOf('add'))
const subtracted = operation('sub', twoOf('sub'))
const multiplied = operation('mul', twoOf('mul'))
const divided = operation('div', twoOf('div'))

function twoOf(op: string) {
  return {
    inputs: 2,
    misfit(_: unknown, [a = [], b = []]: readonly (readonly number[])[], place: Place) {
      const [x, y] = [[...a].reverse(), [...b].reverse()]
      if (x.every((one, i) => one === 1 || y[i] === one || (y[i] ?? 1) === 1)) return undefined
      return (
        `${op} expects shapes that are equal, or 1, in every dimension, aligned at the last, but receives ` +
        `${place.origin(0)} and ${place.origin(1)}`
      )
    },
  }
}

/** What can stand on either side; one of the two is a Tensor. */
export type Operand = Tensor | number

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

function binary(op: string, make: Maker<never, never>, a: Operand, b: Operand): Tensor {
  const scalar = (value: Operand) =>
    typeof value === 'number' ? new Tensor(Float32Array.of(value), []) : value
  const left = typeof b === 'number' ? checkTensor(op, a) : scalar(a)
  return apply(make({}), [left, scalar(b)])
}
