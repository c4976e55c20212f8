/**
 * Recurrent layers with what PyTorch's have not: other activations, a clip, peepholes, coupled gates, sequences of
 * several lengths. Step by step in double, each state rounded to float32.
 */
import type { RecurrentKind, RecurrentResult, RecurrentWeights } from '../../../ops/recurrence.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { spend } from '../budget.ts'
import type { OnnxNode } from '../node.ts'

export interface CellOptions {
  readonly op: 'LSTM' | 'GRU' | 'RNN'
  /** Of every direction, one direction after the other. */
  readonly activations: readonly string[]
  readonly alpha: readonly number[]
  readonly beta: readonly number[]
  /** What goes into activations is cut to [−clip, clip]. */
  readonly clip: number
  /** An LSTM's forget gate is 1 − its input gate. */
  readonly inputForget: boolean
  /** linear_before_reset */
  readonly resetAfter: boolean
}

/** The operation that computes this, where there is one. */
export function usual({
  op,
  activations,
  clip,
  inputForget,
  resetAfter,
}: CellOptions): RecurrentKind | undefined {
  if (clip !== Number.POSITIVE_INFINITY || inputForget) return undefined
  const names = activations.map((name) => name.toLowerCase())
  const all = (...own: string[]) => names.every((name, i) => name === own[i % own.length])
  if (op === 'LSTM') return all('sigmoid', 'tanh', 'tanh') ? 'lstm' : undefined
  if (op === 'GRU') return all('sigmoid', 'tanh') ? (resetAfter ? 'gru' : 'gruResetFirst') : undefined
  return all('tanh') ? 'rnnTanh' : all('relu') ? 'rnnRelu' : undefined
}

type Activation = (x: number) => number

/** By its name in small letters: its function, and what alpha and beta are where they are not given. */
const activations: Record<
  string,
  [make: (alpha: number, beta: number) => Activation, alpha?: number, beta?: number]
> = {
  affine: [(a, b) => (x) => a * x + b, 1, 0],
  elu: [(a) => (x) => (x >= 0 ? x : a * Math.expm1(x)), 1],
  hardsigmoid: [(a, b) => (x) => Math.max(0, Math.min(1, a * x + b)), 0.2, 0.5],
  leakyrelu: [(a) => (x) => (x >= 0 ? x : a * x), 0.01],
  relu: [() => (x) => Math.max(0, x)],
  scaledtanh: [(a, b) => (x) => a * Math.tanh(b * x), 1, 1],
  sigmoid: [() => (x) => 1 / (1 + Math.exp(-x))],
  softplus: [() => (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))],
  softsign: [() => (x) => x / (1 + Math.abs(x))],
  tanh: [() => Math.tanh],
  thresholdedrelu: [(a) => (x) => (x >= a ? x : 0), 1],
}

/** Those that take an alpha or beta take the next of the lists. */
function functionsOf(node: OnnxNode, { activations: names, alpha, beta }: CellOptions): Activation[] {
  const [alphas, betas] = [[...alpha], [...beta]]
  return names.map((name) => {
    const known = activations[name.toLowerCase()]
    if (!known) throw node.unsupported(`the activation ${name} is not supported`)
    const [make, a, b] = known
    return make(a === undefined ? 0 : (alphas.shift() ?? a), b === undefined ? 0 : (betas.shift() ?? b))
  })
}

/**
 * One direction over x [n, steps, in].
 *
 * @param d which direction of the node
 * @param lengths steps of each sequence that count: outputs behind them are zero
 * @param states [n, hidden] or [1, hidden] each
 */
export function walk(
  node: OnnxNode,
  options: CellOptions,
  d: number,
  own: RecurrentWeights & { peepholes: Float32Array | undefined },
  x: Tensor,
  lengths: readonly number[] | undefined,
  states: readonly Tensor[],
): RecurrentResult {
  const functions = functionsOf(node, options)
  const each = { LSTM: 3, GRU: 2, RNN: 1 }[options.op]
  const [f, g, h] = functions.slice(d * each, (d + 1) * each) as [Activation, Activation, Activation]
  const [n = 1, steps = 1, features = 1] = x.shape
  const [rows = 1, hidden = 1] = own.weightHh.shape
  const [wx, wh, bx, bh] = [
    own.weightIh.data,
    own.weightHh.data,
    own.biasIh?.data ?? [],
    own.biasHh?.data ?? [],
  ]
  const { clip, resetAfter, inputForget, op } = options
  const output = new Float32Array(n * steps * hidden)
  const [hn, cn] = [new Float32Array(n * hidden), new Float32Array(n * hidden)]
  spend(n * steps * rows * (hidden + features), 4 * output.length)
  const cut = (value: number) => Math.min(Math.max(value, -clip), clip)
  const peep = (gate: number, j: number, cell: Float32Array) =>
    own.peepholes ? (own.peepholes[gate * hidden + j] ?? 0) * (cell[j] ?? 0) : 0
  for (let i = 0; i < n; i++) {
    const state = hn.subarray(i * hidden, (i + 1) * hidden)
    const cell = cn.subarray(i * hidden, (i + 1) * hidden)
    for (const [k, to] of [state, cell].entries()) {
      const from = states[k]
      if (from) to.set(from.data.subarray((from.shape[0] === 1 ? 0 : i) * hidden).subarray(0, hidden))
    }
    const count = lengths?.[i] ?? steps
    // as onnxruntime has it, though the states before are known
    if (count === 0) for (const to of [state, cell]) to.fill(0)
    for (let step = 0; step < count; step++) {
      const t = own.reverse ? count - 1 - step : step
      const at = (i * steps + t) * features
      /** What the input and the state give to row r, bias and all. */
      const fromX = (r: number) => dot(wx, r * features, x.data, at, features) + (bx[r] ?? 0)
      const fromH = (r: number, of: ArrayLike<number> = before) =>
        dot(wh, r * hidden, of, 0, hidden) + (bh[r] ?? 0)
      const before = state.slice()
      const row = (gate: number, j: number) => gate * hidden + j
      const gate = (index: number, j: number, more = 0) =>
        cut(fromX(row(index, j)) + fromH(row(index, j)) + more)
      if (op === 'RNN') {
        for (let j = 0; j < hidden; j++) state[j] = f(gate(0, j))
      } else if (op === 'LSTM') {
        const past = cell.slice()
        for (let j = 0; j < hidden; j++) {
          const input = f(gate(0, j, peep(0, j, past)))
          const forget = inputForget ? 1 - input : f(gate(1, j, peep(2, j, past)))
          cell[j] = forget * (past[j] ?? 0) + input * g(gate(2, j))
          state[j] = f(gate(3, j, peep(1, j, cell))) * h(cell[j] ?? 0)
        }
      } else {
        const reset = Float64Array.from(before, (_, j) => f(gate(0, j)))
        const kept = reset.map((value, j) => value * (before[j] ?? 0))
        for (let j = 0; j < hidden; j++) {
          const update = f(gate(1, j))
          const r = row(2, j)
          const recurrent = resetAfter ? (reset[j] ?? 0) * fromH(r) : fromH(r, kept)
          const fresh = g(cut(fromX(r) + recurrent))
          state[j] = (1 - update) * fresh + update * (before[j] ?? 0)
        }
      }
      output.set(state, (i * steps + t) * hidden)
    }
  }
  return {
    output: new Tensor(output, [n, steps, hidden]),
    hn: new Tensor(hn, [n, hidden]),
    cn: new Tensor(cn, [n, hidden]),
  }
}

function dot(a: ArrayLike<number>, from: number, b: ArrayLike<number>, at: number, count: number): number {
  let sum = 0
  for (let k = 0; k < count; k++) sum += (a[from + k] ?? 0) * (b[at + k] ?? 0)
  return sum
}
