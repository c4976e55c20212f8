/** Activations as layers. */

import { Module } from '../nn/module.ts'
import { Parameter } from '../tensor/parameter.ts'
import { size } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { numberOf } from '../util/check.ts'
import {
  clamp,
  elu,
  gelu,
  hardsigmoid,
  hardswish,
  leakyRelu,
  logSoftmax,
  prelu,
  relu,
  relu6,
  scaledTanh,
  selu,
  sigmoid,
  silu,
  softmax,
  tanh,
} from './functional.ts'

/** `max(x, 0)`, `torch.nn.ReLU`. */
export class ReLU extends Module {
  forward(x: Tensor): Tensor {
    return relu(x)
  }
}

/** `min(max(x, 0), 6)`, `torch.nn.ReLU6`. */
export class ReLU6 extends Module {
  forward(x: Tensor): Tensor {
    return relu6(x)
  }
}

/** `alpha · tanh(beta · x)`; see `scaledTanh`. */
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

/** `x` where positive, else `negativeSlope · x`, `torch.nn.LeakyReLU`. */
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

/** `x` where positive, else `weight · x` with a trained weight, one or one a channel, `torch.nn.PReLU`. */
export class PReLU extends Module {
  /** [numParameters] */
  readonly weight: Parameter

  constructor(numParameters = 1, init = 0.25) {
    super()
    const values = new Float32Array(size(numParameters, 'PReLU: numParameters', 1))
    this.weight = new Parameter(values.fill(numberOf(init, 'PReLU: init')), [numParameters])
  }

  forward(x: Tensor): Tensor {
    return prelu(x, this.weight)
  }
}

/** `x` where positive, else `alpha · (eˣ − 1)`, `torch.nn.ELU`. */
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

/** ELU with the constants that make values normalise themselves, `torch.nn.SELU`. */
export class SELU extends Module {
  forward(x: Tensor): Tensor {
    return selu(x)
  }
}

/** `x · sigmoid(x)`, `torch.nn.SiLU`. */
export class SiLU extends Module {
  forward(x: Tensor): Tensor {
    return silu(x)
  }
}

/** `x · Φ(x)`, `torch.nn.GELU` without its approximation. */
export class GELU extends Module {
  forward(x: Tensor): Tensor {
    return gelu(x)
  }
}

/** `x · min(max(x + 3, 0), 6) / 6`, `torch.nn.Hardswish`. */
export class Hardswish extends Module {
  forward(x: Tensor): Tensor {
    return hardswish(x)
  }
}

/** `min(max(x / 6 + 1/2, 0), 1)`, `torch.nn.Hardsigmoid`. */
export class Hardsigmoid extends Module {
  forward(x: Tensor): Tensor {
    return hardsigmoid(x)
  }
}

/** `min(max(x, minVal), maxVal)`, `torch.nn.Hardtanh`. */
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

/** Hyperbolic tangent, `torch.nn.Tanh`. */
export class Tanh extends Module {
  forward(x: Tensor): Tensor {
    return tanh(x)
  }
}

/** `1 / (1 + e⁻ˣ)`, `torch.nn.Sigmoid`. */
export class Sigmoid extends Module {
  forward(x: Tensor): Tensor {
    return sigmoid(x)
  }
}

/** `eˣ / Σ eˣ` along `dim`, `torch.nn.Softmax`. */
export class Softmax extends Module {
  readonly dim: number

  constructor(dim: number) {
    super()
    this.dim = dim
  }

  forward(x: Tensor): Tensor {
    return softmax(x, this.dim)
  }
}

/** `x − log Σ eˣ` along `dim`, `torch.nn.LogSoftmax`. */
export class LogSoftmax extends Module {
  readonly dim: number

  constructor(dim: number) {
    super()
    this.dim = dim
  }

  forward(x: Tensor): Tensor {
    return logSoftmax(x, this.dim)
  }
}
