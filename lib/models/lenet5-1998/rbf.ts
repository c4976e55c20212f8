import { counted } from '../../graph/graph.ts'
import { Module } from '../../nn/module.ts'
import { cat, linear, mul } from '../../ops/index.ts'
import { formatShape } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { checkOptions, flag } from '../../util/check.ts'
import { KerneletError } from '../../util/errors.ts'

/** Options of `RBF`. */
export interface RBFOptions {
  /** Gives minus the distance, so that the nearest code has the largest score; default false. */
  negative?: boolean | undefined
}

/**
 * Euclidean radial basis functions (LeCun et al. 1998, equation 7): the squared distance of the input to each of some
 * codes, Σ (x − w)². [n, features] → [n, codes]. The codes are fixed, not trained.
 *
 * Computed as Σ x² − 2 w x + w² in one linear layer: near a code the result is off by some 1e-7 of Σ w², and may be
 * that much below 0.
 * @example
 * // squared distances from the codes [1, 1] and [-1, 1]
 * new RBF(new Tensor(Float32Array.of(1, 1, -1, 1), [2, 2])).forward(new Tensor(Float32Array.of(1, 0), [1, 2])) // → [[1, 5]]
 */
export class RBF extends Module {
  /** [codes, features] */
  readonly codes: Tensor
  readonly #weight: Tensor
  readonly #bias: Tensor

  /** @throws KerneletError `ERR_SHAPE` when `codes` is not of two dimensions. */
  constructor(codes: Tensor, options: RBFOptions = {}) {
    super()
    checkOptions('RBF', options, ['negative'])
    if (!Tensor.is(codes) || codes.shape.length !== 2) {
      throw new KerneletError(
        'ERR_SHAPE',
        `RBF: codes must be a tensor [codes, features] but ${Tensor.is(codes) ? `is ${formatShape(codes.shape)}` : 'is none'}`,
      )
    }
    const [count = 1, features = 1] = codes.shape
    const sign = flag(options.negative ?? false, 'RBF: negative') ? -1 : 1
    const weight = new Float32Array(count * 2 * features)
    const bias = new Float32Array(count)
    for (const [i, w] of codes.data.entries()) {
      const code = Math.floor(i / features)
      weight[code * 2 * features + (i % features)] = -2 * sign * w
      weight[code * 2 * features + features + (i % features)] = sign
      bias[code] = (bias[code] ?? 0) + sign * w * w
    }
    this.codes = codes
    this.#weight = new Tensor(weight, [count, 2 * features])
    this.#bias = new Tensor(bias, [count])
  }

  forward(x: Tensor): Tensor {
    // One connection for each number of a code, as the paper counts.
    const counts = { parameters: 0, connections: this.codes.shape[1] ?? 0 }
    const both = cat([x, mul(x, x)], -1)
    return counted(counts, () => linear(both, this.#weight, this.#bias))
  }
}
