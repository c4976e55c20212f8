/**
 * The cost model beside what machines measured (bench/machines): how far its word on each algorithm is off, what its
 * choices lose against the best that was measured, and by which factors its efficiencies would have to be multiplied
 * (native/plan/algorithms.cc) to lose least over all machines.
 *
 *   kernelet bench kernels --shapes bench/shapes/mobilenetv2.txt \
 *     --algorithm auto,blocked,im2col,direct-pixels,direct-channels --out report.json
 *   node bench/fit.mjs store bench/machines/NAME.json report.json …     keeps of reports what this script reads
 *   node bench/fit.mjs [bench/machines/NAME.json …]                     all machines, or these
 *
 * What it predicts and chooses is asked of the addon that is built here, so that a constant can be changed, built and
 * judged by what was measured once; where an instruction set is not supported here, it is what was stored.
 */
import { readdirSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Conv2d, isa as instructionSets } from '../dist/index.js'
import { fail, readJson, readReport, usage } from './script.mjs'

const [command, target, ...reports] = process.argv.slice(2)
const mean = (values) => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length)
let last = {}
const percent = (share) => `${(100 * share).toFixed(1)} %`

if (command === 'store') store()
else report()

/** A machine: its name, the compiler, and of each problem the time and what was predicted, by algorithm. */
function store() {
  if (target === undefined || reports.length === 0) {
    usage('node bench/fit.mjs store bench/machines/NAME.json REPORT.json …')
  }
  const problems = {}
  let about = {}
  for (const file of reports) {
    const { context, benchmarks } = readReport(file)
    const { cpu, compiler, version, peak_gflops: peak } = context.kernelet
    about = { cpu, compiler, kernelet: version, date: context.date.slice(0, 10), peak }
    for (const one of benchmarks) {
      if (one.aggregate_name !== 'median' || one.threads !== 1) continue
      const key = `${one.problem} ${one.isa}`
      problems[key] ??= {}
      const share = Number(one.share_of_peak.toFixed(4))
      const predicted = one.predicted === undefined ? {} : { predicted: Number(one.predicted.toFixed(4)) }
      problems[key][one.algorithm] = { ran: one.ran, share, ...predicted }
    }
  }
  const lines = Object.entries(problems).map(
    ([key, ways]) => `    ${JSON.stringify(key)}: ${JSON.stringify(ways)}`,
  )
  const head = JSON.stringify(about, null, 2).replace(/\n\}$/, '')
  writeFileSync(target, `${head},\n  "problems": {\n${lines.join(',\n')}\n  }\n}\n`)
}

function report() {
  const folder = fileURLToPath(new URL('machines/', import.meta.url))
  const named = process.argv.slice(2)
  const files = named.length > 0 ? named : readdirSync(folder).map((file) => `${folder}${file}`)
  if (named.some((one) => !one.endsWith('.json'))) usage('node bench/fit.mjs [bench/machines/NAME.json …]')
  const cases = []
  for (const file of files.filter((one) => one.endsWith('.json'))) {
    const machine = basename(file, '.json')
    const { problems } = readJson(file)
    if (problems === undefined)
      fail(`${file} is not of bench/machines: fit.mjs store makes such files of reports`)
    const own = Object.entries(problems).map(([problem, ways]) => ({
      machine,
      problem,
      ways: asNow(problem, ways),
    }))
    cases.push(...own)
    machineReport(machine, own)
  }
  const factors = fitted(cases)
  const worth = Object.entries(factors).map(([name, factor]) => `${name} ${factor.toFixed(2)}`)
  console.log(`\nOver planes, by the cost model: ${losses(cases, {})}.`)
  console.log(`Its efficiencies times ${worth.join(', ')}: ${losses(cases, factors)}.`)
}

/** The ways of a problem with what the cost model says of them today, and as the plan's choice what it takes today. */
function asNow(key, ways) {
  const [problem, isa] = key.split(' ')
  if (!instructionSets().supported.includes(isa)) return ways
  const now = Object.fromEntries(
    Object.entries(ways).map(([name, way]) => {
      const { ran, predicted } = planned(problem, isa, name)
      return [name, name === 'auto' || ran === way.ran ? { ...way, ran, predicted } : way]
    }),
  )
  const taken = Object.values(ways).find(({ ran }) => ran === now.auto?.ran)
  // a way that was never measured tells nothing
  if (taken === undefined) return ways
  if (ways.auto.ran !== now.auto.ran) now.auto.share = taken.share
  return now
}

function planned(problem, isa, algorithm) {
  const of = Object.fromEntries(
    [...problem.matchAll(/([a-z]+)(\d+)/g)].map(([, name, value]) => [name, Number(value)]),
  )
  // (filling large weights takes longer than all else: the ways of a problem follow each other, and share one layer)
  if (last.problem !== problem) {
    const convolution = new Conv2d(of.ic, of.oc, {
      kernelSize: [of.kh, of.kw],
      stride: [of.sh ?? 1, of.sw ?? 1],
      padding: [of.ph ?? 0, of.pw ?? 0],
      dilation: [of.dh ?? 1, of.dw ?? 1],
      groups: of.g ?? 1,
    })
    last = { problem, convolution }
  }
  const model = last.convolution.compile({ inputShape: [of.ic, of.ih, of.iw], isa, algorithm, threads: 1 })
  const { steps } = model.describe()
  model.dispose()
  const cost = steps.reduce((sum, step) => sum + (step.cost ?? Number.NaN), 0)
  const macs = steps.reduce((sum, step) => sum + step.macs, 0)
  const { algorithm: ran } = steps.find((step) => step.macs > 0)
  return { ran, predicted: cost > 0 ? macs / cost : undefined }
}

/** Measured over predicted by algorithm, and what the plan's own choice loses. */
function machineReport(machine, cases) {
  console.log(`${machine}: ${cases.length} problems`)
  const ratios = {}
  const lost = []
  for (const { problem, ways } of cases) {
    for (const { ran, share, predicted } of Object.values(ways)) {
      if (predicted !== undefined) (ratios[ran] ??= []).push(Math.log(share / predicted))
    }
    const best = Object.values(ways).reduce((a, b) => (b.share > a.share ? b : a))
    if (ways.auto === undefined) continue
    const loss = best.ran === ways.auto.ran ? 0 : 1 - ways.auto.share / best.share
    lost.push({ loss, problem, ran: ways.auto.ran, best: best.ran })
  }
  for (const [name, logs] of Object.entries(ratios)) {
    const off = Math.exp(mean(logs.map(Math.abs))) - 1
    console.log(
      `  ${name}: measured / predicted ${Math.exp(mean(logs)).toFixed(2)} (geometric mean), off by ${percent(off)}`,
    )
  }
  lost.sort((a, b) => b.loss - a.loss)
  console.log(`  auto loses ${percent(mean(lost.map(({ loss }) => loss)))} in the mean; most:`)
  for (const { loss, problem, ran, best } of lost.slice(0, 5)) {
    if (loss > 0) console.log(`    ${percent(loss)}  ${problem}: ${ran} instead of ${best}`)
  }
}

/** What choosing by predicted × factor loses against the best that has a prediction, of each case. */
function lossesOf(cases, factors) {
  return cases.flatMap(({ ways }) => {
    const known = Object.values(ways).filter(({ predicted }) => predicted !== undefined)
    if (new Set(known.map(({ ran }) => ran)).size < 2) return []
    const worth = ({ ran, predicted }) => predicted * (factors[ran] ?? 1)
    const chosen = known.reduce((a, b) => (worth(b) > worth(a) ? b : a))
    const best = known.reduce((a, b) => (b.share > a.share ? b : a))
    return [chosen.ran === best.ran ? 0 : 1 - chosen.share / best.share]
  })
}

function losses(cases, factors) {
  const all = lossesOf(cases, factors)
  return `${percent(mean(all))} lost in the mean of ${all.length}, ${percent(Math.max(0, ...all))} at worst`
}

/** A factor an algorithm, one after the other, until none helps. (Of all times a number, only their ratios count.) */
function fitted(cases) {
  const names = new Set(
    cases.flatMap(({ ways }) =>
      Object.values(ways).flatMap(({ ran, predicted }) => (predicted ? [ran] : [])),
    ),
  )
  const factors = Object.fromEntries([...names].map((name) => [name, 1]))
  const cost = () => {
    const all = lossesOf(cases, factors)
    return mean(all) + 0.1 * Math.max(0, ...all)
  }
  let least = cost()
  for (let better = true; better; ) {
    better = false
    for (const name of [...names].slice(1)) {
      const before = factors[name]
      let best = before
      for (const factor of [0.5, 0.7, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25, 1.4, 2]) {
        factors[name] = before * factor
        const now = cost()
        if (now >= least - 1e-6) continue
        least = now
        best = factors[name]
        better = true
      }
      factors[name] = best
    }
  }
  return factors
}
