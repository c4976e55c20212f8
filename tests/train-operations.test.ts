/** Backward of the operations beside convolution and pooling, against finite differences of the eager functions. */
import { describe, expect, test } from 'vitest'
import type { NativeTrainer } from '../lib/backend/backend.ts'
import { native } from '../lib/backend/node-addon.ts'
import { toNative } from '../lib/graph/operation.ts'
import * as k from '../lib/index.ts'
import { type Module, type Tensor, trace } from '../lib/index.ts'
import { bitsOf, Inline, largestError, noise } from './helpers.ts'

/** Values a few steps away from −3, 0, 0.5 and 3, where functions here have corners. */
function away(values: Float32Array): Float32Array {
  return values.map((v) => {
    for (const corner of [-3, 0, 0.5, 3])
      if (Math.abs(v - corner) < 0.15) return corner + 0.15 * Math.sign(v - corner || 1)
    return v
  })
}

/** 19 images: a whole block of 16, and a part of another. */
const batch = 19
const input = (...shape: number[]) =>
  new k.Tensor(
    away(
      noise(
        shape.reduce((a, b) => a * b, batch),
        3,
      ).map((v) => v * 4),
    ),
    [batch, ...shape],
  )

function trainer(model: Module, shape: readonly number[], isa: string, threads = 2): NativeTrainer {
  const graph = trace(model, shape)
  const buffers = model.namedModules().flatMap(([path, module]) =>
    (module instanceof k.BatchNorm1d || module instanceof k.BatchNorm2d) && module.training
      ? (
          [
            ['mean', module.runningMean],
            ['var', module.runningVar],
          ] as const
        ).map(([what, { data }]) => ({
          name: `${path}.${what}`,
          data,
        }))
      : [],
  )
  return native().trainer(
    {
      nodes: graph.nodes.map((node) => toNative(node, node.name, node.inputs, node.shape)),
      output: graph.output,
    },
    {
      parameters: model.namedParameters().map(([name, { data }]) => ({ name, data })),
      buffers,
      loss: { kind: 'dot' },
      optimizer: { kind: 'sgd' },
      inputGradient: true,
      isa,
      threads,
    },
  )
}

/** Derivative of `f` at one number of `values`, of fourth order. */
function derivative(f: () => number, values: Float32Array, i: number, h: number): number {
  const at = values[i]!
  const moved = (by: number) => {
    values[i] = at + by
    return f()
  }
  const slope = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
  values[i] = at
  return slope
}

/** Every gradient of Σ output · target, on every instruction set, against some finite differences. */
function checkGradients(model: Module, x: Tensor, h = 0.03): void {
  const shape = x.shape.slice(1)
  const y = model.forward(x)
  const targets = noise(y.data.length, 7)
  const loss = () => {
    let sum = 0
    for (const [i, v] of model.forward(x).data.entries()) sum += v * targets[i]!
    return sum
  }
  const arrays = [x.data, ...model.parameters().map(({ data }) => data)]
  let first: Float32Array[] | undefined
  const byClass = new Map<boolean, Float32Array[]>()
  for (const isa of k.isa().supported) {
    for (const threads of [1, 2]) {
      const native = trainer(model, shape, isa, threads)
      native.run({
        images: x.data,
        targets,
        indices: Uint32Array.from({ length: batch }, (_, i) => i),
        batch,
        learningRates: [0],
        update: false,
      })
      const gradients = [native.read('inputGradient')[0]!, ...native.read('gradient')]
      native.dispose()
      if (first === undefined) {
        for (const [a, array] of arrays.entries()) {
          const largest = Math.max(...gradients[a]!.map(Math.abs), 0.1)
          expect(gradients[a]).toHaveLength(array.length)
          const step = Math.max(1, Math.floor(array.length / 23))
          for (let i = 0; i < array.length; i += step) {
            const error = Math.abs(gradients[a]![i]! - derivative(loss, array, i, h)) / largest
            expect(error).toBeLessThan(2e-3)
          }
        }
      }
      first ??= gradients
      // neither the threads nor, in its class of equal rounding, the instruction set changes a bit
      const fused = isa !== 'scalar' && isa !== 'sse'
      const same = byClass.get(fused) ?? gradients
      byClass.set(fused, same)
      for (const [a, gradient] of gradients.entries()) {
        expect(bitsOf(gradient)).toEqual(bitsOf(same[a]!))
        const largest = Math.max(...first[a]!.map(Math.abs), 0.1)
        expect(largestError(gradient, first[a]!) / largest).toBeLessThan(1e-4)
      }
    }
  }
}

const generator = new k.Generator(9)

describe('gradients', () => {
  const functions: [string, (x: Tensor) => Tensor][] = [
    ['leakyRelu', (x) => k.leakyRelu(x, 0.2)],
    ['elu', (x) => k.elu(x, 0.7)],
    ['selu', (x) => k.selu(x)],
    ['silu', k.silu],
    ['gelu', k.gelu],
    ['gelu by tanh', (x) => k.gelu(x, 'tanh')],
    ['erf', k.erf],
    ['softplus', (x) => k.softplus(x, 1.5)],
    ['softplus with a threshold', (x) => k.softplus(x, 1, 0.5)],
    ['mish', k.mish],
    ['softsign', k.softsign],
    ['celu', (x) => k.celu(x, 0.7)],
    ['threshold', (x) => k.threshold(x, 0.5, -1)],
    ['softshrink', (x) => k.softshrink(x, 0.5)],
    ['hardshrink', (x) => k.hardshrink(x, 0.5)],
    ['sin', k.sin],
    ['cos', k.cos],
    ['tan', (x) => k.tan(k.mul(x, 0.2))],
    ['asin', (x) => k.asin(k.mul(x, 0.2))],
    ['acos', (x) => k.acos(k.mul(x, 0.2))],
    ['atan', k.atan],
    ['sinh', (x) => k.sinh(k.mul(x, 0.5))],
    ['cosh', (x) => k.cosh(k.mul(x, 0.5))],
    ['asinh', k.asinh],
    ['acosh', (x) => k.acosh(k.add(k.abs(x), 1.5))],
    ['atanh', (x) => k.atanh(k.mul(x, 0.2))],
    ['maximum', (x) => k.maximum(k.mul(x, 2), k.mean(k.add(x, 1), 3, { keepdim: true }))],
    ['minimum', (x) => k.minimum(k.mul(x, 2), 0.5)],
    ['where', (x) => k.where(k.gt(x, 0.5), k.mul(x, x), k.mean(x, 1, { keepdim: true }))],
    ['fmod', (x) => k.fmod(k.add(x, 0.1), 10)],
    ['remainder', (x) => k.remainder(x, 100)],
    ['hardswish', k.hardswish],
    ['hardsigmoid', k.hardsigmoid],
    ['clamp', (x) => k.clamp(x, -3, 0.5)],
    ['exp', (x) => k.exp(x)],
    ['log', (x) => k.log(k.add(k.abs(x), 1))],
    ['pow 2', (x) => k.pow(x, 2)],
    ['pow 3', (x) => k.pow(x, 3)],
    ['pow -1.5', (x) => k.pow(k.add(k.abs(x), 1), -1.5)],
    ['relu behind a batch norm', (x) => k.relu(k.mul(x, 2))],
    ['permute', (x) => k.permute(x, [0, 3, 1, 2])],
    ['slice', (x) => k.slice(k.slice(x, 2, 0, undefined, 2), 3, 3, 0, -1)],
    ['pad', (x) => k.pad(x, [1, -2, -1, 2], 0.5)],
    ['reshape', (x) => k.mul(k.reshape(x, [x.shape[0]!, 5, 12]), k.reshape(x, [x.shape[0]!, 5, 12]))],
    ['mean', (x) => k.mean(x, [1, 3])],
    ['adaptiveAvgPool2d', (x) => k.adaptiveAvgPool2d(x, [3, 2])],
    ['adaptiveMaxPool2d', (x) => k.adaptiveMaxPool2d(x, [3, 2])],
    ['global maximum', (x) => k.adaptiveMaxPool2d(x, 1)],
    ['avgPool2d with holes', (x) => k.avgPool2d(x, 2, { dilation: 2, stride: 1 })],
    ['squeeze and excite', (x) => k.mul(x, k.sigmoid(k.mean(x, [2, 3], { keepdim: true })))],
    ['localResponseNorm', (x) => k.localResponseNorm(x, 3, { alpha: 0.5 })],
    ['a constant in the middle', (x) => k.sub(1, k.mul(x, new k.Tensor(noise(4), [4, 1])))],
    ['div', (x) => k.div(x, k.add(k.pow(k.mean(x, 3, { keepdim: true }), 2), 2))],
    ['one value by itself', (x) => k.mul(k.sub(x, k.div(x, 3)), x)],
  ]
  test.each(functions)('%s', (_, run) => checkGradients(new Inline(run), input(3, 4, 5), 0.004))

  test('prelu, one slope or one a channel', () => {
    for (const count of [1, 3]) checkGradients(new k.PReLU(count), input(3, 4, 5))
  })

  test('trained constants', () => {
    const parameter = (...shape: number[]) =>
      new k.Parameter(
        noise(
          shape.reduce((a, b) => a * b, 1),
          5,
        ).map((v) => v + 2),
        shape,
      )
    for (const shape of [[3, 1, 1], [5], [3, 4, 5], [1]]) {
      const [gain, offset] = [parameter(...shape), parameter(...shape)]
      const model = new Inline((x) => k.add(k.div(k.mul(x, gain), offset), offset), { gain, offset })
      checkGradients(model, input(3, 4, 5))
    }
  })

  test('one dimension', () => {
    const conv = new k.Conv1d(3, 4, { kernelSize: 3, padding: 'same', dilation: 2, generator })
    const model = new Inline((x) => k.avgPool1d(k.tanh(conv.forward(x)), 3, { padding: 1 }), { conv })
    checkGradients(model, input(3, 14), 0.002)
    checkGradients(new k.MaxPool1d(3, { stride: 2, padding: 1 }), input(3, 14), 0.002)
  })

  test('up: transposed convolutions and resizing', () => {
    const up = new k.ConvTranspose2d(3, 4, {
      kernelSize: [3, 2],
      stride: 2,
      padding: [1, 0],
      outputPadding: 1,
      dilation: [2, 1],
      generator,
    })
    const grouped = new k.ConvTranspose2d(4, 2, {
      kernelSize: 3,
      padding: 1,
      groups: 2,
      bias: false,
      generator,
    })
    const model = new Inline(
      (x) => {
        const wide = k.interpolate(k.tanh(up.forward(x)), { scaleFactor: 1.5 })
        return k.interpolate(grouped.forward(wide), { size: [7, 5], mode: 'bilinear' })
      },
      { up, grouped },
    )
    checkGradients(model, input(3, 4, 5), 0.002)
    const one = new k.ConvTranspose1d(3, 2, { kernelSize: 4, stride: 3, generator })
    const line = new Inline((x) => k.interpolate(k.tanh(one.forward(x)), { size: 9, mode: 'linear' }), {
      one,
    })
    checkGradients(line, input(3, 6), 0.002)
  })

  test('batchNorm by statistics of the batch', () => {
    for (const affine of [true, false]) {
      const two = new k.BatchNorm2d(3, { affine })
      const one = new k.BatchNorm1d(2, { affine })
      const head = new k.Linear(60, 2, { generator })
      for (const [i, p] of [...two.parameters(), ...one.parameters()].entries())
        p.data.set(noise(p.data.length, i + 2).map((v) => v + 1.5))
      const model = new Inline((x) => one.forward(head.forward(k.flatten(k.silu(two.forward(x)), 1))), {
        two,
        one,
        head,
      })
      checkGradients(model, input(3, 4, 5), 0.004)
    }
  })

  test('norms of each image by itself', () => {
    const layers = [
      new k.LayerNorm([4, 5]),
      new k.LayerNorm(5, { bias: false, eps: 0.1 }),
      new k.RMSNorm([3, 4, 5]),
      new k.GroupNorm(2, 4),
      new k.InstanceNorm2d(3, { affine: true }),
      new k.InstanceNorm2d(3),
    ]
    for (const layer of layers) {
      for (const [i, p] of layer.parameters().entries())
        p.data.set(noise(p.data.length, i + 2).map((v) => v + 1.5))
      const four = layer instanceof k.GroupNorm
      checkGradients(new k.Sequential(layer, new k.SiLU()), input(four ? 4 : 3, 4, 5), 0.012)
    }
  })

  test('batchNorm by running statistics', () => {
    const bn = new k.BatchNorm2d(3)
    bn.runningMean.data.set(noise(3, 4))
    bn.runningVar.data.set([0.5, 2, 1])
    bn.weight!.data.set([0.5, -2, 1])
    checkGradients(new k.Sequential(bn, new k.SiLU()).eval(), input(3, 4, 5))
  })

  test('behind and before convolutions', () => {
    const model = new k.Sequential(
      new k.Conv2d(3, 4, { kernelSize: 3, bias: false, generator }),
      new k.BatchNorm2d(4),
      new k.SiLU(),
      new k.Conv2d(4, 2, { kernelSize: 2, stride: 2, padding: [1, 0, 0, 1], generator }),
      new k.AdaptiveAvgPool2d(1),
      new k.Flatten(),
      new k.LogSoftmax(1),
    )
    checkGradients(model, input(3, 6, 5), 0.002)
  })
})

describe('running statistics', () => {
  const model = () =>
    new k.Sequential(
      new k.Conv2d(1, 3, { kernelSize: 3, generator: new k.Generator(4) }),
      new k.BatchNorm2d(3),
      new k.Flatten(),
    )
  const x = new k.Tensor(noise(40 * 25, 3), [40, 1, 5, 5])
  const call = (batch: number) => ({
    images: x.data,
    targets: noise(40 * 27, 5),
    indices: Uint32Array.from({ length: 40 }, (_, i) => i),
    batch,
  })

  test('move as eager training moves them, whatever the threads', () => {
    const [eager, one, two] = [model(), model(), model()]
    for (const begin of [0, 17, 34]) eager.forward(k.slice(x, 0, begin, begin + 17))
    trainer(one, [1, 5, 5], '', 1).run({ ...call(17), learningRates: [0, 0, 0] })
    trainer(two, [1, 5, 5], '', 2).run({ ...call(17), learningRates: [0, 0, 0] })
    const buffers = (m: Module) => m.buffers().slice(0, 2)
    for (const [i, buffer] of buffers(eager).entries()) {
      expect(largestError(buffers(one)[i]!.data, buffer.data)).toBeLessThan(1e-6)
      expect(buffers(two)[i]!.data).toEqual(buffers(one)[i]!.data)
    }
  })

  test('stay without update', () => {
    const still = model()
    trainer(still, [1, 5, 5], '').run({ ...call(40), learningRates: [1], update: false })
    expect(Array.from(still.buffers()[0]!.data)).toEqual([0, 0, 0])
  })

  test('stay after eval()', () => {
    const still = model().eval()
    trainer(still, [1, 5, 5], '').run({ ...call(40), learningRates: [1] })
    expect(Array.from(still.buffers()[1]!.data)).toEqual([1, 1, 1])
  })

  test('the Trainer counts batches, and its model runs compiled', () => {
    const net = new k.Sequential(
      new k.Conv2d(1, 4, { kernelSize: 3, generator: new k.Generator(1) }),
      new k.BatchNorm2d(4),
      new k.SiLU(),
      new k.AdaptiveAvgPool2d(2),
      new k.Flatten(),
      new k.Linear(16, 2, { generator: new k.Generator(2) }),
    )
    const labels = Array.from({ length: 40 }, (_, i) => (x.data[i * 25 + 12]! > 0 ? 1 : 0))
    const teacher = new k.Trainer(net, { optimizer: new k.Adam({ lr: 0.05 }), seed: 1 })
    const losses = Array.from({ length: 60 }, () => teacher.step(x, labels).loss)
    teacher.dispose()
    expect(losses.at(-1)!).toBeLessThan(0.5 * losses[0]!)
    expect((net[1] as k.BatchNorm2d).numBatchesTracked.data[0]).toBe(60)
    const scores = k.compile(net, { inputShape: [1, 5, 5] }).run(x.data)
    const right = labels.filter((label, i) => (scores[2 * i + 1]! > scores[2 * i]! ? 1 : 0) === label)
    expect(right.length).toBeGreaterThan(34)
    expect(
      () =>
        new k.Trainer(new k.Sequential(new k.BatchNorm2d(1, { momentum: null })), { inputShape: [1, 5, 5] }),
    ).toThrow('momentum null')
  })
})
