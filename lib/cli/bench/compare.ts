/** `kernelet bench compare`: did it get slower, and is that more than noise? */
import { readFileSync } from 'node:fs'
import { readTimes, type Times } from '../../bench/report/json.ts'
import { type Column, formatTime, markdownTable } from '../../bench/report/markdown.ts'
import { geometricMean, mannWhitney, median } from '../../bench/statistics.ts'
import { writeAtomically } from '../../formats/atomic-write.ts'
import { KerneletError } from '../../util/errors.ts'
import { unreadable } from '../../util/file.ts'
import { type Command, EXIT, UsageError, type Values } from '../command.ts'
import { complain, print, printJson } from '../terminal.ts'
import { pictureName } from '../values.ts'
import { drawHistory, filesOf, historyTable, machineOf, machinesOf, nameOf } from './history.ts'
import { format, output, plot, regex } from './options.ts'

export const command: Command = {
  summary: 'compare two reports: change and Mann-Whitney U test',
  usage: 'OLD.json NEW.json | FOLDER [options]',
  description: `Compares two reports made with -o json or --out, of kernelet or of Google Benchmark: the median of the
repetitions' times, its change, and the p value of a two-sided Mann-Whitney U test over the repetitions. A
change counts as real where p is below 0.05; four repetitions a side are the fewest that can show one.
With a folder, as bench/history is one, or more than two files: the medians of all of them, in the order of
their dates, machine by machine, and a picture of each benchmark over them.`,
  options: {
    'fail-above': {
      type: 'string',
      value: 'PERCENT',
      help: 'exit code 1 if anything got slower by more than this',
    },
    filter: { type: 'string', value: 'REGEX', help: 'only benchmarks whose name matches' },
    plot: { ...plot, help: 'of a folder: a picture of each benchmark over its reports, as SVG' },
    output: output.output!,
    json: output.json!,
  },
  examples: [
    ['kernelet bench compare old.json new.json', 'a table'],
    ['kernelet bench compare old.json new.json --fail-above 5%', 'for CI'],
    ['kernelet bench compare bench/history --plot history.svg', 'release by release'],
  ],
  positionals: true,
  run(values, files) {
    const plotted = pictureName(values, 'plot', ['.svg'])
    const all = filesOf(files)
    const [before, after] = all
    if (files.length > 2 || all[0] !== files[0]) return overAll(values, all)
    if (before === undefined || after === undefined) {
      throw new UsageError('bench compare: expected two files, the old report and the new one, or a folder')
    }
    if (plotted !== undefined) throw new UsageError('bench compare: --plot goes with a folder of reports')
    const limit = percent(values)
    const filter = regex(values, 'filter')
    const kind = format(values)
    const [old, recent] = [read(before), read(after)]
    const changes = compare(old, recent).filter(({ name }) => filter?.test(name) ?? true)
    if (changes.length === 0) {
      throw new KerneletError('ERR_FORMAT', `${before} and ${after} have no benchmark in common`)
    }
    if (old.machine !== recent.machine) {
      complain(`the reports come from different machines: ${old.machine} and ${recent.machine}`)
    }
    if (kind === 'json') printJson(changes)
    else if (kind === 'csv') print(csv(changes))
    else {
      print(markdownTable(COLUMNS, changes))
      const overall = geometricMean(changes.map(({ change }) => 1 + change))
      print(`\nGeometric mean of new / old: ${overall.toFixed(3)}`)
    }
    for (const [one, other, file] of [
      [old, recent, after],
      [recent, old, before],
    ] as const) {
      const missing = [...one.times.keys()].filter((name) => !other.times.has(name))
      if (missing.length > 0) complain(`${missing.length} not in ${file}: ${missing.slice(0, 5).join(', ')}`)
    }
    const worse = changes.filter(({ change, verdict }) => verdict !== 'same' && change > limit)
    if (worse.length > 0) {
      complain(`${worse.length} of ${changes.length} slower by more than ${100 * limit} %`)
      return EXIT.failed
    }
    return EXIT.ok
  },
}

/** The reports of a folder, or of several files. */
function overAll(values: Values, files: readonly string[]): number {
  if (values['fail-above'] !== undefined) {
    throw new UsageError('bench compare: --fail-above goes with two files, the old report and the new one')
  }
  const filter = regex(values, 'filter')
  const kind = format(values)
  const entries = files.map((file) => {
    const name = nameOf(file)
    const report = read(file)
    return { name, ...report, machine: machineOf(name, report.machine) }
  })
  const machines = machinesOf(entries, filter).filter(({ rows }) => rows.length > 0)
  if (machines.length === 0)
    throw new UsageError('bench compare: there are no reports, or none with such a benchmark')
  if (kind === 'json') {
    const named = machines.map(({ machine, entries: own, rows }) => ({
      machine,
      reports: own.map(({ name, date }) => ({ name, date })),
      benchmarks: rows,
    }))
    printJson(named)
  } else if (kind === 'csv') {
    const lines = machines.flatMap(({ machine, entries: own, rows }) =>
      rows.flatMap(({ name, ns }) => own.map((one, i) => [machine, one.name, one.date, name, ns[i] || ''])),
    )
    const quoted = (value: unknown) => `"${String(value).replaceAll('"', '""')}"`
    print(
      [['machine', 'report', 'date', 'name', 'ns'], ...lines]
        .map((row) => row.map(quoted).join(','))
        .join('\n'),
    )
  } else print(machines.map(historyTable).join('\n\n'))
  if (values.plot !== undefined) writeAtomically(values.plot as string, [Buffer.from(drawHistory(machines))])
  return EXIT.ok
}

export interface Change {
  name: string
  /** Medians in nanoseconds. */
  old: number
  new: number
  /** new / old - 1 */
  change: number
  p: number
  /** `unknown`: too few repetitions for the test to find anything. */
  verdict: 'faster' | 'slower' | 'same' | 'unknown'
}

const SIGNIFICANT = 0.05
/** With 4 and 4 values the smallest two-sided p is 2 / 70 = 0.029; with 3 and 3 it is 0.1. */
const FEWEST = 4

export function compare(old: Times, recent: Times): Change[] {
  const changes: Change[] = []
  for (const [name, before] of old.times) {
    const after = recent.times.get(name)
    if (after === undefined) continue
    const change = median(after) / median(before) - 1
    const { p } = mannWhitney(before, after)
    const known = before.length >= FEWEST && after.length >= FEWEST
    const verdict = !known ? 'unknown' : p >= SIGNIFICANT ? 'same' : change > 0 ? 'slower' : 'faster'
    changes.push({ name, old: median(before), new: median(after), change, p, verdict })
  }
  return changes
}

const COLUMNS: readonly Column<Change>[] = [
  { title: 'benchmark', cell: ({ name }) => name },
  { title: 'old', right: true, cell: (change) => formatTime(change.old) },
  { title: 'new', right: true, cell: (change) => formatTime(change.new) },
  {
    title: 'Δ',
    right: true,
    cell: ({ change }) => `${change < 0 ? '−' : '+'}${Math.abs(100 * change).toFixed(1)} %`,
  },
  { title: 'p', right: true, cell: ({ p }) => (p < 0.0001 ? '< 0.0001' : p.toFixed(4)) },
  { title: 'verdict', cell: ({ verdict }) => (verdict === 'unknown' ? 'too few repetitions' : verdict) },
]

function csv(changes: readonly Change[]): string {
  const rows = changes.map((c) => [
    `"${c.name.replaceAll('"', '""')}"`,
    c.old,
    c.new,
    c.change,
    c.p,
    c.verdict,
  ])
  return [['name', 'old_ns', 'new_ns', 'change', 'p', 'verdict'], ...rows]
    .map((row) => row.join(','))
    .join('\n')
}

/** `5%` or `5` as 0.05; without the option nothing is too much. */
function percent(values: Values): number {
  const text = values['fail-above']
  if (text === undefined) return Number.POSITIVE_INFINITY
  const found = /^(\d+(?:\.\d+)?)\s*%?$/.exec(text as string)
  if (!found) throw new UsageError(`--fail-above: expected a percentage such as 5% but received '${text}'`)
  return Number(found[1]) / 100
}

function read(file: string): Times {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw unreadable(file, error)
  }
  return readTimes(text, file)
}
