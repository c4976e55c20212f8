/** What functions of two values share: numbers beside tensors, and why shapes do not broadcast. */
import { apply, checkTensor } from '../graph/apply.ts'
import type { Maker, Place } from '../graph/definition.ts'
import { Tensor } from '../tensor/tensor.ts'

/** What can stand on either side; one of the two is a Tensor. */
export type Operand = Tensor | number

/** Why shapes do not broadcast; undefined where they do. */
export function broadcastMisfit(op: string) {
  return (_: unknown, inputs: readonly (readonly number[])[], place: Place): string | undefined => {
    const turned = inputs.map((shape) => [...shape].reverse())
    const sizes = (d: number) => new Set(turned.map((shape) => shape[d] ?? 1).filter((size) => size !== 1))
    const rank = Math.max(...inputs.map(({ length }) => length))
    if (Array.from({ length: rank }, (_one, d) => sizes(d).size).every((count) => count < 2)) return undefined
    const names = inputs.map((_shape, i) => place.origin(i))
    return (
      `${op} expects shapes that are equal, or 1, in every dimension, aligned at the last, but receives ` +
      names.join(' and ')
    )
  }
}

/** Makes an operation of two, of which a number is a tensor without dimensions. */
export function binary(op: string, make: Maker<never, never>, a: Operand, b: Operand): Tensor {
  const left = typeof b === 'number' ? checkTensor(op, a) : scalar(a)
  return apply(make({}), [left, scalar(b)])
}

/** A number as a tensor without dimensions. */
export function scalar(value: Operand): Tensor {
  return typeof value === 'number' ? new Tensor(Float32Array.of(value), []) : value
}
