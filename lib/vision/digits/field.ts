/** MNIST's own form: the digit 20 pixels long, its centre of mass in the middle of 28×28. */
import type { Gray } from '../picture/pixels.ts'
import { resample } from '../picture/resample.ts'

/** Side of the field in pixels. */
export const FIELD = 28
/** Longer side of the digit in it. */
export const DIGIT = 20

/** Index of the pixel, both ways, on which the centre of mass comes to lie. */
const CENTRE = 14

/** Values of width × height, row by row. */
export interface Patch {
  data: Float32Array
  width: number
  height: number
}

/** The longer side to 20 pixels, the other in proportion (at least 1). */
export function fitDigit(ink: Gray): Patch {
  const scale = DIGIT / Math.max(ink.width, ink.height)
  const width = Math.max(1, Math.round(ink.width * scale))
  const height = Math.max(1, Math.round(ink.height * scale))
  return { data: resample(ink, width, height), width, height }
}

/**
 * Puts the patch into the empty field, in whole pixels, with its centre of mass as near to (14, 14) as that
 * and the field's edges allow. In coordinates of pixel indices, as MNIST has it: over its training images the
 * mean index is 14.00 both ways with the spread of a rounding (0.29), half a pixel right of and below the
 * field's geometric middle.
 */
export function placeByMass({ data, width, height }: Patch): Float32Array {
  let mass = 0
  let massX = 0
  let massY = 0
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const v = data[y * width + x] ?? 0
      mass += v
      massX += v * x
      massY += v * y
    }
  }
  const left = Math.min(FIELD - width, Math.max(0, Math.round(CENTRE - massX / mass)))
  const top = Math.min(FIELD - height, Math.max(0, Math.round(CENTRE - massY / mass)))
  const field = new Float32Array(FIELD * FIELD)
  for (let y = 0; y < height; y++) {
    field.set(data.subarray(y * width, (y + 1) * width), (top + y) * FIELD + left)
  }
  return field
}

/** Scales the values so that the largest is 1 (in place). */
export function maximumToOne(values: Float32Array): Float32Array {
  let max = 0
  for (const v of values) if (v > max) max = v
  if (max > 0) for (let i = 0; i < values.length; i++) values[i]! /= max
  return values
}

/** (value − mean) / std (in place): what the network was trained on. */
export function standardize(values: Float32Array, mean: number, std: number): Float32Array {
  if (mean !== 0 || std !== 1)
    for (let i = 0; i < values.length; i++) values[i] = ((values[i] ?? 0) - mean) / std
  return values
}
