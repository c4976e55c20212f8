/** Operators that choose elements by their values: the largest, those that are not 0, each one once. */
import { add, argsort, eq, reshape, sort, where } from '../../../ops/index.ts'
import { elements } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { float32, int64, type Scalar, type Values } from '../element.ts'
import type { Family } from '../operator.ts'
import { picked } from '../pieces.ts'
import { arrayOf, axisOf, dimensionOf, isSymbolic, keepBatch, type Read, required } from '../value.ts'

/** What a comparison costs in sorting. */
const compareSteps = 8

const TopK: Read = (node) => {
  const axis = node.int('axis', -1)
  const largest = node.opset < 11 || node.flag('largest', true)
  // those that are not sorted may be so
  node.ignore('sorted')
  const fixed = node.opset < 10 ? node.int('k', -1) : undefined
  return (inputs) => {
    const value = required(node, inputs, 0)
    const { shape } = value
    const at = dimensionOf(node, axis, value)
    const count = fixed ?? nd.first(arrayOf(node, required(node, inputs, 1), 'k'))
    const size = shape[at] ?? 0
    if (count === undefined || !(count >= 0 && count <= size)) {
      throw node.error('ERR_SHAPE', `k is ${count} of a dimension of ${size}`)
    }
    if (isSymbolic(value)) {
      keepBatch(node, value, at)
      if (count === 0) throw node.unsupported('a tensor without elements')
      const way = { descending: largest, count }
      return [sort(value, at, way), node.outputs[1] ? argsort(value, at, way) : value]
    }
    const { type, values } = arrayOf(node, value)
    const kept = shape.map((one, d) => (d === at ? count : one))
    const [best, places] = [nd.allocate(type, kept), nd.allocate(int64, kept)]
    const inner = elements(shape.slice(at + 1))
    const outer = elements(shape.slice(0, at))
    spend(outer * inner * size * compareSteps * Math.ceil(Math.log2(size + 2)))
    const order = Array.from({ length: size }, (_, i) => i)
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const value = (k: number) => values[(o * size + k) * inner + i] as Scalar
        for (let k = 0; k < size; k++) order[k] = k
        order.sort((a, b) => compare(value(a), value(b), largest) || a - b)
        for (let k = 0; k < count; k++) {
          const [from, to] = [order[k] ?? 0, (o * count + k) * inner + i]
          best.values[to] = value(from)
          places.values[to] = BigInt(from)
        }
      }
    }
    return [best, places]
  }
}

/** The order of two numbers; NaN counts as larger than all, as in PyTorch. */
function compare(a: Scalar, b: Scalar, downwards = false): number {
  const [one, other] = downwards ? [b, a] : [a, b]
  if (one < other) return -1
  if (one > other) return 1
  return Number(Number.isNaN(one)) - Number(Number.isNaN(other))
}

const NonZero: Read = (node) => (inputs) => {
  const { shape, values } = arrayOf(node, required(node, inputs, 0))
  const sizes = shape.length === 0 ? [1] : shape
  let count = 0
  spend(2 * values.length)
  for (const one of values) if (Number(one) !== 0) count++
  const result = nd.allocate(int64, [sizes.length, count])
  const target = result.values as BigInt64Array
  const strides = nd.stridesOf(sizes)
  let found = 0
  for (const [i, one] of values.entries()) {
    if (Number(one) === 0) continue
    for (const [d, stride] of strides.entries()) {
      target[d * count + found] = BigInt(Math.floor(i / stride) % (sizes[d] ?? 1))
    }
    found++
  }
  return result
}

const Compress: Read = (node) => {
  const axis = node.has('axis') ? node.int('axis', 0) : undefined
  return (inputs) => {
    const value = required(node, inputs, 0)
    const condition = arrayOf(node, required(node, inputs, 1), 'the condition')
    const whole = axis === undefined
    const at = whole ? 0 : dimensionOf(node, axis, value)
    keepBatch(node, value, at)
    const size = whole ? elements(value.shape) : (value.shape[at] ?? 0)
    const rows: number[] = []
    for (const [i, one] of condition.values.entries()) if (i < size && Number(one) !== 0) rows.push(i)
    if (isSymbolic(value)) return picked(node, value, at, rows)
    const array = arrayOf(node, value)
    const flat = whole ? { ...array, shape: [size] } : array
    return nd.gather(flat, nd.integers(rows), at)
  }
}

/** Rows along a dimension, one of each; without one, numbers. */
const Unique: Read = (node) => {
  const axis = node.has('axis') ? node.int('axis', 0) : undefined
  const sorted = node.flag('sorted', true)
  return (inputs) => {
    const array = arrayOf(node, required(node, inputs, 0))
    const whole = axis === undefined
    const flat = whole ? { ...array, shape: [array.values.length] } : array
    const at = whole ? 0 : axisOf(node, axis, flat.shape.length)
    const size = flat.shape[at] ?? 0
    const length = size === 0 ? 0 : flat.values.length / size
    const order = [at, ...flat.shape.map((_, d) => d).filter((d) => d !== at)]
    const rows = nd.transpose(flat, order).values
    spend(rows.length * compareSteps * Math.ceil(Math.log2(size + 2)), 64 * size)
    const places = Array.from({ length: size }, (_, i) => i)
    places.sort((a, b) => compareRows(rows, a, b, length) || a - b)
    // the first of each, and how often it is there
    const groups: { first: number; members: number[] }[] = []
    for (const place of places) {
      const last = groups.at(-1)
      if (last && compareRows(rows, last.first, place, length) === 0 && !hasNaN(rows, place, length)) {
        last.members.push(place)
      } else groups.push({ first: place, members: [place] })
    }
    if (!sorted) groups.sort((a, b) => a.first - b.first)
    const inverse = new Array<number>(size).fill(0)
    for (const [i, { members }] of groups.entries()) for (const member of members) inverse[member] = i
    return [
      nd.gather(flat, nd.integers(groups.map(({ first }) => first)), at),
      nd.integers(groups.map(({ first }) => first)),
      nd.integers(inverse),
      nd.integers(groups.map(({ members }) => members.length)),
    ]
  }
}

function compareRows(rows: Values, a: number, b: number, length: number): number {
  for (let i = 0; i < length; i++) {
    const order = compare(rows[a * length + i] as Scalar, rows[b * length + i] as Scalar)
    if (order !== 0) return order
  }
  return 0
}

/** No row with a NaN is like another one. */
function hasNaN(rows: Values, place: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (Number.isNaN(rows[place * length + i])) return true
  return false
}

/** Of indices in a trace, which are whole floats. */
function tracedOneHot(places: Tensor, at: number, size: number, off: number, on: number): Tensor {
  const rank = places.shape.length + 1
  const x = reshape(places, places.shape.toSpliced(at, 0, 1))
  const row = (first: number) => {
    const numbers = nd.allocate(float32, [size]).values as Float32Array
    for (let i = 0; i < size; i++) numbers[i] = first + i
    return new Tensor(numbers, [size, ...Array<number>(rank - 1 - at).fill(1)])
  }
  // −1 is the last
  const hit = add(eq(x, row(0)), eq(x, row(-size)))
  return where(hit, on, off)
}

/** A vector for each index, `on` at its place and `off` elsewhere. */
const OneHot: Read = (node) => {
  const axis = node.int('axis', -1)
  return (inputs) => {
    const places = required(node, inputs, 0)
    const depth = nd.first(arrayOf(node, required(node, inputs, 1), 'the depth'))
    const { type, values } = arrayOf(node, required(node, inputs, 2), 'the values')
    if (depth === undefined || !(Math.trunc(depth) >= 1) || values.length !== 2) {
      throw node.error('ERR_SHAPE', `depth ${depth} must be 1 or more, and values two numbers`)
    }
    const size = Math.trunc(depth)
    const at = axisOf(node, axis, places.shape.length + 1)
    if (isSymbolic(places)) {
      keepBatch(node, places, at)
      return tracedOneHot(places, at, size, Number(values[0]), Number(values[1]))
    }
    const indices = arrayOf(node, places, 'the indices')
    const [before, after] = [indices.shape.slice(0, at), indices.shape.slice(at)]
    const result = nd.filled(type, [...before, size, ...after], values[0] as Scalar)
    const inner = elements(after)
    for (const [i, one] of indices.values.entries()) {
      const index = Math.trunc(Number(one))
      const place = index < 0 ? index + size : index
      if (place < 0 || place >= size) continue
      const outer = Math.floor(i / inner)
      result.values[(outer * size + place) * inner + (i % inner)] = values[1] as Scalar
    }
    return result
  }
}

export const selecting: Family = {
  operators: {
    Compress,
    NonZero: { read: NonZero, type: () => int64 },
    OneHot: { read: OneHot, type: (_node, _output, input) => input(2) },
    TopK: { read: TopK, type: (_node, output, input) => (output === 0 ? input(0) : int64) },
    Unique: { read: Unique, type: (_node, output, input) => (output === 0 ? input(0) : int64) },
  },
}
