/** Default initial values: those of PyTorch's `reset_parameters`. */

import { zeros } from '../tensor/allocate.ts'
import { Parameter } from '../tensor/parameter.ts'
import { defaultGenerator, type Generator, generatorOf } from '../tensor/random.ts'
import { elements } from '../tensor/shape.ts'
import { flag } from '../util/check.ts'

/** Options all layers with weights share. */
export interface InitOptions {
  /** Whether there is a bias; default true. */
  bias?: boolean | undefined
  /** Where the initial values come from; default: the generator that `manualSeed` seeds. */
  generator?: Generator | undefined
}

/**
 * Weight and bias as `torch.nn.Conv2d` and `torch.nn.Linear` start: both from U(−1/√f, 1/√f) with f the elements of a
 * row of the weight (Kaiming uniform with a = √5), drawn weight first. There is a bias for each of `outputs`.
 */
export function initialise(
  who: string,
  shape: readonly number[],
  options: InitOptions,
  outputs: number = shape[0] ?? 1,
): { weight: Parameter; bias: Parameter | undefined } {
  const { generator } = options
  const hasBias = flag(options.bias ?? true, `${who}: bias`)
  const fanIn = elements(shape.slice(1))
  // PyTorch's own steps, so that rounding agrees: gain of leaky_relu(√5), then √3 · std.
  const gain = Math.sqrt(2 / (1 + Math.sqrt(5) ** 2))
  const weight = uniform(shape, Math.sqrt(3) * (gain / Math.sqrt(fanIn)), generator)
  const bias = hasBias ? uniform([outputs], 1 / Math.sqrt(fanIn), generator) : undefined
  return { weight, bias }
}

/** A parameter drawn from U(−bound, bound); the generator is not moved where weights are about to be loaded. */
export function uniform(
  shape: readonly number[],
  bound: number,
  generator?: Generator | undefined,
): Parameter {
  const source = skipping ? undefined : generatorOf(generator ?? defaultGenerator(), 'generator')
  const values = zeros(shape, 'Weights')
  if (source) for (let i = 0; i < values.length; ++i) values[i] = source.uniform(-bound, bound)
  return new Parameter(values, shape)
}

let skipping = false

/** Makes a model whose weights are about to be loaded: all zeros, and no generator moves on. */
export function withoutInit<T>(make: () => T): T {
  skipping = true
  try {
    return make()
  } finally {
    skipping = false
  }
}
