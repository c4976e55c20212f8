/**
 * Same bits: however a model is run, on whatever tier of a class with the same rounding ({avx2, avx512, neon}
 * fuse multiply and add, {scalar, sse} do not), the result is the same to the last bit, NaN and −0 included.
 */
import { describe, expect, test } from 'vitest'
import {
  AvgPool2d,
  add,
  type CompileOptions,
  Conv2d,
  cat,
  Flatten,
  flatten,
  Generator,
  isa,
  LeNet5,
  Linear,
  LogSoftmax,
  MaxPool2d,
  Module,
  maxPool2d,
  ReLU,
  relu,
  Sequential,
  Sigmoid,
  Softmax,
  softmax,
  Tanh,
  Tensor,
} from '../lib/index.ts'
import { bitsOf, noise } from './helpers.ts'

const generator = new Generator(3)
const conv = (inputs: number, outputs: number, options: object = {}) =>
  new Conv2d(inputs, outputs, { kernelSize: 3, generator, ...options })

/** Branches that join again, values used twice, awkward sizes. */
class Branches extends Module {
  readonly stem: Conv2d = conv(3, 7, { stride: [2, 1], padding: [1, 2] })
  readonly left: Conv2d = conv(7, 7, { padding: 1 })
  readonly right: Conv2d = conv(7, 7, { padding: 2, dilation: 2, bias: false })
  readonly deep: Conv2d = conv(7, 14, { groups: 7, padding: 1 })
  readonly head: Linear = new Linear(21 * 5 * 8, 11, { generator })

  forward(x: Tensor): Tensor {
    const stem = relu(this.stem.forward(x))
    const sum = relu(add(this.left.forward(stem), stem))
    const both = add(this.right.forward(sum), sum)
    const joined = cat(
      [
        maxPool2d(relu(this.deep.forward(sum)), 2, { ceilMode: true }),
        maxPool2d(both, 2, { ceilMode: true }),
      ],
      1,
    )
    return softmax(this.head.forward(flatten(joined, 1)), 1)
  }
}

const models: [string, Module, number[]][] = [
  ['LeNet-5', new LeNet5(), [1, 28, 28]],
  ['branches', new Branches(), [3, 17, 14]],
  [
    'averages and curves',
    new Sequential(
      conv(2, 5),
      new Tanh(),
      new AvgPool2d(2),
      conv(5, 17, { padding: 1 }),
      new Sigmoid(),
      new AvgPool2d(2),
    ),
    [2, 14, 18],
  ],
  [
    'pool before activation, overlapping windows',
    new Sequential(
      conv(1, 6),
      new MaxPool2d(2),
      new ReLU(),
      conv(6, 33),
      new ReLU(),
      new MaxPool2d(3, { stride: 2, padding: 1 }),
    ),
    [1, 21, 19],
  ],
  [
    'a perceptron',
    new Sequential(
      new Linear(37, 65, { generator }),
      new ReLU(),
      new Linear(65, 9, { bias: false, generator }),
      new LogSoftmax(1),
    ),
    [37],
  ],
  [
    'a depthwise column',
    new Sequential(conv(8, 8, { kernelSize: [5, 1], groups: 8 }), new Flatten(), new Softmax(-1)),
    [8, 9, 3],
  ],
]

/** Two rounds of 16 images in the lanes, or four of 8, and an odd rest. */
const batch = 37
/** Those that promise it; a name that a model has no layer for falls back. */
const algorithms = ['im2col', 'direct', 'direct-pixels', 'direct-channels', 'lanes']

const classes = [
  ['avx2', 'avx512', 'neon'],
  ['scalar', 'sse'],
]
  .map((tiers) => tiers.filter((tier) => isa().supported.includes(tier)))
  .filter((tiers) => tiers.length > 0)

describe.each(models)('%s', (_, model, inputShape) => {
  const length = inputShape.reduce((a, b) => a * b, 1)
  const images = noise(batch * length)
  // One image with everything that is special, to see that it stays by itself and alike everywhere.
  images.set([Number.NaN, Number.POSITIVE_INFINITY, -0, 0, 1e-40, Number.NEGATIVE_INFINITY], 2 * length)

  const run = (options: CompileOptions, input = images): Uint32Array => {
    using net = model.compile({ inputShape, ...options })
    return bitsOf(net.run(input))
  }

  describe.each(classes.map((tiers) => [tiers.join(', '), tiers] as const))('%s', (_, tiers) => {
    const expected = run({ isa: tiers[0] })

    test.each(tiers)(
      '%s: fused or not, by every algorithm, one by one, on several threads, asynchronously',
      async (isa) => {
        expect(run({ isa })).toEqual(expected)
        expect(run({ isa, fuse: false })).toEqual(expected)
        expect(run({ isa, threads: 3 })).toEqual(expected)
        for (const algorithm of algorithms) {
          for (const fuse of [true, false]) expect(run({ isa, algorithm, fuse }), algorithm).toEqual(expected)
        }
        using net = model.compile({ inputShape, isa })
        const each = expected.length / batch
        for (let i = 0; i < batch; i++) {
          const one = net.run(images.subarray(i * length, (i + 1) * length))
          expect(bitsOf(one)).toEqual(expected.subarray(i * each, (i + 1) * each))
        }
        expect(bitsOf(await net.runAsync(images))).toEqual(expected)
      },
    )
  })

  test('eager and compiled', () => {
    const eager = model.forward(new Tensor(images, [batch, ...inputShape]))
    expect(bitsOf(eager.data)).toEqual(run({}))
  })

  test('the special image does not touch its neighbours', () => {
    const clean = noise(batch * length)
    const [before, after] = [run({}, clean), run({})]
    const each = before.length / batch
    for (let i = 0; i < batch; i++) {
      if (i === 2) continue
      expect(after.subarray(i * each, (i + 1) * each)).toEqual(before.subarray(i * each, (i + 1) * each))
    }
  })
})
