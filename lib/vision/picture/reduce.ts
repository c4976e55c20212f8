/** Pictures made smaller by a whole factor, row by row: while they are decoded, or afterwards. */
import type { Pixels } from './pixels.ts'

/** A picture, perhaps made smaller, and what it was. */
export interface Reduced {
  pixels: Required<Pixels>
  /** Of the picture before. */
  width: number
  height: number
  /** So many of its pixels, each way, are one of these; those at the right and bottom edges may be of fewer. */
  factor: number
}

/** By which factor a picture of that size may be made smaller: 1 or more. */
export type Reduction = (width: number, height: number) => number

/** As it is. */
export const whole: Reduction = () => 1

/** Makes a picture in memory smaller. */
export function reduce(picture: Required<Pixels>, reduction: Reduction): Reduced {
  const { width, height, channels } = picture
  const factor = reduction(width, height)
  if (factor === 1) return { pixels: picture, width, height, factor }
  // One kind of array, whatever came: the loops stay fast.
  const bytes = new Uint8Array(picture.data.buffer, picture.data.byteOffset, picture.data.length)
  const reducer = new Reducer(width, height, channels, factor)
  for (let y = 0; y < height; y++) reducer.add(bytes, y * width * channels)
  return reducer.reduced
}

/** Averages factor × factor pixels into one, as rows come from the top. Colours count by their alpha. */
export class Reducer {
  readonly reduced: Reduced
  readonly #out: Uint8Array
  /** Of the rows of one row to be, a value a channel and column. */
  readonly #sums: Float64Array
  readonly #columns: number
  #row = 0
  /** Where the row before began. */
  #above = 0

  constructor(width: number, height: number, channels: number, factor: number) {
    this.#columns = Math.ceil(width / factor)
    const rows = Math.ceil(height / factor)
    this.#out = new Uint8Array(this.#columns * rows * channels)
    this.#sums = new Float64Array(this.#columns * channels)
    const pixels = { data: this.#out, width: this.#columns, height: rows, channels }
    this.reduced = { pixels, width, height, factor }
  }

  /** The next row, whose first byte lies at `from`. It must stay as it is until the next one was added. */
  add(bytes: Uint8Array, from: number): void {
    const { width, height, factor, pixels } = this.reduced
    const { channels } = pixels
    const sums = this.#sums
    if (factor === 2 && channels === 3) {
      // Most photographs that are large at all: both rows at once, in half the time.
      const isSecond = this.#row % 2 === 1
      if (isSecond || this.#row === height - 1) {
        const to = (this.#row >> 1) * this.#columns * channels
        halve(this.#out, to, bytes, isSecond ? this.#above : from, from, width)
      }
      this.#above = from
      this.#row++
      return
    }
    if (channels === 3) addColours(sums, bytes, from, width, factor)
    else if (channels === 1) addLevels(sums, bytes, from, width, factor)
    else addClear(sums, bytes, from, width, factor, channels)
    this.#row++
    if (this.#row % factor !== 0 && this.#row !== height) return
    const rows = ((this.#row - 1) % factor) + 1
    const to = Math.floor((this.#row - 1) / factor) * this.#columns * channels
    for (let column = 0; column < this.#columns; column++) {
      const count = rows * Math.min(factor, width - column * factor)
      const at = column * channels
      const hasAlpha = channels % 2 === 0
      // what a colour counts in all
      const weight = hasAlpha ? sums[at + channels - 1]! : count
      for (let c = 0; c < channels; c++) {
        const divisor = hasAlpha && c === channels - 1 ? count : weight
        this.#out[to + at + c] = divisor === 0 ? 0 : sums[at + c]! / divisor + 0.5
      }
    }
    sums.fill(0)
  }
}

/** Two rows of RGB, the same one twice at an odd end, to one of half the width. */
function halve(
  out: Uint8Array,
  to: number,
  bytes: Uint8Array,
  above: number,
  below: number,
  width: number,
): void {
  const pairs = width >> 1
  for (let pair = 0, o = to, p = above, q = below; pair < pairs; pair++, o += 3, p += 6, q += 6) {
    out[o] = (bytes[p]! + bytes[p + 3]! + bytes[q]! + bytes[q + 3]! + 2) >> 2
    out[o + 1] = (bytes[p + 1]! + bytes[p + 4]! + bytes[q + 1]! + bytes[q + 4]! + 2) >> 2
    out[o + 2] = (bytes[p + 2]! + bytes[p + 5]! + bytes[q + 2]! + bytes[q + 5]! + 2) >> 2
  }
  if (width % 2 === 0) return
  for (let c = 0; c < 3; c++) {
    const from = pairs * 6 + c
    out[to + pairs * 3 + c] = (bytes[above + from]! + bytes[below + from]! + 1) >> 1
  }
}

function addLevels(sums: Float64Array, bytes: Uint8Array, from: number, width: number, factor: number): void {
  for (let x = 0, column = 0; x < width; column++) {
    const end = Math.min(width, x + factor)
    let sum = 0
    for (; x < end; x++) sum += bytes[from + x]!
    sums[column] = sums[column]! + sum
  }
}

function addColours(
  sums: Float64Array,
  bytes: Uint8Array,
  from: number,
  width: number,
  factor: number,
): void {
  for (let x = 0, at = 0, i = from; x < width; at += 3) {
    const end = Math.min(width, x + factor)
    let red = 0
    let green = 0
    let blue = 0
    for (; x < end; x++, i += 3) {
      red += bytes[i]!
      green += bytes[i + 1]!
      blue += bytes[i + 2]!
    }
    sums[at] = sums[at]! + red
    sums[at + 1] = sums[at + 1]! + green
    sums[at + 2] = sums[at + 2]! + blue
  }
}

/** The last of the channels is alpha, by which the others count. */
function addClear(
  sums: Float64Array,
  bytes: Uint8Array,
  from: number,
  width: number,
  factor: number,
  channels: number,
): void {
  for (let x = 0, at = 0, i = from; x < width; at += channels) {
    const end = Math.min(width, x + factor)
    for (; x < end; x++, i += channels) {
      const alpha = bytes[i + channels - 1]!
      for (let c = 0; c < channels - 1; c++) sums[at + c] = sums[at + c]! + bytes[i + c]! * alpha
      sums[at + channels - 1] = sums[at + channels - 1]! + alpha
    }
  }
}
