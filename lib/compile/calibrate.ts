/** Calibration: the ranges that a model's values have on given images, from which int8 takes its scales. */
import { types } from 'node:util'
import { native } from '../backend/node-addon.ts'
import { checkCost } from '../graph/cost.ts'
import { type Graph, graphShapes } from '../graph/graph.ts'
import { evaluate } from '../graph/intermediates.ts'
import { attached } from '../graph/operation.ts'
import { elements, formatShape, sameShape } from '../tensor/shape.ts'
import { received, Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

/** Values at once: some megabytes for a small network. */
const IMAGES = 32

/**
 * The least and the largest value of each node, one pair after the other.
 *
 * Computed step by step without fused multiply-add, which every machine can do: the same images give the same
 * ranges, and so the same int8 model, everywhere.
 *
 * @param images what the model is run on; bytes become byte · scale + shift
 * @throws KerneletError `ERR_ARGUMENT` for another type or values that are not finite; `ERR_SHAPE` for none, or
 *   not a whole number of them
 */
export function calibrate(graph: Graph, images: unknown, scale: number, shift: number): Float32Array {
  const { input } = graphShapes(graph)
  const values = valuesOf(images, input, scale, shift)
  const isa = native()
    .isa()
    .supported.findLast((name) => name === 'sse' || name === 'scalar')
  const perImage = elements(input)
  const count = values.length / perImage
  checkCost('compile: calibration', graph, Math.min(IMAGES, count))
  const ranges = new Float32Array(2 * graph.nodes.length)
  for (let first = 0; first < count; first += IMAGES) {
    const batch = Math.min(IMAGES, count - first)
    const outputs = [values.subarray(first * perImage, (first + batch) * perImage)]
    for (const [i, node] of graph.nodes.entries()) {
      if (i > 0) outputs[i] = evaluate(graph, node, batch, (source) => outputs[source]!, { isa })
      widen(ranges, i, outputs[i]!)
    }
  }
  const odd = ranges.findIndex((value) => !Number.isFinite(value))
  if (odd >= 0) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `compile: calibration: expected finite values but ${graph.nodes[odd >> 1]!.name} has others`,
    )
  }
  return ranges
}

/** A NaN stays in the range that it met. */
function widen(ranges: Float32Array, node: number, values: Float32Array): void {
  let least = ranges[2 * node] ?? 0
  let largest = ranges[2 * node + 1] ?? 0
  for (const value of values) {
    if (!(value >= least)) least = value
    if (!(value <= largest)) largest = value
    if (Number.isNaN(value)) break
  }
  ranges[2 * node] = least
  ranges[2 * node + 1] = largest
}

function valuesOf(images: unknown, shape: readonly number[], scale: number, shift: number): Float32Array {
  let values: Float32Array
  if (Tensor.is(images)) {
    const image = images.shape.length === shape.length ? images.shape : images.shape.slice(1)
    if (!sameShape(image, shape)) {
      throw new KerneletError(
        'ERR_SHAPE',
        `compile: calibration: expected a tensor of shape batch×${formatShape(shape)} but received ` +
          formatShape(images.shape),
      )
    }
    values = attached(images, 'compile: calibration')
  } else if (types.isFloat32Array(images)) {
    values = images
  } else if (types.isUint8Array(images) || types.isUint8ClampedArray(images)) {
    // from() with a function would first make a list of all numbers, of ten times their size
    values = Float32Array.from(images)
    for (let i = 0; i < values.length; i++) values[i] = (values[i] ?? 0) * scale + shift
  } else {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `compile: precision 'int8' needs calibration: images such as it will be run on, a hundred or so, in a ` +
        `Float32Array, Tensor or Uint8Array, but received ${show(images)}`,
    )
  }
  const perImage = elements(shape)
  if (values.length === 0 || values.length % perImage !== 0) {
    throw new KerneletError(
      'ERR_SHAPE',
      `compile: calibration: expected ${perImage} values per image (${formatShape(shape)}) but received ` +
        received(values),
    )
  }
  return values
}
