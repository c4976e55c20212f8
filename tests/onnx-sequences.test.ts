/** Sequences of tensors and optional values, against onnxruntime; compiled where they hold what comes from the image. */
import { describe, expect, test } from 'vitest'
import { loadOnnx, type OnnxResult, Tensor } from '../lib/index.ts'
import { noise } from './helpers.ts'
import {
  int64s,
  type Numbers,
  node,
  of,
  onnxModel,
  onnxruntime,
  runOrt,
  type TestGraph,
  type TestNode,
} from './onnx-models.ts'

const ort = onnxruntime()
const x: Numbers = { shape: [2, 6], data: noise(12, 1) }
const at = (place: number) => of('int64', [], place)
const bare = (op: string, output: string, attributes = {}): TestNode => ({
  op,
  inputs: [],
  outputs: [output],
  attributes,
})

const insert: TestGraph = {
  inputs: { i: { type: 'int64', shape: [] }, go: { type: 'bool', shape: [] }, s: { shape: [] } },
  nodes: [node('Cast', 'i', 'f', { to: 1 }), node('Add', 'x f', 'y'), node('SequenceInsert', 's y', 't')],
  outputs: ['go', 't'],
}
const double: TestGraph = {
  inputs: { a: { shape: [2, 2] }, b: { shape: [2, 2] } },
  nodes: [node('Mul', 'a b', 'c')],
  outputs: ['c'],
}

interface Chain {
  nodes: TestNode[]
  initializers?: Record<string, Numbers>
  /** Of the result; without onnxruntime this is looked at alone. */
  shape: number[]
  compiles?: boolean
  /** onnxruntime cannot read it as it is written here. */
  alone?: (x: ArrayLike<number>) => number[]
}

const three = node('SplitToSequence', 'x size', 's', { axis: 1 })
const size = at(2)

const chains: Record<string, Chain> = {
  'construct, at from the end': {
    nodes: [node('Neg', 'x', 'n'), node('SequenceConstruct', 'x n', 's'), node('SequenceAt', 's k', 'y')],
    initializers: { k: at(-1) },
    shape: [2, 6],
    compiles: true,
  },
  'split by a number, the last shorter': {
    nodes: [node('SplitToSequence', 'x size', 's', { axis: -1 }), node('SequenceAt', 's k', 'y')],
    initializers: { size: at(4), k: at(1) },
    shape: [2, 2],
    compiles: true,
  },
  'split by sizes, joined in another order': {
    nodes: [
      node('SplitToSequence', 'x sizes', 's', { axis: 1 }),
      node('SequenceAt', 's one', 'a'),
      node('SequenceErase', 's one', 'r'),
      node('SequenceInsert', 'r a', 't'),
      node('ConcatFromSequence', 't', 'y', { axis: 1 }),
    ],
    initializers: { sizes: int64s(1, 3, 2), one: at(1) },
    shape: [2, 6],
    compiles: true,
  },
  'split into ones without the dimension, stacked': {
    nodes: [
      node('SplitToSequence', 'x', 's', { axis: 1, keepdims: 0 }),
      node('ConcatFromSequence', 's', 'y', { axis: 1, new_axis: 1 }),
    ],
    shape: [2, 6],
    compiles: true,
  },
  'split into ones': {
    nodes: [
      node('SplitToSequence', 'x', 's', { axis: 1 }),
      node('ConcatFromSequence', 's', 'y', { axis: 2, new_axis: 1 }),
    ],
    shape: [2, 1, 6],
    compiles: true,
  },
  'insert in front, erase the last': {
    nodes: [
      three,
      node('Neg', 'x', 'n'),
      node('SplitToSequence', 'n size', 'm', { axis: 1 }),
      node('SequenceAt', 'm nought', 'a'),
      node('SequenceInsert', 's a nought', 't'),
      node('SequenceErase', 't', 'u'),
      node('ConcatFromSequence', 'u', 'y', { axis: 1 }),
    ],
    initializers: { size, nought: at(0) },
    shape: [2, 6],
    compiles: true,
  },
  'empty, filled, its length': {
    nodes: [
      bare('SequenceEmpty', 'e'),
      node('SequenceInsert', 'e x', 's'),
      node('SequenceInsert', 's x', 't'),
      node('SequenceLength', 't', 'n'),
      node('Cast', 'n', 'f', { to: 1 }),
      node('Mul', 'x f', 'y'),
    ],
    shape: [2, 6],
    compiles: true,
  },
  'filled by a loop': {
    nodes: [
      bare('SequenceEmpty', 'e'),
      { ...node('Loop', 'count go e', 's', {}), attributes: { body: { graph: insert } } },
      node('ConcatFromSequence', 's', 'y', { axis: 1 }),
    ],
    initializers: { count: at(3), go: of('bool', [], 1) },
    shape: [2, 18],
    compiles: true,
    alone: (v) =>
      [0, 1].flatMap((row) =>
        [0, 1, 2].flatMap((i) => Array.from({ length: 6 }, (_, k) => (v[row * 6 + k] ?? 0) + i)),
      ),
  },
  'a graph for each': {
    nodes: [
      three,
      { ...node('SequenceMap', 's s', 't', {}), attributes: { body: { graph: double } } },
      node('ConcatFromSequence', 't', 'y', { axis: 1 }),
    ],
    initializers: { size },
    shape: [2, 6],
    compiles: true,
    alone: (v) => Array.from(v, (one) => one * one),
  },
  'an optional value': {
    nodes: [
      node('Optional', 'x', 'o'),
      node('OptionalHasElement', 'o', 'has'),
      node('OptionalGetElement', 'o', 'v'),
      node('Cast', 'has', 'f', { to: 1 }),
      node('Mul', 'v f', 'y'),
    ],
    shape: [2, 6],
    compiles: true,
  },
}

describe.each(Object.entries(chains))('%s', (_name, { nodes, initializers, shape, compiles, alone }) => {
  const model = { opset: 18, nodes, initializers: initializers ?? {}, outputs: ['y'] }
  const bytes = onnxModel({ ...model, inputs: { x: { shape: ['N', 6] } } })
  const tensor = new Tensor(Float32Array.from(x.data as number[]), x.shape)

  test('run', async () => {
    const { y } = loadOnnx(bytes).run({ x: tensor })
    expect(y!.shape).toEqual(shape)
    if (alone) expect([...y!.data]).toEqual([...Float32Array.from(alone([...tensor.data]))])
    else if (ort) expect([...y!.data]).toEqual((await runOrt(ort, bytes, { x })).y!.data)
  })
  test.runIf(compiles)('compile', () => {
    using compiled = loadOnnx(bytes).compile()
    expect([...compiled.run(tensor)]).toEqual([...loadOnnx(bytes).run({ x: tensor }).y!.data])
  })
})

/** What run() makes of these nodes. */
function run(nodes: TestNode[], initializers: Record<string, Numbers> = {}, output = 'y') {
  const bytes = onnxModel({
    opset: 18,
    nodes,
    initializers,
    inputs: { x: { shape: ['N', 6] } },
    outputs: [output],
  })
  return loadOnnx(bytes).run<OnnxResult | OnnxResult[]>({ x })[output]!
}

test('a result that is a sequence is an array', () => {
  const results = run([three], { size }, 's') as OnnxResult[]
  expect(results.map((one) => one.shape)).toEqual([
    [2, 2],
    [2, 2],
    [2, 2],
  ])
  const bytes = onnxModel({
    opset: 18,
    nodes: [three],
    initializers: { size },
    inputs: { x: { shape: ['N', 6] } },
    outputs: ['s'],
  })
  expect(() => loadOnnx(bytes).compile()).toThrow('a sequence of tensors')
})

test('an optional value that is not there', () => {
  const none = bare('Optional', 'o')
  const has = run([
    none,
    node('OptionalHasElement', 'o', 'h'),
    node('Cast', 'h', 'f', { to: 1 }),
    node('Mul', 'x f', 'y'),
  ])
  expect([...(has as Tensor).data].every((one) => one === 0)).toBe(true)
  expect(() => run([none, node('OptionalGetElement', 'o', 'v'), node('Mul', 'x v', 'y')])).toThrow(
    'the optional value is not there',
  )
  expect(() => run([none], {}, 'o')).toThrow('an optional value that is not there')
})

test('what is no place, no sequence, no size, by the name of the node', () => {
  const sequence = (...more: TestNode[]) => [three, ...more]
  const given = { size, k: at(3), three: at(-4), zero: at(0) }
  expect(() => run(sequence(node('SequenceAt', 's k', 'y')), given)).toThrow(
    'SequenceAt, opset 18): there is no position 3',
  )
  expect(() => run(sequence(node('SequenceErase', 's three', 'y')), given)).toThrow('position -4')
  expect(() => run(sequence(node('SequenceInsert', 's x three', 'y')), given)).toThrow('position -4')
  expect(() => run([node('SequenceAt', 'x k', 'y')], given)).toThrow('input 0 is no sequence')
  expect(() => run(sequence(node('Relu', 's', 'y')), given)).toThrow('it takes tensors but gets a sequence')
  expect(() =>
    run([node('SplitToSequence', 'x zero', 's', { axis: 1 }), node('SequenceAt', 's zero', 'y')], given),
  ).toThrow('pieces of 0 elements')
  expect(() =>
    run([node('SplitToSequence', 'x sizes', 's', { axis: 1 }), node('SequenceAt', 's zero', 'y')], {
      ...given,
      sizes: int64s(5, 2),
    }),
  ).toThrow('6 elements cannot be split so')
  expect(() => run([bare('SequenceEmpty', 'e'), node('SequenceErase', 'e', 'y')])).toThrow(
    'the sequence is empty',
  )
})
