/** Connected ink. */
import type { Gray } from '../picture/pixels.ts'

/** A piece of connected ink, in pixels. Right and bottom are exclusive. */
export interface Component {
  left: number
  top: number
  right: number
  bottom: number
  area: number
  /** Length of the outline, counted in pixel edges. */
  outline: number
  /** Its pixels as runs: row, first column, column after the last, and so on. */
  runs: number[]
}

/**
 * The connected pieces of what is above 0, diagonal neighbours included, largest first. Works on horizontal
 * runs joined by union-find: one pass over the pixels, no recursion.
 */
export function components({ data, width, height }: Gray): Component[] {
  const rows: number[] = []
  const starts: number[] = []
  const ends: number[] = []
  const parents: number[] = []
  // Pixel edges between a run and the runs above it, which are not outline.
  const shared: number[] = []

  const root = (run: number): number => {
    while (parents[run] !== run) {
      parents[run] = parents[parents[run]!] ?? 0
      run = parents[run] ?? 0
    }
    return run
  }

  let above = 0
  let here = 0
  for (let y = 0; y < height; y++) {
    const row = y * width
    let candidate = above
    for (let x = 0; x < width; x++) {
      if (data[row + x] === 0) continue
      const start = x
      while (x < width && data[row + x] !== 0) x++
      const run = starts.length
      rows.push(y)
      starts.push(start)
      ends.push(x)
      parents.push(run)
      let edges = 0
      while (candidate < here && (ends[candidate] ?? 0) < start) candidate++
      for (let c = candidate; c < here && (starts[c] ?? 0) <= x; c++) {
        edges += Math.max(0, Math.min(x, ends[c] ?? 0) - Math.max(start, starts[c] ?? 0))
        parents[root(c)] = root(run)
      }
      shared.push(edges)
    }
    above = here
    here = starts.length
  }

  const found = new Map<number, Component>()
  for (let run = 0; run < starts.length; run++) {
    const key = root(run)
    const y = rows[run] ?? 0
    const left = starts[run] ?? 0
    const right = ends[run] ?? 0
    let piece = found.get(key)
    if (!piece) {
      piece = { left, top: y, right, bottom: y + 1, area: 0, outline: 0, runs: [] }
      found.set(key, piece)
    }
    piece.left = Math.min(piece.left, left)
    piece.right = Math.max(piece.right, right)
    piece.bottom = y + 1
    piece.area += right - left
    piece.outline += 2 + 2 * (right - left) - 2 * (shared[run] ?? 0)
    piece.runs.push(y, left, right)
  }
  return [...found.values()].sort((a, b) => b.area - a.area)
}

/** Pieces smaller than this share of the largest are specks: dust, noise, grain of the paper. */
const SPECK = 0.04
/** More pieces than this are not looked at: a picture that has them shows no digit. */
const MOST = 64

/** Leaves out the specks. */
export function dropSpecks(pieces: Component[]): Component[] {
  const largest = pieces[0]?.area ?? 0
  return pieces.filter((piece) => piece.area >= SPECK * largest).slice(0, MOST)
}
