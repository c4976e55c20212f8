/** `compile({ tune })` and `compile({ tuned })`: the same bits, plain JSON, and what does not fit is said. */
import { describe, expect, test } from 'vitest'
import {
  add,
  type CompileOptions,
  Conv2d,
  flatten,
  KerneletError,
  Linear,
  loadOnnx,
  Module,
  manualSeed,
  maxPool2d,
  relu,
  saveOnnx,
  type Tensor,
  type Tuning,
} from '../lib/index.ts'
import { noise } from './helpers.ts'

class Net extends Module {
  conv1: Conv2d
  conv2 = new Conv2d(16, 40, { kernelSize: 3, padding: 1 })
  conv3 = new Conv2d(40, 40, { kernelSize: 3, padding: 1 })
  fc = new Linear(40 * 6 * 6, 20)
  constructor(channels = 16) {
    super()
    this.conv1 = new Conv2d(3, channels, { kernelSize: 3, padding: 1 })
  }
  forward(x: Tensor): Tensor {
    const a = relu(this.conv2.forward(relu(this.conv1.forward(x))))
    return this.fc.forward(flatten(maxPool2d(relu(add(this.conv3.forward(a), a)), 2), 1))
  }
}

manualSeed(3)
const net = new Net()
const inputShape = [3, 12, 12]
const images = noise(3 * 3 * 144, 5)
const compiled = (options: CompileOptions = {}) => net.compile({ inputShape, threads: 1, ...options })
const tuned = compiled({ tune: true })
const tuning = tuned.tuning()!

describe('tune', () => {
  test.each<[string, CompileOptions]>([
    ['one image', { tune: true }],
    ['three images', { tune: { batch: 3 } }],
    ['two threads', { tune: {}, threads: 2 }],
    ['bytes', { tune: true, inputType: 'uint8' }],
  ])('%s: the bits of the model that was not tuned', (_, options) => {
    const { tune, ...usual } = options
    const input = options.inputType ? Uint8Array.from(images, (x) => 100 * Math.abs(x)) : images
    using model = compiled(options)
    expect(model.run(input)).toEqual(compiled(usual).run(input))
    expect(model.describe().tuning).toBe('measured')
    expect(`${model.describe()}`).toContain('tuning measured')
    expect(tune).toBeDefined()
  })

  test('fastest: near the exact result', () => {
    using model = compiled({ tune: true, numerics: 'fastest' })
    const exact = compiled().run(images)
    model.run(images).forEach((value, i) => {
      expect(value).toBeCloseTo(exact[i]!, 4)
    })
    expect(model.tuning()).toMatchObject({ numerics: 'fastest' })
  })

  test('tuning() is plain JSON; without tuning there is none', () => {
    expect(JSON.parse(JSON.stringify(tuning))).toEqual(tuning)
    expect(tuning).toMatchObject({
      format: 1,
      graph: expect.stringMatching(/^[0-9a-f]{32}$/),
      isa: expect.any(String),
      cpu: expect.any(String),
      threads: 1,
      numerics: 'exact',
      batch: 1,
      steps: expect.any(Array),
      untunedNs: expect.any(Number),
      tunedNs: expect.any(Number),
    })
    expect(compiled().tuning()).toBeUndefined()
    expect(compiled().describe().tuning).toBeUndefined()
    // a copy
    tuned.tuning()!.steps.push({ node: 0, name: 'spoilt' })
    expect(tuned.tuning()).toEqual(tuning)
  })

  test.each<[string, CompileOptions, RegExp]>([
    ['int8', { precision: 'int8', calibration: images }, /compile: tune goes with precision 'float32'/],
    ['an algorithm', { algorithm: 'im2col' }, /compile: tune chooses the algorithms; algorithm "im2col"/],
    ['tuned', { tuned: tuning }, /compile: tune and tuned exclude each other/],
  ])('not together with %s', (_, options, message) => {
    expect(() => compiled({ ...options, tune: true })).toThrow(message)
  })

  test.each([0, -1, 1.5, 'x', Number.NaN])('batch %s is refused', (batch) => {
    expect(() => compiled({ tune: { batch: batch as number } })).toThrow(/compile: tune: batch/)
  })

  test('wrong types are refused', () => {
    for (const tune of ['yes', 1, [], () => true, null]) {
      expect(() => compiled({ tune: tune as never })).toThrow(KerneletError)
    }
    expect(() => compiled({ tune: { batches: 2 } as never })).toThrow(/unknown option "batches"/)
  })
})

/** What a tuning may say, everything at once. */
const chosen: Tuning = {
  ...tuning,
  steps: [
    { node: 1, name: 'conv1', layout: 'planes', algorithm: 'im2col' },
    { node: 3, name: 'conv2', layout: 'blocked', strip: 3 },
    { node: 5, name: 'conv3', layout: 'planes', algorithm: 'direct-channels' },
    { node: 10, name: 'fc', algorithm: 'wide' },
  ],
  lanes: false,
  divideFrom: 1000,
}

describe('tuned', () => {
  test('does what it says, without timing; the bits stay, also of other weights', () => {
    using model = compiled({ tuned: JSON.parse(JSON.stringify(chosen)) })
    const { steps, tuning: how, batchLanes } = model.describe()
    expect(how).toBe('given')
    expect(batchLanes).toBe(0)
    const algorithmOf = (name: string) => steps.find(({ names }) => names[0] === name)!
    expect(algorithmOf('conv1')).toMatchObject({ algorithm: 'im2col', layout: 'planes' })
    expect(algorithmOf('conv2')).toMatchObject({ algorithm: 'blocked', layout: 'blocked' })
    expect(algorithmOf('conv3')).toMatchObject({ layout: 'planes' })
    expect(model.run(images)).toEqual(compiled().run(images))
    expect(model.tuning()).toEqual(chosen)
    manualSeed(4)
    const other = new Net()
    expect(other.compile({ inputShape, threads: 1, tuned: chosen }).run(images)).toEqual(
      other.compile({ inputShape, threads: 1 }).run(images),
    )
  })

  test.each<[string, Partial<Record<keyof Tuning, unknown>>, RegExp]>([
    ['another format', { format: 2 }, /its format is 2 where 1 is read/],
    ['another graph', { graph: 'abc' }, /it is of another graph/],
    ['another instruction set', { isa: 'neon9' }, /its isa is "neon9" where /],
    ['another CPU', { cpu: 'Pentium' }, /its cpu is "Pentium" where /],
    ['other threads', { threads: 7 }, /its threads is 7 where 1 is used/],
    ['other numerics', { numerics: 'fastest' }, /its numerics is "fastest" where "exact" is used/],
    ['a step that is none', { steps: [{ node: 0, name: 'input' }] }, /node 0 is no convolution/],
    [
      'bits that were not asked for',
      { steps: [{ node: 3, name: 'conv2', layout: 'winograd' }] },
      /conv2 cannot be computed as it says/,
    ],
    [
      'a kernel of linear layers',
      { steps: [{ node: 3, name: 'conv2', layout: 'planes', algorithm: 'wide' }] },
      /conv2 cannot be computed as it says/,
    ],
  ])('%s is an error that says why; not strict, the cost model chooses', (_, change, message) => {
    const wrong = { ...chosen, ...change } as Tuning
    const error = () => compiled({ tuned: wrong })
    expect(error).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringMatching(message) }),
    )
    using model = compiled({ tuned: { ...wrong, strict: false } })
    expect(model.describe().tuning).toMatch(/^not used: /)
    expect(model.describe().tuning).toMatch(message)
    expect(model.tuning()).toBeUndefined()
    expect(model.run(images)).toEqual(compiled().run(images))
  })

  test('a model of another shape is another graph; of other names the same', () => {
    expect(() => new Net().compile({ inputShape: [3, 13, 13], threads: 1, tuned: chosen })).toThrow(
      /another graph/,
    )
    const named = loadOnnx(saveOnnx(net, { inputShape }))
    expect(named.compile({ threads: 1, tuned: { ...chosen, strict: false } }).describe().tuning).toBe('given')
  })

  test.each<[string, Record<string, unknown>]>([
    ['no steps', { steps: undefined }],
    ['steps that are no list', { steps: 5 }],
    ['a step that is no object', { steps: [1] }],
    ['a node that is no number', { steps: [{ node: 'a', name: 'b' }] }],
    ['a node beyond', { steps: [{ node: 1e9, name: 'b' }] }],
    ['an unknown layout', { steps: [{ node: 1, name: 'b', layout: 'any' }] }],
    ['an unknown algorithm', { steps: [{ node: 1, name: 'b', algorithm: 'fft' }] }],
    ['a strip of half', { steps: [{ node: 1, name: 'b', strip: 0.5 }] }],
    ['a strip too long', { steps: [{ node: 1, name: 'b', strip: 2 ** 31 }] }],
    ['a name that is none', { steps: [{ node: 1, name: 5 }] }],
    ['lanes', { lanes: 1 }],
    ['divideFrom', { divideFrom: -1 }],
    ['a batch of none', { batch: 0 }],
    ['times that are none', { tunedNs: 'fast' }],
    ['strict', { strict: 'no' }],
    ['another property', { extra: 1 }],
  ])('%s: ERR_ARGUMENT, strict or not', (_, change) => {
    for (const more of [{}, { strict: false }]) {
      expect(() => compiled({ tuned: { ...more, ...chosen, ...change } as unknown as Tuning })).toThrow(
        expect.objectContaining({ name: 'KerneletError', code: 'ERR_ARGUMENT' }),
      )
    }
    for (const value of [null, 5, 'x', [], () => 1]) {
      expect(() => compiled({ tuned: value as never })).toThrow(KerneletError)
    }
  })

  test('a strip of more tiles than there are, and of one', () => {
    for (const strip of [1, 2 ** 30]) {
      const steps = [{ node: 3, name: 'conv2', layout: 'blocked' as const, strip }]
      expect(compiled({ tuned: { ...chosen, steps } }).run(images)).toEqual(compiled().run(images))
    }
  })

  test('models of several outputs are tuned by name', () => {
    const model = loadOnnx(saveOnnx(net, { inputShape }))
    const named = model.compileNamed({ threads: 1, tune: true })
    const found = named.tuning()!
    expect(found.steps).toBeInstanceOf(Array)
    const again = model.compileNamed({ threads: 1, tuned: found })
    expect(again.run({ input: images })).toEqual(named.run({ input: images }))
  })
})
