/** Pictures prepared on other threads; dist/ must be built, as a thread runs no TypeScript. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { Classifier, DigitClassifier, type Pixels, setPictureThreads } from '../lib/index.ts'
import { PicturePool } from '../lib/vision/classifier/pool.ts'
import { preparationFor } from '../lib/vision/classifier/preparation.ts'
import { shareable } from '../lib/vision/classifier/share.ts'
import type { Work } from '../lib/vision/classifier/work.ts'
import { Permits } from '../lib/vision/picture/permits.ts'
import { enlarged, gray, grayPng, placed, two } from './digits-pictures.ts'
import { turnsDuring } from './event-loop.ts'
import { root } from './helpers.ts'

const pixels: Pixels = { ...placed(two, 40, 40, 9, 12), channels: 1 }
const png = grayPng(placed(two, 40, 40, 9, 12))
const pencil = join(root, 'examples/digits/1-pencil.png')
const digits = DigitClassifier.load()
const expected = digits.classify(pixels)

describe('classifyAsync', () => {
  test('gives what classify gives, of bytes, pixels of every kind of memory, and files', async () => {
    const { data, ...size } = pixels
    const shared = new Uint8Array(new SharedArrayBuffer(data.length))
    shared.set(data)
    const given = [
      png,
      new Uint8Array(png).buffer,
      pixels,
      { ...size, data: new Uint8ClampedArray(data) },
      { ...size, data: shared },
      { ...size, data: Buffer.from([9, ...data]).subarray(1) },
    ]
    expect(await Promise.all(given.map((one) => digits.classifyAsync(one)))).toEqual(
      given.map(() => expected),
    )
    expect(data.length).toBe(1600)
    expect(await digits.classifyFile(pencil)).toEqual(digits.classify(readFileSync(pencil)))
  })

  test('many at once, each its own', async () => {
    const blank = grayPng(gray(30, 30, () => 255))
    const all = Array.from({ length: 200 }, (_, i) => (i % 3 === 0 ? blank : png))
    const results = await Promise.all(all.map((one) => digits.classifyAsync(one)))
    expect(results.map(({ digit }) => digit)).toEqual(all.map((one) => (one === blank ? null : 2)))
  })

  test('of a large picture in pieces; memory that is handed over is gone, other is not', async () => {
    const page = enlarged(two, 50)
    const large: Pixels = { ...page, channels: 1 }
    const whole = digits.classify(large)
    expect(await digits.classifyAsync(large)).toEqual(whole)
    expect(page.data.length).toBe(page.width * page.height)
    expect(await digits.classifyAsync(large, { transfer: true })).toEqual(whole)
    expect(page.data.length).toBe(0)
    // a view of a part of a buffer does not take the rest along
    const part = new Uint8Array(new Uint8Array([9, ...png]).buffer, 1)
    expect(await digits.classifyAsync(part, { transfer: true })).toEqual(expected)
    expect(part).toHaveLength(png.length)
  })

  test('errors are the same', async () => {
    const cases: [() => Promise<unknown>, string, RegExp][] = [
      [() => digits.classifyAsync(Buffer.from('text')), 'ERR_FORMAT', /not a picture/],
      [() => digits.classifyAsync(png.subarray(0, 50)), 'ERR_FORMAT', /ends too early/],
      [() => digits.classifyAsync({ ...pixels, width: 41 }), 'ERR_SHAPE', /1640 bytes/],
      [() => digits.classifyAsync('two.png' as never), 'ERR_ARGUMENT', /classifyFile reads/],
      [() => digits.classifyFile('none.png'), 'ERR_IO', /no such file/],
      [() => digits.classifyFile(7 as never), 'ERR_ARGUMENT', /must be a path/],
      [() => digits.classifyFile(root), 'ERR_IO', /it is a folder/],
      [() => digits.classifyAsync(png, { signals: 1 } as never), 'ERR_ARGUMENT', /unknown option "signals"/],
      [() => digits.classifyAsync(png, { signal: 1 } as never), 'ERR_ARGUMENT', /must be an AbortSignal/],
      [() => digits.classifyAsync(png, { transfer: 1 } as never), 'ERR_ARGUMENT', /true or false/],
    ]
    for (const [call, code, message] of cases) {
      await expect(call()).rejects.toThrow(
        expect.objectContaining({ name: 'KerneletError', code, message: expect.stringMatching(message) }),
      )
    }
  })

  test('limits hold before anything is decoded', async () => {
    using small = Classifier.load(undefined, { maxPixels: 1599, maxBytes: png.length - 1 })
    await expect(small.classifyFile(pencil)).rejects.toThrow(/at most \d+ are read/)
    for (const call of [(one: Buffer | Pixels) => small.classifyAsync(one)]) {
      await expect(call(png)).rejects.toThrow(`has ${png.length} bytes; at most ${png.length - 1} are read`)
      await expect(call(pixels)).rejects.toThrow(/at most 0\.001599 megapixels but the picture has 40×40/)
    }
    using narrow = Classifier.load(undefined, { maxPixels: 1599 })
    expect(() => narrow.classify(png)).toThrow(expect.objectContaining({ code: 'ERR_UNSUPPORTED' }))
    for (const maxPixels of [0, 1.5, 64_000_001, 'all']) {
      expect(() => Classifier.load(undefined, { maxPixels } as object)).toThrow(
        /maxPixels must be an integer/,
      )
    }
  })
})

describe('AbortSignal', () => {
  test('fired before: nothing is begun', async () => {
    await expect(digits.classifyAsync(png, { signal: AbortSignal.abort('early') })).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_ABORTED', cause: 'early' }),
    )
  })

  test('fired in line: others go on', async () => {
    const large = grayPng(placed(enlarged(two, 30), 1200, 1000, 300, 200))
    const control = new AbortController()
    const first = digits.classifyAsync(large)
    const given = Array.from({ length: 8 }, () => digits.classifyAsync(large, { signal: control.signal }))
    control.abort()
    const ends = await Promise.allSettled(given)
    expect(ends.map(({ status }) => status)).toEqual(given.map(() => 'rejected'))
    for (const end of ends) expect(end).toMatchObject({ reason: { code: 'ERR_ABORTED' } })
    expect((await first).digit).toBe(2)
    expect((await digits.classifyAsync(png)).digit).toBe(2)
  })
})

describe('the pool', () => {
  const preparation = preparationFor('test', [1, 28, 28], {})
  const work = (picture: Work['picture']): Work => ({
    picture,
    preparation,
    limits: { pixels: 64e6, bytes: 2 ** 30 },
  })
  const pools: PicturePool[] = []
  const made = (size: number): PicturePool => {
    const pool = new PicturePool()
    pool.size = size
    pools.push(pool)
    return pool
  }
  afterEach(() => {
    for (const pool of pools.splice(0)) pool.end()
  })

  test('has no more threads than it may', async () => {
    for (const size of [1, 3]) {
      const pool = made(size)
      const all = Array.from({ length: 60 }, () => pool.prepare(work(png)))
      expect(pool.threads).toBeLessThanOrEqual(size)
      expect((await Promise.all(all)).every(({ found }) => found === 'one')).toBe(true)
      expect(pool.threads).toBeGreaterThanOrEqual(1)
      expect(pool.threads).toBeLessThanOrEqual(size)
    }
    expect(() => setPictureThreads(0)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
    expect(() => setPictureThreads('2' as never)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })

  test('the event loop goes on while a large picture is decoded', async () => {
    const large = grayPng(placed(enlarged(two, 30), 2000, 1500, 500, 400))
    const pool = made(1)
    await pool.prepare(work(png))
    expect(await turnsDuring(pool.prepare(work(large)))).toBeGreaterThan(20)
  })

  test('a signal that fires while a thread is at work ends the wait at once', async () => {
    const pool = made(1)
    pool.file = new URL(
      `data:text/javascript,${encodeURIComponent(`import { parentPort } from 'node:worker_threads'
        parentPort.on('message', ([{ work }]) => { work.picture[0] = 1 }); parentPort.postMessage([])`)}`,
    )
    // it says that it is at work, and never comes to an end
    const begun = new Uint8Array(new SharedArrayBuffer(1))
    const control = new AbortController()
    const given = [begun, png].map((picture) => pool.prepare(work(picture), control.signal))
    while (begun[0] === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    control.abort('enough')
    for (const end of await Promise.allSettled(given))
      expect(end).toMatchObject({ reason: { code: 'ERR_ABORTED', cause: 'enough' } })
  })

  test('memory of threads is shared, moved or copied in pieces', async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(8))
    expect((await shareable(work(shared), false)).work.picture).toEqual(shared)
    const long = new Uint8Array(3 * 2 ** 20).fill(7)
    const { work: copied, transfer } = await shareable(work(long), false)
    expect(transfer).toEqual([])
    expect(Buffer.compare(copied.picture as Uint8Array, long)).toBe(0)
    const cut = new Uint8Array(3 * 2 ** 20)
    const late = shareable(work(cut), false)
    structuredClone(cut.buffer, { transfer: [cut.buffer] })
    await expect(late).rejects.toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })

  test('a thread that cannot be started is said, and the work is done here', async () => {
    const warnings: string[] = []
    const note = (warning: Error) => warnings.push(warning.message)
    process.on('warning', note)
    for (const file of ['data:text/javascript,throw new Error("broken")', 'file:///nowhere/worker.js']) {
      const pool = made(2)
      pool.file = new URL(file)
      const results = await Promise.all(Array.from({ length: 5 }, () => pool.prepare(work(png))))
      expect(results.every(({ found }) => found === 'one')).toBe(true)
    }
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', note)
    expect(
      warnings.filter((one) => one.includes('Pictures are decoded on the thread that asks')),
    ).toHaveLength(2)
  })

  test('a thread that ends at work takes its pictures with it, not the others', async () => {
    const file = join(root, 'tests/fixtures/no-such-thing')
    const pool = made(1)
    pool.file = new URL(
      `data:text/javascript,${encodeURIComponent(`import { parentPort } from 'node:worker_threads'
        parentPort.on('message', () => process.exit(3)); parentPort.postMessage([])`)}`,
    )
    await expect(pool.prepare(work(file))).rejects.toThrow(
      expect.objectContaining({
        code: 'ERR_UNSUPPORTED',
        message: 'the thread that read the picture ended: exit code 3',
      }),
    )
    pool.file = undefined
    expect((await pool.prepare(work(png))).found).toBe('one')
  })
})

test('permits: no more at a time than there are', async () => {
  const counter = Permits.counter(2)
  let now = 0
  let most = 0
  const one = () =>
    new Permits(counter).run(async () => {
      most = Math.max(most, ++now)
      await new Promise((resolve) => setTimeout(resolve, 2))
      now--
    })
  // this thread would wait for itself with a third
  for (let i = 0; i < 5; i++) await Promise.all([one(), one()])
  expect(most).toBe(2)
  expect(counter[0]).toBe(2)
  await expect(new Permits(counter).run(async () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(counter[0]).toBe(2)
})

test('a process ends when its pictures are read', () => {
  // timers that end idle threads do not fire here: it does not wait for them
  const program = `
    const { setTimeout } = globalThis
    globalThis.setTimeout = (call, ms, ...args) => setTimeout(call, ms < 1000 ? ms : 2 ** 31 - 1, ...args)
    const { DigitClassifier } = await import(${JSON.stringify(join(root, 'dist/index.js'))})
    const digits = DigitClassifier.load()
    console.log((await digits.classifyFile(${JSON.stringify(pencil)})).digit)`
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 120_000,
  })
  expect(said.trim()).toBe('1')
})
