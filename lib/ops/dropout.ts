import { apply, checkTensor } from '../graph/apply.ts'
import { operation } from '../graph/definition.ts'
import { noteTaken, SymbolicTensor } from '../graph/graph.ts'
import { attached } from '../graph/operation.ts'
import { Module } from '../nn/module.ts'
import { defaultGenerator } from '../tensor/random.ts'
import { Tensor } from '../tensor/tensor.ts'
import { flag } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

const dropping = operation('dropout', {
  title: 'Dropout',
  needs: ['p'],
  defaults: { p: 0 },
  view: 'unless trained',
  keepsUnits: true,
})

/**
 * Zeros in the place of values drawn with probability `p`, the others multiplied by 1 / (1 − p),
 * `torch.nn.functional.dropout`. Drawn from the generator that `manualSeed` seeds. A compiled model drops nothing; a
 * Trainer draws natively, by its own seed.
 *
 * @param training false: the input as it is
 * @example dropout(new Tensor(Float32Array.of(1, 2), [2]), 0.5, false) // → [1, 2]
 */
export function dropout(input: Tensor, p = 0.5, training = true): Tensor {
  checkTensor('dropout', input)
  probability(p)
  flag(training, 'dropout: training')
  if (!training || p === 0) return input
  if (input instanceof SymbolicTensor) return apply(dropping({ p }), [input])
  const generator = defaultGenerator()
  const kept = p === 1 ? 0 : 1 / (1 - p)
  const data = attached(input, 'dropout')
  noteTaken([data])
  const values = data.map((value) => (generator.uniform() < p ? 0 : value * kept))
  return new Tensor(values, input.shape)
}

/** `p`, if it is a number from 0 to 1. */
function probability(p: unknown): number {
  if (typeof p === 'number' && p >= 0 && p <= 1) return p
  throw new KerneletError('ERR_ARGUMENT', `Dropout: p must be a number from 0 to 1 but is ${show(p)}`)
}

/**
 * While a model is trained (`training`), zeros in the place of values drawn with probability `p`, the others
 * multiplied by 1 / (1 − p); otherwise nothing. `torch.nn.Dropout`.
 * @example new Dropout(0.5).eval().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-2, -0.5, 1]
 */
export class Dropout extends Module {
  readonly p: number

  constructor(p = 0.5) {
    super()
    this.p = probability(p)
  }

  forward(x: Tensor): Tensor {
    return dropout(x, this.p, this.training)
  }
}
