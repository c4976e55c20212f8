/** Operators that take or put single elements, or slices, at places that an input names: the kin of Gather. */
import { elements, formatShape, sameShape } from '../../../tensor/shape.ts'
import type { KerneletError } from '../../../util/errors.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import type { Scalar } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import {
  arrayOf,
  dimensionOf,
  indicesOf,
  isSymbolic,
  type Read,
  type Run,
  required,
  type Step,
  type Value,
} from '../value.ts'
import { takenAlong } from './computed-places.ts'
import { placeOf } from './gather.ts'
import { isForEach, rearranged } from './rearrange.ts'

/** Where each index of `shape` lies in an array of other sizes, along the dimensions of both. */
function* placesIn(shape: readonly number[], strides: readonly number[]): Generator<number> {
  const index = new Array<number>(shape.length).fill(0)
  const total = elements(shape)
  for (let i = 0, at = 0; i < total; i++) {
    yield at
    for (let d = shape.length - 1; d >= 0; d--) {
      at += strides[d] ?? 0
      index[d] = (index[d] ?? 0) + 1
      if ((index[d] ?? 0) < (shape[d] ?? 0)) break
      at -= (strides[d] ?? 0) * (shape[d] ?? 0)
      index[d] = 0
    }
  }
}

/** What a place costs that is found by counting. */
const placeSteps = 4

/** Places in an array that indices name along one dimension, one for each index. */
function placesAlong(
  node: OnnxNode,
  shape: readonly number[],
  indices: nd.NdArray,
  axis: number,
): Float64Array {
  const fits =
    indices.shape.length === shape.length &&
    indices.shape.every((size, d) => d === axis || size <= (shape[d] ?? 0))
  if (!fits) {
    throw node.error(
      'ERR_SHAPE',
      `indices of ${formatShape(indices.shape)} do not go with ${formatShape(shape)} along dimension ${axis}`,
    )
  }
  const strides = nd.stridesOf(shape)
  const [size, stride] = [shape[axis] ?? 0, strides[axis] ?? 0]
  const others = strides.map((one, d) => (d === axis ? 0 : one))
  const count = indices.values.length
  spend(placeSteps * count, 8 * count)
  const places = new Float64Array(count)
  let i = 0
  for (const at of placesIn(indices.shape, others)) {
    places[i] = at + placeOf(node, indices.values[i] as Scalar, size) * stride
    i++
  }
  return places
}

const GatherElements: Read = (node) => {
  const axis = node.int('axis', 0)
  return (inputs, run) => {
    const [value, index] = [required(node, inputs, 0), required(node, inputs, 1)]
    const at = dimensionOf(node, axis, value)
    if (isSymbolic(index) && isSymbolic(value) && at > 0) return takenAlong(node, value, index, at)
    const indices = indicesOf(node, index, 'the indices')
    return moved(
      node,
      [value],
      run,
      ([array]) => taken(array, placesAlong(node, array.shape, indices, at), indices.shape),
      () => at > 0 && isForEach(node, run, 1, indices),
    )
  }
}

/** Elements moved: of a trace where that is possible, else the arrays'. */
function moved(
  node: OnnxNode,
  values: readonly Value[],
  run: Run,
  move: (arrays: readonly [nd.NdArray, nd.NdArray]) => nd.NdArray,
  isEach: () => boolean,
): Value {
  const pair = (arrays: readonly nd.NdArray[]) => move(arrays as readonly [nd.NdArray, nd.NdArray])
  if (values.some(isSymbolic)) return rearranged(node, values, run, pair, isEach)
  return pair(values.map((value) => arrayOf(node, value)))
}

/** The elements at these places. */
function taken({ type, values }: nd.NdArray, places: Float64Array, shape: readonly number[]): nd.NdArray {
  const result = nd.allocate(type, shape)
  const [source, target] = [values as Float64Array, result.values as Float64Array]
  for (let i = 0; i < target.length; i++) target[i] = source[places[i] ?? 0] ?? 0
  return result
}

/** Of each row of indices the place it names, counted in `shape`; a row names the first of its dimensions. */
function rowPlaces(
  node: OnnxNode,
  shape: readonly number[],
  indices: nd.NdArray,
  batchDims: number,
): { places: Float64Array; inner: readonly number[] } {
  const length = indices.shape.at(-1)
  const batch = shape.slice(0, batchDims)
  if (
    length === undefined ||
    length + batchDims > shape.length ||
    batchDims >= indices.shape.length ||
    batchDims < 0 ||
    !sameShape(batch, indices.shape.slice(0, batchDims))
  ) {
    throw node.error(
      'ERR_SHAPE',
      `indices of ${formatShape(indices.shape)} do not go with ${formatShape(shape)}` +
        (batchDims > 0 ? ` and batch_dims ${batchDims}` : ''),
    )
  }
  const strides = nd.stridesOf(shape)
  const rows = elements(indices.shape.slice(0, -1))
  const perBatch = elements(indices.shape.slice(batchDims, -1))
  const batchStride = elements(shape.slice(batchDims))
  spend(placeSteps * rows * (length + 1), 8 * rows)
  const places = new Float64Array(rows)
  for (let row = 0; row < rows; row++) {
    let at = Math.floor(row / perBatch) * batchStride
    for (let k = 0; k < length; k++) {
      const d = batchDims + k
      const index = indices.values[row * length + k] as Scalar
      at += placeOf(node, index, shape[d] ?? 0) * (strides[d] ?? 0)
    }
    places[row] = at
  }
  return { places, inner: shape.slice(batchDims + length) }
}

const GatherND: Read = (node) => {
  const batchDims = node.int('batch_dims', 0)
  return (inputs, run) => {
    const indices = indicesOf(node, required(node, inputs, 1), 'the indices')
    const move = ([array]: readonly [nd.NdArray, nd.NdArray]) => {
      const { places, inner } = rowPlaces(node, array.shape, indices, batchDims)
      const result = nd.allocate(array.type, [...indices.shape.slice(0, -1), ...inner])
      const count = elements(inner)
      for (const [row, at] of places.entries()) nd.copy(array.values, at, result.values, row * count, count)
      return result
    }
    const width = batchDims > 0 ? 0 : indices.shape.at(-1)
    return moved(node, [required(node, inputs, 0)], run, move, () => isForEach(node, run, 1, indices, width))
  }
}

/** What becomes of an element and what is put in its place. */
type Merge = ((old: Scalar, update: Scalar) => Scalar) | undefined

const merges: Readonly<Record<string, (wide: boolean) => Merge>> = {
  none: () => undefined,
  add: (wide) => (wide ? (a, b) => (a as bigint) + (b as bigint) : (a, b) => (a as number) + (b as number)),
  mul: (wide) => (wide ? (a, b) => (a as bigint) * (b as bigint) : (a, b) => (a as number) * (b as number)),
  max: (wide) => (wide ? (a, b) => (a < b ? b : a) : (a, b) => Math.max(a as number, b as number)),
  min: (wide) => (wide ? (a, b) => (b < a ? b : a) : (a, b) => Math.min(a as number, b as number)),
}

function mergeOf(node: OnnxNode): (wide: boolean) => Merge {
  const name = node.text('reduction', 'none')
  const merge = Object.hasOwn(merges, name) ? merges[name] : undefined
  if (merge) return merge
  throw node.unsupported(`attribute reduction=${name} is not supported`)
}

/** A copy of an array, and what puts numbers in places of it. */
function scattered(
  array: nd.NdArray,
  merge: (wide: boolean) => Merge,
): { result: nd.NdArray; put: (at: number, update: Scalar) => void } {
  const { type } = array
  const result = nd.allocate(type, array.shape)
  const values = result.values as Float64Array
  values.set(array.values as Float64Array)
  const merged = merge(type.wide)
  const put = (at: number, update: Scalar) => {
    const value = (merged ? merged(values[at] as Scalar, update) : update) as number
    values[at] = type.round ? type.round(value) : value
  }
  return { result, put }
}

/** What an operator that scatters does with an array, its updates and where these go. */
type Scatter = (array: nd.NdArray, indices: nd.NdArray, updates: nd.NdArray) => nd.NdArray

/** Where numbers are put in the place of others, they may be of a trace. */
function scatter(
  node: OnnxNode,
  make: (merge: (wide: boolean) => Merge) => Scatter,
  widthOf: (indices: nd.NdArray, value: Value) => number | undefined,
): Step {
  const plain = node.text('reduction', 'none') === 'none'
  const put = make(mergeOf(node))
  return (inputs, run) => {
    const [value, update] = [required(node, inputs, 0), required(node, inputs, 2)]
    const indices = indicesOf(node, required(node, inputs, 1), 'the indices')
    // what is known must be the same for each image, as the places are
    const isEach = () => {
      const width = widthOf(indices, value)
      const known = [value, undefined, update].every(
        (one, i) => !one || isSymbolic(one) || isForEach(node, run, i, arrayOf(node, one)),
      )
      return width !== undefined && known && isForEach(node, run, 1, indices, width)
    }
    if (plain) {
      const move = ([array, updates]: readonly [nd.NdArray, nd.NdArray]) =>
        put(array, indices, alike(node, array, updates))
      return moved(node, [value, update], run, move, isEach)
    }
    const array = arrayOf(node, value)
    return put(array, indices, alike(node, array, arrayOf(node, update, 'the updates')))
  }
}

/** Updates of the type that the array has. */
function alike(node: OnnxNode, array: nd.NdArray, updates: nd.NdArray): nd.NdArray {
  if (array.type === updates.type || (array.type.kind === 'float' && updates.type.kind === 'float'))
    return updates
  throw node.error('ERR_FORMAT', `updates are ${updates.type.name} but the data ${array.type.name}`)
}

const ScatterElements: Read = (node) => {
  const axis = node.int('axis', 0)
  return scatter(
    node,
    (merge) => (array, indices, updates) => {
      const at = dimensionOf(node, axis, array)
      if (!sameShape(indices.shape, updates.shape)) throw updatesMisfit(node, indices, updates)
      const places = placesAlong(node, array.shape, indices, at)
      const { result, put } = scattered(array, merge)
      for (const [i, place] of places.entries()) put(place, updates.values[i] as Scalar)
      return result
    },
    (_, value) => (dimensionOf(node, axis, value) > 0 ? 0 : undefined),
  )
}

const ScatterND: Read = (node) =>
  scatter(
    node,
    (merge) => (array, indices, updates) => {
      const { places, inner } = rowPlaces(node, array.shape, indices, 0)
      if (!sameShape(updates.shape, [...indices.shape.slice(0, -1), ...inner])) {
        throw updatesMisfit(node, indices, updates)
      }
      const { result, put } = scattered(array, merge)
      const count = elements(inner)
      for (const [row, at] of places.entries()) {
        for (let i = 0; i < count; i++) put(at + i, updates.values[row * count + i] as Scalar)
      }
      return result
    },
    (indices) => indices.shape.at(-1),
  )

function updatesMisfit(node: OnnxNode, indices: nd.NdArray, updates: nd.NdArray): KerneletError {
  return node.error(
    'ERR_SHAPE',
    `updates of ${formatShape(updates.shape)} do not go with indices of ${formatShape(indices.shape)}`,
  )
}

export const indexing: Family = {
  operators: {
    GatherElements: { read: GatherElements, moves: true },
    GatherND: { read: GatherND, moves: true },
    Scatter: ScatterElements,
    ScatterElements,
    ScatterND,
  },
}
