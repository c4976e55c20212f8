/** Ink as light as its paper: levels along the direction of colour in which a picture varies most. */
import type { Gray, Pixels } from '../picture/pixels.ts'

/** Pixels looked at, about. */
const SAMPLES = 16_384

/** A direction of colour: what a pixel's level is made of. Its parts add up to 1, signs aside, as those of luma do. */
export interface Contrast {
  axis: readonly [red: number, green: number, blue: number]
  /** How far levels spread along it, in terms of how far they do in grey (standard deviations). */
  gain: number
}

/**
 * The direction of colour with most variance (the first principal component); undefined for a picture without colours.
 */
export function colourContrast(picture: Required<Pixels>): Contrast | undefined {
  if (picture.channels < 3) return undefined
  const covariance = covarianceOf(picture)
  const axis = firstComponent(covariance)
  if (!axis) return undefined
  const grey = deviation(covariance, [0.299, 0.587, 0.114])
  return { axis, gain: deviation(covariance, axis) / Math.max(grey, 0.5) }
}

/** Each pixel's level along the direction; what is transparent is white. */
export function alongAxis({ data, width, height, channels }: Required<Pixels>, { axis }: Contrast): Gray {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length)
  const [red, green, blue] = axis
  // Negative parts count from white down, so that levels lie between 0 and 255.
  const base = -255 * (Math.min(0, red) + Math.min(0, green) + Math.min(0, blue)) + 0.5
  const white = 255 * (red + green + blue)
  const out = new Uint8Array(width * height)
  for (let i = 0, p = 0; i < out.length; i++, p += channels) {
    let level = red * bytes[p]! + green * bytes[p + 1]! + blue * bytes[p + 2]!
    if (channels === 4) level = white + ((level - white) * bytes[p + 3]!) / 255
    out[i] = base + level
  }
  return { data: out, width, height }
}

type Vector = [number, number, number]
type Matrix = [Vector, Vector, Vector]

function covarianceOf({ data, width, height, channels }: Required<Pixels>): Matrix {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length)
  const count = width * height
  // A step that is no divisor of the width, or only some columns would be seen.
  let step = Math.max(1, Math.floor(count / SAMPLES))
  while (step > 1 && width % step === 0) step++
  const sum: Vector = [0, 0, 0]
  const products: Matrix = [
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
  ]
  let n = 0
  const colour: Vector = [0, 0, 0]
  for (let i = 0; i < count; i += step, n++) {
    const p = i * channels
    const alpha = channels === 4 ? bytes[p + 3]! / 255 : 1
    for (let c = 0; c < 3; c++) {
      const value = 255 + (bytes[p + c]! - 255) * alpha
      colour[c] = value
      sum[c]! += value
      for (let k = 0; k <= c; k++) products[c]![k]! += value * colour[k]!
    }
  }
  const at = (c: number, k: number) =>
    products[Math.max(c, k)]![Math.min(c, k)]! / n - (sum[c]! / n) * (sum[k]! / n)
  return [0, 1, 2].map((c) => [0, 1, 2].map((k) => at(c, k))) as Matrix
}

/** The eigenvector of the largest eigenvalue, by squaring: the matrix to a high power has it in every row. */
function firstComponent(covariance: Matrix): Vector | undefined {
  let power = covariance
  for (let i = 0; i < 6; i++) {
    const largest = Math.max(...power.flat().map(Math.abs))
    if (!(largest > 1e-6)) return undefined
    const scaled = power.map((row) => row.map((value) => value / largest)) as Matrix
    power = scaled.map((row) =>
      [0, 1, 2].map((k) => row.reduce((sum, value, j) => sum + value * scaled[j]![k]!, 0)),
    ) as Matrix
  }
  // The row with the largest diagonal is the one that is surely not zero.
  const row = power.reduce((best, one, c) => (one[c]! > best[power.indexOf(best)]! ? one : best))
  const total = row.reduce((sum, value) => sum + Math.abs(value), 0)
  return row.map((value) => value / total) as Vector
}

function deviation(covariance: Matrix, axis: readonly number[]): number {
  const variance = covariance.reduce(
    (sum, row, c) => sum + axis[c]! * row.reduce((inner, value, k) => inner + value * axis[k]!, 0),
    0,
  )
  return Math.sqrt(Math.max(0, variance))
}
