/** A network's time as a flame graph that keeps the order of its steps: rows are the parts of their names. */
import { escapeXml, round, text } from '../../util/svg.ts'
import { formatTime } from './markdown.ts'

export interface Flame {
  /** From the outermost part on: ['layer1', '0', 'conv1']. */
  path: readonly string[]
  ns: number
  /** Of the innermost row. */
  kind: 'accent' | 'other' | 'warm'
  /** Shown where the mouse is. */
  hint: string
}

const ROW = 22
const DEEPEST = 4
const LETTER = 6.6

/** `layer1/layer1.0/conv1/Conv` as its parts: what a part repeats of the one before is left out. */
export function pathOf(name: string): string[] {
  const parts = name.split(/[/]+/).filter((part) => part !== '')
  const path = parts.map((part, i) => {
    const above = parts[i - 1]
    return above !== undefined && part.startsWith(`${above}.`) ? part.slice(above.length + 1) : part
  })
  return path.length > 1 ? path : name.split('.').filter((part) => part !== '')
}

/** Rectangles and texts from y = 0 down, x from `left` to `right`. */
export function flameBody(
  name: string,
  flames: readonly Flame[],
  left: number,
  right: number,
): { body: string[]; height: number } {
  const total = flames.reduce((sum, { ns }) => sum + ns, 0)
  const x = (ns: number): number => left + (ns / total) * (right - left)
  const body: string[] = []
  const box = (from: number, to: number, row: number, kind: string, label: string, hint: string): void => {
    const [begin, width] = [x(from), x(to) - x(from)]
    body.push(
      `<rect class="${kind}" x="${round(begin)}" y="${row * ROW}" width="${Math.max(0.2, round(width - 0.6))}" ` +
        `height="${ROW - 2}"><title>${escapeXml(hint)}</title></rect>`,
    )
    const letters = Math.floor((width - 8) / LETTER)
    if (letters < 2) return
    const shown = label.length <= letters ? label : `${label.slice(0, letters - 1)}…`
    body.push(text(begin + 4, row * ROW + 14, shown))
  }
  const share = (ns: number): string => `${formatTime(ns)}, ${((100 * ns) / total).toFixed(1)} %`
  box(0, total, 0, 'frame', `${name}, ${formatTime(total)}`, `${name}: ${formatTime(total)}`)
  const depth = Math.min(DEEPEST, Math.max(...flames.map(({ path }) => path.length - 1)))
  for (let row = 1; row <= depth; row++) {
    let at = 0
    for (let i = 0; i < flames.length; ) {
      const { path } = flames[i]!
      const begin = at
      const same = path.slice(0, row)
      const together = (other: Flame): boolean =>
        other.path.length > row && same.every((part, k) => part === other.path[k])
      do at += flames[i++]!.ns
      while (i < flames.length && path.length > row && together(flames[i]!))
      if (path.length > row) {
        box(begin, at, row, 'frame', same.at(-1)!, `${same.join(' / ')}: ${share(at - begin)}`)
      }
    }
  }
  let at = 0
  for (const { path, ns, kind, hint } of flames) {
    box(at, at + ns, depth + 1, kind, path.at(-1) ?? '', `${hint}: ${share(ns)}`)
    at += ns
  }
  return { body, height: (depth + 2) * ROW }
}
