/** Reports in the form of Google Benchmark, so that its tools read them, and back. */
import { KerneletError, messageOf } from '../../util/errors.ts'
import type { Benchmark } from '../benchmark.ts'
import type { Host } from '../host.ts'
import type { Level } from '../roof.ts'
import { mean, median, standardDeviation } from '../statistics.ts'

export interface Findings {
  host: Host
  peaks: Readonly<Record<string, number>>
  levels: readonly Level[]
  warnings: readonly string[]
  benchmarks: readonly Benchmark[]
}

/** `context` and `benchmarks`: an entry a repetition, then their mean, median and standard deviation. */
export function toGoogleBenchmark({ host, peaks, levels, warnings, benchmarks }: Findings): object {
  return {
    context: {
      date: host.date,
      host_name: host.hostName,
      executable: host.command,
      num_cpus: host.cpus,
      mhz_per_cpu: host.mhz,
      cpu_scaling_enabled: host.governor !== null && host.governor !== 'performance',
      caches: host.caches,
      load_avg: host.load,
      library_build_type: 'release',
      json_schema_version: 1,
      kernelet: {
        version: host.kernelet,
        commit: host.commit,
        node: host.node,
        cpu: host.cpu,
        affinity: host.affinity,
        quota: host.quota,
        isa: host.isa,
        compiler: host.compiler,
        flags: host.flags,
        peak_gflops: peaks,
        read_gbs: Object.fromEntries(levels.map(({ name, bandwidth }) => [name, bandwidth])),
        warnings,
      },
    },
    benchmarks: benchmarks.flatMap(entries),
  }
}

function entries(b: Benchmark, index: number): object[] {
  const common = {
    family_index: index,
    per_family_instance_index: 0,
    run_name: b.name,
    repetitions: b.repetitions.length,
    threads: b.threads,
  }
  const counters = { ...b.labels, batch: b.batch, ...b.counters }
  const figures = (ns: number) => ({
    time_unit: 'ns',
    ...(b.batch > 0 && { items_per_second: (b.batch * 1e9) / ns }),
    ...(b.flops > 0 && { gflops: b.flops / ns }),
  })
  const single = b.repetitions.map(({ iterations, ns, cpu }, repetition_index) => ({
    name: b.name,
    ...common,
    run_type: 'iteration',
    repetition_index,
    iterations,
    real_time: ns,
    cpu_time: cpu,
    ...figures(ns),
    ...counters,
  }))
  const times = b.repetitions.map(({ ns }) => ns)
  const cpu = b.repetitions.map((repetition) => repetition.cpu)
  const all = [
    ['mean', mean],
    ['median', median],
    ['stddev', standardDeviation],
  ] as const
  const aggregates = all.map(([aggregate_name, of]) => ({
    name: `${b.name}_${aggregate_name}`,
    ...common,
    run_type: 'aggregate',
    aggregate_name,
    aggregate_unit: 'time',
    iterations: b.repetitions.length,
    real_time: of(times),
    cpu_time: of(cpu),
    time_unit: 'ns',
    ...(aggregate_name === 'median' && { ...figures(b.p50), ...percentiles(b), ...counters }),
  }))
  return [...single, ...aggregates]
}

function percentiles({ p50, p90, p99, min, spread, share }: Benchmark): object {
  const known = Object.entries({ p50, p90, p99, min, spread, share_of_peak: share })
  return Object.fromEntries(known.filter(([, value]) => Number.isFinite(value)))
}

/** The times of a report by name, in ns, and a word on the machine. */
export interface Times {
  machine: string
  /** When it was made, as it says; '' where it does not. */
  date: string
  times: Map<string, number[]>
}

const UNITS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 }

/**
 * Reads what `toGoogleBenchmark` or Google Benchmark itself wrote.
 *
 * @throws KerneletError `ERR_FORMAT` that names the file
 */
export function readTimes(text: string, file: string): Times {
  const bad = (what: string): KerneletError =>
    new KerneletError('ERR_FORMAT', `${file} is not a report of kernelet bench -o json: ${what}`)
  let report: { context?: Record<string, unknown>; benchmarks?: unknown }
  try {
    report = JSON.parse(text)
  } catch (error) {
    throw bad(messageOf(error))
  }
  if (!Array.isArray(report?.benchmarks)) throw bad('it has no list of benchmarks')
  const times = new Map<string, number[]>()
  for (const entry of report.benchmarks as Record<string, unknown>[]) {
    if (entry?.run_type === 'aggregate' || entry?.error_occurred === true) continue
    const name = entry?.run_name ?? entry?.name
    const unit = UNITS[String(entry?.time_unit ?? 'ns')]
    if (typeof name !== 'string' || typeof entry.real_time !== 'number' || unit === undefined) {
      throw bad('a benchmark has no name, real_time or time_unit')
    }
    times.set(name, [...(times.get(name) ?? []), entry.real_time * unit])
  }
  const own = report.context?.kernelet as { cpu?: unknown; version?: unknown } | undefined
  const date = String(report.context?.date ?? '')
  return { machine: String(own?.cpu ?? report.context?.host_name ?? 'unknown'), date, times }
}
