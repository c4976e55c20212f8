/** Which keys a query of Attention sees: what is added to its scores. */
import { add } from '../../../ops/index.ts'
import { formatShape } from '../../../tensor/shape.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { float32 } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import { arrayOf, indicesOf, isSymbolic, tensorOf, typeOf, type Value } from '../value.ts'

const never = Number.NEGATIVE_INFINITY

/** What Attention's attributes and inputs say of it. */
export interface Sight {
  readonly causal: boolean
  /** Keys to the left and right of a query's own place that it sees; −1: all. */
  readonly left: number
  readonly right: number
  /** Masks: numbers to add, or booleans. */
  readonly masks: readonly Value[]
  /** How many keys of each image there are, the others are padding. */
  readonly lengths: Value | undefined
  /** Keys of earlier calls. */
  readonly past: number
}

export interface Masked {
  /** What is added to the scores, [queries, keys] or with heads and images before; undefined: nothing. */
  readonly bias: Tensor | undefined
  /** The same for the softmax: rows in which no key is seen are 0 here … */
  readonly forSoftmax: Tensor | undefined
  /** … and their weights are multiplied by 0, all others by 1. undefined: there are no such rows. */
  readonly seen: Tensor | undefined
}

/** @param shape [images, heads, queries, keys] */
export function masked(
  node: OnnxNode,
  sight: Sight,
  [n = 1, , queries = 1, keys = 1]: readonly number[],
): Masked {
  const placed = places(node, sight, n, queries, keys)
  const given = sight.masks.map((mask) => maskGiven(node, mask, keys))
  const arrays = placed ? [...given, placed] : given
  if (arrays.length === 0) return { bias: undefined, forSoftmax: undefined, seen: undefined }
  const symbolic = arrays.find(isSymbolic)
  if (symbolic) {
    // rows without a key cannot be told here
    const bias = arrays.map((one) => tensorOf(one, node)).reduce(add)
    return { bias, forSoftmax: bias, seen: undefined }
  }
  const sum = nd.combine<number>(
    float32,
    arrays.map((one) => arrayOf(node, one)),
    (a, b, c) => (arrays.length === 1 ? a : arrays.length === 2 ? a + b : a + b + c),
  )
  const bias = nd.toTensor(sum)
  const rows = sum.shape.length === 1 ? 1 : sum.values.length / keys
  const values = sum.values as Float32Array
  const blind = Array.from({ length: rows }, (_, row) =>
    values.subarray(row * keys, (row + 1) * keys).every((one) => one === never),
  )
  if (!blind.includes(true)) return { bias, forSoftmax: bias, seen: undefined }
  const open = nd.allocate(float32, sum.shape)
  const seen = nd.allocate(float32, [...sum.shape.slice(0, -1), 1])
  for (let row = 0; row < rows; row++) {
    if (blind[row]) continue
    ;(open.values as Float32Array).set(values.subarray(row * keys, (row + 1) * keys), row * keys)
    seen.values[row] = 1
  }
  return { bias, forSoftmax: nd.toTensor(open), seen: nd.toTensor(seen) }
}

/** Of a mask; one that is shorter than the keys says no to the rest. */
function maskGiven(node: OnnxNode, value: Value, keys: number): Value {
  const width = value.shape.at(-1) ?? 1
  if (isSymbolic(value)) {
    if (width === keys || width === 1) return value
    throw node.unsupported(
      `a mask of ${formatShape(value.shape)}, computed from the image, for ${keys} keys; run() takes it`,
    )
  }
  const array = arrayOf(node, value)
  const numbers =
    typeOf(value).kind === 'bool'
      ? nd.combine<number>(float32, [array], (one) => (one === 0 ? never : 0))
      : nd.fromTensor(tensorOf(value, node))
  if (width >= keys || value.shape.length === 0) return numbers
  const wide = nd.allocate(float32, [...value.shape.slice(0, -1), keys])
  ;(wide.values as Float32Array).fill(never)
  for (let from = 0, to = 0; from < numbers.values.length; from += width, to += keys) {
    ;(wide.values as Float32Array).set((numbers.values as Float32Array).subarray(from, from + width), to)
  }
  return wide
}

/** What follows from where queries and keys stand: [queries, keys], or [n, 1, queries, keys] where images differ. */
function places(
  node: OnnxNode,
  { causal, left, right, lengths, past }: Sight,
  n: number,
  queries: number,
  keys: number,
): nd.NdArray | undefined {
  if (!causal && left < 0 && right < 0 && lengths === undefined) return undefined
  const there =
    lengths &&
    Array.from<number | bigint, number>(indicesOf(node, lengths, 'nonpad_kv_seqlen').values, Number)
  if (there && there.length !== n) {
    throw node.error('ERR_SHAPE', `nonpad_kv_seqlen has ${there.length} numbers for ${n} images`)
  }
  const result = nd.allocate(float32, there ? [n, 1, queries, keys] : [queries, keys])
  const values = result.values as Float32Array
  for (let row = 0; row < values.length / keys; row++) {
    const length = there?.[Math.floor(row / queries)] ?? keys
    const place = (row % queries) + (there && past === 0 ? length - queries : past)
    // the first and the last key that are seen
    const first = left < 0 ? 0 : Math.max(0, place - left)
    const ends = [length - 1, ...(causal ? [place] : []), ...(right < 0 ? [] : [place + right])]
    const last = Math.min(keys - 1, ...ends)
    values.fill(never, row * keys, row * keys + Math.min(first, keys))
    values.fill(never, row * keys + Math.max(last + 1, 0), (row + 1) * keys)
  }
  return result
}
