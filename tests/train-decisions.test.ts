/** Decisions of training that no weight shows: what is warned of, what a report says, which images are drawn. */
import { describe, expect, test } from 'vitest'
import { splitIndices } from '../lib/data/dataset.ts'
import {
  Conv2d,
  Dataset,
  Flatten,
  Linear,
  ReLU,
  Sequential,
  SGD,
  StepLR,
  Tensor,
  Trainer,
  trace,
} from '../lib/index.ts'
import { deadUnits, type LayerHealth, warningsOf } from '../lib/train/health.ts'
import { stream } from '../lib/train/order.ts'
import { noise } from './helpers.ts'

const layer = (name: string, more: Partial<LayerHealth> = {}): LayerHealth => ({
  layer: name,
  op: 'linear',
  gradientNorm: 1,
  weightNorm: 1,
  updateRatio: 1e-3,
  activation: 1,
  ...more,
})
const calm = { median: 1, max: 1, step: 1 }
const kinds = (layers: LayerHealth[], gradientNorm = calm) =>
  warningsOf({ nodes: [], output: 0 }, layers, gradientNorm, false).map(({ kind }) => kind)

describe('warnings', () => {
  test('a gradient vanishes below a thousandth of a later layer’s, not above', () => {
    expect(kinds([layer('a', { gradientNorm: 0.9e-3 }), layer('b')])).toEqual(['vanishing'])
    expect(kinds([layer('a', { gradientNorm: 1.1e-3 }), layer('b')])).toEqual([])
  })

  test('a last layer that hardly changes has not lost its gradient on the way', () => {
    expect(kinds([layer('a'), layer('b', { gradientNorm: 1e-6 })])).toEqual([])
  })

  test('it is its share of the weights that counts', () => {
    const large = layer('a', { gradientNorm: 1, weightNorm: 2000 })
    expect(kinds([large, layer('b')])).toEqual(['vanishing'])
  })

  test('units die when more than half of them do', () => {
    const dead = (deadShare: number) => layer('a', { relu: { name: 'relu', zeros: 0.5, deadShare } })
    expect([kinds([dead(0.51)]), kinds([dead(0.5)])]).toEqual([['dead'], []])
  })

  test('a gradient explodes at fifty times the usual one, and fifty', () => {
    const norms = (median: number, max: number) => kinds([layer('a')], { median, max, step: 3 })
    expect(norms(1, 51)).toEqual(['exploding'])
    expect([norms(1, 50), norms(2, 99), norms(0.1, 40)]).toEqual([[], [], []])
    expect(norms(2, 101)).toEqual(['exploding'])
  })

  test('a step that changes more than a quarter of a layer is a leap', () => {
    const leap = (updateRatio: number) => kinds([layer('a', { updateRatio })])
    expect([leap(0.26), leap(0.25)]).toEqual([['exploding'], []])
  })
})

test('a channel of a picture lives where any of its positions does; a feature is alone', async () => {
  const conv = new Conv2d(1, 2, { kernelSize: 1 })
  conv.weight.data.set([1, -1])
  conv.bias?.data.fill(0)
  const options = { scale: 1, shift: 0, isa: undefined, threads: 1 }
  const images = Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0)
  const picture = trace(new Sequential(conv, new ReLU()), [1, 2, 2])
  expect([...(await deadUnits(picture, images, options)).values()]).toEqual([0.5])
  const row = trace(new Sequential(conv, new Flatten(), new ReLU()), [1, 2, 2])
  expect([...(await deadUnits(row, images, options)).values()]).toEqual([7 / 8])
})

const dataOf = (count: number, names?: string[]) =>
  new Dataset({
    images: Float32Array.from(noise(36 * count, 3)),
    labels: Array.from({ length: count }, (_, i) => i % 3),
    shape: [1, 6, 6],
    classes: ['a', 'b', 'c'],
    names,
  })
const model = () => {
  const net = new Sequential(new Flatten(), new Linear(36, 3))
  for (const [i, parameter] of net.parameters().entries())
    parameter.data.set(noise(parameter.data.length, i + 1))
  return net
}

test('a report has the median and the largest of the norms that the steps had', async () => {
  const options = { seed: 1, optimizer: new SGD({ lr: 0.5 }) }
  const data = dataOf(20)
  const { value } = await new Trainer(model(), options).fit(data, { batchSize: 4, shuffle: false }).next()
  const stepper = new Trainer(model(), options)
  const norms = Array.from({ length: 5 }, (_, i) => {
    const x = new Tensor(data.images.slice(i * 144, (i + 1) * 144) as Float32Array, [4, 1, 6, 6])
    return stepper.step(x, data.labels.subarray(i * 4, i * 4 + 4)).gradientNorm
  })
  const sorted = [...norms].sort((a, b) => a - b)
  expect(new Set(norms).size).toBe(5)
  expect(value?.health?.gradientNorm).toEqual({
    median: sorted[2],
    max: sorted[4],
    step: norms.indexOf(sorted[4] as number) + 1,
  })
})

test('a second run has a schedule from its beginning', async () => {
  const trainer = new Trainer(model(), { seed: 1, optimizer: new SGD({ lr: 0.8 }) })
  const rates: number[] = []
  for (let run = 0; run < 2; run++) {
    const schedule = new StepLR({ stepSize: 1, gamma: 0.5 })
    for await (const { lr } of trainer.fit(dataOf(8), { epochs: 3, schedule })) rates.push(lr)
  }
  expect(rates).toEqual([0.8, 0.4, 0.2, 0.8, 0.4, 0.2])
})

test('seeds that agree in their lower 32 bits are two seeds', () => {
  const first = (seed: number) => stream(seed, 0).random()
  expect(new Set([1, 1 + 2 ** 32, 1 + 2 ** 33, 2].map(first)).size).toBe(4)
})

test('images kept for validation are drawn apart from every epoch’s order', async () => {
  const data = dataOf(
    60,
    Array.from({ length: 60 }, (_, i) => `image ${i}`),
  )
  const trainer = new Trainer(model(), { seed: 7 })
  const { value } = await trainer.fit(data, { validation: 0.25 }).next()
  const [, kept] = splitIndices(data.labels, 0.25, stream(7, 2 ** 31 - 1))
  const names = value?.validation?.examples.map(({ name }) => name)
  expect(names?.sort()).toEqual([...kept].map((i) => `image ${i}`).sort())
  const [, first] = splitIndices(data.labels, 0.25, stream(7, 0))
  expect(first).not.toEqual(kept)
})
