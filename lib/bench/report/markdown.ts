/** Tables that read well in a terminal and in Markdown. */
import type { Benchmark } from '../benchmark.ts'

export interface Column<Row = Benchmark> {
  title: string
  /** Numbers stand to the right. */
  right?: boolean
  cell: (row: Row) => string
}

export function markdownTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map(({ cell }) => cell(row).replaceAll('|', '\\|')))
  const widths = columns.map(({ title }, i) =>
    Math.max(3, title.length, ...cells.map((row) => row[i]!.length)),
  )
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => (columns[i]!.right ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0))).join(' | ')} |`
  const rule = columns.map(({ right }, i) => `${'-'.repeat((widths[i] ?? 0) - 1)}${right ? ':' : '-'}`)
  return [line(columns.map(({ title }) => title)), line(rule), ...cells.map(line)].join('\n')
}

/** 5312 → 5.31 µs. */
export function formatTime(ns: number): string {
  if (Number.isNaN(ns)) return '–'
  for (const [unit, size] of [
    ['s', 1e9],
    ['ms', 1e6],
    ['µs', 1e3],
  ] as const) {
    if (ns >= size) return `${threeDigits(ns / size)} ${unit}`
  }
  return `${threeDigits(ns)} ns`
}

/** 187654 → 188k. */
export function formatRate(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (value >= 1e6) return `${threeDigits(value / 1e6)}M`
  return value >= 1e3 ? `${threeDigits(value / 1e3)}k` : threeDigits(value)
}

export function formatPercent(share: number): string {
  return Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : '–'
}

export function formatFigure(value: number): string {
  return Number.isFinite(value) && value > 0 ? threeDigits(value) : '–'
}

function threeDigits(value: number): string {
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)
}

/** A column of a label. */
export function label(name: string, title: string = name): Column {
  return { title, cell: ({ labels }) => labels[name] ?? '' }
}

/** A column of numbers, which stand to the right. */
function figure(title: string, cell: (benchmark: Benchmark) => string): Column {
  return { title, right: true, cell }
}

type Usual = 'batch' | 'threads' | 'p50' | 'p90' | 'p99' | 'min' | 'spread' | 'rate' | 'gflops' | 'share'

/** The columns that most tables end with. */
export const columns: Readonly<Record<Usual, Column>> = {
  batch: figure('batch', ({ batch }) => String(batch)),
  threads: figure('threads', ({ threads }) => String(threads)),
  p50: figure('p50', ({ p50 }) => formatTime(p50)),
  p90: figure('p90', ({ p90 }) => formatTime(p90)),
  p99: figure('p99', ({ p99 }) => formatTime(p99)),
  min: figure('min', ({ min }) => formatTime(min)),
  spread: figure('spread', ({ spread }) => formatPercent(spread)),
  rate: figure('img/s', ({ imagesPerSecond }) => formatRate(imagesPerSecond)),
  gflops: figure('GFLOP/s', ({ gflops }) => formatFigure(gflops)),
  share: figure('% of peak', ({ share }) => formatPercent(share)),
}
