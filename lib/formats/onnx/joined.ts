/** A model of several inputs or outputs as one of a single one: the values of all of them side by side. */
import type { NamedShapes } from '../../compile/named-model.ts'
import { Module } from '../../nn/module.ts'
import { cat, flatten, reshape, slice } from '../../ops/index.ts'
import { elements } from '../../tensor/shape.ts'
import type { Tensor } from '../../tensor/tensor.ts'

export class Joined extends Module {
  /** Shapes of one image; known once it is traced. */
  outputShapes: NamedShapes = {}
  readonly #inputs: NamedShapes
  readonly #forward: (inputs: Record<string, Tensor>) => Record<string, Tensor>

  constructor(inputs: NamedShapes, forward: (inputs: Record<string, Tensor>) => Record<string, Tensor>) {
    super()
    this.#inputs = inputs
    this.#forward = forward
  }

  forward(all: Tensor): Tensor {
    const images = all.shape[0] as number
    let offset = 0
    const inputs = Object.entries(this.#inputs).map(([name, shape]): [string, Tensor] => {
      const begin = offset
      offset += elements(shape)
      return [name, reshape(slice(all, 1, begin, offset), [images, ...shape])]
    })
    const outputs = Object.entries(this.#forward(Object.fromEntries(inputs)))
    this.outputShapes = Object.fromEntries(outputs.map(([name, { shape }]) => [name, shape.slice(1)]))
    const flat = outputs.map(([, value]) =>
      value.shape.length === 1 ? reshape(value, [images, 1]) : flatten(value, 1),
    )
    return flat.length === 1 ? (flat[0] as Tensor) : cat(flat, 1)
  }
}
