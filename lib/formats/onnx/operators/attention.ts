/** Attention of opset 23 to 25 and RotaryEmbedding: softmax(scale · Q · Kᵀ + mask) · V, made of the operations there are. */
import { add, cat, matmul, mul, permute, reshape, slice, softmax, sub, tanh } from '../../../ops/index.ts'
import { formatShape } from '../../../tensor/shape.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { arrayOf, indicesOf, type Read, required, tensorOf, type Value } from '../value.ts'
import { masked, type Sight } from './attention-mask.ts'

/** [n, length, heads · size] or [n, heads, length, size] → [n, heads, length, size] */
export function inHeads(node: OnnxNode, value: Value, count: string): Tensor {
  const x = tensorOf(value, node)
  if (x.shape.length === 4) return x
  const heads = node.int(count, 0)
  const [n = 1, length = 1, features = 1] = x.shape
  if (x.shape.length !== 3 || heads < 1 || features % heads !== 0) {
    throw node.error('ERR_SHAPE', `${formatShape(x.shape)} does not hold ${count}=${heads} heads`)
  }
  return permute(reshape(x, [n, length, heads, features / heads]), [0, 2, 1, 3])
}

/** How scores are made of queries and keys. */
export interface Scoring {
  readonly scale: number | undefined
  readonly softcap: number
  readonly sight: Sight
}

/** What attention gives, and the scores on the way to it. */
interface Attended {
  readonly y: Tensor
  readonly raw: Tensor
  readonly capped: Tensor
  readonly bias: Tensor | undefined
  readonly weights: Tensor
}

/** Of [n, heads, length, size] each; there may be fewer heads of keys and values. */
export function attended(node: OnnxNode, q: Tensor, k: Tensor, v: Tensor, scoring: Scoring): Attended {
  const [n = 1, heads = 1, queries = 1, size = 1] = q.shape
  const [groups = 1, keys = 1, width = 1] = [k.shape[1], k.shape[2], v.shape[3]]
  if (heads % groups !== 0 || k.shape[3] !== size || v.shape[1] !== groups || v.shape[2] !== keys) {
    throw node.error(
      'ERR_SHAPE',
      `queries ${formatShape(q.shape)}, keys ${formatShape(k.shape)} and values ${formatShape(v.shape)} do not fit`,
    )
  }
  // Each head of keys serves heads / groups of queries, which are so many times as many rows.
  const rows = (heads / groups) * queries
  const grouped = groups === heads ? q : reshape(q, [n, groups, rows, size])
  const { scale = 1 / Math.sqrt(size), softcap, sight } = scoring
  const factor = Math.sqrt(scale)
  const product = matmul(mul(grouped, factor), mul(permute(k, [0, 1, 3, 2]), factor))
  const raw = groups === heads ? product : reshape(product, [n, heads, queries, keys])
  const capped = softcap > 0 ? mul(tanh(mul(raw, 1 / softcap)), softcap) : raw
  const { bias, forSoftmax, seen } = masked(node, sight, [n, heads, queries, keys])
  const shares = softmax(forSoftmax ? add(capped, forSoftmax) : capped, -1)
  const weights = seen ? mul(shares, seen) : shares
  const wide = groups === heads ? weights : reshape(weights, [n, groups, rows, keys])
  const result = matmul(wide, v)
  const y = groups === heads ? result : reshape(result, [n, heads, queries, width])
  return { y, raw, capped, bias, weights }
}

/** [n, heads, length, size] → [n, length, heads · size] */
export function joinedHeads(x: Tensor): Tensor {
  const [n = 1, heads = 1, length = 1, size = 1] = x.shape
  return reshape(permute(x, [0, 2, 1, 3]), [n, length, heads * size])
}

const Attention: Read = (node) => {
  const causal = node.flag('is_causal', false)
  const softcap = node.float('softcap', 0)
  const mode = node.int('qk_matmul_output_mode', 0)
  if (mode < 0 || mode > 3) throw node.unsupported(`attribute qk_matmul_output_mode=${mode} is not supported`)
  const [left, right] = [node.int('left_window_size', -1), node.int('right_window_size', -1)]
  const scale = node.has('scale') ? node.float('scale', 1) : undefined
  // Sums are float32 whatever is asked for.
  node.ignore('softmax_precision')
  for (const count of ['q_num_heads', 'kv_num_heads']) node.int(count, 0)
  return (inputs) => {
    const flat = required(node, inputs, 0).shape.length === 3
    const q = inHeads(node, required(node, inputs, 0), 'q_num_heads')
    const past = (value: Tensor, i: number) =>
      inputs[i] ? cat([tensorOf(inputs[i], node), value], 2) : value
    const k = past(inHeads(node, required(node, inputs, 1), 'kv_num_heads'), 4)
    const v = past(inHeads(node, required(node, inputs, 2), 'kv_num_heads'), 5)
    const { y, raw, capped, bias, weights } = attended(node, q, k, v, {
      scale,
      softcap,
      sight: {
        causal,
        left,
        right,
        masks: inputs[3] ? [inputs[3]] : [],
        lengths: inputs[6],
        past: inputs[4]?.shape[2] ?? 0,
      },
    })
    const scores = mode === 0 ? raw : mode === 1 ? capped : mode === 2 && bias ? add(capped, bias) : capped
    return [flat ? joinedHeads(y) : y, k, v, mode === 3 ? weights : scores]
  }
}

/** Both halves of a vector turned by angles, or every two numbers beside each other. */
function rotated(x: Tensor, cos: Tensor, sin: Tensor, interleaved: boolean): Tensor {
  const size = x.shape.at(-1) ?? 0
  const half = size / 2
  const [a, b] = interleaved
    ? [slice(x, -1, 0, size, 2), slice(x, -1, 1, size, 2)]
    : [slice(x, -1, 0, half), slice(x, -1, half, size)]
  const [real, imaginary] = [sub(mul(a, cos), mul(b, sin)), add(mul(a, sin), mul(b, cos))]
  if (!interleaved) return cat([real, imaginary], -1)
  const pairs = [real, imaginary].map((one) => reshape(one, [...one.shape, 1]))
  return reshape(cat(pairs, -1), x.shape)
}

const RotaryEmbedding: Read = (node) => {
  const interleaved = node.flag('interleaved', false)
  const dimensions = node.int('rotary_embedding_dim', 0)
  node.int('num_heads', 0)
  return (inputs) => {
    const given = required(node, inputs, 0)
    const flat = given.shape.length === 3
    const x = inHeads(node, given, 'num_heads')
    const [n = 1, , length = 1, size = 1] = x.shape
    const part = dimensions === 0 ? size : dimensions
    if (part > size || part % 2 !== 0) {
      throw node.error(
        'ERR_SHAPE',
        `attribute rotary_embedding_dim=${part} does not go with ${size} numbers a head`,
      )
    }
    const [cos, sin] = [1, 2].map((i) => {
      const cache = required(node, inputs, i)
      const picked = inputs[3]
        ? nd.toTensor(nd.gather(arrayOf(node, cache), indicesOf(node, inputs[3], 'positions'), 0))
        : tensorOf(cache, node)
      const [images = 0, places = 0, angles = 0, ...more] = picked.shape
      if (more.length > 0 || (images !== n && images !== 1) || places !== length || angles !== part / 2) {
        throw node.error(
          'ERR_SHAPE',
          `a cache of ${formatShape(cache.shape)} does not hold ${part / 2} angles for each of ${length} places`,
        )
      }
      return reshape(picked, [images, 1, places, angles])
    }) as [Tensor, Tensor]
    const turned = rotated(part === size ? x : slice(x, -1, 0, part), cos, sin, interleaved)
    const y = part === size ? turned : cat([turned, slice(x, -1, part, size)], -1)
    return flat ? joinedHeads(y) : y
  }
}

export const attention: Family = {
  operators: {
    Attention: { read: Attention, isKernel: true },
    RotaryEmbedding: { read: RotaryEmbedding, isKernel: true },
  },
}
