/** Augmentation from TypeScript: what it does to images is tested in native/tests/test_augment.cc. */
import { describe, expect, test } from 'vitest'
import { native } from '../lib/backend/node-addon.ts'
import {
  type AugmentOptions,
  augment,
  Dataset,
  flatten,
  handwriting,
  Linear,
  Module,
  manualSeed,
  SGD,
  Tensor,
  Trainer,
} from '../lib/index.ts'
import { two } from './digits-pictures.ts'
import { bitsOf } from './helpers.ts'

/** `n` images of a 2, 28×28. */
function twos(n: number): Tensor {
  const data = new Float32Array(n * 784)
  for (let i = 0; i < n; i++) {
    for (let y = 0; y < two.height; y++) {
      for (let x = 0; x < two.width; x++) {
        data[i * 784 + (y + 6) * 28 + x + 6] = two.data[y * two.width + x]! / 255
      }
    }
  }
  return new Tensor(data, [n, 1, 28, 28])
}

const bytes = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer)

describe('augment', () => {
  test('an image depends on seed, epoch and index, not on the images around it or the threads', () => {
    const images = twos(300)
    const before = images.data.slice()
    const all = augment(images, handwriting, { seed: 5, epoch: 2, index: 100 })
    expect(all.shape).toEqual([300, 1, 28, 28])
    expect(images.data).toEqual(before)
    for (const i of [0, 63, 64, 299]) {
      const alone = augment(twos(1), handwriting, { seed: 5, epoch: 2, index: 100 + i })
      expect(bitsOf(alone.data)).toEqual(bitsOf(all.data.slice(i * 784, (i + 1) * 784)))
    }
    const flat = { mnistForm: true, degrees: 20, alpha: 30, sigma: 3 }
    const options = { mnistForm: true, affine: { degrees: 20 }, elastic: { alpha: 30, sigma: 3 } }
    const expected = bytes(augment(images, options, { seed: 1 }).data)
    for (const threads of [1, 2, 5]) {
      const data = native().augment(images.data, [1, 28, 28], flat, 1, 0, 0, threads)
      expect(Buffer.compare(bytes(data), expected), `${threads} threads`).toBe(0)
    }
    for (const where of [
      { seed: 6, epoch: 2 },
      { seed: 5, epoch: 3 },
    ]) {
      expect(augment(twos(1), handwriting, where).data).not.toEqual(
        augment(twos(1), handwriting, { seed: 5, epoch: 2 }).data,
      )
    }
  })

  test('every option reaches the core', () => {
    const images = twos(1)
    const groups: AugmentOptions = {
      thickness: { thinner: 1, thicker: 1 },
      affine: { degrees: 10 },
      square: { strength: 1 },
      elastic: { alpha: 30 },
      blur: { sigma: 1 },
      contrast: { strength: 0.5 },
      background: { strength: 0.5 },
      noise: { std: 0.2 },
    }
    for (const [name, group] of Object.entries(groups)) {
      const changed = augment(images, { [name]: group })
      expect(changed.data, name).not.toEqual(images.data)
      expect(augment(images, { [name]: { ...group, probability: 0 } }).data, name).toEqual(images.data)
    }
    for (const field of ['degrees', 'scale', 'stretch', 'shear', 'translate']) {
      expect(augment(images, { affine: { [field]: 0.5 } }).data, field).not.toEqual(images.data)
    }
    expect(augment(images, { mnistForm: true }).data).not.toEqual(images.data)
    expect(augment(images, {}).data).toEqual(images.data)
  })

  test('levels of paper and ink may be others than 0 and 1', () => {
    const images = twos(1)
    const shifted = new Tensor(
      images.data.map((v) => 4 * v - 2),
      images.shape,
    )
    const options = { affine: { degrees: 30, translate: 9 }, thickness: { thicker: 2 } }
    const plain = augment(images, options)
    const other = augment(shifted, options, { low: -2, high: 2 })
    const difference = Math.max(...other.data.map((v, i) => Math.abs((v + 2) / 4 - plain.data[i]!)))
    expect(difference).toBeLessThan(1e-5)
  })

  test('what does not fit is named', () => {
    const bad: [unknown, unknown, string, RegExp][] = [
      [twos(1), { rotate: 10 }, 'ERR_ARGUMENT', /unknown option "rotate"; .*affine/],
      [twos(1), { affine: { angle: 10 } }, 'ERR_ARGUMENT', /augment: affine: unknown option "angle"/],
      [
        twos(1),
        { affine: { degrees: '10' } },
        'ERR_ARGUMENT',
        /affine\.degrees must be a number but is "10"/,
      ],
      [twos(1), { affine: { degrees: 270 } }, 'ERR_ARGUMENT', /degrees .* received 270/],
      [twos(1), { noise: { std: Number.NaN } }, 'ERR_ARGUMENT', /noise/],
      [twos(1), { noise: { std: 1, probability: 2 } }, 'ERR_ARGUMENT', /probability of noise/],
      [new Tensor(new Float32Array(784), [1, 784]), {}, 'ERR_SHAPE', /\[n, channels, height, width\].*1×784/],
      [new Float32Array(784), {}, 'ERR_SHAPE', /expected images/],
    ]
    for (const [images, options, code, message] of bad) {
      expect(() => augment(images as Tensor, options as AugmentOptions)).toThrow(
        expect.objectContaining({ code, message: expect.stringMatching(message) }),
      )
    }
    expect(() => augment(twos(1), {}, { low: 1 })).toThrow(/ink/)
    expect(() => augment(twos(1), {}, { epochs: 1 } as object)).toThrow(/unknown option "epochs"/)
    expect(() => augment(twos(1), {}, { seed: -1 })).toThrow(/seed/)
  })
})

describe('a trainer with augment', () => {
  /** Outputs each pixel times 1: the loss's gradient at the weights tells which image came. */
  class Pixels extends Module {
    readonly fc = new Linear(784, 2)
    forward(x: Tensor): Tensor {
      return this.fc.forward(flatten(x, 1))
    }
  }

  test('sees what augment() shows, by seed, epoch and sample, in any order and on any number of threads', async () => {
    const images = twos(96)
    for (let i = 0; i < 96; i++) images.data.fill(i / 96, i * 784, i * 784 + 28)
    const data = new Dataset({ images: images.data, labels: new Array(96).fill(1), shape: [1, 28, 28] })
    const weights: Uint8Array[] = []
    for (const threads of [1, 2, 3]) {
      manualSeed(3)
      const model = new Pixels()
      using trainer = new Trainer(model, {
        optimizer: new SGD({ lr: 0.1 }),
        seed: 7,
        augment: handwriting,
        threads,
      })
      for await (const _ of trainer.fit(data, { epochs: 2, batchSize: 40 }));
      weights.push(bytes(model.fc.weight.data.slice()))
    }
    expect(weights[1]).toEqual(weights[0])
    expect(weights[2]).toEqual(weights[0])

    // One step with all images, by hand: with zero weights, the gradient of class 1 is −(sum of images)/2n.
    const model = new Pixels()
    for (const { data } of model.parameters()) data.fill(0)
    using trainer = new Trainer(model, { optimizer: new SGD({ lr: 1 }), seed: 7, augment: handwriting })
    for await (const _ of trainer.fit(data, { epochs: 1, batchSize: 96 }));
    const seen = augment(images, handwriting, { seed: 7, epoch: 0 })
    for (const pixel of [300, 406, 410, 500]) {
      let sum = 0
      for (let i = 0; i < 96; i++) sum += seen.data[i * 784 + pixel]!
      expect(model.fc.weight.data[784 + pixel]).toBeCloseTo(sum / 192, 5)
    }
  })

  test('wants images of three dimensions', () => {
    const make = () => new Trainer(new Linear(8, 2), { augment: handwriting, inputShape: [8] })
    expect(make).toThrow(/augment: expected images \[channels, height, width\] but received 8/)
  })
})
