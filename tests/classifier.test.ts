/** Pictures to classes by any network. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import {
  adaptiveAvgPool2d,
  Classifier,
  type ClassifierOptions,
  DigitClassifier,
  flatten,
  Identity,
  LeNet5,
  Module,
  manualSeed,
  type Pixels,
  Sequential,
  Softmax,
  saveOnnx,
  saveSafetensors,
  type Tensor,
} from '../lib/index.ts'
import { labelsToText } from '../lib/vision/classifier/network.ts'
import { gray, grayPng, placed, two } from './digits-pictures.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-classifier-'))
afterAll(() => rmSync(folder, { recursive: true }))

const pixels: Pixels = { ...placed(two, 40, 40, 9, 12), channels: 1 }

/** Scores a channel by its mean: says which colour a picture has most of. */
class MeanColour extends Module {
  forward(x: Tensor): Tensor {
    return flatten(adaptiveAvgPool2d(x, 1), 1)
  }
}

const colours: ClassifierOptions = {
  inputShape: [3, 4, 6],
  labels: ['red', 'green', 'blue'],
}

/** RGB pixels by place. */
function rgb(width: number, height: number, at: (x: number, y: number) => readonly number[]): Pixels {
  const data = Array.from({ length: width * height }, (_, i) => at(i % width, Math.floor(i / width)))
  return { data: Uint8Array.from(data.flat()), width, height, channels: data[0]!.length }
}

describe('the shipped digits', () => {
  const classifier = Classifier.load()
  const digits = DigitClassifier.load()
  afterAll(() => {
    classifier.dispose()
    digits.dispose()
  })

  test('are a classifier with ten labels', () => {
    const result = classifier.classify(pixels)
    expect(result).toMatchObject({ status: 'class', label: '2', index: 2 })
    const known = digits.classify(pixels)
    expect(known).toMatchObject({ status: 'digit', digit: 2, boxes: result.boxes })
    expect(Math.abs(result.confidence - known.confidence)).toBeLessThan(1e-6)
    expect(classifier.labels).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
    expect(classifier.preparation).toEqual({
      ...{ fit: 'digit', colour: 'grey', width: 28, height: 28 },
      ...{ mean: [0], std: [1] },
    })
  })

  test('say when there is nothing, or more than one', () => {
    const none = { label: null, index: null, confidence: 0, probabilities: null }
    const blank = { ...gray(40, 40, () => 200), channels: 1 }
    expect(classifier.classify(blank)).toEqual({ status: 'nothing', ...none, boxes: [] })
    const page = gray(100, 40, (x, y) => {
      const left = x < 50 ? 10 : 60
      return x >= left && x < left + 16 && y >= 10 && y < 27 ? two.data[(y - 10) * 16 + x - left]! : 0
    })
    const several = classifier.classify({ ...page, channels: 1 })
    expect(several).toMatchObject({ status: 'several', ...none })
    expect(several.boxes).toHaveLength(2)
  })

  test('asynchronously, and from a file, the same', async () => {
    expect(await classifier.classifyAsync(pixels)).toEqual(classifier.classify(pixels))
    const png = grayPng(placed(two, 40, 40, 9, 12))
    expect(await classifier.classifyAsync(png)).toEqual(classifier.classify(pixels))
  })
})

describe('own networks', () => {
  test('weights of this library, with labels in their metadata', () => {
    manualSeed(1)
    const file = join(folder, 'cats.safetensors')
    const network = new LeNet5(3, 2)
    const metadata = { fit: 'stretch', colour: 'bgr', mean: '0.1,0.2,0.3', std: '0.5', classes: 'cat,dog' }
    saveSafetensors(file, network.stateDict(), { ...metadata, model: 'lenet5', threshold: '0.9' })
    using classifier = Classifier.load(file)
    expect(classifier.labels).toEqual(['cat', 'dog'])
    expect(classifier.inputShape).toEqual([3, 28, 28])
    expect(classifier.preparation).toEqual({
      ...{ fit: 'stretch', colour: 'bgr', width: 28, height: 28 },
      ...{ mean: [0.1, 0.2, 0.3], std: [0.5, 0.5, 0.5] },
    })
    expect(classifier.classify(pixels)).toMatchObject({ status: 'unsure', label: null, index: null })
    using sure = Classifier.load(file, { threshold: 0, labels: ['a', 'b'] })
    expect(sure.classify(pixels)).toMatchObject({ status: 'class', label: expect.stringMatching(/^[ab]$/) })
    // into a network that was written elsewhere
    using other = Classifier.load(file, { network: new LeNet5(3, 2), inputShape: [3, 28, 28], threshold: 0 })
    expect(other.classify(pixels).probabilities).toEqual(sure.classify(pixels).probabilities)
  })

  test('ONNX, with labels given', () => {
    const file = join(folder, 'digits.onnx')
    saveOnnx(LeNet5.pretrained(), file, { inputShape: [1, 28, 28] })
    const labels = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine']
    using classifier = Classifier.load(file, { labels })
    expect(classifier.classify(pixels)).toMatchObject({ status: 'class', label: 'two' })
  })

  test('a network in memory; probabilities are not made twice', () => {
    const scores = new MeanColour()
    using once = Classifier.from(scores, colours)
    using twice = Classifier.from(new Sequential(scores, new Softmax(1)), colours)
    using plain = Classifier.from(scores, { ...colours, outputs: 'probabilities' })
    const blue = rgb(6, 4, () => [0, 0, 255])
    const { probabilities } = once.classify(blue)
    expect(twice.classify(blue).probabilities).toEqual(probabilities)
    expect(once.classify(blue)).toMatchObject({ status: 'class', label: 'blue', index: 2 })
    expect([...plain.classify(blue).probabilities!]).toEqual([0, 0, 1])
    using cold = Classifier.from(scores, { ...colours, temperature: 0.25 })
    expect(cold.classify(blue).confidence).toBeCloseTo(Math.exp(4) / (Math.exp(4) + 2), 5)
  })
})

describe('preparation', () => {
  /** The network's input, channel by channel, as its outputs. */
  function seen(picture: Pixels, options: ClassifierOptions): number[] {
    class Flat extends Module {
      forward(x: Tensor): Tensor {
        return flatten(new Identity().forward(x), 1)
      }
    }
    using classifier = Classifier.from(new Flat(), { ...options, outputs: 'probabilities' })
    return [...classifier.classify(picture).probabilities!].map((v) => Math.round(v * 1000) / 1000)
  }
  // red on the left, green in the middle, blue on the right
  const stripes = rgb(6, 2, (x) => (x < 2 ? [255, 0, 0] : x < 4 ? [0, 255, 0] : [0, 0, 255]))

  test('crop takes the middle, stretch all of it, pad puts margins', () => {
    const shape = { inputShape: [3, 2, 2] }
    expect(seen(stripes, shape)).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0])
    expect(seen(stripes, { ...shape, fit: 'stretch' })).toEqual([
      0.667, 0, 0.667, 0, 0.333, 0.333, 0.333, 0.333, 0, 0.667, 0, 0.667,
    ])
    const six = { inputShape: [3, 6, 6], fit: 'pad' } as const
    const padded = seen(stripes, six)
    expect(padded.slice(0, 36)).toEqual(
      Array.from({ length: 36 }, (_, i) => (i >= 12 && i < 24 && i % 6 < 2 ? 1 : 0)),
    )
  })

  test('colours in the network’s order, grey by weight, mean and deviation a channel', () => {
    const red = rgb(2, 2, () => [255, 0, 0])
    const shape = { inputShape: [3, 2, 2] }
    expect(seen(red, { ...shape, colour: 'bgr' })).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    expect(seen(red, { inputShape: [1, 2, 2] })).toEqual([0.302, 0.302, 0.302, 0.302])
    expect(seen(red, { ...shape, mean: [0.5, 0.1, 0], std: [0.5, 0.2, 1] })).toEqual([
      1, 1, 1, 1, -0.5, -0.5, -0.5, -0.5, 0, 0, 0, 0,
    ])
  })

  test('grey pictures have all colours alike; what is transparent is white', () => {
    const shape = { inputShape: [3, 1, 2] }
    const grey: Pixels = { data: Uint8Array.of(51, 102), width: 2, height: 1, channels: 1 }
    expect(seen(grey, shape)).toEqual([0.2, 0.4, 0.2, 0.4, 0.2, 0.4])
    const clear = rgb(2, 1, (x) => (x === 0 ? [0, 0, 0, 0] : [0, 51, 255, 255]))
    expect(seen(clear, shape)).toEqual([1, 0, 1, 0.2, 1, 1])
  })

  test('a large picture is averaged', () => {
    const picture = rgb(600, 400, (x, y) => ((x + y) % 2 ? [255, 255, 255] : [0, 0, 0]))
    for (const value of seen(picture, { inputShape: [3, 4, 6] })) expect(value).toBeCloseTo(0.5, 2)
  })
})

test('what does not fit is named', () => {
  const file = join(folder, 'wrong.safetensors')
  const save = (metadata: Record<string, string>) => () => {
    saveSafetensors(file, new LeNet5(1, 10).stateDict(), metadata)
    return Classifier.load(file)
  }
  const from = (options: object) => () => Classifier.from(new MeanColour(), { ...colours, ...options })
  const cases: [() => unknown, string, RegExp][] = [
    [() => Classifier.from(new MeanColour()), 'ERR_ARGUMENT', /inputShape, such as/],
    [() => Classifier.from({} as Module), 'ERR_ARGUMENT', /expected a Module/],
    [from({ inputShape: [2, 4, 6] }), 'ERR_SHAPE', /1×height×width or 3×height×width, but it takes 2×4×6/],
    [from({ fit: 'digit' }), 'ERR_ARGUMENT', /fit 'digit' makes images of 1×28×28/],
    [from({ fit: 'cover' }), 'ERR_ARGUMENT', /fit must be 'digit', 'crop', 'pad', 'stretch' but is "cover"/],
    [from({ colour: 'grey' }), 'ERR_ARGUMENT', /colour "grey" does not go with/],
    [from({ mean: [1, 2] }), 'ERR_ARGUMENT', /mean must be a number, or 3 of them/],
    [from({ std: 0 }), 'ERR_ARGUMENT', /std must be a number above 0/],
    [from({ labels: ['a'] }), 'ERR_SHAPE', /3 outputs but there are 1 labels/],
    [from({ labels: 'abc' }), 'ERR_ARGUMENT', /labels must be names/],
    [from({ threshold: 2 }), 'ERR_ARGUMENT', /threshold must be a number from 0 to 1/],
    [from({ temperature: -1 }), 'ERR_ARGUMENT', /temperature must be a number above 0/],
    [from({ outputs: 'logits' }), 'ERR_ARGUMENT', /outputs must be/],
    [from({ outputs: 'probabilities', temperature: 2 }), 'ERR_ARGUMENT', /goes with scores/],
    [from({ label: [] }), 'ERR_ARGUMENT', /unknown option "label"/],
    [save({ model: 'resnet' }), 'ERR_UNSUPPORTED', /a model called "resnet"/],
    [save({ mean: '0.1;' }), 'ERR_FORMAT', /Expected numbers for mean/],
    [save({ input: '28' }), 'ERR_FORMAT', /Expected a size as 3x224x224 for input/],
    [save({ classes: '[1,2]' }), 'ERR_FORMAT', /Expected names for classes/],
    [save({ classes: 'a,b' }), 'ERR_SHAPE', /10 outputs but there are 2 labels/],
    [save({ fit: 'huge' }), 'ERR_ARGUMENT', /fit must be/],
    [() => Classifier.load(join(folder, 'none.onnx')), 'ERR_IO', /no such file/],
    [() => Classifier.load(Buffer.from('PK\u0003\u0004')), 'ERR_UNSUPPORTED', /torch\.save/],
    [
      () => Classifier.load(Buffer.from('hello, world, how are you')),
      'ERR_FORMAT',
      /not a(n| valid) ONNX model/,
    ],
  ]
  for (const [make, code, message] of cases) {
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
  }
})

test('names of classes with commas are kept', () => {
  for (const labels of [['a', 'b'], ['a,b', 'c'], ['[a]', 'b'], ['']]) {
    const file = join(folder, 'names.safetensors')
    saveSafetensors(file, new LeNet5(1, Math.max(2, labels.length)).stateDict(), {
      classes: labelsToText(labels.length === 1 ? ['x', ...labels] : labels),
    })
    using classifier = Classifier.load(file)
    expect(classifier.labels).toEqual(labels.length === 1 ? ['x', ...labels] : labels)
  }
})
