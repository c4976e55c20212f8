/** Values as colours: pale at 0, one colour for what is above and one for what is below. */

import { colour } from '../dom.ts'
import { onTheme } from '../theme.ts'

type Rgb = [red: number, green: number, blue: number]

/** Shades on either side of 0. */
const LEVELS = 512

/** Colours by value, from −1 to 1: on the ground of maps, and as a veil that lets through what lies below where it is 0. */
let colours: { opaque: Uint32Array; veil: Uint32Array } | undefined
onTheme(() => (colours = undefined))

function parse(name: string): Rgb {
  const [red = 0, green = 0, blue = 0] =
    colour(name)
      .match(/[\d.]+/g)
      ?.map(Number) ?? []
  return [red, green, blue]
}

function makeColours(): { opaque: Uint32Array; veil: Uint32Array } {
  const [zero, positive, negative] = ['--map-zero', '--positive', '--negative'].map(parse) as [Rgb, Rgb, Rgb]
  const bytes = {
    opaque: new Uint8ClampedArray(4 * (2 * LEVELS + 1)),
    veil: new Uint8ClampedArray(4 * (2 * LEVELS + 1)),
  }
  for (let level = -LEVELS; level <= LEVELS; level++) {
    const end = level < 0 ? negative : positive
    const share = (Math.abs(level) / LEVELS) ** 0.8
    const at = 4 * (level + LEVELS)
    for (const [c, from] of zero.entries()) {
      const to = end[c] as number
      bytes.opaque[at + c] = from + share * (to - from)
      bytes.veil[at + c] = to
    }
    bytes.opaque[at + 3] = 255
    bytes.veil[at + 3] = 255 * share
  }
  return { opaque: new Uint32Array(bytes.opaque.buffer), veil: new Uint32Array(bytes.veil.buffer) }
}

/**
 * Pixels of some values, the largest of either sign in the full colour.
 *
 * @param veil whether what is 0 lets through what lies below
 */
export function pixelsOf(
  values: Float32Array,
  width: number,
  height: number,
  largest: number,
  veil = false,
): ImageData {
  colours ??= makeColours()
  const shades = veil ? colours.veil : colours.opaque
  const image = new ImageData(width, height)
  const pixels = new Uint32Array(image.data.buffer)
  const factor = largest > 0 ? LEVELS / largest : 0
  for (let i = 0; i < pixels.length; i++) {
    // NaN has the colour of 0
    const level = Math.round((values[i] ?? 0) * factor) || 0
    pixels[i] = shades[Math.min(2 * LEVELS, Math.max(0, level + LEVELS))] as number
  }
  return image
}

export function largestOf(values: Float32Array): number {
  let largest = 0
  for (const value of values) {
    const size = Math.abs(value)
    if (size > largest && size < Number.POSITIVE_INFINITY) largest = size
  }
  return largest
}

/** How the maps of a step lie beside each other, in pixels of the screen. */
export interface Layout {
  /** Of one map, in values and in pixels of the screen. */
  columns: number
  rows: number
  cell: number
  /** Maps in a row, and how many there are. */
  across: number
  count: number
  width: number
  height: number
}

const GAP = 6

/**
 * @param columns of one map
 * @param available width in pixels
 */
export function layoutOf(count: number, rows: number, columns: number, available: number): Layout {
  // a small map is not blown up to the size of a large one, but one can see its values
  const wanted = Math.max(1, Math.round(Math.max(44, Math.min(96, 28 + 3 * columns)) / columns))
  const cell = Math.max(1, Math.min(wanted, Math.floor(available / columns)))
  const step = columns * cell + GAP
  const most = Math.max(1, Math.min(count, Math.floor((available + GAP) / step)))
  const down = Math.ceil(count / most)
  // rows as long as each other
  const across = Math.ceil(count / down)
  return {
    columns,
    rows,
    cell,
    across,
    count,
    width: across * step - GAP,
    height: down * (rows * cell + GAP) - GAP,
  }
}

/** Where a map begins. */
export function cornerOf({ across, columns, rows, cell }: Layout, map: number): [x: number, y: number] {
  return [(map % across) * (columns * cell + GAP), Math.floor(map / across) * (rows * cell + GAP)]
}

/** The value at a place of the screen, if there is one. */
export function valueAt(
  layout: Layout,
  x: number,
  y: number,
): { map: number; row: number; column: number } | undefined {
  const { across, columns, rows, cell, count } = layout
  const [stepX, stepY] = [columns * cell + GAP, rows * cell + GAP]
  const [mapX, mapY] = [Math.floor(x / stepX), Math.floor(y / stepY)]
  const column = Math.floor((x - mapX * stepX) / cell)
  const row = Math.floor((y - mapY * stepY) / cell)
  const map = mapY * across + mapX
  const inside = x >= 0 && y >= 0 && mapX < across && map < count && column < columns && row < rows
  return inside ? { map, row, column } : undefined
}

const scratch = document.createElement('canvas')

/** Paints all maps of a step, each value as a square. */
export function paintMaps(
  canvas: HTMLCanvasElement,
  layout: Layout,
  values: Float32Array,
  largest: number,
): void {
  const { columns, rows, cell, count, width, height } = layout
  const ratio = Math.max(1, Math.round(devicePixelRatio))
  if (canvas.width !== width * ratio || canvas.height !== height * ratio) {
    canvas.width = width * ratio
    canvas.height = height * ratio
    canvas.style.width = `${width}px`
    canvas.style.height = `${height}px`
  }
  const context = canvas.getContext('2d') as CanvasRenderingContext2D
  context.imageSmoothingEnabled = false
  context.clearRect(0, 0, canvas.width, canvas.height)
  // all maps as one tall picture, one transfer
  const size = rows * columns
  if (scratch.width !== columns || scratch.height < rows * count) {
    scratch.width = columns
    scratch.height = rows * count
  }
  const pixels = pixelsOf(values.subarray(0, count * size), columns, rows * count, largest)
  const source = scratch.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D
  source.putImageData(pixels, 0, 0)
  for (let map = 0; map < count; map++) {
    const [x, y] = cornerOf(layout, map)
    context.drawImage(
      scratch,
      0,
      map * rows,
      columns,
      rows,
      x * ratio,
      y * ratio,
      columns * cell * ratio,
      rows * cell * ratio,
    )
  }
}

/** Outlines a part of a map. */
export function outline(
  canvas: HTMLCanvasElement,
  layout: Layout,
  map: number,
  { top, left, bottom, right }: { top: number; left: number; bottom: number; right: number },
): void {
  const ratio = Math.max(1, Math.round(devicePixelRatio))
  const [x, y] = cornerOf(layout, map)
  const { cell, rows, columns } = layout
  const context = canvas.getContext('2d') as CanvasRenderingContext2D
  context.lineWidth = 2 * ratio
  context.strokeStyle = colour('--ink')
  const [fromX, fromY] = [Math.max(0, left), Math.max(0, top)]
  context.strokeRect(
    (x + fromX * cell) * ratio,
    (y + fromY * cell) * ratio,
    (Math.min(columns, right + 1) - fromX) * cell * ratio,
    (Math.min(rows, bottom + 1) - fromY) * cell * ratio,
  )
}
