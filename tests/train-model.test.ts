/** Whatever forward() goes by may change between two steps: the next one goes by it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import {
  Adam,
  add,
  BatchNorm1d,
  Buffer,
  batchNorm,
  Dataset,
  Dropout,
  type EpochReport,
  Flatten,
  flatten,
  Linear,
  Module,
  mul,
  ReLU,
  relu,
  Sequential,
  SGD,
  Tensor,
  Trainer,
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

async function reportsOf(run: AsyncIterable<EpochReport>): Promise<EpochReport[]> {
  const reports: EpochReport[] = []
  for await (const report of run) reports.push(report)
  return reports
}

const x = images(8)
const y = [0, 1, 2, 0, 1, 2, 0, 1]

/** Losses of steps that move no weight, with a change between the first and the second. */
const around = (model: Module, change: () => void) => {
  const trainer = new Trainer(model, { seed: 1, optimizer: new SGD({ lr: 0 }) })
  const loss = trainer.step(x, y).loss
  change()
  return { loss, trainer, after: trainer.step(x, y).loss }
}

test('other momentum, other eps, other statistics of a batch norm', () => {
  const norm = new BatchNorm1d(8)
  const model = new Sequential(new Flatten(), new Linear(36, 8), norm, new Linear(8, 3))
  let mean = norm.runningMean.data.slice()
  around(model, () => {
    mean = norm.runningMean.data.slice()
    Object.assign(norm, { momentum: 0 })
  })
  expect(mean.some((value) => value !== 0)).toBe(true)
  expect(norm.runningMean.data).toEqual(mean)
  const eps = around(model, () => Object.assign(norm, { eps: 10 }))
  expect(eps.after).not.toBe(eps.loss)
  Object.assign(norm, { momentum: 0.1, runningMean: new Buffer(new Float32Array(8), [8]) })
  eps.trainer.step(x, y)
  expect(norm.runningMean.data.some((value) => value !== 0)).toBe(true)
  // At rest its statistics are read anew, too, and what is in them counts at once.
  const resting = around(model.eval(), () => norm.runningMean.data.fill(3))
  expect(resting.after).not.toBe(resting.loss)
})

test('another share of dropout, a property of forward(), a constant that it reads', () => {
  const dropout = new Dropout(0.9)
  const dropped = around(new Sequential(new Flatten(), new Linear(36, 8), dropout, new Linear(8, 3)), () =>
    Object.assign(dropout, { p: 0 }),
  )
  expect(dropped.trainer.step(x, y).loss).toBe(dropped.after)
  class Scaled extends Module {
    readonly fc = new Linear(36, 3)
    readonly factors = new Tensor(new Float32Array(3).fill(1), [3])
    readonly options = { twice: false }
    readonly times = [1]
    /** Equal to nothing, not even itself. */
    nothing = Number.NaN
    calls = 0
    forward(images: Tensor): Tensor {
      this.calls++
      const scores = mul(this.fc.forward(flatten(images, 1)), this.factors)
      const [times] = this.times
      return this.options.twice || times === 2 ? add(scores, scores) : scores
    }
  }
  const scaled = new Scaled()
  const constant = around(scaled, () => scaled.factors.data.fill(5))
  expect(constant.after).not.toBe(constant.loss)
  scaled.times[0] = 2
  const more = constant.trainer.step(x, y).loss
  expect(more).not.toBe(constant.after)
  scaled.times[0] = 1
  expect(constant.trainer.step(x, y).loss).toBe(constant.after)
  scaled.options.twice = true
  expect(constant.trainer.step(x, y).loss).toBe(more)
  // What forward() notes of itself is no change.
  expect(scaled.calls).toBe(5)
  constant.trainer.step(x, y)
  expect(scaled.calls).toBe(5)
})

test('a mask that comes late, or changes', () => {
  const layer = new Linear(36, 3)
  const trainer = new Trainer(new Sequential(new Flatten(), layer), {
    seed: 1,
    optimizer: new SGD({ lr: 1 }),
  })
  const moved = () => {
    const values = layer.weight.data.slice(0, 3)
    trainer.step(x, y)
    return [...values].map((value, i) => value !== layer.weight.data[i])
  }
  expect(moved()).toEqual([true, true, true])
  const mask = new Uint8Array(108).fill(1)
  mask[0] = 0
  layer.weight.mask = mask
  expect(moved()).toEqual([false, true, true])
  mask[1] = 0
  expect(moved()).toEqual([false, false, true])
  layer.weight.mask = new Uint8Array(5)
  expect(moved).toThrow(expect.objectContaining({ code: 'ERR_SHAPE' }))
})

test('a layer that is taken away leaves nothing behind, in a checkpoint neither', () => {
  class Two extends Module {
    readonly fc = new Linear(36, 3)
    aux: Linear | undefined
    forward(images: Tensor): Tensor {
      const flat = flatten(images, 1)
      return this.aux ? add(this.fc.forward(flat), this.aux.forward(flat)) : this.fc.forward(flat)
    }
  }
  const model = new Two()
  model.aux = new Linear(36, 3)
  const trainer = new Trainer(model, { seed: 1 })
  trainer.step(x, y)
  model.aux = undefined
  trainer.step(x, y)
  const file = join(folder, 'aux.safetensors')
  trainer.saveCheckpoint(file)
  const other = new Two()
  const again = new Trainer(other, { seed: 2 })
  again.loadCheckpoint(file)
  trainer.step(x, y)
  again.step(x, y)
  expect(other.fc.weight.data).toEqual(model.fc.weight.data)
})

test('a parameter that the output does not depend on begins when it does', () => {
  class Late extends Module {
    readonly fc = new Linear(36, 3, { bias: false })
    readonly late = new Linear(36, 3, { bias: false })
    both = false
    forward(images: Tensor): Tensor {
      const flat = flatten(images, 1)
      return this.both ? add(this.fc.forward(flat), this.late.forward(flat)) : this.fc.forward(flat)
    }
  }
  const model = new Late()
  const trainer = new Trainer(model, { seed: 1, optimizer: new Adam({ lr: 1e-3, weightDecay: 0.1 }) })
  const first = model.late.weight.data.slice()
  for (let i = 0; i < 20; i++) trainer.step(x, y)
  expect(model.late.weight.data).toEqual(first)
  model.both = true
  trainer.step(x, y)
  // The first step of Adam is lr long, whatever the gradient.
  for (const [i, value] of model.late.weight.data.entries()) {
    expect(Math.abs(value - (first[i] as number))).toBeCloseTo(1e-3, 5)
  }
})

test('a batch norm that is used twice moves and counts twice, one that is not used does not', () => {
  class Twice extends Module {
    readonly norm = new BatchNorm1d(36)
    readonly idle = new BatchNorm1d(36)
    readonly fc = new Linear(36, 3)
    forward(images: Tensor): Tensor {
      return this.fc.forward(this.norm.forward(relu(this.norm.forward(flatten(images, 1)))))
    }
  }
  const [model, eager] = [new Twice(), new Twice()]
  around(model, () => {})
  for (let i = 0; i < 2; i++) eager.forward(x)
  expect(model.norm.numBatchesTracked.data[0]).toBe(4)
  expect(model.idle.numBatchesTracked.data[0]).toBe(0)
  for (const [i, value] of eager.norm.runningVar.data.entries()) {
    expect(model.norm.runningVar.data[i]).toBeCloseTo(value, 5)
  }
})

test('statistics of the function batchNorm move like those of the layer', () => {
  class Own extends Module {
    readonly mean = new Buffer(new Float32Array(36), [36])
    readonly variance = new Buffer(new Float32Array(36).fill(1), [36])
    readonly batches = new Buffer(new Float32Array(1), [])
    readonly fc = new Linear(36, 3)
    forward(images: Tensor): Tensor {
      const { mean, variance, batches } = this
      return this.fc.forward(batchNorm(flatten(images, 1), mean, variance, { training: true, batches }))
    }
  }
  const [model, eager] = [new Own(), new Own()]
  around(model, () => {})
  for (let i = 0; i < 2; i++) eager.forward(x)
  expect(model.batches.data[0]).toBe(2)
  for (const [i, value] of eager.variance.data.entries()) {
    expect(model.variance.data[i]).toBeCloseTo(value, 5)
  }
  expect(() => new Trainer(model, { seed: 1 }).step(images(1), [1])).toThrow(
    expect.objectContaining({ code: 'ERR_SHAPE' }),
  )
})

test('in the midst of an epoch: a batch norm that is set to train(), another number of outputs', async () => {
  const model = normalized().eval()
  const trainer = new Trainer(model, { seed: 1 })
  const onProgress = () => {
    model.train()
  }
  const [report] = await reportsOf(trainer.fit(dataOf(33), { batchSize: 2, onProgress }))
  expect([report?.skipped, report?.step]).toEqual([1, 16])
  const flat = new Sequential(new Flatten(), new Linear(36, 3))
  for (const loss of ['mse', 'crossEntropy'] as const) {
    const fewer = async () => {
      const last = flat.namedChildren()[1]?.[1] as Linear
      for await (const { epoch } of new Trainer(flat, { seed: 1, loss }).fit(dataOf(33), { epochs: 2 })) {
        expect(epoch).toBe(1)
        Object.assign(last, new Linear(36, 2))
      }
    }
    await expect(fewer()).rejects.toThrow('the data has 3 classes but the model tells 2 apart')
    Object.assign(flat.namedChildren()[1]?.[1] as Linear, new Linear(36, 3))
  }
})
