/** What flows from node to node: tensors, real or of a trace, and arrays that are known without an image. */
import { SymbolicTensor } from '../../graph/graph.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import { mostDimensions } from '../dtype.ts'
import { fromTensor, type NdArray, toTensor } from './array.ts'
import { type ElementType, float32 } from './element.ts'
import type { OnnxNode } from './node.ts'

export type Value = Tensor | NdArray

/**
 * A sequence of tensors. To whoever asks for a shape or numbers it is an array of none; only operators of sequences get to
 * see one.
 */
export class Sequence implements NdArray {
  readonly type: ElementType
  readonly shape: readonly number[] = [0]
  readonly values: Float32Array = new Float32Array()
  readonly items: readonly Value[]

  /** @param type of the elements of its tensors */
  constructor(type: ElementType, items: readonly Value[]) {
    this.type = type
    this.items = items
  }
}

/** An optional value that is not there. */
export class Nothing extends Sequence {
  constructor() {
    super(float32, [])
  }
}

/** A shape, and numbers where they are no floats. */
export type Known = Pick<NdArray, 'shape'> & Partial<NdArray>

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
  /** In a trace: what values are for two images, by name, where that can be computed; of tensors the shape alone. */
  readonly ofTwo?: () => ReadonlyMap<string, Known> | undefined
  /** The rows of a matrix lie apart, some for each image, in one dimension more. */
  readonly apart?: boolean
  /** Element types of values in the model, by name: a Tensor may stand for doubles or narrow floats. */
  readonly types: ReadonlyMap<string, ElementType>
}

/** A node made ready: from its inputs (undefined: left out) to its outputs, or the only one. */
export type Step = (inputs: readonly (Value | undefined)[], run: Run) => Value | readonly Value[]

/** Reads the attributes of a node, once, when the model is loaded. */
export type Read = (node: OnnxNode) => Step

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

/** The element type in which a value is held. */
export function typeOf(value: Value): ElementType {
  return Tensor.is(value) ? float32 : value.type
}

/**
 * The one element type of operands. A double beside a float32 tensor is one that a kernel made of doubles: they go on
 * as float32.
 */
export function commonType(node: OnnxNode, values: readonly Value[]): ElementType {
  const types = values.map(typeOf)
  const [type] = types as [ElementType]
  const other = types.find((one) => one !== type)
  if (other === undefined) return type
  if (types.every(({ kind }) => kind === 'float')) return float32
  throw node.error('ERR_FORMAT', `it takes inputs of one type but gets ${type.name} and ${other.name}`)
}

/** A floating-point value as the tensor that kernels take. */
export function tensorOf(value: Value, node?: OnnxNode): Tensor {
  if (Tensor.is(value)) return value
  if (value instanceof Sequence) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      'the result is a sequence of tensors; run() gives it as an array',
    )
  }
  if (value.type.kind === 'float' || node === undefined) return toTensor(value)
  throw node.error('ERR_UNSUPPORTED', `it takes floating-point numbers but gets ${value.type.name}`)
}

/** A value whose numbers are needed. */
export function arrayOf(node: OnnxNode, value: Value, what = 'an input'): NdArray {
  if (!Tensor.is(value)) return value
  if (!isSymbolic(value)) return fromTensor(value)
  throw node.unsupported(
    `${what} is computed from the image, which a compiled model cannot do here; run() can`,
  )
}

/**
 * Whether every value is known and not for a native operation: integers, doubles, or nothing at all. Doubles beside
 * a tensor that a kernel made are float32 from then on.
 */
export function onlyArrays(values: readonly (Value | undefined)[]): boolean {
  const there = values.filter((value) => value !== undefined)
  if (there.some(isSymbolic)) return false
  return (
    there.some((value) => typeOf(value).kind !== 'float' || isEmpty(value)) ||
    there.every((value) => !typeOf(value).single)
  )
}

/** A value of no element. */
export function isEmpty(value: Value): boolean {
  return !Tensor.is(value) && value.values.length === 0
}

/** A dimension that may count from the end. */
export function axisOf(node: OnnxNode, axis: number, rank: number): number {
  if (Number.isInteger(axis) && axis >= -rank && axis < Math.max(rank, 1))
    return axis < 0 ? axis + rank : axis
  throw node.error('ERR_SHAPE', `axis ${axis} is outside a tensor of rank ${rank}`)
}

/** The same of a value that must have dimensions. */
export function dimensionOf(node: OnnxNode, axis: number, value: Value): number {
  if (value.shape.length > 0) return axisOf(node, axis, value.shape.length)
  throw node.error('ERR_SHAPE', 'it takes a tensor of at least one dimension but gets a scalar')
}

/** Says no to what would change the batch of a compiled model, which keeps images apart. */
export function keepBatch(node: OnnxNode, value: Value, axis: number): void {
  if (axis === 0 && isSymbolic(value)) {
    throw node.unsupported('dimension 0, the batch, stays as it is in a compiled model; run() can change it')
  }
}

/** Integers whose numbers are needed. */
export function indicesOf(node: OnnxNode, value: Value, what: string): NdArray {
  const array = arrayOf(node, value, what)
  if (array.type.kind === 'int') return array
  throw node.error('ERR_FORMAT', `${what} must be integers but are ${array.type.name}`)
}

/** A list of integers, such as a shape, that is an attribute in old models and an input in new ones. */
export function integersOf(
  node: OnnxNode,
  value: Value | undefined,
  what: string,
  most: number = 2 * mostDimensions,
): number[] | undefined {
  if (value === undefined) return undefined
  const { values } = indicesOf(node, value, what)
  if (values.length <= most) return Array.from<number | bigint, number>(values, Number)
  throw node.error('ERR_SHAPE', `${what} are ${values.length} numbers; there may be ${most}`)
}
