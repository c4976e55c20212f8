/** The functions' arguments and edges; their numbers are in goldens.test.ts. */
import { describe, expect, test } from 'vitest'
import {
  add,
  avgPool2d,
  cat,
  conv2d,
  crossEntropy,
  flatten,
  linear,
  logSoftmax,
  maxPool2d,
  relu,
  sigmoid,
  softmax,
  Tensor,
  tanh,
} from '../lib/index.ts'
import { bitsOf, largestError, noise } from './helpers.ts'

const tensor = (...shape: number[]) => new Tensor(noise(shape.reduce((a, b) => a * b, 1)), shape)
const floats = (...values: number[]) => new Tensor(Float32Array.from(values), [values.length])

describe('one image without a batch', () => {
  const image = tensor(3, 9, 8)
  const batch = new Tensor(image.data, [1, 3, 9, 8])

  test.each<[string, (x: Tensor) => Tensor]>([
    ['conv2d', (x) => conv2d(x, tensor(4, 3, 3, 3), tensor(4))],
    ['maxPool2d', (x) => maxPool2d(x, 2)],
    ['avgPool2d', (x) => avgPool2d(x, [2, 3])],
  ])('%s', (_, run) => {
    expect(run(image).shape).toEqual(run(batch).shape.slice(1))
    expect(run(image).data).toEqual(run(batch).data)
  })

  test('crossEntropy', () => {
    const loss = crossEntropy(floats(1, 2, 3), [2])
    expect(loss.shape).toEqual([])
    expect(loss.data[0]).toBeCloseTo(0.40760596, 7)
  })
})

test('pooling steps by its kernel unless told otherwise', () => {
  expect(maxPool2d(tensor(1, 1, 9, 9), 3).shape).toEqual([1, 1, 3, 3])
  expect(avgPool2d(tensor(1, 1, 9, 9), 3, { stride: 1 }).shape).toEqual([1, 1, 7, 7])
})

describe('dimensions', () => {
  const x = tensor(2, 3, 4, 5)

  test.each([0, 1, 2, 3, -1, -4])('softmax and logSoftmax along %i sum to one', (dim) => {
    const { data, shape } = softmax(x, dim)
    expect(shape).toEqual(x.shape)
    const axis = dim < 0 ? dim + 4 : dim
    const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1)
    const length = shape[axis]!
    const expected = Float32Array.from(data, (_, i) => {
      const start = i - (Math.floor(i / inner) % length) * inner
      let sum = 0
      for (let k = 0; k < length; k++) sum += Math.exp(x.data[start + k * inner]!)
      return Math.exp(x.data[i]!) / sum
    })
    expect(largestError(data, expected)).toBeLessThan(1.2e-7)
    expect(largestError(logSoftmax(x, dim).data, expected.map(Math.log))).toBeLessThan(5e-7)
  })

  test('softmax of large numbers does not overflow', () => {
    expect([...softmax(floats(1000, 1000, -1000), 0).data]).toEqual([0.5, 0.5, 0])
    expect([...logSoftmax(floats(1000, 1000), 0).data].map((v) => v.toFixed(6))).toEqual([
      '-0.693147',
      '-0.693147',
    ])
  })

  test('linear over the last of several', () => {
    const [weight, bias] = [tensor(6, 5), tensor(6)]
    const { data, shape } = linear(x, weight, bias)
    expect(shape).toEqual([2, 3, 4, 6])
    expect(data).toEqual(linear(new Tensor(x.data, [24, 5]), weight, bias).data)
    expect(linear(tensor(5), weight).shape).toEqual([6])
  })

  test('flatten is a view, of all by default', () => {
    expect(flatten(x).shape).toEqual([120])
    expect(flatten(x, 1).shape).toEqual([2, 60])
    expect(flatten(x, -2).shape).toEqual([2, 3, 20])
    expect(flatten(x).data).toBe(x.data)
    expect(flatten(new Tensor(new Float32Array(1), [])).shape).toEqual([1])
  })

  test('cat joins along any', () => {
    const [a, b] = [
      new Tensor(Float32Array.of(1, 2, 3, 4), [2, 2]),
      new Tensor(Float32Array.of(5, 6), [1, 2]),
    ]
    expect([...cat([a, b]).data]).toEqual([1, 2, 3, 4, 5, 6])
    const c = new Tensor(Float32Array.of(8, 9), [2, 1])
    expect([...cat([c, a, c], -1).data]).toEqual([8, 1, 2, 8, 9, 3, 4, 9])
    expect(cat([a]).data).toEqual(a.data)
  })

  test('element by element, scalars included', () => {
    const scalar = new Tensor(Float32Array.of(-2), [])
    expect(relu(scalar)).toMatchObject({ shape: [], data: Float32Array.of(0) })
    expect(add(scalar, scalar)).toMatchObject({ shape: [], data: Float32Array.of(-4) })
    expect(relu(tensor(1, 2, 1, 2, 1, 2)).shape).toEqual([1, 2, 1, 2, 1, 2])
    expect(() => relu(tensor(1, 1, 1, 1, 1, 1, 2))).toThrow('1 to 6 dimensions')
  })
})

describe('NaN, infinities and zeros behave as in PyTorch', () => {
  const special = floats(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0)

  test('activations', () => {
    expect([...relu(special).data]).toEqual([Number.NaN, Number.POSITIVE_INFINITY, 0, -0, 0])
    expect([...tanh(special).data]).toEqual([Number.NaN, 1, -1, -0, 0])
    expect([...sigmoid(special).data]).toEqual([Number.NaN, 1, 0, 0.5, 0.5])
    expect([...softmax(special, 0).data]).toEqual(Array(5).fill(Number.NaN))
  })

  test('a NaN wins its max-pooling windows wherever it lies', () => {
    for (let at = 0; at < 9; at++) {
      const data = noise(9)
      data[at] = Number.NaN
      const output = maxPool2d(new Tensor(data, [1, 3, 3]), 2, { stride: 1 }).data
      const [row, column] = [Math.floor(at / 3), at % 3]
      const hit = [0, 1, 2, 3].map((w) => {
        const [r, c] = [row - (w >> 1), column - (w & 1)]
        return r >= 0 && r < 2 && c >= 0 && c < 2
      })
      expect([...output].map(Number.isNaN)).toEqual(hit)
    }
  })

  test('max-pooling pads with −∞, not with zero', () => {
    const negative = new Tensor(new Float32Array(4).fill(-3), [1, 2, 2])
    expect([...maxPool2d(negative, 3, { stride: 2, padding: 1 }).data]).toEqual([-3])
  })

  test('0 · ∞ in a convolution is NaN', () => {
    const weight = new Tensor(Float32Array.of(0), [1, 1, 1, 1])
    expect(conv2d(new Tensor(Float32Array.of(Number.POSITIVE_INFINITY), [1, 1, 1]), weight).data[0]).toBeNaN()
  })
})

test('memory of every kind is read: shared, at an odd place, in the middle of a buffer', () => {
  const x = tensor(1, 2, 6, 7)
  const [weight, bias] = [tensor(3, 2, 3, 3), tensor(3)]
  const expected = bitsOf(conv2d(x, weight, bias).data)
  const shared = new Float32Array(new SharedArrayBuffer(4 * x.data.length))
  const middle = new Float32Array(x.data.length + 20).subarray(3, 3 + x.data.length)
  for (const data of [shared, middle]) {
    data.set(x.data)
    expect(bitsOf(conv2d(new Tensor(data, x.shape), weight, bias).data)).toEqual(expected)
  }
})

describe('refuses', () => {
  const [x, weight] = [tensor(1, 2, 5, 5), tensor(4, 2, 3, 3)]
  const detached = tensor(1, 2, 5, 5)
  structuredClone(detached.data.buffer, { transfer: [detached.data.buffer as ArrayBuffer] })

  test.each<[string, () => unknown, string, string]>([
    ['an array', () => relu([1] as never), 'ERR_ARGUMENT', 'ReLU: expected a Tensor but received [1]'],
    [
      'a typed array',
      () => relu(new Float32Array(1) as never),
      'ERR_ARGUMENT',
      'wrap it: new Tensor(data, shape)',
    ],
    [
      'nothing',
      () => conv2d(undefined as never, weight),
      'ERR_ARGUMENT',
      'Conv2d: expected a Tensor but received undef',
    ],
    ['no weight', () => conv2d(x, undefined as never), 'ERR_ARGUMENT', 'Conv2d: weight: expected a Tensor'],
    [
      'a detached input',
      () => conv2d(detached, weight),
      'ERR_SHAPE',
      'Conv2d: expected 50 values for shape 1×2×5×5 but rec',
    ],
    [
      'a detached weight',
      () => linear(tensor(1, 50), new Tensor(detached.data, [])),
      'ERR_SHAPE',
      'but received 0 (an empty',
    ],
    [
      'a flat weight',
      () => conv2d(x, tensor(18)),
      'ERR_SHAPE',
      'Conv2d: weight must have the shape [out, in / groups, hei',
    ],
    [
      'a long bias',
      () => conv2d(x, weight, tensor(5)),
      'ERR_SHAPE',
      'Conv2d: bias must have the shape 4 but has 5',
    ],
    [
      'wrong channels',
      () => conv2d(tensor(1, 3, 5, 5), weight),
      'ERR_SHAPE',
      'Conv2d expects 2 input channels but receives 3 (input 1×3×5×5)',
    ],
    ['channels last', () => conv2d(tensor(1, 5, 5, 2), weight), 'ERR_SHAPE', 'looks like NHWC'],
    [
      'too few dimensions',
      () => maxPool2d(tensor(5, 5), 2),
      'ERR_SHAPE',
      'MaxPool2d expects [channels, height, width]',
    ],
    [
      'too many dimensions',
      () => maxPool2d(tensor(1, 1, 1, 5, 5), 2),
      'ERR_SHAPE',
      'receives input 1×1×1×5×5',
    ],
    [
      'groups that do not divide',
      () => conv2d(x, weight, null, { groups: 3 }),
      'ERR_ARGUMENT',
      '4 output channels cannot be split into 3 groups',
    ],
    [
      'a stride of 0',
      () => conv2d(x, weight, null, { stride: 0 }),
      'ERR_ARGUMENT',
      'Conv2d: stride must be an integer from 1 to 32768',
    ],
    [
      'three strides',
      () => conv2d(x, weight, null, { stride: [1, 1, 1] as never }),
      'ERR_ARGUMENT',
      'is [1, 1, 1]',
    ],
    ['a huge stride', () => conv2d(x, weight, null, { stride: 2 ** 31 - 1 }), 'ERR_ARGUMENT', 'stride'],
    ['a huge padding', () => conv2d(x, weight, null, { padding: 2 ** 31 - 1 }), 'ERR_ARGUMENT', 'padding'],
    [
      'a huge dilation',
      () => conv2d(x, weight, null, { dilation: 2 ** 15 }),
      'ERR_SHAPE',
      'larger than the 5×5 image',
    ],
    [
      'an unknown option',
      () => maxPool2d(x, 2, { ceil_mode: true } as never),
      'ERR_ARGUMENT',
      'unknown option "ceil_mode"',
    ],
    [
      'null options',
      () => conv2d(x, weight, null, null as never),
      'ERR_ARGUMENT',
      'options must be an object',
    ],
    [
      'a kernel of strings',
      () => maxPool2d(x, '2' as never),
      'ERR_ARGUMENT',
      'kernelSize must be an integer from',
    ],
    [
      'too large a window',
      () => avgPool2d(x, 6),
      'ERR_SHAPE',
      'AvgPool2d has a window of 6×6, larger than the 5×5 image',
    ],
    [
      'a dimension too far',
      () => softmax(x, 4),
      'ERR_ARGUMENT',
      'Softmax: dim must be an integer from -4 to 3',
    ],
    ['no dimension', () => softmax(x, undefined as never), 'ERR_ARGUMENT', 'but is undefined'],
    ['sums of two shapes', () => add(x, weight), 'ERR_SHAPE', 'add expects shapes that are equal, or 1'],
    [
      'nothing to join',
      () => cat([]),
      'ERR_ARGUMENT',
      'cat: expected an array of one or more tensors but received []',
    ],
    ['a tensor to join', () => cat(x as never), 'ERR_ARGUMENT', 'cat: expected an array'],
    ['joins of two ranks', () => cat([x, tensor(1)]), 'ERR_SHAPE', 'cat expects shapes that agree'],
    [
      'scores of rank 3',
      () => crossEntropy(tensor(1, 2, 3), [0]),
      'ERR_SHAPE',
      'scores of shape [n, classes]',
    ],
    ['too few targets', () => crossEntropy(tensor(2, 3), [0]), 'ERR_SHAPE', 'crossEntropy expects 2 targets'],
    [
      'a class too far',
      () => crossEntropy(tensor(2, 3), Int32Array.of(0, 3)),
      'ERR_ARGUMENT',
      'target 1 must be a class from 0 to 2 but is 3',
    ],
    [
      'targets that are no list',
      () => crossEntropy(tensor(1, 3), { length: 1 } as never),
      'ERR_ARGUMENT',
      'an array of classes but receives',
    ],
    ['half a class', () => crossEntropy(tensor(1, 3), [0.5]), 'ERR_ARGUMENT', 'but is 0.5'],
  ])('%s', (_, run, code, sentence) => {
    expect(run).toThrow(expect.objectContaining({ code, message: expect.stringContaining(sentence) }))
  })
})
