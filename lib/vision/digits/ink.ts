/** Telling ink from paper. */

import type { Gray } from '../picture/pixels.ts'
import type { Component } from './components.ts'
import { histogram, otsu, type Split } from './histogram.ts'

/** Ink and paper that differ by fewer levels (of 256) than this are one: blank paper. */
const FAINTEST = 16
/** … or by less than this many deviations of the paper: its grain. */
const GRAIN = 4
/** Full ink, in terms of the mean ink: what is blacker yet (strokes crossing) is no more ink. */
const FULL_INK = 1.2

/**
 * Otsu's threshold between paper (low) and ink (high). Where a thin stroke covers so little of the picture that
 * Otsu splits the paper's own grain instead, the upper part is split again, until the upper class stands clear
 * of the paper.
 *
 * @returns null for a picture without ink
 */
export function threshold(gray: Gray): Split | null {
  const counts = histogram(gray.data)
  const whole = otsu(counts)
  let split = whole
  while (split && whole) {
    const clear = split.highMean - whole.lowMean
    if (clear >= FAINTEST && split.threshold - whole.lowMean >= GRAIN * whole.lowDeviation * 0.5) break
    split = otsu(counts, split.threshold + 1)
  }
  return split
}

/**
 * Paper becomes 0; what is above the threshold keeps its level, counted from the paper's and stretched so that
 * full ink is 255. So do the grey edges of strokes, a pixel wide, down to half the threshold: cut off there,
 * strokes of a pixel or two would come out too thin.
 */
export function keepInk({ data, width, height }: Gray, split: Split): Gray {
  const { lowMean, threshold } = split
  const full = Math.min(255, lowMean + FULL_INK * (split.highMean - lowMean))
  const levels = new Uint8Array(256)
  const edge = Math.floor((lowMean + threshold) / 2) + 1
  for (let v = edge; v < 256; v++) {
    levels[v] = Math.max(1, 255 * Math.min(1, (v - lowMean) / (full - lowMean)) + 0.5)
  }
  const out = new Uint8Array(data.length)
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const v = data[i] ?? 0
      if (v < edge) continue
      if (v > threshold || besideInk(data, width, height, x, y, threshold)) out[i] = levels[v] ?? 0
    }
  }
  return { data: out, width, height }
}

/** Whether one of the eight pixels around is above the threshold. */
function besideInk(
  data: Uint8Array,
  width: number,
  height: number,
  x: number,
  y: number,
  threshold: number,
): boolean {
  for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
    for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
      if ((data[v * width + u] ?? 0) > threshold) return true
    }
  }
  return false
}

/** The box of the pieces, holding their pixels and nothing else's. */
export function cutOut(ink: Gray, pieces: Component[]): Gray {
  const left = Math.min(...pieces.map((piece) => piece.left))
  const top = Math.min(...pieces.map((piece) => piece.top))
  const width = Math.max(...pieces.map((piece) => piece.right)) - left
  const height = Math.max(...pieces.map((piece) => piece.bottom)) - top
  const data = new Uint8Array(width * height)
  for (const { runs } of pieces) {
    for (let r = 0; r < runs.length; r += 3) {
      const row = (runs[r] ?? 0) * ink.width
      const to = ((runs[r] ?? 0) - top) * width + (runs[r + 1] ?? 0) - left
      data.set(ink.data.subarray(row + (runs[r + 1] ?? 0), row + (runs[r + 2] ?? 0)), to)
    }
  }
  return { data, width, height }
}
