/** What can be traced, summarised and compiled: all that graphs need to know of a Module. */
import type { Tensor } from '../tensor/tensor.ts'

/** Something with a forward(), made of others of its kind. A `Module` is one. */
export interface Model {
  /** Computes the output; called with stand-ins without values when the model is traced. */
  forward(...inputs: Tensor[]): Tensor
  /** Models held directly, with their names. */
  namedChildren(): [name: string, model: Model][]
  /** This model (named '') and all below, each once, with their paths. */
  namedModules(): [path: string, model: Model][]
}
