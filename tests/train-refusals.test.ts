/** What training cannot do rightly is refused by name, and nothing has changed then. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import {
  Adam,
  Dataset,
  type FitOptions,
  Flatten,
  flatten,
  freeze,
  Linear,
  linear,
  loadSafetensors,
  Module,
  mul,
  Parameter,
  permute,
  readSafetensors,
  reshape,
  Sequential,
  SGD,
  Sigmoid,
  saveSafetensors,
  Tensor,
  Trainer,
  type TrainerOptions,
} from '../lib/index.ts'
import { noise } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-'))
afterAll(() => rmSync(folder, { recursive: true }))

const x = new Tensor(noise(36 * 8, 7), [8, 1, 6, 6])
const y = [0, 1, 2, 0, 1, 2, 0, 1]
const dataOf = (count: number, classes = 3) =>
  new Dataset({
    images: Uint8Array.from({ length: count * 36 }, (_, i) => (i * 7919) % 251),
    labels: Array.from({ length: count }, (_, i) => i % classes),
    shape: [1, 6, 6],
    classes: ['a', 'b', 'c'].slice(0, classes),
  })
const plain = (outputs = 3) => new Sequential(new Flatten(), new Linear(36, outputs))
const refused = (code: string, message: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(message) })

describe('weights that training cannot reach', () => {
  /** A linear layer whose weight is made of `g` and another one by `combine`. */
  class Combined extends Module {
    readonly g: Parameter
    readonly fc = new Linear(36, 3)
    readonly combine: (weight: Parameter, g: Parameter) => Tensor

    constructor(shape: number[], combine: Combined['combine']) {
      super()
      this.g = new Parameter(new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5), shape)
      this.combine = combine
    }

    forward(images: Tensor): Tensor {
      return linear(flatten(images, 1), this.combine(this.fc.weight, this.g), this.fc.bias)
    }
  }

  test('other weights that forward() makes of them would never learn', () => {
    const scaled = new Combined([3, 1], (weight, g) => mul(weight, g))
    const trainer = new Trainer(scaled, { seed: 1 })
    expect(() => trainer.step(x, y)).toThrow(refused('ERR_UNSUPPORTED', 'g: forward() computes'))
    freeze(scaled.g)
    expect(() => trainer.step(x, y)).toThrow(refused('ERR_UNSUPPORTED', 'fc.weight: forward() computes'))
    freeze(scaled.fc.weight)
    expect(trainer.step(x, y).step).toBe(1)
    const turned = new Combined([36, 3], (_, g) => permute(g, [1, 0]))
    expect(() => new Trainer(turned, { seed: 1 }).step(x, y)).toThrow(refused('ERR_UNSUPPORTED', 'g: '))
  })

  test('another shape of them is the same weight', () => {
    const shaped = new Combined([108], (_, g) => reshape(g, [3, 36]))
    const trainer = new Trainer(shaped, { seed: 1 })
    const before = shaped.g.data.slice()
    trainer.step(x, y)
    expect(shaped.g.data).not.toEqual(before)
    expect(trainer.gradients().has('fc.weight')).toBe(false)
  })

  test('when none is left that the output depends on', () => {
    const idle = new Combined([3, 36], (_, g) => g)
    freeze(idle.g)
    freeze(idle.fc.bias as Parameter)
    expect(() => new Trainer(idle, { seed: 1 }).step(x, y)).toThrow(
      refused('ERR_ARGUMENT', 'the output does not depend on fc.weight'),
    )
  })
})

describe('targets and outputs that the loss does not take', () => {
  test('crossEntropy of one output, whose loss is always 0', () => {
    const trainer = new Trainer(plain(1), { seed: 1 })
    expect(() => trainer.step(x, new Float32Array(8))).toThrow(
      refused('ERR_ARGUMENT', 'crossEntropy expects a score a class but the model has one output'),
    )
  })

  test.each([7, -0.1, Number.NaN])('binaryCrossEntropy with the target %d', (target) => {
    const model = new Sequential(new Flatten(), new Linear(36, 1), new Sigmoid())
    const trainer = new Trainer(model, { seed: 1, loss: 'binaryCrossEntropy' })
    const targets = new Float32Array(8)
    targets[5] = target
    expect(() => trainer.step(x, targets)).toThrow(refused('ERR_ARGUMENT', `target 5 is ${target}`))
    expect(trainer.step(x, new Float32Array(8).fill(0.25)).step).toBe(1)
  })

  test.each([-0.5, 1.5])('binaryCrossEntropy of the output %d, which is no probability', async (output) => {
    const model = plain(1)
    const layer = model.namedChildren()[1]?.[1] as Linear
    layer.weight.data.fill(0)
    layer.bias?.data.fill(output)
    const options = { seed: 1, loss: 'binaryCrossEntropy', optimizer: new SGD({ lr: 0 }) } as const
    const trainer = new Trainer(model, options)
    const wrong = refused('ERR_DIVERGED', 'numbers from 0 to 1 (a sigmoid)')
    const classes = y.map((_, i) => i % 2)
    expect(() => trainer.step(x, classes)).toThrow(wrong)
    await expect(trainer.fit(dataOf(8, 2)).next()).rejects.toThrow(wrong)
    expect(layer.bias?.data[0]).toBe(output)
    for (const end of [0, 1]) {
      layer.bias?.data.fill(end)
      expect(trainer.step(x, classes).loss).toBe(50)
    }
  })

  test.each([
    ['crossEntropy', 3, 3],
    ['crossEntropy', -1, 3],
    ['mse', 3, 3],
    ['mse', -1, 3],
    ['binaryCrossEntropyWithLogits', 2, 1],
  ] as const)('%s: a label that was changed to %d', async (loss, label, outputs) => {
    const data = dataOf(64, outputs === 1 ? 2 : 3)
    data.labels[9] = label
    await expect(new Trainer(plain(outputs), { seed: 1, loss }).fit(data).next()).rejects.toThrow(
      refused('ERR_ARGUMENT', 'label 9 must be a class'),
    )
  })

  test('images whose memory is given away in the midst', async () => {
    const data = dataOf(3000)
    const onProgress = () => {
      const buffer = data.images.buffer as ArrayBuffer
      structuredClone(buffer, { transfer: [buffer] })
    }
    const trainer = new Trainer(plain(), { seed: 1 })
    await expect(trainer.fit(data, { batchSize: 2, onProgress }).next()).rejects.toThrow(
      refused('ERR_SHAPE', 'expected 108000 values for 3000 labels but the data has 0'),
    )
    expect(trainer.step(x, y).step).toBeGreaterThan(1)
  })
})

test('two trainers of one model take turns, not the same weights at once', async () => {
  const model = plain()
  const [one, two] = [new Trainer(model, { seed: 1 }), new Trainer(model, { seed: 2 })]
  two.step(x, y)
  const next = one.fit(dataOf(3000), { batchSize: 4 }).next()
  const busy = refused('ERR_BUSY', '1.weight is being trained by another trainer')
  expect(() => two.step(x, y)).toThrow(busy)
  await expect(two.fit(dataOf(8)).next()).rejects.toThrow(busy)
  await next
  expect(two.step(x, y).step).toBe(2)
  freeze(model)
  const other = new Sequential(model, new Linear(3, 3))
  const apart = new Trainer(other, { seed: 3 }).fit(dataOf(300)).next()
  expect((await apart).value).toMatchObject({ epoch: 1 })
})

describe('options of the wrong kind', () => {
  test.each([
    { signal: {} },
    { signal: 'abort' },
    { onProgress: {} },
    { shuffle: 'no' },
    { health: 2 },
    { resume: 'yes' },
  ])('fit: %j', (options) => {
    const trainer = new Trainer(plain(), { seed: 1 })
    const [name] = Object.keys(options)
    expect(() => trainer.fit(dataOf(8), options as unknown as FitOptions)).toThrow(
      refused('ERR_ARGUMENT', `fit: ${name} must be`),
    )
  })

  test('evaluate: a signal that is none', async () => {
    const trainer = new Trainer(plain(), { seed: 1 })
    await expect(trainer.evaluate(dataOf(8), { signal: 5 as never })).rejects.toThrow(
      refused('ERR_ARGUMENT', 'evaluate: signal must be an AbortSignal but is 5'),
    )
  })

  test('a step larger than the data, however large, is one of all images', async () => {
    const trainer = new Trainer(plain(), { seed: 1 })
    const { value } = await trainer.fit(dataOf(8), { batchSize: 1e9 }).next()
    expect(value).toMatchObject({ step: 1 })
  })

  test.each([null, 5, ['a'], { 'kernelet.training': '{}' }])('saveCheckpoint: metadata %j', (metadata) => {
    const trainer = new Trainer(plain(), { seed: 1 })
    const file = join(folder, 'never')
    expect(() => trainer.saveCheckpoint(file, metadata as never)).toThrow(
      refused('ERR_ARGUMENT', 'saveCheckpoint: metadata'),
    )
  })
})

describe('checkpoints', () => {
  const file = join(folder, 'one.safetensors')
  const made = (options: TrainerOptions, path = file) => {
    const trainer = new Trainer(plain(), { seed: 1, ...options })
    for (let i = 0; i < 3; i++) trainer.step(x, y)
    trainer.saveCheckpoint(path, new Map([['note', 'mine']]))
    return trainer
  }

  test.each([
    [{ ema: 0.9 }, {}, 'ema'],
    [
      { optimizer: new SGD({ lr: 0.1, momentum: 0.9 }) },
      { optimizer: new SGD({ lr: 0.1 }) },
      'an optimizer with momentum',
    ],
  ])('with more than the trainer keeps change nothing', (from, to, what) => {
    made(from)
    const model = plain()
    const trainer = new Trainer(model, { seed: 1, ...to })
    const before = [...model.stateDict()].map(([, { data }]) => data.slice())
    expect(() => trainer.loadCheckpoint(file)).toThrow(
      refused('ERR_STATE_DICT', `it was trained with ${what}`),
    )
    expect([...model.stateDict()].map(([, { data }]) => data)).toEqual(before)
    expect(trainer.step(x, y).step).toBe(1)
  })

  test('metadata may be the Map that loadCheckpoint gives', () => {
    made({})
    const notes = new Trainer(plain(), { seed: 1 }).loadCheckpoint(file)
    expect(notes).toEqual(new Map([['note', 'mine']]))
  })

  /** Rewrites the file without some of its tensors. */
  const without = (lost: (name: string) => boolean) => {
    const tensors = new Map([...loadSafetensors(file)].filter(([name]) => !lost(name)))
    saveSafetensors(file, tensors, readSafetensors(file).metadata)
  }

  test('with one moment of two are damaged', () => {
    made({ optimizer: new Adam() })
    without((name) => name === '@expAvgSq/1.bias')
    expect(() => new Trainer(plain(), { seed: 1 }).loadCheckpoint(file)).toThrow(
      refused('ERR_FORMAT', '1.bias has one moment of two'),
    )
  })

  test('that know nothing of a parameter let it begin: its first step is lr long', () => {
    made({ optimizer: new Adam({ lr: 1e-3 }) })
    without((name) => name.startsWith('@') && name.endsWith('1.weight'))
    const model = plain()
    const trainer = new Trainer(model, { seed: 1, optimizer: new Adam({ lr: 1e-3 }) })
    trainer.loadCheckpoint(file)
    const before = model.stateDict().get('1.weight')?.data.slice() as Float32Array
    trainer.step(x, y)
    for (const [i, value] of (model.stateDict().get('1.weight') as Tensor).data.entries()) {
      expect(Math.abs(value - (before[i] as number))).toBeCloseTo(1e-3, 5)
    }
  })

  test('of the midst of another epoch, between two reports', async () => {
    const other = new Trainer(plain(), { seed: 1 })
    const control = new AbortController()
    const run = other.fit(dataOf(3000), {
      batchSize: 2,
      signal: control.signal,
      onProgress: () => control.abort(),
    })
    await expect(run.next()).rejects.toThrow(refused('ERR_ABORTED', 'aborted'))
    other.saveCheckpoint(file)
    const trainer = new Trainer(plain(), { seed: 1 })
    const between = async () => {
      for await (const { epoch } of trainer.fit(dataOf(64), { epochs: 3, batchSize: 8 })) {
        expect(epoch).toBe(1)
        trainer.loadCheckpoint(file)
      }
    }
    await expect(between()).rejects.toThrow(
      refused('ERR_ARGUMENT', 'the epoch to resume had 3000 images in steps of 2, not 64 in steps of 8'),
    )
  })

  test('that are none leave the trainer as it was', () => {
    const trainer = made({})
    const bad = join(folder, 'bad')
    writeFileSync(bad, 'x')
    expect(() => trainer.loadCheckpoint(bad)).toThrow(expect.objectContaining({ code: 'ERR_FORMAT' }))
    expect(trainer.step(x, y).step).toBe(4)
  })
})
