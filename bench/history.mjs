/**
 * Keeps of a report what `kernelet bench compare bench/history` reads: the machine, and the time of each repetition.
 *
 *   kernelet bench models --out models.json
 *   node bench/history.mjs bench/history/VERSION-MACHINE.json models.json …
 */
import { readFileSync, writeFileSync } from 'node:fs'

const [target, ...reports] = process.argv.slice(2)
if (target === undefined || reports.length === 0) {
  console.error('node bench/history.mjs bench/history/VERSION-MACHINE.json REPORT.json …')
  process.exit(2)
}
let context = {}
const lines = reports.flatMap((file) => {
  const report = JSON.parse(readFileSync(file, 'utf8'))
  const { version, node, cpu, compiler, peak_gflops, read_gbs, warnings } = report.context.kernelet
  const kernelet = { version, node, cpu, compiler, peak_gflops, read_gbs, warnings }
  context = { date: report.context.date, kernelet }
  return report.benchmarks
    .filter(({ run_type }) => run_type === 'iteration')
    .map(({ run_name, run_type, real_time, time_unit }) =>
      JSON.stringify({ name: run_name, run_type, real_time: Number(real_time.toPrecision(5)), time_unit }),
    )
})
const head = JSON.stringify({ context }, null, 1).replace(/\n\}$/, '')
writeFileSync(target, `${head},\n "benchmarks": [\n${lines.join(',\n')}\n ]\n}\n`)
