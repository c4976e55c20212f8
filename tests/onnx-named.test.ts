/** Plans of several named inputs and outputs. */
import { describe, expect, test } from 'vitest'
import { loadOnnx, Tensor } from '../lib/index.ts'
import { noise } from './helpers.ts'
import { type Numbers, onnxModel } from './onnx-models.ts'

const weights = (...shape: number[]): Numbers => ({
  shape,
  data: noise(
    shape.reduce((a, b) => a * b, 1),
    shape.length,
  ),
})

/** An image and a vector of facts, a map and two heads: one of classes, one of one number an image. */
const bytes = onnxModel({
  opset: 17,
  nodes: [
    { op: 'Conv', inputs: ['image', 'w'], outputs: ['c'], attributes: { pads: [1, 1, 1, 1] } },
    { op: 'Relu', inputs: ['c'], outputs: ['map'] },
    { op: 'GlobalAveragePool', inputs: ['map'], outputs: ['g'] },
    { op: 'Flatten', inputs: ['g'], outputs: ['flat'] },
    { op: 'Concat', inputs: ['flat', 'facts'], outputs: ['all'], attributes: { axis: 1 } },
    { op: 'Gemm', inputs: ['all', 'head'], outputs: ['logits'], attributes: { transB: 1 } },
    { op: 'Softmax', inputs: ['logits'], outputs: ['classes'] },
    { op: 'ReduceMean', inputs: ['all'], outputs: ['score'], attributes: { axes: [1], keepdims: 0 } },
  ],
  inputs: { image: { shape: ['N', 3, 8, 8] }, facts: { shape: ['N', 5] } },
  initializers: { w: weights(7, 3, 3, 3), head: weights(4, 12) },
  outputs: ['map', 'classes', 'score'],
})

describe('a plan of two inputs and three outputs', () => {
  const net = loadOnnx(bytes)
  const image = noise(3 * 3 * 8 * 8)
  const facts = noise(3 * 5, 2)

  test.each([1, 3])('gives what run() gives, for %i images', (batch) => {
    using plan = net.compileNamed({ threads: 1 })
    expect(plan.inputShapes).toEqual({ image: [3, 8, 8], facts: [5] })
    expect(plan.outputShapes).toEqual({ map: [7, 8, 8], classes: [4], score: [] })
    const feeds = {
      image: new Tensor(image.slice(0, batch * 192), [batch, 3, 8, 8]),
      facts: new Tensor(facts.slice(0, batch * 5), [batch, 5]),
    }
    const expected = net.run(feeds)
    const results = plan.run({ image: feeds.image.data, facts: feeds.facts })
    expect(Object.keys(results)).toEqual(['map', 'classes', 'score'])
    for (const [name, values] of Object.entries(results)) {
      const want = expected[name]?.data as Float32Array
      expect(values.length).toBe(want.length)
      for (const [i, value] of values.entries()) expect(value).toBeCloseTo(want[i] as number, 5)
    }
  })

  test('runAsync gives new arrays', async () => {
    using plan = net.compileNamed()
    const one = await plan.runAsync({ image: image.slice(0, 192), facts: facts.slice(0, 5) })
    const two = await plan.runAsync({ image: image.slice(192, 384), facts: facts.slice(5, 10) })
    expect(one.map).not.toEqual(two.map)
    expect(one).toEqual(
      Object.fromEntries(Object.entries(plan.run({ image: image.slice(0, 192), facts: facts.slice(0, 5) }))),
    )
  })

  test('what does not fit is refused by name', () => {
    using plan = net.compileNamed()
    const good = { image: image.slice(0, 192), facts: facts.slice(0, 5) }
    expect(() => plan.run({ image: good.image })).toThrow('the input "facts" is missing')
    expect(() => plan.run({ ...good, other: good.facts })).toThrow('there is no input "other"')
    expect(() => plan.run({ ...good, facts: facts.slice(0, 4) })).toThrow(
      'Expected 5 values per image (5) for facts',
    )
    expect(() => plan.run({ ...good, facts })).toThrow('image has 1 images but facts has 3')
    expect(() => plan.run({ ...good, facts: [1, 2, 3, 4, 5] as never })).toThrow(
      'Expected a Float32Array for facts',
    )
    expect(() => plan.run(undefined as never)).toThrow('run: inputs')
    expect(() => net.compileNamed({ inputType: 'uint8' } as never)).toThrow('inputType')
    expect(() => net.compileNamed({ inputShapes: 3 as never })).toThrow('inputShapes')
    plan.dispose()
    expect(() => plan.run(good)).toThrow('was disposed')
  })

  test('shapes that the model leaves open are free, or as they are asked for', () => {
    const open = loadOnnx(
      onnxModel({
        opset: 17,
        nodes: [
          { op: 'Add', inputs: ['a', 'b'], outputs: ['sum'] },
          { op: 'Sub', inputs: ['a', 'b'], outputs: ['difference'] },
        ],
        inputs: { a: { shape: ['N', 'H', 2] }, b: { shape: ['N', 'H', 2] } },
        outputs: ['sum', 'difference'],
      }),
    )
    const free = open.compileNamed()
    expect(free.outputShapes).toEqual({ sum: [-1, 2], difference: [-1, 2] })
    const pair = new Tensor(Float32Array.of(1, 2), [1, 1, 2])
    expect(free.run({ a: pair, b: pair }).sum).toEqual(Float32Array.of(2, 4))
    expect(() => open.compileNamed({ inputShapes: { c: [1, 2] } as never })).toThrow(
      /shape of one image of a|no input/,
    )
    const shapes = { a: [3, 2], b: [3, 2] }
    const plan = open.compileNamed({ inputShapes: shapes })
    const results = plan.run({ a: Float32Array.of(1, 2, 3, 4, 5, 6), b: Float32Array.of(6, 5, 4, 3, 2, 1) })
    expect([...(results.sum ?? [])]).toEqual([7, 7, 7, 7, 7, 7])
    expect([...(results.difference ?? [])]).toEqual([-5, -3, -1, 1, 3, 5])
  })
})
