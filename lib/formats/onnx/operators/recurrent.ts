/** LSTM, GRU and RNN. */
import { cat, permute, reshape, slice } from '../../../ops/index.ts'
import { type RecurrentKind, type RecurrentWeights, recurrent } from '../../../ops/recurrence.ts'
import { formatShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { show } from '../../../util/show.ts'
import * as nd from '../array.ts'
import { Loose } from '../loose.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { batchAt, Turned } from '../turned.ts'
import { arrayOf, isSymbolic, type Read, required, tensorOf, type Value } from '../value.ts'
import { type CellOptions, usual, walk } from './recurrent-cells.ts'

/** Gates in ONNX's order, for each of PyTorch's: i f g o of i o f c, r z n of z r h. */
const orders: Record<string, readonly number[]> = { LSTM: [0, 2, 3, 1], GRU: [1, 0, 2], RNN: [0] }

/** Rows of `from` in blocks of `size`, in another order. */
function inOrder(from: Float32Array, order: readonly number[], size: number): Float32Array {
  const to = new Float32Array(from.length)
  for (const [i, gate] of order.entries()) to.set(from.subarray(gate * size, (gate + 1) * size), i * size)
  return to
}

/** What one direction of a node has, in PyTorch's order. */
interface Direction extends RecurrentWeights {
  readonly biasIh: Tensor
  readonly biasHh: Tensor
  /** Of an LSTM: [3 · hidden], of i, o and f. */
  readonly peepholes: Float32Array | undefined
}

function directions(node: OnnxNode, given: readonly (Value | undefined)[], hidden: number): Direction[] {
  const order = orders[node.op] as readonly number[]
  const what = (i: number) => ['X', 'W', 'R', 'B', 'sequence_lens', 'initial_h', 'initial_c', 'P'][i]
  const read = (i: number) => given[i] && nd.toFloat32(arrayOf(node, given[i], `input ${what(i)}`))
  const [w, r, b, p] = [read(1), read(2), read(3), read(7)]
  const rows = order.length * hidden
  const [count = 0, , features = 0] = given[1]?.shape ?? []
  const fits = (i: number, ...shape: number[]) => {
    const value = given[i]
    if (value === undefined || formatShape(value.shape) === formatShape(shape)) return
    throw node.error(
      'ERR_SHAPE',
      `${what(i)} should be ${formatShape(shape)} but is ${formatShape(value.shape)}`,
    )
  }
  fits(1, count, rows, features)
  fits(2, count, rows, hidden)
  fits(3, count, 2 * rows)
  fits(7, count, 3 * hidden)
  const first = node.text('direction', 'forward')
  return Array.from({ length: count }, (_, d) => {
    const part = (all: Float32Array | undefined, size: number, at = 0, each = size) =>
      inOrder(
        all?.subarray(d * each + at, d * each + at + size) ?? new Float32Array(size),
        order,
        size / order.length,
      )
    return {
      weightIh: new Tensor(part(w, rows * features), [rows, features]),
      weightHh: new Tensor(part(r, rows * hidden), [rows, hidden]),
      biasIh: new Tensor(part(b, rows, 0, 2 * rows), [rows]),
      biasHh: new Tensor(part(b, rows, rows, 2 * rows), [rows]),
      peepholes: p?.subarray(d * 3 * hidden, (d + 1) * 3 * hidden),
      reverse: first === 'reverse' || d === 1,
    }
  })
}

const Recurrent: Read = (node) => {
  const direction = node.text('direction', 'forward')
  const hiddenSize = node.int('hidden_size', 0)
  const batchFirst = node.flag('layout', false)
  const count = direction === 'bidirectional' ? 2 : 1
  if (!['forward', 'reverse', 'bidirectional'].includes(direction)) {
    throw node.unsupported(`attribute direction=${show(direction)} is not supported`)
  }
  const options: CellOptions = {
    op: node.op as CellOptions['op'],
    activations: activationsOf(node, count),
    alpha: node.floats('activation_alpha') ?? [],
    beta: node.floats('activation_beta') ?? [],
    clip: node.has('clip') ? node.float('clip', 0) : Number.POSITIVE_INFINITY,
    inputForget: node.op === 'LSTM' && node.flag('input_forget', false),
    resetAfter: node.op === 'GRU' && node.flag('linear_before_reset', false),
  }
  if (node.opset < 7) node.ignore('output_sequence')
  // Weights are the same from run to run.
  let known: { inputs: readonly (Value | undefined)[]; directions: Direction[] } | undefined
  return (inputs) => {
    const value = required(node, inputs, 0)
    const weights = [1, 2, 3, 7].map((i) => inputs[i])
    const [w, r] = [required(node, inputs, 1), required(node, inputs, 2)]
    const hidden = hiddenSize || (r.shape[2] ?? 0)
    if (w.shape[0] !== count) {
      throw node.error('ERR_SHAPE', `W is ${formatShape(w.shape)} but direction is ${direction}`)
    }
    if (known?.inputs.some((one, i) => one !== weights[i]) !== false) {
      known = { inputs: weights, directions: directions(node, inputs, hidden) }
    }
    const x = batchwise(node, tensorOf(value, node), batchFirst ? 0 : 1)
    const [n = 1, steps = 1, features = 1] = x.shape
    if (x.shape.length !== 3 || features !== w.shape[2]) {
      throw node.error('ERR_SHAPE', `X is ${formatShape(value.shape)} but W ${formatShape(w.shape)}`)
    }
    const lengths = lengthsOf(node, inputs[4], n, steps)
    const kind = lengths || inputs[7] ? undefined : usual(options)
    if (!kind && isSymbolic(x)) {
      throw node.unsupported(
        'activations, clip, input_forget, peepholes or sequence lengths that PyTorch has none of are for run() only',
      )
    }
    const cells = node.op === 'LSTM' && (node.outputs[2] ?? '') !== ''
    const ways = known.directions.map((own, d) => {
      const states = statesOf(node, inputs, d, batchFirst)
      if (!kind) return walk(node, options, d, own, x, lengths, states)
      return recurrent(kind, x, { ...withBias(kind, own), states }, cells)
    })
    // [n, steps, directions, hidden]; [n, directions, hidden]
    const joined = (parts: readonly Tensor[], shape: readonly number[]) =>
      parts.length === 1
        ? reshape(parts[0] as Tensor, shape)
        : cat(
            parts.map((one) => reshape(one, shape)),
            shape.length - 2,
          )
    const y = joined(
      ways.map(({ output }) => output),
      [n, steps, 1, hidden],
    )
    const state = (name: 'hn' | 'cn') => {
      const all = joined(
        ways.map((way) => way[name] as Tensor),
        [n, 1, hidden],
      )
      return batchFirst ? all : back(all, 1)
    }
    return [batchFirst ? y : back(y, 2), state('hn'), ...(cells ? [state('cn')] : [])]
  }
}

/** The batch first, wherever the model has it. */
function batchwise(node: OnnxNode, x: Tensor, axis: number): Tensor {
  if (x instanceof Loose) {
    if (x.shape.length === 3 && x.shape[axis] === 1)
      return reshape(x.images, [1, ...x.shape.toSpliced(axis, 1)])
  } else if (x instanceof Turned) {
    if (x.axis === axis && x.spread === 0) return x.images
  } else if (!isSymbolic(x) || axis === 0) {
    return axis === 0 || x.shape.length !== 3 ? x : permute(x, [1, 0, 2])
  }
  throw node.unsupported(
    `its input has the batch in another place than dimension ${axis}, which would mix the images; run() can`,
  )
}

/** And back: dimension 0 to `axis`. */
function back(x: Tensor, axis: number): Tensor {
  if (isSymbolic(x)) return batchAt(x, axis)
  const rest = x.shape.map((_, d) => d).slice(1)
  return permute(x, rest.toSpliced(axis, 0, 0))
}

/** h, and of an LSTM c, before the first step. */
function statesOf(
  node: OnnxNode,
  inputs: readonly (Value | undefined)[],
  d: number,
  batchFirst: boolean,
): Tensor[] {
  const given = node.op === 'LSTM' ? [inputs[5], inputs[6]] : [inputs[5]]
  const there = given.find((one) => one !== undefined)
  if (there === undefined) return []
  return given.map((value) => {
    if (value === undefined)
      return new Tensor(new Float32Array(there.shape.at(-1) ?? 1), [1, there.shape.at(-1) ?? 1])
    const all = batchwise(node, tensorOf(value, node), batchFirst ? 0 : 1)
    const [n = 1, , hidden = 1] = all.shape
    return reshape(slice(all, 1, d, d + 1), [n, hidden])
  })
}

/** A cell that resets before its linear layer has no bias of its own. */
function withBias(kind: RecurrentKind, own: Direction): RecurrentWeights {
  if (kind !== 'gruResetFirst') return own
  const sum = own.biasIh.data.map((value, i) => value + (own.biasHh.data[i] ?? 0))
  return { ...own, biasIh: new Tensor(sum, own.biasIh.shape), biasHh: undefined }
}

/** How many steps of each sequence count, where they are not all. */
function lengthsOf(node: OnnxNode, value: Value | undefined, n: number, steps: number): number[] | undefined {
  if (value === undefined) return undefined
  const lengths = Array.from<number | bigint, number>(arrayOf(node, value, 'sequence_lens').values, Number)
  if (lengths.length !== n && lengths.every((one) => one === steps)) return undefined
  if (lengths.length !== n || lengths.some((one) => one < 0 || one > steps)) {
    throw node.error('ERR_SHAPE', `sequence_lens ${show(lengths)} are not ${n} numbers up to ${steps}`)
  }
  return lengths.every((one) => one === steps) ? undefined : lengths
}

function activationsOf(node: OnnxNode, count: number): string[] {
  const own = { LSTM: ['Sigmoid', 'Tanh', 'Tanh'], GRU: ['Sigmoid', 'Tanh'], RNN: ['Tanh'] }[node.op] ?? []
  const given = node.texts('activations')
  const all = given?.length ? given : Array.from({ length: count }, () => own).flat()
  if (all.length === own.length * count) return all
  throw node.error('ERR_FORMAT', `it has ${all.length} activations but takes ${own.length * count}`)
}

export const recurrence: Family = {
  operators: {
    GRU: { read: Recurrent, isKernel: true },
    LSTM: { read: Recurrent, isKernel: true },
    RNN: { read: Recurrent, isKernel: true },
  },
}
