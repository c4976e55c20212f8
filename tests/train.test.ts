/** Trainer: what it learns, what it reports, that it stops, goes on and repeats itself to the bit. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  Adam,
  CosineAnnealingLR,
  conv2d,
  crossEntropy,
  Dataset,
  DivergedError,
  Dropout,
  dropout,
  type EpochReport,
  type FitOptions,
  Flatten,
  freeze,
  Generator,
  KerneletError,
  LeNet5,
  Linear,
  loadMnist,
  loadSafetensors,
  Module,
  manualSeed,
  mul,
  Parameter,
  ReLU,
  Sequential,
  SGD,
  Sigmoid,
  saveSafetensors,
  Tensor,
  Trainer,
  type TrainerOptions,
  unfreeze,
} from '../lib/index.ts'
import { turnsDuring } from './event-loop.ts'
import { largestError, root } from './helpers.ts'
import { quarters, SmallNet, weightBits } from './training-data.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-train-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const data = quarters(600)
const options = { optimizer: new Adam({ lr: 0.01 }), seed: 4 }

async function reportsOf(
  trainer: Trainer,
  fitOptions: FitOptions,
  images: Dataset = data,
): Promise<EpochReport[]> {
  const reports: EpochReport[] = []
  for await (const report of trainer.fit(images, { batchSize: 32, ...fitOptions })) reports.push(report)
  return reports
}

/** The bits after some epochs. */
async function trained(trainerOptions: TrainerOptions = {}, fitOptions: FitOptions = {}): Promise<string> {
  const model = new SmallNet()
  using trainer = new Trainer(model, { ...options, ...trainerOptions })
  await reportsOf(trainer, { epochs: 2, ...fitOptions })
  return weightBits(model)
}

async function failure(promise: Promise<unknown>): Promise<KerneletError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof KerneletError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('fit', () => {
  let reports: EpochReport[]
  let model: SmallNet
  let trainer: Trainer
  beforeAll(async () => {
    model = new SmallNet()
    trainer = new Trainer(model, options)
    reports = await reportsOf(trainer, { epochs: 4, validation: quarters(200, 2) })
  })
  afterAll(() => trainer.dispose())

  test('learns, and says how it goes', () => {
    expect(reports.map(({ epoch, epochs, step }) => [epoch, epochs, step])).toEqual(
      [1, 2, 3, 4].map((epoch) => [epoch, 4, epoch * 19]),
    )
    const [first, last] = [reports[0]!, reports[3]!]
    expect(last.loss).toBeLessThan(first.loss / 3)
    expect(last.accuracy).toBeGreaterThan(0.95)
    expect(last.validation).toMatchObject({ count: 200 })
    expect(last.validation!.accuracy).toBeGreaterThan(0.95)
    expect(last.lr).toBe(0.01)
    expect(last.stepLosses.length).toBe(19)
    expect(last.seconds).toBeGreaterThan(0)
    expect(trainer).toMatchObject({ steps: 76, epochs: 4, seed: 4 })
  })

  test('the loss is the mean over images, the last, smaller step by its size', () => {
    const { loss, stepLosses } = reports[1]!
    const sizes = Array.from(stepLosses, (_, i) => (i < 18 ? 32 : 600 - 18 * 32))
    const mean = sizes.reduce((sum, size, i) => sum + size * stepLosses[i]!, 0) / 600
    expect(loss).toBeCloseTo(mean, 5)
  })

  test('evaluate says the same of the same images', async () => {
    const images = quarters(200, 2)
    const before = reports[3]!.validation!
    expect(await trainer.evaluate(images)).toEqual(before)
    const floats = Float32Array.from(images.images, (byte) => byte / 255)
    const scores = model.forward(new Tensor(floats, [200, 1, 8, 8]))
    expect(crossEntropy(scores, images.labels).data[0]).toBeCloseTo(before.loss, 5)
  })

  test('health of every layer', () => {
    const { health } = reports[0]!
    expect(health!.layers.map(({ layer, op, relu }) => [layer, op, relu?.name])).toEqual([
      ['conv', 'conv2d', 'relu_1'],
      ['fc1', 'linear', 'relu_2'],
      ['fc2', 'linear', undefined],
    ])
    for (const { gradientNorm, weightNorm, updateRatio, activation, relu } of health!.layers) {
      for (const value of [gradientNorm, weightNorm, updateRatio, activation])
        expect(value).toBeGreaterThan(0)
      expect(updateRatio).toBeLessThan(0.25)
      if (relu) expect(relu.zeros).toBeGreaterThan(0)
    }
    expect(health!.gradientNorm.max).toBeGreaterThanOrEqual(health!.gradientNorm.median)
    expect(health!.warnings).toEqual([])
  })

  test('a share of the data as validation is kept from training', async () => {
    const some = quarters(40)
    using one = new Trainer(new SmallNet(), options)
    const [report] = await reportsOf(one, { validation: 0.25 }, some)
    expect(report!.validation!.count + report!.stepLosses.length).toBe(10 + 1)
    expect(report!.accuracy * 30).toBeCloseTo(Math.round(report!.accuracy * 30), 6)
  })
})

describe('the same weights', () => {
  test('from the same seed at any number of threads, with progress, validation and health or without', async () => {
    const expected = await trained()
    expect(await trained({ threads: 1 }, { health: false })).toBe(expected)
    expect(await trained({ threads: 3 }, { onProgress: () => {} })).toBe(expected)
    expect(await trained({}, { validation: quarters(10, 9) })).toBe(expected)
    expect(await trained({ seed: 5 })).not.toBe(expected)
    expect(await trained({}, { shuffle: false })).not.toBe(expected)
  })

  test('manualSeed decides where no seed is given', async () => {
    const once = async () => {
      manualSeed(11)
      return trained({ seed: undefined })
    }
    expect(await once()).toBe(await once())
  })

  test('varied images are others in every epoch, and the same the next time', async () => {
    const losses = async () => {
      using trainer = new Trainer(new SmallNet(), {
        ...{ optimizer: new SGD({ lr: 0 }), seed: 4, threads: 2 },
        augment: { affine: { translate: 2 } },
      })
      return (await reportsOf(trainer, { epochs: 2, shuffle: false })).map(({ loss }) => loss)
    }
    const [first, second] = await losses()
    expect(second).not.toBe(first)
    expect(await losses()).toEqual([first, second])
  })

  test('fit of an epoch is its steps one by one', async () => {
    const some = quarters(64)
    const [whole, parts] = [new SmallNet(), new SmallNet()]
    using a = new Trainer(whole, options)
    await reportsOf(a, { shuffle: false, epochs: 2 }, some)
    using b = new Trainer(parts, { ...options, inputShape: [1, 8, 8] })
    for (let i = 0; i < 4; i++) {
      const from = 32 * (i % 2)
      b.step(
        some.images.subarray(64 * from, 64 * (from + 32)) as Uint8Array,
        some.labels.subarray(from, from + 32),
      )
    }
    expect(weightBits(parts)).toBe(weightBits(whole))
  })
})

describe('step', () => {
  /** One linear neuron a class: its gradients are easily written down. */
  const plain = () => new Linear(3, 2, { generator: new Generator(1) })
  const x = new Tensor(Float32Array.of(1, 2, 3, -1, 0.5, 2), [2, 3])

  test('cross-entropy and plain descent by hand', () => {
    const model = plain()
    const before = model.weight.data.slice()
    const scores = model.forward(x)
    const expected = crossEntropy(scores, [1, 0]).data[0]!
    using trainer = new Trainer(model, { optimizer: new SGD({ lr: 0.5 }) })
    const report = trainer.step(x, [1, 0])
    expect(report).toMatchObject({ step: 1 })
    expect(report.loss).toBeCloseTo(expected, 6)
    const gradient = trainer.gradients().get('weight')!
    // softmax − target, times input, over two images
    const p = [0, 1].map((i) => {
      const [a, b] = [scores.data[2 * i]!, scores.data[2 * i + 1]!]
      return 1 / (1 + Math.exp(b - a))
    })
    const errors = [p[0]!, p[1]! - 1]
    const byHand = [0, 1, 2].map((k) => (errors[0]! * x.data[k]! + errors[1]! * x.data[3 + k]!) / 2)
    expect(largestError(gradient.subarray(0, 3), byHand)).toBeLessThan(1e-6)
    expect(
      largestError(
        model.weight.data,
        before.map((w, i) => w - 0.5 * gradient[i]!),
      ),
    ).toBeLessThan(1e-6)
    const norm = Math.hypot(...gradient, ...trainer.gradients().get('bias')!)
    expect(report.gradientNorm).toBeCloseTo(norm, 5)
  })

  test('lr may be changed; targets may be floats', () => {
    const model = plain()
    using trainer = new Trainer(model, { optimizer: new SGD(), loss: 'mse' })
    trainer.lr = 0
    const before = weightBits(model)
    const labels = trainer.step(x, [1, 0])
    expect(weightBits(model)).toBe(before)
    const oneHot = trainer.step(x, Float32Array.of(0, 1, 1, 0))
    expect(oneHot.loss).toBe(labels.loss)
    expect(trainer.step(x, new Tensor(Float32Array.of(0, 1, 1, 0), [2, 2])).loss).toBe(labels.loss)
    trainer.lr = 0.1
    trainer.step(x, [1, 0])
    expect(weightBits(model)).not.toBe(before)
  })

  test('a logistic neuron learns by binary cross-entropy', () => {
    for (const loss of ['binaryCrossEntropy', 'binaryCrossEntropyWithLogits'] as const) {
      const neuron = new Linear(2, 1, { generator: new Generator(2) })
      const model = loss === 'binaryCrossEntropy' ? new Sequential(neuron, new Sigmoid()) : neuron
      using trainer = new Trainer(model, { optimizer: new SGD({ lr: 1 }), loss })
      const points = new Tensor(Float32Array.of(1, 1, 0, 1, 1, 0, 0, 0), [4, 2])
      const and = [1, 0, 0, 0]
      const first = trainer.step(points, and).loss
      for (let i = 0; i < 500; i++) trainer.step(points, and)
      const last = trainer.step(points, and)
      expect(last.loss).toBeLessThan(first / 5)
      expect(last.correct).toBe(4)
    }
  })

  test('what does not fit is said', () => {
    using trainer = new Trainer(plain(), options)
    const fails = (action: () => unknown, code: string, message: RegExp) =>
      expect(action).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
    fails(() => trainer.step(new Float32Array(3), [0]), 'ERR_ARGUMENT', /shape of an image is not known/)
    trainer.step(x, [0, 1])
    fails(
      () => trainer.step(new Float32Array(4), [0]),
      'ERR_SHAPE',
      /3 values per image \(3\) for x but received 4/,
    )
    fails(() => trainer.step(x, [0]), 'ERR_SHAPE', /expected 2 classes, or a Float32Array of 4 targets/)
    fails(() => trainer.step(x, [0, 2]), 'ERR_ARGUMENT', /label 1 must be a class from 0 to 1 but is 2/)
    fails(() => trainer.step(x, 'ab' as never), 'ERR_ARGUMENT', /classes or targets for y but received "ab"/)
    fails(
      () => trainer.step(new Tensor(new Float32Array(4), [1, 4]), [0]),
      'ERR_SHAPE',
      /images of 3 but received 4/,
    )
    fails(() => trainer.step([1] as never, [0]), 'ERR_ARGUMENT', /Tensor, Float32Array or Uint8Array for x/)
    trainer.dispose()
    fails(() => trainer.step(x, [0, 1]), 'ERR_DISPOSED', /disposed/)
  })
})

describe('frozen layers', () => {
  test('whichever they are, the others learn what they would have learnt', () => {
    const some = quarters(64)
    const gradients = (frozen: string[]) => {
      const model = new SmallNet()
      for (const [name, layer] of model.namedChildren()) if (frozen.includes(name)) freeze(layer)
      using trainer = new Trainer(model, { ...options, inputShape: [1, 8, 8] })
      const { loss } = trainer.step(some.images as Uint8Array, some.labels)
      return { loss, gradients: trainer.gradients() }
    }
    const all = gradients([])
    for (const frozen of [['conv'], ['fc1'], ['fc2'], ['conv', 'fc1'], ['conv', 'fc2'], ['fc1', 'fc2']]) {
      const part = gradients(frozen)
      expect(part.loss).toBe(all.loss)
      expect(part.gradients.size).toBe(6 - 2 * frozen.length)
      for (const [name, values] of part.gradients) expect(values).toEqual(all.gradients.get(name))
    }
  })

  test('stay as they are, the others learn', async () => {
    const model = new SmallNet()
    freeze(model.conv)
    const conv = weightBits(model.conv)
    const fc = weightBits(model.fc2)
    using trainer = new Trainer(model, options)
    const [report] = await reportsOf(trainer, {})
    expect(weightBits(model.conv)).toBe(conv)
    expect(weightBits(model.fc2)).not.toBe(fc)
    expect([...trainer.gradients().keys()]).toEqual(['fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias'])
    expect(report!.health!.layers.map(({ layer }) => layer)).toEqual(['fc1', 'fc2'])
    freeze(model)
    expect(() => new Trainer(model)).toThrow(/no weights to train; all are frozen/)
    unfreeze(model.fc1.weight)
    expect(model.parameters().map(({ requiresGrad }) => requiresGrad)).toEqual([
      false,
      false,
      true,
      false,
      false,
      false,
    ])
    expect(() => freeze('conv' as never)).toThrow(/expected a Module or Parameter/)
  })
})

describe('dropout', () => {
  test('as a function: drops a share and makes up for it', () => {
    manualSeed(1)
    const ones = new Tensor(new Float32Array(10_000).fill(1), [100, 100])
    const values = dropout(ones, 0.25).data
    const zeros = values.filter((value) => value === 0).length
    expect(zeros).toBeGreaterThan(2300)
    expect(zeros).toBeLessThan(2700)
    expect(new Set(values)).toEqual(new Set([0, Math.fround(1 / 0.75)]))
    expect(dropout(ones, 0.25, false)).toBe(ones)
    expect(dropout(ones, 1).data.every((value) => value === 0)).toBe(true)
    expect(() => dropout(ones, 1.5)).toThrow(/p must be a number from 0 to 1 but is 1.5/)
  })

  test('as a layer: while trained only', async () => {
    const net = () =>
      new Sequential(new Flatten(), new Dropout(0.5), new Linear(64, 4, { generator: new Generator(1) }))
    const model = net()
    const input = new Float32Array(64).fill(1)
    using compiled = model.compile({ inputShape: [1, 8, 8] })
    const tensor = new Tensor(input, [1, 1, 8, 8])
    const expected = compiled.run(input).slice()
    expect(largestError(model.eval().forward(tensor).data, expected)).toBe(0)
    expect(model.training || model[1]!.training).toBe(false)
    expect(largestError(model.train().forward(tensor).data, expected)).toBeGreaterThan(0.01)
    const losses = async (mode: boolean) => {
      const one = net().train(mode)
      using trainer = new Trainer(one, { ...options, optimizer: new SGD({ lr: 0 }) })
      return (await reportsOf(trainer, { shuffle: false }))[0]!.loss
    }
    expect(await losses(true)).toBe(await losses(true))
    expect(await losses(true)).not.toBe(await losses(false))
  })
})

describe('schedules, averages, smoothing', () => {
  test('the rate of every step', async () => {
    using trainer = new Trainer(new SmallNet(), options)
    const reports = await reportsOf(trainer, { epochs: 3, schedule: new CosineAnnealingLR() })
    const rates = reports.map(({ lr }) => lr)
    const rate = (step: number) => (0.01 * (1 + Math.cos((Math.PI * step) / 57))) / 2
    expect(largestError(rates, [18, 37, 56].map(rate))).toBeLessThan(1e-12)
  })

  test('averaged weights trail the others, and are what is validated', async () => {
    const model = new SmallNet()
    using trainer = new Trainer(model, { ...options, ema: 0.9 })
    const check = quarters(100, 3)
    const [report] = await reportsOf(trainer, { validation: check })
    const own = weightBits(model)
    const averaged = trainer.averagedStateDict()
    expect([...averaged.keys()]).toEqual([...model.stateDict().keys()])
    model.loadStateDict(averaged)
    expect(weightBits(model)).not.toBe(own)
    expect(await trainer.evaluate(check)).toEqual(report!.validation)
    using none = new Trainer(new SmallNet(), options)
    expect(() => none.averagedStateDict()).toThrow(/has no ema/)
  })

  test('label smoothing raises the loss of what is certain', async () => {
    const loss = async (labelSmoothing: number) => {
      using trainer = new Trainer(new SmallNet(), { ...options, labelSmoothing })
      return (await reportsOf(trainer, { epochs: 4 }))[3]!.loss
    }
    // With a tenth spread over four classes the loss cannot fall below the entropy of that.
    const floor = -(0.925 * Math.log(0.925) + 3 * 0.025 * Math.log(0.025))
    expect(await loss(0.1)).toBeGreaterThan(floor)
    expect(await loss(0)).toBeLessThan(floor)
  })
})

describe('stopping and going on', () => {
  test('a signal stops it at once; resume goes on to the same bits', async () => {
    const expected = await trained({}, { epochs: 3 })
    const model = new SmallNet()
    const trainer = new Trainer(model, options)
    const abort = new AbortController()
    const aborted = await failure(
      reportsOf(trainer, {
        epochs: 3,
        signal: abort.signal,
        onProgress: () => abort.abort(new Error('enough')),
      }),
    )
    expect(aborted).toMatchObject({ code: 'ERR_ABORTED', cause: new Error('enough') })
    // In the middle of the first epoch of 19 steps.
    expect(trainer.steps).toBeGreaterThan(0)
    expect(trainer.steps).toBeLessThan(19)
    const path = join(folder, 'aborted')
    trainer.saveCheckpoint(path, { note: 'kept' })
    trainer.dispose()
    const other = new SmallNet(new Generator(99))
    using next = new Trainer(other, { ...options, seed: 77 })
    expect(next.loadCheckpoint(path)).toEqual(new Map([['note', 'kept']]))
    expect(next.seed).toBe(4)
    await reportsOf(next, { epochs: 3, resume: true })
    expect(next.steps).toBe(57)
    expect(weightBits(other)).toBe(expected)
  })

  test.each([0, 1, 2])('a checkpoint after epoch %i, with momentum, averages and dropout', async (when) => {
    const make = () => {
      const generator = new Generator(6)
      const model = new Sequential(
        new Flatten(),
        new Linear(64, 16, { generator }),
        new ReLU(),
        new Dropout(0.2),
        new Linear(16, 4, { generator }),
      )
      const trainer = new Trainer(model, {
        optimizer: new SGD({ lr: 0.05, momentum: 0.9 }),
        seed: 8,
        ema: 0.95,
      })
      return { model, trainer }
    }
    const whole = make()
    await reportsOf(whole.trainer, { epochs: 3 })
    const first = make()
    const path = join(folder, `after${when}`)
    if (when > 0) await reportsOf(first.trainer, { epochs: when })
    first.trainer.saveCheckpoint(path)
    const second = make()
    second.trainer.loadCheckpoint(path)
    const reports = await reportsOf(second.trainer, { epochs: 3, resume: true })
    expect(reports.map(({ epoch }) => epoch)).toEqual([1, 2, 3].slice(when))
    expect(weightBits(second.model)).toBe(weightBits(whole.model))
    const bits = ({ trainer }: { trainer: Trainer }) =>
      [...trainer.averagedStateDict().values()].map(({ data: values }) => [...values])
    expect(bits(second)).toEqual(bits(whole))
    for (const { trainer } of [whole, first, second]) trainer.dispose()
  })

  test('a second run is a run of its own, in another order', async () => {
    const model = new SmallNet()
    using trainer = new Trainer(model, { ...options, optimizer: new SGD({ lr: 0 }) })
    const [first] = await reportsOf(trainer, {})
    const [second] = await reportsOf(trainer, {})
    expect(second).toMatchObject({ epoch: 1, epochs: 1, step: 38 })
    expect(second!.stepLosses).not.toEqual(first!.stepLosses)
    expect(second!.loss).toBeCloseTo(first!.loss, 5)
  })

  test('leaving the loop ends the run and frees the trainer', async () => {
    using trainer = new Trainer(new SmallNet(), options)
    for await (const _ of trainer.fit(data, { epochs: 100 })) break
    expect(await reportsOf(trainer, {})).toHaveLength(1)
  })

  test('one thing at a time', async () => {
    using trainer = new Trainer(new SmallNet(), options)
    const run = reportsOf(trainer, { epochs: 2 })
    for (const action of [
      () => trainer.fit(data),
      () => trainer.step(new Tensor(new Float32Array(64), [1, 1, 8, 8]), [0]),
      () => trainer.saveCheckpoint(join(folder, 'busy')),
    ]) {
      expect(action).toThrow(expect.objectContaining({ code: 'ERR_BUSY' }))
    }
    await run
    expect(readdirSync(folder)).not.toContain('busy')
  })

  test('checkpoints of other models, other optimizers, other files', async () => {
    const path = join(folder, 'good')
    using trainer = new Trainer(new SmallNet(), options)
    await reportsOf(trainer, {})
    trainer.saveCheckpoint(path)
    const load = (file: string, model: Module, trainerOptions: TrainerOptions = options) => {
      using other = new Trainer(model, trainerOptions)
      const before = weightBits(model)
      try {
        other.loadCheckpoint(file)
      } catch (error) {
        expect(weightBits(model)).toBe(before)
        throw error
      }
    }
    expect(() => load(path, new SmallNet())).not.toThrow()
    const fails = (action: () => unknown, code: string, message: RegExp) =>
      expect(action).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
    fails(() => load(path, new LeNet5()), 'ERR_STATE_DICT', /conv\.weight/)
    fails(
      () => load(path, new SmallNet(), { optimizer: new SGD() }),
      'ERR_STATE_DICT',
      /trained by adam, not by sgd/,
    )
    const plain = join(folder, 'plain')
    saveSafetensors(plain, new SmallNet().stateDict())
    fails(() => load(plain, new SmallNet()), 'ERR_FORMAT', /is no checkpoint/)
    fails(() => load(join(folder, 'none'), new SmallNet()), 'ERR_IO', /cannot be read/)
    const bytes = readFileSync(path)
    const cut = join(folder, 'cut')
    writeFileSync(cut, bytes.subarray(0, bytes.length - 4))
    fails(() => load(cut, new SmallNet()), 'ERR_FORMAT', /not a valid safetensors/)
    const text = (from: string, to: string) => {
      expect(bytes.includes(from)).toBe(true)
      const changed = Buffer.from(bytes)
      changed.write(to, bytes.indexOf(from))
      writeFileSync(cut, changed)
    }
    text('\\"epoch\\":1', '\\"epoch\\":-')
    fails(() => load(cut, new SmallNet()), 'ERR_FORMAT', /damaged checkpoint/)
    // A checkpoint is a weight file too.
    const model = new SmallNet(new Generator(12))
    model.loadStateDict(loadSafetensors(path), { strict: false })
    const own = weightBits(model)
    trainer.loadCheckpoint(path)
    using other = new Trainer(model, options)
    other.loadCheckpoint(path)
    expect(weightBits(model)).toBe(own)
  })
})

describe('divergence', () => {
  test('stops with the step and the layer, the weights those the epoch began with', async () => {
    const model = new SmallNet()
    using trainer = new Trainer(model, { optimizer: new SGD({ lr: 1e-3, momentum: 0.9 }), seed: 1 })
    await reportsOf(trainer, {})
    const good = weightBits(model)
    trainer.lr = 1e30
    const error = await failure(reportsOf(trainer, {}))
    expect(error).toBeInstanceOf(DivergedError)
    expect(error).toMatchObject({ code: 'ERR_DIVERGED', epoch: 1 })
    const { step, layer, message } = error as DivergedError
    expect(step).toBeGreaterThan(1)
    expect(layer).not.toBe('')
    expect(message).toMatch(/diverged at step \d+ of epoch 1: .*; the weights are those the epoch began with/)
    expect(message).toMatch(/lower the learning rate \(1e\+30 here\) or clip gradients/)
    expect(weightBits(model)).toBe(good)
    trainer.lr = 1e-3
    const [report] = await reportsOf(trainer, {})
    expect(report!.loss).toBeLessThan(2)
  })

  test('a NaN in the images', async () => {
    const images = Float32Array.from(data.images, (byte) => byte / 255)
    images[64 * 40] = Number.NaN
    const { labels, shape } = data
    using trainer = new Trainer(new SmallNet(), options)
    const error = await failure(reportsOf(trainer, {}, new Dataset({ images, labels, shape })))
    expect(error).toMatchObject({ code: 'ERR_DIVERGED', what: 'input' })
    expect(error.message).toMatch(/the images hold a NaN/)
  })

  test('in step: nothing is changed', () => {
    const model = new Linear(2, 2)
    using trainer = new Trainer(model, options)
    const before = weightBits(model)
    const x = new Tensor(Float32Array.of(1, Number.POSITIVE_INFINITY), [1, 2])
    expect(() => trainer.step(x, [0])).toThrow(expect.objectContaining({ code: 'ERR_DIVERGED' }))
    expect(weightBits(model)).toBe(before)
  })
})

describe('warnings', () => {
  const deep = (Activation: new () => Module, layers = 8) => {
    const generator = new Generator(5)
    const parts = Array.from({ length: layers }, (_, i) => [
      new Linear(i === 0 ? 64 : 24, 24, { generator }),
      new Activation(),
    ])
    return new Sequential(new Flatten(), ...parts.flat(), new Linear(24, 4, { generator }))
  }

  test('a deep sigmoid net: the gradient vanishes at its first layer', async () => {
    using trainer = new Trainer(deep(Sigmoid), options)
    const [{ health }] = (await reportsOf(trainer, {})) as [EpochReport]
    expect(health!.warnings).toMatchObject([{ kind: 'vanishing', layer: '1' }])
    expect(health!.warnings[0]!.message).toMatch(/the gradient vanishes, .* sigmoid .* use ReLU/)
  })

  test('too large a step: the gradient explodes', async () => {
    using trainer = new Trainer(deep(ReLU, 2), { optimizer: new SGD({ lr: 20 }), seed: 1, clipNorm: 100 })
    const [{ health }] = (await reportsOf(trainer, { batchSize: 100 })) as [EpochReport]
    expect(health!.warnings.map(({ kind }) => kind)).toContain('exploding')
  })

  test('units that no image moves are dead', async () => {
    const model = new SmallNet()
    model.fc1.bias?.data.fill(-100)
    using trainer = new Trainer(model, options)
    const [{ health }] = (await reportsOf(trainer, {})) as [EpochReport]
    expect(health!.layers[1]!.relu!.deadShare).toBe(1)
    expect(health!.warnings).toMatchObject([{ kind: 'dead', layer: 'fc1' }])
    expect(health!.warnings[0]!.message).toMatch(/100 % of its units are 0 for every image after relu_2/)
  })

  test('weights that no step of the graph reads are named, unless they are frozen', async () => {
    class Scaled extends SmallNet {
      readonly scale = new Parameter(Float32Array.of(2), [1])
      readonly spare = new Linear(2, 2)
      override forward(x: Tensor): Tensor {
        const scale = this.scale.data[0] as number
        return mul(super.forward(x), scale)
      }
    }
    const model = new Scaled()
    using trainer = new Trainer(model, options)
    const [{ health }] = (await reportsOf(trainer, {})) as [EpochReport]
    const found = health!.warnings.filter(({ kind }) => kind === 'unread')
    expect(found.map(({ layer }) => layer)).toEqual(['scale', 'spare.weight', 'spare.bias'])
    expect(found[0]!.message).toMatch(/^scale: no gradient reaches it/)
    freeze(model.spare)
    const [{ health: after }] = (await reportsOf(trainer, {})) as [EpochReport]
    expect(after!.warnings.map(({ layer }) => layer)).toEqual(['scale'])
  })
})

test('the event loop goes on while a net is trained', async () => {
  const images = new Uint8Array(4000 * 784).map((_, i) => i)
  const labels = Array.from({ length: 4000 }, (_, i) => i % 10)
  using trainer = new Trainer(new LeNet5(), { seed: 1 })
  const turns = await turnsDuring(reportsOf(trainer, {}, new Dataset({ images, labels, shape: [1, 28, 28] })))
  // were it on the loop, there would be one a step at most
  expect(turns).toBeGreaterThan(5 * trainer.steps)
})

const mnist = process.env.KERNELET_MNIST ?? join(root, '../shared/data/mnist')

test.skipIf(!existsSync(mnist))(
  'MNIST: an epoch of 20,000 images reads nineteen of twenty of the rest',
  async () => {
    const all = loadMnist(mnist)
    expect(all.length).toBe(60_000)
    manualSeed(1)
    using trainer = new Trainer(new LeNet5(), { optimizer: new Adam({ lr: 0.002 }), seed: 1 })
    const some = all.subset(Array.from({ length: 20_000 }, (_, i) => i))
    const rest = all.subset(Array.from({ length: 5000 }, (_, i) => 20_000 + i))
    const [report] = await reportsOf(trainer, { validation: rest }, some)
    expect(report!.validation!.accuracy).toBeGreaterThan(0.95)
    expect(report!.health!.warnings).toEqual([])
  },
)

describe('wrong options', () => {
  test.each<[unknown, RegExp]>([
    [{ optimiser: 1 }, /unknown option "optimiser"/],
    [{ optimizer: 'adam' }, /optimizer must be an Optimizer, such as new Adam\(\), but is "adam"/],
    [{ loss: 'nll' }, /loss must be one of crossEntropy, mse/],
    [{ labelSmoothing: 1 }, /labelSmoothing must be a number from 0 to below 1/],
    [{ loss: 'mse', labelSmoothing: 0.1 }, /goes with crossEntropy only/],
    [{ ema: 1 }, /ema must be/],
    [{ clipNorm: -1 }, /clipNorm must be/],
    [{ seed: 0.5 }, /seed must be an integer/],
    [{ threads: -1 }, /threads must be/],
    [{ std: 0 }, /std must be/],
    [{ augment: { rotate: 1 } }, /augment: unknown option "rotate"/],
  ])('Trainer %j', (wrong, message) => {
    expect(() => new Trainer(new SmallNet(), wrong as never)).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringMatching(message) }),
    )
  })

  test.each<[unknown, RegExp]>([
    [{ epoch: 1 }, /unknown option "epoch"/],
    [{ epochs: 0 }, /epochs must be an integer of at least 1/],
    [{ batchSize: 1.5 }, /batchSize must be/],
    [{ validation: 1 }, /between 0 and 1/],
    [{ validation: [] }, /fit: validation: expected a Dataset/],
    [{ schedule: 1 }, /schedule must be a StepLR/],
  ])('fit %j', (wrong, message) => {
    using trainer = new Trainer(new SmallNet(), options)
    expect(() => trainer.fit(data, wrong as never)).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringMatching(message) }),
    )
  })

  test('data that does not fit the model', () => {
    using trainer = new Trainer(new SmallNet(), options)
    expect(() => trainer.fit(1 as never)).toThrow(/expected a Dataset but received 1/)
    expect(() =>
      trainer.fit(new Dataset({ images: new Uint8Array(9), labels: [0], shape: [1, 3, 3] })),
    ).toThrow(/conv|fc1/)
    const five = new Dataset({ images: new Uint8Array(64), labels: [4], shape: [1, 8, 8] })
    expect(() => trainer.fit(five)).toThrow(/5 classes but the model tells 4 apart/)
    expect(() => new Trainer(1 as never)).toThrow(/expected a Module but received 1/)
    class Two extends Module {
      readonly weight = new Linear(1, 1)
      forward(x: Tensor): Tensor {
        return conv2d(x, new Tensor(new Float32Array(1), [1, 1, 1, 1]))
      }
    }
    using rank = new Trainer(new Two(), options)
    expect(() => rank.fit(data)).toThrow(/one row of outputs an image but it gives 1×8×8/)
  })
})
