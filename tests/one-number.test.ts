/** Networks that give one number an image, [n]: compiled, in batches, trained, as they run eagerly. */
import { describe, expect, test } from 'vitest'
import {
  add,
  Conv2d,
  Flatten,
  Linear,
  mean,
  mul,
  relu,
  reshape,
  Sequential,
  SGD,
  sigmoid,
  slice,
  sub,
  summary,
  Tensor,
  Trainer,
} from '../lib/index.ts'
import { Inline, noise } from './helpers.ts'

const images = (n: number) => new Tensor(noise(n * 36, 3), [n, 1, 6, 6])
const net = new Sequential(new Flatten(), new Linear(36, 4))
const one = new Sequential(new Flatten(), new Linear(36, 1))

const forms: Record<string, (x: Tensor) => Tensor> = {
  'view(-1)': (x) => reshape(one.forward(x), [-1]),
  'squeeze(1)': (x) => reshape(one.forward(x), [x.shape[0] as number]),
  '[:, 2]': (x) => reshape(slice(net.forward(x), 1, 2, 3), [x.shape[0] as number]),
  'mean over all but the batch': (x) => mean(new Conv2dOfOnes().forward(x), [1, 2, 3]),
  'arithmetic on it': (x) =>
    mul(sigmoid(sub(add(reshape(one.forward(x), [-1]), new Tensor(Float32Array.of(2), [1])), 1)), 3),
  'two of them': (x) => add(mean(x, [1, 2, 3]), relu(reshape(one.forward(x), [-1]))),
  'back to two dimensions': (x) => {
    const rows = reshape(one.forward(x), [-1])
    return reshape(mul(rows, 2), [x.shape[0] as number, 1])
  },
}

class Conv2dOfOnes extends Conv2d {
  constructor() {
    super(1, 2, { kernelSize: 3 })
    this.weight.data.fill(0.25)
    this.bias?.data.fill(-0.5)
  }
}

describe.each(Object.entries(forms))('%s', (_, forward) => {
  const model = new Inline(forward)

  test.each([1, 3, 40])('of a batch of %i', (n) => {
    const x = images(n)
    const eager = model.forward(x)
    expect(eager.shape[0]).toBe(n)
    const compiled = model.compile({ inputShape: [1, 6, 6] })
    expect(compiled.outputShape).toEqual([1])
    expect([...compiled.run(x)]).toEqual([...eager.data])
  })
})

test('what would mix images is refused as before', () => {
  for (const forward of [
    (x: Tensor) => reshape(net.forward(x), [-1]),
    (x: Tensor) => reshape(x, [36]),
    (x: Tensor) => mean(reshape(one.forward(x), [-1]), 0),
    (x: Tensor) => reshape(reshape(one.forward(x), [-1]), [1, 1, 1, 1, 1, 1, 1, 1]),
  ]) {
    expect(() => new Inline(forward).compile({ inputShape: [1, 6, 6] })).toThrow(
      expect.objectContaining({ name: 'KerneletError', code: expect.not.stringMatching('ERR_INTERNAL') }),
    )
  }
})

test('it is summed up, and trained as one with [n, 1] is, to the bit', () => {
  const make = (last: (x: Tensor) => Tensor) => {
    const fc = new Linear(36, 1)
    fc.weight.data.set(noise(36, 5))
    fc.bias?.data.fill(0.1)
    return Object.assign(new Inline((x) => last(fc.forward(reshape(x, [x.shape[0] as number, 36])))), { fc })
  }
  const [flat, column] = [make((x) => reshape(x, [-1])), make((x) => x)]
  expect(summary(flat, [1, 6, 6]).parameters).toBe(37)
  const [x, y] = [images(8), [0, 1, 1, 0, 1, 0, 0, 1]]
  const losses = [flat, column].map((model) => {
    const options = {
      loss: 'binaryCrossEntropyWithLogits',
      optimizer: new SGD({ lr: 0.1 }),
      seed: 1,
    } as const
    const trainer = new Trainer(model, options)
    return Array.from({ length: 5 }, () => trainer.step(x, y).loss)
  })
  expect(losses[0]).toEqual(losses[1])
  expect(flat.fc.weight.data).toEqual(column.fc.weight.data)
})
