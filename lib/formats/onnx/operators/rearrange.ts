/** Elements moved to places that are known when a model is compiled: slices, joined. */
import { cat } from '../../../ops/index.ts'
import { elements, sameShape } from '../../../tensor/shape.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { float64 } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import { picked } from '../pieces.ts'
import { type Run, tensorOf, type Value } from '../value.ts'
import { reshaped } from './shape.ts'

/**
 * What an operator that only moves elements, and puts zeros between, makes of values some of which are of a trace.
 *
 * @param move does it to arrays that hold the number of each element's place, from 1 on
 * @param isEach whether it does the same with each image of any batch
 */
export function rearranged(
  node: OnnxNode,
  values: readonly Value[],
  run: Run,
  move: (places: readonly nd.NdArray[]) => nd.NdArray,
  isEach: () => boolean = () => false,
): Value {
  if (run.declaredBatch !== 1 && !isEach()) onlyOneImage(node, run)
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

/**
 * Whether an input that is known, as indices are, holds for two images what it holds for one, once for each.
 *
 * @param width of a row whose first number is that of an image; 0: there is none
 */
export function isForEach(node: OnnxNode, run: Run, input: number, own: nd.NdArray, width = 0): boolean {
  const two = run.ofTwo?.()?.get(node.inputs[input] ?? '')
  if (!two?.values || !sameShape(two.shape, [2 * (own.shape[0] ?? 0), ...own.shape.slice(1)])) return false
  const { values } = two
  const count = own.values.length
  spend(4 * count)
  for (let i = 0; i < count; i++) {
    const one = Number(own.values[i])
    const isImage = width > 0 && i % width === 0
    if ((isImage && one !== 0) || Number(values[i]) !== one) return false
    if (Number(values[count + i]) !== (isImage ? 1 : one)) return false
  }
  return true
}

/** Places that are known belong to the images of a batch that is known: to each in a model of one. */
export function onlyOneImage(node: OnnxNode, run: Run): void {
  if (run.declaredBatch === 1) return
  throw node.unsupported(
    'it names the images of a batch, which a compiled model can only where the model fixes a batch of 1; run() can',
  )
}
