/** The tables of `kernelet bench models`. */
import type { Benchmark } from '../../bench/benchmark.ts'
import { type Column, columns, formatTime, label, markdownTable } from '../../bench/report/markdown.ts'
import { geometricMean } from '../../bench/statistics.ts'
import type { Section } from './session.ts'

export const isOwn = (contender: string): boolean => contender.split(' ')[0] === 'kernelet'

const RATIO = 'ratio: the time of a peer over ours; above 1 kernelet is faster.'
const DIFFERENCE = 'difference: the largest to kernelet on one thread, over the largest output.'
const START =
  'From the import to the first output, and the most memory that was resident until then. Ratios: of a peer over ours.'

const sameCase = (one: Benchmark, other: Benchmark): boolean =>
  one.labels.problem === other.labels.problem && one.batch === other.batch && one.threads === other.threads

/** How many times as long the peer takes, by the medians. */
function ratio(benchmarks: readonly Benchmark[], peer: string, one: Benchmark): number {
  const theirs = benchmarks.find((other) => other.labels.contender === peer && sameCase(one, other))
  return theirs ? theirs.p50 / one.p50 : Number.NaN
}

/** The table of everything: a row a measurement. */
export function section(measured: readonly Benchmark[]): Section {
  const peers = [...new Set(measured.map(({ labels }) => labels.contender!))].filter((one) => !isOwn(one))
  const benchmarks = measured.map((one): Benchmark => {
    if (!isOwn(one.labels.contender!)) return one
    const ratios = peers.map((peer) => [`ratio_${peer}`, ratio(measured, peer, one)] as const)
    return { ...one, counters: { ...one.counters, ...Object.fromEntries(ratios) } }
  })
  const figure = (title: string, cell: (one: Benchmark) => string): Column => ({ title, right: true, cell })
  const counted = (name: string, show: (value: number) => string) => (one: Benchmark) => {
    const value = one.counters[name] ?? Number.NaN
    return Number.isNaN(value) ? '' : show(value)
  }
  return {
    title: 'Networks beside their peers',
    columns: [
      label('problem', 'network'),
      columns.batch,
      columns.threads,
      label('runtime'),
      columns.p50,
      columns.p90,
      columns.rate,
      columns.gflops,
      columns.share,
      figure('bound', counted('bound_ns', formatTime)),
      figure('of bound', (one) => `${((100 * one.counters.bound_ns!) / one.p50).toFixed(0)} %`),
      ...peers.map((peer) =>
        figure(
          peers.length > 1 ? `ratio to ${peer}` : 'ratio',
          counted(`ratio_${peer}`, (value) => value.toFixed(2)),
        ),
      ),
      figure(
        'start',
        counted('start_ms', (ms) => formatTime(ms * 1e6)),
      ),
      figure(
        'MB',
        counted('rss_over_node_bytes', (bytes) => (bytes / 1e6).toFixed(0)),
      ),
      figure(
        'difference',
        counted('difference', (value) => value.toExponential(1)),
      ),
    ],
    benchmarks,
    notes: [...(peers.length > 0 ? [RATIO] : []), DIFFERENCE, ...means(benchmarks, peers)],
  }
}

/** A line a contender of ours, peer, batch and number of threads. */
function means(benchmarks: readonly Benchmark[], peers: readonly string[]): string[] {
  const groups = new Map<string, number[]>()
  for (const one of benchmarks) {
    for (const peer of peers) {
      const value = one.counters[`ratio_${peer}`]
      if (value === undefined || Number.isNaN(value)) continue
      const threads = `${one.threads} thread${one.threads === 1 ? '' : 's'}`
      const key = `${one.labels.contender} to ${peer}, batch ${one.batch}, ${threads}`
      groups.set(key, [...(groups.get(key) ?? []), value])
    }
  }
  return [...groups]
    .filter(([, all]) => all.length > 1)
    .map(
      ([key, all]) =>
        `${key}: geometric mean of ${all.length} ratios ${geometricMean(all).toFixed(2)}, ` +
        `${Math.min(...all).toFixed(2)} to ${Math.max(...all).toFixed(2)}.`,
    )
}

/** A column of a table with a row a network. */
interface Figure {
  title: string
  of: (network: string) => number
  show: (value: number) => string
  /** Has a mean, a lowest and a highest: a ratio. */
  closes?: boolean
}

const times = (value: number): string => value.toFixed(2)
const percent = (value: number): string => `${(100 * value).toFixed(0)} %`
const megabytes = (value: number): string => (value / 1e6).toFixed(0)

/** Ratios of several networks end with what they are taken together. */
function networkTable(networks: readonly string[], figures: readonly Figure[]): string {
  const values = figures.map(({ of }) => networks.map(of))
  const closing = [
    ['geometric mean', geometricMean],
    ['lowest', (all: readonly number[]) => Math.min(...all)],
    ['highest', (all: readonly number[]) => Math.max(...all)],
  ] as const
  const cells = networks.map((name, row) => [name, ...values.map((column) => column[row]!)] as const)
  const rows = [
    ...cells,
    ...closing.map(([name, of]) => {
      const over = values.map((column, i) => {
        const known = column.filter((value) => !Number.isNaN(value))
        return figures[i]!.closes && known.length > 1 ? of(known) : Number.NaN
      })
      return [name, ...over] as const
    }),
  ].filter((row, i) => i < networks.length || row.some((value) => typeof value === 'number' && value > 0))
  return markdownTable<readonly [string, ...number[]]>(
    [
      { title: 'network', cell: ([name]) => name },
      ...figures.map(({ title, show }, i) => ({
        title,
        right: true,
        cell: (row: readonly [string, ...number[]]) => {
          const value = row[i + 1] as number
          return Number.isNaN(value) ? '' : show(value)
        },
      })),
    ],
    rows,
  )
}

/** What our measurements differ by, but for the network. */
interface Setting {
  contender: string
  batch: number
  threads: number
}

function titleOf({ contender, batch, threads }: Setting): string {
  const kind = contender.split(' ').slice(1).join(' ')
  return [kind, `batch ${batch}`, threads > 1 && `${threads} threads`].filter(Boolean).join(', ')
}

const FIGURES = {
  p50: (one: Benchmark) => one.p50,
  bound: (one: Benchmark) => one.counters.bound_ns,
  start: (one: Benchmark) => one.counters.start_ms,
  memory: (one: Benchmark) => one.counters.peak_rss_bytes,
  difference: (one: Benchmark) => one.counters.difference,
}

/** What was measured, to be asked for by network and setting. */
class Measured {
  readonly networks: readonly string[]
  readonly peers: readonly string[]
  /** Ours, by their titles. */
  readonly settings: ReadonlyMap<string, Setting>
  readonly #found: Map<string, Benchmark> = new Map()

  constructor(all: readonly Benchmark[]) {
    this.networks = [...new Set(all.map(({ labels }) => labels.problem!))]
    this.peers = [...new Set(all.map(({ labels }) => labels.contender!))].filter((one) => !isOwn(one))
    const settings = new Map<string, Setting>()
    for (const one of all) {
      const setting = { contender: one.labels.contender!, batch: one.batch, threads: one.threads }
      if (isOwn(setting.contender)) settings.set(titleOf(setting), setting)
      this.#found.set(keyOf(one.labels.problem!, setting), one)
    }
    this.settings = settings
  }

  /** A figure of each network; NaN where it was not measured. */
  figure(name: keyof typeof FIGURES, setting: Setting, contender: string): (network: string) => number {
    return (network) => {
      const found = this.#found.get(keyOf(network, { ...setting, contender }))
      return (found && FIGURES[name](found)) ?? Number.NaN
    }
  }

  /** With its version. */
  runtime(contender: string): string {
    const found = [...this.#found.values()].find(({ labels }) => labels.contender === contender)
    return found!.labels.runtime!.replace(/^command /, '')
  }

  /** A title of what there is once a peer: which one it is where there are several. */
  titled(title: string, peer: string): string {
    return this.peers.length > 1 ? `${title}, ${this.runtime(peer)}` : title
  }
}

const keyOf = (network: string, { contender, batch, threads }: Setting): string =>
  JSON.stringify([network, contender, batch, threads])

const over =
  (above: (network: string) => number, below: (network: string) => number) =>
  (network: string): number =>
    above(network) / below(network)

/** Tables of a row a network: the ratios of all settings, each setting by itself, start and memory. */
export function summary(benchmarks: readonly Benchmark[]): Section[] {
  const all = section(benchmarks).benchmarks
  const measured = new Measured(all)
  const [first] = measured.settings.values()
  const table = (title: string, figures: readonly Figure[], ...notes: string[]): Section => ({
    ...{ title, columns: [], benchmarks: [], notes },
    body: networkTable(measured.networks, figures),
  })
  return [
    // for -o json, csv and --out: these have the measurements, whatever the tables
    { title: '', columns: [], benchmarks: all, rows: 0 },
    ...measured.peers.map((peer) =>
      table(`Ratios to ${measured.runtime(peer)}`, ratiosTo(measured, peer), RATIO),
    ),
    ...[...measured.settings].map(([title, setting]) =>
      table(title[0]!.toUpperCase() + title.slice(1), figuresOf(measured, setting), DIFFERENCE),
    ),
    ...(first ? [table(`Start and memory, ${titleOf(first)}`, starts(measured, first), START)] : []),
  ]
}

/** A column a setting. */
function ratiosTo(measured: Measured, peer: string): Figure[] {
  return [...measured.settings].map(([title, setting]): Figure => {
    const of = over(measured.figure('p50', setting, peer), measured.figure('p50', setting, setting.contender))
    return { title, of, show: times, closes: true }
  })
}

function figuresOf(measured: Measured, setting: Setting): Figure[] {
  const { peers } = measured
  const runtimes = [setting.contender, ...peers]
  const timeOf = (contender: string) => measured.figure('p50', setting, contender)
  const own = timeOf(setting.contender)
  const bound = measured.figure('bound', setting, setting.contender)
  const differences = runtimes.map((one) => measured.figure('difference', setting, one))
  const largest = (network: string): number => {
    const known = differences.map((of) => of(network)).filter((value) => !Number.isNaN(value))
    return known.length > 0 ? Math.max(...known) : Number.NaN
  }
  const ratio = (title: string, peer: string, of: Figure['of']): Figure => {
    return { title: measured.titled(title, peer), of, show: times, closes: true }
  }
  return [
    ...runtimes.map((one) => ({ title: measured.runtime(one), of: timeOf(one), show: formatTime })),
    ...peers.map((peer) => ratio('ratio', peer, over(timeOf(peer), own))),
    { title: 'of bound', of: over(bound, own), show: percent, closes: true },
    ...peers.map((peer) => ratio('ratio at the bound', peer, over(timeOf(peer), bound))),
    { title: 'difference', of: largest, show: (value) => value.toExponential(1) },
  ]
}

function starts(measured: Measured, setting: Setting): Figure[] {
  const { peers } = measured
  const runtimes = [setting.contender, ...peers]
  const of = (name: 'start' | 'memory', contender: string) => measured.figure(name, setting, contender)
  const ratio = (title: string, name: 'start' | 'memory', peer: string): Figure => ({
    title: measured.titled(title, peer),
    of: over(of(name, peer), of(name, setting.contender)),
    ...{ show: times, closes: true },
  })
  return [
    ...runtimes.map((one) => ({
      title: measured.runtime(one),
      of: of('start', one),
      show: (ms: number) => formatTime(ms * 1e6),
    })),
    ...peers.map((peer) => ratio('ratio', 'start', peer)),
    ...runtimes.map((one) => ({
      title: `MB, ${measured.runtime(one)}`,
      of: of('memory', one),
      show: megabytes,
    })),
    ...peers.map((peer) => ratio('ratio of memory', 'memory', peer)),
  ]
}
