/**
 * Elements taken from places that a trace computes: each place becomes a row of shares of all the elements there are, and
 * the row a sum of them. A place that is outside gives zeros, where `run` refuses it.
 */
import {
  abs,
  add,
  clamp,
  eq,
  lt,
  matmul,
  mul,
  permute,
  relu,
  remainder,
  reshape,
  round,
  slice,
  sub,
} from '../../../ops/index.ts'
import { elements, formatShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import type { OnnxNode } from '../node.ts'
import { reduceSum } from './normalise.ts'

/** The most shares that one operator makes of an image: 256 MB. */
const mostShares = 2 ** 26

function checkCount(node: OnnxNode, count: number): void {
  spend(count / 16)
  if (count <= mostShares) return
  throw node.unsupported(
    `its places are computed from the image, and as sums they take ${count} shares of ${mostShares} at most; run() takes them`,
  )
}

/** 0, 1, 2 … as [1, …, 1, size]. */
function numbers(size: number, rank: number): Tensor {
  return new Tensor(
    Float32Array.from({ length: size }, (_, i) => i),
    [...Array<number>(rank - 1).fill(1), size],
  )
}

/** 1 in the place of each index, [1, …, 1] → [1, …, size]; one below 0 counts from the end. */
function oneOf(index: Tensor, size: number): Tensor {
  const place = add(index, mul(lt(index, 0), size))
  return eq(place, numbers(size, index.shape.length))
}

/** Rows of a table that is known: Gather along its dimension 0. */
export function lookedUp(node: OnnxNode, table: nd.NdArray, index: Tensor): Tensor {
  const [size = 0, ...row] = table.shape
  const [, ...image] = index.shape
  const [count, length] = [elements(image), elements(row)]
  if (table.values.length === 0) throw node.unsupported('a table without elements')
  checkCount(node, count * size)
  const data = table.type.kind === 'float' ? nd.toFloat32(table) : Float32Array.from(table.values, Number)
  if (table.type.kind === 'int' && data.some((one) => !(Math.abs(one) < 2 ** 24))) {
    throw node.unsupported('integers of 2²⁴ and more are for run() only')
  }
  const rows = matmul(oneOf(reshape(index, [1, count, 1]), size), new Tensor(data, [size, length]))
  return reshape(rows, [1, ...image, ...row])
}

/** GatherElements along a dimension that is not the batch: an element for each index, beside it in the others. */
export function takenAlong(node: OnnxNode, value: Tensor, index: Tensor, axis: number): Tensor {
  const fits =
    index.shape.length === value.shape.length &&
    index.shape.every((size, d) => d === axis || size <= (value.shape[d] ?? 0))
  if (!fits) {
    throw node.error(
      'ERR_SHAPE',
      `indices of ${formatShape(index.shape)} do not go with ${formatShape(value.shape)} along dimension ${axis}`,
    )
  }
  const beside = index.shape.reduce(
    (x, size, d) => (d === axis || size === x.shape[d] ? x : slice(x, d, 0, size)),
    value,
  )
  const others = value.shape.map((_, d) => d).filter((d) => d !== axis)
  const last = [...others, axis]
  const [from, to] = [value.shape[axis] ?? 1, index.shape[axis] ?? 1]
  const kept = others.map((d) => index.shape[d] ?? 1)
  const rows = elements(kept)
  checkCount(node, rows * from * to)
  const share = oneOf(reshape(permute(index, last), [1, rows, to, 1]), from)
  const sums = matmul(share, reshape(permute(beside, last), [1, rows, from, 1]))
  return permute(
    reshape(sums, [...kept, to]),
    value.shape.map((_, d) => last.indexOf(d)),
  )
}

/** How GridSample takes its pixels. */
export interface Sampling {
  readonly nearest: boolean
  readonly padding: string
  readonly corners: boolean
}

/** Pixels of [1, c, h, w] at the places of a grid, [1, oh, ow, 2], or between them. */
export function sampledAt(node: OnnxNode, x: Tensor, grid: Tensor, how: Sampling): Tensor {
  const [, c = 1, h = 1, w = 1] = x.shape
  const [, rows = 1, columns = 1] = grid.shape
  const count = rows * columns
  checkCount(node, Math.max(c * h, h + w) * count)
  const places = reshape(grid, [1, count, 2])
  const along = (i: number, size: number) => sharesOf(slice(places, 2, i, i + 1), size, how)
  // along the rows of pixels, then across them
  const right = permute(along(0, w), [0, 2, 1])
  const columnsOf = reshape(matmul(reshape(x, [1, c * h, w]), right), [1, c, h, count])
  const down = reshape(permute(along(1, h), [0, 2, 1]), [1, 1, h, count])
  return reshape(reduceSum(mul(columnsOf, down), [2], false), [1, c, rows, columns])
}

/** What each of `size` pixels counts at a place from −1 to 1, [1, n, 1] → [1, n, size]. */
function sharesOf(given: Tensor, size: number, { nearest, padding, corners }: Sampling): Tensor {
  let place = corners ? mul(add(given, 1), (size - 1) / 2) : mul(sub(mul(add(given, 1), size), 1), 0.5)
  if (nearest) place = round(place)
  const [low, high] = corners ? [0, size - 1] : [-0.5, size - 0.5]
  if (padding === 'reflection') {
    const span = high - low
    // there and back again
    place = span > 0 ? sub(high, abs(sub(remainder(sub(place, low), 2 * span), span))) : mul(place, 0)
  }
  if (padding !== 'zeros') place = clamp(place, 0, size - 1)
  if (nearest) return eq(place, numbers(size, 3))
  return relu(sub(1, abs(sub(place, numbers(size, 3)))))
}
