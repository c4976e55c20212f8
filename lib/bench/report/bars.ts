/** Groups of horizontal bars, longest names and values written out. */

import { escapeXml, line, linearScale, linearTicks, round, svgDocument, text } from '../../util/svg.ts'
import { formatRate } from './markdown.ts'

export interface Bar {
  group: string
  name: string
  value: number
  /** Of others: drawn in grey. */
  other?: boolean
}

const WIDTH = 860
const LEFT = 250
const RIGHT = 90
const ROW = 24
const BAR = 16

export function drawBars({
  title,
  subtitle = '',
  unit,
  bars,
}: {
  title: string
  subtitle?: string
  unit: string
  bars: readonly Bar[]
}): string {
  const groups = [...new Set(bars.map(({ group }) => group))]
  const top = subtitle === '' ? 44 : 60
  const bottom = top + bars.length * ROW + groups.length * 30
  const ticks = linearTicks(Math.max(1, ...bars.map(({ value }) => value)), 6)
  const x = linearScale(0, ticks.at(-1)!, LEFT, WIDTH - RIGHT)
  const body = [text(16, 26, title, { kind: 'title' })]
  if (subtitle !== '') body.push(text(16, 44, subtitle, { kind: 'soft' }))
  for (const tick of ticks) {
    body.push(line(x(tick), top, x(tick), bottom, 'grid'))
    body.push(
      text(x(tick), bottom + 18, formatRate(tick).replace(/\.0+(?=\D|$)/, ''), {
        anchor: 'middle',
        kind: 'soft',
      }),
    )
  }
  body.push(line(LEFT, top, LEFT, bottom, 'axis'))
  body.push(text((LEFT + WIDTH - RIGHT) / 2, bottom + 38, unit, { anchor: 'middle' }))
  let y = top
  for (const group of groups) {
    y += 30
    body.push(text(16, y - 8, group, { kind: 'soft' }))
    for (const { name, value, other } of bars.filter((bar) => bar.group === group)) {
      body.push(text(LEFT - 8, y + BAR - 3, name, { anchor: 'end' }))
      body.push(
        `<rect class="${other ? 'other' : 'accent'}" x="${LEFT}" y="${round(y)}" width="${round(x(value) - LEFT)}" ` +
          `height="${BAR}" rx="2"><title>${escapeXml(`${name}: ${Math.round(value)} ${unit}`)}</title></rect>`,
      )
      body.push(text(x(value) + 6, y + BAR - 3, formatRate(value)))
      y += ROW
    }
  }
  return svgDocument(WIDTH, bottom + 54, title, body)
}
