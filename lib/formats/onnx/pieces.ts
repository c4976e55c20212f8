/** Parts of a dimension: slices, and rows in any order as slices joined. */
import { cat, slice } from '../../ops/index.ts'
import { elements } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import * as nd from './array.ts'
import { spend } from './budget.ts'
import type { OnnxNode } from './node.ts'
import { arrayOf, isSymbolic, tensorOf, type Value } from './value.ts'

/** What an operation of a trace is counted as: it takes a name, a shape and a place in the graph. */
export const tracedSteps = 1000

/** One piece of a dimension: elements from `start` in steps of `step`. */
export function cut(
  node: OnnxNode,
  value: Value,
  axis: number,
  start: number,
  step: number,
  count: number,
): Value {
  const { shape } = value
  if (start === 0 && step === 1 && count === shape[axis]) return value
  if (!isSymbolic(value)) {
    return nd.slice(
      arrayOf(node, value),
      shape.map((_, d) => (d === axis ? start : 0)),
      shape.map((_, d) => (d === axis ? step : 1)),
      shape.map((size, d) => (d === axis ? count : size)),
    )
  }
  if (count < 1) throw node.unsupported('a slice without elements')
  const last = start + (count - 1) * step
  if (step > 0) return slice(value, axis, start, last + 1, step)
  return slice(value, axis, start, last > 0 ? last - 1 : undefined, step)
}

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
