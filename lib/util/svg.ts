/** What the pictures share: a document legible on light and dark, scales, escaped text. */

/**
 * A whole SVG document. Classes: `axis` and `grid` lines, `text`, `soft` and `title` texts, `accent`, `other`, `warm`
 * and `frame` shapes, `roof` lines, and `curve` with `accent-line`, `other-line` or `roof-line`.
 */
export function svgDocument(width: number, height: number, title: string, body: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeXml(title)}">
<title>${escapeXml(title)}</title>
<style>
${rules(LIGHT)}
  text { font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; paint-order: stroke; stroke-width: 3px; stroke-linejoin: round }
  .title { font-size: 16px; font-weight: 600 }
  .number { font-size: 11px; font-weight: 600 }
  .grid, .axis { stroke-width: 1 }
  .roof { stroke-width: 1.5; fill: none }
  .lead { stroke-width: 0.75 }
  .curve { stroke-width: 2; fill: none; stroke-linejoin: round }
  @media (prefers-color-scheme: dark) {
${rules(DARK)}
  }
</style>
<rect class="back" width="100%" height="100%"/>
${body.join('\n')}
</svg>
`
}

interface Palette {
  back: string
  ink: string
  soft: string
  line: string
  accent: string
  other: string
  roof: string
}

const LIGHT: Palette = {
  ...{ back: '#ffffff', ink: '#1f2328', soft: '#59636e', line: '#d1d9e0' },
  ...{ accent: '#0969da', other: '#8c959f', roof: '#bc4c00' },
}
const DARK: Palette = {
  ...{ back: '#0d1117', ink: '#f0f6fc', soft: '#9198a1', line: '#3d444d' },
  ...{ accent: '#4493f8', other: '#656c76', roof: '#f0883e' },
}

/** Colours written out: not every viewer of SVG knows CSS variables. */
function rules({ back, ink, soft, line, accent, other, roof }: Palette): string {
  return `  .back { fill: ${back} } text { fill: ${ink}; stroke: ${back} } .soft { fill: ${soft} }
  .roof-text { fill: ${roof} } .roof { stroke: ${roof} } .number, .accent { fill: ${accent} } .other { fill: ${other} } .warm { fill: ${roof} } .frame { fill: ${line} }
  .grid { stroke: ${line} } .axis, .lead { stroke: ${soft} }
  .accent-line { stroke: ${accent} } .other-line { stroke: ${other} } .roof-line { stroke: ${roof} }`
}

export function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

export function text(
  x: number,
  y: number,
  content: string,
  {
    anchor = 'start',
    kind = '',
    turn = 0,
  }: { anchor?: 'start' | 'middle' | 'end'; kind?: string; turn?: number } = {},
): string {
  const rotated = turn === 0 ? '' : ` transform="rotate(${round(turn)} ${round(x)} ${round(y)})"`
  const named = kind === '' ? '' : ` class="${kind}"`
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"${named}${rotated}>${escapeXml(content)}</text>`
}

export function line(x1: number, y1: number, x2: number, y2: number, kind: string): string {
  return `<line class="${kind}" x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"/>`
}

export function round(value: number): number {
  return Math.round(value * 10) / 10
}

/** From a quantity to a place. */
export type Scale = (value: number) => number

export function linearScale(low: number, high: number, from: number, to: number): Scale {
  return (value) => from + ((value - low) / (high - low)) * (to - from)
}

export function logScale(low: number, high: number, from: number, to: number): Scale {
  const inner = linearScale(Math.log(low), Math.log(high), from, to)
  return (value) => inner(Math.log(value))
}

/** 1, 2 and 5 times powers of ten within the range. */
export function logTicks(low: number, high: number): number[] {
  const ticks: number[] = []
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of [1, 2, 5]) {
      const tick = Number((factor * 10 ** power).toPrecision(1))
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick)
    }
  }
  return ticks
}

/** About `count` round numbers from 0 to beyond `high`. */
export function linearTicks(high: number, count: number): number[] {
  const rough = high / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!
  return Array.from({ length: Math.ceil(high / step) + 1 }, (_, i) => i * step)
}
