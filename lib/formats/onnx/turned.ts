/**
 * Values of a trace whose batch is not dimension 0, as sequences are given to recurrent layers, [steps, n, features], or
 * heads of attention, [n · heads, length, size]. In the graph they lie with the images apart, as all do; here it is
 * known where the batch belongs.
 */
import { SymbolicTensor } from '../../graph/graph.ts'
import { permute, reshape } from '../../ops/index.ts'
import { elements } from '../../tensor/shape.ts'
import type { Tensor } from '../../tensor/tensor.ts'

export class Turned extends SymbolicTensor {
  /** With the batch in front. Dimension `axis` is spread over those of left and right that are not 1. */
  readonly images: SymbolicTensor
  /** Where the batch is, in the model. */
  readonly axis: number
  /** That dimension holds left · n · right. */
  readonly left: number
  readonly right: number

  constructor(images: SymbolicTensor, axis: number, left = 1, right = 1) {
    const spread = Number(left > 1) + Number(right > 1)
    super(images.tracer, images.node, images.shape.slice(1).toSpliced(axis, spread, left * right))
    this.images = images
    this.axis = axis
    this.left = left
    this.right = right
  }

  /** Dimensions of the images that make dimension `axis`, beside the batch. */
  get spread(): number {
    return Number(this.left > 1) + Number(this.right > 1)
  }

  /** How many elements of an image come before the batch. */
  get before(): number {
    return elements(this.shape.slice(0, this.axis)) * this.left
  }

  /** Dimensions of the images that dimension `d` of the model is. */
  places(d: number): number[] {
    if (d === this.axis) return Array.from({ length: this.spread }, (_, i) => 1 + d + i)
    return [d < this.axis ? d + 1 : d + this.spread]
  }
}

/** The value of the model that these images are, with the batch there. */
export function turned(images: Tensor, axis: number, left = 1, right = 1): Tensor {
  return axis === 0 && left * right === 1 ? images : new Turned(images as SymbolicTensor, axis, left, right)
}

/** With the batch at `axis`. */
export function batchAt(images: Tensor, axis: number): Tensor {
  return turned(images, axis)
}

/** Dimension i of the result is dimension `axes[i]` of a value of a trace, also of its batch. */
export function transposed(value: SymbolicTensor, axes: readonly number[]): Tensor {
  const from = value instanceof Turned ? value : { images: value, axis: 0, left: 1, right: 1 }
  const places = (d: number) => (value instanceof Turned ? value.places(d) : d === 0 ? [] : [d])
  return turned(
    permute(from.images, [0, ...axes.flatMap(places)]),
    axes.indexOf(from.axis),
    from.left,
    from.right,
  )
}

/** In the shape of the model, in which the batch is somewhere in dimension `axis`; undefined: it cannot be. */
export function placed(
  images: Tensor,
  before: number,
  shape: readonly number[],
  axis: number,
): Tensor | undefined {
  const left = before / elements(shape.slice(0, axis))
  const right = (shape[axis] ?? 0) / left
  if (!Number.isInteger(left) || !Number.isInteger(right)) return undefined
  const parts = [left, right].filter((one) => one > 1)
  const apart = [1, ...shape.toSpliced(axis, 1, ...parts)]
  return apart.length > 7 ? undefined : turned(reshape(images, apart), axis, left, right)
}

/** A value with the batch in front in another shape, where its dimension 0 takes others in; undefined: it cannot be. */
export function regrouped(value: SymbolicTensor, shape: readonly number[]): Tensor | undefined {
  return placed(value, 1, shape, 0)
}
