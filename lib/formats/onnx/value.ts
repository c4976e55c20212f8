/** What flows from node to node: tensors, real or of a trace, and arrays that are known without an image. */
import { SymbolicTensor } from '../../graph/graph.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { fromTensor, type NdArray, toTensor } from './array.ts'
import type { OnnxNode } from './node.ts'

export type Value = Tensor | NdArray

/** What one run of a model is about. */
export interface Run {
  /** Images of the batch; 1 in a trace. */
  readonly batch: number
  /** The batch that the model was exported with, where it is a number: shapes in the model may hold it. */
  readonly declaredBatch: number | undefined
  /**
   * Weights that are held as a layer of ours holds them, with the shape they have in the model: the matrices of
   * Gemm and MatMul [out, in] for [in, out], the slopes of PRelu [channels] for [channels, 1, 1].
   */
  readonly held: ReadonlyMap<Value, readonly number[]>
}

/** A node made ready: from its inputs (undefined: left out) to its outputs, or the only one. */
export type Step = (inputs: readonly (Value | undefined)[], run: Run) => Value | readonly Value[]

/** Reads the attributes of a node, once, when the model is loaded. */
export type Operator = (node: OnnxNode) => Step

/** Whether the values are not there yet: the stand-in of a trace. */
export function isSymbolic(value: Value | undefined): value is SymbolicTensor {
  return value instanceof SymbolicTensor
}

/** An input that must be there. */
export function required(node: OnnxNode, inputs: readonly (Value | undefined)[], index: number): Value {
  const value = inputs[index]
  if (value !== undefined) return value
  throw node.error('ERR_FORMAT', `input ${index} is missing`)
}

/** A value as a tensor. */
export function tensorOf(value: Value): Tensor {
  return value instanceof Tensor ? value : toTensor(value)
}

/** A value whose numbers are needed. */
export function arrayOf(node: OnnxNode, value: Value, what = 'an input'): NdArray {
  if (!(value instanceof Tensor)) return value
  if (!isSymbolic(value)) return fromTensor(value)
  throw node.unsupported(
    `${what} is computed from the image, which a compiled model cannot do here; run() can`,
  )
}

/** Whether every value is known and it takes no native operation: integers, or nothing at all. */
export function onlyArrays(values: readonly (Value | undefined)[]): boolean {
  return values.every((value) => !isSymbolic(value)) && values.some((value) => isPlain(value))
}

function isPlain(value: Value | undefined): boolean {
  return (
    value !== undefined && !(value instanceof Tensor) && (value.kind !== 'float' || value.values.length === 0)
  )
}

/** A dimension that may count from the end. */
export function axisOf(node: OnnxNode, axis: number, rank: number): number {
  if (Number.isInteger(axis) && axis >= -rank && axis < Math.max(rank, 1))
    return axis < 0 ? axis + rank : axis
  throw node.error('ERR_SHAPE', `axis ${axis} is outside a tensor of rank ${rank}`)
}

/** Says no to what would change the batch of a compiled model, which keeps images apart. */
export function keepBatch(node: OnnxNode, value: Value, axis: number): void {
  if (axis === 0 && isSymbolic(value)) {
    throw node.unsupported('dimension 0, the batch, stays as it is in a compiled model; run() can change it')
  }
}

/** A list of integers that is an attribute in old models and an input in new ones. */
export function integersOf(node: OnnxNode, value: Value | undefined, what: string): number[] | undefined {
  return value === undefined ? undefined : Array.from(arrayOf(node, value, what).values)
}
