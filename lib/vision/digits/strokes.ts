/** Which pieces of ink make up one digit. */
import type { Component } from './components.ts'

/** Pieces that belong together, and the box around them (right and bottom exclusive). */
export interface StrokeGroup {
  left: number
  top: number
  right: number
  bottom: number
  area: number
  pieces: Component[]
  /** The widest gap that was bridged between its pieces. */
  gap: number
}

/** A digit is at least this tall, in terms of its neighbour … */
const HEIGHT = 0.45
/** … and has this much ink, in terms of the one with most. */
const INK = 0.12

/** The part of a picture that a line of a form's cell runs along, at least. */
const LONG = 0.7
/** How far ink of a frame lies from its box's edges, at most, in terms of the box. */
const RIM = 0.12
/** What lies nearer to a digit than this, in terms of the picture, may be a stroke of it. */
const APART = 0.08

/**
 * Leaves out the lines of a form's cell: pieces along most of the picture that are flat lines, or whose ink lies
 * at the edges of their box only, where something large stands apart from them.
 *
 * @param width, height of the picture
 */
export function dropFrames(pieces: Component[], width: number, height: number): Component[] {
  const side = Math.min(width, height)
  const frames = pieces.filter((piece) => isFrame(piece, width, height))
  if (frames.length === 0) return pieces
  const rest = pieces.filter((piece) => !frames.includes(piece))
  const digit = rest.filter((piece) => piece.bottom - piece.top >= 0.2 * side)
  if (digit.length === 0) return pieces
  return pieces.filter(
    (piece) => !frames.includes(piece) || digit.some((stroke) => gapBetween(piece, stroke) < APART * side),
  )
}

function isFrame(
  { left, top, right, bottom, area, runs }: Component,
  width: number,
  height: number,
): boolean {
  const across = right - left
  const down = bottom - top
  if (across < LONG * width && down < LONG * height) return false
  if (down <= 0.06 * height || across <= 0.06 * width) return true
  const [rimX, rimY] = [Math.max(3, RIM * across), Math.max(3, RIM * down)]
  let inside = 0
  for (let r = 0; r < runs.length; r += 3) {
    const y = (runs[r] ?? 0) - top
    if (y < rimY || y >= down - rimY) continue
    inside += Math.max(0, Math.min(runs[r + 2] ?? 0, right - rimX) - Math.max(runs[r + 1] ?? 0, left + rimX))
  }
  return inside < 0.1 * area
}

/**
 * Joins pieces of ink into digits, nearest first. The bar of a 5 that does not reach its body and the dots of
 * a dotted pen are one digit; pieces are kept apart only where both could stand for a digit and the gap between
 * them is wide: against their height, and against the gaps within either of them, and their boxes lie apart.
 *
 * @returns groups, the one with the most ink first
 */
export function groupStrokes(pieces: Component[]): StrokeGroup[] {
  const pen = penWidth(pieces)
  const groups: (StrokeGroup | null)[] = pieces.map((piece) => {
    const { left, top, right, bottom, area } = piece
    return { left, top, right, bottom, area, pieces: [piece], gap: 0 }
  })
  const owner = pieces.map((_, i) => i)
  const pairs: { a: number; b: number; gap: number }[] = []
  for (let a = 0; a < pieces.length; a++) {
    for (let b = a + 1; b < pieces.length; b++) pairs.push({ a, b, gap: gapBetween(pieces[a]!, pieces[b]!) })
  }
  pairs.sort((p, q) => p.gap - q.gap)
  for (const { a, b, gap } of pairs) {
    const first = owner[a] ?? 0
    const second = owner[b] ?? 0
    if (first === second || !belongTogether(groups[first]!, groups[second]!, gap, pen)) continue
    groups[first] = join(groups[first]!, groups[second]!, gap)
    groups[second] = null
    for (let i = 0; i < owner.length; i++) if (owner[i] === second) owner[i] = first
  }
  return groups.filter((group) => group !== null).sort((p, q) => q.area - p.area)
}

/**
 * The groups that can each stand for a digit: those about as tall and as inky as the one with most ink. Frames
 * around others are left out, and so is what runs off the edge of the picture (a shadow, the neighbouring digit)
 * where something large lies inside.
 *
 * @param groups the one with the most ink first
 * @param width, height of the picture
 */
export function digitLike(groups: StrokeGroup[], width: number, height: number): StrokeGroup[] {
  const free = groups.filter((group) => !groups.some((other) => frames(group, other)))
  const within = free.filter((g) => g.left > 0 && g.top > 0 && g.right < width && g.bottom < height)
  const inside = rivals(within)
  const large = Math.min(HEIGHT * extent(free[0]), Math.min(width, height) / 5)
  return inside.length > 0 && extent(inside[0]) >= large ? inside : rivals(free)
}

function rivals(groups: StrokeGroup[]): StrokeGroup[] {
  const [main] = groups
  if (!main) return []
  return groups.filter((group) => tall(group) >= HEIGHT * tall(main) && group.area >= INK * main.area)
}

/** Whether `group` surrounds another that is not small in it. */
function frames(group: StrokeGroup, other: StrokeGroup): boolean {
  return (
    group.left < other.left &&
    group.top < other.top &&
    group.right > other.right &&
    group.bottom > other.bottom &&
    tall(other) >= 0.3 * tall(group)
  )
}

function belongTogether(a: StrokeGroup, b: StrokeGroup, gap: number, pen: number): boolean {
  const smaller = Math.min(tall(a), tall(b))
  const larger = Math.max(tall(a), tall(b))
  if (gap > 0.1 * smaller && (frames(a, b) || frames(b, a))) return false
  // A dot or a bar is no digit: it joins what is near, in terms of the pen or of the larger piece.
  if (smaller < 4 * pen || smaller < HEIGHT * larger) return gap <= Math.max(4 * pen, 0.25 * larger)
  return gap <= 0.1 * smaller || gap <= 1.5 * Math.max(a.gap, b.gap) || interlock(a, b)
}

/** Whether the boxes overlap as those of two digits in a row or column do not: broken strokes of one. */
function interlock(a: StrokeGroup, b: StrokeGroup): boolean {
  const across = Math.min(a.right, b.right) - Math.max(a.left, b.left)
  const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
  return (
    across >= 0.4 * Math.min(a.right - a.left, b.right - b.left) && down >= -0.3 * Math.max(tall(a), tall(b))
  )
}

/** Mean width of the strokes: an outline runs along both their sides. */
export function penWidth(pieces: Component[]): number {
  let area = 0
  let outline = 0
  for (const piece of pieces) {
    area += piece.area
    outline += piece.outline
  }
  return outline === 0 ? 0 : (2 * area) / outline
}

/** Runs looked at for the distance of two pieces; rows in between are left out of larger ones. */
const RUNS = 64

/** Shortest way from ink to ink, in pixels (0 where they touch), to within the rows left out. */
function gapBetween(a: Component, b: Component): number {
  const step = (piece: Component): number => 3 * Math.ceil(piece.runs.length / 3 / RUNS)
  let nearest = Number.POSITIVE_INFINITY
  for (let i = 0; i < a.runs.length; i += step(a)) {
    for (let k = 0; k < b.runs.length; k += step(b)) {
      const x = Math.max(
        0,
        (a.runs[i + 1] ?? 0) - (b.runs[k + 2] ?? 0),
        (b.runs[k + 1] ?? 0) - (a.runs[i + 2] ?? 0),
      )
      const y = Math.max(0, Math.abs((a.runs[i] ?? 0) - (b.runs[k] ?? 0)) - 1)
      nearest = Math.min(nearest, x * x + y * y)
    }
  }
  return Math.sqrt(nearest)
}

function tall(group: StrokeGroup): number {
  return group.bottom - group.top
}

/** Longer side of the box. */
function extent(group: StrokeGroup | undefined): number {
  return group === undefined ? 0 : Math.max(group.right - group.left, group.bottom - group.top)
}

function join(a: StrokeGroup, b: StrokeGroup, gap: number): StrokeGroup {
  return {
    left: Math.min(a.left, b.left),
    top: Math.min(a.top, b.top),
    right: Math.max(a.right, b.right),
    bottom: Math.max(a.bottom, b.bottom),
    area: a.area + b.area,
    pieces: [...a.pieces, ...b.pieces],
    gap: Math.max(a.gap, b.gap, gap),
  }
}
