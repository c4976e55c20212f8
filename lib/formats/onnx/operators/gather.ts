/** Gather: slices from places along one dimension that an input names. */
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import type { Scalar } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { picked } from '../pieces.ts'
import { arrayOf, dimensionOf, indicesOf, isSymbolic, keepBatch, type Read, required } from '../value.ts'
import { lookedUp } from './computed-places.ts'
import { reshaped } from './shape.ts'

/** An index that may count from the end. */
export function placeOf(node: OnnxNode, index: Scalar, size: number): number {
  const given = Number(index)
  const at = given < 0 ? given + size : given
  if (at >= 0 && at < size) return at
  throw node.error('ERR_SHAPE', `index ${given} is outside a dimension of ${size}`)
}

const Gather: Read = (node) => {
  const axis = node.int('axis', 0)
  return (inputs, run) => {
    const value = required(node, inputs, 0)
    const at = dimensionOf(node, axis, value)
    const index = required(node, inputs, 1)
    if (isSymbolic(index) && !isSymbolic(value) && at === 0)
      return lookedUp(node, arrayOf(node, value), index)
    const indices = indicesOf(node, index, 'the indices')
    // The one image of a model of one, of which there is one number.
    const only = run.declaredBatch === 1 && value.shape.length === 1 && indices.shape.length === 0
    if (only && isSymbolic(value) && [0, -1].includes(nd.first(indices) as number)) return value
    keepBatch(node, value, at)
    if (!isSymbolic(value)) return nd.gather(arrayOf(node, value), indices, at)
    const shape = [...value.shape.slice(0, at), ...indices.shape, ...value.shape.slice(at + 1)]
    const size = value.shape[at] ?? 0
    spend(indices.values.length)
    const places = Array.from<Scalar, number>(indices.values, (index) => placeOf(node, index, size))
    return reshaped(node, picked(node, value, at, places), shape)
  }
}

export const gathering: Family = { operators: { Gather: { read: Gather, moves: true } } }
