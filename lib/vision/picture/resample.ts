/** Pictures made smaller or larger by area. */
import type { Gray } from './pixels.ts'

/**
 * Resamples a picture to width × height. Each output pixel is the mean of the area it covers; where the
 * picture grows, the triangle between neighbouring pixel centres is used instead, so that edges stay smooth.
 * Outside the picture counts as 0.
 *
 * @returns width × height values, row by row, in the levels of the input
 */
export function resample(gray: Gray, width: number, height: number): Float32Array {
  const horizontal = taps(gray.width, width)
  const vertical = taps(gray.height, height)
  const rows = new Float32Array(gray.height * width)
  for (let y = 0; y < gray.height; y++) {
    const from = y * gray.width
    for (let x = 0; x < width; x++) {
      const { first, weights } = horizontal[x]!
      let sum = 0
      for (let k = 0; k < weights.length; k++) sum += (weights[k] ?? 0) * (gray.data[from + first + k] ?? 0)
      rows[y * width + x] = sum
    }
  }
  const out = new Float32Array(width * height)
  for (let y = 0; y < height; y++) {
    const { first, weights } = vertical[y]!
    const to = out.subarray(y * width, (y + 1) * width)
    for (let k = 0; k < weights.length; k++) {
      const weight = weights[k] ?? 0
      const from = (first + k) * width
      for (let x = 0; x < width; x++) to[x] = (to[x] ?? 0) + weight * (rows[from + x] ?? 0)
    }
  }
  return out
}

/** The input pixels an output pixel is made of, from `first` on, and their weights. */
interface Taps {
  first: number
  weights: Float64Array
}

function taps(from: number, to: number): Taps[] {
  const scale = from / to
  const all: Taps[] = []
  for (let o = 0; o < to; o++) {
    // The area o … o+1 in input coordinates; for growth, one input pixel either side of its centre.
    const centre = (o + 0.5) * scale
    const reach = scale >= 1 ? scale / 2 : 1
    const first = Math.max(0, Math.floor(centre - reach + 1e-9))
    const end = Math.min(from, Math.ceil(centre + reach - 1e-9))
    const weights = new Float64Array(end - first)
    for (let i = first; i < end; i++) {
      weights[i - first] =
        scale >= 1
          ? (Math.min(i + 1, centre + reach) - Math.max(i, centre - reach)) / scale
          : Math.max(0, 1 - Math.abs(i + 0.5 - centre))
    }
    all.push({ first, weights })
  }
  return all
}
