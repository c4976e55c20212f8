import { counted } from '../../graph/graph.ts'
import { type InitOptions, uniform } from '../../nn/init.ts'
import { Module } from '../../nn/module.ts'
import { conv2d } from '../../ops/index.ts'
import { zeros } from '../../tensor/allocate.ts'
import type { Parameter } from '../../tensor/parameter.ts'
import { type Pair, pair, size } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { checkOptions } from '../../util/check.ts'

/** Options of `Subsample2d`. */
export interface Subsample2dOptions extends Pick<InitOptions, 'generator'> {
  /** Height and width of the window, which is also its step; default 2. */
  kernelSize?: Pair | undefined
}

/**
 * Subsampling that is trained (LeCun et al. 1998, layers S2 and S4): the sum of every window, times the channel's
 * coefficient, plus its bias. [n, channels, h, w] → [n, channels, h / kernel, w / kernel].
 * @example new Subsample2d(6).forward(new Tensor(new Float32Array(6 * 16), [1, 6, 4, 4])).shape // → [1, 6, 2, 2]
 */
export class Subsample2d extends Module {
  /** The coefficients, [channels]. */
  readonly weight: Parameter
  /** [channels] */
  readonly bias: Parameter
  readonly kernelSize: readonly [height: number, width: number]
  /** One for every tap of every channel: what is trained comes after the sum. */
  readonly #ones: Tensor
  /** The coefficients as windows of one tap. */
  readonly #coefficients: Tensor

  /** @throws KerneletError `ERR_ARGUMENT` for sizes that are no positive integers. */
  constructor(channels: number, options: Subsample2dOptions = {}) {
    super()
    checkOptions('Subsample2d', options, ['kernelSize', 'generator'])
    size(channels, 'Subsample2d: channels', 1)
    this.kernelSize = pair(options.kernelSize ?? 2, 'Subsample2d: kernelSize', 1)
    const [height, width] = this.kernelSize
    const taps = height * width
    this.weight = uniform([channels], 1 / Math.sqrt(taps), options.generator)
    this.bias = uniform([channels], 1 / Math.sqrt(taps), options.generator)
    this.#coefficients = new Tensor(this.weight.data, [channels, 1, 1, 1])
    this.#ones = new Tensor(zeros([channels, taps], 'Subsample2d').fill(1), [channels, 1, height, width])
  }

  forward(x: Tensor): Tensor {
    const groups = this.#ones.shape[0]
    const stride = this.kernelSize
    const sum = counted({ parameters: 0, connections: stride[0] * stride[1] }, () =>
      conv2d(x, this.#ones, undefined, { stride, groups }),
    )
    return counted({ connections: 1 }, () => conv2d(sum, this.#coefficients, this.bias, { groups }))
  }
}
