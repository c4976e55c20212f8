/** ONNX models read: PyTorch's exports against PyTorch's results, encodings, dynamic shapes, and files that lie. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PbfWriter } from 'pbf'
import { afterAll, describe, expect, test } from 'vitest'
import {
  KerneletError,
  loadOnnx,
  OnnxModel,
  Parameter,
  readSafetensors,
  Sequential,
  Tensor,
} from '../lib/index.ts'
import { fixtures, largestError, noise, outside, tensorOf } from './helpers.ts'
import { encode, modelProto, onnxModel, type TestModel, tensorProto } from './onnx-models.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-onnx-'))
afterAll(() => rmSync(folder, { recursive: true }))

const reference = outside('KERNELET_REFERENCE', 'reference')

/** What is thrown, which must be a KerneletError. */
function thrown(call: () => unknown): KerneletError {
  try {
    call()
  } catch (error) {
    if (error instanceof KerneletError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('exports of PyTorch', () => {
  const files = [
    ['bn_depthwise', fixtures],
    ['residual', fixtures],
    ['lenet5', reference && join(reference, 'onnx')],
    ['vgg_small', reference && join(reference, 'onnx')],
  ] as const
  describe.each(files)('%s', (name, place) => {
    test.skipIf(!place).each(['torchscript', 'dynamo'])('%s', (exporter) => {
      const model = loadOnnx(`${place}/${name}.${exporter}.onnx`)
      const golden = readSafetensors(`${place}/${name}.golden.safetensors`)
      const [input, output] = [tensorOf(golden, 'input'), tensorOf(golden, 'output')]
      const scale = Math.max(...output.data.map(Math.abs))
      const eager = model.forward(input)
      expect(eager.shape).toEqual(output.shape)
      expect(largestError(eager.data, output.data) / scale).toBeLessThan(1e-5)
      using compiled = model.compile()
      const values = compiled.run(input)
      expect(largestError(values, output.data) / scale).toBeLessThan(1e-5)
      expect(largestError(values, eager.data)).toBe(0)
      expect(Object.values(model.run({ input }))[0]!.data).toEqual(eager.data)
    })
  })
})

const conv: TestModel = {
  nodes: [
    { op: 'Conv', inputs: ['image', 'conv.weight', 'conv.bias'], outputs: ['c'], name: '/conv/Conv' },
    { op: 'Relu', inputs: ['c'], outputs: ['r'], name: '/Relu' },
    { op: 'Flatten', inputs: ['r'], outputs: ['f'], name: '/Flatten' },
    { op: 'Gemm', inputs: ['f', 'fc.weight'], outputs: ['y'], name: '/fc/Gemm' },
  ],
  inputs: { image: { shape: ['N', 1, 4, 4] } },
  initializers: {
    'conv.weight': { shape: [2, 1, 3, 3], data: noise(18) },
    'conv.bias': { shape: [2], data: noise(2, 2) },
    'fc.weight': { shape: [8, 3], data: noise(24, 3) },
  },
}

describe('a module', () => {
  test('names, shapes and weights', () => {
    const model = loadOnnx(onnxModel(conv))
    expect(model).toBeInstanceOf(OnnxModel)
    expect(model.opset).toBe(17)
    expect(model.inputs).toEqual([{ name: 'image', type: 'float', dtype: 'float32', shape: ['N', 1, 4, 4] }])
    expect(model.inputShape).toEqual([1, 4, 4])
    expect([...model.stateDict()].map(([name, { shape }]) => [name, shape])).toEqual([
      ['conv.weight', [2, 1, 3, 3]],
      ['conv.bias', [2]],
      ['fc.weight', [3, 8]],
    ])
    expect(model.parameters().every((parameter) => parameter instanceof Parameter)).toBe(true)
    const { layers, parameters } = model.summary()
    expect(layers.map(({ name, type }) => [name, type])).toEqual([
      ['conv/Conv', 'Conv2d'],
      ['Relu', 'ReLU'],
      ['Flatten', 'Flatten'],
      ['fc/Gemm', 'Linear'],
    ])
    expect(parameters).toBe(18 + 2 + 24)
  })

  test('new weights count, eager at once and compiled again', () => {
    const model = loadOnnx(onnxModel(conv))
    const x = new Tensor(noise(16), [1, 1, 4, 4])
    const before = model.forward(x).data.slice()
    for (const parameter of model.parameters()) parameter.data.fill(0)
    expect(largestError(model.forward(x).data, before)).toBeGreaterThan(0.01)
    expect([...model.forward(x).data]).toEqual([0, 0, 0])
    using compiled = model.compile()
    expect([...compiled.run(x)]).toEqual([0, 0, 0])
  })

  test('inside another module', () => {
    const net = new Sequential(loadOnnx(onnxModel(conv)))
    expect([...net.stateDict().keys()]).toEqual(['0.conv.weight', '0.conv.bias', '0.fc.weight'])
    expect(net.summary([1, 4, 4]).layers[0]!.name).toBe('0.conv/Conv')
  })

  test('a name that a module has already', () => {
    const { nodes, initializers, inputs } = conv
    const renamed = JSON.parse(JSON.stringify(nodes).replaceAll('conv.bias', 'forward')) as TestModel['nodes']
    const { 'conv.bias': bias, ...others } = initializers!
    const model = loadOnnx(onnxModel({ nodes: renamed, inputs, initializers: { ...others, forward: bias! } }))
    expect([...model.stateDict().keys()]).toContain('forward_')
    expect(model.forward(new Tensor(noise(16), [1, 1, 4, 4])).shape).toEqual([1, 3])
  })

  test('several outputs: one by name, all with run', () => {
    const bytes = onnxModel({ ...conv, outputs: ['y', 'r'] })
    const x = new Tensor(noise(32), [2, 1, 4, 4])
    const all = loadOnnx(bytes).run({ image: x })
    expect(Object.keys(all)).toEqual(['y', 'r'])
    expect(loadOnnx(bytes, { output: 'r' }).forward(x).data).toEqual(all.r!.data)
    expect(thrown(() => loadOnnx(bytes).forward(x))).toMatchObject({
      code: 'ERR_ARGUMENT',
      message: expect.stringMatching(/several outputs.*y.*r/),
    })
    expect(thrown(() => loadOnnx(bytes, { output: 'z' })).message).toMatch(/no output "z"/)
  })

  test('inputs that do not fit', () => {
    const model = loadOnnx(onnxModel(conv))
    const x = new Tensor(noise(25), [1, 1, 5, 5])
    expect(thrown(() => model.forward(x))).toMatchObject({
      code: 'ERR_SHAPE',
      message: 'The input is image: float[N,1,4,4] but received 1×1×5×5',
    })
    expect(thrown(() => model.run({ imgae: x })).message).toMatch(/no input "imgae"; there are image/)
    expect(thrown(() => model.run({})).message).toMatch(/the input "image" is missing/)
    expect(thrown(() => model.compile({ inputShape: [1, 5, 5] })).code).toBe('ERR_SHAPE')
  })
})

describe('batches', () => {
  const flattened = (target: number[], batch: number | string): Uint8Array =>
    onnxModel({
      nodes: [{ op: 'Reshape', inputs: ['x', 'shape'] }],
      inputs: { x: { shape: [batch, 2, 3] } },
      initializers: { shape: { type: 'int64', shape: [target.length], data: target } },
    })

  test.each([
    [[1, 6], 1],
    [[1, -1], 1],
    [[4, 6], 4],
    [[4, -1], 4],
    [[-1, 6], 'N'],
    [[0, -1], 'N'],
    [[-1, 6], 4],
  ])('a shape of %j for a batch of %s takes any batch', (target, batch) => {
    const model = loadOnnx(flattened(target, batch))
    for (const n of [1, 3, 4]) {
      const x = new Tensor(noise(6 * n), [n, 2, 3])
      expect(model.forward(x).shape).toEqual([n, 6])
    }
    using compiled = model.compile()
    expect(compiled.outputShape).toEqual([6])
    expect(compiled.run(noise(18))).toEqual(noise(18))
  })

  test('the shape computed from the input, as exporters write view(x.size(0), -1)', () => {
    const model = loadOnnx(
      onnxModel({
        nodes: [
          { op: 'Shape', inputs: ['x'], outputs: ['s'] },
          { op: 'Gather', inputs: ['s', 'zero'], outputs: ['n'], attributes: { axis: 0 } },
          { op: 'Unsqueeze', inputs: ['n', 'axes'], outputs: ['n1'] },
          { op: 'Concat', inputs: ['n1', 'rest'], outputs: ['shape'], attributes: { axis: 0 } },
          { op: 'Reshape', inputs: ['x', 'shape'] },
        ],
        inputs: { x: { shape: ['N', 2, 3] } },
        initializers: {
          zero: { type: 'int64', shape: [], data: [0] },
          axes: { type: 'int64', shape: [1], data: [0] },
          rest: { type: 'int64', shape: [1], data: [-1] },
        },
      }),
    )
    expect(model.forward(new Tensor(noise(30), [5, 2, 3])).shape).toEqual([5, 6])
    using compiled = model.compile()
    expect(compiled.run(noise(30))).toEqual(noise(30))
  })

  const lists: Record<string, number[]> = { zero: [0], one: [1], back: [-1] }
  const mixing: [op: string, inputs: string[], attributes?: Record<string, number>, opset?: number][] = [
    ['Flatten', ['x'], { axis: 0 }],
    ['Squeeze', ['x', 'zero']],
    ['Gather', ['x', 'zero']],
    ['Slice', ['x', 'zero', 'one', 'zero']],
    ['Split', ['x']],
    ['Reshape', ['x', 'back']],
    ['Concat', ['x', 'x'], { axis: 0 }],
    ['Softmax', ['x'], { axis: 0 }, 13],
    ['Softmax', ['x'], { axis: 0 }, 11],
    ['ReduceMean', ['x']],
    ['ReduceMax', ['x', 'zero'], {}, 18],
    ['ReduceSum', ['x']],
    ['Size', ['x']],
    ['Tile', ['x', 'two']],
  ]
  // With one channel of one row nothing else would tell the batch from the rest.
  test.each(mixing)(
    'what mixes the images of a batch is not compiled, by name: %s of %j',
    (op, inputs, attributes = {}, opset = 13) => {
      const initializers = Object.fromEntries(
        Object.entries({ ...lists, two: [2, 1, 1, 1] }).map(([name, data]) => [
          name,
          { type: 'int64' as const, shape: [data.length], data },
        ]),
      )
      const node = { op, inputs, attributes, name: 'turn' }
      const bytes = onnxModel({
        opset,
        nodes: [node],
        inputs: { x: { shape: ['N', 1, 1, 4] } },
        initializers,
      })
      expect(thrown(() => loadOnnx(bytes).compile())).toMatchObject({
        code: 'ERR_UNSUPPORTED',
        message: expect.stringMatching(new RegExp(`^node turn \\(${op}, opset ${opset}\\): `)),
      })
    },
  )

  test('a slice of the whole batch is none', () => {
    const list = (...data: number[]) => ({ type: 'int64' as const, shape: [data.length], data })
    const bytes = onnxModel({
      nodes: [{ op: 'Slice', inputs: ['x', 'starts', 'ends', 'axes'] }],
      inputs: { x: { shape: ['N', 3] } },
      initializers: { starts: list(0, 1), ends: list(2 ** 53, 2 ** 53), axes: list(0, 1) },
    })
    using model = loadOnnx(bytes).compile()
    expect(model.outputShape).toEqual([2])
  })
})

describe('encodings of numbers', () => {
  const values = [1, -2.5, 0.125, 65504, 0, -0.0078125]
  const plain = (initializer: object): Uint8Array => {
    const model = modelProto({
      nodes: [{ op: 'Mul', inputs: ['x', 'w'] }],
      inputs: { x: { shape: ['N', 6] } },
    })
    model.graph!.initializer = [{ name: 'w', dims: [6], ...initializer }]
    return encode(model)
  }
  const half = [0x3c00, 0xc100, 0x3000, 0x7bff, 0, 0xa000]
  const brain = [0x3f80, 0xc020, 0x3e00, 0x4780, 0, 0xbc00]
  const rounded = [1, -2.5, 0.125, 65536, 0, -0.0078125]
  const raw = (array: Uint16Array | Float64Array | Float32Array) => new Uint8Array(array.buffer)

  test.each([
    ['float, raw', { data_type: 1, raw_data: raw(Float32Array.from(values)) }, values],
    ['float', { data_type: 1, float_data: values }, values],
    ['double, raw', { data_type: 11, raw_data: raw(Float64Array.from(values)) }, values],
    ['double', { data_type: 11, double_data: values }, values],
    ['float16, raw', { data_type: 10, raw_data: raw(Uint16Array.from(half)) }, values],
    ['float16', { data_type: 10, int32_data: half }, values],
    ['bfloat16, raw', { data_type: 16, raw_data: raw(Uint16Array.from(brain)) }, rounded],
    ['bfloat16', { data_type: 16, int32_data: brain }, rounded],
  ])('%s', (_, initializer, expected) => {
    const model = loadOnnx(plain(initializer))
    expect([...model.stateDict().get('w')!.data]).toEqual(expected)
    expect([...model.forward(new Tensor(new Float32Array(6).fill(1), [1, 6])).data]).toEqual(expected)
  })

  test.each([
    ['int64', { data_type: 7, int64_data: [-1, 6] }],
    ['int32', { data_type: 6, int32_data: [-1, 6] }],
    ['int8', { data_type: 3, int32_data: [-1, 6] }],
    ['int16, raw', { data_type: 5, raw_data: Uint8Array.of(255, 255, 6, 0) }],
    ['int64, raw', { data_type: 7, raw_data: new Uint8Array(BigInt64Array.of(-1n, 6n).buffer) }],
  ])('%s', (_, initializer) => {
    const model = modelProto({
      nodes: [{ op: 'Reshape', inputs: ['x', 'shape'] }],
      inputs: { x: { shape: ['N', 2, 3] } },
    })
    model.graph!.initializer = [{ name: 'shape', dims: [2], ...initializer }]
    expect(loadOnnx(encode(model)).forward(new Tensor(noise(12), [2, 2, 3])).shape).toEqual([2, 6])
  })
})

describe('weights in files of their own', () => {
  const external = (location: string, notes: Record<string, string> = {}): string => {
    const model = modelProto({
      nodes: [{ op: 'Mul', inputs: ['x', 'w'] }],
      inputs: { x: { shape: ['N', 2] } },
    })
    const entries = Object.entries({ location, ...notes }).map(([key, value]) => ({ key, value }))
    model.graph!.initializer = [
      { name: 'w', dims: [2], data_type: 1, data_location: 1, external_data: entries },
    ]
    const path = join(folder, 'models', 'model.onnx')
    writeFileSync(path, encode(model))
    return path
  }
  mkdirSync(join(folder, 'models', 'data'), { recursive: true })
  writeFileSync(join(folder, 'models', 'w.bin'), new Uint8Array(Float32Array.of(9, 1, 2, 9).buffer))
  writeFileSync(join(folder, 'models', 'data', 'w.bin'), new Uint8Array(Float32Array.of(3, 4).buffer))
  writeFileSync(join(folder, 'secret'), new Uint8Array(8))
  symlinkSync(join(folder, 'secret'), join(folder, 'models', 'link'))

  test('all of a file, a part of it, below the folder', () => {
    const weights = (path: string) => [...loadOnnx(path).stateDict().get('w')!.data]
    expect(weights(external('w.bin', { offset: '4', length: '8' }))).toEqual([1, 2])
    expect(weights(external('w.bin', { offset: '4' }))).toEqual([1, 2])
    expect(weights(external('data/w.bin'))).toEqual([3, 4])
    const bytes = readFileSync(external('data/w.bin'))
    expect([
      ...loadOnnx(bytes, { dataFolder: join(folder, 'models') })
        .stateDict()
        .get('w')!.data,
    ]).toEqual([3, 4])
    expect(thrown(() => loadOnnx(bytes)).message).toMatch(/dataFolder/)
  })

  test.each(['../secret', '/etc/passwd', 'data/../../secret', 'link', 'C:\\secret', '..\\secret', ''])(
    'never a file outside: %j',
    (location) => {
      expect(thrown(() => loadOnnx(external(location)))).toMatchObject({
        code: 'ERR_IO',
        message: expect.stringMatching(/is not below the folder of the model/),
      })
    },
  )

  test.each([
    [{ offset: '12' }, 'ERR_IO', /bytes 12 to 20 are wanted of a file of 16/],
    [{ offset: '999999999999999' }, 'ERR_IO', /of a file of 16/],
    [{ length: '4' }, 'ERR_FORMAT', /expected 8 bytes for 2 but the model has 4/],
    [{ offset: '-1' }, 'ERR_FORMAT', /the offset of its external data is "-1"/],
    [{ offset: '1e3' }, 'ERR_FORMAT', /offset/],
  ])('%j', (notes, code, message) => {
    expect(thrown(() => loadOnnx(external('w.bin', notes)))).toMatchObject({
      code,
      message: expect.stringMatching(message),
    })
  })

  test('a file that is not there', () => {
    expect(thrown(() => loadOnnx(external('none.bin'))).code).toBe('ERR_IO')
    expect(thrown(() => loadOnnx(external('data'))).message).toMatch(/it is a folder/)
    expect(thrown(() => loadOnnx(join(folder, 'none.onnx'))).code).toBe('ERR_IO')
  })
})

describe('what is not supported says where', () => {
  const one = (node: TestModel['nodes'][number], opset = 13) =>
    onnxModel({ opset, nodes: [{ name: 'here', ...node }], inputs: { x: { shape: ['N', 2, 4, 4] } } })

  test.each([
    [
      { op: 'Nothing', inputs: ['x'] },
      'node here (Nothing, opset 13): the operator Nothing is not supported',
    ],
    [
      { op: 'If', inputs: ['x'] },
      'node here (If, opset 13): attribute then_branch, a graph, is missing',
      'ERR_FORMAT',
    ],
    [
      { op: 'toString', inputs: ['x'] },
      'node here (toString, opset 13): the operator toString is not supported',
    ],
    [
      { op: 'Relu', inputs: ['x'], domain: 'com.microsoft' },
      'node here (Relu, opset 13): operators of "com.microsoft" are not supported. Where onnxruntime\'s optimiser wrote them, use the model from before.',
    ],
    [
      { op: 'Relu', inputs: ['x'], attributes: { slope: 3 } },
      'node here (Relu, opset 13): attribute "slope" is not supported',
    ],
    [
      { op: 'MaxPool', inputs: ['x'], attributes: { auto_pad: 'SAME', kernel_shape: [2, 2] } },
      'node here (MaxPool, opset 13): attribute auto_pad=SAME is not supported',
    ],
    [
      { op: 'Pad', inputs: ['x', 'x'], attributes: { mode: 'constructor' } },
      'node here (Pad, opset 13): attribute mode=constructor is not supported',
    ],
  ])('%j', (node, message, code = 'ERR_UNSUPPORTED') => {
    expect(thrown(() => loadOnnx(one(node)))).toMatchObject({ code, message })
  })

  test('an attribute of another type', () => {
    const bytes = one({ op: 'Flatten', inputs: ['x'], attributes: { axis: 'one' } })
    expect(thrown(() => loadOnnx(bytes))).toMatchObject({
      code: 'ERR_FORMAT',
      message: 'node here (Flatten, opset 13): attribute axis should be an integer but is a string',
    })
  })

  test('an opset that is too old or not there yet', () => {
    expect(thrown(() => loadOnnx(one({ op: 'Relu', inputs: ['x'] }, 0))).message).toMatch(
      /opset 0; supported are/,
    )
    expect(thrown(() => loadOnnx(one({ op: 'Relu', inputs: ['x'] }, 99))).code).toBe('ERR_UNSUPPORTED')
    expect(loadOnnx(one({ op: 'Relu', inputs: ['x'] }, 26)).opset).toBe(26)
  })

  test('an element type', () => {
    const model = modelProto({
      nodes: [{ op: 'Mul', inputs: ['x', 'w'] }],
      inputs: { x: { shape: ['N', 2] } },
    })
    model.graph!.initializer = [{ name: 'w', dims: [2], data_type: 14, raw_data: new Uint8Array(16) }]
    expect(thrown(() => loadOnnx(encode(model)))).toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: expect.stringMatching(/initializer "w" has the element type complex64; supported are float,/),
    })
    const words = modelProto({ nodes: [{ op: 'Identity', inputs: ['x'] }], inputs: { x: { shape: ['N'] } } })
    words.graph!.input![0]!.type!.tensor_type!.elem_type = 8
    expect(thrown(() => loadOnnx(encode(words)))).toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: expect.stringMatching(/its input "x" has the element type string, which is not supported/),
    })
  })

  test('nodes that nothing depends on do not count', () => {
    const bytes = onnxModel({
      nodes: [
        { op: 'Unheard', inputs: ['x'], outputs: ['z'] },
        { op: 'Relu', inputs: ['x'], outputs: ['y'] },
      ],
      inputs: { x: { shape: ['N', 2] } },
      outputs: ['y'],
    })
    expect([...loadOnnx(bytes).forward(new Tensor(Float32Array.of(-1, 1), [1, 2])).data]).toEqual([0, 1])
  })
})

describe('damaged files', () => {
  const whole = onnxModel(conv)

  test('no bytes, other bytes, another kind of file', () => {
    for (const bytes of [new Uint8Array(0), Buffer.from('PK\u0003\u0004 not a model'), Buffer.from('{}')]) {
      expect(thrown(() => loadOnnx(bytes))).toMatchObject({
        code: 'ERR_FORMAT',
        message: expect.stringMatching(/^ONNX bytes is not an? (valid )?ONNX model/),
      })
    }
    expect(thrown(() => loadOnnx(3 as never)).code).toBe('ERR_ARGUMENT')
  })

  test('cut short anywhere', () => {
    for (let length = 0; length < whole.length; length += 7) {
      expect(['ERR_FORMAT', 'ERR_UNSUPPORTED']).toContain(thrown(() => loadOnnx(whole.slice(0, length))).code)
    }
  })

  test('any byte changed: a model that runs, or a KerneletError', () => {
    const x = new Tensor(noise(16), [1, 1, 4, 4])
    for (let i = 0; i < whole.length; i++) {
      const bytes = whole.slice()
      bytes[i] = (bytes[i]! + 1 + ((i * 37) % 254)) & 255
      try {
        loadOnnx(bytes).forward(x)
      } catch (error) {
        expect(error).toBeInstanceOf(KerneletError)
        expect((error as KerneletError).code).not.toBe('ERR_INTERNAL')
      }
    }
  })

  test('lengths that lie', () => {
    const lie = (length: number) => {
      const writer = new PbfWriter()
      writer.writeTag(7, 2)
      writer.writeVarint(length)
      return writer.finish().slice()
    }
    for (const length of [1, 2 ** 31, 2 ** 53, -1]) {
      expect(thrown(() => loadOnnx(lie(length))).code).toBe('ERR_FORMAT')
    }
  })

  test('shapes that lie', () => {
    const shaped = (dims: number[]) => {
      const model = modelProto(conv)
      model.graph!.initializer![0] = { ...tensorProto('conv.weight', { shape: [18], data: noise(18) }), dims }
      return encode(model)
    }
    for (const dims of [[2 ** 40], [-1, 18], [2 ** 31, 2 ** 31, 2 ** 31], [17], [0]]) {
      expect(thrown(() => loadOnnx(shaped(dims)))).toMatchObject({
        code: 'ERR_FORMAT',
        message: expect.stringMatching(/initializer "conv.weight"/),
      })
    }
  })

  test.each([
    ['ConstantOfShape', [2 ** 31, 2 ** 20]],
    ['ConstantOfShape', [2 ** 30]],
    ['ConstantOfShape', [-5]],
  ])('%s of %j allocates nothing', (op, shape) => {
    const bytes = onnxModel({
      nodes: [
        { op, inputs: ['shape'], outputs: ['c'], name: 'big' },
        { op: 'Add', inputs: ['x', 'c'], outputs: ['y'] },
      ],
      inputs: { x: { shape: ['N', 2] } },
      initializers: { shape: { type: 'int64', shape: [shape.length], data: shape } },
    })
    expect(thrown(() => loadOnnx(bytes)).message).toMatch(/^node big \(ConstantOfShape, opset 17\): /)
  })

  test('a window of any size, over an image of any size, takes no time', () => {
    for (const size of [2 ** 31, 2 ** 53]) {
      for (const attributes of [
        { kernel_shape: [size, 2] },
        { kernel_shape: [1, 1], pads: [size, size, size, size] },
      ]) {
        const bytes = onnxModel({
          nodes: [{ op: 'AveragePool', inputs: ['x'], attributes }],
          inputs: { x: { shape: ['N', 1, 4, 4] } },
        })
        expect(thrown(() => loadOnnx(bytes).forward(new Tensor(noise(16), [1, 1, 4, 4]))).message).toMatch(
          /^node y \(Av/,
        )
      }
    }
  })

  test('nodes in a circle, values made twice or by nothing', () => {
    const swap = (nodes: TestModel['nodes'], outputs = ['y']) =>
      thrown(() => loadOnnx(onnxModel({ nodes, inputs: { x: { shape: ['N', 2] } }, outputs })))
    const relu = (from: string, to: string) => ({ op: 'Relu', inputs: [from], outputs: [to] })
    expect(swap([relu('z', 'y')]).message).toMatch(/node "Relu" reads "z", which nothing makes/)
    expect(swap([relu('y', 'y')]).message).toMatch(
      /valid ONNX model: its nodes go in a circle: "Relu" reads "Relu"$/,
    )
    expect(swap([relu('x', 'y'), relu('x', 'y')]).message).toMatch(/"y" is there twice/)
    expect(swap([relu('x', 'z')]).message).toMatch(/nothing makes its output "y"/)
    expect(swap([relu('x', 'y')], []).code).toBe('ERR_FORMAT')
    expect(swap([{ op: 'Relu', inputs: [], outputs: ['y'] }]).message).toMatch(/input 0 is missing/)
  })

  test('more fields than any model has', () => {
    const bytes = new Uint8Array(4 << 20)
    for (let i = 0; i < bytes.length; i += 2) bytes[i] = 0x42 // opset_import, empty
    expect(thrown(() => loadOnnx(bytes)).message).toMatch(/more than 1048576 fields/)
  })
})
