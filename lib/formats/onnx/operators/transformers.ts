/** Parts of transformers that onnxruntime's optimiser joins to one operator each. */
import { add, cat, layerNorm, linear, permute, reshape, rmsNorm, slice } from '../../../ops/index.ts'
import { formatShape, sameShape } from '../../../tensor/shape.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { float32 } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { arrayOf, indicesOf, isSymbolic, type Read, required, tensorOf, type Value } from '../value.ts'
import { operand } from './arithmetic.ts'
import { attended, inHeads, joinedHeads } from './attention.ts'
import { int32 } from './quantize.ts'

type Inputs = readonly (Value | undefined)[]

function optional(node: OnnxNode, value: Value | undefined): Tensor | undefined {
  return value && tensorOf(value, node)
}

/** x + skip + bias, of which each row is normed. Output 3 is the sum. */
function skipNorm(
  norm: (x: Tensor, node: OnnxNode, inputs: Inputs, epsilon: number) => Tensor,
  bias: number,
): Read {
  return (node) => {
    const epsilon = node.float('epsilon', 1e-12)
    return (inputs) => {
      const [x, skip] = [required(node, inputs, 0), required(node, inputs, 1)]
      const both = add(operand(node, x, skip), operand(node, skip, x))
      const last = optional(node, inputs[bias])
      const sum = last ? add(both, last) : both
      if (node.outputs.slice(1, 3).some((name) => name !== '')) {
        throw node.unsupported('outputs 1 and 2, mean and deviation, are not supported')
      }
      const y = norm(sum, node, inputs, epsilon)
      return node.outputs.length > 3 ? [y, y, y, sum] : y
    }
  }
}

/** A weight of one number for each of the last dimension. */
function rowOf(node: OnnxNode, x: Tensor, value: Value | undefined): Tensor | undefined {
  const weight = optional(node, value)
  if (weight === undefined || sameShape(weight.shape, x.shape.slice(-1))) return weight
  throw node.error(
    'ERR_SHAPE',
    `a scale of ${formatShape(weight.shape)} does not go with rows of ${x.shape.at(-1)}`,
  )
}

const SkipLayerNormalization = skipNorm((x, node, inputs, eps) => {
  const [weight, bias] = [rowOf(node, x, required(node, inputs, 2)), rowOf(node, x, inputs[3])]
  return layerNorm(x, x.shape.slice(-1), { weight, bias, eps })
}, 4)

const SkipSimplifiedLayerNormalization = skipNorm((x, node, inputs, eps) => {
  return rmsNorm(x, x.shape.slice(-1), { weight: rowOf(node, x, required(node, inputs, 2)), eps })
}, 3)

/** Words, places and segments looked up, added and normed: integers in, for run() alone. */
const EmbedLayerNormalization: Read = (node) => {
  const eps = node.float('epsilon', 1e-12)
  const placed = node.int('mask_index_type', 0)
  return (inputs) => {
    const ids = indicesOf(node, required(node, inputs, 0), 'the words')
    const look = (table: Value | undefined, rows: nd.NdArray) =>
      nd.toTensor(nd.gather(arrayOf(node, table as Value), rows, 0))
    const [n = 1, length = 1] = ids.shape
    if (ids.shape.length !== 2)
      throw node.error('ERR_SHAPE', `words of ${formatShape(ids.shape)} are no matrix`)
    const places = inputs[8]
      ? indicesOf(node, inputs[8], 'positions')
      : nd.integers(Array.from({ length }, (_, i) => i))
    const words = look(required(node, inputs, 2), ids)
    let sum = add(words, look(required(node, inputs, 3), places))
    if (inputs[1] && inputs[4]) sum = add(sum, look(inputs[4], indicesOf(node, inputs[1], 'the segments')))
    const [weight, bias] = [rowOf(node, sum, required(node, inputs, 5)), rowOf(node, sum, inputs[6])]
    const y = layerNorm(sum, sum.shape.slice(-1), { weight, bias, eps })
    return [y, lengths(node, inputs[7], n, length, placed), sum]
  }
}

/** How many words of each row count: those before the first 0 of the mask. */
function lengths(
  node: OnnxNode,
  mask: Value | undefined,
  n: number,
  length: number,
  kind: number,
): nd.NdArray {
  if (kind !== 0) throw node.unsupported(`attribute mask_index_type=${kind} is not supported`)
  const result = nd.allocate(int32, [n])
  if (mask === undefined) return result
  const { values } = arrayOf(node, mask)
  for (let row = 0; row < n; row++) {
    let count = 0
    while (count < length && Number(values[row * length + count]) === 1) count++
    ;(result.values as Int32Array)[row] = count
  }
  return result
}

/**
 * What is added to scores: nothing where the mask says 1, `filler` where it says 0. It is [n, keys], [n, queries, keys],
 * [n, 1, queries, keys], or [n], how many keys count.
 */
function paddingMask(node: OnnxNode, value: Value, keys: number, filler: number): Tensor {
  const mask = arrayOf(node, value, 'the mask')
  const [n = 1] = mask.shape
  if (mask.shape.length === 1) {
    const added = nd.allocate(float32, [n, 1, 1, keys])
    for (let row = 0; row < n; row++) {
      const count = Math.max(0, Math.min(Number(mask.values[row]), keys))
      ;(added.values as Float32Array).fill(filler, row * keys + count, (row + 1) * keys)
    }
    return nd.toTensor(added)
  }
  const added = nd.combine<number>(float32, [mask], (one) => (Number(one) === 0 ? filler : 0))
  const shape = mask.shape
  if (shape.at(-1) !== keys || shape.length > 4) {
    throw node.error('ERR_SHAPE', `a mask of ${formatShape(shape)} does not go with ${keys} keys`)
  }
  const wide = shape.length === 2 ? [n, 1, 1, keys] : shape.length === 3 ? [n, 1, ...shape.slice(1)] : shape
  return nd.toTensor({ ...added, shape: wide })
}

/** No window, no lengths. */
const everywhere = { left: -1, right: -1, lengths: undefined }

interface Attributes {
  readonly scale: number | undefined
  readonly filler: number
  readonly causal: boolean
}

function attributesOf(node: OnnxNode): Attributes {
  const heads = node.int('num_heads', 0)
  if (heads < 1) throw node.error('ERR_FORMAT', 'attribute num_heads is missing')
  const scale = node.float('scale', 0)
  return {
    scale: scale === 0 ? undefined : scale,
    filler: node.float('mask_filter_value', -10000),
    causal: node.flag('unidirectional', false),
  }
}

/** Attention over one input that is projected to queries, keys and values first. */
const Attention: Read = (node) => {
  const attributes = attributesOf(node)
  const sizes = node.ints('qkv_hidden_sizes')
  if (node.flag('do_rotary', false)) throw node.unsupported('attribute do_rotary=1 is not supported')
  if (node.flag('past_present_share_buffer', false)) {
    throw node.unsupported('attribute past_present_share_buffer=1 is not supported')
  }
  return (inputs) => {
    const x = tensorOf(required(node, inputs, 0), node)
    const weight = tensorOf(required(node, inputs, 1), node)
    const columns = weight.shape[1] ?? 0
    const widths = sizes ?? [columns / 3, columns / 3, columns / 3]
    if (x.shape.length !== 3 || weight.shape.length !== 2 || widths.reduce((a, b) => a + b, 0) !== columns) {
      throw node.error(
        'ERR_SHAPE',
        `an input of ${formatShape(x.shape)} and weights of ${formatShape(weight.shape)} do not fit`,
      )
    }
    const all = linear(x, permute(weight, [1, 0]), optional(node, inputs[2]))
    let from = 0
    const [q, k, v] = widths.map((width) => {
      from += width
      return inHeads(node, slice(all, 2, from - width, from), 'num_heads')
    }) as [Tensor, Tensor, Tensor]
    const past = optional(node, inputs[4])
    if (past && isSymbolic(past)) throw node.unsupported('keys and values of before are for run() only')
    const before = past ? [0, 1].map((i) => reshape(slice(past, 0, i, i + 1), past.shape.slice(1))) : []
    const [keys, values] = [k, v].map((one, i) => (before[i] ? cat([before[i] as Tensor, one], 2) : one)) as [
      Tensor,
      Tensor,
    ]
    const { y } = attended(node, q, keys, values, {
      scale: attributes.scale,
      softcap: 0,
      sight: {
        ...everywhere,
        causal: attributes.causal,
        past: past?.shape[3] ?? 0,
        masks: masksOf(node, inputs[3], inputs[5], keys.shape[2] ?? 0, attributes.filler),
      },
    })
    if (!node.outputs[1]) return joinedHeads(y)
    if (isSymbolic(keys)) throw node.unsupported('output 1, keys and values, is for run() only')
    return [
      joinedHeads(y),
      cat(
        [keys, values].map((one) => reshape(one, [1, ...one.shape])),
        0,
      ),
    ]
  }
}

function masksOf(
  node: OnnxNode,
  mask: Value | undefined,
  bias: Value | undefined,
  keys: number,
  filler: number,
): Tensor[] {
  return [...(mask ? [paddingMask(node, mask, keys, filler)] : []), ...(bias ? [tensorOf(bias, node)] : [])]
}

/** Attention over queries, keys and values. */
const MultiHeadAttention: Read = (node) => {
  const attributes = attributesOf(node)
  return (inputs) => {
    if (!inputs[1] || !inputs[2])
      throw node.unsupported('queries, keys and values in one input are not supported')
    const biases = optional(node, inputs[3])
    let from = 0
    const [q, k, v] = [0, 1, 2].map((i) => {
      const x = tensorOf(required(node, inputs, i), node)
      const width = x.shape.length === 3 ? (x.shape[2] ?? 0) : (x.shape[1] ?? 0) * (x.shape[3] ?? 0)
      from += width
      const bias = biases && slice(biases, 0, from - width, from)
      if (!bias) return inHeads(node, x, 'num_heads')
      if (x.shape.length === 3) return inHeads(node, add(x, bias), 'num_heads')
      return add(x, reshape(bias, [x.shape[1] ?? 1, 1, x.shape[3] ?? 1]))
    }) as [Tensor, Tensor, Tensor]
    const past = (value: Tensor, i: number) =>
      inputs[i] ? cat([tensorOf(inputs[i], node), value], 2) : value
    const [keys, values] = [past(k, 6), past(v, 7)]
    const { y } = attended(node, q, keys, values, {
      scale: attributes.scale,
      softcap: 0,
      sight: {
        ...everywhere,
        causal: attributes.causal,
        past: inputs[6]?.shape[2] ?? 0,
        masks: masksOf(node, inputs[4], inputs[5], keys.shape[2] ?? 0, attributes.filler),
      },
    })
    return [joinedHeads(y), keys, values]
  }
}

export const transformers: Family = {
  operators: {
    'com.microsoft.Attention': { read: Attention, isKernel: true },
    'com.microsoft.EmbedLayerNormalization': {
      read: EmbedLayerNormalization,
      type: (_node, output, input) => (output === 1 ? int32 : input(2)),
    },
    'com.microsoft.MultiHeadAttention': { read: MultiHeadAttention, isKernel: true },
    'com.microsoft.SkipLayerNormalization': { read: SkipLayerNormalization, isKernel: true },
    'com.microsoft.SkipSimplifiedLayerNormalization': {
      read: SkipSimplifiedLayerNormalization,
      isKernel: true,
    },
  },
}
