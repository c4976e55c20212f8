/** Contenders of `bench peers` and `bench models`: found, started in processes of their own, measured in turns. */
import { existsSync, readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { Benchmark, Facts, Source } from '../../bench/benchmark.ts'
import { Child } from '../../bench/child.ts'
import { CommandChild } from '../../bench/command-child.ts'
import type { Task } from '../../bench/contender.ts'
import type { Runner } from '../../bench/runner.ts'
import { median } from '../../bench/statistics.ts'
import { messageOf } from '../../util/errors.ts'
import { moduleUrl, packageRoot } from '../../util/package-files.ts'
import { UsageError, type Values } from '../command.ts'
import { didYouMean } from '../suggest.ts'
import { showProgress } from '../terminal.ts'
import { words } from './options.ts'
import { type Session, skipped } from './session.ts'

export const INSTALL = 'npm --prefix bench/peers ci --ignore-scripts'

export interface Contender {
  name: string
  /** URL of the adapter; of a command undefined. */
  adapter: string | undefined
  /** A line for the shell, for one that speaks JSON lines (command-child.ts). */
  command?: string
  /** Differs from the task for kernelet's variants. */
  network?: Task['network']
}

export const KERNELET: Contender = {
  name: 'kernelet',
  adapter: moduleUrl('bench/adapter-kernelet').href,
}

/** The adapters whose packages are there: of bench/peers, or beside an installed kernelet. */
export async function installed(values: Values, anyOnnx: boolean): Promise<Contender[]> {
  const folder = new URL('bench/peers/', packageRoot())
  const adapters = new URL('adapters/', folder)
  const names = (existsSync(adapters) ? readdirSync(adapters) : [])
    .filter((file) => file.endsWith('.js'))
    .map((file) => file.slice(0, -3))
    .sort()
  const wanted = values.peer === undefined ? names : words(values.peer as string, 'peer')
  const { versionOf } = (await import(new URL('version.js', folder).href)) as {
    versionOf: (name: string) => string | undefined
  }
  const found: Contender[] = []
  for (const name of wanted) {
    if (!names.includes(name)) {
      throw new UsageError(
        `--peer: ${name} is unknown; there are ${names.join(', ')}${didYouMean(name, names)}`,
      )
    }
    const adapter = new URL(`${name}.js`, adapters).href
    const about = (await import(adapter)) as { packages: string[]; onnx: boolean }
    const missing = about.packages.filter((each) => versionOf(each) === undefined)
    if (missing.length > 0) skipped(name, `${missing.join(' and ')} not installed; ${INSTALL}`)
    else if (anyOnnx && !about.onnx) skipped(name, 'its adapter reads no ONNX')
    else found.push({ name, adapter })
  }
  return found
}

/** One input and what must come out; which benchmark it belongs to. */
export interface Trial {
  key: string
  label: string
  batch: number
  flops: number
  shape: number[]
  input: () => Float32Array
  check: (output: Float32Array, who: string) => void
  /** What else there is to say of a contender in this trial. */
  counters?: (one: Started) => Readonly<Record<string, number>>
}

/** Between two rounds, for the threads that spin a while before they sleep. */
const SETTLE_MS = 25

interface Start {
  ms: number
  rss: number
  peak: number
}

/** A contender with its model loaded. */
export interface Started extends Contender {
  runner: Runner
  version: string
  threads: number
  /**
   * From the import, or the command's start, to the first result: milliseconds, resident bytes then, and the most
   * there were until then; medians where several processes were started.
   */
  start: Start
}

/** Undefined, with a word on stderr, where it cannot serve. */
async function started(
  contender: Contender,
  task: Task,
  trial: Trial,
  scratch: string,
): Promise<Started | undefined> {
  const { adapter, command, network } = contender
  const name = `${contender.name}, ${task.threads} thread${task.threads === 1 ? '' : 's'}`
  const runner = command === undefined ? new Child(name) : new CommandChild(name, command, scratch)
  try {
    const { version, ms, rss, peak } = await runner.ask({
      do: 'open',
      adapter: adapter ?? null,
      task: network === undefined ? task : { ...task, network },
      input: trial.input(),
      shape: trial.shape,
    })
    return { ...contender, runner, version, threads: task.threads, start: { ms, rss, peak } }
  } catch (error) {
    runner.stop()
    skipped(name, messageOf(error).replace(`${name}: `, ''))
    return undefined
  }
}

function sourceOf(one: Started, trial: Trial, peak: number): Source {
  const { name, runner, version, threads, network } = one
  const { key, batch, flops, shape } = trial
  const facts: Facts = {
    name: `${key}/threads:${threads}/${name.replaceAll(' ', '/')}`,
    labels: {
      problem: trial.label,
      runtime: name.includes(version) ? name : `${name} ${version}`,
      contender: name,
      ...(network && { isa: network.isa ?? '', numerics: network.numerics ?? 'exact' }),
    },
    ...{ batch, threads, flops, peak },
  }
  return {
    facts: [facts],
    open: async () => {
      const { output } = await runner.ask({ do: 'prepare', key, input: trial.input(), shape })
      trial.check(output, `${name} ${version}`)
      return {
        sample: async (ms) => {
          await pause(SETTLE_MS)
          return [await runner.ask({ do: 'sample', key, ms })]
        },
        close: () => {},
        ...(trial.counters && { counters: [trial.counters(one)] }),
      }
    },
  }
}

/** The contenders that can serve, each started so many times, in turns; the last process of each stays. */
async function startedAll(
  contenders: readonly Contender[],
  task: Task,
  trial: Trial,
  { scratch, starts = 1 }: RaceOptions,
): Promise<Started[]> {
  const all = contenders.map((contender) => ({ contender, failed: false, starts: [] as Start[] }))
  const running: Started[] = []
  try {
    for (let turn = 1; turn <= starts; turn++) {
      for (const state of all.filter(({ failed }) => !failed)) {
        showProgress(`starting ${state.contender.name}${starts > 1 ? `, ${turn}/${starts}` : ''}`)
        const one = await started(state.contender, task, trial, scratch)
        state.failed = one === undefined
        if (one === undefined) continue
        state.starts.push(one.start)
        if (turn < starts) one.runner.stop()
        else running.push({ ...one, start: medianOf(state.starts) })
      }
    }
  } catch (error) {
    for (const { runner } of running) runner.stop()
    throw error
  } finally {
    showProgress('')
  }
  return running
}

function medianOf(starts: readonly Start[]): Start {
  const of = (figure: keyof Start): number => median(starts.map((start) => start[figure]))
  return { ms: of('ms'), rss: of('rss'), peak: of('peak') }
}

export interface RaceOptions {
  /** GFLOP/s that the machine can do for it. */
  peak: (one: Started) => number
  /** A folder for what is handed to commands. */
  scratch: string
  /** Processes that are started of each contender; 1 where it is not said. */
  starts?: number
}

/** All contenders on every trial, in turns. */
export async function race(
  session: Session,
  contenders: readonly Contender[],
  task: Task,
  trials: readonly Trial[],
  options: RaceOptions,
): Promise<Benchmark[]> {
  const running = await startedAll(contenders, task, trials[0]!, options)
  try {
    const benchmarks: Benchmark[] = []
    for (const trial of trials) {
      const sources = running.map((one) => sourceOf(one, trial, options.peak(one)))
      benchmarks.push(...(await session.measure(sources)))
    }
    return benchmarks
  } finally {
    for (const { runner } of running) runner.stop()
  }
}

/** Resident bytes of a process that did nothing. */
export async function idleBytes(task: Task): Promise<number> {
  const idle = new Child('idle')
  try {
    const input = new Float32Array(1)
    return (await idle.ask({ do: 'open', adapter: null, task, input, shape: [1] })).rss
  } finally {
    idle.stop()
  }
}
