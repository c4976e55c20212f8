/** What changes while a trainer lives: layers frozen, unfrozen, replaced, set to eval(); batches too small; its end. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import {
  Adam,
  BatchNorm1d,
  BatchNorm2d,
  Conv2d,
  Dataset,
  Dropout,
  type EpochReport,
  Flatten,
  freeze,
  KerneletError,
  Linear,
  Parameter,
  ReLU,
  Sequential,
  SGD,
  StepLR,
  Tensor,
  Trainer,
  unfreeze,
} from '../lib/index.ts'
import { noise } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-'))
afterAll(() => rmSync(folder, { recursive: true }))

const dataOf = (count: number) =>
  new Dataset({
    images: Uint8Array.from({ length: count * 36 }, (_, i) => (i * 7919) % 251),
    labels: Array.from({ length: count }, (_, i) => i % 3),
    shape: [1, 6, 6],
    classes: ['a', 'b', 'c'],
  })
const normalized = () =>
  new Sequential(new Flatten(), new Linear(36, 8), new BatchNorm1d(8), new ReLU(), new Linear(8, 3))
const images = (count: number) => new Tensor(noise(36 * count, 7), [count, 1, 6, 6])
const valuesOf = (model: Sequential) =>
  new Map([...model.stateDict()].map(([name, { data }]) => [name, data.slice()]))

async function reportsOf(run: AsyncIterable<EpochReport>): Promise<EpochReport[]> {
  const reports: EpochReport[] = []
  for await (const report of run) reports.push(report)
  return reports
}

describe('a batch norm with one value a channel', () => {
  test('step refuses it, as the eager layer does, and changes nothing', () => {
    const model = normalized()
    const trainer = new Trainer(model, { seed: 1 })
    trainer.step(images(4), [0, 1, 2, 0])
    const before = valuesOf(model)
    const one = images(1)
    expect(() => trainer.step(one, [1])).toThrow(
      expect.objectContaining({
        code: 'ERR_SHAPE',
        message: expect.stringContaining('2 expects more than one value'),
      }),
    )
    expect(() => model.forward(one)).toThrow(expect.objectContaining({ code: 'ERR_SHAPE' }))
    expect(valuesOf(model)).toEqual(before)
    expect(trainer.steps).toBe(1)
    model.eval()
    expect(trainer.step(one, [1]).loss).toBeGreaterThan(0)
  })

  test('one image of several positions is a batch', () => {
    const model = new Sequential(
      new Conv2d(1, 2, { kernelSize: 3 }),
      new BatchNorm2d(2),
      new Flatten(),
      new Linear(32, 3),
    )
    expect(new Trainer(model, { seed: 1 }).step(images(1), [1]).loss).toBeGreaterThan(0)
  })

  test('fit refuses steps of one image before it begins', () => {
    const trainer = new Trainer(normalized(), { seed: 1 })
    const refused = expect.objectContaining({ code: 'ERR_SHAPE' })
    expect(() => trainer.fit(dataOf(8), { batchSize: 1 })).toThrow(refused)
    expect(() => trainer.fit(dataOf(1), { batchSize: 8 })).toThrow(refused)
  })

  test('a step that is left out counts nowhere: in the schedule, in progress, for the health', async () => {
    const steps: number[] = []
    const trainer = new Trainer(normalized(), { seed: 1 })
    const schedule = new StepLR({ stepSize: 4, gamma: 0.1, interval: 'step' })
    const onProgress = (progress: { steps: number }) => steps.push(progress.steps)
    const reports = await reportsOf(
      trainer.fit(dataOf(33), { epochs: 2, batchSize: 8, schedule, onProgress }),
    )
    expect(new Set(steps)).toEqual(new Set([4]))
    expect(reports.map(({ lr }) => lr)).toEqual([1e-3, 1e-4])
    expect(reports.map(({ health }) => health?.layers.length)).toEqual([3, 3])
  })

  test('a last step of one image is left out and reported; another one each epoch', async () => {
    const model = normalized()
    const trainer = new Trainer(model, { seed: 1, optimizer: new SGD({ lr: 0 }) })
    const reports = await reportsOf(trainer.fit(dataOf(33), { epochs: 40, batchSize: 32, health: false }))
    expect(reports.map(({ skipped }) => skipped)).toEqual(Array(40).fill(1))
    expect(trainer.steps).toBe(40)
    const whole = normalized()
    whole.loadStateDict(model.stateDict())
    const variance = (of: Sequential) => of.stateDict().get('2.running_var')?.data[0] as number
    expect(variance(model)).toBeGreaterThan(1e-3)
    // Without a batch norm, or with one that rests, every image counts.
    const plain = new Trainer(new Sequential(new Flatten(), new Linear(36, 3)), { seed: 1 })
    expect((await reportsOf(plain.fit(dataOf(33), { batchSize: 32 })))[0]?.skipped).toBe(0)
    const resting = new Trainer(normalized().eval(), { seed: 1 })
    const [report] = await reportsOf(resting.fit(dataOf(33), { batchSize: 32, health: false }))
    expect([report?.skipped, report?.step]).toEqual([0, 2])
  })
})

test('a run with steps left out that stops anywhere goes on to the same bits', async () => {
  const run = async (stop: number): Promise<Float32Array[]> => {
    const make = () => {
      const model = normalized()
      for (const [i, { data }] of model.parameters().entries()) data.set(noise(data.length, i + 1))
      return { model, trainer: new Trainer(model, { seed: 5 }) }
    }
    const [data, options] = [dataOf(65), { epochs: 3, batchSize: 8 }]
    let { model, trainer } = make()
    const control = new AbortController()
    let calls = 0
    const onProgress = () => {
      if (++calls === stop) control.abort()
    }
    const first = reportsOf(trainer.fit(data, { ...options, signal: control.signal, onProgress }))
    if (stop === 0) {
      await first
    } else {
      await expect(first).rejects.toThrow(expect.objectContaining({ code: 'ERR_ABORTED' }))
      const file = join(folder, 'left-out.safetensors')
      trainer.saveCheckpoint(file)
      ;({ model, trainer } = make())
      trainer.loadCheckpoint(file)
      const rest = await reportsOf(trainer.fit(data, { ...options, resume: true }))
      expect(rest.map(({ skipped }) => skipped)).toEqual(Array(rest.length).fill(1))
    }
    expect(trainer.steps).toBe(24)
    return [...model.stateDict().values()].map(({ data }) => data)
  }
  const whole = await run(0)
  for (const stop of [1, 2, 3]) expect(await run(stop)).toEqual(whole)
})

describe('freeze, unfreeze, eval() and new parameters count from the next step', () => {
  const x = images(8)
  const y = [0, 1, 2, 0, 1, 2, 0, 1]

  test('what is frozen stays, what is unfrozen moves', () => {
    const layer = new Linear(36, 8)
    const model = new Sequential(new Flatten(), layer, new ReLU(), new Linear(8, 3))
    const trainer = new Trainer(model, { seed: 1, optimizer: new SGD({ lr: 0.1, momentum: 0.9 }) })
    const moved = () => {
      const before = layer.weight.data.slice()
      trainer.step(x, y)
      return layer.weight.data.some((value, i) => value !== before[i])
    }
    expect(moved()).toBe(true)
    freeze(layer)
    expect([moved(), moved()]).toEqual([false, false])
    expect([...trainer.gradients().keys()]).toEqual(['3.weight', '3.bias'])
    unfreeze(layer)
    expect(moved()).toBe(true)
    expect(trainer.steps).toBe(4)
    freeze(model)
    expect(() => trainer.step(x, y)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })

  test('a parameter unfrozen late is corrected for its own steps, as by torch.optim.Adam', () => {
    const layer = new Linear(36, 3, { bias: false })
    const model = new Sequential(new Flatten(), layer, new Linear(3, 3))
    freeze(layer)
    const lr = 1e-3
    const trainer = new Trainer(model, { seed: 1, optimizer: new Adam({ lr }) })
    for (let i = 0; i < 20; i++) trainer.step(x, y)
    unfreeze(layer)
    let [m, v] = [0, 0]
    for (let t = 1; t <= 3; t++) {
      const before = layer.weight.data[5] as number
      trainer.step(x, y)
      const g = trainer.gradients().get('1.weight')?.[5] as number
      m = 0.9 * m + 0.1 * g
      v = 0.999 * v + 0.001 * g * g
      const expected = (lr * (m / (1 - 0.9 ** t))) / (Math.sqrt(v / (1 - 0.999 ** t)) + 1e-8)
      expect(before - (layer.weight.data[5] as number)).toBeCloseTo(expected, 6)
    }
    // The pause of a parameter that was trained before does not count either.
    freeze(layer)
    for (let i = 0; i < 5; i++) trainer.step(x, y)
    unfreeze(layer)
    const before = layer.weight.data[5] as number
    trainer.step(x, y)
    const g = trainer.gradients().get('1.weight')?.[5] as number
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g * g
    const expected = (lr * (m / (1 - 0.9 ** 4))) / (Math.sqrt(v / (1 - 0.999 ** 4)) + 1e-8)
    expect(before - (layer.weight.data[5] as number)).toBeCloseTo(expected, 6)
  })

  test('averages of a parameter unfrozen late begin with its value', () => {
    const layer = new Linear(36, 3)
    const model = new Sequential(new Flatten(), layer, new Linear(3, 3))
    freeze(layer)
    const trainer = new Trainer(model, { seed: 1, ema: 0.9, optimizer: new SGD({ lr: 0.01 }) })
    for (let i = 0; i < 3; i++) trainer.step(x, y)
    unfreeze(layer)
    const before = layer.weight.data.slice()
    trainer.step(x, y)
    const average = trainer.averagedStateDict().get('1.weight')?.data as Float32Array
    for (const [i, value] of layer.weight.data.entries()) {
      expect(average[i]).toBeCloseTo(0.9 * (before[i] as number) + 0.1 * value, 6)
    }
  })

  test('eval() keeps running statistics and drops nothing, train() takes it back', () => {
    const norm = new BatchNorm1d(8)
    const dropout = new Dropout(0.9)
    const model = new Sequential(new Flatten(), new Linear(36, 8), norm, dropout, new Linear(8, 3))
    const trainer = new Trainer(model, { seed: 1, optimizer: new SGD({ lr: 0 }) })
    const moved = () => {
      const before = norm.runningMean.data.slice()
      const losses = [trainer.step(x, y).loss, trainer.step(x, y).loss]
      return [norm.runningMean.data.some((value, i) => value !== before[i]), losses[0] !== losses[1]]
    }
    expect(moved()).toEqual([true, true])
    model.eval()
    expect(moved()).toEqual([false, false])
    expect(norm.numBatchesTracked.data[0]).toBe(2)
    model.train()
    expect(moved()).toEqual([true, true])
  })

  test('a parameter that is replaced is trained in the place of the old one, with a state of its own', () => {
    const layer = new Linear(36, 3, { bias: false })
    const trainer = new Trainer(new Sequential(new Flatten(), layer), {
      seed: 1,
      optimizer: new SGD({ lr: 1, momentum: 0.9 }),
    })
    for (let i = 0; i < 3; i++) trainer.step(x, y)
    const old = layer.weight.data.slice()
    const fresh = new Parameter(new Float32Array(108).fill(0.01), [3, 36])
    Object.assign(layer, { weight: fresh })
    trainer.step(x, y)
    const g = trainer.gradients().get('1.weight') as Float32Array
    for (const [i, value] of fresh.data.entries()) expect(value).toBeCloseTo(0.01 - (g[i] as number), 5)
    expect(old).not.toEqual(fresh.data)
  })

  test('a checkpoint knows of frozen parameters: it goes on to the same bits', () => {
    const make = () => {
      const layer = new Linear(36, 8)
      const model = new Sequential(new Flatten(), layer, new ReLU(), new Linear(8, 3))
      return {
        layer,
        model,
        trainer: new Trainer(model, { seed: 1, optimizer: new Adam({ lr: 0.01 }), ema: 0.9 }),
      }
    }
    const one = make()
    for (let i = 0; i < 3; i++) one.trainer.step(x, y)
    freeze(one.layer)
    for (let i = 0; i < 4; i++) one.trainer.step(x, y)
    const file = join(folder, 'frozen.safetensors')
    one.trainer.saveCheckpoint(file)
    const two = make()
    freeze(two.layer)
    two.trainer.loadCheckpoint(file)
    for (const { trainer, layer } of [one, two]) {
      trainer.step(x, y)
      unfreeze(layer)
      trainer.step(x, y)
    }
    expect(valuesOf(two.model)).toEqual(valuesOf(one.model))
    expect(two.trainer.averagedStateDict()).toEqual(one.trainer.averagedStateDict())
  })
})

describe('the end of a trainer', () => {
  const model = () => new Sequential(new Flatten(), new Linear(36, 3))
  const disposed = expect.objectContaining({ code: 'ERR_DISPOSED' })

  test('while fit computes: it ends after the step, and the weights are those of one', async () => {
    const net = model()
    const trainer = new Trainer(net, { seed: 1, optimizer: new SGD({ lr: 0.1 }) })
    const run = trainer.fit(dataOf(3000), { epochs: 1000, batchSize: 4 })
    const next = run.next()
    trainer.dispose()
    await expect(next).rejects.toThrow(disposed)
    expect(valuesOf(net).get('1.weight')?.every(Number.isFinite)).toBe(true)
    for (const call of [
      () => trainer.step(images(1), [1]),
      () => trainer.fit(dataOf(3)),
      () => trainer.saveCheckpoint(join(folder, 'x')),
    ]) {
      expect(call).toThrow(disposed)
    }
    trainer.dispose()
  })

  test('it is free again only when the run that computes ends, whatever other runs do', async () => {
    const trainer = new Trainer(model(), { seed: 1 })
    const [one, two] = [trainer.fit(dataOf(64), { epochs: 3 }), trainer.fit(dataOf(64), { epochs: 3 })]
    await one.next()
    await two.next()
    const next = trainer.fit(dataOf(3000), { batchSize: 4 }).next()
    const busy = expect.objectContaining({
      code: 'ERR_BUSY',
      message: expect.stringContaining('fit is running'),
    })
    await expect(one.next()).rejects.toThrow(busy)
    await two.return()
    expect(() => trainer.step(images(1), [1])).toThrow(busy)
    expect(() => trainer.gradients()).toThrow(busy)
    expect(trainer.steps).toBe(2)
    await next
    expect(trainer.steps).toBe(752)
    trainer.step(images(1), [1])
  })

  test('nothing is left of it but its counts', async () => {
    const trainer = new Trainer(model(), { seed: 1, ema: 0.9 })
    trainer.step(images(1), [1])
    trainer.dispose()
    expect(() => trainer.gradients()).toThrow(disposed)
    expect(() => trainer.averagedStateDict()).toThrow(disposed)
    await expect(trainer.evaluate(dataOf(3))).rejects.toThrow(disposed)
    expect(trainer.steps).toBe(1)
  })

  test('by a listener of the signal, by the schedule', async () => {
    const one = new Trainer(model(), { seed: 1 })
    const control = new AbortController()
    control.signal.addEventListener('abort', () => one.dispose())
    const run = one.fit(dataOf(3000), { batchSize: 2, epochs: 100, signal: control.signal })
    const next = run.next()
    control.abort()
    await expect(next).rejects.toThrow(disposed)
    const two = new Trainer(model(), { seed: 1 })
    class Last extends StepLR {
      override rate(): number {
        two.dispose()
        return 0.1
      }
    }
    await expect(two.fit(dataOf(64), { schedule: new Last({ stepSize: 1 }) }).next()).rejects.toThrow(
      disposed,
    )
    expect(two.steps).toBe(0)
  })

  test('at any moment: the run ends, and the weights are those of whole steps', async () => {
    const data = dataOf(640)
    for (let moment = 0; moment < 20; moment++) {
      const [net, replayed] = [model(), model()]
      replayed.loadStateDict(net.stateDict())
      const trainer = new Trainer(net, { seed: 1, mean: 0.1 })
      const validation = moment % 2 === 0 ? undefined : data
      const run = trainer.fit(data, { epochs: 500, batchSize: 8, shuffle: false, validation })
      const end = reportsOf(run).then(
        () => 'done',
        ({ code }) => code,
      )
      for (let i = 0; i < moment; i++) await new Promise(setImmediate)
      trainer.dispose()
      expect(await end).toBe('ERR_DISPOSED')
      expect(() => trainer.step(images(1), [1])).toThrow(disposed)
      const again = new Trainer(replayed, { seed: 1, mean: 0.1, inputShape: [1, 6, 6] })
      for (let i = 0; i < trainer.steps; i++) {
        const first = (i % 80) * 8
        again.step(data.images.slice(36 * first, 36 * (first + 8)), data.labels.subarray(first, first + 8))
      }
      expect(valuesOf(net)).toEqual(valuesOf(replayed))
    }
  })

  test('in a callback, between reports, before the first', async () => {
    const one = new Trainer(model(), { seed: 1 })
    const during = reportsOf(one.fit(dataOf(64), { batchSize: 4, onProgress: () => one.dispose() }))
    await expect(during).rejects.toThrow(disposed)
    const two = new Trainer(model(), { seed: 1 })
    const between = async () => {
      for await (const report of two.fit(dataOf(64), { epochs: 3 })) {
        expect(report.epoch).toBe(1)
        two.dispose()
      }
    }
    await expect(between()).rejects.toThrow(disposed)
    const three = new Trainer(model(), { seed: 1 })
    const run = three.fit(dataOf(64))
    three.dispose()
    await expect(run.next()).rejects.toThrow(disposed)
  })

  test('a loop that is left leaves the trainer free', async () => {
    const trainer = new Trainer(model(), { seed: 1 })
    for await (const report of trainer.fit(dataOf(64), { epochs: 9 })) {
      if (report.epoch === 2) break
    }
    expect(trainer.epochs).toBe(2)
    expect(trainer.step(new Tensor(new Float32Array(36), [1, 1, 6, 6]), [1])).toBeInstanceOf(Object)
    const run = trainer.fit(dataOf(64), { epochs: 9 })
    await run.next()
    await expect(run.throw(new KerneletError('ERR_ABORTED', 'mine'))).rejects.toThrow('mine')
    expect(trainer.epochs).toBe(3)
  })
})
