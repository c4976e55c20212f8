/** Elements moved to places that are known when a model is compiled: slices, joined. */
import { cat } from '../../../ops/index.ts'
import { elements } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { float64 } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import { isSymbolic, type Run, tensorOf, type Value } from '../value.ts'
import { cut, reshaped, tracedSteps } from './shape.ts'

/** Slices that one operator may become; a graph has some thousands of nodes at most. */
const mostPieces = 2048

/**
 * Rows of a dimension in a trace: those that are evenly apart are one slice.
 *
 * @param places below 0: zeros
 */
export function picked(node: OnnxNode, value: Value, axis: number, places: ArrayLike<number>): Value {
  if (places.length === 0) throw node.unsupported('a tensor without elements')
  spend(places.length)
  const pieces: Value[] = []
  for (let from = 0; from < places.length; ) {
    const start = places[from] as number
    let count = 1
    if (start < 0) {
      while ((places[from + count] ?? 0) < 0) count++
    } else {
      const step = (places[from + 1] ?? start) - start || 1
      while (start + count * step >= 0 && places[from + count] === start + count * step) count++
      // two rows far apart: the second may begin a longer run
      if (count === 2 && Math.abs(step) > 1 && from + 2 < places.length) count = 1
    }
    spend(tracedSteps)
    if (pieces.length === mostPieces) {
      throw node.unsupported(
        `it takes elements from more than ${mostPieces} places that are not beside each other, which a compiled model ` +
          'cannot do; run() can',
      )
    }
    pieces.push(piece(node, value, axis, places, from, count))
    from += count
  }
  if (pieces.length === 1 && isSymbolic(pieces[0])) return pieces[0]
  return cat(
    pieces.map((one) => tensorOf(one, node)),
    axis,
  )
}

function piece(
  node: OnnxNode,
  value: Value,
  axis: number,
  places: ArrayLike<number>,
  from: number,
  count: number,
): Value {
  const start = places[from] as number
  if (start >= 0) {
    const step = count === 1 ? 1 : (places[from + 1] as number) - start
    return cut(node, value, axis, start, step, count)
  }
  const shape = value.shape.map((size, d) => (d === axis ? count : size))
  return new Tensor(new Float32Array(elements(shape)), shape)
}

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
