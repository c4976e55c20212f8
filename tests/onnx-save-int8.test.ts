/** saveOnnx with precision 'int8': the same numbers in onnxruntime, near those of the network. */
import { describe, expect, test } from 'vitest'
import * as k from '../lib/index.ts'
import { elements } from '../lib/tensor/shape.ts'
import { largestError, noise } from './helpers.ts'
import { onnxruntime, runOrt } from './onnx-models.ts'

const ort = onnxruntime()

const seeded = <Net>(make: () => Net): Net => {
  k.manualSeed(3)
  return make()
}

class Twice extends k.Module {
  readonly first = new k.Linear(6, 6)
  readonly last = new k.Linear(6, 3, { bias: false })

  /** The same weights twice, over rows and over one row. */
  forward(x: k.Tensor): k.Tensor {
    const rows = k.relu(this.first.forward(this.first.forward(x)))
    return this.last.forward(this.first.forward(k.mean(rows, 1)))
  }
}

const networks: [string, k.Module, number[], number][] = [
  [
    'convolutions, groups, a maximum, a linear layer',
    seeded(
      () =>
        new k.Sequential(
          new k.Conv2d(3, 8, { kernelSize: 3, padding: 1 }),
          new k.ReLU(),
          new k.MaxPool2d(2),
          new k.Conv2d(8, 8, { kernelSize: 3, groups: 2, bias: false }),
          new k.Sigmoid(),
          new k.Flatten(),
          new k.Linear(32, 5),
        ),
    ),
    [3, 8, 8],
    8, // three values, three weights, two biases
  ],
  ['rows, weights that are shared', seeded(() => new Twice()), [4, 6], 10],
  ['one dimension', seeded(() => new k.Conv1d(2, 4, { kernelSize: 3, stride: 2 })), [2, 9], 3],
]

describe.each(networks)('%s', (_, net, inputShape, count) => {
  const calibration = noise(32 * elements(inputShape), 5)
  const bytes = k.saveOnnx(net, { inputShape, precision: 'int8', calibration })
  const x = { shape: [4, ...inputShape], data: noise(4 * elements(inputShape), 5) }

  test('reads and compiles to the same numbers, near the network', () => {
    const model = k.loadOnnx(bytes)
    const got = model.run({ input: x }).output!
    const want = net.forward(new k.Tensor(x.data, x.shape))
    const size = Math.max(...want.data.map(Math.abs))
    expect(largestError(got.data, want.data)).toBeLessThan(0.03 * size)
    expect(largestError(got.data, want.data)).toBeGreaterThan(0)
    using compiled = model.compile()
    expect(largestError(compiled.run(x.data), got.data)).toBeLessThan(1e-6 * size)
    // written again it is the same function
    const again = k.loadOnnx(k.saveOnnx(model)).run({ input: x }).output!
    expect(largestError(again.data, got.data)).toBeLessThan(1e-6 * size)
  })

  test('gives the same numbers in onnxruntime', async () => {
    if (!ort) return
    const { output } = await runOrt(ort, bytes, { input: x })
    const got = k.loadOnnx(bytes).run({ input: x }).output!
    expect(output!.shape).toEqual(got.shape)
    // it may round a value that lies between two bytes the other way
    const quantum = Math.max(...got.data.map(Math.abs)) / 100
    const apart = got.data.filter((one, i) => Math.abs(one - (output!.data[i] as number)) > 1e-5)
    expect(apart.length).toBeLessThanOrEqual(got.data.length / 20)
    expect(largestError(got.data, Float32Array.from(output!.data, Number))).toBeLessThan(quantum)
  })

  test('quantises each value and weight once', () => {
    const nodes = k.loadOnnx(bytes)
    expect(nodes.inputs[0]!.dtype).toBe('float32')
    const text = Buffer.from(bytes).toString('latin1')
    expect(text.split('DequantizeLinear').length - 1).toBe(count)
  })
})

test('nothing but zeros, and no calibration', () => {
  const net = seeded(() => new k.Linear(3, 2))
  net.weight.data.fill(0)
  const calibration = new Float32Array(6)
  const model = k.loadOnnx(k.saveOnnx(net, { inputShape: [3], precision: 'int8', calibration }))
  const { output } = model.run({ input: { shape: [1, 3], data: [1, 2, 3] } })
  expect(largestError(output!.data, net.bias!.data)).toBeLessThan(1e-2)
  expect(() => k.saveOnnx(net, { inputShape: [3], precision: 'int8' })).toThrow(
    expect.objectContaining({
      code: 'ERR_ARGUMENT',
      message: expect.stringMatching(/^saveOnnx: precision 'int8' needs/),
    }),
  )
  expect(() => k.saveOnnx(net, { inputShape: [3], calibration })).toThrow(/calibration goes with precision/)
})
