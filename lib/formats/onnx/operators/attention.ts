/** Attention of opset 23 to 25: softmax(scale · Q · Kᵀ + mask) · V, made of the operations there are. */
import { add, cat, matmul, mul, permute, reshape, softmax, tanh } from '../../../ops/index.ts'
import { formatShape } from '../../../tensor/shape.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { type Read, required, tensorOf, type Value } from '../value.ts'
import { masked } from './attention-mask.ts'

/** [n, length, heads · size] or [n, heads, length, size] → [n, heads, length, size] */
function inHeads(node: OnnxNode, value: Value, count: string): Tensor {
  const x = tensorOf(value, node)
  if (x.shape.length === 4) return x
  const heads = node.int(count, 0)
  const [n = 1, length = 1, features = 1] = x.shape
  if (x.shape.length !== 3 || heads < 1 || features % heads !== 0) {
    throw node.error('ERR_SHAPE', `${formatShape(x.shape)} does not hold ${count}=${heads} heads`)
  }
  return permute(reshape(x, [n, length, heads, features / heads]), [0, 2, 1, 3])
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
    const factor = Math.sqrt(scale ?? 1 / Math.sqrt(size))
    const product = matmul(mul(grouped, factor), mul(permute(k, [0, 1, 3, 2]), factor))
    const raw = groups === heads ? product : reshape(product, [n, heads, queries, keys])
    const sight = { causal, left, right, mask: inputs[3], lengths: inputs[6], past: inputs[4]?.shape[2] ?? 0 }
    const { bias, forSoftmax, seen } = masked(node, sight, [n, heads, queries, keys])
    const capped = softcap > 0 ? mul(tanh(mul(raw, 1 / softcap)), softcap) : raw
    const shares = softmax(forSoftmax ? add(capped, forSoftmax) : capped, -1)
    const weights = seen ? mul(shares, seen) : shares
    const wide = groups === heads ? weights : reshape(weights, [n, groups, rows, keys])
    const result = matmul(wide, v)
    const apart = groups === heads ? result : reshape(result, [n, heads, queries, width])
    const y = flat ? reshape(permute(apart, [0, 2, 1, 3]), [n, queries, heads * width]) : apart
    return [
      y,
      k,
      v,
      mode === 3 ? weights : mode === 2 && bias ? add(capped, bias) : mode === 0 ? raw : capped,
    ]
  }
}

export const attention: Family = { operators: { Attention: { read: Attention, isKernel: true } } }
