/** The roofline: how fast each measurement is, under what the machine allows at its arithmetic intensity. */

import { line, logScale, logTicks, round, svgDocument, text } from '../../util/svg.ts'
import type { Findings } from './json.ts'

export interface Point {
  name: string
  /** Floating-point operations a byte. */
  intensity: number
  gflops: number
}

export const ROOFLINE_WIDTH = 1100
const WIDTH = ROOFLINE_WIDTH
const LEGEND = 460
const BOX = { left: 64, top: 56, right: WIDTH - LEGEND - 24 }
const ROW = 18

export function drawRoofline(findings: Findings, title: string, points: readonly Point[]): string {
  const { body, height } = rooflineBody(findings, title, points)
  return svgDocument(ROOFLINE_WIDTH, height, title, body)
}

/** What is drawn, from the upper left corner on, to stand in a picture with more. */
export function rooflineBody(
  findings: Findings,
  title: string,
  points: readonly Point[],
): { body: string[]; height: number } {
  const { host, peaks, levels } = findings
  const bottom = Math.max(460, BOX.top + 20 + points.length * ROW)
  const tiers = host.isa.supported.filter(
    (isa) => isa === host.isa.chosen || findings.benchmarks.some(({ labels }) => labels.isa === isa),
  )
  const highest = Math.max(...tiers.map((isa) => peaks[isa] ?? 0))
  const lowest = Math.min(...points.map(({ gflops }) => gflops), ...tiers.map((isa) => peaks[isa] ?? 0))
  const fastest = Math.max(...levels.map(({ bandwidth }) => bandwidth))
  // to the left there is room for the slope of the innermost cache
  const [fromX, toX] = [
    Math.min(highest / fastest / 6, ...points.map(({ intensity }) => intensity / 1.5)),
    Math.max(20, ...points.map(({ intensity }) => intensity * 1.5)),
  ]
  const [fromY, toY] = [Math.min(lowest / 2, highest / 50), highest * 1.6]
  const x = logScale(fromX, toX, BOX.left, BOX.right)
  const y = logScale(fromY, toY, bottom, BOX.top)
  const body = [
    text(BOX.left, 26, title, { kind: 'title' }),
    text(
      BOX.left,
      44,
      `${host.cpu}, ${host.compiler.split(' (')[0]}, kernelet ${host.kernelet}, ${host.date.slice(0, 10)}`,
      { kind: 'soft' },
    ),
  ]
  for (const tick of logTicks(fromX, toX)) {
    body.push(line(x(tick), BOX.top, x(tick), bottom, 'grid'))
    body.push(text(x(tick), bottom + 18, String(tick), { anchor: 'middle', kind: 'soft' }))
  }
  for (const tick of logTicks(fromY, toY)) {
    body.push(line(BOX.left, y(tick), BOX.right, y(tick), 'grid'))
    body.push(text(BOX.left - 8, y(tick) + 4, String(tick), { anchor: 'end', kind: 'soft' }))
  }
  body.push(
    line(BOX.left, bottom, BOX.right, bottom, 'axis'),
    line(BOX.left, BOX.top, BOX.left, bottom, 'axis'),
  )
  body.push(
    text((BOX.left + BOX.right) / 2, bottom + 38, 'arithmetic intensity, flop/byte', { anchor: 'middle' }),
    text(18, (BOX.top + bottom) / 2, 'GFLOP/s', { anchor: 'middle', turn: -90 }),
  )

  // Texts of the roofs stand where nothing else was put.
  const space = new Space(
    points.map(({ intensity, gflops }) => ({ x: x(intensity), y: y(gflops), width: 9, height: 9 })),
  )
  const slope = Math.atan2(y(2) - y(1), x(2) - x(1))
  for (const { name, bandwidth } of levels) {
    const begin = Math.max(fromX, fromY / bandwidth)
    const end = Math.min(highest / bandwidth, toX)
    body.push(line(x(begin), y(begin * bandwidth), x(end), y(end * bandwidth), 'roof'))
    // just above the line, where it is free
    const places = steps(0.85, 0.15).map((part) => {
      const at = begin * (end / begin) ** part
      return { x: x(at) + 5 * Math.sin(slope), y: y(at * bandwidth) - 5 * Math.cos(slope), turn: slope }
    })
    body.push(space.write(`${name} ${bandwidth.toFixed(0)} GB/s`, places))
  }
  for (const isa of tiers) {
    const peak = peaks[isa] ?? 0
    const begin = x(Math.max(fromX, peak / fastest))
    body.push(line(begin, y(peak), BOX.right, y(peak), 'roof'))
    const places = steps(0.8, 0.2).map((part) => ({
      x: begin + part * (BOX.right - begin),
      y: y(peak) - 6,
      turn: 0,
    }))
    body.push(space.write(`${isa} peak ${peak.toFixed(peak < 10 ? 1 : 0)} GFLOP/s`, places))
  }

  points.forEach(({ intensity, gflops }, i) => {
    const [px, py] = [x(intensity), y(gflops)]
    const number = String(i + 1)
    const place = space.find(px, py, number.length * 7 + 2, 12, {
      left: BOX.left,
      top: BOX.top,
      right: BOX.right,
      bottom,
    })
    if (place.far) body.push(line(px, py, place.x, place.y, 'lead'))
    body.push(`<circle class="accent" cx="${round(px)}" cy="${round(py)}" r="4"/>`)
    body.push(text(place.x, place.y + 4, number, { anchor: 'middle', kind: 'number' }))
  })
  points.forEach(({ name, gflops }, i) => {
    const row = BOX.top + 14 + i * ROW
    body.push(text(BOX.right + 44, row, String(i + 1), { anchor: 'end', kind: 'number' }))
    body.push(text(BOX.right + 52, row, shorten(name, 52)))
    body.push(text(WIDTH - 16, row, gflops.toFixed(gflops < 10 ? 1 : 0), { anchor: 'end', kind: 'soft' }))
  })
  if (points.length > 0) body.push(text(WIDTH - 16, BOX.top - 6, 'GFLOP/s', { anchor: 'end', kind: 'soft' }))
  return { body, height: bottom + 54 }
}

/** From `from` down to `to`. */
function steps(from: number, to: number): number[] {
  const count = 24
  return Array.from({ length: count }, (_, i) => from + ((to - from) * i) / (count - 1))
}

function shorten(name: string, length: number): string {
  return name.length <= length ? name : `${name.slice(0, length - 1)}…`
}

/** A rectangle by its middle. */
interface Rectangle {
  x: number
  y: number
  width: number
  height: number
}

interface Frame {
  left: number
  top: number
  right: number
  bottom: number
}

/** Where labels can go without covering a point or another label. */
class Space {
  readonly #taken: Rectangle[]

  constructor(points: readonly Rectangle[]) {
    this.#taken = [...points]
  }

  /** A roof's text at the first of the places (the middle of its foot) that is free, or else at the first. */
  write(content: string, places: readonly { x: number; y: number; turn: number }[]): string {
    const letter = 6.6
    const boxes = places.map(({ x, y, turn }) =>
      Array.from(content, (_, i): Rectangle => {
        const along = (i - (content.length - 1) / 2) * letter
        const [left, up] = [
          along * Math.cos(turn) + 4 * Math.sin(turn),
          along * Math.sin(turn) - 4 * Math.cos(turn),
        ]
        return { x: x + left, y: y + up, width: letter + 3, height: 13 }
      }),
    )
    const free = boxes.findIndex((all) => !all.some((box) => this.#covered(box)))
    const chosen = Math.max(0, free)
    this.#taken.push(...boxes[chosen]!)
    const { x, y, turn } = places[chosen]!
    return text(x, y, content, { kind: 'roof-text', anchor: 'middle', turn: (turn * 180) / Math.PI })
  }

  #covered(rectangle: Rectangle): boolean {
    return this.#taken.some((other) => overlap(rectangle, other))
  }

  /** The nearest free place around (x, y); `far` where a line has to lead to it. */
  find(
    x: number,
    y: number,
    width: number,
    height: number,
    frame: Frame,
  ): { x: number; y: number; far: boolean } {
    for (let radius = 12; radius < 120; radius += 6) {
      for (const angle of [-45, 0, -90, 45, -135, 180, 135, 90]) {
        const at = {
          x: x + radius * Math.cos((angle * Math.PI) / 180),
          y: y + radius * Math.sin((angle * Math.PI) / 180),
          width,
          height,
        }
        const inside =
          at.x - width / 2 > frame.left &&
          at.x + width / 2 < frame.right &&
          at.y - height / 2 > frame.top &&
          at.y + height / 2 < frame.bottom
        if (inside && !this.#covered(at)) {
          this.#taken.push(at)
          return { x: at.x, y: at.y, far: radius > 18 }
        }
      }
    }
    return { x, y: y - 10, far: false }
  }
}

function overlap(a: Rectangle, b: Rectangle): boolean {
  return 2 * Math.abs(a.x - b.x) < a.width + b.width && 2 * Math.abs(a.y - b.y) < a.height + b.height
}
