/** Models whose sizes are free: a plan for each size that comes. */
import { describe, expect, test } from 'vitest'
import {
  Conv2d,
  cat,
  compile,
  interpolate,
  loadOnnx,
  Module,
  maxPool2d,
  Tensor,
  trace,
} from '../lib/index.ts'
import { noise } from './helpers.ts'
import { type Numbers, onnxModel, type TestModel } from './onnx-models.ts'

/** A small U-Net: height and width may be any even numbers. */
class UNet extends Module {
  down = new Conv2d(3, 16, { kernelSize: 3, padding: 1 })
  deep = new Conv2d(16, 32, { kernelSize: 3, padding: 1 })
  up = new Conv2d(48, 2, { kernelSize: 3, padding: 1 })
  forward(x: Tensor): Tensor {
    const skip = this.down.forward(x)
    const below = this.deep.forward(maxPool2d(skip, 2))
    return this.up.forward(cat([interpolate(below, { scaleFactor: 2 }), skip], 1))
  }
}

const image = (height: number, width: number, batch = 1) =>
  new Tensor(noise(batch * 3 * height * width, height), [batch, 3, height, width])

describe('height and width left free', () => {
  test('every size gives what a model compiled for it gives', () => {
    const net = new UNet()
    using model = net.compile({ inputShape: [3, -1, -1], threads: 1 })
    expect(model.inputShape).toEqual([3, -1, -1])
    expect(model.outputShape).toEqual([2, -1, -1])
    for (const [height, width, batch] of [
      [8, 8, 1],
      [16, 10, 1],
      [8, 8, 3],
      [32, 6, 2],
    ] as const) {
      const x = image(height, width, batch)
      using fixed = compile(net, { inputShape: [3, height, width], threads: 1 })
      const y = model.run(x)
      expect(y).toEqual(fixed.run(x))
      expect(model.run(x)).toBe(y)
      expect(model.at([3, height, width]).outputShape).toEqual([2, height, width])
    }
    const whole = image(16, 10)
    expect(model.run(new Tensor(whole.data, [3, 16, 10]))).toEqual(model.run(whole).slice())
  })

  test('a size is planned once, the last eight are kept, and the ninth ends the oldest', () => {
    const net = new UNet()
    using model = net.compile({ inputShape: [3, -1, -1] })
    const plans = [2, 4, 6, 8, 10, 12, 14, 16].map((side) => model.at([3, side, side]))
    model.run(image(2, 2))
    expect(model.at([3, 2, 2])).toBe(plans[0])
    const ninth = model.at([3, 18, 18])
    expect(() => plans[1]?.run(image(4, 4))).toThrow(/disposed/)
    expect(model.at([3, 2, 2])).toBe(plans[0])
    expect(model.at([3, 18, 18])).toBe(ninth)
    expect(model.describe().inputShape).toEqual([3, 18, 18])
    model.dispose()
    expect(() => ninth.run(image(18, 18))).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }))
    expect(() => model.run(image(18, 18))).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }))
    expect(() => model.at([3, 2, 2])).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }))
  })

  test('runAsync, profile, bytes and outputs of the caller', async () => {
    const net = new UNet()
    using model = net.compile({ inputShape: [3, -1, 8] })
    const x = image(6, 8)
    const expected = model.run(x).slice()
    const output = new Float32Array(expected.length)
    expect(model.run(x, output)).toBe(output)
    expect(output).toEqual(expected)
    const calls = [6, 8, 10, 12, 14, 16, 18, 20, 22, 24].map((height) => model.runAsync(image(height, 8)))
    expect((await Promise.all(calls))[0]).toEqual(expected)
    expect(model.profile(x, { iterations: 1 }).length).toBe(model.describe().steps.length)
    using pixels = net.compile({ inputShape: [3, -1, -1], inputType: 'uint8' })
    expect(pixels.at([3, 4, 4]).run(new Uint8Array(48))).toHaveLength(32)
  })

  test('is refused by name where it cannot be', async () => {
    const net = new UNet()
    using model = net.compile({ inputShape: [3, -1, -1] })
    const refusal = (code: string, words: RegExp) =>
      expect.objectContaining({ code, message: expect.stringMatching(words) })
    expect(() => model.run(new Float32Array(192))).toThrow(refusal('ERR_ARGUMENT', /3×\?×\?.*Tensor/))
    expect(() => model.run(new Tensor(noise(64), [1, 8, 8]))).toThrow(refusal('ERR_SHAPE', /3×\?×\?.*1×8×8/))
    expect(() => model.run(image(7, 8))).toThrow(refusal('ERR_SHAPE', /cat/))
    expect(() => model.at([3, 0, 8])).toThrow(refusal('ERR_SHAPE', /positive/))
    expect(() => model.at([4, 8, 8])).toThrow(refusal('ERR_SHAPE', /3×\?×\?.*4×8×8/))
    await expect(model.runAsync(image(7, 8))).rejects.toThrow(refusal('ERR_SHAPE', /cat/))
    using other = net.compile({ inputShape: [3, -1, -1] })
    expect(() => other.describe()).toThrow(refusal('ERR_ARGUMENT', /no size/))
    expect(() => compile(trace(net, [3, 8, 8]), { inputShape: [3, -1, -1] })).toThrow(
      refusal('ERR_ARGUMENT', /graph/),
    )
    const calibration = image(8, 8)
    expect(() => net.compile({ inputShape: [3, -1, -1], precision: 'int8', calibration })).toThrow(
      refusal('ERR_UNSUPPORTED', /int8/),
    )
    expect(() => net.compile({ inputShape: [3, -2, -1] })).toThrow(refusal('ERR_SHAPE', /positive/))
    using fixed = net.compile({ inputShape: [3, 8, 8] })
    expect(fixed.at([3, 8, 8])).toBe(fixed)
    expect(() => fixed.at([3, 8, 10])).toThrow(refusal('ERR_SHAPE', /3×8×8.*3×8×10/))
  })

  test('weights that change between two sizes are refused', () => {
    const net = new UNet()
    using model = net.compile({ inputShape: [3, -1, -1] })
    model.run(image(8, 8))
    net.deep.weight.data[7] = 3
    model.run(image(8, 8))
    expect(() => model.run(image(6, 8))).toThrow(/weights have changed/)
  })
})

const weights = (...shape: number[]): Numbers => ({
  shape,
  data: noise(
    shape.reduce((a, b) => a * b, 1),
    shape.length,
  ),
})

const encoder: TestModel = {
  opset: 17,
  nodes: [
    {
      op: 'Conv',
      inputs: ['image', 'w'],
      outputs: ['a'],
      attributes: { pads: [1, 1, 1, 1], strides: [2, 2] },
    },
    { op: 'Relu', inputs: ['a'], outputs: ['b'] },
    { op: 'Shape', inputs: ['image'], outputs: ['all'], attributes: { start: 2 } },
    { op: 'Shape', inputs: ['b'], outputs: ['head'], attributes: { end: 2 } },
    { op: 'Concat', inputs: ['head', 'all'], outputs: ['to'], attributes: { axis: 0 } },
    { op: 'Resize', inputs: ['b', '', '', 'to'], outputs: ['map'], attributes: { mode: 'linear' } },
  ],
  inputs: { image: { shape: ['N', 3, 'H', 'W'] } },
  initializers: { w: weights(4, 3, 3, 3) },
  outputs: ['map'],
}

describe('an ONNX model that leaves height and width open', () => {
  test('compiles, and runs on any', () => {
    const net = loadOnnx(onnxModel(encoder))
    using model = net.compile()
    expect(model.outputShape).toEqual([4, -1, -1])
    for (const [height, width] of [
      [9, 12],
      [64, 48],
    ] as const) {
      const x = image(height, width)
      const y = model.run(x)
      const want = net.forward(x).data
      expect(y).toHaveLength(want.length)
      for (const [i, value] of y.entries()) expect(value).toBeCloseTo(want[i] as number, 5)
    }
  })

  test('so does a plan of several outputs', () => {
    const net = loadOnnx(onnxModel({ ...encoder, outputs: ['map', 'b'] }))
    using plan = net.compileNamed()
    expect(plan.inputShapes).toEqual({ image: [3, -1, -1] })
    expect(plan.outputShapes).toEqual({ map: [4, -1, -1], b: [4, -1, -1] })
    const x = image(10, 14, 2)
    const [results, want] = [plan.run({ image: x }), net.run({ image: x })]
    for (const name of ['map', 'b']) {
      expect(results[name]).toHaveLength(want[name]?.data.length as number)
      for (const [i, value] of (results[name] as Float32Array).entries()) {
        expect(value).toBeCloseTo(want[name]?.data[i] as number, 5)
      }
    }
    expect(plan.describe().steps.length).toBeGreaterThan(1)
    expect(() => plan.run({ image: x.data })).toThrow(/3×\?×\?.*Tensor/)
    expect(() => plan.run({})).toThrow(/missing/)
    plan.dispose()
    expect(() => plan.run({ image: x })).toThrow(expect.objectContaining({ code: 'ERR_DISPOSED' }))
  })

  test('what cannot be compiled is told at once', () => {
    const net = loadOnnx(
      onnxModel({
        ...encoder,
        nodes: [{ op: 'NonZero', inputs: ['image'], outputs: ['map'] }],
        initializers: {},
      }),
    )
    expect(() => net.compile()).toThrow(expect.objectContaining({ code: 'ERR_UNSUPPORTED' }))
  })
})
