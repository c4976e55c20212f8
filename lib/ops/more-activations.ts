/** Functions of every value by itself that fewer networks have; the layers of them. NaN stays NaN in all. */
import { apply } from '../graph/apply.ts'
import { operation } from '../graph/definition.ts'
import { Module } from '../nn/module.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { numberOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { elu, selu } from './activations.ts'
import { mul } from './arithmetic.ts'

const erfOf = operation('erf', {})

/**
 * The error function, `torch.erf`, within 4 units of the last place.
 * @example erf(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.9953, -0.5205, 0.8427]
 */
export function erf(input: Tensor): Tensor {
  return apply(erfOf({}), [input])
}

const softplusOf = operation('softplus', {
  title: 'Softplus',
  takes: ['alpha', 'beta'],
  defaults: { alpha: 1, beta: 1 },
})

/**
 * `ln(1 + e^(beta · x)) / beta`, and x where `beta · x` is above the threshold, `torch.nn.functional.softplus`.
 * @example softplus(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [0.1269, 0.4741, 1.313]
 */
export function softplus(input: Tensor, beta = 1, threshold = 20): Tensor {
  const alpha = numberOf(beta, 'Softplus: beta')
  return apply(softplusOf({ alpha, beta: numberOf(threshold, 'Softplus: threshold') }), [input])
}

const mishOf = operation('mish', { title: 'Mish' })

/**
 * `x · tanh(ln(1 + eˣ))`, `torch.nn.functional.mish`.
 * @example mish(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.2525, -0.2207, 0.8651]
 */
export function mish(input: Tensor): Tensor {
  return apply(mishOf({}), [input])
}

const softsignOf = operation('softsign', { title: 'Softsign' })

/**
 * `x / (1 + |x|)`, `torch.nn.functional.softsign`.
 * @example softsign(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.6667, -0.3333, 0.5]
 */
export function softsign(input: Tensor): Tensor {
  return apply(softsignOf({}), [input])
}

const thresholdOf = operation('threshold', {
  title: 'Threshold',
  takes: ['alpha', 'beta'],
  defaults: { alpha: 1, beta: 1 },
})

/**
 * `x` where it is above `threshold`, else `value`, `torch.nn.functional.threshold`.
 * @example threshold(new Tensor(Float32Array.of(-2, -0.5, 1), [3]), 0.5, 9) // → [9, 9, 1]
 */
export function threshold(input: Tensor, threshold: number, value: number): Tensor {
  const alpha = numberOf(threshold, 'Threshold: threshold')
  return apply(thresholdOf({ alpha, beta: numberOf(value, 'Threshold: value') }), [input])
}

const shrinkOf = operation('shrink', {
  title: ({ beta }) => (beta === 0 ? 'Hardshrink' : 'Softshrink'),
  takes: ['alpha', 'beta'],
  defaults: { alpha: 1, beta: 1 },
})

/**
 * `x` where `|x| > lambd`, else 0, `torch.nn.functional.hardshrink`.
 * @example hardshrink(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-2, 0, 1]
 */
export function hardshrink(input: Tensor, lambd = 0.5): Tensor {
  return shrink(input, notNegative(lambd, 'Hardshrink: lambd'), 0)
}

/**
 * `x − lambd` above lambd, `x + lambd` below −lambd, else 0, `torch.nn.functional.softshrink`.
 * @example softshrink(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-1.5, 0, 0.5]
 */
export function softshrink(input: Tensor, lambd = 0.5): Tensor {
  const by = notNegative(lambd, 'Softshrink: lambd')
  return shrink(input, by, by)
}

/**
 * `x + bias` below −lambd, `x − bias` above lambd, else 0: ONNX's Shrink, of which both shrinks of PyTorch are cases.
 * @example shrink(new Tensor(Float32Array.of(-2, -0.5, 1), [3]), 0.5, 0.1) // → [-1.9, 0, 0.9]
 */
export function shrink(input: Tensor, lambd = 0.5, bias = 0): Tensor {
  const alpha = numberOf(lambd, 'shrink: lambd')
  return apply(shrinkOf({ alpha, beta: numberOf(bias, 'shrink: bias') }), [input])
}

function notNegative(value: unknown, what: string): number {
  const number = numberOf(value, what)
  if (number >= 0) return number
  throw new KerneletError('ERR_ARGUMENT', `${what} must not be negative but is ${number}`)
}

/**
 * `x` where it is positive, else `alpha · (e^(x / alpha) − 1)`, `torch.nn.functional.celu`.
 * @example celu(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.8647, -0.3935, 1]
 */
export function celu(input: Tensor, alpha = 1): Tensor {
  const by = numberOf(alpha, 'CELU: alpha')
  if (by === 0) throw new KerneletError('ERR_ARGUMENT', 'CELU: alpha must not be 0')
  return by === 1 ? elu(input, 1) : selu(mul(input, 1 / by), { alpha: 1, scale: by })
}

/**
 * `ln(1 + e^(beta · x)) / beta`, `torch.nn.Softplus`; see `softplus`.
 * @example new Softplus().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [0.1269, 0.4741, 1.313]
 */
export class Softplus extends Module {
  readonly beta: number
  readonly threshold: number

  constructor(beta = 1, threshold = 20) {
    super()
    this.beta = numberOf(beta, 'Softplus: beta')
    this.threshold = numberOf(threshold, 'Softplus: threshold')
  }

  forward(x: Tensor): Tensor {
    return softplus(x, this.beta, this.threshold)
  }
}

/**
 * `x · tanh(ln(1 + eˣ))`, `torch.nn.Mish`.
 * @example new Mish().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.2525, -0.2207, 0.8651]
 */
export class Mish extends Module {
  forward(x: Tensor): Tensor {
    return mish(x)
  }
}

/**
 * `x / (1 + |x|)`, `torch.nn.Softsign`.
 * @example new Softsign().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.6667, -0.3333, 0.5]
 */
export class Softsign extends Module {
  forward(x: Tensor): Tensor {
    return softsign(x)
  }
}

/**
 * `x` where it is above `threshold`, else `value`, `torch.nn.Threshold`.
 * @example new Threshold(0.5, 9).forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [9, 9, 1]
 */
export class Threshold extends Module {
  readonly threshold: number
  readonly value: number

  constructor(threshold: number, value: number) {
    super()
    this.threshold = numberOf(threshold, 'Threshold: threshold')
    this.value = numberOf(value, 'Threshold: value')
  }

  forward(x: Tensor): Tensor {
    return threshold(x, this.threshold, this.value)
  }
}

/**
 * `x` where `|x| > lambd`, else 0, `torch.nn.Hardshrink`.
 * @example new Hardshrink().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-2, 0, 1]
 */
export class Hardshrink extends Module {
  readonly lambd: number

  constructor(lambd = 0.5) {
    super()
    this.lambd = notNegative(lambd, 'Hardshrink: lambd')
  }

  forward(x: Tensor): Tensor {
    return hardshrink(x, this.lambd)
  }
}

/**
 * What is within `lambd` of 0 is 0, the rest comes nearer by as much, `torch.nn.Softshrink`.
 * @example new Softshrink().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-1.5, 0, 0.5]
 */
export class Softshrink extends Module {
  readonly lambd: number

  constructor(lambd = 0.5) {
    super()
    this.lambd = notNegative(lambd, 'Softshrink: lambd')
  }

  forward(x: Tensor): Tensor {
    return softshrink(x, this.lambd)
  }
}

/**
 * `x` where positive, else `alpha · (e^(x / alpha) − 1)`, `torch.nn.CELU`.
 * @example new CELU().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.8647, -0.3935, 1]
 */
export class CELU extends Module {
  readonly alpha: number

  constructor(alpha = 1) {
    super()
    this.alpha = numberOf(alpha, 'CELU: alpha')
  }

  forward(x: Tensor): Tensor {
    return celu(x, this.alpha)
  }
}
