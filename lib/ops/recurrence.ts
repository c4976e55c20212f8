/**
 * The operations that recurrent layers are made of. What the input gives to the gates is one linear layer over all steps;
 * an operation of its own goes from step to step.
 */
import { apply, checkBias, checkTensor, checkWeight } from '../graph/apply.ts'
import { type Maker, type Operation, operation } from '../graph/definition.ts'
import { SymbolicTensor } from '../graph/graph.ts'
import { elements, formatShape, sameShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { linear } from './linear.ts'
import { cat, reshape, slice } from './movement.ts'

export type RecurrentKind = 'lstm' | 'gru' | 'gruResetFirst' | 'rnnTanh' | 'rnnRelu'

function recurrence(
  op: string,
  title: string,
  states: readonly number[],
  biased = true,
): Maker<'weight', 'bias' | 'size'> {
  return operation(op, {
    title,
    inputs: Number.POSITIVE_INFINITY,
    needs: ['weight'],
    takes: biased ? ['bias', 'size'] : ['size'],
    derived: (_operation, _input, shape) => ({ size: shape }),
    check({ weight }, input) {
      const [rows, hidden] = weight.shape
      return input.length === 2 && input[1] === rows && hidden !== undefined
        ? undefined
        : `${op} needs an input of [steps, ${rows}] but has ${formatShape(input)}`
    },
    forms: ({ weight: { shape } }) => ({ weight: [shape], bias: [shape.slice(0, 1)] }),
    own: ({ weight, size }, input) => [...(size ?? [input[0] ?? 1, weight.shape[1] ?? 1])],
    macs: ({ weight }, shape) => elements(weight.shape) * (shape[0] ?? 1),
    rank: () => 2,
    misfit: ({ weight }, inputs, place) =>
      `${title} expects [steps, ${weight.shape[0]}] for the gates and ${states.join(' or ')} states of ` +
      `${weight.shape[1]} but receives ${inputs.map((_, i) => place.origin(i)).join(' and ')}`,
  })
}

const steps: Record<RecurrentKind, Maker<'weight', 'bias' | 'size'>> = {
  lstm: recurrence('lstm', 'LSTM', [0, 2]),
  gru: recurrence('gru', 'GRU', [0, 1]),
  gruResetFirst: recurrence('gruResetFirst', 'GRU', [0, 1], false),
  rnnTanh: recurrence('rnnTanh', 'RNN', [0, 1]),
  rnnRelu: recurrence('rnnRelu', 'RNN', [0, 1]),
}

/** Weights of one direction of one layer, PyTorch's: gates in the order i f g o, or r z n. */
export interface RecurrentWeights {
  /** [gates · hidden, in] */
  weightIh: Tensor
  /** [gates · hidden, hidden] */
  weightHh: Tensor
  /** [gates · hidden], or none */
  biasIh?: Tensor | undefined
  /** [gates · hidden], or none */
  biasHh?: Tensor | undefined
  /** From the last step to the first. */
  reverse?: boolean | undefined
  /** h before the first step, and of an LSTM c: [n, hidden] each; in a trace also [1, hidden] with values. Default: zeros. */
  states?: readonly Tensor[] | undefined
}

/** h of every step, in the order of the input, and the states after the last step. */
export interface RecurrentResult {
  /** [n, steps, hidden] */
  output: Tensor
  /** [n, hidden] */
  hn: Tensor
  /** [n, hidden], of an LSTM whose cells were asked for */
  cn?: Tensor | undefined
}

/** One direction of one layer over x [n, steps, in]; `cells`: cn is wanted too. */
export function recurrent(
  kind: RecurrentKind,
  x: Tensor,
  { weightIh, weightHh, biasIh, biasHh, reverse = false, states = [] }: RecurrentWeights,
  cells = false,
): RecurrentResult {
  const weight = checkWeight(`${kind}: weightHh`, weightHh, 2, '[gates · hidden, hidden]')
  const [n = 1, count = 1] = checkTensor(kind, x).shape
  const [rows = 1, hidden = 1] = weight.shape
  if (x.shape.length !== 3) {
    throw new KerneletError(
      'ERR_SHAPE',
      `${kind} expects [n, steps, features] but receives ${formatShape(x.shape)}`,
    )
  }
  const gates = linear(reverse ? slice(x, 1, -1, null, -1) : x, weightIh, biasIh)
  const own = cells ? { size: [count, 2 * hidden] } : {}
  const bias = kind === 'gruResetFirst' ? undefined : checkBias(`${kind}: biasHh`, biasHh, weight)
  const step = steps[kind]({ weight, bias, ...own })
  if (gates.shape[2] !== rows) {
    throw new KerneletError(
      'ERR_SHAPE',
      `${kind}: weightIh ${formatShape(weightIh.shape)} and weightHh ${formatShape(weight.shape)} are of different gates`,
    )
  }
  const before = states.map((state) => stateOf(kind, state, n, hidden))
  const all = run(step, gates, before.every(isZero) ? [] : before)
  const h = cells ? slice(all, 2, 0, hidden) : all
  const last = (of: Tensor) => reshape(slice(of, 1, count - 1), [n, hidden])
  return {
    output: reverse ? slice(h, 1, -1, null, -1) : h,
    hn: last(h),
    ...(cells && { cn: last(slice(all, 2, hidden)) }),
  }
}

/** A state as [n, 1, hidden], as many dimensions as the sequence has, or [1, 1, hidden] for all. */
function stateOf(kind: string, state: Tensor, n: number, hidden: number): Tensor {
  const { shape } = checkTensor(`${kind}: states`, state)
  const same = shape.length === 2 && shape[0] === 1 && shape[1] === hidden
  if (!sameShape(shape, [n, hidden]) && !(same && !(state instanceof SymbolicTensor))) {
    throw new KerneletError(
      'ERR_SHAPE',
      `${kind} expects states of ${n}×${hidden} but receives ${formatShape(shape)}`,
    )
  }
  return reshape(state, [shape[0] ?? 1, 1, hidden])
}

function isZero(state: Tensor): boolean {
  return !(state instanceof SymbolicTensor) && state.data.every((one) => one === 0)
}

/** All sequences at once where they have the same state; eager operations know one for all. */
function run(step: Operation, gates: Tensor, states: readonly Tensor[]): Tensor {
  const n = gates.shape[0] ?? 1
  const traced = gates instanceof SymbolicTensor || states.some((one) => one instanceof SymbolicTensor)
  if (traced || n === 1 || states.every(({ shape }) => shape[0] === 1)) return apply(step, [gates, ...states])
  const row = (of: Tensor, i: number) => (of.shape[0] === 1 ? of : slice(of, 0, i, i + 1))
  const all = Array.from({ length: n }, (_, i) =>
    apply(step, [row(gates, i), ...states.map((state) => row(state, i))]),
  )
  return cat(all, 0)
}
