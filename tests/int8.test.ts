/** precision 'int8': accuracy beside float32, the same bits however it is run, and what is refused. */
import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import {
  avgPool2d,
  type CompileOptions,
  Conv2d,
  compile,
  flatten,
  Generator,
  isa,
  KerneletError,
  LeNet5,
  Linear,
  MaxPool2d,
  Module,
  maxPool2d,
  ReLU,
  relu,
  Sequential,
  softmax,
  Tensor,
} from '../lib/index.ts'
import { argmax, bitsOf, largestError, mnistTest, noise } from './helpers.ts'

const inputShape = [1, 28, 28]
const model = LeNet5.pretrained()
const { supported } = isa()

/** Noise as pixels might be: 0 … 1. */
const pixels = (count: number, seed = 1) => noise(784 * count, seed).map(Math.abs)
const calibration = pixels(16)

test('MNIST: at most 0.1 point below float32', () => {
  const images = mnistTest()
  const folder = process.env.KERNELET_MNIST ?? new URL('../../shared/data/mnist', import.meta.url).pathname
  const file = `${folder}/train-images-idx3-ubyte.gz`
  if (!images || !existsSync(file)) return
  const training = gunzipSync(readFileSync(file)).subarray(16, 16 + 784 * 128)
  using exact = compile(model, { inputShape })
  using int8 = compile(model, { inputShape, precision: 'int8', inputType: 'uint8', calibration: training })
  const bytes = Uint8Array.from(images.images, (value) => Math.round(value * 255))
  const right = (scores: Float32Array) =>
    images.labels.reduce(
      (sum, label, i) => sum + Number(argmax(scores.subarray(10 * i, 10 * i + 10)) === label),
      0,
    )
  const [before, after] = [right(exact.run(images.images)), right(int8.run(bytes))]
  expect(before).toBeGreaterThan(9800)
  expect(before - after).toBeLessThanOrEqual(10)
})

test('the same bits by instruction set, batch, threads', () => {
  const input = pixels(67, 3)
  let first: Uint32Array | undefined
  for (const isa of supported) {
    for (const threads of [1, 2]) {
      using int8 = compile(model, { inputShape, precision: 'int8', calibration, isa, threads })
      for (const batch of [1, 7, 67]) {
        const output = new Float32Array(670)
        for (let image = 0; image < 67; image += batch) {
          const end = Math.min(67, image + batch)
          output.set(int8.run(input.subarray(784 * image, 784 * end)), 10 * image)
        }
        first ??= bitsOf(output)
        expect(bitsOf(output), `${isa}, ${threads} threads, batches of ${batch}`).toEqual(first)
      }
    }
  }
  using exact = compile(model, { inputShape })
  const scores = exact.run(input)
  expect(largestError(new Float32Array(first!.buffer), scores)).toBeLessThan(
    0.1 * scores.reduce((most, score) => Math.max(most, Math.abs(score)), 0),
  )
})

test('bytes as they are: inputType uint8', () => {
  const bytes = Uint8Array.from(pixels(20, 5), (value) => 255 * value)
  const options: CompileOptions = { inputShape, precision: 'int8', inputType: 'uint8', scale: 1 / 255 }
  using int8 = compile(model, { ...options, calibration: bytes })
  using fromFloats = compile(model, { ...options, calibration: Float32Array.from(bytes, (b) => b / 255) })
  expect(int8.run(bytes)).toEqual(fromFloats.run(bytes))
  expect(int8.describe().steps[0]!.int8!.input).toEqual({ scale: Math.fround(1 / 255), zero: 0 })
})

const generator = new Generator(3)

/** What runs on bytes beside what does not: groups, average pools, softmax, a value read twice. */
class Mixed extends Module {
  readonly stem: Conv2d = new Conv2d(3, 8, { kernelSize: 3, padding: 1, generator })
  readonly depthwise: Conv2d = new Conv2d(8, 8, { kernelSize: 3, groups: 8, padding: 1, generator })
  readonly point: Conv2d = new Conv2d(8, 12, { kernelSize: 1, generator })
  readonly wide: Conv2d = new Conv2d(12, 9, { kernelSize: 3, stride: 2, padding: 1, generator })
  readonly head: Linear = new Linear(9 * 2 * 2, 5, { generator })

  forward(x: Tensor): Tensor {
    x = relu(this.stem.forward(x))
    x = relu(this.depthwise.forward(x))
    x = maxPool2d(relu(this.point.forward(x)), 2)
    x = avgPool2d(this.wide.forward(x), 2)
    return softmax(this.head.forward(flatten(x, 1)), 1)
  }
}

test('what does not fit stays in float32, and describe() says so', () => {
  const net = new Mixed()
  const shape = [3, 16, 16]
  const images = noise(768 * 40)
  using exact = compile(net, { inputShape: shape })
  using int8 = compile(net, { inputShape: shape, precision: 'int8', calibration: images })
  const steps = int8.describe().steps
  expect(Object.fromEntries(steps.map(({ names, int8 }) => [names[0], int8 !== undefined]))).toMatchObject({
    stem: true,
    depthwise: false,
    point: true,
    wide: true,
    head: true,
  })
  // the point's output stays bytes, the others give floats
  expect(steps.filter(({ int8 }) => int8?.output).map(({ names }) => names[0])).toEqual(['point'])
  expect(steps[0]!.int8!.input.zero).toBeGreaterThan(100)
  expect(`${int8.describe()}`).toContain('byte − ')
  expect(largestError(int8.run(images).slice(), exact.run(images))).toBeLessThan(0.02)
  const [alone, together] = [int8.run(images.subarray(0, 768)).slice(), int8.run(images)]
  expect(bitsOf(together.subarray(0, 5))).toEqual(bitsOf(alone))
})

describe('refused', () => {
  const refused = (options: object): KerneletError => {
    try {
      compile(model, { inputShape, ...options }).dispose()
    } catch (error) {
      if (error instanceof KerneletError) return error
      throw error
    }
    throw new Error('nothing was thrown')
  }
  test.each<[string, object, string, string]>([
    ['no calibration', { precision: 'int8' }, 'ERR_ARGUMENT', 'needs calibration'],
    ['of numbers', { precision: 'int8', calibration: [1, 2] }, 'ERR_ARGUMENT', 'needs calibration'],
    ['an empty one', { precision: 'int8', calibration: new Float32Array(0) }, 'ERR_SHAPE', '784 values'],
    ['half an image', { precision: 'int8', calibration: new Float32Array(1000) }, 'ERR_SHAPE', '784 values'],
    [
      'other images',
      { precision: 'int8', calibration: new Tensor(new Float32Array(3072), [4, 3, 16, 16]) },
      'ERR_SHAPE',
      '4×3×16×16',
    ],
    [
      'NaN',
      { precision: 'int8', calibration: new Float32Array(784).fill(Number.NaN) },
      'ERR_ARGUMENT',
      'finite',
    ],
    ['calibration alone', { calibration }, 'ERR_ARGUMENT', "precision 'int8'"],
    ['another precision', { precision: 'fp16', calibration }, 'ERR_ARGUMENT', "'float32' or 'int8'"],
  ])('%s', (_, options, code, message) => {
    expect(refused(options)).toMatchObject({ code, message: expect.stringContaining(message) })
  })
})

test('a model of one layer, one with a constant value, and values that are all zero', () => {
  const zeros = new Float32Array(2 * 4 * 8 * 8)
  for (const net of [
    new Sequential(new Conv2d(4, 5, { kernelSize: 3, generator })),
    new Sequential(new ReLU()),
    new Sequential(new MaxPool2d(2)),
  ]) {
    using int8 = compile(net, { inputShape: [4, 8, 8], precision: 'int8', calibration: zeros })
    using exact = compile(net, { inputShape: [4, 8, 8] })
    expect(largestError(int8.run(zeros).slice(), exact.run(zeros))).toBeLessThan(1e-5)
  }
})
