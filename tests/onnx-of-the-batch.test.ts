/** Numbers that a model makes of the size of a free batch: compiled where they are the same for any, else refused. */
import { describe, expect, test } from 'vitest'
import { loadOnnx, type OnnxModel } from '../lib/index.ts'
import { int64s, type Numbers, of, onnxModel, type TestNode } from './onnx-models.ts'

const node = (op: string, inputs: string, output: string, attributes = {}): TestNode => ({
  op,
  inputs: inputs.split(' '),
  outputs: [output],
  attributes,
})

/** The batch of x as an integer, `n`. */
const count = [node('Shape', 'x', 's'), node('Gather', 's zero', 'n')]
const constants: Record<string, Numbers> = {
  zero: of('int64', [], 0),
  one: of('int64', [], 1),
  first: int64s(0),
  ones: int64s(1),
  five: int64s(5),
  size: int64s(1, 5),
  half: of('float', [], 0.5),
}

function model(nodes: TestNode[], batch: string | number = 'N'): OnnxModel {
  return loadOnnx(
    onnxModel({
      nodes: [...count, ...nodes],
      inputs: { x: { shape: [batch, 1, 5] } },
      outputs: ['y'],
      initializers: constants,
    }),
  )
}

const float = node('Cast', 'n', 'f', { to: 1 })
const vector = node('Unsqueeze', 'n first', 'v')

describe('refused, by the name of the node', () => {
  test.each<[string, TestNode[]]>([
    ['x · n', [float, node('Mul', 'x f', 'y')]],
    ['x + √n / 2', [float, node('Sqrt', 'f', 'q'), node('Mul', 'q half', 'h'), node('Add', 'x h', 'y')]],
    [
      'the number of each image',
      [
        node('Range', 'zero n one', 'r'),
        node('Cast', 'r', 'i', { to: 1 }),
        node('Unsqueeze', 'i ones', 'u'),
        node('Unsqueeze', 'u ones', 'w'),
        node('Add', 'x w', 'y'),
      ],
    ],
    [
      'copies for each image',
      [vector, node('Concat', 'v v five', 't', { axis: 0 }), node('Expand', 'x t', 'y')],
    ],
    [
      'tiles for each image',
      [vector, node('Concat', 'ones v ones', 't', { axis: 0 }), node('Tile', 'x t', 'y')],
    ],
  ])('%s', (_, nodes) => {
    expect(() => model(nodes).compile()).toThrow(
      expect.objectContaining({
        code: 'ERR_UNSUPPORTED',
        message: expect.stringMatching(
          /^node y \(\w+, opset 17\): "\w" depends on how many images there are/,
        ),
      }),
    )
    // in a model of one image it is a number as others are
    expect(() => model(nodes, 1).compile().dispose()).not.toThrow()
  })
})

test.each<[string, TestNode[]]>([
  [
    'a size of the image',
    [node('Gather', 's one', 'c'), node('Cast', 'c', 'g', { to: 1 }), node('Mul', 'x g', 'y')],
  ],
  ['n / n', [float, node('Div', 'f f', 'g'), node('Add', 'x g', 'y')]],
  [
    'zeros for each image',
    [
      vector,
      node('Concat', 'v size', 't', { axis: 0 }),
      node('ConstantOfShape', 't', 'z'),
      node('Concat', 'z x', 'y', { axis: 1 }),
    ],
  ],
  [
    'one for all, as that of a class',
    [
      vector,
      node('Concat', 'v size', 't', { axis: 0 }),
      node('Expand', 'half t', 'e'),
      node('Add', 'x e', 'y'),
    ],
  ],
  ['its own shape', [node('Expand', 'x s', 'y')]],
])('compiled: %s', (_, nodes) => {
  const net = model(nodes)
  const data = Float32Array.from({ length: 15 }, (_, i) => i - 4)
  using compiled = net.compile()
  expect([...compiled.run(data)]).toEqual([...net.run({ x: { data, shape: [3, 1, 5] } }).y!.data])
})
