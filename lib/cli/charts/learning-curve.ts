/** The learning curve as a picture: loss above, error rate below, over the epochs. */
import {
  escapeXml,
  line,
  linearScale,
  linearTicks,
  logScale,
  logTicks,
  round,
  type Scale,
  svgDocument,
  text,
} from '../../util/svg.ts'

/** What of each epoch is drawn. */
export interface CurvePoint {
  epoch: number
  loss: number
  accuracy: number
  validation?: { loss: number; accuracy: number } | undefined
  /** Loss of every step of the epoch, where known. */
  losses?: readonly [x: number, y: number][] | undefined
}

const width = 860
const left = 70
const right = width - 130
const panelHeight = 210
const top = 64

/** @param subtitle what was trained, and how */
export function drawLearningCurve(title: string, subtitle: string, points: readonly CurvePoint[]): string {
  const epochs = Math.max(1, ...points.map(({ epoch }) => epoch))
  const x = linearScale(0, epochs, left, right)
  const panels = [
    {
      name: 'loss',
      train: points.flatMap(({ epoch, loss, losses }): [number, number][] =>
        losses && losses.length > 1 ? losses.map(([at, y]) => [at, y]) : [[epoch, loss]],
      ),
      valid: points.flatMap(({ epoch, validation }): [number, number][] =>
        validation ? [[epoch, validation.loss]] : [],
      ),
      format: plain,
    },
    {
      name: 'error rate, %',
      train: points.map(({ epoch, accuracy }): [number, number] => [epoch, 100 * (1 - accuracy)]),
      valid: points.flatMap(({ epoch, validation }): [number, number][] =>
        validation ? [[epoch, 100 * (1 - validation.accuracy)]] : [],
      ),
      format: plain,
    },
  ]
  const body = [text(left, 26, title, { kind: 'title' }), text(left, 46, subtitle, { kind: 'soft' })]
  panels.forEach(({ name, train, valid, format }, i) => {
    const [from, to] = [top + i * (panelHeight + 30), top + i * (panelHeight + 30) + panelHeight]
    const values = [...train, ...valid].map(([, y]) => y).filter((y) => y > 0)
    const [low, high] = range(values)
    const y = logScale(low, high, to, from)
    for (const tick of fewTicks(low, high)) {
      body.push(line(left, y(tick), right, y(tick), 'grid'))
      body.push(text(left - 8, y(tick) + 4, format(tick), { anchor: 'end', kind: 'soft' }))
    }
    for (const tick of epochTicks(epochs)) {
      body.push(line(x(tick), from, x(tick), to, 'grid'))
      if (i === panels.length - 1) {
        body.push(text(x(tick), to + 18, String(tick), { anchor: 'middle', kind: 'soft' }))
      }
    }
    body.push(line(left, to, right, to, 'axis'), line(left, from, left, to, 'axis'))
    body.push(text(18, (from + to) / 2, name, { anchor: 'middle', turn: -90 }))
    const ends: { label: string; at: number; value: number }[] = []
    for (const [label, series, kind] of [
      ['training', train, 'other'],
      ['validation', valid, 'accent'],
    ] as const) {
      const shown = series.filter(([, value]) => value > 0)
      if (shown.length === 0) continue
      body.push(curve(shown, x, y, kind, kind === 'accent'))
      const last = shown.at(-1) as [number, number]
      ends.push({ label, at: y(last[1]), value: last[1] })
    }
    for (const { label, at, value } of apart(ends)) {
      body.push(text(right + 8, at + 4, `${label} ${format(value)}`, { kind: 'soft' }))
    }
  })
  const bottom = top + panels.length * (panelHeight + 30)
  body.push(text((left + right) / 2, bottom + 10, 'epoch', { anchor: 'middle' }))
  return svgDocument(width, bottom + 24, title, body)
}

/** A line through points, with a disc at each where they are few. */
function curve(
  points: readonly (readonly [number, number])[],
  x: Scale,
  y: Scale,
  kind: 'accent' | 'other',
  discs: boolean,
): string {
  const way = points.map(([px, py]) => `${round(x(px))},${round(y(py))}`).join(' ')
  const marks =
    discs || points.length < 3
      ? points.map(([px, py]) => {
          const label = `${escapeXml(plain(py))} at epoch ${Math.round(px * 100) / 100}`
          return `<circle class="${kind}" cx="${round(x(px))}" cy="${round(y(py))}" r="3.5"><title>${label}</title></circle>`
        })
      : []
  return [`<polyline class="curve ${kind}-line" points="${way}"/>`, ...marks].join('\n')
}

/** Labels at the ends of curves, moved so that they do not cover each other. */
function apart<T extends { at: number }>(ends: readonly T[]): T[] {
  const sorted = [...ends].sort((a, b) => a.at - b.at)
  for (const [i, end] of sorted.entries()) {
    const above = sorted[i - 1]
    if (above && end.at - above.at < 15) end.at = above.at + 15
  }
  return sorted
}

/** A range of at least a factor of two around the values. */
function range(values: readonly number[]): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  if (!Number.isFinite(low)) return [0.1, 1]
  const room = Math.max(1.1, Math.sqrt((2 * low) / high))
  return [low / room, high * room]
}

/** Ticks of a logarithmic axis: powers of ten alone where there are many. */
function fewTicks(low: number, high: number): number[] {
  const all = logTicks(low, high)
  if (all.length <= 8) return all
  return all.filter((tick) => Math.abs(Math.log10(tick) - Math.round(Math.log10(tick))) < 1e-9)
}

function epochTicks(epochs: number): number[] {
  return linearTicks(epochs, 10).filter((tick) => Number.isInteger(tick) && tick <= epochs)
}

function plain(value: number): string {
  return Number(value.toPrecision(3)).toString()
}
