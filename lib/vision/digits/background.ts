/** Uneven light and shadows: the paper's level, place by place. */
import type { Gray } from '../picture/pixels.ts'

/** Cells along the longer side of the grid on which the paper's level is estimated. */
const CELLS = 16
/** Cells either side: what is narrower than 2 × REACH + 1 cells counts as ink, not as paper. */
const REACH = 3
/** Paper whose level varies by less is even. */
const EVEN = 8

/**
 * Evens out the paper of a picture whose ink is high: estimates the paper's level everywhere and spreads what
 * lies between it and the highest level over the whole range, which for dark ink is dividing the light away.
 * Given back as it is where that would not help: paper of one level, and pictures too small to have cells.
 */
export function evenBackground(gray: Gray): Gray {
  const { data, width, height } = gray
  if (Math.min(width, height) < 2 * CELLS) return gray
  const paper = estimateBackground(gray)
  if (variation(paper) < EVEN) return gray
  const out = new Uint8Array(data.length)
  const between = placesOf(paper, width)
  for (let y = 0; y < height; y++) {
    const levels = levelsAt(paper, (y + 0.5) / paper.cell - 0.5)
    const row = y * width
    for (const { column, from, to, beyond } of between) {
      const left = levels[column]!
      const rise = levels[column + 1]! - left
      for (let x = from; x < to; x++) {
        const level = left + rise * beyond[x - from]!
        // Grain is on either side of the level as it comes, which no branch foresees.
        out[row + x] = (Math.max(0, data[row + x]! - level) * 255) / (255 - level) + 0.5
      }
    }
  }
  return { data: out, width, height }
}

/** Levels on a grid of cells. */
interface Grid {
  data: Float32Array
  columns: number
  rows: number
}

/**
 * The paper's level per cell of a coarse grid: the lower quartile of each cell, opened (the lowest of the
 * neighbourhood, then the highest of those), so that strokes are bridged while a slope of light is kept, and
 * smoothed.
 *
 * @returns the grid with one more cell all around, and the side of a cell in pixels
 */
export function estimateBackground(gray: Gray): Grid & { cell: number } {
  const cell = Math.ceil(Math.max(gray.width, gray.height) / CELLS)
  let grid = extend(lowerQuartiles(gray, cell), 2 * REACH + 2)
  grid = lowest(grid, REACH)
  grid = negated(lowest(negated(grid), REACH))
  grid = means(grid)
  return { ...grid, data: grid.data.map((level) => Math.min(254, Math.max(0, level))), cell }
}

function lowerQuartiles({ data, width, height }: Gray, cell: number): Grid {
  const columns = Math.ceil(width / cell)
  const rows = Math.ceil(height / cell)
  const out = new Float32Array(columns * rows)
  const counts = new Uint32Array(256)
  // A dozen pixels each way are enough for a quartile.
  const step = Math.max(1, Math.floor(cell / 12))
  for (let r = 0; r < rows; r++) {
    const bottom = Math.min(height, (r + 1) * cell)
    for (let c = 0; c < columns; c++) {
      const left = c * cell
      const right = Math.min(width, left + cell)
      counts.fill(0)
      let rest = 0
      for (let y = r * cell; y < bottom; y += step) {
        for (let i = y * width + left; i < y * width + right; i += step) {
          counts[data[i]!]!++
          rest += 0.25
        }
      }
      let level = 0
      while (rest > counts[level]!) rest -= counts[level++]!
      out[r * columns + c] = level
    }
  }
  return { data: out, columns, rows }
}

/**
 * The grid with `margin` more cells on every side, in which the values go on as they came (turned about the
 * edge cell): with a level margin, corners that a lens darkens would pass for strokes.
 */
function extend({ data, columns, rows }: Grid, margin: number): Grid {
  const turned = (length: number, i: number): [edge: number, mirrored: number] => {
    const edge = Math.min(length - 1, Math.max(0, i))
    return [edge, Math.min(length - 1, Math.max(0, 2 * edge - i))]
  }
  const wide = { data: new Float32Array(0), columns: columns + 2 * margin, rows: rows + 2 * margin }
  wide.data = new Float32Array(wide.columns * wide.rows)
  for (let r = 0; r < wide.rows; r++) {
    const [row, rowMirrored] = turned(rows, r - margin)
    for (let c = 0; c < wide.columns; c++) {
      const [column, columnMirrored] = turned(columns, c - margin)
      const edge = data[row * columns + column] ?? 0
      const sideways = edge - (data[row * columns + columnMirrored] ?? 0)
      const upright = edge - (data[rowMirrored * columns + column] ?? 0)
      wide.data[r * wide.columns + c] = edge + sideways + upright
    }
  }
  return wide
}

/** The lowest level within `reach` cells of each, sideways and then up and down; the margin is used up. */
function lowest({ data, columns, rows }: Grid, reach: number): Grid {
  const width = columns - 2 * reach
  const height = rows - 2 * reach
  const half = new Float32Array(width * rows).fill(Number.POSITIVE_INFINITY)
  for (let k = 0; k <= 2 * reach; k++) {
    for (let r = 0, i = 0; r < rows; r++) {
      for (let c = 0; c < width; c++, i++) half[i] = Math.min(half[i] ?? 0, data[r * columns + c + k] ?? 0)
    }
  }
  const out = new Float32Array(width * height).fill(Number.POSITIVE_INFINITY)
  for (let k = 0; k <= 2 * reach; k++) {
    for (let i = 0; i < out.length; i++) out[i] = Math.min(out[i] ?? 0, half[i + k * width] ?? 0)
  }
  return { data: out, columns: width, rows: height }
}

function negated(grid: Grid): Grid {
  return { ...grid, data: grid.data.map((level) => -level) }
}

/** The mean of each cell and its eight neighbours; a cell of the margin is used up. */
function means({ data, columns, rows }: Grid): Grid {
  const out = new Float32Array((columns - 2) * (rows - 2))
  for (let r = 0, i = 0; r < rows - 2; r++) {
    for (let c = 0; c < columns - 2; c++, i++) {
      for (let k = 0; k < 3; k++) {
        const at = (r + k) * columns + c
        out[i] = (out[i] ?? 0) + ((data[at] ?? 0) + (data[at + 1] ?? 0) + (data[at + 2] ?? 0)) / 9
      }
    }
  }
  return { data: out, columns: columns - 2, rows: rows - 2 }
}

/** Highest minus lowest level. */
function variation({ data }: Grid): number {
  let low = 255
  let high = 0
  for (const v of data) {
    if (v < low) low = v
    if (v > high) high = v
  }
  return high - low
}

/** Pixels of a row between the centres of two neighbouring columns of the grid. */
interface Between {
  /** The left one of the two. */
  column: number
  from: number
  to: number
  /** How far beyond its centre each pixel lies, in cells. */
  beyond: Float64Array
}

function placesOf({ cell }: { cell: number }, width: number): Between[] {
  // The grid has a cell more on every side.
  const at = Float64Array.from({ length: width }, (_, x) => (x + 0.5) / cell + 0.5)
  const between: Between[] = []
  for (let from = 0; from < width; ) {
    const column = Math.floor(at[from]!)
    let to = from + 1
    while (to < width && at[to]! < column + 1) to++
    between.push({ column, from, to, beyond: at.slice(from, to).map((place) => place - column) })
    from = to
  }
  return between
}

/** The levels of the grid's columns at `row`, in cells, between the centres of cells. */
function levelsAt({ data, columns }: Grid, row: number): Float64Array {
  // The grid has a cell more on every side.
  const top = Math.floor(row) + 1
  const v = row + 1 - top
  const levels = new Float64Array(columns)
  for (let c = 0; c < columns; c++) {
    const upper = data[top * columns + c]!
    levels[c] = upper + (data[(top + 1) * columns + c]! - upper) * v
  }
  return levels
}
