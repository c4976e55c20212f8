/** LeNet-5 as in the paper: its counts, and PyTorch's numbers for a network written from the paper's text. */
import { describe, expect, test } from 'vitest'
import { native } from '../lib/backend/node-addon.ts'
import { toNative } from '../lib/graph/operation.ts'
import {
  AdamW,
  activations,
  ConnectionTableConv2d,
  Conv2d,
  compile,
  isa,
  LeNet5Original,
  Linear,
  LogisticRegression,
  MapCriterion,
  type Module,
  manualSeed,
  RBF,
  readSafetensors,
  ScaledTanh,
  Sequential,
  SGD,
  Subsample2d,
  scaledTanh,
  summary,
  Tensor,
  Trainer,
  trace,
} from '../lib/index.ts'
import { digitCodes } from '../lib/models/lenet5-1998/digit-codes.ts'
import { argmax, bitsOf, fixtures, largestError, mnistTest, noise, tensorOf } from './helpers.ts'

/** Numbers that PyTorch's script made too: only integers and one division. */
function values(seed: number, count: number, scale: number, shift = 0): Float32Array {
  return Float32Array.from(
    { length: count },
    (_, i) => (((i * 7919 + seed * 104729) % 2003) / 2003 - 0.5) * scale + shift,
  )
}

const scales: Record<string, number> = {
  ...{ 'c1.weight': 0.4, 's2.weight': 1, 'c3.weight': 0.3 },
  ...{ 's4.weight': 1, 'c5.weight': 0.2, 'f6.weight': 0.3 },
}

function golden1998(): LeNet5Original {
  const model = new LeNet5Original()
  for (const [i, [name, { data, mask }]] of model.namedParameters().entries()) {
    const drawn = values(i + 1, data.length, scales[name] ?? 0.2)
    data.set(drawn.map((value, k) => (mask?.[k] === 0 ? 0 : value)))
  }
  return model
}

describe('counts', () => {
  const result = summary(new LeNet5Original(), [1, 32, 32])
  const of = (layer: string, what: 'parameters' | 'connections') =>
    result.layers
      .filter(({ name }) => name === layer || name.startsWith(`${layer}_`))
      .reduce((sum, row) => sum + row[what], 0)

  // Section II.B of the paper gives them layer by layer.
  test.each([
    ['c1', 156, 122_304],
    ['s2', 12, 5_880],
    ['c3', 1_516, 151_600],
    ['s4', 32, 2_000],
    ['c5', 48_120, 48_120],
    ['f6', 10_164, 10_164],
    ['output', 0, 840],
  ])('%s: %i parameters, %i connections', (layer, parameters, connections) => {
    expect(of(layer, 'parameters')).toBe(parameters)
    expect(of(layer, 'connections')).toBe(connections)
  })

  test('60,000 parameters and 340,908 connections in all', () => {
    expect(result).toMatchObject({ parameters: 60_000, connections: 340_908 })
    expect(String(result)).toMatch(/total +60,000 .* 340,908$/)
    expect(result.layers.at(-1)!.outputShape).toEqual([10])
  })

  test('names of the weights', () => {
    expect([...new LeNet5Original().stateDict()].map(([name, { shape }]) => [name, [...shape]])).toEqual([
      ['c1.weight', [6, 1, 5, 5]],
      ['c1.bias', [6]],
      ['s2.weight', [6]],
      ['s2.bias', [6]],
      ['c3.weight', [16, 6, 5, 5]],
      ['c3.bias', [16]],
      ['s4.weight', [16]],
      ['s4.bias', [16]],
      ['c5.weight', [120, 16, 5, 5]],
      ['c5.bias', [120]],
      ['f6.weight', [84, 120]],
      ['f6.bias', [84]],
    ])
  })
})

describe('beside PyTorch', () => {
  const file = readSafetensors(`${fixtures}/lenet5-1998.safetensors`)
  const x = new Tensor(values(99, 3 * 1024, 1.275, 0.5375), [3, 1, 32, 32])
  const expected = tensorOf(file, 'y').data.map((penalty) => -penalty)
  const model = golden1998()

  test('every layer', () => {
    const steps = activations(model, x)
    const squashed = [...steps.entries()].filter(([name]) => name.startsWith('scaledTanh'))
    for (const [i, layer] of ['c1', 's2', 'c3', 's4', 'c5', 'f6'].entries()) {
      const golden = tensorOf(file, `activation.${layer}`).data
      const [, { data }] = squashed[i]!
      expect(largestError(data.subarray(0, golden.length), golden), layer).toBeLessThan(2e-6)
    }
  })

  test.each(isa().supported)('scores, eager and compiled for %s', (tier) => {
    // Penalties near 100, of which one unit in the last place is 7.6e-6.
    using net = compile(model, { inputShape: [1, 32, 32], isa: tier })
    expect(largestError(net.run(x), expected)).toBeLessThan(4e-5)
    if (isa().chosen === tier) expect(bitsOf(model.forward(x).data)).toEqual(bitsOf(net.run(x)))
  })

  test('28×28 gets a margin of ground', () => {
    const small = new Tensor(noise(2 * 784), [2, 1, 28, 28])
    const large = new Float32Array(2 * 1024).fill(-0.1)
    for (let i = 0; i < 2 * 784; i++) {
      const [image, row, column] = [Math.floor(i / 784), Math.floor((i % 784) / 28), i % 28]
      large[image * 1024 + (row + 2) * 32 + column + 2] = small.data[i]!
    }
    using net = compile(model, { inputShape: [1, 28, 28] })
    using whole = compile(model, { inputShape: [1, 32, 32] })
    expect(bitsOf(net.run(small))).toEqual(bitsOf(whole.run(large)))
    expect(bitsOf(model.forward(small).data)).toEqual(bitsOf(net.run(small)))
    expect(summary(model, [1, 28, 28])).toMatchObject({ parameters: 60_000, connections: 340_908 })
  })

  test('the loss of equation 9 and the gradient of every weight', () => {
    const trainer = new Trainer(new MapCriterion(model, { j: 93.5 }), { optimizer: new SGD({ lr: 0 }) })
    const { loss } = trainer.step(x, [3, 0, 8])
    expect(loss).toBeCloseTo(tensorOf(file, 'loss').data[0]!, 4)
    const gradients = trainer.gradients()
    expect(gradients.size).toBe(12)
    for (const [key, gradient] of gradients) {
      const name = key.replace('model.', '')
      const whole = file.tensors.has(`gradient.${name}`)
      const golden = tensorOf(file, `gradient.${name}${whole ? '' : '.sample'}`).data
      const own = whole ? gradient : gradient.filter((_, i) => i % 97 === 0)
      const largest = golden.reduce((most, one) => Math.max(most, Math.abs(one)), 0)
      expect(largestError(own, golden) / largest, name).toBeLessThan(1e-4)
      if (!whole) {
        const norm = Math.hypot(...gradient)
        expect(norm / tensorOf(file, `gradient.${name}.norm`).data[0]!).toBeCloseTo(1, 4)
      }
    }
    trainer.dispose()
  })
})

/** A module as a native graph, and its gradients for the cotangent `target`: of the input first, then of its weights. */
function gradientsOf(module: Module, x: Tensor, target: Float32Array, tier: string): Float32Array[] {
  const graph = trace(module, x.shape.slice(1))
  const trainer = native().trainer(
    {
      nodes: graph.nodes.map((node) => toNative(node, node.name, node.inputs, node.shape)),
      output: graph.output,
    },
    {
      parameters: module.namedParameters().map(([name, { data, mask }]) => ({ name, data, mask })),
      loss: { kind: 'dot' },
      optimizer: { kind: 'sgd' },
      inputGradient: true,
      isa: tier,
    },
  )
  trainer.run({
    images: x.data,
    targets: target,
    indices: Uint32Array.from({ length: x.shape[0]! }, (_, i) => i),
    batch: x.shape[0]!,
    learningRates: [0],
  })
  const gradients = [...trainer.read('inputGradient'), ...trainer.read('gradient')]
  trainer.dispose()
  return gradients
}

/** Slopes of Σ target · f(x) in double, by central differences. */
function slopes(values: Float32Array, f: (values: number[]) => number[], target: Float32Array): number[] {
  const dot = (one: number[]) => f(one).reduce((sum, value, i) => sum + value * target[i]!, 0)
  const base = [...values]
  return base.map((value, i) => {
    const step = 1e-5
    const [up, down] = [base.with(i, value + step), base.with(i, value - step)]
    return (dot(up) - dot(down)) / (2 * step)
  })
}

describe.each(isa().supported)('the layers, on %s', (tier) => {
  const n = 5
  const check = (actual: Float32Array, expected: number[]) => {
    const largest = Math.max(...expected.map(Math.abs))
    expect(largestError(actual, expected) / largest).toBeLessThan(2e-6)
  }

  test('ScaledTanh', () => {
    const x = new Tensor(
      noise(n * 7, 3).map((value) => 4 * value),
      [n, 7],
    )
    const f = (values: number[]) => values.map((value) => 1.7159 * Math.tanh((2 / 3) * value))
    const net = compile(new ScaledTanh(), { inputShape: [7], isa: tier })
    check(net.run(x), f([...x.data]))
    const target = noise(n * 7, 2)
    check(gradientsOf(new ScaledTanh(), x, target, tier)[0]!, slopes(x.data, f, target))
    // fused with what comes before
    const linear = new Linear(7, 3)
    const both = new Sequential(linear, new ScaledTanh(-0.5, 2))
    const g = (w: number[]) =>
      Array.from({ length: n * 3 }, (_, i) => {
        const [image, out] = [Math.floor(i / 3), i % 3]
        const sum = Array.from({ length: 7 }, (_, k) => x.data[image * 7 + k]! * w[out * 7 + k]!)
        return -0.5 * Math.tanh(2 * sum.reduce((a, b) => a + b, linear.bias!.data[out]!))
      })
    const [, weight] = gradientsOf(both, x, target.subarray(0, n * 3), tier)
    check(weight!, slopes(linear.weight.data, g, target.subarray(0, n * 3)))
  })

  test('Subsample2d', () => {
    const [channels, height, width] = [3, 6, 8]
    const layer = new Subsample2d(channels, { kernelSize: [2, 4] })
    const x = new Tensor(noise(n * channels * height * width), [n, channels, height, width])
    const f = (values: number[], w: number[], b: number[]) =>
      Array.from({ length: n * channels * 3 * 2 }, (_, i) => {
        const plane = Math.floor(i / 6)
        const [row, column] = [Math.floor((i % 6) / 2) * 2, (i % 2) * 4]
        let sum = 0
        for (let y = row; y < row + 2; y++)
          for (let k = column; k < column + 4; k++) sum += values[(plane * height + y) * width + k]!
        return sum * w[plane % channels]! + b[plane % channels]!
      })
    const [w, b] = [layer.weight.data, layer.bias.data]
    expect(layer.forward(x).shape).toEqual([n, channels, 3, 2])
    check(layer.forward(x).data, f([...x.data], [...w], [...b]))
    using net = compile(layer, { inputShape: [channels, height, width], isa: tier })
    check(net.run(x), f([...x.data], [...w], [...b]))
    const target = noise(n * channels * 6, 2)
    const [input, weight, bias] = gradientsOf(layer, x, target, tier)
    check(
      input!,
      slopes(x.data, (one) => f(one, [...w], [...b]), target),
    )
    check(
      weight!,
      slopes(w, (one) => f([...x.data], one, [...b]), target),
    )
    check(
      bias!,
      slopes(b, (one) => f([...x.data], [...w], one), target),
    )
  })

  test('RBF', () => {
    const codes = new Tensor(noise(4 * 6, 5), [4, 6])
    const x = new Tensor(noise(n * 6), [n, 6])
    x.data.set(codes.data.subarray(6, 12), 6)
    const f = (sign: number) => (values: number[]) =>
      Array.from({ length: n * 4 }, (_, i) => {
        const [image, code] = [Math.floor(i / 4), i % 4]
        let sum = 0
        for (let k = 0; k < 6; k++) sum += (values[image * 6 + k]! - codes.data[code * 6 + k]!) ** 2
        return sign * sum
      })
    const target = noise(n * 4, 2)
    for (const [negative, sign] of [
      [false, 1],
      [true, -1],
    ] as const) {
      const layer = new RBF(codes, { negative })
      using net = compile(layer, { inputShape: [6], isa: tier })
      check(net.run(x), f(sign)([...x.data]))
      expect(Math.abs(net.run(x)[5]!)).toBeLessThan(1e-6)
      check(gradientsOf(layer, x, target, tier)[0]!, slopes(x.data, f(sign), target))
    }
  })

  test('ConnectionTableConv2d sees what its table says', () => {
    const table = [[2], [0, 1], [0, 2]]
    const layer = new ConnectionTableConv2d(3, table, { kernelSize: 3, padding: 1 })
    const x = new Tensor(noise(3 * 16), [1, 3, 4, 4])
    using net = compile(layer, { inputShape: [3, 4, 4], isa: tier })
    const before = net.run(x).slice()
    for (const channel of [0, 1, 2]) {
      const changed = x.data.slice()
      changed[channel * 16 + 5]! += 1
      const after = net.run(changed)
      for (const [map, row] of table.entries()) {
        const same = before
          .subarray(map * 16, map * 16 + 16)
          .every((value, i) => value === after[map * 16 + i])
        expect(same, `${channel} ${map}`).toBe(!row.includes(channel))
      }
    }
    const [, gradient] = gradientsOf(layer, x, noise(48, 2), tier)
    expect([...gradient!].map((one) => Number(one !== 0))).toEqual([...layer.weight.mask!])
    // Where there is a weight its gradient is that of the whole convolution.
    const whole = new Conv2d(3, 3, { kernelSize: 3, padding: 1 })
    const [, all] = gradientsOf(whole, x, noise(48, 2), tier)
    expect([...gradient!]).toEqual([...all!].map((one, i) => (layer.weight.mask![i] ? one : 0)))
  })
})

describe('what the layers refuse', () => {
  test('tables', () => {
    const make = (table: unknown) => () =>
      new ConnectionTableConv2d(3, table as number[][], { kernelSize: 3 })
    for (const table of [undefined, [], [[]], [[0], [3]], [[0, 0]], [['0']], [[-1]], [0]]) {
      expect(make(table)).toThrow(
        expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringContaining('from 0 to 2') }),
      )
    }
  })

  test('weights where nothing is connected', () => {
    const layer = new ConnectionTableConv2d(2, [[0], [1]], { kernelSize: 1 })
    const state = new Map([
      ['weight', new Tensor(Float32Array.of(1, 0, 0, 2), [2, 2, 1, 1])],
      ['bias', new Tensor(new Float32Array(2), [2])],
    ])
    layer.loadStateDict(state)
    expect([...layer.weight.data]).toEqual([1, 0, 0, 2])
    state.set('weight', new Tensor(Float32Array.of(1, 3, 0, 2), [2, 2, 1, 1]))
    expect(() => layer.loadStateDict(state)).toThrow('weight has weights where the model has no connections.')
    expect([...layer.weight.data]).toEqual([1, 0, 0, 2])
  })

  test('options and sizes', () => {
    expect(() => new Subsample2d(0)).toThrow('Subsample2d: channels')
    expect(() => new Subsample2d(2, { size: 2 } as never)).toThrow('unknown option "size"')
    expect(() => new RBF(new Tensor(new Float32Array(2), [2]))).toThrow(
      'codes must be a tensor [codes, features] but is 2',
    )
    expect(() => new RBF(7 as never)).toThrow('but is none')
    expect(() => new MapCriterion(new LeNet5Original(), { k: 1 } as never)).toThrow('unknown option "k"')
    expect(() => scaledTanh(new Tensor(new Float32Array(1), [1]), Number.NaN)).toThrow('ScaledTanh: alpha')
  })
})

test('training leaves alone what is not connected, whatever the optimizer', () => {
  for (const optimizer of [new AdamW({ weightDecay: 0.1 }), new SGD({ lr: 1e-4, momentum: 0.9 })]) {
    const model = new LeNet5Original()
    const trainer = new Trainer(new MapCriterion(model), { optimizer, seed: 1 })
    const before = model.c3.weight.data.slice()
    for (let i = 0; i < 3; i++)
      trainer.step(new Tensor(noise(8 * 1024, i + 1), [8, 1, 32, 32]), [0, 1, 2, 3, 4, 5, 6, 7])
    for (const [i, value] of model.c3.weight.data.entries()) {
      if (model.c3.weight.mask![i] === 0) expect(value).toBe(0)
    }
    expect(model.c3.weight.data).not.toEqual(before)
    trainer.dispose()
  }
})

test('the codes are ten pictures of 7 × 12 that differ', () => {
  const { data, shape } = digitCodes()
  expect(shape).toEqual([10, 84])
  expect(data.every((value) => value === 1 || value === -1)).toBe(true)
  for (let a = 0; a < 10; a++)
    for (let b = 0; b < a; b++) {
      const differing = data
        .subarray(a * 84, a * 84 + 84)
        .filter((value, i) => value !== data[b * 84 + i]).length
      expect(differing, `${a} ${b}`).toBeGreaterThanOrEqual(12)
    }
})

test('LogisticRegression: one neuron, σ(wᵀx + b), which learns to tell two classes apart', () => {
  manualSeed(1)
  const model = new LogisticRegression(4)
  const x = new Tensor(noise(40 * 4), [40, 1, 2, 2])
  const [w, b] = [model.linear.weight.data, model.linear.bias!.data[0]!]
  const expected = Array.from({ length: 40 }, (_, i) => {
    const sum = [0, 1, 2, 3].reduce((total, k) => total + w[k]! * x.data[4 * i + k]!, b)
    return 1 / (1 + Math.exp(-sum))
  })
  expect(model.forward(x).shape).toEqual([40, 1])
  expect(largestError(model.forward(x).data, expected)).toBeLessThan(2e-7)
  expect(summary(model, [1, 2, 2])).toMatchObject({ parameters: 5, macs: 4, connections: 5 })
  const labels = Array.from({ length: 40 }, (_, i) => Number(x.data[4 * i]! > 2 * x.data[4 * i + 3]!))
  const trainer = new Trainer(model, { loss: 'binaryCrossEntropy', optimizer: new SGD({ lr: 5 }) })
  let correct = 0
  for (let i = 0; i < 400; i++) correct = trainer.step(x, labels).correct
  expect(correct).toBeGreaterThanOrEqual(38)
  trainer.dispose()
})

const mnist = mnistTest()
test.skipIf(!mnist)('the shipped weights misread at most 1 % of the MNIST test images', () => {
  const { images, labels } = mnist!
  using net = compile(LeNet5Original.pretrained(), { inputShape: [1, 28, 28] })
  const scores = net.run(images.map((value) => 1.275 * value - 0.1))
  const wrong = labels.filter((label, i) => argmax(scores.subarray(i * 10, i * 10 + 10)) !== label).length
  expect(wrong).toBeLessThanOrEqual(100)
})
