/** Cold start and memory, in processes of their own beside a bare Node. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { KerneletError } from '../util/errors.ts'
import { moduleUrl } from '../util/package-files.ts'
import type { Benchmark, Facts, Source } from './benchmark.ts'
import { type Column, columns, formatTime, label } from './report/markdown.ts'
import { median } from './statistics.ts'
import type { Repetition } from './stopwatch.ts'

/** A line of start.ts's table: what a process does. */
const STARTS = [
  ['bare-node', 'node -e 0, whole process'],
  ['process', 'import kernelet, LeNet5.pretrained(), compile, run; whole process'],
  ['first-result', 'the same, from the import to the first result'],
] as const

export const startColumns: readonly Column[] = [
  label('what', 'Start'),
  { title: 'p50', right: true, cell: ({ p50 }: Benchmark) => formatTime(p50) },
  columns.min,
  columns.spread,
  {
    title: 'RSS over bare node',
    right: true,
    cell: ({ counters: { rss_over_node_bytes: bytes } }: Benchmark) =>
      bytes === undefined ? '' : `${bytes < 0 ? '' : '+'}${(bytes / 1e6).toFixed(1)} MB`,
  },
]

/** A repetition is one process of each kind. */
export function measureStarts(): Source[] {
  const facts = STARTS.map(
    ([name, what]): Facts => ({
      name: `start/${name}`,
      labels: { what },
      ...{ batch: 1, threads: 1, flops: 0, peak: 0 },
    }),
  )
  const bare: number[] = []
  const full: number[] = []
  const memory = { rss_over_node_bytes: 0 }
  return [
    {
      facts,
      open: () => ({
        sample: () => {
          const nothing = spawned(['-e', '0'])
          bare.push(childOf('bare').rss)
          const { ms, rss, processMs } = childOf()
          full.push(rss)
          memory.rss_over_node_bytes = median(full) - median(bare)
          return [nothing.ms, processMs, ms].map(once)
        },
        close: () => {},
        counters: [{}, {}, memory],
      }),
    },
  ]
}

function once(ms: number): Repetition {
  return { iterations: 1, samples: Float64Array.of(ms * 1e6), cpu: 0 }
}

function childOf(...args: string[]): { ms: number; rss: number; processMs: number } {
  const program = fileURLToPath(moduleUrl('bench/first-result'))
  const { ms, stdout } = spawned([program, ...args])
  return { ...(JSON.parse(stdout) as { ms: number; rss: number }), processMs: ms }
}

function spawned(args: string[]): { ms: number; stdout: string } {
  const begin = performance.now()
  const { status, stdout, stderr, error } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  const ms = performance.now() - begin
  if (status !== 0) {
    throw new KerneletError(
      'ERR_INTERNAL',
      `a process to be timed failed: ${error?.message ?? stderr.trim()}`,
    )
  }
  return { ms, stdout }
}
