/**
 * Keeps of a report what `kernelet bench compare bench/history` reads: the machine, and the time of each repetition.
 *
 *   kernelet bench models --out models.json
 *   node bench/history.mjs bench/history/VERSION-MACHINE.json models.json …
 */
import { writeFileSync } from 'node:fs'
import { fail, readReport, usage } from './script.mjs'

const [target, ...reports] = process.argv.slice(2)
if (target === undefined || reports.length === 0) {
  usage('node bench/history.mjs bench/history/VERSION-MACHINE.json REPORT.json …')
}
let context = {}
const lines = reports.flatMap((file) => {
  const report = readReport(file)
  const { version, commit, node, cpu, compiler, peak_gflops, read_gbs, warnings } = report.context.kernelet
  const kernelet = { version, commit, node, cpu, compiler, peak_gflops, read_gbs, warnings }
  context = { date: report.context.date, kernelet }
  return report.benchmarks
    .filter(({ run_type }) => run_type === 'iteration')
    .map(({ run_name, run_type, real_time, time_unit }) =>
      JSON.stringify({ name: run_name, run_type, real_time: Number(real_time.toPrecision(5)), time_unit }),
    )
})
const head = JSON.stringify({ context }, null, 1).replace(/\n\}$/, '')
try {
  writeFileSync(target, `${head},\n "benchmarks": [\n${lines.join(',\n')}\n ]\n}\n`)
} catch (error) {
  fail(`${target} cannot be written: ${error.message}`)
}
