/** Tensors that belong to a module. */
import { Tensor } from './tensor.ts'

/**
 * A tensor that belongs to a module: `parameters()` finds it, `stateDict()` names it.
 * @example
 * const scale = new Parameter(Float32Array.of(1, 1), [2])
 * scale.requiresGrad = false   // is not trained
 * scale.shape // → [2]
 */
export class Parameter extends Tensor {
  /** false: training leaves it as it is. See `freeze`. */
  requiresGrad = true
  /**
   * One byte a number: 0 where there is no weight. Such a place holds 0, training leaves it so, and it is not counted.
   * See `ConnectionTableConv2d`.
   */
  mask: Uint8Array | undefined
  /** Why it can be trained in no way that keeps the model what it is; a Trainer takes it only frozen. */
  untrainable: string | undefined
}

/**
 * A tensor that belongs to a module but is not trained, such as running statistics: `stateDict()` names it, in
 * snake case as PyTorch does (`runningMean` is `running_mean`).
 * @example
 * const steps = new Buffer(Float32Array.of(0), [1])
 * steps.data[0] // → 0
 */
export class Buffer extends Tensor {}
// bundlers rename it, for Node's global Buffer
Object.defineProperty(Buffer, 'name', { value: 'Buffer' })
