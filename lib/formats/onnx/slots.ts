/** Where operators read weights, and how they hold them. */
import { elements, formatShape } from '../../tensor/shape.ts'
import { broadcastTo, type NdArray, transpose } from './array.ts'
import type { OnnxNode } from './node.ts'

/** How a layer holds what the model has: moved, and multiplied. */
export interface Form {
  /** The same for forms that are the same. */
  readonly key: string
  readonly lay: (array: NdArray) => NdArray
  readonly factor: number
}

export interface Slot {
  /**
   * layer: a weight, wherever its numbers come from; arithmetic: one that may be but a number in a formula;
   * statistic: a mean or variance, which is no weight but belongs to the state.
   */
  readonly kind: 'layer' | 'arithmetic' | 'statistic'
  readonly form: Form
}

const asIs: Form = { key: '', lay: (array) => array, factor: 1 }
export const layer: Slot = { kind: 'layer', form: asIs }
export const statistic: Slot = { kind: 'statistic', form: asIs }
const arithmetic: Slot = { kind: 'arithmetic', form: asIs }

/** A matrix of the model, [out, in] where it is not `turned`, as `linear` takes it. */
export function matrix(shape: readonly number[], turned: boolean, factor: number): Slot | undefined {
  const moved = turned && shape.length === 2
  return scaled(moved ? { key: 'turned', lay: (array) => transpose(array, [1, 0]), factor: 1 } : asIs, factor)
}

/** A layer has a bias for each of its outputs, also where the model has one for all. */
export function bias(
  shape: readonly number[],
  outputs: number | undefined,
  factor: number,
): Slot | undefined {
  const count = elements(shape)
  const fits = count === 1 || (count === outputs && shape.at(-1) === count)
  if (outputs === undefined || !fits) return scaled(asIs, factor)
  const lay = (array: NdArray) => broadcastTo({ ...array, shape: [count] }, [outputs])
  return scaled({ key: `for ${outputs}`, lay, factor: 1 }, factor)
}

/** What is multiplied by nothing is no weight. */
function scaled(form: Form, factor: number): Slot | undefined {
  if (factor === 0) return undefined
  const key = factor === 1 ? form.key : `${form.key}·${factor}`
  return { kind: 'layer', form: { ...form, key, factor } }
}

/** One slope a channel, [channels, 1, 1], is held as PyTorch has it. */
export function slopes(shape: readonly number[]): Slot {
  const key = formatShape(shape)
  const flat = shape.length > 1 && elements(shape) === shape[0]
  const lay = (array: NdArray) => (flat ? { ...array, shape: array.shape.slice(0, 1) } : array)
  return { kind: 'layer', form: { key, lay, factor: 1 } }
}

/** The shape of an input in the model, where it is known. */
type ShapeOf = (index: number) => readonly number[] | undefined

/** What input `index` of a node, of this shape in the model, is to training; undefined: nothing. */
export type FindSlot = (
  node: OnnxNode,
  index: number,
  shape: readonly number[],
  shapeOf: ShapeOf,
) => Slot | undefined

/** Any input may be a weight, or but a number in a formula. */
export const anywhere: FindSlot = () => arithmetic
