/** The roofline: how fast each measurement is, under what the machine allows at its arithmetic intensity. */
import type { Findings } from './json.ts'
import { line, logScale, logTicks, round, svgDocument, text } from './plot-svg.ts'

export interface Point {
  name: string
  /** Floating-point operations a byte. */
  intensity: number
  gflops: number
}

const WIDTH = 1100
const LEGEND = 460
const BOX = { left: 64, top: 56, right: WIDTH - LEGEND - 24 }
const ROW = 18

export function drawRoofline(findings: Findings, title: string, points: readonly Point[]): string {
  const { host, peaks, levels } = findings
  const bottom = Math.max(460, BOX.top + 20 + points.length * ROW)
  const tiers = host.isa.supported.filter(
    (isa) => isa === host.isa.chosen || findings.benchmarks.some(({ labels }) => labels.isa === isa),
  )
  const highest = Math.max(...tiers.map((isa) => peaks[isa]!))
  const lowest = Math.min(...points.map(({ gflops }) => gflops), ...tiers.map((isa) => peaks[isa]!))
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
  const slope = (Math.atan2(y(2) - y(1), x(2) - x(1)) * 180) / Math.PI
  levels.forEach(({ name, bandwidth }, i) => {
    const ridge = highest / bandwidth
    const begin = Math.max(fromX, fromY / bandwidth)
    const end = Math.min(ridge, toX)
    body.push(line(x(begin), y(begin * bandwidth), x(end), y(end * bandwidth), 'roof'))
    // along the line, each level a little further than the one before
    const at = Math.exp(Math.log(begin) + (0.5 + 0.08 * i) * Math.log(end / begin))
    body.push(
      text(x(at), y(at * bandwidth) - 5, `${name} ${bandwidth.toFixed(0)} GB/s`, {
        kind: 'roof-text',
        anchor: 'middle',
        turn: slope,
      }),
    )
  })
  for (const isa of tiers) {
    const peak = peaks[isa]!
    body.push(line(x(Math.max(fromX, peak / fastest)), y(peak), BOX.right, y(peak), 'roof'))
    const content = `${isa} peak ${peak.toFixed(peak < 10 ? 1 : 0)} GFLOP/s`
    body.push(text(BOX.right - 4, y(peak) - 6, content, { kind: 'roof-text', anchor: 'end' }))
    const width = content.length * 6.5
    space.take({ x: BOX.right - 4 - width / 2, y: y(peak) - 10, width, height: 14 })
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
  return svgDocument(WIDTH, bottom + 54, title, body)
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

  take(rectangle: Rectangle): void {
    this.#taken.push(rectangle)
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
        if (inside && !this.#taken.some((other) => overlap(at, other))) {
          this.take(at)
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
