/** Operators that repeat, cut out and reorder elements in regular ways. */
import { mul, pad, permute, reshape } from '../../../ops/index.ts'
import { elements, formatShape, sameShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { show } from '../../../util/show.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import type { Scalar } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { cut, picked } from '../pieces.ts'
import { batchAt } from '../turned.ts'
import {
  arrayOf,
  axisOf,
  indicesOf,
  integersOf,
  isSymbolic,
  keepBatch,
  type Read,
  required,
  typeOf,
  type Value,
} from '../value.ts'
import { sizesOf } from './generate.ts'
import { reshaped } from './shape.ts'

/** Dimensions of 1 repeated: by a product with ones where the numbers are not there yet. */
function expanded(node: OnnxNode, value: Value, shape: readonly number[]): Value {
  if (sameShape(shape, value.shape)) return value
  if (!isSymbolic(value)) return nd.broadcastTo(arrayOf(node, value), shape)
  if (shape.length > value.shape.length || shape[0] !== 1) {
    throw node.unsupported('it makes copies of the images of a batch, which is for run() only')
  }
  const ones = nd.filled(
    typeOf(value),
    shape.map((size, d) => (value.shape[d] === size ? 1 : size)),
    1,
  )
  return mul(value, new Tensor(ones.values as Float32Array, ones.shape))
}

const Expand: Read = (node) => (inputs) => {
  const value = required(node, inputs, 0)
  const target = sizesOf(node, required(node, inputs, 1), 'the shape')
  const shape = nd.broadcastShapes([value.shape, target])
  const ahead = shape.length - value.shape.length
  // copies in front of the batch, which is in the middle then
  if (isSymbolic(value) && ahead > 0 && shape[ahead] === value.shape[0]) {
    const single = [1, ...Array<number>(ahead).fill(1), ...value.shape.slice(1)]
    return batchAt(expanded(node, reshape(value, single), [1, ...shape.toSpliced(ahead, 1)]) as Tensor, ahead)
  }
  return expanded(node, value, shape)
}

const Tile: Read = (node) => {
  const old = node.opset < 6
  return (inputs) => {
    const value = required(node, inputs, 0)
    const { shape } = value
    let repeats = old ? [] : sizesOf(node, required(node, inputs, 1), 'the repeats')
    if (old) {
      const [count = 1] = sizesOf(node, required(node, inputs, 1), 'tiles')
      const [axis = 0] = sizesOf(node, required(node, inputs, 2), 'the axis')
      const at = axisOf(node, axis, shape.length)
      repeats = shape.map((_, d) => (d === at ? count : 1))
    }
    if (repeats.length !== shape.length) {
      throw node.error('ERR_SHAPE', `${show(repeats)} does not repeat ${formatShape(shape)}`)
    }
    if (repeats.some((count, d) => count !== 1 && d === 0)) keepBatch(node, value, 0)
    if (repeats.includes(0) && !isSymbolic(value)) {
      return nd.allocate(
        typeOf(value),
        shape.map((size, d) => size * (repeats[d] ?? 0)),
      )
    }
    return repeats.reduce((tiled: Value, count, d) => {
      if (count === 1) return tiled
      // as many copies beside each other: a dimension of its own that is repeated
      const [before, after] = [tiled.shape.slice(0, d), tiled.shape.slice(d)]
      const single = isSymbolic(tiled) ? [1, elements(before), 1, elements(after)] : [...before, 1, ...after]
      const many = isSymbolic(tiled)
        ? [1, elements(before), count, elements(after)]
        : [...before, count, ...after]
      const copies = expanded(node, reshaped(node, tiled, single), many)
      return reshaped(node, copies, [...before, count * (after[0] ?? 0), ...after.slice(1)])
    }, value)
  }
}

/** Seen in more dimensions, these in another order, and seen in others again. */
function regrouped(
  node: OnnxNode,
  value: Value,
  apart: readonly number[],
  order: readonly number[],
  together: readonly number[],
): Value {
  const split = reshaped(node, value, apart)
  const moved = isSymbolic(split) ? permute(split, order) : nd.transpose(arrayOf(node, split), order)
  return reshaped(node, moved, together)
}

function blockOf(node: OnnxNode): number {
  const block = node.int('blocksize', 0)
  if (block >= 1) return block
  throw node.error('ERR_FORMAT', `blocksize is ${block}`)
}

function imageOf(node: OnnxNode, value: Value): [number, number, number, number] {
  if (value.shape.length === 4) return value.shape as [number, number, number, number]
  throw node.error('ERR_SHAPE', `${formatShape(value.shape)} is no [n, c, h, w]`)
}

/** PyTorch's pixel_shuffle is CRD: the block lies inside the channel. */
const DepthToSpace: Read = (node) => {
  const block = blockOf(node)
  const mode = node.text('mode', 'DCR')
  if (mode !== 'DCR' && mode !== 'CRD') throw node.unsupported(`attribute mode=${mode} is not supported`)
  return (inputs) => {
    const value = required(node, inputs, 0)
    const [n, c, h, w] = imageOf(node, value)
    const channels = c / block ** 2
    if (!Number.isInteger(channels)) {
      throw node.error('ERR_SHAPE', `${c} channels do not make blocks of ${block}×${block}`)
    }
    const result = [n, channels, h * block, w * block]
    return mode === 'DCR'
      ? regrouped(node, value, [n, block, block, channels, h, w], [0, 3, 4, 1, 5, 2], result)
      : regrouped(node, value, [n, channels, block, block, h, w], [0, 1, 4, 2, 5, 3], result)
  }
}

const SpaceToDepth: Read = (node) => {
  const block = blockOf(node)
  const mode = node.text('mode', 'DCR')
  if (mode !== 'DCR' && mode !== 'CRD') throw node.unsupported(`attribute mode=${mode} is not supported`)
  return (inputs) => {
    const value = required(node, inputs, 0)
    const [n, c, h, w] = imageOf(node, value)
    const [rows, columns] = [h / block, w / block]
    if (!Number.isInteger(rows) || !Number.isInteger(columns)) {
      throw node.error('ERR_SHAPE', `an image of ${h}×${w} has no whole blocks of ${block}×${block}`)
    }
    return regrouped(
      node,
      value,
      [n, c, rows, block, columns, block],
      mode === 'DCR' ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4],
      [n, c * block ** 2, rows, columns],
    )
  }
}

/** A triangle of the last two dimensions; what is outside becomes 0. */
const Trilu: Read = (node) => {
  const upper = node.flag('upper', true)
  return (inputs) => {
    const value = required(node, inputs, 0)
    const { shape } = value
    if (shape.length < 2) throw node.error('ERR_SHAPE', `${formatShape(shape)} holds no matrices`)
    const k = inputs[1] ? nd.first(indicesOf(node, inputs[1], 'k')) : 0
    if (k === undefined) throw node.error('ERR_SHAPE', 'k must be one number')
    const [rows = 0, columns = 0] = shape.slice(-2)
    if (isSymbolic(value)) return triangles(node, value, upper, k)
    const { type, values } = arrayOf(node, value)
    const result = nd.allocate(type, shape)
    const matrices = elements(shape.slice(0, -2))
    for (let m = 0; m < matrices; m++) {
      for (let i = 0; i < rows; i++) {
        const edge = Math.min(Math.max(upper ? i + k : i + k + 1, 0), columns)
        const [from, to] = upper ? [edge, columns] : [0, edge]
        const at = (m * rows + i) * columns
        nd.copy(values, at + from, result.values, at + from, to - from)
      }
    }
    return result
  }
}

/** The same in a trace: places of one matrix, which all have in common. */
function triangles(node: OnnxNode, value: Value, upper: boolean, k: number): Value {
  const { shape } = value
  if (shape.length === 2) throw node.unsupported('its rows are the images of a batch; run() can')
  const [rows = 0, columns = 0] = shape.slice(-2)
  const places = Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns]
    return (upper ? column >= row + k : column <= row + k) ? i : -1
  })
  const flat = reshaped(node, value, [1, elements(shape) / places.length, places.length])
  return reshaped(node, picked(node, flat, 2, places), shape)
}

/** The first elements of each sequence of a batch turned round. */
const ReverseSequence: Read = (node) => {
  const [time, batch] = [node.int('time_axis', 0), node.int('batch_axis', 1)]
  return (inputs) => {
    const value = arrayOf(node, required(node, inputs, 0))
    const { shape } = value
    const lengths = integersOf(
      node,
      required(node, inputs, 1),
      'sequence_lens',
      Number.POSITIVE_INFINITY,
    ) as number[]
    if (shape.length < 2 || new Set([time, batch, 0, 1]).size !== 2) {
      throw node.error('ERR_SHAPE', `axes ${time} and ${batch} of ${formatShape(shape)} must be 0 and 1`)
    }
    const [steps, sequences] = [shape[time] ?? 0, shape[batch] ?? 0]
    if (lengths.length !== sequences || lengths.some((one) => one < 0 || one > steps)) {
      throw node.error('ERR_SHAPE', `sequence_lens does not fit ${sequences} sequences of ${steps}`)
    }
    const result = nd.allocate(value.type, shape)
    const inner = elements(shape.slice(2))
    spend(steps * sequences)
    for (let i = 0; i < sequences; i++) {
      const length = lengths[i] ?? 0
      for (let t = 0; t < steps; t++) {
        const from = t < length ? length - 1 - t : t
        const place = (at: number) => (time === 0 ? at * sequences + i : i * steps + at) * inner
        nd.copy(value.values, place(from), result.values, place(t), inner)
      }
    }
    return result
  }
}

/** The middle of some dimensions, or zeros around; what is odd is so at the end. */
const CenterCropPad: Read = (node) => {
  const given = node.ints('axes')
  return (inputs) => {
    const value = required(node, inputs, 0)
    const rank = value.shape.length
    const sizes = sizesOf(node, required(node, inputs, 1), 'the shape')
    const axes = given?.map((axis) => axisOf(node, axis, rank)) ?? value.shape.map((_, d) => d)
    if (axes.length !== sizes.length || new Set(axes).size !== axes.length) {
      throw node.error('ERR_SHAPE', `${sizes.length} sizes do not go with the axes [${axes.join(', ')}]`)
    }
    return axes.reduce((result: Value, axis, i) => {
      const [from, to] = [result.shape[axis] ?? 0, sizes[i] ?? 0]
      if (from === to) return result
      keepBatch(node, result, axis)
      const before = Math.floor(Math.abs(from - to) / 2)
      if (from > to) return cut(node, result, axis, before, 1, to)
      if (isSymbolic(result)) {
        const pads = result.shape.flatMap((_, d) =>
          rank - 1 - d === axis ? [before, to - from - before] : [0, 0],
        )
        return pad(result, pads)
      }
      const around = (count: number) =>
        nd.filled(
          typeOf(result),
          result.shape.map((size, d) => (d === axis ? count : size)),
          (typeOf(result).wide ? 0n : 0) as Scalar,
        )
      return nd.concat([around(before), arrayOf(node, result), around(to - from - before)], axis)
    }, value)
  }
}

export const arranging: Family = {
  operators: {
    CenterCropPad,
    DepthToSpace: { read: DepthToSpace, moves: true },
    Expand,
    ReverseSequence: { read: ReverseSequence, moves: true },
    SpaceToDepth: { read: SpaceToDepth, moves: true },
    Tile,
    Trilu,
  },
}
