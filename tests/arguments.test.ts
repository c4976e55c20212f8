/** Arguments that are nearly right: each is refused by name, where it would be taken for something or end in an error. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import * as k from '../lib/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-'))
afterAll(() => rmSync(folder, { recursive: true }))

const failure = (code: string, sentence: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(sentence) })

const x = (...shape: number[]) => new k.Tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
const image = x(1, 2, 4, 4)
const net = () => new k.Sequential(new k.Flatten(), new k.Linear(16, 3))
const parts = { images: new Uint8Array(8), labels: [0, 1], shape: [1, 2, 2] }
/** An array that says it has billions of items. */
const endless = Array(2 ** 32 - 1)
const onnx = () => k.loadOnnx(k.saveOnnx(net(), { inputShape: [1, 4, 4] }))
const runOnnx = (data: unknown, shape: unknown = [1, 1, 4, 4]) =>
  onnx().run({ input: { data, shape } } as never)
/** One that says it is longer than it is. */
const longer = <T extends NodeJS.TypedArray>(array: T, name = 'length'): T =>
  Object.defineProperty(array, name, { value: 1e6 })
const detached = () => {
  const bytes = new Uint8Array(8)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}
const any = (value: unknown) => value as never

test.each<[string, () => unknown, string]>([
  [
    'Conv2d: bias',
    () => new k.Conv2d(1, 2, { kernelSize: 3, bias: any(1) }),
    'Conv2d: bias must be true or false',
  ],
  ['Linear: generator', () => new k.Linear(2, 2, { generator: any({}) }), 'generator must be a Generator'],
  [
    'what only has the prototype of a Generator',
    () => new k.Linear(2, 2, { generator: any(Object.create(k.Generator.prototype)) }),
    'generator must be a Generator',
  ],
  ['Softmax: dim', () => new k.Softmax(any('1')), 'Softmax: dim must be an integer'],
  ['Flatten: startDim', () => new k.Flatten(any('1')), 'Flatten: startDim must be an integer'],
  ['Dropout: p', () => new k.Dropout(any('0.5')), 'p must be a number from 0 to 1'],
  ['dropout: training', () => k.dropout(image, 0.5, any(1)), 'dropout: training must be true or false'],
  ['AdaptiveAvgPool2d: three sides', () => new k.AdaptiveAvgPool2d(any([1, 1, 1])), 'must have 2 sides'],
  [
    'ConstantPad2d: three sides',
    () => new k.ConstantPad2d(any([1, 1, 1]), 0),
    'ConstantPad2d: padding must be',
  ],
  ['ZeroPad2d: a word', () => new k.ZeroPad2d(any('1')), 'ZeroPad2d: padding must be'],
  [
    'localResponseNorm: alpha',
    () => k.localResponseNorm(image, 3, { alpha: any('1') }),
    'alpha must be a number',
  ],
  [
    'LocalResponseNorm: options',
    () => new k.LocalResponseNorm(3, any({ gamma: 1 })),
    'unknown option "gamma"',
  ],
  ['cat of numbers', () => k.cat(any([image, 1])), 'cat: expected a Tensor'],
  ['cat of billions', () => k.cat(endless), 'cat: expected an array'],
  ['reshape to billions', () => k.reshape(image, endless), 'reshape: shape must be an array'],
  ['permute to billions', () => k.permute(image, endless), 'permute'],
  ['pad by billions', () => k.pad(image, endless), 'pad: pads must be'],
  ['train: mode', () => net().train(any(1)), 'train: mode must be true or false'],
  [
    'loadStateDict: numbers as names',
    () => net().loadStateDict(any(new Map([[1, x(1)]]))),
    'must go by names',
  ],
  ['RBF: negative', () => new k.RBF(x(3, 6), { negative: any(1) }), 'RBF: negative must be true or false'],
  ['MapCriterion: no model', () => new k.MapCriterion(any({})), 'MapCriterion: expected a Module'],
  ['Generator.uniform to infinity', () => new k.Generator(1).uniform(0, Number.POSITIVE_INFINITY), 'uniform'],
  [
    'SGD: nesterov',
    () => new k.SGD({ momentum: 0.9, nesterov: any(1) }),
    'SGD: nesterov must be true or false',
  ],
  ['SGD: momentum', () => new k.SGD({ nesterov: true, momentum: any(Symbol('m')) }), 'SGD: momentum must be'],
  [
    'OneCycleLR: threePhase',
    () => new k.OneCycleLR({ maxLr: 1, threePhase: any(1) }),
    'threePhase must be true',
  ],
  ['Dataset: names', () => new k.Dataset({ ...parts, names: any([1, 2]) }), 'Dataset: names must be'],
  ['Dataset: classes', () => new k.Dataset({ ...parts, classes: any(endless) }), 'Dataset: classes must be'],
  [
    'augment: mnistForm',
    () => k.augment(x(1, 1, 8, 8), { mnistForm: any(1) }),
    'mnistForm must be true or false',
  ],
  [
    'augment: where',
    () => k.augment(new Uint8Array(64), [1, 8, 8], {}, any(1n)),
    'augment: options must be an object',
  ],
  [
    'split: generator',
    () => new k.Dataset(parts).split(0.5, any({})),
    'split: generator must be a Generator',
  ],
  [
    'saveOnnx: inputName',
    () => k.saveOnnx(net(), { inputShape: [1, 4, 4], inputName: any(7) }),
    'inputName must be',
  ],
  [
    'saveOnnx: outputName',
    () => k.saveOnnx(net(), { inputShape: [1, 4, 4], outputName: any({}) }),
    'outputName must',
  ],
  [
    'loadOnnx: dataFolder',
    () => k.loadOnnx(new Uint8Array(4), { dataFolder: any(new Date()) }),
    'dataFolder must be',
  ],
  ['OnnxModel.run: a word', () => runOnnx(Array(16).fill('1')), 'takes float but holds "1"'],
  ['OnnxModel.run: a symbol', () => runOnnx(Array(16).fill(Symbol('a'))), 'takes float but holds Symbol(a)'],
  [
    'OnnxModel.run: a proxy',
    () => runOnnx(new Proxy(new Float32Array(16), {})),
    'as many numbers as its shape',
  ],
  ['OnnxModel.run: none', () => runOnnx({ length: 2 ** 40 }, [2 ** 40]), 'as many numbers as its shape'],
  [
    'OnnxModel.run: billions of sizes',
    () => runOnnx(Array(16).fill(0), endless),
    'as many numbers as its shape',
  ],
  ['OnnxModel.run: holes', () => runOnnx(Array(2 ** 30), [2 ** 30]), 'as many numbers as its shape'],
])('%s', (_, run, sentence) => {
  expect(run).toThrow(failure('ERR_ARGUMENT', sentence))
})

describe('promises', () => {
  const compiled = () => net().compile({ inputShape: [1, 4, 4] })
  const data = new k.Dataset({
    images: new Float32Array(32),
    labels: [0, 1],
    shape: [1, 4, 4],
    classes: ['a', 'b', 'c'],
  })
  test.each<[string, () => Promise<unknown>, string]>([
    [
      'runAsync: signal',
      () => compiled().runAsync(new Float32Array(16), undefined, { signal: any(() => 1) }),
      'runAsync: signal must be an AbortSignal',
    ],
    [
      'downloadMnist: onProgress',
      () => k.downloadMnist({ folder, onProgress: any(1) }),
      'onProgress must be a function',
    ],
    [
      'a class for a function',
      () => k.downloadMnist({ folder, onProgress: any(class {}) }),
      'must be a function',
    ],
    ['downloadMnist: mirror', () => k.downloadMnist({ folder, mirror: any(Symbol('m')) }), 'mirror'],
    [
      'loadPictures: normalize',
      () => k.loadPictures(folder, { normalize: any(1) }),
      'normalize must be true or false',
    ],
    ['loadPictures: onSkip', () => k.loadPictures(folder, { onSkip: any(1) }), 'onSkip must be a function'],
    [
      'loadPictures: classes',
      () => k.loadPictures(folder, { classes: any(endless) }),
      'classes must be names',
    ],
    [
      'fit: onProgress',
      async () => {
        const trainer = new k.Trainer(net(), { inputShape: [1, 4, 4], seed: 1 })
        for await (const _ of trainer.fit(data, { onProgress: any('') }));
      },
      'fit: onProgress must be a function',
    ],
    [
      'Evaluation.worst',
      async () => (await k.evaluate(net(), data)).worst(any(1n)),
      'worst: count must be an integer',
    ],
  ])('%s', async (_, run, sentence) => {
    await expect(run()).rejects.toThrow(failure('ERR_ARGUMENT', sentence))
  })
})

test('bytes that say they are more than they are, and bytes that are gone', () => {
  const idx = () => Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3)
  for (const name of ['length', 'byteLength', 'byteOffset', 'buffer']) {
    expect(k.loadIdx(longer(idx(), name)).data).toEqual(Uint8Array.of(1, 2, 3))
  }
  const pixels = (data: Uint8Array) => ({ data, width: 28, height: 28, channels: 1 })
  expect(() =>
    k.normalizeDigit(pixels(Object.defineProperty(new Uint8Array(4), 'length', { value: 784 }))),
  ).toThrow(failure('ERR_SHAPE', 'but received 4'))
  const reads: ((bytes: Uint8Array) => unknown)[] = [
    k.loadIdx,
    k.loadOnnx,
    k.loadTorch,
    k.loadSafetensors,
    k.decodePicture,
  ]
  for (const read of reads) {
    expect(() => read(detached())).toThrow(k.KerneletError)
    expect(() => read(longer(new Uint8Array(8)))).toThrow(k.KerneletError)
  }
})

test('a layer of more than a gibibyte is refused before it is made', () => {
  const make = [
    () => new k.Linear(2 ** 30, 2),
    () => new k.PReLU(2 ** 30),
    () => new k.BatchNorm2d(2 ** 30),
    () => new k.Conv2d(2 ** 15, 2 ** 15, { kernelSize: 3 }),
    () => new k.MapCriterion(net(), { classes: 2 ** 20 }),
  ]
  for (const one of make) expect(one).toThrow(failure('ERR_UNSUPPORTED', 'GiB'))
})

test('a module with an array that says it has billions of items', () => {
  const odd = Object.assign(net(), { list: Array(2 ** 32 - 1) })
  expect(odd.parameters()).toHaveLength(2)
  const trainer = new k.Trainer(odd, { inputShape: [1, 4, 4], seed: 1 })
  expect(trainer.step(new Float32Array(16), [0]).loss).toBeGreaterThan(0)
})

test('a module whose class leaves out forward() says so', () => {
  class Empty extends k.Module {
    declare forward: (y: k.Tensor) => k.Tensor
  }
  expect(() => new Empty().forward(image)).toThrow(failure('ERR_ARGUMENT', 'Empty has no forward()'))
  expect(() => k.summary(new Empty(), [1])).toThrow(failure('ERR_ARGUMENT', 'Empty has no forward()'))
})
