/**
 * What jobs cost, and what becomes of them when everything is killed. On a machine with nothing else to do:
 *
 *   node packages/jobs/bench/bench.mjs submit|rate|memory|kills [PICTURES [ROUNDS]]
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { root, writePictures } from './pictures.mjs'
import { begin, command, installed, memoryOf, startRedis } from './redis.mjs'

const [what = '', given, rounds = 1] = process.argv.slice(2)
const programs = { submit, rate, memory, kills }
if (!installed || !Object.hasOwn(programs, what)) {
  console.error(
    'usage: node packages/jobs/bench/bench.mjs submit|rate|memory|kills [PICTURES], with redis-server installed',
  )
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), 'kernelet-jobs-bench-'))
const children = new Set()
try {
  await programs[what](given === undefined ? undefined : Number(given))
} finally {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
}

/** Of processes that are started here, the memory at most, looked at every 50 ms. */
async function watched({ child, output }) {
  children.add(child)
  let most = 0
  const timer = setInterval(() => {
    try {
      most = Math.max(most, memoryOf(child.pid).most)
    } catch {
      // it has ended
    }
  }, 50)
  const start = performance.now()
  if (child.exitCode === null) await once(child, 'close')
  clearInterval(timer)
  children.delete(child)
  return { ...output, code: child.exitCode, seconds: (performance.now() - start) / 1000, most }
}

async function ready(count) {
  const pictures = join(folder, 'pictures')
  writePictures(pictures, count)
  const redis = await startRedis(folder, ['--appendfsync', 'everysec'])
  return { pictures, redis }
}

async function redisMemory(redis) {
  const client = redis.client()
  const info = await client.info('memory')
  client.disconnect()
  return Number(/used_memory_peak:(\d+)/.exec(info)?.[1]) / 1e6
}

/** Seconds and memory of submit, and what Redis takes for it. */
async function submit(count = 100_000) {
  const { pictures, redis } = await ready(count)
  const { seconds, most, stderr } = await watched(
    begin(redis.url, ['submit', pictures, '--out', join(folder, 'out')]),
  )
  process.stderr.write(stderr)
  console.log(`submit of ${count} files: ${seconds.toFixed(1)} s, ${most.toFixed(0)} MB`)
  console.log(`Redis: ${(await redisMemory(redis)).toFixed(1)} MB at most`)
  await redis.stop()
}

/** Pictures a second: kernelet classify, then workers, each on one core, then as many as there are cores. */
async function rate(count = 40_000) {
  const { pictures, redis } = await ready(count)
  const cores = availableParallelism()
  const pinned = (cpus) => ['taskset', '-c', cpus]
  const classify = async (cpus) => {
    const [file, ...words] = [...pinned(cpus), process.execPath, join(root, 'bin/kernelet.js')]
    const start = performance.now()
    const child = spawn(file, [...words, 'classify', '--ndjson', pictures], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    await once(child, 'exit')
    return (performance.now() - start) / 1000
  }
  let turn = 0
  const work = async (cpuLists) => {
    const { stderr, status } = await command(redis.url, [
      'submit',
      pictures,
      '--out',
      join(folder, `out${turn++}`),
    ])
    if (status !== 0) throw new Error(stderr)
    const all = cpuLists.map((cpus) => begin(redis.url, ['work', '--until-done'], { wrapper: pinned(cpus) }))
    const ended = await Promise.all(all.map(watched))
    // from when the first of them has Redis to the end of the job
    const times = (word) =>
      ended
        .flatMap(({ stderr: log }) => log.split('\n').filter((line) => line.includes(word)))
        .map((line) => Date.parse(line.split(' ')[0]))
    const seconds = (Math.max(...times(' rows, ')) - Math.min(...times(' answers'))) / 1000
    return { seconds, most: Math.max(...ended.map(({ most }) => most)) }
  }
  const both = `0-${cores - 1}`
  const best = { classifyOne: [], classifyAll: [], one: [], all: [], each: [] }
  let most = 0
  for (let round = 0; round < rounds; round++) {
    best.classifyOne.push(await classify('0'))
    const runs = { one: ['0'], all: [both], each: Array.from({ length: cores }, (_, i) => String(i)) }
    for (const [name, lists] of Object.entries(runs)) {
      const { seconds, most: memory } = await work(lists)
      best[name].push(seconds)
      most = Math.max(most, memory)
    }
    best.classifyAll.push(await classify(both))
  }
  const of = (name) => count / Math.min(...best[name])
  const say = (text, name, base) =>
    console.log(
      `${text}: ${of(name).toFixed(0)} a second${base ? `, ${(of(name) / of(base)).toFixed(2)} of it` : ''}`,
    )
  say('kernelet classify, one core', 'classifyOne')
  say('a worker, one core', 'one', 'classifyOne')
  say(`kernelet classify, ${cores} cores`, 'classifyAll')
  say(`a worker, ${cores} cores`, 'all', 'classifyAll')
  say(`${cores} workers, a core each`, 'each', 'one')
  console.log(
    `a worker: ${most.toFixed(0)} MB at most; its time is from having Redis to the merged result, classify's with its start`,
  )
  await redis.stop()
}

/** A worker's memory from tenth to tenth of a job. */
async function memory(count = 1_000_000) {
  const { pictures, redis } = await ready(count)
  const submitted = await command(redis.url, ['submit', pictures, '--out', join(folder, 'out'), '--json'])
  const { id } = JSON.parse(submitted.stdout)
  const { child } = begin(redis.url, ['work', '--until-done'])
  children.add(child)
  let tenth = 0
  while (child.exitCode === null) {
    await pause(500)
    const { stdout } = await command(redis.url, ['status', id, '--json'])
    const { rowsDone = 0 } = stdout === '' ? {} : JSON.parse(stdout)
    if (child.exitCode !== null || rowsDone < (tenth * count) / 10) continue
    tenth = Math.floor((10 * rowsDone) / count) + 1
    const { now, most } = memoryOf(child.pid)
    console.log(`${rowsDone} pictures: ${now.toFixed(0)} MB, ${most.toFixed(0)} MB at most`)
  }
  children.delete(child)
  await redis.stop()
}

/** Three workers, of which one is killed every two seconds; Redis is killed and started again once. */
async function kills(count = 100_000) {
  const { pictures, redis } = await ready(count)
  const out = join(folder, 'out')
  const submitted = await command(redis.url, ['submit', pictures, '--out', out, '--chunk', '500', '--json'])
  const { id } = JSON.parse(submitted.stdout)
  const start = () => {
    const worker = begin(redis.url, ['work', '--lease', '5', '--concurrency', '2', '--threads', '1'])
    children.add(worker.child)
    return worker
  }
  const workers = [start(), start(), start()]
  let [killed, state, begun] = [0, 'running', performance.now()]
  while (state === 'running') {
    await pause(2000)
    const { child } = workers.shift()
    child.kill('SIGKILL')
    children.delete(child)
    workers.push(start())
    if (++killed === 3) {
      await redis.stop('SIGKILL')
      await redis.start()
    }
    const { stdout } = await command(redis.url, ['status', id, '--json'])
    state = stdout === '' ? 'running' : JSON.parse(stdout).state
  }
  const seconds = (performance.now() - begun) / 1000
  for (const { child } of workers) child.kill('SIGKILL')
  // every picture once, in the order of the list
  const expected = createInterface({ input: createReadStream(join(out, 'manifest.ndjson')) })[
    Symbol.asyncIterator
  ]()
  let [rows, errors, wrong] = [0, 0, 0]
  for await (const line of createInterface({ input: createReadStream(join(out, 'results.ndjson')) })) {
    const row = JSON.parse(line)
    if (row.file !== JSON.parse((await expected.next()).value).file) wrong++
    if (row.error) errors++
    rows++
  }
  const memory = await redisMemory(redis)
  const digest = createHash('sha256')
    .update(readFileSync(join(out, 'results.ndjson')))
    .digest('hex')
    .slice(0, 12)
  console.log(
    `${count} pictures, ${killed} workers killed, Redis killed once: ${state} after ${seconds.toFixed(0)} s`,
  )
  console.log(`rows ${rows}, out of order ${wrong}, with an error ${errors}; SHA-256 ${digest}…`)
  console.log(
    `left beside: ${readdirSync(out).filter((name) => name.startsWith('parts-')).length} folders of parts`,
  )
  console.log(`Redis: ${memory.toFixed(1)} MB at most since its restart`)
  await redis.stop()
  if (state !== 'done' || rows !== count || wrong > 0 || errors > 0) process.exitCode = 1
}
