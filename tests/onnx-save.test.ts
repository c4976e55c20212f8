/** Models written as ONNX: read back by us to the same bits, and run by onnxruntime where it is installed. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import * as kernelet from '../lib/index.ts'
import {
  compile,
  type Graph,
  LeNet5,
  loadOnnx,
  manualSeed,
  Sequential,
  saveOnnx,
  Tensor,
  trace,
} from '../lib/index.ts'
import { Inline, largestError, noise } from './helpers.ts'
import { onnxruntime, runOrt } from './onnx-models.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-onnx-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Whether a tensor has these numbers; toEqual takes a second for a model's. */
const same = (tensor: Tensor, data: Float32Array) => largestError(tensor.data, data) === 0

const image = [4, 6, 8]
const k = kernelet
const weights = (...shape: number[]) => new Tensor(noise(shape.reduce((a, b) => a * b, 1)), shape)
const positive = (length: number) =>
  new Tensor(
    noise(length).map((value) => Math.abs(value) + 0.5),
    [length],
  )

/** Every operation, as a function of one image of 4×6×8, or of another shape. */
const functions: [name: string, compute: (x: Tensor) => Tensor, inputShape?: number[]][] = [
  [
    'conv2d',
    (x) =>
      k.conv2d(x, weights(3, 2, 3, 2), weights(3), {
        stride: [2, 1],
        padding: [1, 0],
        dilation: [1, 2],
        groups: 1,
      }),
    [2, 6, 8],
  ],
  ['conv2d, padded unevenly', (x) => k.conv2d(x, weights(3, 4, 3, 2), null, { padding: [1, 0, 2, 3] })],
  ['conv2d, depthwise', (x) => k.conv2d(x, weights(4, 1, 3, 3), weights(4), { groups: 4, padding: 1 })],
  ['conv1d', (x) => k.conv1d(x, weights(5, 3, 4), weights(5), { stride: 2, padding: 1 }), [3, 11]],
  [
    'convTranspose2d',
    (x) =>
      k.convTranspose2d(x, weights(4, 3, 3, 2), weights(6), {
        stride: [2, 3],
        padding: [1, 0, 2, 1],
        outputPadding: [1, 2],
        dilation: [2, 1],
        groups: 2,
      }),
  ],
  [
    'convTranspose1d',
    (x) => k.convTranspose1d(x, weights(3, 5, 4), null, { stride: 2, padding: 1, outputPadding: 1 }),
    [3, 11],
  ],
  ['interpolate, nearest', (x) => k.interpolate(x, { scaleFactor: 2 })],
  ['interpolate, nearest, to a size', (x) => k.interpolate(x, { size: [7, 5] })],
  ['interpolate, nearest, of sequences', (x) => k.interpolate(x, { scaleFactor: 1.5 }), [3, 11]],
  ['interpolate, bilinear', (x) => k.interpolate(x, { scaleFactor: [2, 0.5], mode: 'bilinear' })],
  [
    'interpolate, bilinear, by corners',
    (x) => k.interpolate(x, { size: [11, 3], mode: 'bilinear', alignCorners: true }),
  ],
  ['maxPool2d', (x) => k.maxPool2d(x, [3, 2], { stride: 2, padding: 1, ceilMode: true })],
  ['maxPool2d, dilated', (x) => k.maxPool2d(x, 2, { dilation: 2 })],
  ['maxPool1d', (x) => k.maxPool1d(x, 3, { stride: 2 }), [3, 11]],
  ['avgPool2d', (x) => k.avgPool2d(x, 3, { stride: 2, padding: 1 })],
  [
    'avgPool2d, without the padding',
    (x) => k.avgPool2d(x, 3, { stride: 2, padding: 1, countIncludePad: false }),
  ],
  ['avgPool2d, hanging over', (x) => k.avgPool2d(x, [4, 3], { stride: 3, ceilMode: true })],
  ['adaptiveAvgPool2d, global', (x) => k.adaptiveAvgPool2d(x, 1)],
  ['adaptiveAvgPool2d', (x) => k.adaptiveAvgPool2d(x, [3, 4])],
  ['adaptiveAvgPool2d, uneven', (x) => k.adaptiveAvgPool2d(x, [4, 5])],
  ['adaptiveMaxPool2d, uneven in one direction', (x) => k.adaptiveMaxPool2d(x, [6, 3])],
  ['adaptiveMaxPool2d, global', (x) => k.adaptiveMaxPool2d(x, 1)],
  ['adaptiveMaxPool2d', (x) => k.adaptiveMaxPool2d(x, [2, 2])],
  ['linear', (x) => k.linear(x, weights(5, 7), weights(5)), [7]],
  ['linear over the last dimension', (x) => k.linear(x, weights(5, 8), weights(5))],
  ['linear without bias', (x) => k.linear(x, weights(5, 8))],
  ['relu', k.relu],
  ['tanh', k.tanh],
  ['sigmoid', k.sigmoid],
  ['silu', k.silu],
  ['hardswish', k.hardswish],
  ['hardsigmoid', (x) => k.hardsigmoid(x)],
  ['gelu', k.gelu],
  ['exp', k.exp],
  ['log', (x) => k.log(k.exp(x))],
  ['abs', k.abs],
  ['leakyRelu', (x) => k.leakyRelu(x, 0.2)],
  ['elu', (x) => k.elu(x, 0.7)],
  ['selu', (x) => k.selu(x)],
  ['clamp', (x) => k.clamp(x, -0.25, 0.5)],
  ['clamp, one side', (x) => k.clamp(x, -0.25, Number.POSITIVE_INFINITY)],
  ['relu6', (x) => k.relu6(k.mul(x, 20))],
  ['pow', (x) => k.pow(k.abs(x), 1.5)],
  ['prelu', (x) => k.prelu(x, weights(4))],
  ['prelu of features', (x) => k.prelu(x, weights(7)), [7]],
  ['softmax', (x) => k.softmax(x, 1)],
  ['logSoftmax', (x) => k.logSoftmax(x, -1)],
  ['flatten', (x) => k.flatten(x, 1)],
  ['flatten a part', (x) => k.flatten(x, 2)],
  ['reshape', (x) => k.reshape(x, [x.shape[0]!, 2, -1])],
  ['permute', (x) => k.permute(x, [0, 3, 1, 2])],
  ['slice', (x) => k.slice(k.slice(x, 2, 1, 6, 2), 3, -3, 8)],
  ['pad', (x) => k.pad(x, [1, 2, 0, 3], 0.5)],
  ['pad and crop', (x) => k.pad(x, [-1, 2, 3, -2])],
  ['cat', (x) => k.cat([x, k.relu(x)], 1)],
  ['arithmetic', (x) => k.div(k.sub(k.mul(x, k.tanh(x)), k.add(x, 0.5)), k.exp(x))],
  ['constants', (x) => k.add(k.mul(x, weights(4, 1, 1)), weights(8))],
  ['shapes that broadcast', (x) => k.mul(x, k.adaptiveAvgPool2d(x, 1))],
  ['ranks that broadcast', (x) => k.add(x, k.reshape(k.mean(x, [1, 2]), [x.shape[0]!, 1, 1, 8]))],
  [
    'batchNorm',
    (x) => k.batchNorm(x, weights(4), positive(4), { weight: weights(4), bias: weights(4), eps: 0.01 }),
  ],
  ['batchNorm without weights', (x) => k.batchNorm(x, weights(4), positive(4))],
  ['mean', (x) => k.mean(x, [2, 3])],
  ['localResponseNorm', (x) => k.localResponseNorm(x, 3)],
  ['sort', (x) => k.sort(x, 2)],
  ['argsort, the largest first', (x) => k.argsort(x, -1, { descending: true })],
  ['scaledTanh', (x) => k.scaledTanh(x, 1.5, 0.7)],
  ['LSTM', (x) => new k.LSTM(3, 4, { batchFirst: true }).forward(x), [5, 3]],
  [
    'LSTM, two layers, both directions, no biases',
    (x) => new k.LSTM(3, 4, { batchFirst: true, numLayers: 2, bidirectional: true, bias: false }).forward(x),
    [5, 3],
  ],
  ['GRU', (x) => new k.GRU(3, 4, { batchFirst: true }).forward(x), [5, 3]],
  ['RNN', (x) => new k.RNN(3, 4, { batchFirst: true }).forward(x), [5, 3]],
  ['RNN, ReLU', (x) => new k.RNN(3, 4, { batchFirst: true, nonlinearity: 'relu' }).forward(x), [5, 3]],
  ['the input', (x) => x],
]

const ort = onnxruntime()

describe.each(functions)('%s', (_, compute, inputShape = image) => {
  const graph = trace(new Inline(compute), inputShape)
  const bytes = saveOnnx(graph)
  const length = inputShape.reduce((a, b) => a * b, 1)
  const x = noise(3 * length, 5)
  using model = compile(graph)
  const expected = model.run(x).slice()

  test('read back', () => {
    const again = loadOnnx(bytes)
    expect(again.inputs).toEqual([
      { name: 'input', type: 'float', dtype: 'float32', shape: ['N', ...inputShape] },
    ])
    expect(again.outputs).toEqual([
      { name: 'output', type: 'float', dtype: 'float32', shape: ['N', ...model.outputShape] },
    ])
    using compiled = again.compile()
    expect(compiled.outputShape).toEqual(model.outputShape)
    expect(largestError(compiled.run(x), expected)).toBeLessThan(1e-6)
  })

  test.skipIf(!ort)('onnxruntime', async () => {
    const { output } = await runOrt(ort!, bytes, { input: { shape: [3, ...inputShape], data: x } })
    expect(output!.shape).toEqual([3, ...model.outputShape])
    const scale = Math.max(...expected.map(Math.abs), 1)
    expect(largestError(Float32Array.from(output!.data), expected) / scale).toBeLessThan(3e-6)
  })
})

describe('modules', () => {
  manualSeed(0)
  const lenet = LeNet5.pretrained()

  test('LeNet-5 keeps its names, its bits and its weights', () => {
    const again = loadOnnx(saveOnnx(lenet, { inputShape: [1, 28, 28] }))
    expect([...again.stateDict().keys()]).toEqual([...lenet.stateDict().keys()])
    for (const [name, { shape, data }] of lenet.stateDict()) {
      expect(again.stateDict().get(name)!.shape).toEqual(shape)
      expect(same(again.stateDict().get(name)!, data)).toBe(true)
    }
    const x = new Tensor(noise(2 * 784), [2, 1, 28, 28])
    expect(again.forward(x).data).toEqual(lenet.forward(x).data)
    expect(again.summary().layers.map(({ name }) => name)).toEqual([
      ...lenet
        .summary([1, 28, 28])
        .layers.slice(0, -1)
        .map(({ name }) => name),
      'output',
    ])
  })

  test.skipIf(!ort)('LeNet-5 in onnxruntime', async () => {
    const x = noise(3 * 784)
    const bytes = saveOnnx(lenet, { inputShape: [1, 28, 28], inputName: 'image', outputName: 'logits' })
    const { logits } = await runOrt(ort!, bytes, { image: { shape: [3, 1, 28, 28], data: x } })
    using model = lenet.compile({ inputShape: [1, 28, 28] })
    expect(largestError(Float32Array.from(logits!.data), model.run(x))).toBeLessThan(1e-5)
  })

  const net = new Sequential(
    new kernelet.Conv2d(3, 8, { kernelSize: 3, padding: 1, bias: false }),
    new kernelet.BatchNorm2d(8),
    new kernelet.ReLU6(),
    new kernelet.Conv2d(8, 8, { kernelSize: 3, groups: 8 }),
    new kernelet.PReLU(8),
    new kernelet.Dropout(0.5),
    new kernelet.MaxPool2d(2),
    new kernelet.Hardswish(),
    new kernelet.AdaptiveAvgPool2d(1),
    new kernelet.Flatten(),
    new kernelet.Linear(8, 4),
    new kernelet.Softmax(1),
  )
  for (const [i, tensor] of [...net.stateDict().values()].entries()) {
    tensor.data.set(noise(tensor.data.length, i + 1).map((value) => Math.abs(value) + 0.1))
  }

  test('layers of every kind: weights, statistics and bits', () => {
    const again = loadOnnx(saveOnnx(net, { inputShape: [3, 12, 10] }))
    const state = [...net.stateDict()].filter(([name]) => name !== '1.num_batches_tracked')
    expect([...again.stateDict().keys()].sort()).toEqual(state.map(([name]) => name).sort())
    for (const [name, { shape, data }] of state) {
      expect(again.stateDict().get(name)!.shape).toEqual(shape)
      expect(same(again.stateDict().get(name)!, data)).toBe(true)
    }
    expect(again.parameters()).toHaveLength(net.parameters().length)
    const x = noise(2 * 3 * 12 * 10)
    using one = net.compile({ inputShape: [3, 12, 10] })
    using other = again.compile()
    expect(other.run(x)).toEqual(one.run(x))
    expect(other.describe().steps.map(({ ops }) => ops)).toEqual(one.describe().steps.map(({ ops }) => ops))
  })

  test.skipIf(!ort)('layers of every kind in onnxruntime', async () => {
    const x = noise(2 * 3 * 12 * 10)
    const bytes = saveOnnx(net, { inputShape: [3, 12, 10] })
    const { output } = await runOrt(ort!, bytes, { input: { shape: [2, 3, 12, 10], data: x } })
    using model = net.compile({ inputShape: [3, 12, 10] })
    expect(largestError(Float32Array.from(output!.data), model.run(x))).toBeLessThan(1e-6)
  })

  test('a model that was read trains as the one that was written', () => {
    manualSeed(3)
    const mine = new LeNet5()
    const read = loadOnnx(saveOnnx(mine, { inputShape: [1, 28, 28] }))
    const x = new Tensor(noise(8 * 784), [8, 1, 28, 28])
    const losses = [mine, read].map((model) => {
      using trainer = new kernelet.Trainer(model, { optimizer: new kernelet.SGD({ lr: 0.1 }), seed: 1 })
      return Array.from({ length: 5 }, () => trainer.step(x, [0, 1, 2, 3, 4, 5, 6, 7]).loss)
    })
    expect(losses[1]).toEqual(losses[0])
    expect(losses[0]![4]).toBeLessThan(losses[0]![0]!)
    for (const [name, { data }] of mine.stateDict())
      expect(same(read.stateDict().get(name)!, data)).toBe(true)
  })

  test('what was read is written again, the same', () => {
    const bytes = saveOnnx(loadOnnx(saveOnnx(lenet, { inputShape: [1, 28, 28] })))
    expect(Buffer.compare(saveOnnx(loadOnnx(bytes)), bytes)).toBe(0)
  })

  test('a weight used twice is written once', () => {
    const shared = new kernelet.Linear(5, 5)
    const bytes = saveOnnx(new Sequential(shared, new kernelet.ReLU(), shared), { inputShape: [5] })
    expect([...loadOnnx(bytes).stateDict().keys()]).toEqual(['0.weight', '0.bias'])
  })

  test('names that are taken', () => {
    const net = new Sequential(new kernelet.Linear(3, 3))
    const bytes = saveOnnx(net, { inputShape: [3], inputName: '0.weight', outputName: '0.bias' })
    const { inputs, outputs } = loadOnnx(bytes)
    expect([inputs[0]!.name, outputs[0]!.name]).toEqual(['0.weight_1', '0.bias_1'])
  })
})

test('a graph made by hand: ranks that line up at the end', () => {
  const graph: Graph = {
    nodes: [
      { op: 'input', name: 'input', inputs: [], shape: [2, 3, 4] },
      { op: 'slice', name: 'row', inputs: [0], shape: [1, 1, 4], starts: [1, 2, 0], steps: [1, 1, 1] },
      { op: 'reshape', name: 'list', inputs: [1], shape: [4] },
      { op: 'add', name: 'sum', inputs: [0, 2], shape: [2, 3, 4] },
      { op: 'slice', name: 'back', inputs: [3], shape: [2, 2, 4], starts: [0, 2, 3], steps: [1, -2, -1] },
    ],
    output: 4,
  }
  const x = noise(48)
  using model = compile(graph)
  const again = loadOnnx(saveOnnx(graph))
  expect(again.run({ input: { data: x, shape: [2, 2, 3, 4] } }).output!.data).toEqual(model.run(x))
})

test('gates that something else reads too', async () => {
  const lstm = new k.LSTM(3, 4, { batchFirst: true })
  const { nodes, output } = trace(new Inline((x) => k.cat([lstm.forward(x), lstm.forward(x)], 2)), [5, 3])
  const gates = nodes.findIndex(({ op }) => op === 'linear')
  const [first = 0] = nodes[output]?.inputs ?? []
  const graph = {
    nodes: nodes.map((node, i) =>
      i === output ? { ...node, inputs: [first, gates], shape: [5, 20] } : node,
    ),
    output,
  }
  const bytes = saveOnnx(graph)
  const x = noise(2 * 15)
  using model = compile(graph)
  const expected = model.run(x).slice()
  using again = loadOnnx(bytes).compile()
  expect(again.run(x)).toEqual(expected)
  if (!ort) return
  const { output: y } = await runOrt(ort, bytes, { input: { shape: [2, 5, 3], data: x } })
  expect(largestError(Float32Array.from(y!.data), expected)).toBeLessThan(1e-6)
})

test('LeNet-5 as of 1998 goes through a file', () => {
  const net = new k.LeNet5Original()
  const x = new Tensor(noise(1024), [1, 1, 32, 32])
  const again = loadOnnx(saveOnnx(net, { inputShape: [1, 32, 32] }))
  expect(largestError(again.forward(x).data, net.forward(x).data)).toBeLessThan(1e-5)
})

describe('files', () => {
  const net = new Sequential(new kernelet.Linear(3, 2))

  test('written all or nothing, over an old one too', () => {
    const path = join(folder, 'net.onnx')
    writeFileSync(path, 'old')
    const bytes = saveOnnx(net, path, { inputShape: [3] })
    expect(new Uint8Array(readFileSync(path))).toEqual(bytes)
    expect(readdirSync(folder)).toEqual(['net.onnx'])
    expect(loadOnnx(path).inputShape).toEqual([3])
    expect(() => saveOnnx(net, join(folder, 'none', 'net.onnx'), { inputShape: [3] })).toThrow(
      expect.objectContaining({ code: 'ERR_IO' }),
    )
    expect(existsSync(join(folder, 'none'))).toBe(false)
  })

  test('wrong arguments', () => {
    expect(() => saveOnnx(net)).toThrow(/inputShape/)
    expect(() => saveOnnx(net, { input: [3] } as never)).toThrow(/unknown option "input"/)
    expect(() => saveOnnx({} as never)).toThrow(/expected a Module or Graph/)
    expect(() => saveOnnx(net, { inputShape: [4] })).toThrow(expect.objectContaining({ code: 'ERR_SHAPE' }))
  })
})
