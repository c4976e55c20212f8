/**
 * What must not crash, leak or block. Each in a process of its own, because a crash would take the test run with
 * it; they run the compiled package in dist/, because workers of Node 20 read no TypeScript.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { root } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-'))
afterAll(() => rmSync(folder, { recursive: true }))
const kernelet = pathToFileURL(join(root, 'dist/index.js')).href

/** What every program begins with. */
const prelude = `
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { Conv2d, LeNet5, Sequential } from '${kernelet}'
const model = LeNet5.pretrained()
const compile = (options) => model.compile({ inputShape: [1, 28, 28], ...options })
const images = (n) => Float32Array.from({ length: n * 784 }, (_, i) => (i % 97) / 97)
const expected = compile().run(images(1)).slice()
const same = (a) => a.length === 10 && a.every((value, i) => Object.is(value, expected[i]))
`

let programs = 0

/** Runs a program; resolves to what it prints, rejects when it does not end well. */
async function run(program: string, ...flags: string[]): Promise<string> {
  const path = join(folder, `program${programs++}.mjs`)
  writeFileSync(path, prelude + program)
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, path], { timeout: 280_000 })
  return stdout.trim()
}

test('16 workers terminated in the middle of calls, twice over', async () => {
  const output = await run(`
    if (isMainThread) {
      for (let round = 0; round < 2; round++) {
        const workers = Array.from({ length: 16 }, () => new Worker(new URL(import.meta.url)))
        await Promise.all(workers.map((worker) => new Promise((ready, failed) => {
          worker.once('message', ready).once('error', failed)
        })))
        await sleep(10 * round)
        await Promise.all(workers.map((worker) => worker.terminate()))
      }
      console.log(same(compile().run(images(1))))
    } else {
      const net = compile({ threads: 2 })
      const batch = images(16)
      const flights = [1, 2, 3].map(() => net.runAsync(batch))
      parentPort.postMessage('ready')
      for (;;) net.run(batch)
    }`)
  expect(output).toBe('true')
})

test('workers that come and go, each computing the same', async () => {
  const output = await run(`
    if (isMainThread) {
      const results = []
      for (let i = 0; i < 24; i += 4) {
        results.push(...await Promise.all([0, 1, 2, 3].map(() => new Promise((done, failed) => {
          new Worker(new URL(import.meta.url)).once('message', done).once('error', failed)
        }))))
      }
      console.log(results.length, results.every(same))
    } else {
      const net = compile()
      parentPort.postMessage(await net.runAsync(net.run(images(1)) && images(1)))
    }`)
  expect(output).toBe('24 true')
})

test('10,000 more models compiled, run and disposed take no more memory', async () => {
  const output = await run(
    `
    const input = images(1)
    const output = new Float32Array(10)
    const one = () => {
      const net = compile()
      net.run(input, output)
      net.dispose()
    }
    const settled = async () => { gc(); await turn(); gc(); return process.memoryUsage.rss() / 2 ** 20 }
    const many = (n) => { for (let i = 0; i < n; i++) one() }
    for (let i = 0; i < 8; i++) { many(250); await settled() }
    const before = await settled()
    for (let i = 0; i < 40; i++) { many(250); await settled() }
    console.log(await settled() - before)`,
    '--expose-gc',
  )
  // A leak of one model's weights would be 10,000 × 0.2 MB; what is allowed is V8's own coming and going.
  expect(Number(output)).toBeLessThan(48)
})

test('models that are forgotten are freed too', async () => {
  const output = await run(
    `
    const input = images(1)
    const settled = async () => { gc(); await turn(); gc(); return process.memoryUsage.rss() / 2 ** 20 }
    const many = async (n) => {
      for (let i = 0; i < n; i++) {
        const net = compile()
        net.run(input)
        if (i % 10 === 0) await net.runAsync(input)
        if (i % 50 === 0) { gc(); await turn() }
      }
    }
    await many(300)
    const before = await settled()
    await many(2000)
    console.log(await settled() - before)`,
    '--expose-gc',
  )
  // 2,000 × 0.2 MB if none were.
  expect(Number(output)).toBeLessThan(32)
})

test('V8 is told of native memory: forgotten models are freed without gc() being called', async () => {
  const output = await run(`
    const input = images(1)
    const before = process.memoryUsage.rss() / 2 ** 20
    for (let i = 0; i < 3000; i++) { compile().run(input); if (i % 20 === 0) await turn() }
    console.log(process.memoryUsage.rss() / 2 ** 20 - before)`)
  // 600 MB if none were.
  expect(Number(output)).toBeLessThan(300)
})

test('runAsync leaves the event loop alone', async () => {
  const output = await run(`
    // Much work for little to copy.
    const layer = () => new Conv2d(64, 64, { kernelSize: 5, padding: 2 })
    const net = new Sequential(layer(), layer(), layer()).compile({ inputShape: [64, 48, 48], threads: 1 })
    const one = new Float32Array(64 * 48 * 48)
    net.run(one)
    const start = performance.now()
    net.run(one)
    const batch = new Float32Array(one.length * Math.ceil(600 / (performance.now() - start)))
    // Turns of the loop between the call and its answer: one where the work is done on this thread, whatever the
    // machine is busy with.
    let turns = 0, done = false
    const again = () => { if (!done) { turns++; setImmediate(again) } }
    setImmediate(again)
    await net.runAsync(batch)
    done = true
    console.log(turns)`)
  expect(Number(output)).toBeGreaterThan(100)
})

test('the process may end with calls in flight, disposed or not', async () => {
  const output = await run(`
    const nets = [compile(), compile()]
    for (const net of nets) for (let i = 0; i < 8; i++) net.runAsync(images(64))
    nets[0].dispose()
    console.log('leaving')
    setImmediate(() => process.exit())`)
  expect(output).toBe('leaving')
})

test('a model that is forgotten in flight still lands', async () => {
  const output = await run(
    `
    const flights = Array.from({ length: 20 }, () => compile().runAsync(images(1)))
    for (let i = 0; i < 5; i++) { gc(); await turn() }
    console.log((await Promise.all(flights)).every(same))`,
    '--expose-gc',
  )
  expect(output).toBe('true')
})

test('memory that changes hands, size or content while it is in use', async () => {
  const output = await run(`
    if (!isMainThread) {
      for (;;) workerData.fill(Math.random())
    }
    const net = compile()
    const log = []
    const attempt = (name, call) => {
      try { call(); log.push(name + ' ok') } catch (error) { log.push(name + ' ' + error.code) }
    }
    const out = new Float32Array(10)

    // an input sent to another thread between two calls
    const sent = images(1)
    attempt('mine', () => net.run(sent, out))
    const receiver = new Worker(new URL(import.meta.url), { workerData: new Float32Array(4), transferList: [sent.buffer] })
    attempt('sent', () => net.run(sent, out))
    await receiver.terminate()

    // an input in a buffer that shrinks below it and grows again
    const buffer = new ArrayBuffer(784 * 4, { maxByteLength: 1 << 20 })
    const tracking = new Float32Array(buffer)
    attempt('tracking', () => net.run(tracking, out))
    buffer.resize(0)
    attempt('shrunk', () => net.run(tracking, out))
    buffer.resize(784 * 4)
    attempt('grown', () => net.run(tracking, out))
    buffer.resize(1 << 20)
    attempt('large', () => net.run(tracking, out))

    // an output that shrinks in flight
    const small = new ArrayBuffer(40, { maxByteLength: 80 })
    const flight = net.runAsync(images(1), new Float32Array(small))
    small.resize(4)
    await flight.then(() => log.push('flight ok'), (error) => log.push('flight ' + error.code))

    // an input that another thread never stops writing to
    const shared = new Float32Array(new SharedArrayBuffer(784 * 4))
    const writer = new Worker(new URL(import.meta.url), { workerData: shared })
    await sleep(50)
    for (let i = 0; i < 200; i++) net.run(shared, out)
    await writer.terminate()
    log.push('written ' + out.every(Number.isFinite))

    // WebAssembly memory is detached when it grows
    const memory = new WebAssembly.Memory({ initial: 1 })
    const inside = new Float32Array(memory.buffer, 0, 784)
    attempt('wasm', () => net.run(inside, out))
    memory.grow(1)
    attempt('wasm grown', () => net.run(inside, out))
    attempt('still', () => { if (!same(net.run(images(1)))) throw new Error() })
    console.log(log.join(', '))`)
  expect(output.split(', ')).toEqual([
    'mine ok',
    'sent ERR_SHAPE',
    'tracking ok',
    'shrunk ERR_SHAPE',
    'grown ok',
    'large ERR_SHAPE',
    'flight ERR_ARGUMENT',
    'written true',
    'wasm ok',
    'wasm grown ERR_SHAPE',
    'still ok',
  ])
})

test('importing loads no binary', async () => {
  const path = join(folder, 'import.mjs')
  writeFileSync(
    path,
    `import '${kernelet}'
     console.log(process.report.getReport().sharedObjects.some((file) => file.endsWith('kernelet.node')))`,
  )
  const { stdout } = await promisify(execFile)(process.execPath, [path])
  expect(stdout.trim()).toBe('false')
})
