/**
 * `npm run bench -w @kernelet/server [-- --seconds 4 --rounds 3 --only constant,large]`, with names of `sections` below: what the server costs and what it is worth, on two cores: the
 * server has one, the load the other. Load is made by wrk where it is installed, since autocannon itself is slower than
 * the server on one core; a line says which. Only to loopback.
 */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import autocannon from 'autocannon'
import { LeNet5, saveOnnx } from 'kernelet'
import { Heavy } from './heavy.mjs'

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
  },
})
const seconds = Number(options.seconds)
const rounds = Number(options.rounds)
const folder = mkdtempSync(join(tmpdir(), 'kernelet-bench-'))
const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const has = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
const pinned = has('taskset')
const wrk = has('wrk')
const file = join(folder, 'lenet5.onnx')
const network = LeNet5.pretrained()
saveOnnx(network, file, { inputShape: [1, 28, 28] })
const pixels = Uint8Array.from({ length: 784 }, (_, i) => (i * 31) % 256)

/** A request of so many images. */
function binary(images) {
  const input = {
    name: 'input',
    datatype: 'UINT8',
    shape: [images, 1, 28, 28],
    parameters: { binary_data_size: 784 * images },
  }
  const head = Buffer.from(JSON.stringify({ inputs: [input], parameters: { binary_data_output: true } }))
  return {
    body: Buffer.concat([head, ...Array(images).fill(pixels)]),
    headers: {
      'Content-Type': 'application/octet-stream',
      'Inference-Header-Content-Length': String(head.length),
    },
  }
}

function json() {
  const data = Array.from(pixels, (pixel) => Math.fround(pixel / 255))
  const input = { name: 'input', datatype: 'FP32', shape: [1, 1, 28, 28], data }
  return {
    body: Buffer.from(JSON.stringify({ inputs: [input] })),
    headers: { 'Content-Type': 'application/json' },
  }
}

let nextPort = 18100

/** Runs `work` with a server of a kind. */
async function withServer(kind, settings, work) {
  const port = nextPort++
  const args = [here('server.mjs'), kind, String(port), file, JSON.stringify(settings)]
  const child = pinned
    ? spawn('taskset', ['-c', '0', process.execPath, ...args])
    : spawn(process.execPath, args)
  child.stderr.pipe(process.stderr)
  await once(child.stdout, 'data')
  try {
    return await work(`http://127.0.0.1:${port}`, child.pid)
  } finally {
    child.kill('SIGKILL')
    await once(child, 'close')
  }
}

/** Microseconds that a process has computed; NaN where the system does not tell. */
function cpu(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10_000
  } catch {
    return Number.NaN
  }
}

/** Requests a second, and milliseconds of the median and of the slowest hundredth. */
async function load(url, request, connections, duration = seconds) {
  if (!wrk) {
    const { requests, latency, non2xx } = await autocannon({
      url,
      method: 'POST',
      ...request,
      connections,
      duration,
    })
    if (non2xx > 0) throw new Error(`${non2xx} requests failed`)
    return { rate: requests.average, p50: latency.p50, p99: latency.p99 }
  }
  const body = join(folder, 'body')
  writeFileSync(body, request.body)
  const lines = Object.entries(request.headers).map(([name, value]) => `wrk.headers["${name}"] = "${value}"`)
  const script = join(folder, 'load.lua')
  writeFileSync(
    script,
    `wrk.method = "POST"\nwrk.body = io.open("${body}", "rb"):read("*all")\n${lines.join('\n')}
done = function(summary, latency)
  io.write(string.format("%f %f %f %d", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000, summary.errors.status))
end\n`,
  )
  const args = ['wrk', '-t1', `-c${connections}`, `-d${duration}s`, '-s', script, url]
  const [program, ...rest] = pinned ? ['taskset', '-c', '1', ...args] : args
  const { stdout } = await promisify(execFile)(program, rest)
  const [rate, p50, p99, failed] = stdout.trim().split('\n').pop().split(' ').map(Number)
  if (failed > 0) throw new Error(`${failed} requests failed`)
  return { rate, p50, p99 }
}

/** Milliseconds between two looks of Node at its event loop, which it counts as delay. */
const RESOLUTION = 10

/** Means of the server's own histograms, in microseconds, and the 99th percentile of its event loop's delay, in milliseconds. */
async function inside(address) {
  const text = await (await fetch(`${address}/metrics`)).text()
  const mean = (name) => {
    const of = (end) => Number(new RegExp(`^${name}_${end}\\{model="lenet5"\\} (\\S+)`, 'm').exec(text)?.[1])
    return (1e6 * of('sum')) / of('count')
  }
  const loop = 1000 * Number(/^nodejs_eventloop_lag_p99_seconds (\S+)/m.exec(text)?.[1]) - RESOLUTION
  return { queue: mean('kernelet_queue_seconds'), compute: mean('kernelet_compute_seconds'), loop }
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]

/** Medians of rounds in which the contenders take turns. */
async function turns(contenders, request, connections) {
  const results = new Map(contenders.map(([name]) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, kind, settings] of contenders) {
      const result = await withServer(kind, settings, async (address, pid) => {
        const url = `${address}/v2/models/lenet5/infer`
        await load(url, request, connections, 1)
        const before = cpu(pid)
        const came = await load(url, request, connections)
        const used = (cpu(pid) - before) / (came.rate * seconds)
        return { ...came, used, ...(kind.startsWith('constant') ? {} : await inside(address)) }
      })
      results.get(name).push(result)
    }
  }
  return new Map(
    [...results].map(([name, list]) => [
      name,
      Object.fromEntries(Object.keys(list[0]).map((key) => [key, median(list.map((one) => one[key]))])),
    ]),
  )
}

const number = (value, digits = 0) => (Number.isFinite(value) ? value.toFixed(digits) : '')
function row(name, { rate, used, p50, p99, queue, compute, loop }, ratio) {
  console.log(
    `| ${name} | ${number(rate)} | ${number(used, 1)} | ${number(p50, 2)} | ${number(p99, 2)} | ${number(queue, 1)} | ${number(compute, 1)} | ${number(loop, 1)} | ${ratio} |`,
  )
}

async function constant() {
  const contenders = [
    ['constant', 'constant', {}],
    ['constant-helmet', 'constant-helmet', {}],
    ['kernelet', 'kernelet', {}],
  ]
  const results = await turns(contenders, binary(1), 16)
  const [bare, usual, ours] = ['constant', 'constant-helmet', 'kernelet'].map((name) => results.get(name))
  const share = (of) => `${number((100 * ours.rate) / of.rate)} %`
  row('one image, binary: a constant', bare, '')
  row('… with helmet registered as usual', usual, '')
  row('one image, binary: kernelet', ours, `${share(bare)} and ${share(usual)} of these constants`)
}

async function peer(name, request, how, settings) {
  if (!existsSync(here('../../../bench/peers/node_modules/onnxruntime-node'))) {
    console.log(`| ${name}, ${how}: bench/peers is not installed | | | | | | | |`)
    return
  }
  const contenders = [
    ['kernelet', 'kernelet', settings],
    ['onnxruntime-node', 'onnxruntime', settings],
    ['nothing', 'nothing', settings],
  ]
  const results = await turns(contenders, request, 16)
  const [ours, theirs, none] = contenders.map(([name]) => results.get(name))
  const shorter = (of) => number((theirs.queue + theirs.compute) / (of.queue + of.compute), 1)
  const than = (of) => `${number(of.rate / theirs.rate, 2)}×; queue + compute ${shorter(of)}× shorter`
  row(`${name}, ${how}: kernelet`, ours, than(ours))
  row(`${name}, ${how}: a network of no time, the most there is to win`, none, than(none))
  row(`${name}, ${how}: onnxruntime-node`, theirs, '')
}

/** Queue and compute without HTTP, whose time other requests wait for as well. */
async function calls(callers, how, settings) {
  const kinds = ['kernelet', 'onnxruntime']
  const came = new Map(kinds.map((kind) => [kind, []]))
  for (let round = 0; round < rounds; round++) {
    for (const kind of kinds) {
      const args = [
        here('inside.mjs'),
        kind,
        file,
        String(callers),
        String(seconds),
        JSON.stringify(settings),
      ]
      const command = pinned ? ['taskset', '-c', '0', process.execPath, ...args] : [process.execPath, ...args]
      const { stdout } = await promisify(execFile)(command[0], command.slice(1))
      came.get(kind).push(JSON.parse(stdout))
    }
  }
  const of = (kind, key) => median(came.get(kind).map((one) => one[key]))
  const both = (kind) => of(kind, 'queue') + of(kind, 'compute')
  const shorter = `${number(both('onnxruntime') / both('kernelet'), 2)}× shorter, from call to answer ${number(of('onnxruntime', 'whole') / of('kernelet', 'whole'), 2)}×`
  for (const kind of kinds) {
    const figures = { queue: of(kind, 'queue'), compute: of(kind, 'compute') }
    const name = `without HTTP, ${callers} ${callers === 1 ? 'call' : 'calls'} at a time, ${how}: ${kind}`
    const whole = `${number(of(kind, 'whole'), 1)} µs from call to answer, ${number(of(kind, 'batch'), 1)} images a batch`
    row(name, figures, kind === 'kernelet' ? `${whole}; ${shorter}` : whole)
  }
}

async function withoutHttp(settings, how) {
  if (!existsSync(here('../../../bench/peers/node_modules/onnxruntime-node'))) {
    console.log('| without HTTP: bench/peers is not installed | | | | | | | | |')
    return
  }
  for (const callers of [1, 16]) await calls(callers, how, settings)
}

/** A network whose batches leave the event loop. */
async function heavy() {
  const path = join(folder, 'heavy.onnx')
  saveOnnx(new Heavy().eval(), path, { inputShape: [3, 96, 96] })
  const size = 3 * 96 * 96
  const input = {
    name: 'input',
    datatype: 'UINT8',
    shape: [1, 3, 96, 96],
    parameters: { binary_data_size: size },
  }
  const head = Buffer.from(JSON.stringify({ inputs: [input], parameters: { binary_data_output: true } }))
  const request = {
    body: Buffer.concat([head, Buffer.alloc(size, 128)]),
    headers: {
      'Content-Type': 'application/octet-stream',
      'Inference-Header-Content-Length': String(head.length),
    },
  }
  const settings = { model: { lenet5: path } }
  row(
    'a millisecond an image: kernelet',
    (await turns([['kernelet', 'kernelet', settings]], request, 16)).get('kernelet'),
    '',
  )
}

async function large() {
  const model = network.compile({ inputShape: [1, 28, 28], inputType: 'uint8', threads: 1 })
  const batch = new Uint8Array(64 * 784)
  for (let i = 0; i < 1000; i++) model.run(batch)
  const times = Array.from({ length: 2000 }, () => {
    const begin = performance.now()
    model.run(batch)
    return performance.now() - begin
  })
  const bare = 64_000 / median(times)
  const contenders = [
    ['kernelet', 'kernelet', {}],
    ['nothing', 'nothing', {}],
    ['constant', 'constant', {}],
  ]
  const results = await turns(contenders, binary(64), 4)
  const [ours, none, same] = contenders.map(([name]) => results.get(name))
  const share = ({ rate }) => `${number(64 * rate)} images/s, ${number((100 * 64 * rate) / bare)} % of run()`
  // what is left for HTTP where computing takes what run() takes
  const most = 1e6 / (none.used + 64e6 / bare)
  row(
    '64 images a request: kernelet',
    ours,
    `${share(ours)}; with run() added to a network of no time ${share({ rate: most })}`,
  )
  row('… a network of no time', none, share(none))
  row('… a constant, the body read', same, share(same))
}

const alone = { maxBatch: 1 }
const sections = {
  constant,
  large,
  binary: () => peer('binary', binary(1), 'batches', {}),
  'binary-alone': () => peer('binary', binary(1), 'no batches', alone),
  json: () => peer('JSON', json(), 'batches', {}),
  'json-alone': () => peer('JSON', json(), 'no batches', alone),
  inside: () => withoutHttp({}, 'batches'),
  'inside-alone': () => withoutHttp(alone, 'no batches'),
  heavy,
}
const wanted = options.only?.split(',') ?? Object.keys(sections)
console.log(
  `load by ${wrk ? 'wrk' : 'autocannon'}, ${pinned ? 'one core each' : 'cores shared'}, ${rounds} rounds of ${seconds} s, medians\n`,
)
console.log('| | requests/s | CPU, µs | p50, ms | p99, ms | queue, µs | compute, µs | event loop p99, ms | |')
console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |')
for (const name of wanted) await sections[name]()
rmSync(folder, { recursive: true })
