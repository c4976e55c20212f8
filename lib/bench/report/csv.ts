/** Reports as comma-separated values: a row a benchmark. */
import type { Benchmark } from '../benchmark.ts'

export function toCsv(benchmarks: readonly Benchmark[]): string {
  const labels = [...new Set(benchmarks.flatMap((b) => Object.keys(b.labels)))]
  const counters = [...new Set(benchmarks.flatMap((b) => Object.keys(b.counters)))]
  const figures = ['p50', 'p90', 'p99', 'min', 'spread', 'imagesPerSecond', 'gflops', 'share'] as const
  const columns = [
    'name',
    ...labels,
    'batch',
    'threads',
    'repetitions',
    'iterations',
    ...figures,
    ...counters,
  ]
  const rows = benchmarks.map((b) => [
    b.name,
    ...labels.map((name) => b.labels[name] ?? ''),
    b.batch,
    b.threads,
    b.repetitions.length,
    b.repetitions.reduce((sum, { iterations }) => sum + iterations, 0),
    ...figures.map((name) => b[name]),
    ...counters.map((name) => b.counters[name] ?? ''),
  ])
  return [columns, ...rows].map((row) => row.map(field).join(',')).join('\n')
}

function field(value: string | number): string {
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : ''
  return /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
}
