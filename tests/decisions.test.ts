/** Decisions that no number of a result shows at once: thresholds, caches, rounding rules that exist twice. */
import { describe, expect, test } from 'vitest'
import { calibrate } from '../lib/compile/calibrate.ts'
import { evaluate } from '../lib/graph/intermediates.ts'
import {
  add,
  Conv2d,
  cat,
  compile,
  isa,
  Linear,
  loadOnnx,
  MaxPool2d,
  maxPool2d,
  normalizeDigit,
  Parameter,
  ReLU,
  reshape,
  Sequential,
  summary,
  Tensor,
  trace,
} from '../lib/index.ts'
import { Inline, noise } from './helpers.ts'
import { onnxModel } from './onnx-models.ts'

test('a last window that would begin past the image and its left padding is left out (ceil_mode)', () => {
  // (3 + 2·1 − 2) / 2 rounds up to 2, but the third window would begin at row 4 = 3 + 1: PyTorch takes two.
  const x = new Tensor(
    Float32Array.from({ length: 9 }, (_, i) => i),
    [1, 1, 3, 3],
  )
  const options = { padding: 1, ceilMode: true }
  const y = maxPool2d(x, 2, options)
  expect(y.shape).toEqual([1, 1, 2, 2])
  expect([...y.data]).toEqual([0, 2, 6, 8])
  const graph = trace(new Sequential(new MaxPool2d(2, options)), [1, 3, 3])
  expect(graph.nodes.at(-1)?.shape).toEqual([1, 2, 2])
  expect([...compile(graph).run(x)]).toEqual([0, 2, 6, 8])
})

test('a constant that is read beside values of two ranks is another value for each', () => {
  const constant = new Tensor(Float32Array.of(1, 10), [1, 1, 2])
  const net = new Inline((x) => {
    const sum = add(reshape(x, [x.shape[0] as number, 1, 1, 2]), constant) // of one image: [1, 1, 2]
    return cat([reshape(sum, [x.shape[0] as number, 1, 2]), constant], 1) // of one image: [1, 2]
  })
  const x = new Tensor(Float32Array.of(1, 2), [1, 2])
  const eager = net.forward(x)
  expect(eager.shape).toEqual([1, 2, 2])
  expect([...net.compile({ inputShape: [2] }).run(x)]).toEqual([...eager.data])
})

describe('an Add behind a MatMul is its bias only where nothing else reads the product', () => {
  const model = (more: { op: string; inputs: string[]; outputs: string[] }[], outputs: string[]) =>
    loadOnnx(
      onnxModel({
        nodes: [
          { op: 'MatMul', inputs: ['x', 'w'], outputs: ['product'] },
          { op: 'Add', inputs: ['product', 'b'], outputs: ['sum'] },
          ...more,
        ],
        inputs: { x: { shape: ['n', 2] } },
        initializers: {
          w: { shape: [2, 2], data: [1, 2, 3, 4] },
          b: { shape: [2], data: [10, 20] },
        },
        outputs,
      }),
    )
  const x = new Tensor(Float32Array.of(1, 1), [1, 2])
  const ops = (net: ReturnType<typeof model>) => trace(net, [2]).nodes.map(({ op }) => op)

  test('read once, it is joined', () => {
    const net = model([], ['sum'])
    expect(ops(net)).toEqual(['input', 'linear'])
    expect([...net.forward(x).data]).toEqual([14, 26])
  })

  test('read twice, it is not', () => {
    const net = model([{ op: 'Mul', inputs: ['sum', 'product'], outputs: ['y'] }], ['y'])
    expect([...net.forward(x).data]).toEqual([14 * 4, 26 * 6])
    expect([...net.compile({ inputShape: [2] }).run(x)]).toEqual([14 * 4, 26 * 6])
  })

  test('nor where it is an output too', () => {
    const values = Object.values(model([], ['sum', 'product']).run({ x })).map(({ data }) => [...data])
    expect(values).toEqual([
      [14, 26],
      [4, 6],
    ])
  })
})

test('pictures of up to 1024 pixels are read in their own resolution, larger ones averaged', () => {
  const bar = (side: number) => {
    const data = new Uint8Array(side * side).fill(255)
    for (let y = 301; y < 603; y++) data.fill(0, y * side + 401, y * side + 442)
    return normalizeDigit({ data, width: side, height: side, channels: 1 }).boxes
  }
  expect(bar(1024)).toEqual([{ x: 401, y: 301, width: 41, height: 302 }])
  expect(bar(1025)[0]?.x).toBe(400)
})

describe('a sum that is no number, two layers behind a bias near the end of the range', () => {
  test.each(isa().supported)('%s: the pool that is fused keeps it', (tier) => {
    const conv = (inputs: number, outputs: number, weights: number[], bias: number, size = 1) => {
      const layer = new Conv2d(inputs, outputs, { kernelSize: size, padding: (size - 1) / 2 })
      layer.weight.data.set(weights)
      layer.bias?.data.fill(bias)
      return layer
    }
    // 3e38; then its double and minus its double, which are infinite, but in the first column, next to the padding;
    // then their sum: 0 there, else NaN. What the first pool proves of the layers behind it must count its bias.
    const first = conv(1, 1, [1], 3e38)
    const left = [0, 0, 0, 1, 1, 0, 0, 0, 0]
    const net = new Sequential(
      ...[first, new ReLU(), new MaxPool2d(2), conv(1, 2, [...left, ...left.map((one) => -one)], 0, 3)],
      ...[conv(2, 8, Array(16).fill(1), 0), new ReLU(), new MaxPool2d(2)],
    )
    const x = new Tensor(new Float32Array(256 * 3).fill(0.5), [3, 1, 16, 16])
    expect(net.forward(x).data.every(Number.isNaN)).toBe(true)
    for (const algorithm of ['auto', 'im2col', 'direct', 'lanes']) {
      const got = net.compile({ inputShape: [1, 16, 16], isa: tier, algorithm }).run(x)
      expect([...got].every(Number.isNaN), algorithm).toBe(true)
    }
    first.bias?.data.fill(0)
    const usual = net.compile({ inputShape: [1, 16, 16], isa: tier }).run(x)
    expect([...usual]).toEqual([...net.forward(x).data])
  })
})

test('constants are counted from one, and are no layer unless they are trained', () => {
  const [shift, factor] = [new Parameter(new Float32Array(3), [3]), new Tensor(new Float32Array(3), [3])]
  const net = new Inline((x) => add(add(x, shift), factor), { shift })
  const names = trace(net, [3]).nodes.flatMap(({ op, name }) => (op === 'constant' ? [name] : []))
  expect(names).toEqual(['constant_1', 'constant_2'])
  const { layers, parameters } = summary(net, [3])
  expect([layers.map(({ name }) => name), parameters]).toEqual([['constant_1', 'add_1', 'add_2'], 3])
})

describe('ranges of calibration', () => {
  test('have zero in them, and every image, however many there are', () => {
    const graph = trace(new Sequential(new ReLU()), [1])
    const images = Float32Array.from({ length: 100 }, (_, i) => 5 + (i === 40 ? 2 : 0) + (i === 99 ? 3 : 0))
    expect([...calibrate(graph, images.subarray(0, 99), 1, 0)]).toEqual([0, 7, 0, 7])
    expect([...calibrate(graph, images, 1, 0)]).toEqual([0, 8, 0, 8])
    expect([
      ...calibrate(
        graph,
        images.map((value) => -value),
        1,
        0,
      ),
    ]).toEqual([-8, 0, 0, 0])
  })

  test('are those of machines without fused multiply-add, everywhere', () => {
    const net = new Sequential(new Linear(64, 1))
    const graph = trace(net, [64])
    const layer = graph.nodes[1] as (typeof graph.nodes)[number]
    const fused = isa().supported.filter((tier) => tier !== 'scalar' && tier !== 'sse')
    let differ = 0
    for (let seed = 1; seed <= 20; seed++) {
      const image = noise(64, seed)
      const at = (tier: string) => evaluate(graph, layer, 1, () => image, { isa: tier })[0] as number
      const plain = at('scalar')
      const range = [Math.min(plain, 0), Math.max(plain, 0)]
      expect([...calibrate(graph, image, 1, 0).subarray(2)]).toEqual(range)
      differ += Number(fused.some((tier) => at(tier) !== plain))
    }
    // Else the above would say nothing.
    if (fused.length > 0) expect(differ).toBeGreaterThan(0)
  })
})

describe('an Add behind a MatMul that is no bias of its columns', () => {
  test.each([
    [[], [10]],
    [[1], [10]],
    [
      [1, 2],
      [10, 20],
    ],
    [[1, 1], [10]],
  ])('%j', (shape, data) => {
    const net = loadOnnx(
      onnxModel({
        nodes: [
          { op: 'MatMul', inputs: ['x', 'w'], outputs: ['product'] },
          { op: 'Add', inputs: ['b', 'product'], outputs: ['y'] },
        ],
        inputs: { x: { shape: ['n', 2] } },
        initializers: { w: { shape: [2, 2], data: [1, 2, 3, 4] }, b: { shape, data } },
      }),
    )
    const expected = [4 + (data[0] as number), 6 + (data[1] ?? (data[0] as number))]
    const x = new Tensor(Float32Array.of(1, 1), [1, 2])
    expect([...net.forward(x).data]).toEqual(expected)
    expect([...net.compile({ inputShape: [2] }).run(x)]).toEqual(expected)
  })
})

test('a matrix that is read under two names is the same to both readers', () => {
  const net = loadOnnx(
    onnxModel({
      nodes: [
        { op: 'MatMul', inputs: ['x', 'w'], outputs: ['a'] },
        { op: 'Identity', inputs: ['w'], outputs: ['v'] },
        { op: 'MatMul', inputs: ['a', 'v'], outputs: ['y'] },
      ],
      inputs: { x: { shape: ['n', 2] } },
      initializers: { w: { shape: [2, 2], data: [1, 2, 3, 4] } },
    }),
  )
  const x = new Tensor(Float32Array.of(1, 1), [1, 2])
  expect([...net.forward(x).data]).toEqual([4 + 18, 8 + 24])
  expect([...net.compile({ inputShape: [2] }).run(x)]).toEqual([22, 32])
})

test('images run side by side where that pays: not through windows of one pixel and a channel a group', () => {
  const light = new Sequential(
    new Conv2d(16, 16, { kernelSize: 3, padding: 1, groups: 16 }),
    new ReLU(),
    new Conv2d(16, 32, { kernelSize: 1 }),
  )
  const dense = new Sequential(
    new Conv2d(4, 6, { kernelSize: 5 }),
    new ReLU(),
    new Conv2d(6, 12, { kernelSize: 3 }),
  )
  for (const name of isa().supported.filter((tier) => tier !== 'scalar')) {
    const lanesOf = (net: Sequential, channels: number) =>
      net.compile({ inputShape: [channels, 10, 10], isa: name, threads: 1 }).describe().batchLanes
    expect(lanesOf(light, 16)).toBe(0)
    expect(lanesOf(dense, 4)).toBeGreaterThan(1)
  }
})
