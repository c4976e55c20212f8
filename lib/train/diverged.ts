import { KerneletError } from '../util/errors.ts'

/**
 * Training met a value that is not finite. `code` is `ERR_DIVERGED`.
 * @example
 * const trainer = new Trainer(new Linear(1, 1), { optimizer: new SGD({ lr: 1e30 }), loss: 'mse' })
 * const [x, y] = [new Tensor(Float32Array.of(9), [1, 1]), new Tensor(Float32Array.of(1), [1, 1])]
 * try {
 *   for (let i = 0; i < 9; i++) trainer.step(x, y)
 * } catch (error) {
 *   error.what // → 'loss'
 * }
 */
export class DivergedError extends KerneletError {
  /** What it was: of the data, a layer's value, the loss, a gradient, a weight. */
  readonly what: 'input' | 'value' | 'loss' | 'gradient' | 'weight'
  /** The layer, or the parameter a gradient or weight belongs to. */
  readonly layer: string
  /** The step, from 1: of the epoch with `fit`, of all with `step`. */
  readonly step: number
  /** From 1; undefined with `step`. */
  readonly epoch: number | undefined

  constructor(found: {
    what: DivergedError['what']
    layer: string
    step: number
    epoch: number | undefined
    lr: number
    clipped: boolean
    kept: string
    /** Of probabilities: other outputs have no loss. */
    probabilities: boolean
  }) {
    const { what, layer, step, epoch, lr, clipped, kept, probabilities } = found
    const where = {
      input: `the images hold a NaN or an infinite value`,
      value: `${layer} gave a NaN or an infinite value`,
      loss: 'the loss became NaN or infinite',
      gradient: `the gradient of ${layer} became NaN or infinite`,
      weight: `${layer} became NaN or infinite`,
    }[what]
    const cure =
      what === 'input'
        ? 'look at the data'
        : what === 'loss' && probabilities
          ? 'see that the model gives numbers from 0 to 1 (a sigmoid), or take binaryCrossEntropyWithLogits'
          : `lower the learning rate (${Number(lr.toPrecision(2))} here)${clipped ? '' : ' or clip gradients (clipNorm: 1)'}`
    const place = epoch === undefined ? `step ${step}` : `step ${step} of epoch ${epoch}`
    super('ERR_DIVERGED', `Training diverged at ${place}: ${where}; ${kept}. To cure it, ${cure}.`)
    this.what = what
    this.layer = layer
    this.step = step
    this.epoch = epoch
  }
}
