/** `kernelet bench compare` over several reports, as bench/history has them: one a release and machine, in order of their dates. */
import { readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Times } from '../../bench/report/json.ts'
import { type Column, formatTime, markdownTable } from '../../bench/report/markdown.ts'
import { geometricMean, median } from '../../bench/statistics.ts'
import { line, linearScale, round, svgDocument, text } from '../../util/svg.ts'

/** A report with the name of its file. */
export interface Entry extends Times {
  name: string
}

/** The reports of folders, and files as they are. */
export function filesOf(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [path]
    return readdirSync(path)
      .filter((file) => file.endsWith('.json'))
      .sort()
      .map((file) => join(path, file))
  })
}

export const nameOf = (file: string): string => basename(file, '.json')

/** A CPU of one name may be several machines (clouds call them all alike): a file named VERSION-MACHINE says which. */
export function machineOf(name: string, cpu: string): string {
  const machine = /^\d+\.\d+\.\d+-(.+)$/.exec(name)?.[1]
  return machine === undefined ? cpu : `${cpu}, ${machine}`
}

/** Medians of one benchmark in nanoseconds, an entry each; NaN where it was not measured. */
export interface Row {
  name: string
  ns: number[]
}

/** The entries of a machine, and what was measured in two of them at the least. */
export interface Machine {
  machine: string
  entries: Entry[]
  rows: Row[]
}

/** Machine by machine: times of different ones do not compare. */
export function machinesOf(entries: readonly Entry[], filter: RegExp | undefined): Machine[] {
  const machines = [...new Set(entries.map(({ machine }) => machine))]
  return machines.map((machine) => {
    const own = entries
      .filter((entry) => entry.machine === machine)
      .sort((a, b) => (a.date < b.date ? -1 : a.date > b.date ? 1 : 0))
    const names = [...new Set(own.flatMap(({ times }) => [...times.keys()]))]
    const rows = names
      .filter((name) => filter?.test(name) ?? true)
      .map((name) => ({
        name,
        ns: own.map(({ times }) => (times.has(name) ? median(times.get(name)!) : Number.NaN)),
      }))
    return { machine, entries: own, rows }
  })
}

/** The last over the first that was measured; NaN where there is one only. */
export function changeOf({ ns }: Row): number {
  const known = ns.filter((value) => !Number.isNaN(value))
  return known.length > 1 ? known.at(-1)! / known[0]! : Number.NaN
}

export function historyTable({ machine, entries, rows }: Machine): string {
  const columns: Column<Row>[] = [
    { title: 'benchmark', cell: ({ name }) => name },
    ...entries.map(
      ({ name }, i): Column<Row> => ({ title: name, right: true, cell: ({ ns }) => formatTime(ns[i]!) }),
    ),
    {
      title: 'last / first',
      right: true,
      cell: (row) => (Number.isNaN(changeOf(row)) ? '' : changeOf(row).toFixed(3)),
    },
  ]
  const changes = rows.map(changeOf).filter((change) => !Number.isNaN(change))
  const mean =
    changes.length > 0 ? `\n\nGeometric mean of last / first: ${geometricMean(changes).toFixed(3)}` : ''
  return `## ${machine}\n\n${markdownTable(columns, rows)}${mean}`
}

const WIDTH = 900
const CELL = { width: 290, height: 110, inner: 60 }
const TOP = 50

/** A small picture for each benchmark: its time over the entries, from 0 up. */
export function drawHistory(machines: readonly Machine[]): string {
  const body: string[] = []
  let y = 0
  for (const { machine, entries, rows } of machines) {
    body.push(text(16, y + 26, machine, { kind: 'title' }))
    const span = entries.length > 1 ? `${entries[0]!.name} to ${entries.at(-1)!.name}` : entries[0]!.name
    body.push(text(16, y + 42, `${span}; a point an entry, from 0 to the longest time`, { kind: 'soft' }))
    rows.forEach((row, i) => {
      body.push(...cell(row, 16 + (i % 3) * (CELL.width + 6), y + TOP + Math.floor(i / 3) * CELL.height))
    })
    y += TOP + Math.ceil(rows.length / 3) * CELL.height + 20
  }
  return svgDocument(WIDTH, y, 'Times by release', body)
}

function cell({ name, ns }: Row, left: number, top: number): string[] {
  const known = ns.filter((value) => !Number.isNaN(value))
  const most = Math.max(...known)
  const bottom = top + 24 + CELL.inner
  const x = linearScale(0, Math.max(1, ns.length - 1), left + 4, left + CELL.width - 70)
  const y = linearScale(0, most, bottom, bottom - CELL.inner)
  const points = ns.flatMap((value, i) => (Number.isNaN(value) ? [] : [[x(i), y(value)] as const]))
  const shown = name.length > 40 ? `…${name.slice(-39)}` : name
  return [
    text(left, top + 14, shown, { kind: 'soft' }),
    line(left, bottom, left + CELL.width - 66, bottom, 'axis'),
    `<polyline class="curve accent-line" points="${points.map(([px, py]) => `${round(px)},${round(py)}`).join(' ')}"/>`,
    ...points.map(([px, py]) => `<circle class="accent" cx="${round(px)}" cy="${round(py)}" r="3"/>`),
    text(left + CELL.width - 60, y(known.at(-1)!) + 4, formatTime(known.at(-1)!)),
  ]
}
