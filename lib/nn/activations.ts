/** Activations as layers. */
import { logSoftmax, relu, sigmoid, softmax, tanh } from '../functional.ts'
import type { Tensor } from '../tensor.ts'
import { Module } from './module.ts'

/** `max(x, 0)`, `torch.nn.ReLU`. */
export class ReLU extends Module {
  forward(x: Tensor): Tensor {
    return relu(x)
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
