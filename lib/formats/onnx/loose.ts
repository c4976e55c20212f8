/**
 * Values of a trace of a model that is exported for one image. Wherever such a model has its batch of 1, and whatever it
 * joins it with, what it makes of an image is one value of a known shape: here all its dimensions belong to the image, so
 * that any of them may be moved, joined, summed or taken from. So with a model of a fixed batch of several, which is then
 * one image to the plan.
 */
import { SymbolicTensor } from '../../graph/graph.ts'

export class Loose extends SymbolicTensor {
  /** With a batch in front that the model has not. */
  readonly images: SymbolicTensor

  constructor(images: SymbolicTensor) {
    super(images.tracer, images.node, images.shape.slice(1))
    this.images = images
  }
}
