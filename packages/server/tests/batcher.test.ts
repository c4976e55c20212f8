import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { RequestError } from '../lib/errors.ts'
import { Batcher, type BatcherOptions, type Job, type Plan, type PlanValues } from '../lib/models/batcher.ts'
import { unmeasured } from '../lib/models/measures.ts'
import { bytesOf } from '../lib/protocol/datatypes.ts'

/** Doubles one number an image; tells how large the batches were. */
function doubling(options: { slow?: boolean; fault?: (batch: number) => boolean } = {}): Plan & {
  sizes: number[]
  release(): void
} {
  const sizes: number[] = []
  const held: (() => void)[] = []
  let warm = true
  const run = (x: Float32Array): Float32Array[] => {
    if (!warm && options.fault?.(x.length)) throw new Error('broken')
    return [x.map((value) => 2 * value)]
  }
  return {
    type: 'FP32',
    inputBytes: [4],
    outputLengths: [1],
    sizes,
    run(inputs) {
      // a model is slow where its warm-up is
      const end = performance.now() + (options.slow ? 1 : 0)
      while (performance.now() < end);
      sizes.push((inputs[0] as Float32Array).length)
      return run(inputs[0] as Float32Array)
    },
    async runAsync(inputs) {
      warm = false
      const copy = (inputs[0] as Float32Array).slice()
      sizes.push(copy.length)
      await new Promise<void>((resolve) => held.push(resolve))
      return run(copy)
    },
    release() {
      held.shift()?.()
    },
  }
}

const defaults: BatcherOptions = { maxBatch: 8, maxDelay: 0, queue: 100, maxWait: 0, processors: 2 }

function batcherOf(plan: ReturnType<typeof doubling>, options: Partial<BatcherOptions> = {}): Batcher {
  const batcher = new Batcher(plan, { ...defaults, ...options }, unmeasured)
  plan.sizes.length = 0
  return batcher
}

function submit(batcher: Batcher, values: number[], parts: Partial<Job> = {}): Promise<number[]> {
  return new Promise((resolve, reject) => {
    batcher.submit({
      inputs: [bytesOf(Float32Array.from(values))],
      images: values.length,
      deadline: Number.POSITIVE_INFINITY,
      alive: () => true,
      done: (error, outputs) => (error ? reject(error) : resolve(Array.from(outputs[0] as Float32Array))),
      ...parts,
    })
  })
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a quick model', () => {
  test('runs what came in one turn as one batch, each with its own results', async () => {
    const plan = doubling()
    const batcher = batcherOf(plan)
    const results = await Promise.all([submit(batcher, [1]), submit(batcher, [2, 3]), submit(batcher, [4])])
    expect(results).toEqual([[2], [4, 6], [8]])
    expect(plan.sizes).toEqual([4])
  })

  test('cuts batches at maxBatch, and requests that are larger', async () => {
    const plan = doubling()
    const batcher = batcherOf(plan)
    const large = Array.from({ length: 19 }, (_, i) => i)
    const results = await Promise.all([
      submit(batcher, [1, 2, 3]),
      submit(batcher, large),
      submit(batcher, [7]),
    ])
    expect(results).toEqual([[2, 4, 6], large.map((value) => 2 * value), [14]])
    expect(Math.max(...plan.sizes)).toBeLessThanOrEqual(8)
    expect(plan.sizes.reduce((a, b) => a + b)).toBe(23)
  })

  test('takes bytes at any offset', async () => {
    const bytes = new Uint8Array(9)
    bytes.set(bytesOf(Float32Array.of(3, 5)), 1)
    const plan = doubling()
    expect(await submit(batcherOf(plan), [0, 0], { inputs: [bytes.subarray(1)] })).toEqual([6, 10])
  })
})

test('a model that only seemed slow comes back to the event loop', async () => {
  let microseconds = 250
  let away = 0
  // a clock of its own: another process may take the time of a run
  let clock = 0
  const now = vi.spyOn(performance, 'now').mockImplementation(() => clock)
  onTestFinished(() => now.mockRestore())
  const run: Plan['run'] = (inputs) => {
    clock += microseconds / 1000
    return [(inputs[0] as Float32Array).map((value) => 2 * value)]
  }
  const runAsync: Plan['runAsync'] = async (inputs) => {
    away++
    return run(inputs)
  }
  const plan: Plan = { type: 'FP32', inputBytes: [4], outputLengths: [1], run, runAsync }
  const batcher = new Batcher(plan, { ...defaults, maxBatch: 1 }, unmeasured)
  microseconds = 0
  for (let i = 0; i < 300; i++) expect(await submit(batcher, [i])).toEqual([2 * i])
  expect(away).toBeGreaterThan(0)
  away = 0
  for (let i = 0; i < 100; i++) await submit(batcher, [i])
  expect(away).toBe(0)
})

test('where there is one processor a batch of less than a millisecond stays on the event loop', async () => {
  let away = 0
  let clock = 0
  const now = vi.spyOn(performance, 'now').mockImplementation(() => clock)
  onTestFinished(() => now.mockRestore())
  const awayFor = async (microseconds: number, processors: number): Promise<boolean> => {
    const run: Plan['run'] = ([x]) => {
      clock += microseconds / 1000
      return [(x as Float32Array).slice()]
    }
    const runAsync: Plan['runAsync'] = async (inputs) => {
      away++
      return run(inputs)
    }
    const plan: Plan = { type: 'FP32', inputBytes: [4], outputLengths: [1], run, runAsync }
    const batcher = new Batcher(plan, { ...defaults, maxBatch: 1, processors }, unmeasured)
    away = 0
    await submit(batcher, [1])
    return away > 0
  }
  expect(await awayFor(900, 1)).toBe(false)
  expect(await awayFor(900, 2)).toBe(true)
  expect(await awayFor(2100, 1)).toBe(true)
  expect(await awayFor(150, 2)).toBe(false)
})

test('maxWait: refuses what is expected to be late, by what batches take; a model that is free takes all', async () => {
  let clock = 0
  const now = vi.spyOn(performance, 'now').mockImplementation(() => clock)
  onTestFinished(() => now.mockRestore())
  const twice = ([x]: readonly PlanValues[]): Float32Array[] => [
    (x as Float32Array).map((value) => 2 * value),
  ]
  const held: (() => void)[] = []
  let each = 4
  const plan: Plan = {
    type: 'FP32',
    inputBytes: [4],
    outputLengths: [1],
    run(inputs) {
      clock += each * (inputs[0]?.length ?? 0)
      return twice(inputs)
    },
    async runAsync(inputs) {
      const results = twice(inputs)
      const end = clock + each * (inputs[0]?.length ?? 0)
      await new Promise<void>((resolve) => held.push(resolve))
      clock = Math.max(clock, end)
      return results
    },
  }
  const batcher = new Batcher(plan, { ...defaults, maxBatch: 2, maxWait: 10 }, unmeasured)
  const release = async (): Promise<void> => {
    for (let i = 0; i < 4; i++) await turn()
    held.shift()?.()
    for (let i = 0; i < 4; i++) await turn()
  }
  const first = submit(batcher, [1])
  for (let i = 0; i < 4; i++) await turn()
  const second = submit(batcher, [2])
  await expect(submit(batcher, [3])).rejects.toMatchObject({
    reason: 'overloaded',
    statusCode: 503,
    message: 'The answer is expected in 12.0 ms, and may take 10 (--max-wait); try again later',
  })
  clock += 2
  // one that hung up makes room
  let there = true
  const gone = submit(batcher, [3], { alive: () => there })
  await expect(submit(batcher, [4])).rejects.toMatchObject({ reason: 'overloaded' })
  there = false
  const fourth = submit(batcher, [4])
  await expect(gone).rejects.toMatchObject({ reason: 'hung_up' })
  await release()
  await release()
  expect(await Promise.all([first, second, fourth])).toEqual([[2], [4], [8]])
  // free: any size; and what batches take is learnt
  each = 1
  for (let i = 0; i < 40; i++) {
    const five = submit(batcher, [1, 2, 3, 4, 5])
    for (let part = 0; part < 3; part++) await release()
    expect(await five).toEqual([2, 4, 6, 8, 10])
  }
  const last = submit(batcher, [1])
  for (let i = 0; i < 4; i++) await turn()
  const eight = submit(batcher, [1, 2, 3, 4, 5, 6, 7, 8])
  await expect(submit(batcher, [1, 2])).rejects.toMatchObject({ reason: 'overloaded' })
  for (let part = 0; part < 5; part++) await release()
  expect((await Promise.all([last, eight])).map(({ length }) => length)).toEqual([1, 8])
})

describe('a slow model', () => {
  test('leaves the event loop; what comes meanwhile shares the next batch', async () => {
    const plan = doubling({ slow: true })
    const batcher = batcherOf(plan)
    const first = submit(batcher, [1])
    await turn()
    await turn()
    const others = [submit(batcher, [2]), submit(batcher, [3])]
    plan.release()
    expect(await first).toEqual([2])
    await turn()
    await turn()
    plan.release()
    expect(await Promise.all(others)).toEqual([[4], [6]])
    expect(plan.sizes).toEqual([1, 2])
  })

  test('refuses beyond the queue, at once, and makes room when somebody hangs up', async () => {
    const plan = doubling({ slow: true })
    const batcher = batcherOf(plan, { queue: 2, maxBatch: 1 })
    const first = submit(batcher, [1])
    await turn()
    await turn()
    let there = true
    const gone = submit(batcher, [2], { alive: () => there })
    const second = submit(batcher, [3])
    await expect(submit(batcher, [4])).rejects.toMatchObject({ statusCode: 503, reason: 'overloaded' })
    await expect(submit(batcher, [4, 5, 6])).rejects.toMatchObject({ statusCode: 413 })
    there = false
    const third = submit(batcher, [5])
    await expect(gone).rejects.toMatchObject({ reason: 'hung_up' })
    expect(batcher.waiting).toBe(2)
    for (let i = 0; i < 12; i++) {
      plan.release()
      await turn()
    }
    expect(await Promise.all([first, second, third])).toEqual([[2], [6], [10]])
    expect(plan.sizes).toEqual([1, 1, 1])
  })

  test('answers one whose time is over while a batch runs, and never runs it', async () => {
    const plan = doubling({ slow: true })
    const batcher = batcherOf(plan)
    const first = submit(batcher, [1])
    await turn()
    await turn()
    const late = submit(batcher, [2], { deadline: performance.now() + 5 })
    await expect(late).rejects.toMatchObject({ statusCode: 504 })
    plan.release()
    await first
    await batcher.drained()
    expect(plan.sizes).toEqual([1])
  })

  test('hands a fault to those of the batch, and goes on', async () => {
    const plan = doubling({ slow: true, fault: (batch) => batch === 2 })
    const batcher = batcherOf(plan)
    const both = [submit(batcher, [1]), submit(batcher, [2])]
    await turn()
    plan.release()
    for (const one of both) await expect(one).rejects.toThrow('broken')
    const next = submit(batcher, [3])
    await turn()
    await turn()
    plan.release()
    expect(await next).toEqual([6])
    await batcher.drained()
  })
})

test('drained resolves at once when nothing waits', async () => {
  await batcherOf(doubling()).drained()
  expect(new RequestError('overloaded', '').statusCode).toBe(503)
})
