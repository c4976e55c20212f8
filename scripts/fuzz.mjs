/**
 * npm run fuzz [-- --minutes 10] [--target onnx,torch,…] [--seed N] [--count N] [--jobs N] [--failures FOLDER]: random
 * files, arguments, networks and pictures, on dist/ as it is. Nothing may crash, hang for 5 s, take 512 MB or end in an
 * error from inside. Exit code 1 where something did; its input is in FOLDER: mend it, then move the input into
 * tests/corpus/TARGET, where every `npm test` tries it. `--corpus FOLDER` tries the inputs of such a folder alone.
 */
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { supervise } from './fuzz/supervisor.mjs'
import { die, root } from './util.mjs'

/** Of files with inputs of each target; `faults` is for the fuzzer's own test. */
const extensions = {
  onnx: 'onnx',
  torch: 'pt',
  safetensors: 'safetensors',
  png: 'png',
  bmp: 'bmp',
  idx: 'idx',
  arguments: 'json',
  nearly: 'json',
  graphs: 'json',
  pictures: 'json',
  faults: 'txt',
}
const usual = Object.keys(extensions).filter((name) => name !== 'faults')

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    target: { type: 'string', default: usual.join(',') },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    count: { type: 'string' },
    jobs: { type: 'string', default: String(Math.min(4, availableParallelism())) },
    corpus: { type: 'string' },
    failures: { type: 'string', default: join(root, 'fuzz-failures') },
  },
})
const number = (name) => {
  const value = Number(values[name])
  if (!(value > 0)) die(`--${name} must be a number above 0 but is ${values[name]}`, 2)
  return value
}
const targets = values.target.split(',')
const unknown = targets.find((name) => !Object.hasOwn(extensions, name))
if (unknown !== undefined) die(`There is no target ${unknown}; there are ${usual.join(', ')}`, 2)
const seed = Number(values.seed) >>> 0
const count = values.count === undefined ? undefined : number('count')
const failures = resolve(values.failures)
mkdirSync(failures, { recursive: true })

/** The files of a target in the corpus. */
function corpusOf(target) {
  const folder = join(resolve(values.corpus), target)
  const names = existsSync(folder) ? readdirSync(folder).sort() : []
  return names.map((name) => join(folder, name))
}

console.log(values.corpus ? `the inputs in ${values.corpus}` : `seed ${seed}; failures go to ${failures}`)
const waiting = values.corpus ? targets.filter((target) => corpusOf(target).length > 0) : [...targets]
const jobs = Math.min(targets.length, number('jobs'))
// every target has its share of the time; with --count all of them do so many
const milliseconds = (number('minutes') * 60_000 * jobs) / targets.length
let [all, wrong] = [0, 0]

async function run(target) {
  const start = performance.now()
  const amount = values.corpus
    ? { files: corpusOf(target) }
    : count === undefined
      ? { milliseconds }
      : { count }
  const extension = extensions[target]
  let told = start
  const report = (soFar) => {
    if (performance.now() - told < 60_000) return
    told = performance.now()
    console.log(`${target}: ${soFar.toLocaleString('en')} so far`)
  }
  const { done, failed } = await supervise({ target, extension, seed, failures, report, ...amount })
  all += done
  wrong += failed.length
  const seconds = ((performance.now() - start) / 1000).toFixed(0)
  console.log(
    `${target}: ${done.toLocaleString('en')} inputs in ${seconds} s, ${failed.length} kinds of failure`,
  )
  for (const { kind, file, message, times } of failed) {
    console.log(`  ${kind}, ${times}×: ${file}\n    ${message.trim().split('\n').slice(0, 6).join('\n    ')}`)
  }
}

await Promise.all(
  Array.from({ length: jobs }, async () => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) await run(target)
  }),
)
console.log(`${all.toLocaleString('en')} inputs, ${wrong} kinds of failure`)
process.exitCode = wrong === 0 ? 0 : 1
