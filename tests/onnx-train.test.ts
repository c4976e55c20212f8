/** Training of networks read from ONNX, in every way to write a weight: as a Module of the same layers is trained. */
import { describe, expect, test } from 'vitest'
import {
  Conv2d,
  flatten,
  freeze,
  type KerneletError,
  Linear,
  loadOnnx,
  Module,
  type OnnxModel,
  type Parameter,
  pad,
  relu,
  SGD,
  saveOnnx,
  Tensor,
  Trainer,
} from '../lib/index.ts'
import { Inline, noise } from './helpers.ts'
import { type Numbers, onnxModel, type TestNode } from './onnx-models.ts'

const [cw, cb] = [noise(18, 2), Float32Array.of(0.7, 0.4)] as const
const [w, b] = [noise(96, 4), noise(3, 5)] as const
const images = new Tensor(noise(12 * 36, 6), [12, 1, 6, 6])
const labels = Array.from({ length: 12 }, (_, i) => i % 3)
const numbers = (shape: number[], data: ArrayLike<number>): Numbers => ({ shape, data })
const ints = (...data: number[]): Numbers => ({ type: 'int64', shape: [data.length], data })
const scaled = (data: Float32Array, factor: number) => data.map((one) => one * factor)

function thrown(run: () => unknown): KerneletError {
  try {
    run()
  } catch (error) {
    return error as KerneletError
  }
  throw new Error('nothing was thrown')
}

/** The same matrix with rows and columns exchanged. */
function turned(data: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(data, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number)
}

const node = (op: string, inputs: string[], output: string, attributes: TestNode['attributes'] = {}) => ({
  op,
  inputs,
  outputs: [output],
  attributes,
})
const conv = node('Conv', ['x', 'cw', 'cb'], 'c')
const body = [conv, node('Relu', ['c'], 'r'), node('Flatten', ['r'], 'v')]
const gemm = node('Gemm', ['v', 'w', 'b'], 'y', { transB: 1 })
const initial = {
  cw: numbers([2, 1, 3, 3], cw),
  cb: numbers([2], cb),
  w: numbers([3, 32], w),
  b: numbers([3], b),
}

/** The network by hand: what all the models below are. */
function handMade({ weight = w, bias = b, convBias = cb }: Weights = {}) {
  const layers = { conv: new Conv2d(1, 2, { kernelSize: 3 }), fc: new Linear(32, 3) }
  layers.conv.weight.data.set(cw)
  layers.conv.bias?.data.set(convBias)
  layers.fc.weight.data.set(weight)
  layers.fc.bias?.data.set(bias)
  const net = new Inline((x) => layers.fc.forward(flatten(relu(layers.conv.forward(x)), 1)))
  return Object.assign(net, layers)
}

interface Weights {
  weight?: Float32Array
  bias?: Float32Array
  convBias?: Float32Array
}

interface Case {
  opset?: number
  nodes: TestNode[]
  initializers: Record<string, Numbers>
  /** The layers' weights, where they are not those of the file. */
  layers?: Weights
  /** Names of the parameters, where they are not cw, cb, w and b. */
  names?: string[]
}

const ends = (...nodes: TestNode[]) => [...body, ...nodes]
const constant = (name: string) =>
  node('Constant', [], name, { value: { tensor: initial[name as keyof typeof initial] } })

const cases: Record<string, Case> = {
  'as PyTorch writes it': { nodes: ends(gemm), initializers: initial },
  'alpha and beta': {
    nodes: ends({ ...gemm, attributes: { transB: 1, alpha: 0.5, beta: { float: 4 } } }),
    initializers: initial,
    layers: { weight: scaled(w, 0.5), bias: scaled(b, 4) },
  },
  'no transB': {
    nodes: ends({ ...gemm, attributes: { alpha: { float: 2 } } }),
    initializers: { ...initial, w: numbers([32, 3], turned(w, 3, 32)) },
    layers: { weight: scaled(w, 2) },
  },
  'one bias for all outputs': {
    nodes: ends(gemm),
    initializers: { ...initial, b: numbers([1], [0.25]) },
    layers: { bias: Float32Array.of(0.25, 0.25, 0.25) },
  },
  'a bias without a dimension': {
    nodes: ends({ ...gemm, attributes: { transB: 1, beta: { float: 2 } } }),
    initializers: { ...initial, b: numbers([], [0.25]) },
    layers: { bias: Float32Array.of(0.5, 0.5, 0.5) },
  },
  'a bias of one row': { nodes: ends(gemm), initializers: { ...initial, b: numbers([1, 3], b) } },
  'a weight through Mul': {
    nodes: ends(node('Mul', ['w', 'k'], 'wk'), { ...gemm, inputs: ['v', 'wk', 'b'] }),
    initializers: { ...initial, k: numbers([], [0.5]) },
    layers: { weight: scaled(w, 0.5) },
  },
  'a weight through Transpose, to MatMul and Add': {
    nodes: ends(
      node('Transpose', ['w'], 'wt', { perm: [1, 0] }),
      node('MatMul', ['v', 'wt'], 'm'),
      node('Add', ['b', 'm'], 'y'),
    ),
    initializers: initial,
  },
  'a weight through Reshape, Unsqueeze, Squeeze, Cast and Identity': {
    nodes: ends(
      node('Reshape', ['w', 's'], 'w1'),
      node('Unsqueeze', ['w1', 'axes'], 'w2'),
      node('Squeeze', ['w2', 'axes'], 'w3'),
      node('Cast', ['w3'], 'w4', { to: 1 }),
      node('Identity', ['w4'], 'w5'),
      { ...gemm, inputs: ['v', 'w5', 'b'] },
    ),
    initializers: { ...initial, w: numbers([96], w), s: ints(3, 32), axes: ints(0) },
  },
  'a weight that is a slice': {
    nodes: ends(node('Slice', ['w', 'from', 'to'], 'ws'), { ...gemm, inputs: ['v', 'ws', 'b'] }),
    initializers: {
      ...initial,
      w: numbers([4, 32], [...noise(32), ...w]),
      from: ints(1),
      to: ints(4),
    },
  },
  'weights and bias that are parts of one': {
    nodes: ends(
      node('Slice', ['both', 'zero', 'split', 'one'], 'w'),
      node('Slice', ['both', 'split', 'end', 'one'], 'last'),
      node('Squeeze', ['last', 'one'], 'b'),
      gemm,
    ),
    initializers: {
      ...{ cw: initial.cw, cb: initial.cb, zero: ints(0), split: ints(32), end: ints(33), one: ints(1) },
      both: numbers(
        [3, 33],
        [0, 1, 2].flatMap((i) => [...w.subarray(32 * i, 32 * i + 32), b[i] as number]),
      ),
    },
  },
  'weights in Constant nodes': {
    nodes: [constant('cw'), constant('cb'), constant('w'), constant('b'), ...ends(gemm)],
    initializers: {},
  },
  'weights in Constant nodes, biases by Add': {
    nodes: [
      constant('cw'),
      node('Constant', [], 'cb', { value: { tensor: numbers([1, 2, 1, 1], cb) } }),
      constant('w'),
      constant('b'),
      node('Conv', ['x', 'cw'], 'c0'),
      node('Add', ['c0', 'cb'], 'c'),
      ...body.slice(1),
      node('Gemm', ['v', 'w'], 'm', { transB: 1 }),
      node('Add', ['m', 'b'], 'y'),
    ],
    initializers: {},
  },
  'the bias of a convolution, [c, 1, 1], by Add behind Reshape': {
    nodes: [
      node('Conv', ['x', 'cw'], 'c0'),
      node('Reshape', ['cb', 's'], 'cbr'),
      node('Add', ['cbr', 'c0'], 'c'),
      ...body.slice(1),
      gemm,
    ],
    initializers: { ...initial, s: ints(2, 1, 1) },
  },
  'the bias of a convolution by Add along an axis, as before opset 7': {
    opset: 6,
    nodes: [
      node('Conv', ['x', 'cw'], 'c0'),
      node('Add', ['c0', 'cb'], 'c', { broadcast: 1, axis: 1 }),
      ...body.slice(1),
      { ...gemm, attributes: { transB: 1, broadcast: 1 } },
    ],
    initializers: initial,
  },
  'a weight in the first place of MatMul': {
    nodes: [
      ...body,
      node('Unsqueeze', ['v', 'two'], 'v2'),
      node('MatMul', ['w', 'v2'], 'm'),
      node('Squeeze', ['m', 'two'], 'm2'),
      node('Add', ['m2', 'b'], 'y'),
    ],
    initializers: { ...initial, two: ints(2) },
  },
  'nodes in no order': { nodes: [gemm, ...[...body].reverse()], initializers: initial },
}

describe('weights that two layers share', () => {
  /** x → Linear(4 → 3) → Linear(3 → 4) with the same matrix, turned in the second. */
  const tied = (second: TestNode[], initializers: Record<string, Numbers> = {}) =>
    loadOnnx(
      onnxModel({
        opset: 13,
        inputs: { x: { shape: ['N', 4] } },
        nodes: [node('Gemm', ['x', 'w', 'b'], 'h', { transB: 1 }), ...second],
        initializers: { w: numbers([3, 4], noise(12)), b: numbers([3], noise(3)), ...initializers },
        outputs: ['y'],
      }),
    )
  const x = new Tensor(noise(20, 2), [5, 4])
  const step = (model: Module) => {
    using trainer = new Trainer(model, { optimizer: new SGD({ lr: 0.1 }), loss: 'mse', seed: 1 })
    return trainer.step(x, noise(20, 7))
  }

  test('in forms that no layer can share: refused by name, unless frozen', () => {
    const model = tied([node('MatMul', ['h', 'w'], 'y')])
    expect(model.namedParameters().map(([name]) => name)).toEqual(['w', 'w_', 'b'])
    expect(model.compile().run(x)).toEqual(model.forward(x).data)
    expect(thrown(() => step(model))).toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message:
        'Trainer: w, w_ cannot be trained: node h (Gemm, opset 13) and node y (MatMul, opset 13) share its numbers ' +
        'in different forms; freeze() them to train the others',
    })
    const weights = model as unknown as Record<string, Parameter>
    for (const name of ['w', 'w_']) freeze(weights[name] as Parameter)
    const before = model.namedParameters().map(([, { data }]) => data.slice())
    step(model)
    const moved = model
      .namedParameters()
      .map(([, { data }], i) => data.some((one, j) => one !== before[i]?.[j]))
    expect(moved).toEqual([false, false, true])
  })

  test('scaled in one: refused as well; by one number for two weights: not', () => {
    const half = { k: numbers([], [0.5]) }
    const scaledTwice = tied(
      [node('Mul', ['w', 'k'], 'wk'), node('Relu', ['h'], 'r'), node('Gemm', ['r', 'wk2'], 'y')].concat(
        node('Identity', ['wk'], 'wk2'),
      ),
      half,
    )
    expect(thrown(() => step(scaledTwice)).code).toBe('ERR_UNSUPPORTED')
    const apart = tied(
      [node('Mul', ['u', 'k'], 'uk'), node('Mul', ['c', 'k'], 'ck'), node('Gemm', ['h', 'uk', 'ck'], 'y')],
      { ...half, u: numbers([3, 4], noise(12, 3)), c: numbers([4], noise(4, 4)) },
    )
    expect(step(apart).loss).toBeGreaterThan(0)
  })

  test.each([
    ['by one name', [node('Gemm', ['h2', 'w', 'b'], 'y', { transB: 1 })]],
    ['through Identity', [node('Identity', ['w'], 'i'), node('Gemm', ['h2', 'i', 'b'], 'y', { transB: 1 })]],
    [
      'through Transpose, to another operator',
      [node('Transpose', ['w'], 't'), node('MatMul', ['h2', 't'], 'm'), node('Add', ['m', 'b'], 'y')],
    ],
    [
      'in another shape, by a convolution',
      [
        node('Reshape', ['w', 's'], 'k'),
        node('Unsqueeze', ['h2', 'two'], 'row'),
        node('Conv', ['row', 'k', 'b'], 'c'),
        node('Squeeze', ['c', 'two'], 'y'),
      ],
    ],
  ])('in one form, %s: trained as one, and written as one', (_, last) => {
    const pad = node('Pad', ['h', 'pads'], 'h2')
    const extra = { pads: ints(0, 0, 0, 1), s: ints(3, 4, 1), two: ints(2) }
    const model = tied([pad, ...last], extra)
    expect([...model.stateDict().keys()]).toEqual(['w', 'b'])
    const reference = Object.assign(new TiedByHand(), {})
    const [y, wanted] = [noise(15, 7), [] as number[]]
    const train = (net: Module) => {
      using trainer = new Trainer(net, { optimizer: new SGD({ lr: 0.1 }), loss: 'mse', seed: 1 })
      return Array.from({ length: 4 }, () => trainer.step(x, y).loss)
    }
    wanted.push(...train(reference))
    close(train(model), wanted)
    close(model.forward(x).data, reference.forward(x).data)
    const again = loadOnnx(saveOnnx(model, { inputShape: [4] }))
    expect([...again.stateDict().keys()]).toEqual(['w', 'b'])
    close(again.forward(x).data, reference.forward(x).data)
    close(train(again), train(reference))
  })

  class TiedByHand extends Module {
    fc = new Linear(4, 3)
    constructor() {
      super()
      this.fc.weight.data.set(noise(12))
      this.fc.bias?.data.set(noise(3))
    }
    forward(input: Tensor): Tensor {
      return this.fc.forward(pad(this.fc.forward(input), [0, 1]))
    }
  }
})

test('gradients are those that differences of the loss give', () => {
  const model = load(cases['alpha and beta'] as Case)
  const loss = () => {
    using trainer = new Trainer(model, { optimizer: new SGD({ lr: 0 }), seed: 1 })
    return { loss: trainer.step(images, labels).loss, gradients: trainer.gradients() }
  }
  const { gradients } = loss()
  for (const [name, { data }] of model.namedParameters()) {
    for (const i of [0, data.length - 1]) {
      const [value, h] = [data[i] as number, 2 ** -10]
      data[i] = value + h
      const above = loss().loss
      data[i] = value - h
      const below = loss().loss
      data[i] = value
      const gradient = gradients.get(name)?.[i] as number
      expect(Math.abs((above - below) / (2 * h) - gradient), name).toBeLessThan(
        1e-3 + 0.01 * Math.abs(gradient),
      )
    }
  }
})

test('what is no weight of a layer: numbers of formulas, statistics, constants beside arithmetic', () => {
  const model = loadOnnx(
    onnxModel({
      opset: 13,
      inputs: { x: { shape: ['N', 2, 2, 2] } },
      nodes: [
        node('Sub', ['x', 'three'], 'a'),
        node('Constant', [], 'k', { value: { tensor: numbers([1, 2, 1, 1], [2, 3]) } }),
        node('Mul', ['a', 'k'], 'b'),
        node('BatchNormalization', ['b', 'ones', 'zeros', 'zeros', 'ones'], 'c'),
        node('PRelu', ['c', 'slope'], 'd'),
        node('Concat', ['d', 'more'], 'e', { axis: 1 }),
        node('Add', ['e', 'shift'], 'y'),
      ],
      initializers: {
        three: numbers([], [3]),
        ones: numbers([2], [1, 1]),
        zeros: numbers([2], [0, 0]),
        slope: numbers([2, 1, 1], [0.1, 0.2]),
        more: numbers([1, 1, 2, 2], noise(4)),
        shift: numbers([1], [0.5]),
      },
    }),
  )
  // Equal weights and statistics that the file has once are apart here: training moves the weights alone.
  expect(model.namedParameters().map(([name, { shape }]) => [name, ...shape])).toEqual([
    ['ones', 2],
    ['zeros', 2],
    ['slope', 2],
    ['more', 1, 1, 2, 2],
    ['shift', 1],
  ])
  expect(model.namedBuffers().map(([name]) => name)).toEqual(['ones_', 'zeros_'])
  using trainer = new Trainer(model, { optimizer: new SGD({ lr: 0.1 }), loss: 'mse', seed: 1 })
  const before = model.namedParameters().map(([, { data }]) => data.slice())
  for (let i = 0; i < 2; i++) trainer.step(new Tensor(noise(24), [3, 2, 2, 2]), noise(36, 5))
  for (const [i, [name, { data }]] of model.namedParameters().entries()) {
    expect(
      data.every((one, j) => one !== before[i]?.[j]),
      name,
    ).toBe(true)
  }
  expect(model.namedBuffers().flatMap(([, { data }]) => [...data])).toEqual([1, 1, 0, 0])
})

function load({ opset = 13, nodes, initializers }: Case): OnnxModel {
  return loadOnnx(
    onnxModel({ opset, nodes, initializers, inputs: { x: { shape: ['N', 1, 6, 6] } }, outputs: ['y'] }),
  )
}

function losses(model: Module, steps = 5): number[] {
  using trainer = new Trainer(model, { optimizer: new SGD({ lr: 0.1, momentum: 0.9 }), seed: 1 })
  return Array.from({ length: steps }, () => trainer.step(images, labels).loss)
}

function close(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length)
  for (let i = 0; i < expected.length; i++) {
    expect(Math.abs((actual[i] as number) - (expected[i] as number))).toBeLessThan(2e-6)
  }
}

describe.each(Object.entries(cases))('%s', (title, one) => {
  test('every weight learns, as those of layers do', () => {
    const [model, net] = [load(one), handMade(one.layers)]
    close(model.forward(images).data, net.forward(images).data)
    const before = new Map(model.namedParameters().map(([name, { data }]) => [name, data.slice()]))
    close(losses(model), losses(net))
    for (const [name, { data }] of model.namedParameters()) {
      expect(
        data.every((value, i) => value !== before.get(name)?.[i]),
        `${name} of ${title}`,
      ).toBe(true)
    }
    close(model.forward(images).data, net.forward(images).data)
    const compiled = model.compile({ inputShape: [1, 6, 6] })
    expect(compiled.run(images)).toEqual(model.forward(images).data)
  })

  test('weights go by the names of the file, in the layers’ layout', () => {
    const net = handMade(one.layers)
    const wanted: Record<string, Float32Array> = {
      ...{ cw: net.conv.weight.data, cb: cb, w: net.fc.weight.data },
      b: net.fc.bias?.data as Float32Array,
    }
    const state = [...load(one).stateDict()]
    expect(state.map(([name]) => name).sort()).toEqual(['b', 'cb', 'cw', 'w'])
    for (const [name, { data }] of state) expect([...data], name).toEqual([...(wanted[name] ?? [])])
  })

  test('written after training and read again, it gives the same', () => {
    const model = load(one)
    losses(model, 2)
    const again = loadOnnx(saveOnnx(model, { inputShape: [1, 6, 6] }))
    close(again.forward(images).data, model.forward(images).data)
    expect(new Set(again.stateDict().keys())).toEqual(new Set(model.stateDict().keys()))
    // ... and goes on learning
    close(losses(again, 2), losses(model, 2))
  })
})
