/** LSTM, GRU and RNN: the layers, compiled, and ONNX's operators, against their formulas in double. */
import { describe, expect, test } from 'vitest'
import {
  Adam,
  flatten,
  Generator,
  GRU,
  Linear,
  LSTM,
  loadOnnx,
  Module,
  RNN,
  slice,
  Tensor,
  Trainer,
  type Tensor as Values,
} from '../lib/index.ts'
import { largestError, noise } from './helpers.ts'
import { type AttributeValue, type Numbers, of, onnxModel, type TestNode } from './onnx-models.ts'

const [N, T, I, H] = [3, 5, 4, 6]
const count = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)
const numbers = (shape: number[], seed = 1): Numbers => ({ shape, data: noise(count(shape), seed) })
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
const gatesOf = { LSTM: 4, GRU: 3, RNN: 1 }
type Kind = keyof typeof gatesOf

interface Weights {
  wx: ArrayLike<number>
  wh: ArrayLike<number>
  bx?: ArrayLike<number>
  bh?: ArrayLike<number>
}

/** What is not as PyTorch has it. */
interface Other {
  relu?: boolean
  resetFirst?: boolean
  clip?: number
  /** Input, output and forget gate. */
  peepholes?: ArrayLike<number>
}

/** One sequence [steps][in], gates in PyTorch's order. */
function walk(kind: Kind, x: number[][], { wx, wh, bx = [], bh = [] }: Weights, other: Other = {}, h0 = 0) {
  let h = Array<number>(H).fill(h0)
  let c = Array<number>(H).fill(0)
  const cut = (value: number) => Math.max(-(other.clip ?? 1e9), Math.min(other.clip ?? 1e9, value))
  const sum = (w: ArrayLike<number>, r: number, of: number[], b: ArrayLike<number>) =>
    of.reduce((all, value, k) => all + w[r * of.length + k]! * value, b[r] ?? 0)
  const output = x.map((step) => {
    const gate = (g: number, j: number, peep = 0) =>
      cut(sum(wx, g * H + j, step, bx) + sum(wh, g * H + j, h, bh) + peep)
    const p = (g: number, j: number, cell: number) => (other.peepholes?.[g * H + j] ?? 0) * cell
    if (kind === 'RNN') {
      h = h.map((_, j) => (other.relu ? Math.max(0, gate(0, j)) : Math.tanh(gate(0, j))))
    } else if (kind === 'LSTM') {
      const next = c.map(
        (cell, j) =>
          sigmoid(gate(1, j, p(2, j, cell))) * cell +
          sigmoid(gate(0, j, p(0, j, cell))) * Math.tanh(gate(2, j)),
      )
      h = h.map((_, j) => sigmoid(gate(3, j, p(1, j, next[j]!))) * Math.tanh(next[j]!))
      c = next
    } else {
      const r = h.map((_, j) => sigmoid(gate(0, j)))
      const kept = h.map((one, j) => r[j]! * one)
      const fresh = h.map((_, j) => {
        const state = other.resetFirst ? sum(wh, 2 * H + j, kept, bh) : r[j]! * sum(wh, 2 * H + j, h, bh)
        return Math.tanh(cut(sum(wx, 2 * H + j, step, bx) + state))
      })
      h = h.map((one, j) => {
        const z = sigmoid(gate(1, j))
        return (1 - z) * fresh[j]! + z * one
      })
    }
    return h
  })
  return { output, h, c }
}

/** Rows of sequence i of [n, steps, features]. */
const rowsOf = (data: ArrayLike<number>, i: number, steps: number, features: number) =>
  Array.from({ length: steps }, (_, t) =>
    Array.from({ length: features }, (_, k) => data[(i * steps + t) * features + k]!),
  )

const layers: [Kind, () => Module, Other][] = [
  ['LSTM', () => new LSTM(I, H, { batchFirst: true }), {}],
  ['GRU', () => new GRU(I, H, { batchFirst: true }), {}],
  ['RNN', () => new RNN(I, H, { batchFirst: true }), {}],
  ['RNN', () => new RNN(I, H, { batchFirst: true, nonlinearity: 'relu', bias: false }), { relu: true }],
]

describe.each(layers)('%s', (kind, make, other) => {
  const net = make()
  const held = (name: string) => net.stateDict().get(name)?.data ?? []
  const weights = () => ({
    wx: held('weight_ih_l0'),
    wh: held('weight_hh_l0'),
    bx: held('bias_ih_l0'),
    bh: held('bias_hh_l0'),
  })

  test('by its formula', () => {
    const x = new Tensor(noise(N * T * I), [N, T, I])
    const y = net.forward(x)
    expect(y.shape).toEqual([N, T, H])
    const want = Array.from(
      { length: N },
      (_, i) => walk(kind, rowsOf(x.data, i, T, I), weights(), other).output,
    )
    expect(largestError(y.data, want.flat(2))).toBeLessThan(1e-6)
  })

  test('compiled: the same bits for any batch', () => {
    using model = net.compile({ inputShape: [T, I] })
    for (const batch of [1, 2, 19]) {
      const x = new Tensor(noise(batch * T * I, 2), [batch, T, I])
      expect([...model.run(x)]).toEqual([...net.forward(x).data])
    }
    expect(net.summary([T, I]).macs).toBe(T * gatesOf[kind] * H * (I + H))
  })
})

test('layers, both directions, and steps first', () => {
  const net = new LSTM(I, H, { numLayers: 2, bidirectional: true, batchFirst: true })
  expect([...net.stateDict().keys()].slice(0, 4)).toEqual([
    'weight_ih_l0',
    'weight_hh_l0',
    'bias_ih_l0',
    'bias_hh_l0',
  ])
  expect([...net.stateDict().keys()].at(-1)).toBe('bias_hh_l1_reverse')
  const state = (name: string) => net.stateDict().get(name)!.data
  const x = new Tensor(noise(N * T * I), [N, T, I])
  const want = Array.from({ length: N }, (_, i) => {
    let rows = rowsOf(x.data, i, T, I)
    for (const layer of [0, 1]) {
      const way = (end: string, steps: number[][]) =>
        walk('LSTM', steps, {
          wx: state(`weight_ih_l${layer}${end}`),
          wh: state(`weight_hh_l${layer}${end}`),
          bx: state(`bias_ih_l${layer}${end}`),
          bh: state(`bias_hh_l${layer}${end}`),
        }).output
      const [there, back] = [way('', rows), way('_reverse', rows.toReversed()).toReversed()]
      rows = there.map((row, t) => [...row, ...back[t]!])
    }
    return rows
  })
  const y = net.forward(x)
  expect(y.shape).toEqual([N, T, 2 * H])
  expect(largestError(y.data, want.flat(2))).toBeLessThan(2e-6)
  const first = new LSTM(I, H, { numLayers: 2, bidirectional: true })
  first.loadStateDict(net.stateDict())
  const turned = new Tensor(
    Float32Array.from(
      { length: N * T * I },
      (_, at) => x.data[((Math.floor(at / I) % N) * T + Math.floor(at / I / N)) * I + (at % I)]!,
    ),
    [T, N, I],
  )
  const z = first.forward(turned)
  expect(z.shape).toEqual([T, N, 2 * H])
  expect(z.data[2 * H]).toBe(y.data[T * 2 * H])
  expect(() => first.compile({ inputShape: [T, I] })).toThrow(/batchFirst: true/)
})

test.each<[string, Module]>([
  ['LSTM', new LSTM(2, 8, { batchFirst: true, generator: new Generator(1) })],
  ['GRU', new GRU(2, 8, { batchFirst: true, bidirectional: true, generator: new Generator(2) })],
  ['RNN', new RNN(2, 8, { batchFirst: true, numLayers: 2, generator: new Generator(3) })],
])('%s learns through time: the sign of the first number, told four steps later', (_, layer) => {
  class Last extends Module {
    readonly layer = layer
    readonly head = new Linear(layer instanceof GRU ? 16 : 8, 2, { generator: new Generator(4) })
    forward(x: Tensor): Tensor {
      return this.head.forward(flatten(slice(this.layer.forward(x), 1, 4, 5), 1))
    }
  }
  const net = new Last()
  const before = new Map([...net.stateDict()].map(([name, { data }]) => [name, data.slice()]))
  using trainer = new Trainer(net, { optimizer: new Adam({ lr: 0.02 }), seed: 1 })
  const x = new Tensor(noise(64 * 12, 3), [64, 6, 2])
  const y = Int32Array.from({ length: 64 }, (_unused, i) => (x.data[i * 12]! > 0 ? 1 : 0))
  const losses = Array.from({ length: 60 }, () => trainer.step(x, y).loss)
  expect(losses.at(-1)).toBeLessThan(0.3 * losses[0]!)
  for (const [name, { data }] of net.stateDict()) expect(data, name).not.toEqual(before.get(name))
})

test('what does not fit is refused', () => {
  const code = (code: string) => expect.objectContaining({ code })
  expect(() => new LSTM(0, 3)).toThrow(code('ERR_ARGUMENT'))
  expect(() => new LSTM(1, 1, { numLayers: 32769 })).toThrow('at most 1000')
  expect(() => new GRU(3, 3, { num_layers: 2 } as never)).toThrow(/unknown option/)
  expect(() => new RNN(3, 3, { nonlinearity: 'elu' as never })).toThrow(/'tanh' or 'relu'/)
  const net = new GRU(I, H, { batchFirst: true })
  expect(() => net.forward(new Tensor(noise(I), [I]))).toThrow(
    /GRU expects \[n, steps, features\] but receives 4/,
  )
  expect(() => net.compile({ inputShape: [T, I + 1] })).toThrow(code('ERR_SHAPE'))
})

// ---- ONNX, whose gates are i o f c, and z r h

const order = { LSTM: [0, 2, 3, 1], GRU: [1, 0, 2], RNN: [0] }
const inOrder = (kind: Kind, data: ArrayLike<number>, from: number, size: number) =>
  order[kind].flatMap((gate) => Array.from({ length: size }, (_, i) => data[from + gate * size + i]!))

function given(kind: Kind, directions: number) {
  const g = gatesOf[kind]
  return {
    W: numbers([directions, g * H, I], 2),
    R: numbers([directions, g * H, H], 3),
    B: numbers([directions, 2 * g * H], 4),
  }
}

function weightsOf(kind: Kind, d: number, { W, R, B }: ReturnType<typeof given>): Weights {
  const rows = gatesOf[kind] * H
  return {
    wx: inOrder(kind, W.data as ArrayLike<number>, d * rows * I, H * I),
    wh: inOrder(kind, R.data as ArrayLike<number>, d * rows * H, H * H),
    bx: inOrder(kind, B.data as ArrayLike<number>, 2 * d * rows, H),
    bh: inOrder(kind, B.data as ArrayLike<number>, (2 * d + 1) * rows, H),
  }
}

/** Sequence i of [steps, n, features]. */
const sequence = (x: Numbers, i: number) =>
  Array.from({ length: T }, (_, t) =>
    Array.from({ length: I }, (_, k) => Number(x.data[(t * N + i) * I + k])),
  )

describe.each<Kind>(['LSTM', 'GRU', 'RNN'])('ONNX %s', (kind) => {
  const run = (
    inputs: Record<string, Numbers | undefined>,
    attributes: Record<string, AttributeValue> = {},
  ) => {
    const there = Object.entries(inputs).filter((entry): entry is [string, Numbers] => entry[1] !== undefined)
    const outputs = kind === 'LSTM' ? ['Y', 'Yh', 'Yc'] : ['Y', 'Yh']
    const names = Object.entries(inputs).map(([name, one]) => (one ? name : ''))
    const node = { op: kind, inputs: names, outputs, attributes: { hidden_size: H, ...attributes } }
    return loadOnnx(onnxModel({ opset: 14, nodes: [node], inputs: Object.fromEntries(there), outputs })).run(
      Object.fromEntries(there),
    )
  }
  const X = numbers([T, N, I])

  test('both directions, with states and without', () => {
    const weights = given(kind, 2)
    const { Y, Yh, Yc } = run({ X, ...weights }, { direction: 'bidirectional' })
    const ways = Array.from({ length: N }, (_, i) => {
      const x = sequence(X, i)
      const other = { resetFirst: true }
      const [there, back] = [
        walk(kind, x, weightsOf(kind, 0, weights), other),
        walk(kind, x.toReversed(), weightsOf(kind, 1, weights), other),
      ]
      return [there, { ...back, output: back.output.toReversed() }] as const
    })
    expect(Y!.shape).toEqual([T, 2, N, H])
    const want = Array.from({ length: T }, (_, t) => [0, 1].map((d) => ways.map((way) => way[d]!.output[t]!)))
    expect(largestError(Y!.data, want.flat(3))).toBeLessThan(1e-6)
    expect(Yh!.shape).toEqual([2, N, H])
    expect(
      largestError(
        Yh!.data,
        [0, 1].flatMap((d) => ways.flatMap((way) => way[d]!.h)),
      ),
    ).toBeLessThan(1e-6)
    if (Yc)
      expect(
        largestError(
          Yc.data,
          [0, 1].flatMap((d) => ways.flatMap((way) => way[d]!.c)),
        ),
      ).toBeLessThan(1e-6)
    const half = of('float', [2, N, H], ...Array<number>(2 * N * H).fill(0.5))
    const from = run({ X, ...weights, L: undefined, h: half }, { direction: 'bidirectional' })
    const first = walk(kind, sequence(X, 1), weightsOf(kind, 0, weights), { resetFirst: true }, 0.5)
    expect(largestError(from.Yh!.data.subarray(H, 2 * H), first.h)).toBeLessThan(1e-6)
  })

  test('a clip, and sequences of several lengths', () => {
    const weights = given(kind, 1)
    const clipped = run({ X, ...weights }, { clip: { float: 0.25 } })
    const other = { clip: Math.fround(0.25), resetFirst: true }
    const want = walk(kind, sequence(X, 2), weightsOf(kind, 0, weights), other)
    expect(largestError(clipped.Yh!.data.subarray(2 * H), want.h)).toBeLessThan(1e-6)
    const lengths = of('int32', [N], 5, 2, 0)
    for (const direction of ['forward', 'reverse']) {
      const { Y, Yh } = run({ X, ...weights, lengths }, { direction })
      const x = sequence(X, 1).slice(0, 2)
      const short = walk(kind, direction === 'reverse' ? x.toReversed() : x, weightsOf(kind, 0, weights), {
        resetFirst: true,
      })
      expect(largestError(Yh!.data.subarray(H, 2 * H), short.h)).toBeLessThan(1e-6)
      expect([...Yh!.data.subarray(2 * H)]).toEqual(Array(H).fill(0))
      expect([...Y!.data.subarray((2 * N + 1) * H, (2 * N + 2) * H)]).toEqual(Array(H).fill(0))
    }
  })

  test('compiled as exporters write it: the steps first in between', () => {
    const weights = given(kind, 2)
    const after = { LSTM: {}, GRU: { linear_before_reset: 1 }, RNN: {} }[kind]
    const nodes: TestNode[] = [
      { op: 'Transpose', inputs: ['x'], outputs: ['t'], attributes: { perm: [1, 0, 2] } },
      {
        op: kind,
        inputs: ['t', 'W', 'R', 'B'],
        outputs: ['y', 'hn'],
        attributes: { hidden_size: H, direction: 'bidirectional', ...after },
      },
      { op: 'Transpose', inputs: ['y'], outputs: ['u'], attributes: { perm: [0, 2, 1, 3] } },
      { op: 'Reshape', inputs: ['u', 'shape'], outputs: ['v'] },
      { op: 'MatMul', inputs: ['v', 'C'], outputs: ['m'] },
      { op: 'Add', inputs: ['m', 'a'], outputs: ['p'] },
      { op: 'LogSoftmax', inputs: ['p'], outputs: ['l'], attributes: { axis: 2 } },
      { op: 'Transpose', inputs: ['l'], outputs: ['z'], attributes: { perm: [1, 0, 2] } },
      { op: 'Transpose', inputs: ['hn'], outputs: ['w'], attributes: { perm: [1, 0, 2] } },
    ]
    const initializers = {
      ...weights,
      shape: of('int64', [3], 0, 0, -1),
      C: numbers([2 * H, 7], 6),
      a: numbers([7], 7),
    }
    const model = (output: string, inputs: object) =>
      loadOnnx(onnxModel({ opset: 14, nodes, inputs: inputs as never, outputs: [output], initializers }))
    const x = numbers([N, T, I])
    for (const output of ['z', 'w', 'l']) {
      const net = model(output, { x: { shape: ['N', T, I] } })
      using compiled = net.compile()
      const got = compiled.run(Float32Array.from(x.data as Float32Array))
      const want = net.run({ x })[output]!
      // a value that has the batch elsewhere comes out image after image
      const turned = output === 'l' ? model('z', { x: { shape: ['N', T, I] } }).run({ x }).z! : want
      expect([...got]).toEqual([...turned.data])
    }
  })

  test('what mixes the images of a batch, and what only run() does, is refused by name', () => {
    const node = (attributes: object) => ({
      op: kind,
      inputs: ['x', 'W', 'R', 'B'],
      outputs: ['y'],
      attributes: { hidden_size: H, ...attributes },
    })
    const compile = (one: object, before: TestNode[]) =>
      loadOnnx(
        onnxModel({
          opset: 14,
          nodes: [...before, one as TestNode],
          inputs: { x: { shape: ['N', T, I] } },
          initializers: given(kind, 1),
        }),
      ).compile()
    const turn = { op: 'Transpose', inputs: ['x'], outputs: ['t'], attributes: { perm: [1, 0, 2] } }
    expect(() => compile(node({}), [])).toThrow(new RegExp(`node y \\(${kind}.*would mix the images`))
    expect(() =>
      compile({ ...node({ clip: { float: 0.5 } }), inputs: ['t', 'W', 'R', 'B'] }, [turn]),
    ).toThrow(/for run\(\) only/)
    expect(() => compile({ op: 'ReduceMean', inputs: ['t'], outputs: ['y'] }, [turn])).toThrow(
      /the batch is not dimension 0 here/,
    )
  })
})

test('peepholes, coupled gates, activations of other names', () => {
  const X = numbers([T, N, I])
  const weights = given('LSTM', 1)
  const P = numbers([1, 3 * H], 5)
  const lstm = (attributes: Record<string, AttributeValue>, more: Record<string, Numbers> = {}) => {
    const inputs = { X, ...weights, ...more }
    const names = [...Object.keys({ X, ...weights }), ...(more.P ? ['', '', '', 'P'] : [])]
    const node = {
      op: 'LSTM',
      inputs: names,
      outputs: ['', 'h'],
      attributes: { hidden_size: H, ...attributes },
    }
    return loadOnnx(onnxModel({ opset: 14, nodes: [node], inputs, outputs: ['h'] })).run(inputs).h as Values
  }
  const peepholes = P.data as Float32Array
  const want = walk('LSTM', sequence(X, 0), weightsOf('LSTM', 0, weights), { peepholes })
  expect(largestError(lstm({}, { P }).data.subarray(0, H), want.h)).toBeLessThan(1e-6)
  expect(lstm({ input_forget: 1 }).data).not.toEqual(lstm({}).data)
  const named = { strings: ['Sigmoid', 'ScaledTanh', 'tanh'] }
  const scaled = lstm({
    activations: named,
    activation_alpha: { floats: [1] },
    activation_beta: { floats: [1] },
  })
  expect(largestError(scaled.data, lstm({}).data)).toBeLessThan(1e-6)
  expect(() => lstm({ activations: { strings: ['Sigmoid', 'Gelu', 'Tanh'] } })).toThrow(
    /activation Gelu is not supported/,
  )
  expect(() => lstm({ activations: { strings: ['Sigmoid'] } })).toThrow(/it has 1 activations but takes 3/)
})
