/** What is measured, and what came out. */
import { quantile, sorted, spread } from './statistics.ts'
import type { Repetition } from './stopwatch.ts'

/** What there is to know of a measurement before it is made. */
export interface Facts {
  /** As Google Benchmark writes names: lenet5/run/batch:64/threads:2 */
  name: string
  /** What distinguishes it: isa, algorithm, problem … */
  labels: Readonly<Record<string, string>>
  /** Images a call. */
  batch: number
  threads: number
  /** Floating-point operations a call: 2 a multiply-add, padding not counted. 0: of no interest. */
  flops: number
  /** GFLOP/s that the ISA can do on so many threads; 0: of no interest. */
  peak: number
}

/** A measurement that was made. */
export interface Benchmark extends Facts {
  repetitions: { iterations: number; ns: number; cpu: number }[]
  /** Nanoseconds a call, of all repetitions together. NaN where too few calls were made to tell. */
  p50: number
  p90: number
  p99: number
  min: number
  /** (largest - smallest) / median of the repetitions' medians. */
  spread: number
  imagesPerSecond: number
  gflops: number
  /** Of the peak, 0 … 1. */
  share: number
  /** Whatever else was counted, by name. */
  counters: Readonly<Record<string, number>>
}

/** Fewer calls than this have no such percentile to speak of. */
const ENOUGH = { p90: 10, p99: 100 } as const

export function evaluate(
  facts: Facts,
  repetitions: readonly Repetition[],
  counters: Readonly<Record<string, number>> = {},
): Benchmark {
  const all = new Float64Array(repetitions.reduce((sum, { samples }) => sum + samples.length, 0))
  let at = 0
  for (const { samples } of repetitions) {
    all.set(samples, at)
    at += samples.length
  }
  all.sort()
  const medians = repetitions.map(({ samples }) => quantile(sorted(samples), 0.5))
  const p50 = quantile(all, 0.5)
  const gflops = facts.flops / p50
  return {
    ...facts,
    repetitions: repetitions.map(({ iterations, cpu }, i) => ({ iterations, ns: medians[i] ?? 0, cpu })),
    p50,
    p90: all.length < ENOUGH.p90 ? Number.NaN : quantile(all, 0.9),
    p99: all.length < ENOUGH.p99 ? Number.NaN : quantile(all, 0.99),
    min: all[0] ?? Number.NaN,
    spread: spread(medians),
    imagesPerSecond: (facts.batch * 1e9) / p50,
    gflops,
    share: facts.peak > 0 ? gflops / facts.peak : Number.NaN,
    counters,
  }
}

/** Something that one sampling measures: mostly one benchmark, or all steps of a model at once. */
export interface Source {
  facts: readonly Facts[]
  /** Prepares, checks the results, and only then hands out what is to be timed. */
  open(): Opened | Promise<Opened>
}

export interface Opened {
  /** Measures for about `ms` milliseconds: a repetition of each of the facts. */
  sample(ms: number): readonly Repetition[] | Promise<readonly Repetition[]>
  close(): void
  /** What else was counted, for each of the facts; read when all is measured. */
  counters?: readonly Readonly<Record<string, number>>[]
}
