/** Weights that stay in the file beside an ONNX model until somebody asks for them: same bits, and files that change. */
import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { afterAll, describe, expect, test } from 'vitest'
import { isa, KerneletError, loadOnnx, type OnnxModel, SGD, saveOnnx, Tensor, Trainer } from '../lib/index.ts'
import { storedOf } from '../lib/tensor/tensor.ts'
import { noise } from './helpers.ts'
import { encode, modelProto, type Numbers, type TestModel } from './onnx-models.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-files-'))
afterAll(() => rmSync(folder, { recursive: true }))
const windows = process.platform === 'win32'
let count = 0

const places = ['beside the model', 'in its file'] as const

/** A model with its weights in a file beside it, or in its own, and its bytes with the weights in them. */
function models(
  model: TestModel,
  where: (typeof places)[number] = 'beside the model',
): { path: string; data: string; whole: Uint8Array } {
  const name = `m${count++}.onnx`
  const proto = modelProto(model)
  for (const tensor of proto.graph?.initializer ?? []) {
    const values = Float32Array.from(model.initializers?.[tensor.name as string]?.data as ArrayLike<number>)
    tensor.raw_data = new Uint8Array(values.buffer)
    delete tensor.float_data
  }
  const whole = encode(proto)
  if (where === 'in its file') {
    writeFileSync(join(folder, name), whole)
    return { path: join(folder, name), data: join(folder, name), whole }
  }
  const parts: Uint8Array[] = [new Uint8Array(5)]
  let offset = 5
  for (const tensor of proto.graph?.initializer ?? []) {
    const values = Float32Array.from(model.initializers?.[tensor.name as string]?.data as ArrayLike<number>)
    tensor.data_location = 1
    tensor.external_data = [
      { key: 'location', value: `${name}.data` },
      { key: 'offset', value: String(offset) },
      { key: 'length', value: String(values.byteLength) },
    ]
    delete tensor.raw_data
    parts.push(new Uint8Array(values.buffer))
    offset += values.byteLength
  }
  const [path, data] = [join(folder, name), join(folder, `${name}.data`)]
  writeFileSync(path, encode(proto))
  writeFileSync(data, Buffer.concat(parts))
  return { path, data, whole }
}

const numbers = (seed: number, ...shape: number[]): Numbers => ({
  shape,
  data: noise(
    shape.reduce((a, b) => a * b),
    seed,
  ).map((one) => one / 40),
})

/** 3×3 and 1×1 convolutions with a maximum, a Gemm either way, all with enough weights to be left in the file. */
const network: TestModel = {
  inputs: { x: { shape: ['n', 16, 'h', 'w'] } },
  nodes: [
    { op: 'Conv', inputs: ['x', 'c1', 'b1'], outputs: ['y1'], attributes: { pads: [1, 1, 1, 1] } },
    { op: 'Relu', inputs: ['y1'], outputs: ['y2'] },
    { op: 'MaxPool', inputs: ['y2'], outputs: ['y3'], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
    { op: 'Conv', inputs: ['y3', 'c2'], outputs: ['y4'] },
    { op: 'GlobalAveragePool', inputs: ['y4'], outputs: ['y5'] },
    { op: 'Flatten', inputs: ['y5'], outputs: ['y6'] },
    { op: 'Gemm', inputs: ['y6', 'w1', 'g1'], outputs: ['y7'], attributes: { transB: 1 } },
    { op: 'Relu', inputs: ['y7'], outputs: ['y8'] },
    { op: 'Gemm', inputs: ['y8', 'w2'], outputs: ['y9'] },
  ],
  initializers: {
    c1: numbers(2, 130, 16, 3, 3),
    b1: numbers(3, 130),
    c2: numbers(4, 140, 130, 1, 1),
    w1: numbers(5, 150, 140),
    g1: numbers(6, 150),
    w2: numbers(7, 150, 120),
  },
}
const shape = [16, 10, 10]
const images = noise(9 * 1600, 8)
const left = (net: OnnxModel) =>
  [...net.stateDict()].filter(([, tensor]) => storedOf(tensor)).map(([name]) => name)

const bytesOf = (values: Float32Array = new Float32Array(0)) =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength)

function thrown(call: () => unknown): KerneletError {
  try {
    call()
  } catch (error) {
    if (error instanceof KerneletError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe.each(places)('the same bits as of bytes: weights %s', (where) => {
  const { path, whole } = models(network, where)
  const inMemory = loadOnnx(whole)

  test.each(isa().supported)('%s', (tier) => {
    for (const numerics of ['exact', 'fastest'] as const) {
      for (const batch of [1, 9]) {
        const net = loadOnnx(path)
        const options = { inputShape: shape, isa: tier, numerics, maxBatch: batch, threads: 1 }
        using got = net.compile(options)
        using want = inMemory.compile(options)
        const input = images.subarray(0, batch * 1600)
        expect(got.run(input)).toEqual(want.run(input))
        // what is packed as it lies was never read into an array; what is turned was
        expect(left(net)).toEqual(windows ? [] : ['c1', 'c2', 'w1'])
      }
    }
  })

  test('free sizes, int8, tuned, by name', () => {
    const net = loadOnnx(path)
    const image = new Tensor(images.subarray(0, 1600), [1, ...shape])
    const want = inMemory.compile({ inputShape: shape }).run(image)
    using free = net.compile()
    expect(free.run(image)).toEqual(want)
    expect(free.at([16, 6, 8]).run(images.subarray(0, 768))).toEqual(
      inMemory.compile({ inputShape: [16, 6, 8] }).run(images.subarray(0, 768)),
    )
    using tuned = net.compile({ inputShape: shape, tune: true })
    expect(tuned.run(image)).toEqual(want)
    using named = net.compileNamed({ inputShapes: { x: shape } })
    expect(Object.values(named.run({ x: image }))).toEqual([want])
    expect(left(net)).toEqual(windows ? [] : ['c1', 'c2', 'w1'])
    const int8 = { inputShape: shape, precision: 'int8', calibration: images } as const
    expect(net.compile(int8).run(image)).toEqual(inMemory.compile(int8).run(image))
  })

  test('values are there when they are asked for, and stay', () => {
    const net = loadOnnx(path)
    const state = net.stateDict()
    expect([...state.keys()]).toEqual([...inMemory.stateDict().keys()])
    for (const [name, { data, shape }] of inMemory.stateDict()) {
      expect(state.get(name)?.shape).toEqual(shape)
      expect(bytesOf(state.get(name)?.data).equals(bytesOf(data))).toBe(true)
      expect(state.get(name)?.data).toBe(state.get(name)?.data)
    }
    const { data } = state.get('c1') as Tensor
    data.fill(0)
    using zeroed = net.compile({ inputShape: shape })
    expect(zeroed.run(images.subarray(0, 1600))).not.toEqual(
      inMemory.compile({ inputShape: shape }).run(images.subarray(0, 1600)),
    )
    const saved = [loadOnnx(path), inMemory].map((net) => Buffer.from(saveOnnx(net, { inputShape: shape })))
    expect(saved[0]?.equals(saved[1] as Buffer)).toBe(true)
    expect(loadOnnx(path).forward(new Tensor(images, [9, ...shape])).data).toEqual(
      inMemory.forward(new Tensor(images, [9, ...shape])).data,
    )
  })

  test('trained', () => {
    const trained = [loadOnnx(path), loadOnnx(whole)].map((net) => {
      using trainer = new Trainer(net, { optimizer: new SGD({ lr: 0.1 }) })
      trainer.step(new Tensor(images, [9, ...shape]), [0, 1, 2, 3, 4, 5, 6, 7, 8])
      return [...net.stateDict().values()].map(({ data }) => data)
    })
    expect(trained[0]?.map((one, i) => bytesOf(one).equals(bytesOf(trained[1]?.[i])))).not.toContain(false)
    expect(bytesOf(trained[0]?.[0]).equals(bytesOf(inMemory.stateDict().get('c1')?.data))).toBe(false)
  })

  test('on another thread', async () => {
    const source = `
      const { parentPort, workerData } = require('node:worker_threads')
      import(workerData.library).then(({ loadOnnx }) => {
        const net = loadOnnx(workerData.path)
        parentPort.postMessage(net.compile({ inputShape: [16, 10, 10] }).run(workerData.image))
      })`
    const image = images.slice(0, 1600)
    const worker = new Worker(source, {
      eval: true,
      workerData: { library: new URL('../dist/index.js', import.meta.url).href, path, image },
    })
    const got = await new Promise<Float32Array>((resolve, reject) => {
      worker.once('message', resolve).once('error', reject)
    })
    await worker.terminate()
    expect(got).toEqual(inMemory.compile({ inputShape: shape }).run(image))
  })
})

describe.skipIf(windows).each(places)(
  'a file that changes after the model was loaded: weights %s',
  (where) => {
    const want = loadOnnx(models(network, where).whole)
      .compile({ inputShape: shape })
      .run(images.subarray(0, 1600))

    test('replaced or deleted: it is read as it was', () => {
      for (const change of [
        (data: string) => rmSync(data),
        (data: string) => {
          writeFileSync(`${data}.new`, 'other')
          renameSync(`${data}.new`, data)
        },
      ]) {
        const { path, data } = models(network, where)
        const net = loadOnnx(path)
        change(data)
        expect(net.compile({ inputShape: shape }).run(images.subarray(0, 1600))).toEqual(want)
      }
    })

    const image = new Tensor(images.subarray(0, 1600), [1, ...shape])
    const touched = new Date(2001, 1, 1)
    test.each<[string, (data: string) => void]>([
      ['cut', (data) => truncateSync(data, 100)],
      ['longer', (data) => writeFileSync(data, 'x', { flag: 'a' })],
      ['emptied', (data) => writeFileSync(data, '')],
      [
        'written to',
        (data) => {
          const file = openSync(data, 'r+')
          writeSync(file, 'abc', 100)
          closeSync(file)
          utimesSync(data, touched, touched)
        },
      ],
    ])('%s: a clear error', (_, change) => {
      const { path, data } = models(network, where)
      const net = loadOnnx(path)
      copyFileSync(data, `${data}.copy`)
      change(data)
      const error = {
        code: 'ERR_IO',
        message: expect.stringMatching(/written to after the model was loaded/),
      }
      expect(thrown(() => net.compile({ inputShape: shape }))).toMatchObject(error)
      expect(thrown(() => net.compile().run(image))).toMatchObject(error)
      expect(thrown(() => net.stateDict().get('c1')?.data)).toMatchObject(error)
      expect(thrown(() => net.forward(new Tensor(images, [9, ...shape])))).toMatchObject(error)
      // loaded again, it is right again
      renameSync(`${data}.copy`, data)
      expect(loadOnnx(path).compile({ inputShape: shape }).run(images.subarray(0, 1600))).toEqual(want)
    })
  },
)

test('a file beside a model that is too short when it is loaded', () => {
  const { path, data } = models(network)
  truncateSync(data, 150_000)
  expect(thrown(() => loadOnnx(path))).toMatchObject({
    code: 'ERR_IO',
    message: expect.stringMatching(/initializer "\w+": .* are wanted of a file of 150000/),
  })
})

/** A message with its key and length. */
const field = (number: number, ...parts: Uint8Array[]) => {
  const length = Buffer.concat(parts).length
  const varint: number[] = []
  for (let left = length; left >= 128 || varint.push(left) < 0; left = Math.floor(left / 128)) {
    varint.push((left % 128) + 128)
  }
  return Buffer.concat([Uint8Array.of(8 * number + 2), Uint8Array.from(varint), ...parts])
}
const integer = (number: number, value: number) => Uint8Array.of(8 * number, value)
const raw = new Uint8Array(noise(128 * 128, 3).buffer)
const dims = Buffer.concat([Uint8Array.of(8, 128, 1), Uint8Array.of(8, 128, 1)])
const named = field(8, Buffer.from('w'))
const around = modelProto({
  inputs: { x: { shape: ['n', 128] } },
  nodes: [{ op: 'Gemm', inputs: ['x', 'w'], attributes: { transB: 1 } }],
})

test.each<[string, Uint8Array[]]>([
  ['in order', [dims, integer(2, 1), named, field(9, raw)]],
  ['numbers first', [field(9, raw), named, integer(2, 1), dims]],
  [
    'fields that nobody knows, of every kind',
    [
      dims,
      integer(2, 1),
      named,

      field(9, raw),
      Uint8Array.of(8 * 12 + 5, 1, 2, 3, 4),
      Uint8Array.of(8 * 12 + 1, 1, 2, 3, 4, 5, 6, 7, 8),
    ],
  ],
  [
    'twice',
    [
      dims,
      integer(2, 1),
      named,
      field(
        9,
        raw.map((one) => one ^ 1),
      ),
      field(9, raw),
    ],
  ],
  ['of integers', [dims, integer(2, 6), named, field(9, raw)]],
  ['of halves', [dims, integer(2, 10), named, field(9, raw.subarray(raw.length / 2))]],
  ['too few', [dims, integer(2, 1), named, field(9, raw.subarray(4))]],
  ['no multiple of four', [dims, integer(2, 1), named, field(9, raw.subarray(1))]],
  ['with a place beside the model', [dims, integer(2, 1), named, field(9, raw), integer(14, 1)]],
  ['a group', [dims, integer(2, 1), named, field(9, raw), Uint8Array.of(8 * 12 + 3)]],
  ['a length as a type', [dims, field(2, Uint8Array.of(1)), named, field(9, raw)]],
  ['a number where bytes are due', [dims, integer(2, 1), named, field(9, raw), integer(9, 3)]],
])('numbers in a file are those of its bytes: %s', (_, parts) => {
  const { graph, ...rest } = around
  const writer = (proto: object) => encode(proto)
  const tensor = field(5, ...parts)
  const body = encode({ graph }).subarray()
  // behind the key and the length of the graph
  let at = 1
  while ((body[at] as number) >= 128) at++
  const model = Buffer.concat([writer(rest), field(7, body.subarray(at + 1), tensor)])
  const path = join(folder, `odd${count++}.onnx`)
  for (const bytes of [
    model,
    Buffer.concat([model, field(7, tensor)]),
    model.subarray(0, -70_000),
    model.subarray(0, -3),
  ]) {
    writeFileSync(path, bytes)
    const told = (source: string | Uint8Array) => {
      try {
        return loadOnnx(source, { dataFolder: folder }).stateDict().get('w')?.data
      } catch (error) {
        return `${(error as KerneletError).code} ${(error as Error).message.replace(path, 'ONNX bytes')}`
      }
    }
    expect(told(path)).toEqual(told(bytes))
  }
})

describe.skipIf(process.platform !== 'linux')('open files', () => {
  const open = () => readdirSync('/proc/self/fd').length

  test('none stays open where nothing is left in it', () => {
    const { path } = models({
      inputs: { x: { shape: ['n', 4] } },
      nodes: [{ op: 'Gemm', inputs: ['x', 'w'], attributes: { transB: 1 } }],
      initializers: { w: numbers(2, 3, 4) },
    })
    const before = open()
    const nets = Array.from({ length: 40 }, () => loadOnnx(path))
    expect(open()).toBe(before)
    expect(nets[39]?.compile().run(noise(4)).length).toBe(3)
  })

  test('many models: the later ones are read at once', async () => {
    // those that other tests left behind keep their files open until they are collected
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const first = open()
    for (let turn = 0; turn < 20 && open() >= first; turn++) {
      collect()
      await setImmediate()
    }
    const { path } = models({
      inputs: { x: { shape: ['n', 128] } },
      nodes: [{ op: 'Gemm', inputs: ['x', 'w'], attributes: { transB: 1 } }],
      initializers: { w: numbers(2, 128, 128) },
    })
    const before = open()
    const nets = Array.from({ length: 80 }, () => loadOnnx(path))
    expect(open() - before).toBeLessThan(70)
    expect([nets[0], nets[79]].map((net) => left(net as OnnxModel))).toEqual([['w'], []])
    expect(nets[79]?.compile().run(noise(128))).toEqual(nets[0]?.compile().run(noise(128)))
  })
})
