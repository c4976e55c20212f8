/** Which side of the background the ink is on. */

import type { Gray } from '../picture/pixels.ts'
import { histogram, otsu, percentile } from './histogram.ts'

/** What is found at the border and hardly elsewhere, on less than this share of the picture, is a frame. */
const FRAME = 0.25

/**
 * Whether the ink is darker than the paper. The border is taken for paper (unless it is the line of a form's
 * cell, which little else in the picture resembles): its median is the paper's level,
 * and the ink lies on the side on which the picture goes farther from it. Where it goes about as far on both
 * sides (a lamp's reflection on dark-on-light, say), ink is the rarer side: strokes cover little of a picture.
 */
export function inkIsDark(gray: Gray): boolean {
  const counts = histogram(gray.data)
  let paper = percentile(histogram(border(gray)), 0.5)
  const split = otsu(counts)
  if (split) {
    const like = counts.reduce(
      (sum, n, v) => (v > split.threshold === paper > split.threshold ? sum + n : sum),
      0,
    )
    if (like < FRAME * gray.data.length) paper = percentile(counts, 0.5)
  }
  // A thousandth at each end is left out: single pixels say nothing about ink.
  const darkest = percentile(counts, 0.001)
  const lightest = percentile(counts, 0.999)
  const down = paper - darkest
  const up = lightest - paper
  if (down > 1.5 * up || up > 1.5 * down) return down > up
  let darker = 0
  let lighter = 0
  for (let v = 0; v < 256; v++) {
    if (v < paper - down / 2) darker += counts[v] ?? 0
    else if (v > paper + up / 2) lighter += counts[v] ?? 0
  }
  return darker <= lighter
}

/** Levels so that ink is high: those of dark ink are turned over (in place). */
export function inkUp(gray: Gray): Gray {
  if (inkIsDark(gray)) {
    const { data } = gray
    for (let i = 0; i < data.length; i++) data[i] = 255 - (data[i] ?? 0)
  }
  return gray
}

/** The pixels of the outermost ring, a thirty-second of the shorter side wide and at least one pixel. */
function border({ data, width, height }: Gray): Uint8Array {
  const ring = Math.max(1, Math.min(width, height) >> 5)
  if (width <= 2 * ring || height <= 2 * ring) return data
  const out = new Uint8Array(2 * ring * width + 2 * ring * (height - 2 * ring))
  out.set(data.subarray(0, ring * width), 0)
  out.set(data.subarray((height - ring) * width), ring * width)
  let o = 2 * ring * width
  for (let y = ring; y < height - ring; y++) {
    const row = y * width
    for (let x = 0; x < ring; x++) {
      out[o++] = data[row + x] ?? 0
      out[o++] = data[row + width - 1 - x] ?? 0
    }
  }
  return out
}
