/**
 * Whole networks beside onnxruntime-node: ONNX files of one input, each engine in a process of its own, the two taking
 * turns, so that neither's waiting threads hold a CPU that the other needs. Prints the median time of a call, the ratio
 * (above 1 kernelet is faster), the share of the network's bound that kernelet reaches and the ratio that the bound would
 * give, and the largest difference between outputs over the largest output.
 *
 * The bound: each step's multiply-adds at the peak, or its weights at the bandwidth of the level of memory that holds all
 * of them, whichever takes longer; both measured at the beginning, as `kernelet bench kernels` does. What is not a
 * multiply-add costs nothing there.
 *
 *   npm --prefix bench/peers ci --ignore-scripts
 *   node bench/networks.mjs FILE.onnx … [--batch 1,8] [--threads 1,2] [--numerics fastest] [--turns 7] [--turn 150]
 */
import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    batch: { type: 'string', default: '1' },
    threads: { type: 'string', default: '1' },
    numerics: { type: 'string', default: 'exact' },
    turns: { type: 'string', default: '7' },
    turn: { type: 'string', default: '150' }, // milliseconds
    json: { type: 'string' },
    child: { type: 'string' },
  },
})

const { loadOnnx } = await import('../dist/index.js')

/** The same numbers from -1 to 1 for both. */
function pixels(length) {
  let seed = 7
  return Float32Array.from({ length }, () => {
    seed ^= seed << 13
    seed ^= seed >>> 17
    seed ^= seed << 5
    seed >>>= 0
    return seed / 2 ** 31 - 1
  })
}

/** Floats of a step's weights, by its problem: ic64ih56iw56oc128…, a convolution more behind a +. */
function weightsOf({ problem }) {
  return problem.split('+').reduce((sum, text) => {
    const of = (letters, otherwise) =>
      Number(new RegExp(`(?:^|[0-9])${letters}([0-9]+)`).exec(text)?.[1] ?? otherwise)
    return sum + (of('ic', 0) / of('g', 1)) * of('oc', 0) * of('kh', 1) * of('kw', 1)
  }, 0)
}

/** GFLOP/s of one thread and GB/s by level of memory. */
function measureMachine() {
  const args = ['bench', 'kernels', '--problem', 'ic64ih8oc64kh3ph1', '--repetitions', 2]
  const cli = fileURLToPath(new URL('../bin/kernelet.js', import.meta.url))
  const { stdout } = spawnSync(process.execPath, [cli, ...args.map(String), '-o', 'json'], {
    encoding: 'utf8',
  })
  const { context } = JSON.parse(stdout)
  const { peak_gflops: peaks, isa, read_gbs: read } = context.kernelet
  const sizes = Object.fromEntries(
    context.caches.map(({ type, level, size }) => [type === 'Instruction' ? '' : `L${level}`, size]),
  )
  return { peak: peaks[isa.chosen], read, sizes }
}

/** Milliseconds that no direct sum on this machine can beat. */
function boundOf(steps, batch, threads, { peak, read, sizes }) {
  const bytes = 4 * steps.reduce((sum, { weights }) => sum + weights, 0)
  const level = Object.keys(read).find((name) => bytes <= (sizes[name] ?? Number.POSITIVE_INFINITY))
  return steps.reduce(
    (sum, { macs, weights }) =>
      sum + Math.max((2 * macs * batch) / (peak * threads), (4 * weights) / read[level]) / 1e6,
    0,
  )
}

const engines = {
  kernelet(file, batch, threads) {
    const network = loadOnnx(file)
    const model = network.compile({ threads, numerics: values.numerics, maxBatch: batch })
    const x = pixels(batch * elements(model.inputShape))
    const steps = model.describe().steps.map((step) => ({ macs: step.macs, weights: weightsOf(step) }))
    return Object.assign(async () => model.run(x), { steps })
  },
  async onnxruntime(file, batch, threads) {
    const peers = createRequire(new URL('peers/package.json', import.meta.url))
    const ort = peers('onnxruntime-node')
    const options = { intraOpNumThreads: threads, interOpNumThreads: 1, executionMode: 'sequential' }
    const session = await ort.InferenceSession.create(file, options)
    const network = loadOnnx(file)
    const [input] = network.inputs
    const [output] = network.outputs
    const shape = [batch, ...network.inputShape]
    const feeds = { [input.name]: new ort.Tensor('float32', pixels(elements(shape)), shape) }
    return async () => (await session.run(feeds))[output.name].data
  },
}

function elements(shape) {
  return shape.reduce((a, b) => a * b, 1)
}

if (values.child) await answer(...JSON.parse(values.child))
else await compare()

/** The child: its first output, then times for every line of milliseconds. */
async function answer(engine, file, batch, threads) {
  const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)
  try {
    const run = await engines[engine](file, batch, threads)
    say({ output: [...(await run())].slice(0, 4096), steps: run.steps })
    for await (const line of createInterface({ input: process.stdin })) {
      const times = []
      const end = performance.now() + Number(line)
      do {
        const start = performance.now()
        await run()
        times.push(performance.now() - start)
      } while (performance.now() < end)
      const every = Math.ceil(times.length / 200)
      say({ times: times.sort((a, b) => a - b).filter((_, i) => i % every === 0) })
    }
  } catch (error) {
    say({ error: error.message })
  }
  process.exit()
}

function start(...child) {
  const args = [...process.argv.slice(1), '--child', JSON.stringify(child)]
  const one = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: one.stdout })[Symbol.asyncIterator]()
  const next = async () => JSON.parse((await lines.next()).value ?? '{"error":"it ended"}')
  return {
    first: next,
    times: (milliseconds) => {
      one.stdin.write(`${milliseconds}\n`)
      return next()
    },
    end: () => one.stdin.end(),
  }
}

async function compare() {
  if (files.length === 0) {
    console.error(`node ${basename(fileURLToPath(import.meta.url))}: name some ONNX files`)
    process.exit(2)
  }
  const numbers = (text) => text.split(',').map(Number)
  const rows = []
  const machine = measureMachine()
  const gbs = Object.entries(machine.read).map(([level, gb]) => `${level} ${gb.toFixed(0)}`)
  console.log(`one thread: ${machine.peak.toFixed(0)} GFLOP/s; GB/s: ${gbs.join(', ')}\n`)
  print(
    'network',
    'batch',
    'threads',
    'kernelet ms',
    'onnxruntime',
    'ratio',
    'of bound',
    'bound ratio',
    'difference',
  )
  for (const threads of numbers(values.threads)) {
    for (const batch of numbers(values.batch)) {
      for (const file of files) rows.push(await row(file, batch, threads, machine))
      const ratios = rows.filter((one) => one.batch === batch && one.threads === threads && one.ratio)
      const mean = Math.exp(ratios.reduce((sum, { ratio }) => sum + Math.log(ratio), 0) / ratios.length)
      print(`geometric mean of ${ratios.length}`, batch, threads, '', '', mean.toFixed(2))
    }
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 1)}\n`)
}

async function row(file, batch, threads, machine) {
  const both = Object.keys(engines).map((engine) => start(engine, file, batch, threads))
  const [ours, theirs] = [await both[0].first(), await both[1].first()]
  const result = { network: basename(file, '.onnx'), batch, threads }
  const error = ours.error ?? theirs.error
  if (error) {
    result.error = error
    print(result.network, batch, threads, error)
  } else {
    const largest = Math.max(1e-3, ...theirs.output.map(Math.abs))
    const off = ours.output.map((value, i) => Math.abs(value - theirs.output[i]))
    const times = [[], []]
    for (let turn = 0; turn < Number(values.turns); turn++) {
      for (const i of turn % 2 ? [1, 0] : [0, 1]) times[i].push(...(await both[i].times(values.turn)).times)
    }
    const [kernelet, onnxruntime] = times.map((all) => all.sort((a, b) => a - b)[all.length >> 1])
    const bound = boundOf(ours.steps, batch, threads, machine)
    Object.assign(result, { kernelet, onnxruntime, ratio: onnxruntime / kernelet, bound })
    result.difference = Math.max(...off) / largest
    print(
      ...[result.network, batch, threads, kernelet.toFixed(4), onnxruntime.toFixed(4)],
      ...[result.ratio.toFixed(2), `${((100 * bound) / kernelet).toFixed(0)} %`],
      ...[(onnxruntime / bound).toFixed(2), result.difference.toExponential(1)],
    )
  }
  for (const one of both) one.end()
  return result
}

function print(network, batch, threads, ...cells) {
  const left = [String(network).padEnd(24), String(batch).padStart(5), String(threads).padStart(7)]
  console.log([...left, ...cells.map((cell) => String(cell).padStart(11))].join(' '))
}
