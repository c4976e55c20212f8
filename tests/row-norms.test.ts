/** Layer, group, instance and RMS norm: against their definitions, eager, compiled, in batches, and as ONNX. */
import { describe, expect, test } from 'vitest'
import * as k from '../lib/index.ts'
import { type Module, Tensor } from '../lib/index.ts'
import { bitsOf, largestError, noise } from './helpers.ts'

const code = (code: string) => expect.objectContaining({ code })

const values = (...shape: number[]) =>
  new Tensor(
    noise(
      shape.reduce((a, b) => a * b, 1),
      3,
    ).map((v) => 3 * v + 1),
    shape,
  )

/** Each run of `n` values by itself, in double. */
function byRow(x: Tensor, n: number, eps: number, centred: boolean, scale: (i: number) => [number, number]) {
  const result = new Float64Array(x.data.length)
  for (let at = 0; at < result.length; at += n) {
    const row = x.data.subarray(at, at + n)
    const mean = centred ? row.reduce((a, b) => a + b, 0) / n : 0
    const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / n
    for (const [i, v] of row.entries()) {
      const [weight, bias] = scale(at + i)
      result[at + i] = ((v - mean) / Math.sqrt(variance + eps)) * weight + bias
    }
  }
  return Float32Array.from(result)
}

function scaled<T extends Module>(layer: T): T {
  for (const [i, p] of layer.parameters().entries())
    p.data.set(noise(p.data.length, i + 2).map((v) => v + 1.5))
  return layer
}

const pair = (
  layer: { weight?: Tensor | undefined; bias?: Tensor | undefined },
  i: number,
): [number, number] => [layer.weight?.data[i] ?? 1, layer.bias?.data[i] ?? 0]

const channels = (of: number, plane: number) => (i: number) => Math.floor(i / plane) % of

interface Case {
  layer: Module & { weight?: Tensor | undefined; bias?: Tensor | undefined }
  shape: number[]
  n: number
  eps?: number
  at: (i: number) => number
}

const cases: [string, Case][] = [
  ['LayerNorm of the last', { layer: new k.LayerNorm(7), shape: [4, 5, 7], n: 7, at: (i) => i % 7 }],
  ['LayerNorm of two', { layer: new k.LayerNorm([5, 7]), shape: [4, 5, 7], n: 35, at: (i) => i % 35 }],
  ['LayerNorm of the image', { layer: new k.LayerNorm([33]), shape: [33], n: 33, at: (i) => i % 33 }],
  [
    'LayerNorm without bias',
    {
      layer: new k.LayerNorm(300, { bias: false, eps: 0.25 }),
      shape: [2, 300],
      n: 300,
      eps: 0.25,
      at: (i) => i % 300,
    },
  ],
  [
    'LayerNorm alone',
    { layer: new k.LayerNorm(16, { elementwiseAffine: false }), shape: [3, 16], n: 16, at: () => 0 },
  ],
  ['RMSNorm', { layer: new k.RMSNorm(17), shape: [3, 17], n: 17, eps: 2 ** -23, at: (i) => i % 17 }],
  ['GroupNorm', { layer: new k.GroupNorm(3, 12), shape: [12, 5, 3], n: 60, at: channels(12, 15) }],
  ['GroupNorm of one', { layer: new k.GroupNorm(1, 6), shape: [6, 9], n: 54, at: channels(6, 9) }],
  ['GroupNorm of numbers', { layer: new k.GroupNorm(2, 8), shape: [8], n: 4, at: channels(8, 1) }],
  [
    'InstanceNorm2d',
    { layer: new k.InstanceNorm2d(21, { affine: true }), shape: [21, 5, 7], n: 35, at: channels(21, 35) },
  ],
  [
    'InstanceNorm1d',
    { layer: new k.InstanceNorm1d(3, { eps: 1 }), shape: [3, 19], n: 19, eps: 1, at: () => 0 },
  ],
]

test.each(cases)('%s', (_, { layer, shape, n, eps = 1e-5, at }) => {
  scaled(layer)
  const x = values(19, ...shape)
  const want = byRow(x, n, eps, !(layer instanceof k.RMSNorm), (i) => pair(layer, at(i)))
  const eager = layer.forward(x)
  expect(eager.shape).toEqual(x.shape)
  expect(largestError(eager.data, want)).toBeLessThan(3e-6)
  for (const isa of k.isa().supported) {
    const fused = isa !== 'scalar' && isa !== 'sse'
    using model = layer.compile({ inputShape: shape, isa })
    const [all, one] = [model.run(x.data).slice(), model.run(x.data.subarray(0, x.data.length / 19))]
    expect(bitsOf(one)).toEqual(bitsOf(all.subarray(0, one.length)))
    if (fused === (k.isa().chosen !== 'scalar' && k.isa().chosen !== 'sse'))
      expect(bitsOf(all)).toEqual(bitsOf(eager.data))
    expect(largestError(all, want)).toBeLessThan(3e-6)
  }
  const loaded = k.loadOnnx(k.saveOnnx(layer, { inputShape: shape }))
  expect(bitsOf(loaded.forward(x).data)).toEqual(bitsOf(eager.data))
  for (const [name, p] of layer.namedParameters()) {
    expect(Array.from(loaded.stateDict().get(name)!.data)).toEqual(Array.from(p.data))
  }
})

test('between convolutions, with the activation behind, in blocks of channels', () => {
  const net = scaled(
    new k.Sequential(
      new k.Conv2d(3, 32, { kernelSize: 3, padding: 1 }),
      new k.InstanceNorm2d(32, { affine: true }),
      new k.ReLU(),
      new k.Conv2d(32, 32, { kernelSize: 3, padding: 1, groups: 1 }),
      new k.GroupNorm(4, 32),
      new k.SiLU(),
    ),
  )
  const x = values(5, 3, 16, 16)
  const eager = net.forward(x)
  using model = net.compile({ inputShape: [3, 16, 16] })
  expect(bitsOf(model.run(x.data))).toEqual(bitsOf(eager.data))
  const steps = model.describe().steps.map(({ ops }) => ops.join('+'))
  expect(steps).toContain('groupNorm+relu')
  expect(steps).toContain('groupNorm+silu')
})

test('large means cost no digits', () => {
  const x = values(1, 64)
  const far = new Tensor(
    x.data.map((v) => v + 4096),
    x.shape,
  )
  const near = byRow(far, 64, 1e-5, true, () => [1, 0])
  expect(largestError(k.layerNorm(far, 64).data, near)).toBeLessThan(4e-4)
})

describe('what does not fit is refused', () => {
  const x = values(2, 4, 6)
  const calls: [string, () => unknown, string][] = [
    ['another shape', () => k.layerNorm(x, 5), 'ERR_SHAPE'],
    ['more dimensions', () => k.layerNorm(x, [2, 2, 4, 6]), 'ERR_SHAPE'],
    ['no dimensions', () => k.layerNorm(x, []), 'ERR_ARGUMENT'],
    ['a word', () => k.layerNorm(x, 'all' as never), 'ERR_ARGUMENT'],
    ['a weight of another shape', () => k.layerNorm(x, 6, { weight: values(5) }), 'ERR_SHAPE'],
    ['a bias of another shape', () => k.layerNorm(x, [4, 6], { bias: values(24) }), 'ERR_SHAPE'],
    ['an option of another function', () => k.rmsNorm(x, 6, { bias: values(6) } as never), 'ERR_ARGUMENT'],
    ['groups that do not divide', () => k.groupNorm(x, 3), 'ERR_SHAPE'],
    ['no group', () => k.groupNorm(x, 0), 'ERR_ARGUMENT'],
    ['no channels', () => k.groupNorm(values(4), 1), 'ERR_SHAPE'],
    ['no plane', () => k.instanceNorm(values(2, 3)), 'ERR_SHAPE'],
    ['layers that do not divide', () => new k.GroupNorm(3, 4), 'ERR_ARGUMENT'],
    ['other channels', () => new k.GroupNorm(2, 8).forward(x), 'ERR_SHAPE'],
    ['another rank', () => new k.InstanceNorm2d(4).forward(x), 'ERR_SHAPE'],
    ['the batch', () => k.trace(new k.LayerNorm([1, 4, 6]), [4, 6]), 'ERR_UNSUPPORTED'],
  ]
  test.each(calls)('%s', (_, run, wanted) => expect(run).toThrow(code(wanted)))
})
