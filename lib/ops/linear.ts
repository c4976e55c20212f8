/** Fully connected layers. */
import { apply, checkBias, checkWeight } from '../graph/apply.ts'
import { operation } from '../graph/definition.ts'
import { SymbolicTensor } from '../graph/graph.ts'
import { type InitOptions, initialise } from '../nn/init.ts'
import { Module } from '../nn/module.ts'
import type { Parameter } from '../tensor/parameter.ts'
import { elements, size } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'

const product = operation('linear', {
  title: 'Linear',
  needs: ['weight'],
  takes: ['bias'],
  forms({ weight }) {
    const [out = 0, features = 0] = weight.shape
    return { weight: [[out, features]], bias: [[out]] }
  },
  own: ({ weight }, input) => [...input.slice(0, -1), weight.shape[0] ?? 1],
  macs: ({ weight }, shape) => elements(weight.shape.slice(1)) * elements(shape),
  misfit({ weight }, [input = []], place) {
    const [out, expected = 1] = weight.shape
    const features = input.at(-1)
    if (features === expected) return undefined
    const advice =
      elements(input) === expected && input.length > 1
        ? 'flatten it first: flatten(x, 1)'
        : `use new Linear(${features}, ${out})`
    return `Linear expects ${expected} features but receives ${features} (${place.origin(0)}); ${advice}`
  },
})

/**
 * `input · weightᵀ + bias` over the last dimension, `torch.nn.functional.linear`.
 *
 * @param input [..., in]
 * @param weight [out, in]
 * @param bias [out], or none
 * @returns [..., out]
 * @example linear(new Tensor(Float32Array.of(1, 2), [1, 2]), new Tensor(Float32Array.of(1, 1, 0, 3), [2, 2]), new Tensor(Float32Array.of(10, 20), [2])) // → [[13, 26]]
 */
export function linear(input: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  if (input instanceof SymbolicTensor && input.shape.length === 1) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      'Linear: its input is one number an image, [n], so that it would mix the images of a batch; reshape it to [n, 1]',
    )
  }
  return apply(
    product({
      weight: checkWeight('Linear: weight', weight, 2, '[out, in]'),
      bias: checkBias('Linear: bias', bias, weight),
    }),
    [input],
  )
}

/**
 * Fully connected layer, `torch.nn.Linear`: [..., inFeatures] → [..., outFeatures].
 * @example
 * const layer = new Linear(3, 2)
 * layer.weight.shape // → [2, 3]
 * layer.forward(new Tensor(new Float32Array(3), [1, 3])).shape // → [1, 2]
 */
export class Linear extends Module {
  /** [outFeatures, inFeatures] */
  readonly weight: Parameter
  /** [outFeatures], or undefined with `bias: false`. */
  readonly bias: Parameter | undefined

  /** @throws KerneletError `ERR_ARGUMENT` for sizes that are no positive integers. */
  constructor(inFeatures: number, outFeatures: number, options: InitOptions = {}) {
    super()
    checkOptions('Linear', options, ['bias', 'generator'])
    size(inFeatures, 'Linear: inFeatures', 1)
    size(outFeatures, 'Linear: outFeatures', 1)
    const { weight, bias } = initialise('Linear', [outFeatures, inFeatures], options)
    this.weight = weight
    this.bias = bias
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias)
  }
}
