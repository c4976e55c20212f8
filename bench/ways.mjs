/**
 * What choices of a plan as a whole are worth that tuning does not offer one by one: everything in blocks of channels,
 * everything over planes, Winograd wherever it fits; and images side by side, or not, by the size of a batch. Of each
 * step the shortest of many times, the plans taking turns, so that other work on the machine counts little.
 *
 *   node bench/ways.mjs FILE.onnx … [--isa avx2] [--seconds 5]
 */
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { isa as instructionSets, loadOnnx } from '../dist/index.js'
import { usage } from './script.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    isa: { type: 'string', default: instructionSets().chosen },
    seconds: { type: 'string', default: '5' },
  },
})
if (positionals.length === 0 || !(Number(values.seconds) > 0)) {
  usage('node bench/ways.mjs FILE.onnx … [--isa NAME] [--seconds 5]')
}

const WAYS = {
  auto: {},
  blocks: { algorithm: 'blocked' },
  planes: { algorithm: 'direct' },
  fastest: { numerics: 'fastest' },
  winograd: { algorithm: 'winograd' },
}
const BATCHES = [4, 8, 12, 16, 32]
const us = (ns) => `${(ns / 1e3).toFixed(1)} µs`
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0)

for (const file of positionals) {
  const model = loadOnnx(file)
  const image = model.inputShape.reduce((a, b) => a * b)
  const compiled = (options) => model.compile({ isa: values.isa, threads: 1, ...options })
  const input = (n) => Float32Array.from({ length: n * image }, (_, i) => Math.sin(i))
  const name = basename(file, '.onnx')
  steps(name, compiled, input(1))
  batches(name, compiled, input)
}

/** In turns for so many seconds, each at least ten times. */
function inTurns(seconds, all, measure) {
  const end = performance.now() + 1000 * seconds
  for (let i = 0; i < 10 || performance.now() < end; i++) for (const one of all) measure(one)
}

function steps(name, compiled, x) {
  const plans = Object.entries(WAYS).map(([way, options]) => ({ way, net: compiled(options), steps: [] }))
  inTurns(Number(values.seconds), plans, ({ net, steps: shortest }) => {
    for (const [i, step] of net.profile(x, { iterations: 1 }).entries()) {
      shortest[i] ??= step
      if (step.ns < shortest[i].ns) shortest[i] = step
    }
  })
  const all = plans.map((one) => `${one.way} ${us(sum(one.steps.map(({ ns }) => ns)))}`)
  console.log(`${name}, ${values.isa}, steps of one image: ${all.join(', ')}`)
  for (const { net } of plans) net.dispose()
}

function batches(name, compiled, input) {
  const nets = [{}, { algorithm: 'lanes' }].map(compiled)
  const found = BATCHES.map((batch) => {
    const x = input(batch)
    const least = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
    inTurns(Number(values.seconds) / BATCHES.length, [0, 1], (i) => {
      const begin = performance.now()
      nets[i].run(x)
      least[i] = Math.min(least[i], 1e6 * (performance.now() - begin))
    })
    return `${batch} images ${us(least[0])} and ${us(least[1])}`
  })
  const from = nets[0].describe().batchLanes
  const how = from > 0 ? `side by side in ${from} lanes` : 'one after the other'
  console.log(`${name}, ${values.isa}, ${how}, and all side by side: ${found.join(', ')}`)
  for (const net of nets) net.dispose()
}
