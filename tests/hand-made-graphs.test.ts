/** Graphs that are made by hand, or changed after `trace`: right, or refused by a KerneletError that names the node. */
import { expect, onTestFinished, test } from 'vitest'
import {
  activations,
  BatchNorm2d,
  Conv1d,
  Conv2d,
  compile,
  Flatten,
  type Graph,
  type GraphNode,
  KerneletError,
  Linear,
  loadOnnx,
  MaxPool2d,
  Module,
  manualSeed,
  PReLU,
  pad,
  permute,
  ReLU,
  Sequential,
  saveOnnx,
  slice,
  summary,
  Tensor,
  trace,
} from '../lib/index.ts'
import { Inline, noise } from './helpers.ts'

type Loose = { nodes: Record<string, unknown>[]; output: unknown }

const x = new Tensor(noise(2 * 2 * 6 * 6), [2, 2, 6, 6])
manualSeed(1)
const net = new Sequential(
  new Conv2d(2, 4, { kernelSize: 3, groups: 2 }),
  new BatchNorm2d(4),
  new PReLU(4),
  new MaxPool2d(2),
  new Inline((y) => pad(permute(y, [0, 2, 3, 1]), [0, 1], 0.5)),
  new Inline((y) => slice(y, 1, 0, 2)),
  new Flatten(),
  new Linear(20, 3),
).eval()

const spread = ({ nodes, output }: Graph) => ({ nodes: nodes.map((node) => ({ ...node })), output })
/** One that may be spoilt. */
const graph = () => spread(trace(net, [2, 6, 6])) as unknown as Loose

/** All that takes a graph. */
const uses: Record<string, (graph: Graph) => unknown> = {
  compile: (given) => compile(given).dispose(),
  summary: (given) => `${summary(given)}`,
  saveOnnx,
  activations: (given) => activations(given, x),
}

/** What each of them says, or undefined where all is well. */
function outcomes(given: unknown): (unknown | undefined)[] {
  return Object.values(uses).map((use) => {
    try {
      use(given as Graph)
    } catch (error) {
      return error
    }
    return undefined
  })
}

test('what trace gives is taken as it is, and stays as it was', () => {
  const made = trace(net, [2, 6, 6])
  const before = made.nodes.map((node) => JSON.stringify(node))
  using model = compile(made)
  const expected = net.forward(x).data
  expect(model.run(x.data)).toEqual(expected)
  expect(`${summary(made)}`).toBe(`${summary(net, [2, 6, 6])}`)
  expect([...activations(made, x).values()].at(-1)?.data).toEqual(expected)
  expect(loadOnnx(saveOnnx(made)).forward(x).data).toEqual(expected)
  expect(made.nodes.map((node) => JSON.stringify(node))).toEqual(before)
})

test('a graph that is changed afterwards changes no layer', () => {
  const layers = new Sequential(
    new Conv2d(2, 4, { kernelSize: 3, padding: 1 }),
    new MaxPool2d(2),
    new Inline((y) => pad(y, [0, 1])),
    new Flatten(),
  )
  const expected = layers.forward(x).data
  const made = trace(layers, [2, 6, 6])
  for (const node of made.nodes) {
    for (const value of Object.values(node)) if (Array.isArray(value)) value.fill(99)
  }
  expect(layers.forward(x).data).toEqual(expected)
  for (const error of outcomes(made)) expect(error).toBeInstanceOf(KerneletError)
})

test('what is left out stands for the values of the layers', () => {
  const input: GraphNode = { op: 'input', name: 'input', inputs: [], shape: [2, 3, 4] }
  const node = (op: GraphNode['op'], shape: number[], more: Partial<GraphNode> = {}): GraphNode => ({
    ...{ op, name: op, inputs: [0], shape },
    ...more,
  })
  const values = new Tensor(noise(24), [1, 2, 3, 4])
  const weight = new Tensor(noise(4), [2, 2, 1, 1])
  const [zero, one] = [new Tensor(new Float32Array(2), [2]), new Tensor(Float32Array.of(1, 1), [2])]
  const nodes = [
    node('conv2d', [2, 3, 4], { weight }),
    node('avgPool2d', [2, 3, 4]),
    node('adaptiveAvgPool2d', [2, 1, 1]),
    node('adaptiveMaxPool2d', [2, 1, 1]),
    node('reshape', [4, 6]),
    node('flatten', [24]),
    node('slice', [1, 3, 2]),
    node('pad', [2, 3, 5]),
    node('pad', [2, 3, 5], { starts: [0, 0, 1] }),
    node('softmax', [2, 3, 4]),
    node('batchNorm', [2, 3, 4], { mean: zero, variance: one }),
    node('leakyRelu', [2, 3, 4]),
    node('clip', [2, 3, 4]),
    node('dropout', [2, 3, 4]),
  ]
  for (const made of nodes) {
    const given = { nodes: [input, made], output: 1 }
    using model = compile(given)
    const expected = model.run(values.data)
    expect(activations(given, values).get(made.name)?.data, made.op).toEqual(expected)
    expect(loadOnnx(saveOnnx(given)).forward(values).data, made.op).toEqual(expected)
    expect(summary(given).layers[0]?.outputShape).toEqual(made.shape)
  }
})

test('a convolution over [channels, length], with weights of either rank', () => {
  const layer = new Conv1d(2, 3, { kernelSize: 3 })
  const made = spread(trace(layer, [2, 8]))
  const node = made.nodes[1] as GraphNode
  const values = new Tensor(noise(16), [1, 2, 8])
  const expected = layer.forward(values).data
  for (const weight of [node.weight as Tensor, new Tensor(layer.weight.data, [3, 2, 1, 3])]) {
    made.nodes[1] = { ...node, weight, dims: undefined }
    using model = compile(made)
    expect(model.run(values.data)).toEqual(expected)
    expect(loadOnnx(saveOnnx(made)).forward(values).data).toEqual(expected)
  }
})

test('a model may have a property nodes', () => {
  class Tree extends Module {
    readonly nodes: Module[] = [new Linear(2, 2), new ReLU()]
    forward(y: Tensor): Tensor {
      return this.nodes.reduce((value, one) => one.forward(value), y)
    }
  }
  const tree = new Tree()
  expect(summary(tree, [2]).parameters).toBe(6)
  tree.compile({ inputShape: [2] }).dispose()
  expect(activations(tree, new Tensor(new Float32Array(2), [1, 2])).size).toBe(3)
})

const floats = (...shape: number[]) => new Tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
/** The place of a node in `graph`. */
const place = (op: string) => graph().nodes.findIndex((node) => node.op === op)
const change = (op: string, more: object) => {
  const made = graph()
  Object.assign(made.nodes[place(op)] as object, more)
  return made
}

test.each<[string, () => unknown, string, string]>([
  ['no nodes', () => ({ nodes: [], output: 0 }), 'ERR_ARGUMENT', 'A graph must begin with its input'],
  [
    'nodes that are none',
    () => ({ nodes: 7, output: 0 }),
    'ERR_ARGUMENT',
    'nodes must be an array of at most',
  ],
  ['a node that is null', () => ({ nodes: [null], output: 0 }), 'ERR_ARGUMENT', 'node 0 must be an object'],
  ['no output', () => ({ ...graph(), output: undefined }), 'ERR_ARGUMENT', 'must name one of its'],
  ['an output beyond', () => ({ ...graph(), output: 99 }), 'ERR_ARGUMENT', 'as output but names 99'],
  ['no input', () => ({ nodes: graph().nodes.slice(1), output: 0 }), 'ERR_ARGUMENT', "op must be 'input'"],
  [
    'an input again',
    () => change('prelu', { op: 'input' }),
    'ERR_ARGUMENT',
    'op must be one of the operations',
  ],
  ['an unknown operation', () => change('prelu', { op: 'toString' }), 'ERR_ARGUMENT', 'but is "toString"'],
  ['no name', () => change('prelu', { name: undefined }), 'ERR_ARGUMENT', 'name must be a string'],
  ['inputs to come', () => change('conv2d', { inputs: [3] }), 'ERR_ARGUMENT', 'indices of earlier nodes'],
  ['inputs of a half', () => change('conv2d', { inputs: [0.5] }), 'ERR_ARGUMENT', 'indices of earlier nodes'],
  [
    'no inputs',
    () => change('conv2d', { inputs: [] }),
    'ERR_ARGUMENT',
    'conv2d has 1 inputs but there are 0',
  ],
  [
    'a wrong shape',
    () => change('conv2d', { shape: [4, 4, 5] }),
    'ERR_SHAPE',
    'shape must be 4×4×4, which follows',
  ],
  [
    'no shape',
    () => change('conv2d', { shape: undefined }),
    'ERR_SHAPE',
    'shape must be an array of positive',
  ],
  ['a shape without dimensions', () => change('input', { shape: [] }), 'ERR_SHAPE', 'one or more dimensions'],
  ['no weight', () => change('conv2d', { weight: undefined }), 'ERR_ARGUMENT', 'conv2d needs weight'],
  ['an array as weight', () => change('conv2d', { weight: [1] }), 'ERR_ARGUMENT', 'weight must be a Tensor'],
  [
    'a weight of rank 2',
    () => change('conv2d', { weight: floats(4, 9) }),
    'ERR_SHAPE',
    'weight must have the shape',
  ],
  [
    'a weight of another window',
    () => change('conv2d', { weight: floats(4, 1, 9, 1) }),
    'ERR_SHAPE',
    'weight must have the shape 4×1×3×3 but has 4×1×9×1',
  ],
  [
    'a bias too long',
    () => change('linear', { bias: floats(4) }),
    'ERR_SHAPE',
    'bias must have the shape 3 but has 4',
  ],
  [
    'a stride of 0',
    () => change('conv2d', { stride: [0, 1] }),
    'ERR_ARGUMENT',
    'stride must be an integer from 1',
  ],
  ['padding below 0', () => change('conv2d', { padding: [-1, 0, 0, 0] }), 'ERR_ARGUMENT', 'padding must be'],
  [
    'groups that do not fit',
    () => change('conv2d', { groups: 3 }),
    'ERR_SHAPE',
    'cannot be divided among 3 groups',
  ],
  ['a mean of 3', () => change('batchNorm', { mean: floats(3) }), 'ERR_SHAPE', 'mean must have the shape 4'],
  ['an axis twice', () => change('permute', { axes: [1, 1, 0] }), 'ERR_SHAPE', 'once, but are [1, 1, 0]'],
  ['what it takes none of', () => change('prelu', { groups: 2 }), 'ERR_ARGUMENT', 'prelu takes no groups'],
  ['a slice beyond', () => change('slice', { starts: [1, 0, 0] }), 'ERR_SHAPE', 'must stay inside its input'],
  ['a step of 0', () => change('slice', { steps: [0, 1, 1] }), 'ERR_SHAPE', 'must stay inside its input'],
  ['one pad', () => change('pad', { ends: [0] }), 'ERR_ARGUMENT', 'one number for each of the 3 dimensions'],
  ['an axis beyond', () => change('flatten', { axis: 3 }), 'ERR_ARGUMENT', 'axis must be from 0 to 2'],
  [
    'an unknown attribute',
    () => change('conv2d', { kernel: [3, 3] }),
    'ERR_ARGUMENT',
    'unknown attribute "kernel"',
  ],
  [
    'flat, of three numbers',
    () => change('linear', { flat: true }),
    'ERR_SHAPE',
    'flat goes with the shape 1',
  ],
  [
    'counts of no numbers',
    () => change('conv2d', { counts: { parameters: '1' } }),
    'ERR_ARGUMENT',
    'counts.parameters',
  ],
  [
    'a tensor with another shape than its numbers',
    () => change('linear', { weight: Object.assign(floats(3, 20), { shape: 7 }) }),
    'ERR_SHAPE',
    'weight: shape must be an array',
  ],
])('%s', (_, make, code, sentence) => {
  for (const error of outcomes(make())) {
    expect(error).toBeInstanceOf(KerneletError)
    expect(error).toMatchObject({ code, message: expect.stringContaining(sentence) })
  }
})

test('getters and proxies that throw: a KerneletError, with what they threw as its cause', () => {
  const cause = new Error('mine')
  const fail = () => {
    throw cause
  }
  const traps = { get: fail, has: fail, ownKeys: fail }
  const { proxy, revoke } = Proxy.revocable({ nodes: [] }, {})
  revoke()
  const made = [
    Object.defineProperty(graph(), 'nodes', { get: fail }),
    new Proxy(graph(), traps),
    { ...graph(), nodes: new Proxy(graph().nodes, traps) },
    { ...graph(), nodes: graph().nodes.map((node) => new Proxy(node, traps)) },
    Object.defineProperty(change('conv2d', {}), 'output', { get: fail }),
    change('linear', { bias: new Proxy({}, traps) }),
  ]
  Object.defineProperty(made[0]!, 'op', { get: fail })
  const nodes = graph().nodes
  Object.defineProperty(nodes[1], 'weight', { get: fail, enumerable: true })
  for (const given of [...made.slice(0, 5), { nodes, output: 1 }]) {
    for (const error of outcomes(given)) expect(error).toMatchObject({ code: 'ERR_ARGUMENT', cause })
  }
  for (const given of [made[5], proxy, { nodes: [proxy], output: 0 }]) {
    for (const error of outcomes(given)) expect(error).toBeInstanceOf(KerneletError)
  }
})

test('a getter that says another thing each time is asked once', () => {
  let asked = 0
  const made = graph()
  const [node, { weight }] = [made.nodes[place('linear')]!, trace(net, [2, 6, 6]).nodes.at(-1)!]
  Object.defineProperty(node, 'weight', { get: () => (asked++ % 2 === 0 ? weight : 7), enumerable: true })
  compile(made as never).dispose()
  expect(asked).toBe(1)
})

test('every part spoilt, by whatever: a result or a KerneletError', () => {
  const odd: unknown[] = [
    ...[undefined, null, true, Number.NaN, -1, 0, 0.5, 2 ** 31, 2 ** 53, Number.POSITIVE_INFINITY, 10n],
    ...['', '1', '__proto__', 'x'.repeat(5000), Symbol('odd'), () => 1, class {}, /x/, new Date(Number.NaN)],
    ...[[], [1], [-1, 1], [2 ** 31, 2 ** 31], Array(3), Array(2 ** 32 - 1), Array(70).fill(1), ['1', '1']],
    ...[{}, Object.create(null), { length: 3 }, new Map(), new Float32Array(12), new Uint8Array(4)],
    ...[floats(1), floats(4), floats(3, 20), new Proxy(floats(4), {}), Object.create(Tensor.prototype)],
    ...[Object.assign(floats(4), { mask: 7 }), Object.assign(floats(4), { shape: undefined })],
    Object.defineProperty(floats(4, 1, 3, 3), 'data', { value: 7 }),
    Object.defineProperty(floats(3), 'data', { value: new Float64Array(3) }),
  ]
  const wrong: unknown[] = []
  const attempt = (given: unknown, what: string) => {
    for (const [i, error] of outcomes(given).entries()) {
      if (error === undefined || (error instanceof KerneletError && error.code !== 'ERR_INTERNAL')) continue
      wrong.push([Object.keys(uses)[i], what, String(error)])
    }
  }
  const { nodes } = graph()
  for (const value of odd) {
    attempt({ ...graph(), output: value }, 'output')
    attempt({ ...graph(), nodes: value }, 'nodes')
    for (const [i, node] of nodes.entries()) {
      for (const key of [
        ...Object.keys(node),
        'bias',
        'counts',
        'dims',
        'flat',
        'groups',
        'axis',
        'batches',
      ]) {
        const made = graph()
        const spoilt = made.nodes[i] as Record<string, unknown>
        const right = spoilt[key]
        spoilt[key] = value
        attempt(made, `${i} ${key}`)
        if (!Array.isArray(right) || right.length === 0) continue
        spoilt[key] = [value, ...right.slice(1)]
        attempt(made, `${i} ${key}.0`)
      }
    }
  }
  expect(wrong).toEqual([])
})

test('sizes are bounded: by what is brought, before any of it is made', () => {
  const input = (shape: number[]) => ({ op: 'input', name: 'input', inputs: [], shape })
  const chain = (count: number, make: (i: number) => object, first: number[]) => ({
    nodes: [input(first), ...Array.from({ length: count }, (_, i) => make(i))],
    output: count,
  })
  const weight = floats(1024, 1024)
  const large = {
    'twice as long by every node': chain(
      30,
      (i) => ({ op: 'concat', name: 'c', inputs: [i, i], shape: [2 ** (i + 1)], axis: 0 }),
      [1],
    ),
    'one number as a billion': chain(
      1,
      () => ({ op: 'adaptiveAvgPool2d', name: 'p', inputs: [0], shape: [1, 32768, 32768] }),
      [1, 1, 1],
    ),
    'the same weight very often': chain(
      2000,
      (i) => ({ op: 'linear', name: 'l', inputs: [i], shape: [1024], weight }),
      [1024],
    ),
  }
  for (const [name, given] of Object.entries(large)) {
    for (const error of outcomes(given)) expect(error, name).toMatchObject({ code: 'ERR_UNSUPPORTED' })
  }
  const many = (count: number) =>
    chain(count, (i) => ({ op: 'relu', name: 'a', inputs: [i], shape: [2] }), [2])
  for (const given of [
    many(20_000),
    chain(
      9000,
      (i) => ({ op: 'concat', name: 'c', inputs: Array(2000).fill(i), shape: [2000], axis: 0 }),
      [1],
    ),
    chain(9000, (i) => ({ op: 'relu', name: 'n'.repeat(4000), inputs: [i], shape: [1] }), [1]),
    chain(1, () => ({ op: 'relu', name: 'n'.repeat(5000), inputs: [0], shape: [1] }), [1]),
  ]) {
    for (const error of outcomes(given)) expect(error).toMatchObject({ code: 'ERR_ARGUMENT' })
  }
})

test('thousands of nodes of one name are written without a search for every name', () => {
  const nodes: GraphNode[] = [{ op: 'input', name: 'input', inputs: [], shape: [2] }]
  for (let i = 1; i < 16_000; i++) nodes.push({ op: 'relu', name: 'a', inputs: [i - 1], shape: [2] })
  const made = { nodes, output: nodes.length - 1 }
  // some looks a node; by trying every number for every name it was 8,000, and 20 s
  let looks = 0
  const { has } = Set.prototype
  Set.prototype.has = function (value) {
    if (looks++ > 50 * nodes.length) throw new Error('every number is tried')
    return has.call(this, value)
  }
  onTestFinished(() => void (Set.prototype.has = has))
  expect(saveOnnx(made).length).toBeGreaterThan(nodes.length)
  expect(summary(made).layers).toHaveLength(nodes.length - 1)
  expect(looks).toBeGreaterThan(nodes.length)
})

test('activations of a large batch are bounded likewise', () => {
  const wide = new Inline((y) => pad(y, [0, 2 ** 26], 0))
  expect(activations(wide, floats(1, 1)).size).toBe(2)
  expect(() => activations(wide, floats(5, 1))).toThrow(
    expect.objectContaining({
      code: 'ERR_UNSUPPORTED',
      message: expect.stringMatching(/^activations: values/),
    }),
  )
})

test('a class that says wrongly which modules it has', () => {
  for (const value of [7, [7], [['a', 7]], [[7, new ReLU()]]]) {
    const made = Object.assign(new Sequential(new ReLU()), { namedModules: () => value })
    expect(() => trace(made as never, [2])).toThrow(
      expect.objectContaining({
        code: 'ERR_ARGUMENT',
        message: expect.stringContaining('namedModules() must'),
      }),
    )
  }
})
