/** Graphs that are not written as the standard has it, and outputs that nobody reads. */
import { describe, expect, test } from 'vitest'
import { loadOnnx, Tensor } from '../lib/index.ts'
import { noise } from './helpers.ts'
import { onnxModel, type TestModel, type TestNode } from './onnx-models.ts'

const relu = (from: string, to: string): TestNode => ({ op: 'Relu', inputs: [from], outputs: [to] })

describe('nodes in another order', () => {
  const nodes: TestNode[] = [
    { op: 'Constant', inputs: [], outputs: ['k'], attributes: { value_floats: { floats: [2, 3] } } },
    { op: 'Neg', inputs: ['k'], outputs: ['n'] },
    { op: 'Mul', inputs: ['x', 'n'], outputs: ['a'] },
    { op: 'Tanh', inputs: ['x'], outputs: ['b'] },
    { op: 'Sub', inputs: ['a', 'b'], outputs: ['c'] },
    { op: 'Add', inputs: ['c', 'a'], outputs: ['y'] },
  ]
  const load = (order: TestNode[]) =>
    loadOnnx(onnxModel({ nodes: order, inputs: { x: { shape: ['N', 2] } }, outputs: ['y'] }))
  const x = new Tensor(noise(6), [3, 2])
  const expected = load(nodes).forward(x).data

  test('every order gives the same', () => {
    let seed = 1
    for (let i = 0; i < 40; i++) {
      const order = [...nodes]
      for (let at = order.length - 1; at > 0; at--) {
        seed = (seed * 48271) % 2147483647
        const other = seed % (at + 1)
        ;[order[at], order[other]] = [order[other]!, order[at]!]
      }
      const model = load(order)
      expect(model.forward(x).data).toEqual(expected)
      expect(model.compile().run(x)).toEqual(expected)
    }
  })

  test('a long way backwards is sorted', () => {
    const chain = Array.from({ length: 20000 }, (_, i) => ({
      op: 'Identity',
      inputs: [i === 0 ? 'x' : `v${i}`],
      outputs: [i === 19999 ? 'y' : `v${i + 1}`],
    }))
    expect(load(chain.reverse()).forward(x)).toBe(x)
  })

  test('a circle is refused by the names of its nodes', () => {
    const named = (name: string, ...node: [string, string]) => ({ ...relu(...node), name })
    expect(() =>
      load([named('one', 'x', 'a'), named('two', 'c', 'b'), named('three', 'b', 'c'), relu('c', 'y')]),
    ).toThrow(
      expect.objectContaining({
        code: 'ERR_FORMAT',
        message:
          'ONNX bytes is not a valid ONNX model: its nodes go in a circle: "two" reads "three" reads "two"',
      }),
    )
  })
})

describe('outputs that nobody reads', () => {
  const image = new Tensor(noise(3 * 32), [3, 2, 4, 4])
  const vector = (...data: number[]) => ({ shape: [data.length], data })
  const statistics = { one: vector(1, 2), zero: vector(0, 1) }
  const cases: Record<string, Partial<TestModel> & { nodes: TestNode[] }> = {
    'the mask of Dropout': {
      nodes: [{ op: 'Dropout', inputs: ['x'], outputs: ['d', 'mask'] }, relu('d', 'y')],
    },
    'Indices of MaxPool': {
      nodes: [
        { op: 'MaxPool', inputs: ['x'], outputs: ['d', 'i'], attributes: { kernel_shape: [2, 2] } },
        relu('d', 'y'),
      ],
    },
    'statistics of BatchNormalization': {
      opset: 11,
      nodes: [
        {
          op: 'BatchNormalization',
          inputs: ['x', 'one', 'zero', 'zero', 'one'],
          outputs: ['d', 'mean', 'var', 'saved_mean', 'saved_var'],
        },
        relu('d', 'y'),
      ],
      initializers: statistics,
    },
    'parts of Split, one of them empty': {
      nodes: [
        { op: 'Split', inputs: ['x', 'sizes'], outputs: ['a', 'b', 'c'], attributes: { axis: 1 } },
        relu('b', 'y'),
      ],
      initializers: { sizes: { type: 'int64', shape: [3], data: [1, 1, 0] } },
    },
  }

  test.each(Object.entries(cases))('%s', (_, { opset = 13, nodes, initializers }) => {
    const bytes = onnxModel({
      opset,
      nodes,
      ...(initializers && { initializers }),
      inputs: { x: { shape: ['N', 2, 4, 4] } },
      outputs: ['y'],
    })
    const model = loadOnnx(bytes)
    const { y } = model.run({ x: image })
    expect(model.compile().run(image)).toEqual(y!.data)
    expect(model.summary().layers.length).toBeLessThanOrEqual(3)
  })

  test('another result of the model, which only run() can give', () => {
    const bytes = onnxModel({
      opset: 13,
      nodes: [
        { op: 'MaxPool', inputs: ['x'], outputs: ['d', 'i'], attributes: { kernel_shape: [2, 2] } },
        { op: 'ReduceProd', inputs: ['x'], outputs: ['p'] },
        relu('d', 'y'),
      ],
      inputs: { x: { shape: ['N', 2, 4, 4] } },
      outputs: ['y', 'i', 'p'],
    })
    const model = loadOnnx(bytes, { output: 'y' })
    const results = model.run({ x: image })
    expect(Object.keys(results)).toEqual(['y', 'i', 'p'])
    expect(model.compile().run(image)).toEqual(results.y!.data)
    expect(model.forward(image).data).toEqual(results.y!.data)
  })
})
