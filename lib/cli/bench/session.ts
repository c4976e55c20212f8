/** One run of a bench command: header, measuring in turns, quiet-machine check, report. */
import { writeFileSync } from 'node:fs'
import { type Benchmark, evaluate, type Facts, type Opened, type Source } from '../../bench/benchmark.ts'
import { describeHost, type Host, hostLines } from '../../bench/host.ts'
import { complaints, look, type Snapshot } from '../../bench/noise.ts'
import { toCsv } from '../../bench/report/csv.ts'
import { type Findings, toGoogleBenchmark } from '../../bench/report/json.ts'
import { type Column, markdownTable } from '../../bench/report/markdown.ts'
import { Roof } from '../../bench/roof.ts'
import type { Repetition } from '../../bench/stopwatch.ts'
import { KerneletError, messageOf } from '../../util/errors.ts'
import { EXIT, UsageError, type Values } from '../command.ts'
import { complain, print, printJson, showProgress, style, tell } from '../terminal.ts'
import { mustBeWritable, pictureName } from '../values.ts'
import { count, type Format, format, regex, seconds } from './options.ts'

/** A table of the report. */
export interface Section {
  title: string
  columns: readonly Column[]
  benchmarks: readonly Benchmark[]
  /** Rows of the table, if not all: the others are in JSON, CSV and pictures alone. */
  rows?: number
  /** What is printed in place of such a table; measurements need not stand in it. */
  body?: string
  /** Lines below the table. */
  notes?: readonly string[]
}

export class Session {
  readonly host: Host
  readonly roof: Roof
  readonly repetitions: number
  readonly ms: number
  readonly #filter: RegExp | undefined
  readonly #format: Format
  readonly #out: string | undefined
  readonly #plot: string | undefined
  readonly #before: Snapshot
  readonly #warned: Set<string> = new Set()

  /** Reads the shared options, looks at the machine, and prints the header where people read. */
  constructor(values: Values) {
    this.repetitions = count(String(values.repetitions ?? 10), 'repetitions')
    this.ms = 1000 * seconds(values, 'min-time', 0.05)
    this.#filter = regex(values, 'filter')
    this.#format = format(values)
    this.#out = values.out as string | undefined
    this.#plot = pictureName(values, 'plot', ['.svg'])
    for (const file of [this.#out, this.#plot]) if (file !== undefined) mustBeWritable(file)
    this.host = describeHost(['kernelet', ...process.argv.slice(2)].join(' '))
    this.#before = look()
    this.roof = new Roof(this.host.isa.chosen)
    const peaks = this.#peaks()
    if (this.#format === 'md') {
      print(
        hostLines(this.host, this.roof, peaks)
          .map((line) => `- ${line}`)
          .join('\n'),
      )
      for (const warning of complaints(this.#before, this.#before, this.host.affinity)) this.#warn(warning)
    }
  }

  /** Measures the sources in turns, A B C A B C …, so that what disturbs one disturbs all. */
  async measure(sources: readonly Source[]): Promise<Benchmark[]> {
    const wanted = sources.filter(({ facts }) => facts.some((fact) => this.#wants(fact)))
    const runs: { facts: readonly Facts[]; opened: Opened; repetitions: Repetition[][] }[] = []
    try {
      for (const { facts, open } of wanted) {
        showProgress(`preparing ${facts[0]!.name}`)
        runs.push({ facts, opened: await open(), repetitions: facts.map(() => []) })
      }
      for (let turn = 0; turn < this.repetitions; turn++) {
        for (const { facts, opened, repetitions } of runs) {
          showProgress(`${turn + 1}/${this.repetitions} ${facts[0]!.name}`)
          const sampled = await opened.sample(this.ms)
          repetitions.forEach((all, i) => {
            all.push(sampled[i]!)
          })
        }
      }
      return runs.flatMap(({ facts, opened, repetitions }) =>
        facts.flatMap((fact, i) =>
          this.#wants(fact) ? [evaluate(fact, repetitions[i]!, opened.counters?.[i])] : [],
        ),
      )
    } finally {
      showProgress('')
      for (const { opened } of runs) opened.close()
    }
  }

  #wants({ name }: Facts): boolean {
    return this.#filter?.test(name) ?? true
  }

  /** Prints the report, and writes the files that were asked for. `draw` makes the picture. */
  report(sections: readonly Section[], draw: (findings: Findings) => string): number {
    const benchmarks = sections.flatMap((section) => section.benchmarks)
    if (benchmarks.length === 0) throw new UsageError('nothing was measured: no benchmark matches --filter')
    const warnings = complaints(this.#before, look(), this.host.affinity)
    const findings: Findings = {
      host: this.host,
      peaks: Object.fromEntries(this.#peaks()),
      levels: this.roof.levels,
      warnings,
      benchmarks,
    }
    if (this.#format === 'json') printJson(toGoogleBenchmark(findings))
    else if (this.#format === 'csv') print(toCsv(benchmarks))
    else this.#printSections(sections)
    for (const warning of warnings) this.#warn(warning)
    if (this.#out !== undefined) write(this.#out, `${JSON.stringify(toGoogleBenchmark(findings), null, 2)}\n`)
    if (this.#plot !== undefined) write(this.#plot, draw(findings))
    return EXIT.ok
  }

  #printSections(sections: readonly Section[]): void {
    for (const { title, columns, benchmarks, rows, body, notes } of sections) {
      if (body === undefined && (benchmarks.length === 0 || rows === 0)) continue
      print(`\n${style(process.stdout, 'bold', `## ${title}`)}\n`)
      print(body ?? markdownTable(columns, benchmarks.slice(0, rows)))
      if (notes && notes.length > 0) print(`\n${notes.join('\n')}`)
    }
  }

  #peaks(): [string, number][] {
    return this.host.isa.supported.map((isa) => [isa, this.roof.peak(isa, 1)])
  }

  #warn(warning: string): void {
    if (this.#warned.has(warning)) return
    this.#warned.add(warning)
    tell(`${style(process.stderr, 'yellow', 'noisy host:')} ${warning}`)
  }
}

/** @throws KerneletError `ERR_IO` */
function write(file: string, text: string): void {
  try {
    writeFileSync(file, text)
  } catch (error) {
    throw new KerneletError('ERR_IO', `${file} cannot be written: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** A configuration that cannot be measured, said once on stderr. */
export function skipped(what: string, why: string): void {
  complain(`${what} is left out: ${why}`)
}
