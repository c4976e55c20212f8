/** Operators that move elements, or tell where they are. */
import { cat, flatten, pad, permute, reshape, slice } from '../../../ops/functional.ts'
import { elements, formatShape, sameShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import type { OnnxNode } from '../node.ts'
import {
  arrayOf,
  axisOf,
  integersOf,
  isSymbolic,
  keepBatch,
  type Operator,
  type Run,
  required,
  tensorOf,
  type Value,
} from '../value.ts'

/** The same elements in another shape, which has as many. */
export function reshaped(node: OnnxNode, value: Value, shape: readonly number[]): Value {
  if (sameShape(value.shape, shape)) return value
  if (elements(shape) !== elements(value.shape)) {
    throw node.error(
      'ERR_SHAPE',
      `${formatShape(value.shape)} has not as many elements as ${formatShape(shape)}`,
    )
  }
  return value instanceof Tensor ? reshape(value, shape) : { ...value, shape }
}

/** The shape a Reshape asks for, for a tensor that is there. */
function resolve(
  node: OnnxNode,
  value: Value,
  target: readonly number[],
  allowZero: boolean,
  run: Run,
): number[] {
  const { shape } = value
  const asked = target.map((size, d) => (size === 0 && !allowZero ? (shape[d] ?? 0) : size))
  // A model exported with a fixed batch has that number in its shapes: it stands for the batch that there is.
  if (asked[0] === run.declaredBatch && shape[0] === run.batch && asked.length > 0) asked[0] = run.batch
  const open = asked.indexOf(-1)
  if (asked.some((size, d) => (!Number.isInteger(size) || size < 0 ? d !== open : false))) {
    throw node.error('ERR_SHAPE', `[${target.join(', ')}] is no shape`)
  }
  if (open >= 0) {
    const rest = elements(asked.filter((_, d) => d !== open))
    asked[open] = rest === 0 ? 0 : elements(shape) / rest
  }
  if (elements(asked) !== elements(shape) || asked.some((size) => !Number.isInteger(size))) {
    throw node.error('ERR_SHAPE', `${formatShape(shape)} cannot be made [${target.join(', ')}]`)
  }
  return asked
}

const Reshape: Operator = (node) => {
  const allowZero = node.flag('allowzero', false)
  const fixed = node.opset < 5 ? node.ints('shape') : undefined
  return (inputs, run) => {
    const value = required(node, inputs, 0)
    const target = fixed ?? integersOf(node, required(node, inputs, 1), 'the shape')
    return reshaped(node, value, resolve(node, value, target as number[], allowZero, run))
  }
}

const Flatten: Operator = (node) => {
  const axis = node.int('axis', 1)
  return (inputs) => {
    const value = required(node, inputs, 0)
    const { shape } = value
    const at = axis === shape.length ? axis : axisOf(node, axis, shape.length)
    keepBatch(node, value, at)
    if (at === 1 && shape.length > 1 && value instanceof Tensor) return flatten(value, 1)
    return reshaped(node, value, [elements(shape.slice(0, at)), elements(shape.slice(at))])
  }
}

const Squeeze: Operator = (node) => {
  const fixed = node.opset < 13 ? node.ints('axes') : undefined
  return (inputs) => {
    const value = required(node, inputs, 0)
    const { shape } = value
    const given = fixed ?? integersOf(node, inputs[1], 'axes')
    // In a trace the batch is 1, but not one of the ones that are meant.
    const first = isSymbolic(value) ? 1 : 0
    const axes = given
      ? given.map((axis) => axisOf(node, axis, shape.length))
      : shape.flatMap((size, d) => (size === 1 && d >= first ? [d] : []))
    for (const axis of axes) {
      keepBatch(node, value, axis)
      if (shape[axis] !== 1) {
        throw node.error('ERR_SHAPE', `dimension ${axis} of ${formatShape(shape)} is not 1`)
      }
    }
    return reshaped(
      node,
      value,
      shape.filter((_, d) => !axes.includes(d)),
    )
  }
}

const Unsqueeze: Operator = (node) => {
  const fixed = node.opset < 13 ? node.ints('axes') : undefined
  return (inputs) => {
    const value = required(node, inputs, 0)
    const given = fixed ?? integersOf(node, required(node, inputs, 1), 'axes')
    const rank = value.shape.length + (given as number[]).length
    const axes = (given as number[]).map((axis) => axisOf(node, axis, rank))
    for (const axis of axes) keepBatch(node, value, axis)
    if (new Set(axes).size < axes.length) throw node.error('ERR_SHAPE', 'two axes are the same')
    const rest = [...value.shape]
    const shape = Array.from({ length: rank }, (_, d) => (axes.includes(d) ? 1 : (rest.shift() as number)))
    return reshaped(node, value, shape)
  }
}

const Transpose: Operator = (node) => {
  const perm = node.ints('perm')
  return (inputs) => {
    const value = required(node, inputs, 0)
    const rank = value.shape.length
    const axes = perm ?? value.shape.map((_, d) => rank - 1 - d)
    if (axes.length !== rank || axes.some((_, d) => !axes.includes(d))) {
      throw node.error('ERR_SHAPE', `perm [${axes.join(', ')}] does not order ${rank} dimensions`)
    }
    return isSymbolic(value) ? permute(value, axes) : nd.transpose(arrayOf(node, value), axes)
  }
}

const Identity: Operator = (node) => (inputs) => required(node, inputs, 0)

const Concat: Operator = (node) => {
  if (!node.has('axis')) throw node.error('ERR_FORMAT', 'attribute axis is missing')
  const axis = node.int('axis', 0)
  return (inputs) => {
    if (inputs.length === 0) throw node.error('ERR_FORMAT', 'it has no inputs')
    const values = inputs.map((_, i) => required(node, inputs, i))
    const at = axisOf(node, axis, (values[0] as Value).shape.length)
    if (!values.some(isSymbolic)) {
      return nd.concat(
        values.map((value) => arrayOf(node, value)),
        at,
      )
    }
    return values.length === 1 ? (values[0] as Value) : cat(values.map(tensorOf), at)
  }
}

/** One piece of a dimension: elements from `start` in steps of `step`. */
function cut(node: OnnxNode, value: Value, axis: number, start: number, step: number, count: number): Value {
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
  if (step < 1) throw node.unsupported(`a step of ${step} is not supported when a model is compiled`)
  if (count < 1) throw node.unsupported('a slice without elements')
  return slice(value, axis, start, start + (count - 1) * step + 1, step)
}

const Slice: Operator = (node) => {
  const old = node.opset < 10
  const fixed = old ? [node.ints('starts'), node.ints('ends'), node.ints('axes')] : []
  return (inputs) => {
    let value = required(node, inputs, 0)
    const rank = value.shape.length
    const list = (i: number, what: string) => (old ? fixed[i - 1] : integersOf(node, inputs[i], what))
    const [starts, ends] = [list(1, 'starts'), list(2, 'ends')]
    if (!starts || ends?.length !== starts.length) {
      throw node.error('ERR_FORMAT', 'starts and ends are not two lists of one length')
    }
    const axes = list(3, 'axes') ?? starts.map((_, i) => i)
    const steps = (old ? undefined : integersOf(node, inputs[4], 'steps')) ?? starts.map(() => 1)
    if (axes.length !== starts.length || steps.length !== starts.length || steps.includes(0)) {
      throw node.error('ERR_FORMAT', 'axes or steps do not go with starts')
    }
    for (const [i, given] of axes.entries()) {
      const axis = axisOf(node, given, rank)
      const all = starts[i] === 0 && steps[i] === 1 && (ends[i] as number) >= 2 ** 31 - 1
      if (!all) keepBatch(node, value, axis)
      const [step, size] = [steps[i] as number, value.shape[axis] as number]
      // A step back may end before the first element.
      const [low, high] = step > 0 ? [0, size] : [-1, size - 1]
      const bound = (at: number) => Math.min(Math.max(at < 0 ? at + size : at, low), high)
      const [start, end] = [Math.max(bound(starts[i] as number), 0), bound(ends[i] as number)]
      const count = size === 0 ? 0 : Math.max(Math.ceil((end - start) / step), 0)
      value = cut(node, value, axis, start, step, count)
    }
    return value
  }
}

const Split: Operator = (node) => {
  const axis = node.int('axis', 0)
  const fixed = node.opset < 13 ? node.ints('split') : undefined
  const parts = node.opset < 18 ? node.outputs.length : node.int('num_outputs', node.outputs.length)
  return (inputs) => {
    const value = required(node, inputs, 0)
    const at = axisOf(node, axis, value.shape.length)
    keepBatch(node, value, at)
    const size = value.shape[at] as number
    const each = Math.ceil(size / parts)
    const sizes =
      fixed ??
      integersOf(node, inputs[1], 'the sizes') ??
      Array.from({ length: parts }, (_, i) => Math.max(Math.min(each, size - i * each), 0))
    if (sizes.length !== node.outputs.length || sizes.reduce((sum, one) => sum + one, 0) !== size) {
      throw node.error('ERR_SHAPE', `${size} cannot be split into [${sizes.join(', ')}]`)
    }
    let start = 0
    return sizes.map((count, i) => {
      const piece = node.outputs[i] === '' ? value : cut(node, value, at, start, 1, count)
      start += count
      return piece
    })
  }
}

const Gather: Operator = (node) => {
  const axis = node.int('axis', 0)
  return (inputs) => {
    const value = required(node, inputs, 0)
    const at = axisOf(node, axis, value.shape.length)
    keepBatch(node, value, at)
    const indices = arrayOf(node, required(node, inputs, 1), 'the indices')
    if (!isSymbolic(value)) return nd.gather(arrayOf(node, value), indices, at)
    if (indices.shape.length > 1) throw node.unsupported('indices of more than one dimension when compiled')
    const size = value.shape[at] as number
    const pieces = Array.from(indices.values, (index) => {
      const from = index < 0 ? index + size : index
      if (!(from >= 0 && from < size)) {
        throw node.error('ERR_SHAPE', `index ${index} is outside a dimension of ${size}`)
      }
      return tensorOf(cut(node, value, at, from, 1, 1))
    })
    if (pieces.length === 0) throw node.unsupported('a tensor without elements')
    if (indices.shape.length === 1) return pieces.length === 1 ? (pieces[0] as Value) : cat(pieces, at)
    return reshaped(
      node,
      pieces[0] as Value,
      value.shape.filter((_, d) => d !== at),
    )
  }
}

const Shape: Operator = (node) => {
  const [start, end] = [node.int('start', 0), node.has('end') ? node.int('end', 0) : undefined]
  return (inputs) => nd.integers(required(node, inputs, 0).shape.slice(start, end))
}

const Size: Operator = (node) => (inputs) => {
  const value = required(node, inputs, 0)
  keepBatch(node, value, 0)
  return { kind: 'int', shape: [], values: Float64Array.of(elements(value.shape)) }
}

const Constant: Operator = (node) => {
  const scalar = (kind: nd.Kind, value: number) => nd.filled(kind, [], value)
  const list = (kind: nd.Kind, values: number[]): nd.NdArray => ({
    kind,
    shape: [values.length],
    values: kind === 'float' ? Float32Array.from(values) : Float64Array.from(values),
  })
  const value =
    node.tensor('value') ??
    node.sparse('sparse_value') ??
    (node.has('value_float') ? scalar('float', node.float('value_float', 0)) : undefined) ??
    (node.has('value_int') ? scalar('int', node.int('value_int', 0)) : undefined) ??
    (node.has('value_floats') ? list('float', node.floats('value_floats') as number[]) : undefined) ??
    (node.has('value_ints') ? list('int', node.ints('value_ints') as number[]) : undefined)
  node.checkAttributes()
  if (!value) throw node.error('ERR_FORMAT', 'it has no value')
  return () => value
}

const ConstantOfShape: Operator = (node) => {
  const { kind, values } = node.tensor('value') ?? nd.filled('float', [1], 0)
  if (values.length !== 1) throw node.error('ERR_FORMAT', 'its value is not one number')
  return (inputs) => {
    const shape = integersOf(node, required(node, inputs, 0), 'the shape') as number[]
    if (shape.some((size) => size < 0)) throw node.error('ERR_SHAPE', `[${shape.join(', ')}] is no shape`)
    return nd.filled(kind, shape, values[0] as number)
  }
}

const Expand: Operator = (node) => (inputs) => {
  const value = required(node, inputs, 0)
  const target = integersOf(node, required(node, inputs, 1), 'the shape') as number[]
  const shape = nd.broadcastShapes([value.shape, target])
  if (sameShape(shape, value.shape)) return value
  if (isSymbolic(value)) throw node.unsupported('it is supported in run() only when it makes copies')
  return nd.broadcastTo(arrayOf(node, value), shape)
}

const Tile: Operator = (node) => (inputs) => {
  const array = arrayOf(node, required(node, inputs, 0))
  const repeats = integersOf(node, required(node, inputs, 1), 'the repeats') as number[]
  if (repeats.length !== array.shape.length || repeats.some((count) => count < 0)) {
    throw node.error('ERR_SHAPE', `[${repeats.join(', ')}] does not repeat ${formatShape(array.shape)}`)
  }
  return repeats.reduce((tiled, count, d) => {
    if (count === 1) return tiled
    const size = tiled.shape[d] as number
    const indices = nd.allocate('int', [size * count])
    for (const i of indices.values.keys()) indices.values[i] = i % size
    return nd.gather(tiled, indices, d)
  }, array)
}

const Range: Operator = (node) => (inputs) => {
  const [start, limit, delta] = [0, 1, 2].map(
    (i) => arrayOf(node, required(node, inputs, i)).values[0] as number,
  )
  const count = Math.max(Math.ceil(((limit as number) - (start as number)) / (delta as number)), 0)
  const range = nd.allocate(arrayOf(node, required(node, inputs, 0)).kind, [count])
  for (const i of range.values.keys()) range.values[i] = (start as number) + i * (delta as number)
  return range
}

/** Where index `at` of a padded dimension comes from, or −1 where nothing is. */
const sources: Readonly<Record<string, (at: number, size: number) => number>> = {
  constant: (at, size) => (at >= 0 && at < size ? at : -1),
  edge: (at, size) => Math.min(Math.max(at, 0), size - 1),
  wrap: (at, size) => ((at % size) + size) % size,
  reflect: (at, size) => {
    const period = 2 * Math.max(size - 1, 1)
    const place = ((at % period) + period) % period
    return size === 1 ? 0 : Math.min(place, period - place)
  },
}

const Pad: Operator = (node) => {
  const mode = node.text('mode', 'constant')
  const source = Object.hasOwn(sources, mode) ? sources[mode] : undefined
  if (!source) throw node.unsupported(`attribute mode=${mode} is not supported`)
  const old = node.opset < 11
  const fixed = old ? { pads: node.ints('pads'), value: node.float('value', 0) } : undefined
  return (inputs) => {
    const value = required(node, inputs, 0)
    const rank = value.shape.length
    const given = fixed ? fixed.pads : integersOf(node, required(node, inputs, 1), 'the pads')
    const filling = fixed?.value ?? (inputs[2] ? (arrayOf(node, inputs[2]).values[0] ?? 0) : 0)
    const axes = (old ? undefined : integersOf(node, inputs[3], 'axes')) ?? value.shape.map((_, d) => d)
    if (given?.length !== 2 * axes.length) {
      throw node.error(
        'ERR_SHAPE',
        `expected ${2 * axes.length} pads but received ${given?.length ?? 'none'}`,
      )
    }
    const [before, after] = [new Array<number>(rank).fill(0), new Array<number>(rank).fill(0)]
    for (const [i, one] of axes.entries()) {
      const axis = axisOf(node, one, rank)
      before[axis] = given[i] as number
      after[axis] = given[axes.length + i] as number
    }
    if (isSymbolic(value)) {
      if (before[0] !== 0 || after[0] !== 0) throw node.unsupported('padding of the batch')
      const pads = value.shape.flatMap((_, d) => [
        before[rank - 1 - d] as number,
        after[rank - 1 - d] as number,
      ])
      if (mode === 'constant') return pad(value, pads.slice(0, -2), filling)
      return value.shape.reduce<Value>(
        (padded, _, d) => surround(node, padded, d, before[d] as number, after[d] as number, source),
        value,
      )
    }
    return value.shape.reduce<nd.NdArray>(
      (array, _, d) => padDimension(array, d, before[d] as number, after[d] as number, source, filling),
      arrayOf(node, value),
    )
  }
}

/** A dimension of a tensor of a trace with copies of its own rows before and after it. */
function surround(
  node: OnnxNode,
  value: Value,
  axis: number,
  before: number,
  after: number,
  source: (at: number, size: number) => number,
): Value {
  const size = value.shape[axis] as number
  const row = (at: number) => tensorOf(cut(node, value, axis, source(at, size), 1, 1))
  const rows = (from: number, count: number) =>
    Array.from({ length: Math.max(count, 0) }, (_, i) => row(from + i))
  const [first, last] = [Math.max(-before, 0), size + Math.min(after, 0)]
  const middle = tensorOf(cut(node, value, axis, first, 1, last - first))
  const parts = [...rows(-before, before), middle, ...rows(size, after)]
  return parts.length === 1 ? middle : cat(parts, axis)
}

function padDimension(
  array: nd.NdArray,
  axis: number,
  before: number,
  after: number,
  source: (at: number, size: number) => number,
  filling: number,
): nd.NdArray {
  const size = array.shape[axis] as number
  const count = size + before + after
  if (before === 0 && after === 0) return array
  const shape = array.shape.map((one, d) => (d === axis ? count : one))
  const result = nd.filled(array.kind, shape, filling)
  const inner = elements(shape.slice(axis + 1))
  const outer = elements(shape.slice(0, axis))
  for (let i = 0; i < outer; i++) {
    for (let at = 0; at < count; at++) {
      const from = source(at - before, size)
      if (from < 0) continue
      const row = (i * size + from) * inner
      result.values.set(array.values.subarray(row, row + inner), (i * count + at) * inner)
    }
  }
  return result
}

const Cast: Operator = (node) => {
  node.ignore('saturate')
  const to = castKind(node, node.int('to', 0))
  return (inputs) => cast(node, required(node, inputs, 0), to)
}

const CastLike: Operator = (node) => {
  node.ignore('saturate')
  return (inputs) => {
    const like = required(node, inputs, 1)
    return cast(node, required(node, inputs, 0), like instanceof Tensor ? { kind: 'float' } : like)
  }
}

/** Integers wrap to a width of bits, as a C cast does. */
interface CastTarget {
  readonly kind: nd.Kind
  readonly bits?: number
  readonly signed?: boolean
}

const castTargets: Readonly<Record<number, CastTarget>> = {
  1: { kind: 'float' },
  2: { kind: 'int', bits: 8, signed: false },
  3: { kind: 'int', bits: 8, signed: true },
  4: { kind: 'int', bits: 16, signed: false },
  5: { kind: 'int', bits: 16, signed: true },
  6: { kind: 'int', bits: 32, signed: true },
  7: { kind: 'int' },
  9: { kind: 'bool' },
  10: { kind: 'float' },
  11: { kind: 'float' },
  12: { kind: 'int', bits: 32, signed: false },
  13: { kind: 'int' },
  16: { kind: 'float' },
}

function castKind(node: OnnxNode, to: number): CastTarget {
  const target = castTargets[to]
  if (target) return target
  throw node.unsupported(`attribute to=${to} is not supported`)
}

function cast(node: OnnxNode, value: Value, to: CastTarget): Value {
  if (value instanceof Tensor && to.kind === 'float') return value
  const array = arrayOf(node, value)
  if (array.kind === to.kind && to.bits === undefined) return array
  const result = nd.allocate(to.kind, array.shape)
  for (const [i, one] of array.values.entries()) result.values[i] = castOne(one, to)
  return result
}

function castOne(value: number, { kind, bits, signed }: CastTarget): number {
  if (kind === 'float') return value
  if (kind === 'bool') return value === 0 ? 0 : 1
  const whole = Math.trunc(value)
  if (bits === undefined || !Number.isSafeInteger(whole)) return whole
  const wide = BigInt(whole)
  return Number(signed ? BigInt.asIntN(bits, wide) : BigInt.asUintN(bits, wide))
}

export const shapeOperators: Readonly<Record<string, Operator>> = {
  Cast,
  CastLike,
  Concat,
  Constant,
  ConstantOfShape,
  Expand,
  Flatten,
  Gather,
  Identity,
  Pad,
  Range,
  Reshape,
  Shape,
  Size,
  Slice,
  Split,
  Squeeze,
  Tile,
  Transpose,
  Unsqueeze,
}
