/** Elements moved to places that are known when a model is compiled: slices, joined. */
import { cat } from '../../../ops/index.ts'
import { elements } from '../../../tensor/shape.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { float64 } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import { picked } from '../pieces.ts'
import { type Run, tensorOf, type Value } from '../value.ts'
import { reshaped } from './shape.ts'

/**
 * What an operator that only moves elements, and puts zeros between, makes of values some of which are of a trace.
 *
 * @param move does it to arrays that hold the number of each element's place, from 1 on
 */
export function rearranged(
  node: OnnxNode,
  values: readonly Value[],
  run: Run,
  move: (places: readonly nd.NdArray[]) => nd.NdArray,
): Value {
  onlyOneImage(node, run)
  let next = 1
  const places = values.map((value) => {
    const numbers = nd.allocate(float64, value.shape)
    for (let i = 0; i < numbers.values.length; i++) numbers.values[i] = next++
    return numbers
  })
  const { shape, values: sources } = move(places)
  if (shape[0] !== 1) throw node.unsupported('it changes the batch, which is for run() only')
  const rows = values.map((value) => tensorOf(reshaped(node, value, [1, elements(value.shape)]), node))
  const all = rows.length === 1 ? (rows[0] as Tensor) : cat(rows, 1)
  const from = Float64Array.from(sources as Float64Array, (one) => one - 1)
  return reshaped(node, picked(node, all, 1, from), shape)
}

/** Places that are known belong to the images of a batch that is known: to each in a model of one. */
export function onlyOneImage(node: OnnxNode, run: Run): void {
  if (run.declaredBatch === 1) return
  throw node.unsupported(
    'it names the images of a batch, which a compiled model can only where the model fixes a batch of 1; run() can',
  )
}
