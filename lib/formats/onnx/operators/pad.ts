/** Padding. */
import { cat, pad } from '../../../ops/index.ts'
import { elements, formatShape } from '../../../tensor/shape.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import type { Scalar } from '../element.ts'
import type { Write } from '../graph-writer.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { cut, tracedSteps } from '../pieces.ts'
import {
  arrayOf,
  axisOf,
  commonType,
  integersOf,
  isSymbolic,
  type Read,
  required,
  tensorOf,
  type Value,
} from '../value.ts'

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

const Pad: Read = (node) => {
  const mode = node.text('mode', 'constant')
  const source = Object.hasOwn(sources, mode) ? sources[mode] : undefined
  if (!source) throw node.unsupported(`attribute mode=${mode} is not supported`)
  const old = node.opset < 11
  const fixed = old ? { pads: node.ints('pads'), value: node.float('value', 0) } : undefined
  return (inputs) => {
    const value = required(node, inputs, 0)
    const rank = value.shape.length
    const given = fixed ? fixed.pads : integersOf(node, required(node, inputs, 1), 'the pads')
    const filling = inputs[2] && !old ? arrayOf(node, inputs[2], 'the value') : undefined
    const axes = (old ? undefined : integersOf(node, inputs[3], 'axes')) ?? value.shape.map((_, d) => d)
    if (given?.length !== 2 * axes.length) {
      throw node.error(
        'ERR_SHAPE',
        `expected ${2 * axes.length} pads but received ${given?.length ?? 'none'}`,
      )
    }
    if (new Set(axes.map((axis) => axisOf(node, axis, rank))).size < axes.length) {
      throw node.error('ERR_SHAPE', 'two axes are the same')
    }
    const [before, after] = [new Array<number>(rank).fill(0), new Array<number>(rank).fill(0)]
    for (const [i, one] of axes.entries()) {
      const axis = axisOf(node, one, rank)
      before[axis] = given[i] ?? 0
      after[axis] = given[axes.length + i] ?? 0
    }
    if (isSymbolic(value)) {
      if (before[0] !== 0 || after[0] !== 0) throw node.unsupported('padding of the batch')
      const pads = value.shape.flatMap((_, d) => [before[rank - 1 - d] ?? 0, after[rank - 1 - d] ?? 0])
      if (mode === 'constant') {
        return pad(value, pads.slice(0, -2), fixed?.value ?? (filling && nd.toFloat32(filling)[0]) ?? 0)
      }
      return value.shape.reduce<Value>(
        (padded, _, d) => surround(node, padded, d, before[d] ?? 0, after[d] ?? 0, source),
        value,
      )
    }
    const array = arrayOf(node, value)
    const { wide } = commonType(node, filling ? [array, filling] : [array])
    const fill = filling?.values[0] ?? fixed?.value ?? (wide ? 0n : 0)
    return array.shape.reduce<nd.NdArray>((padded, _, d) => {
      const [first, last] = [before[d] ?? 0, after[d] ?? 0]
      checkPads(node, mode, padded, d, first, last)
      return padDimension(padded, d, first, last, source, fill)
    }, array)
  }
}

/** Pads below zero cut off no more than there is; copies need something to copy. */
function checkPads(
  node: OnnxNode,
  mode: string,
  { shape }: nd.NdArray,
  d: number,
  before: number,
  after: number,
): void {
  const size = shape[d] ?? 0
  if (size + before + after < 0) {
    throw node.error('ERR_SHAPE', `pads of ${before} and ${after} leave nothing of ${formatShape(shape)}`)
  }
  if (mode !== 'constant' && size === 0 && before + after > 0) {
    throw node.error('ERR_SHAPE', `${formatShape(shape)} has nothing to pad with (mode ${mode})`)
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
  const size = value.shape[axis] ?? 0
  spend((Math.max(before, 0) + Math.max(after, 0)) * tracedSteps)
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
  filling: Scalar,
): nd.NdArray {
  const size = array.shape[axis] ?? 0
  const count = size + before + after
  if (before === 0 && after === 0) return array
  const shape = array.shape.map((one, d) => (d === axis ? count : one))
  const result = nd.filled(array.type, shape, filling)
  const inner = elements(shape.slice(axis + 1))
  const outer = elements(shape.slice(0, axis))
  spend(outer * count)
  for (let i = 0; i < outer; i++) {
    for (let at = 0; at < count; at++) {
      const from = source(at - before, size)
      if (from < 0) continue
      const row = (i * size + from) * inner
      nd.copy(array.values, row, result.values, (i * count + at) * inner, inner)
    }
  }
  return result
}

const writePad: Write = (to, { node, inputs, shapes, output }) => {
  const before = node.shape.map((_, d) => node.starts?.[d] ?? 0)
  const after = node.shape.map((size, d) => size - (shapes[0]?.[d] ?? 0) - (before[d] ?? 0))
  const pads = to.integers(`${output}.pads`, [0, ...before, 0, ...after])
  to.add('Pad', [...inputs, pads, to.floats(`${output}.value`, [], [node.value ?? 0])], output)
}

export const padding: Family = { operators: { Pad }, writers: { pad: writePad } }
