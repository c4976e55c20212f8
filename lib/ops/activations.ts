/** Functions of every value by itself, and softmax; the layers of them. NaN stays NaN in all. */
import { apply, axisMisfit, axisOf, checkTensor, constant } from '../graph/apply.ts'
import { operation } from '../graph/definition.ts'
import { Module } from '../nn/module.ts'
import { zeros } from '../tensor/allocate.ts'
import { Parameter } from '../tensor/parameter.ts'
import { formatShape, size } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions, integer, numberOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

const reluOf = operation('relu', { title: 'ReLU', rectifies: true })

/**
 * `max(x, 0)` of every value. `torch.nn.functional.relu`.
 * @example relu(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [0, 0, 1]
 */
export function relu(input: Tensor): Tensor {
  return apply(reluOf({}), [input])
}

/**
 * `min(max(x, 0), 6)`, `torch.nn.functional.relu6`.
 * @example relu6(new Tensor(Float32Array.of(-1, 3, 9), [3])) // → [0, 3, 6]
 */
export function relu6(input: Tensor): Tensor {
  return clamp(input, 0, 6)
}

const tanhOf = operation('tanh', { title: 'Tanh', squashes: 'only a part' })

/**
 * Hyperbolic tangent of every value, `torch.tanh`.
 * @example tanh(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.964, -0.4621, 0.7616]
 */
export function tanh(input: Tensor): Tensor {
  return apply(tanhOf({}), [input])
}

const sigmoidOf = operation('sigmoid', { title: 'Sigmoid', squashes: 'at most a quarter' })

/**
 * `1 / (1 + e⁻ˣ)` of every value, `torch.sigmoid`.
 * @example sigmoid(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [0.1192, 0.3775, 0.7311]
 */
export function sigmoid(input: Tensor): Tensor {
  return apply(sigmoidOf({}), [input])
}

const scaledTanhOf = operation('scaledTanh', {
  title: 'ScaledTanh',
  takes: ['alpha', 'beta'],
  defaults: { alpha: 1, beta: 1 },
})

/**
 * `alpha · tanh(beta · x)` of every value, ONNX's ScaledTanh. The defaults are those of LeCun et al. 1998: ±1 stays
 * ±1, and the curve bends most there.
 * @example scaledTanh(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-1.493, -0.5517, 1]
 */
export function scaledTanh(input: Tensor, alpha: number = 1.7159, beta: number = 2 / 3): Tensor {
  return apply(
    scaledTanhOf({
      alpha: numberOf(alpha, 'ScaledTanh: alpha'),
      beta: numberOf(beta, 'ScaledTanh: beta'),
    }),
    [input],
  )
}

const leakyReluOf = operation('leakyRelu', { title: 'LeakyReLU', takes: ['alpha'], defaults: { alpha: 1 } })

/**
 * `x` where it is positive, else `negativeSlope · x`, `torch.nn.functional.leaky_relu`.
 * @example leakyRelu(new Tensor(Float32Array.of(-2, -0.5, 1), [3]), 0.1) // → [-0.2, -0.05, 1]
 */
export function leakyRelu(input: Tensor, negativeSlope = 0.01): Tensor {
  return apply(leakyReluOf({ alpha: numberOf(negativeSlope, 'LeakyReLU: negativeSlope') }), [input])
}

const preluOf = operation('prelu', {
  title: 'PReLU',
  needs: ['weight'],
  byChannel: true,
  forms: (_, input) => ({ weight: [[1], input.slice(0, 1)] }),
  misfit: ({ weight: { shape } }, [input = []], place) =>
    shape[0] === input[0] || shape[0] === 1
      ? undefined
      : `PReLU expects ${shape[0]} channels but receives ${input[0]} (${place.origin(0)})`,
})

/**
 * `x` where it is positive, else `weight · x`, `torch.nn.functional.prelu`.
 *
 * @param input [n, c, ...]
 * @param weight [1], or [c]
 * @example prelu(new Tensor(Float32Array.of(-2, -0.5, 1), [3]), new Tensor(Float32Array.of(0.25), [1])) // → [-0.5, -0.125, 1]
 */
export function prelu(input: Tensor, weight: Tensor): Tensor {
  const { shape } = constant('PReLU: weight', checkTensor('PReLU: weight', weight))
  if (shape.length !== 1) {
    throw new KerneletError(
      'ERR_SHAPE',
      `PReLU: weight must have the shape [1] or [channels] but has ${formatShape(shape)}`,
    )
  }
  return apply(preluOf({ weight }), [input])
}

const eluOf = operation('elu', { title: 'ELU', takes: ['alpha'], defaults: { alpha: 1 } })

/**
 * `x` where it is positive, else `alpha · (eˣ − 1)`, `torch.nn.functional.elu`.
 * @example elu(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.8647, -0.3935, 1]
 */
export function elu(input: Tensor, alpha = 1): Tensor {
  return apply(eluOf({ alpha: numberOf(alpha, 'ELU: alpha') }), [input])
}

const seluOf = operation('selu', { title: 'SELU', takes: ['alpha', 'beta'], defaults: { alpha: 1, beta: 1 } })

/**
 * `scale · elu(x, alpha)` with the constants that make values normalise themselves, `torch.nn.functional.selu`.
 * @example selu(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-1.52, -0.6918, 1.051]
 */
export function selu(input: Tensor, options: { alpha?: number; scale?: number } = {}): Tensor {
  checkOptions('SELU', options, ['alpha', 'scale'])
  const alpha = numberOf(options.alpha ?? 1.6732632423543772, 'SELU: alpha')
  return apply(seluOf({ alpha, beta: numberOf(options.scale ?? 1.0507009873554805, 'SELU: scale') }), [input])
}

const siluOf = operation('silu', { title: 'SiLU' })

/**
 * `x · sigmoid(x)`, `torch.nn.functional.silu`.
 * @example silu(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.2384, -0.1888, 0.7311]
 */
export function silu(input: Tensor): Tensor {
  return apply(siluOf({}), [input])
}

const hardswishOf = operation('hardswish', { title: 'Hardswish' })

/**
 * `x · min(max(x + 3, 0), 6) / 6`, `torch.nn.functional.hardswish`.
 * @example hardswish(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.3333, -0.2083, 0.6667]
 */
export function hardswish(input: Tensor): Tensor {
  return apply(hardswishOf({}), [input])
}

const hardsigmoidOf = operation('hardsigmoid', {
  title: 'Hardsigmoid',
  takes: ['alpha', 'beta'],
  defaults: { alpha: 1, beta: 1 },
})

/**
 * `min(max(alpha · x + beta, 0), 1)`, `torch.nn.functional.hardsigmoid` with its 1/6 and 1/2.
 * @example hardsigmoid(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [0.1667, 0.4167, 0.6667]
 */
export function hardsigmoid(input: Tensor, options: { alpha?: number; beta?: number } = {}): Tensor {
  checkOptions('Hardsigmoid', options, ['alpha', 'beta'])
  const alpha = numberOf(options.alpha ?? 1 / 6, 'Hardsigmoid: alpha')
  return apply(hardsigmoidOf({ alpha, beta: numberOf(options.beta ?? 0.5, 'Hardsigmoid: beta') }), [input])
}

const geluOf = operation('gelu', { title: 'GELU' })

const geluTanhOf = operation('geluTanh', { title: 'GELU' })

/** How `gelu` is computed. */
export type GeluApproximation = 'none' | 'tanh'

/**
 * `x · Φ(x)` with the normal distribution's Φ, within 10⁻⁷ · |x|; with 'tanh' the approximation
 * `x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))`. `torch.nn.functional.gelu`.
 * @example gelu(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.0455, -0.1543, 0.8413]
 */
export function gelu(input: Tensor, approximate: GeluApproximation = 'none'): Tensor {
  return apply(approximation(approximate) === 'tanh' ? geluTanhOf({}) : geluOf({}), [input])
}

function approximation(value: unknown): GeluApproximation {
  if (value === 'none' || value === 'tanh') return value
  throw new KerneletError('ERR_ARGUMENT', `GELU: approximate must be 'none' or 'tanh' but is ${show(value)}`)
}

const clipOf = operation('clip', {
  title: ({ alpha, beta }) => (alpha === 0 && beta === 6 ? 'ReLU6' : 'Hardtanh'),
  takes: ['alpha', 'beta'],
  defaults: { alpha: 1, beta: 1 },
})

/**
 * `min(max(x, min), max)`, `torch.clamp`; a bound that is left out (or null) is none.
 * @example clamp(new Tensor(Float32Array.of(-2, -0.5, 1), [3]), -1, 0.5) // → [-1, -0.5, 0.5]
 */
export function clamp(input: Tensor, min?: number | null, max?: number | null): Tensor {
  const alpha = numberOf(min ?? Number.NEGATIVE_INFINITY, 'clamp: min')
  return apply(clipOf({ alpha, beta: numberOf(max ?? Number.POSITIVE_INFINITY, 'clamp: max') }), [input])
}

const expOf = operation('exp', {})

/**
 * `eˣ`, `torch.exp`.
 * @example exp(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [0.1353, 0.6065, 2.718]
 */
export function exp(input: Tensor): Tensor {
  return apply(expOf({}), [input])
}

const logOf = operation('log', {})

/**
 * Natural logarithm, `torch.log`: −∞ of 0, NaN of what is negative.
 * @example log(new Tensor(Float32Array.of(1, 10, 0), [3])) // → [0, 2.303, -Infinity]
 */
export function log(input: Tensor): Tensor {
  return apply(logOf({}), [input])
}

const absOf = operation('abs', {})

/**
 * `|x|`, `torch.abs`.
 * @example abs(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [2, 0.5, 1]
 */
export function abs(input: Tensor): Tensor {
  return apply(absOf({}), [input])
}

const powOf = operation('pow', { takes: ['alpha'], defaults: { alpha: 1 } })

/**
 * `x` to the power of a number, `torch.pow`: NaN of a negative `x` unless the exponent is an integer. Square, cube,
 * square root, reciprocal and its square are rounded as arithmetic is; other powers are `e^(exponent · ln |x|)`: a few
 * units of the last place while `exponent · ln |x|` is small.
 * @example pow(new Tensor(Float32Array.of(1, 5, 3), [3]), 2) // → [1, 25, 9]
 */
export function pow(input: Tensor, exponent: number): Tensor {
  return apply(powOf({ alpha: numberOf(exponent, 'pow: exponent') }), [input])
}

const softmaxOf = operation('softmax', {
  title: 'Softmax',
  needs: ['axis'],
  defaults: { axis: 0 },
  check: axisMisfit,
})

/**
 * `eˣ / Σ eˣ` along `dim` (negative: from the end), `torch.nn.functional.softmax`.
 * @example softmax(new Tensor(Float32Array.of(1, 2, 3), [3]), 0) // → [0.09003, 0.2447, 0.6652]
 */
export function softmax(input: Tensor, dim: number): Tensor {
  return apply(softmaxOf({ axis: axisOf(input, dim, 'Softmax: dim') }), [input])
}

const logSoftmaxOf = operation('logSoftmax', {
  title: 'LogSoftmax',
  needs: ['axis'],
  defaults: { axis: 0 },
  check: axisMisfit,
})

/**
 * `x − log Σ eˣ` along `dim` (negative: from the end), `torch.nn.functional.log_softmax`.
 * @example logSoftmax(new Tensor(Float32Array.of(1, 2, 3), [3]), 0) // → [-2.408, -1.408, -0.4076]
 */
export function logSoftmax(input: Tensor, dim: number): Tensor {
  return apply(logSoftmaxOf({ axis: axisOf(input, dim, 'LogSoftmax: dim') }), [input])
}

/**
 * `max(x, 0)`, `torch.nn.ReLU`.
 * @example new ReLU().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [0, 0, 1]
 */
export class ReLU extends Module {
  forward(x: Tensor): Tensor {
    return relu(x)
  }
}

/**
 * `min(max(x, 0), 6)`, `torch.nn.ReLU6`.
 * @example new ReLU6().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [0, 0, 1]
 */
export class ReLU6 extends Module {
  forward(x: Tensor): Tensor {
    return relu6(x)
  }
}

/**
 * `alpha · tanh(beta · x)`; see `scaledTanh`.
 * @example new ScaledTanh().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-1.493, -0.5517, 1]
 */
export class ScaledTanh extends Module {
  readonly alpha: number
  readonly beta: number

  constructor(alpha: number = 1.7159, beta: number = 2 / 3) {
    super()
    this.alpha = numberOf(alpha, 'ScaledTanh: alpha')
    this.beta = numberOf(beta, 'ScaledTanh: beta')
  }

  forward(x: Tensor): Tensor {
    return scaledTanh(x, this.alpha, this.beta)
  }
}

/**
 * `x` where positive, else `negativeSlope · x`, `torch.nn.LeakyReLU`.
 * @example new LeakyReLU(0.1).forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.2, -0.05, 1]
 */
export class LeakyReLU extends Module {
  readonly negativeSlope: number

  constructor(negativeSlope = 0.01) {
    super()
    this.negativeSlope = numberOf(negativeSlope, 'LeakyReLU: negativeSlope')
  }

  forward(x: Tensor): Tensor {
    return leakyRelu(x, this.negativeSlope)
  }
}

/**
 * `x` where positive, else `weight · x` with a trained weight, one or one a channel, `torch.nn.PReLU`.
 * @example new PReLU().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.5, -0.125, 1]
 */
export class PReLU extends Module {
  /** [numParameters] */
  readonly weight: Parameter

  constructor(numParameters = 1, init = 0.25) {
    super()
    const values = zeros([size(numParameters, 'PReLU: numParameters', 1)], 'PReLU')
    this.weight = new Parameter(values.fill(numberOf(init, 'PReLU: init')), [numParameters])
  }

  forward(x: Tensor): Tensor {
    return prelu(x, this.weight)
  }
}

/**
 * `x` where positive, else `alpha · (eˣ − 1)`, `torch.nn.ELU`.
 * @example new ELU().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.8647, -0.3935, 1]
 */
export class ELU extends Module {
  readonly alpha: number

  constructor(alpha = 1) {
    super()
    this.alpha = numberOf(alpha, 'ELU: alpha')
  }

  forward(x: Tensor): Tensor {
    return elu(x, this.alpha)
  }
}

/**
 * ELU with the constants that make values normalise themselves, `torch.nn.SELU`.
 * @example new SELU().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-1.52, -0.6918, 1.051]
 */
export class SELU extends Module {
  forward(x: Tensor): Tensor {
    return selu(x)
  }
}

/**
 * `x · sigmoid(x)`, `torch.nn.SiLU`.
 * @example new SiLU().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.2384, -0.1888, 0.7311]
 */
export class SiLU extends Module {
  forward(x: Tensor): Tensor {
    return silu(x)
  }
}

/**
 * `x · Φ(x)`, or its approximation, `torch.nn.GELU`; see `gelu`.
 * @example new GELU().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.0455, -0.1543, 0.8413]
 */
export class GELU extends Module {
  readonly approximate: GeluApproximation

  constructor(approximate: GeluApproximation = 'none') {
    super()
    this.approximate = approximation(approximate)
  }

  forward(x: Tensor): Tensor {
    return gelu(x, this.approximate)
  }
}

/**
 * `x · min(max(x + 3, 0), 6) / 6`, `torch.nn.Hardswish`.
 * @example new Hardswish().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.3333, -0.2083, 0.6667]
 */
export class Hardswish extends Module {
  forward(x: Tensor): Tensor {
    return hardswish(x)
  }
}

/**
 * `min(max(x / 6 + 1/2, 0), 1)`, `torch.nn.Hardsigmoid`.
 * @example new Hardsigmoid().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [0.1667, 0.4167, 0.6667]
 */
export class Hardsigmoid extends Module {
  forward(x: Tensor): Tensor {
    return hardsigmoid(x)
  }
}

/**
 * `min(max(x, minVal), maxVal)`, `torch.nn.Hardtanh`.
 * @example new Hardtanh().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-1, -0.5, 1]
 */
export class Hardtanh extends Module {
  readonly minVal: number
  readonly maxVal: number

  constructor(minVal = -1, maxVal = 1) {
    super()
    this.minVal = numberOf(minVal, 'Hardtanh: minVal')
    this.maxVal = numberOf(maxVal, 'Hardtanh: maxVal')
  }

  forward(x: Tensor): Tensor {
    return clamp(x, this.minVal, this.maxVal)
  }
}

/**
 * Hyperbolic tangent, `torch.nn.Tanh`.
 * @example new Tanh().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.964, -0.4621, 0.7616]
 */
export class Tanh extends Module {
  forward(x: Tensor): Tensor {
    return tanh(x)
  }
}

/**
 * `1 / (1 + e⁻ˣ)`, `torch.nn.Sigmoid`.
 * @example new Sigmoid().forward(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [0.1192, 0.3775, 0.7311]
 */
export class Sigmoid extends Module {
  forward(x: Tensor): Tensor {
    return sigmoid(x)
  }
}

/**
 * `eˣ / Σ eˣ` along `dim`, `torch.nn.Softmax`.
 * @example new Softmax(0).forward(new Tensor(Float32Array.of(1, 2, 3), [3])) // → [0.09003, 0.2447, 0.6652]
 */
export class Softmax extends Module {
  readonly dim: number

  constructor(dim: number) {
    super()
    this.dim = integer(dim, 'Softmax: dim')
  }

  forward(x: Tensor): Tensor {
    return softmax(x, this.dim)
  }
}

/**
 * `x − log Σ eˣ` along `dim`, `torch.nn.LogSoftmax`.
 * @example new LogSoftmax(0).forward(new Tensor(Float32Array.of(1, 2, 3), [3])) // → [-2.408, -1.408, -0.4076]
 */
export class LogSoftmax extends Module {
  readonly dim: number

  constructor(dim: number) {
    super()
    this.dim = integer(dim, 'LogSoftmax: dim')
  }

  forward(x: Tensor): Tensor {
    return logSoftmax(x, this.dim)
  }
}
