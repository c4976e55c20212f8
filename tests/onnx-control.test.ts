/** Graphs as tools write them: functions of the model's own, branches, loops, and what is missing told at once. */
import { describe, expect, test } from 'vitest'
import { KerneletError, loadOnnx, type OnnxResult, Tensor } from '../lib/index.ts'
import { largestError, noise } from './helpers.ts'
import {
  encode,
  int64s,
  list,
  modelProto,
  type Numbers,
  of,
  onnxModel,
  onnxruntime,
  runOrt,
  type TestFunction,
  type TestGraph,
  type TestModel,
  type TestNode,
} from './onnx-models.ts'

const ort = onnxruntime()
const op = (name: string, inputs: string[], outputs: string[], attributes = {}): TestNode => ({
  op: name,
  inputs,
  outputs,
  attributes,
})

/** run() against the expected numbers, and against onnxruntime where it is there. */
async function check(model: TestModel, given: Record<string, Numbers>, expected: Record<string, number[]>) {
  const bytes = onnxModel(model)
  const results = loadOnnx(bytes).run<OnnxResult>(given)
  for (const [name, numbers] of Object.entries(expected)) {
    const own = Array.from(results[name]!.data as ArrayLike<number>, Number)
    expect(own.length).toBe(numbers.length)
    for (const [i, one] of own.entries()) expect(one).toBeCloseTo(numbers[i]!, 5)
  }
  if (!ort) return
  const peer = await runOrt(ort, bytes, given)
  for (const [name, { shape, data }] of Object.entries(peer)) {
    expect(results[name]!.shape).toEqual(shape)
    expect(
      largestError(Float64Array.from(results[name]!.data as ArrayLike<number>, Number), data),
    ).toBeLessThan(1e-5)
  }
}

describe('functions of the model', () => {
  const swish: TestFunction = {
    domain: 'local',
    name: 'Swish',
    inputs: ['v'],
    outputs: ['w'],
    nodes: [op('Sigmoid', ['v'], ['s']), op('Mul', ['v', 's'], ['w'])],
  }
  const leaky: TestFunction = {
    domain: 'local',
    name: 'Twice',
    inputs: ['v', 'bias'],
    outputs: ['w', 'unused'],
    nodes: [
      op('LeakyRelu', ['v'], ['s'], { alpha: { ref: 'slope', type: 1 } }),
      { ...op('Swish', ['s'], ['t']), domain: 'local' },
      op('Add', ['t', 'bias'], ['w']),
      op('Neg', ['t'], ['unused']),
    ],
    defaults: { slope: { float: 0.25 } },
  }
  const call = (inputs: string[], outputs: string[], attributes = {}): TestNode => ({
    ...op('Twice', inputs, outputs, attributes),
    domain: 'local',
  })
  const model: TestModel = {
    functions: [leaky, swish],
    nodes: [call(['x', 'b'], ['s', 's2'], { slope: { float: 0.5 } }), call(['s', 'b'], ['y', 'y2'])],
    inputs: { x: { shape: ['N', 3] } },
    initializers: { b: of('float', [3], 1, 2, 3) },
  }
  const twice = (x: number, slope: number, bias: number) => {
    const s = x < 0 ? slope * x : x
    return s / (1 + Math.exp(-s)) + bias
  }
  const x = of('float', [2, 3], -2, -1, 0, 1, 2, -3)
  const expected = Array.from(x.data as number[], (one, i) =>
    twice(twice(one, 0.5, (i % 3) + 1), 0.25, (i % 3) + 1),
  )

  test('stand in the place of their calls, with attributes and defaults, run and compiled', async () => {
    await check(model, { x }, { y: expected })
    const compiled = loadOnnx(onnxModel(model)).compile({ inputShape: [3] })
    expect(largestError(compiled.run(Float32Array.from(x.data as number[])), expected)).toBeLessThan(1e-6)
    expect(
      loadOnnx(onnxModel(model))
        .namedParameters()
        .map(([name]) => name),
    ).toEqual(['b'])
  })

  test('an output may be an input, an input may be left out', () => {
    const functions: TestFunction[] = [
      {
        domain: 'local',
        name: 'Clipped',
        inputs: ['v', 'low', 'high'],
        outputs: ['v', 'w'],
        nodes: [op('Clip', ['v', 'low', 'high'], ['w'])],
      },
    ]
    const nodes = [{ ...op('Clipped', ['x', 'low'], ['same', 'y']), domain: 'local' }]
    const result = loadOnnx(
      onnxModel({
        functions,
        nodes,
        inputs: { x: { shape: [3] } },
        outputs: ['same', 'y'],
        initializers: { low: of('float', [], 0) },
      }),
    ).run({ x: of('float', [3], -1, 0, 7) })
    expect([...result.same!.data]).toEqual([-1, 0, 7])
    expect([...result.y!.data]).toEqual([0, 0, 7])
  })

  test('nodes go by the opset of their function', async () => {
    // Softmax flattens behind its axis before opset 13
    const old: TestFunction = {
      domain: 'local',
      name: 'Old',
      inputs: ['v'],
      outputs: ['w'],
      opset: 11,
      nodes: [op('Softmax', ['v'], ['w'], { axis: 1 })],
    }
    const given = of('float', [1, 2, 2], 0, 0, 0, 0)
    const nodes = [{ ...op('Old', ['x'], ['y']), domain: 'local' }]
    const result = loadOnnx(onnxModel({ functions: [old], nodes, inputs: { x: { shape: [1, 2, 2] } } })).run({
      x: given,
    })
    expect([...result.y!.data]).toEqual([0.25, 0.25, 0.25, 0.25])
  })

  test.each([
    [
      'calls itself',
      [{ ...swish, nodes: [{ ...op('Swish', ['v'], ['w']), domain: 'local' }] }],
      /calls itself/,
    ],
    ['too many inputs', [{ ...swish, inputs: [] }], /gives the function "Swish" 1 inputs/],
  ])('%s', (_what, functions, message) => {
    const nodes = [{ ...op('Swish', ['x'], ['y']), domain: 'local' }]
    expect(() => loadOnnx(onnxModel({ functions, nodes, inputs: { x: { shape: [1] } } }))).toThrow(
      expect.objectContaining({ code: 'ERR_FORMAT', message: expect.stringMatching(message) }),
    )
  })

  test('functions that double what they call are refused', () => {
    const functions = Array.from({ length: 30 }, (_, i): TestFunction => {
      const inner = i === 29 ? { op: 'Neg' } : { op: `F${i + 1}`, domain: 'local' }
      return {
        domain: 'local',
        name: `F${i}`,
        inputs: ['v'],
        outputs: ['w'],
        nodes: [
          { ...inner, inputs: ['v'], outputs: ['u'] },
          { ...inner, inputs: ['u'], outputs: ['w'] },
        ],
      }
    })
    const nodes = [{ ...op('F0', ['x'], ['y']), domain: 'local' }]
    expect(() => loadOnnx(onnxModel({ functions, nodes, inputs: { x: { shape: [1] } } }))).toThrow(
      KerneletError,
    )
  })
})

describe('If', () => {
  const branch = (name: string, inputs: string[], out: string): { graph: TestGraph } => ({
    graph: { nodes: [op(name, inputs, [out])], outputs: { [out]: { shape: ['N', 2] } } },
  })
  const branches = {
    then_branch: branch('Add', ['x', 'w'], 'r'),
    else_branch: branch('Mul', ['x', 'w'], 'r'),
  }
  const w = of('float', [2], 2, 3)
  const x = of('float', [2, 2], 1, 2, 3, 4)

  test.each([
    [1, [3, 5, 5, 7]],
    [0, [2, 6, 6, 12]],
  ])('whose condition is the constant %d is one branch: its weights are trained', async (flag, expected) => {
    const model: TestModel = {
      nodes: [op('If', ['c'], ['y'], branches)],
      inputs: { x: { shape: ['N', 2] } },
      initializers: { c: of('bool', [], flag), w },
    }
    await check(model, { x }, { y: expected })
    const loaded = loadOnnx(onnxModel(model))
    expect([...loaded.compile({ inputShape: [2] }).run(Float32Array.from(x.data as number[]))]).toEqual(
      expected,
    )
    expect(loaded.namedParameters().map(([name]) => name)).toEqual(['w'])
  })

  test('a branch that is not taken may hold anything', () => {
    const model: TestModel = {
      nodes: [op('If', ['c'], ['y'], { ...branches, else_branch: branch('Nonsense', ['x'], 'r') })],
      inputs: { x: { shape: ['N', 2] } },
      initializers: { c: of('bool', [], 1), w },
    }
    expect([...loadOnnx(onnxModel(model)).run({ x }).y!.data]).toEqual([3, 5, 5, 7])
  })

  test('whose condition depends on the shape is compiled, on the numbers is run', async () => {
    const model = (nodes: TestNode[]): TestModel => ({
      nodes: [...nodes, op('If', ['c'], ['y'], branches)],
      inputs: { x: { shape: ['N', 2] } },
      initializers: { w, two: int64s(2), zero: of('float', [], 0), one: int64s(1) },
    })
    const byShape = model([
      op('Shape', ['x'], ['s']),
      op('Gather', ['s', 'one'], ['g']),
      op('Equal', ['g', 'two'], ['c']),
    ])
    await check(byShape, { x }, { y: [3, 5, 5, 7] })
    const compiled = loadOnnx(onnxModel(byShape)).compile({ inputShape: [2] })
    expect([...compiled.run(Float32Array.from(x.data as number[]))]).toEqual([3, 5, 5, 7])
    const byNumbers = model([
      op('ReduceMax', ['x'], ['m'], { keepdims: 0 }),
      op('Greater', ['m', 'zero'], ['c']),
    ])
    await check(byNumbers, { x }, { y: [3, 5, 5, 7] })
    await check(byNumbers, { x: of('float', [1, 2], -1, -2) }, { y: [-2, -6] })
  })

  test('branches in branches, with constants and names of their own', async () => {
    const inner: TestGraph = {
      nodes: [op('Add', ['x', 'k'], ['k2']), op('Mul', ['k2', 'outer'], ['r'])],
      outputs: { r: { shape: ['N', 2] } },
      initializers: { k: of('float', [1], 10) },
    }
    const other: TestGraph = { ...inner, initializers: { k: of('float', [1], 20) } }
    const model: TestModel = {
      nodes: [
        op('Relu', ['x'], ['outer']),
        op('ReduceMax', ['x'], ['m'], { keepdims: 0 }),
        op('Greater', ['m', 'zero'], ['c']),
        op('If', ['c'], ['y'], {
          then_branch: {
            graph: {
              nodes: [
                op('Less', ['m', 'ten'], ['c2']),
                op('If', ['c2'], ['z'], { then_branch: { graph: inner }, else_branch: { graph: other } }),
              ],
              outputs: { z: { shape: ['N', 2] } },
            },
          },
          else_branch: branch('Neg', ['x'], 'q'),
        }),
      ],
      inputs: { x: { shape: ['N', 2] } },
      initializers: { zero: of('float', [], 0), ten: of('float', [], 10) },
    }
    await check(model, { x }, { y: [11, 24, 39, 56] })
    await check(model, { x: of('float', [1, 2], 10, 20) }, { y: [300, 800] })
    await check(model, { x: of('float', [1, 2], -10, -20) }, { y: [10, 20] })
  })
})

describe('Loop', () => {
  /** v ← v · w + i, while the sum of v is below `limit`; gives every v. */
  const body: TestGraph = {
    inputs: { i: { type: 'int64', shape: [] }, go: { type: 'bool', shape: [] }, v: { shape: [1, 2] } },
    nodes: [
      op('Cast', ['i'], ['f'], { to: 1 }),
      op('Mul', ['v', 'w'], ['m']),
      op('Add', ['m', 'f'], ['next']),
      op('ReduceSum', ['next'], ['sum'], { keepdims: 0 }),
      op('Less', ['sum', 'limit'], ['on']),
      op('Identity', ['next'], ['row']),
    ],
    outputs: {
      on: { type: 'bool', shape: [] },
      next: { shape: [1, 2] },
      row: { shape: [1, 2] },
    },
  }
  const model = (inputs: string[], graph = body): TestModel => ({
    nodes: [op('Loop', inputs, ['y', 'rows'], { body: { graph } })],
    inputs: { x: { shape: [1, 2] } },
    outputs: ['y', 'rows'],
    initializers: {
      w: of('float', [2], 2, 1),
      limit: of('float', [], 50),
      n: of('int64', [], 3),
      none: of('int64', [], 0),
      no: of('bool', [], 0),
      yes: of('bool', [], 1),
    },
  })
  const x = of('float', [1, 2], 1, 2)

  test('by count, by condition, and not at all', async () => {
    await check(model(['n', 'yes', 'x']), { x }, { y: [12, 5], rows: [2, 2, 5, 3, 12, 5] })
    await check(model(['', 'yes', 'x']), { x }, { y: [58, 12], rows: [2, 2, 5, 3, 12, 5, 27, 8, 58, 12] })
    await check(model(['none', 'yes', 'x']), { x }, { y: [1, 2], rows: [] })
    await check(model(['n', 'no', 'x']), { x }, { y: [1, 2], rows: [] })
  })

  test('of a known count is compiled; what its end depends on the image is refused by name', () => {
    const counted: TestGraph = {
      ...body,
      nodes: [...body.nodes.slice(0, 3), op('Identity', ['go'], ['on'])],
      outputs: { on: { type: 'bool', shape: [] }, next: { shape: [1, 2] } },
    }
    const fixed = { ...model(['n', 'yes', 'x'], counted), outputs: ['y'] }
    fixed.nodes[0]!.outputs = ['y']
    const loaded = loadOnnx(onnxModel(fixed))
    expect([...loaded.compile({ inputShape: [2] }).run(Float32Array.of(1, 2))]).toEqual([12, 5])
    const open = loadOnnx(onnxModel({ ...model(['', 'yes', 'x']), outputs: ['y'] }))
    expect(() => open.compile({ inputShape: [2] })).toThrow(
      expect.objectContaining({
        code: 'ERR_UNSUPPORTED',
        message: expect.stringMatching(/node y.*run\(\)/s),
      }),
    )
  })

  test('without end is stopped', () => {
    const endless: TestGraph = {
      ...body,
      nodes: [
        op('Identity', ['go'], ['on']),
        op('Identity', ['v'], ['next']),
        op('Identity', ['v'], ['row']),
      ],
    }
    const loaded = loadOnnx(onnxModel(model(['', 'yes', 'x'], endless)))
    expect(() => loaded.run({ x })).toThrow(
      expect.objectContaining({ code: 'ERR_UNSUPPORTED', message: expect.stringMatching(/the most is/) }),
    )
  })
})

describe('Scan', () => {
  const body: TestGraph = {
    inputs: { s: { shape: ['N', 2] }, v: { shape: ['N', 2] } },
    nodes: [op('Add', ['s', 'v'], ['a']), op('Mul', ['a', 'w'], ['next']), op('Relu', ['next'], ['out'])],
    outputs: { next: { shape: ['N', 2] }, out: { shape: ['N', 2] } },
  }
  const model = (attributes: Record<string, number[]>): TestModel => ({
    nodes: [
      op('Scan', ['s0', 'x'], ['end', 'y'], { body: { graph: body }, num_scan_inputs: 1, ...attributes }),
    ],
    inputs: { s0: { shape: ['N', 2] }, x: { shape: ['A', 'B', 2] } },
    outputs: ['end', 'y'],
    initializers: { w: of('float', [2], 1, -1) },
  })
  const s0 = of('float', [1, 2], 10, 10)
  const x = of('float', [3, 1, 2], 1, 2, 3, 4, 5, 6)
  const sideways = of('float', [1, 3, 2], 1, 2, 3, 4, 5, 6)

  test('either way, along any axis', async () => {
    await check(model({}), { s0, x }, { end: [19, -14], y: [11, 0, 14, 8, 19, 0] })
    await check(
      model({ scan_input_axes: [1], scan_output_axes: [1] }),
      { s0, x: sideways },
      { end: [19, -14], y: [11, 0, 14, 8, 19, 0] },
    )
    await check(
      model({ scan_input_directions: [1], scan_output_directions: [1] }),
      { s0, x },
      { end: [19, -14], y: [19, 0, 18, 12, 15, 0] },
    )
  })

  test('is unrolled in a compiled model', () => {
    const one: TestModel = {
      nodes: [
        op('Mul', ['x', 'zero'], ['z']),
        op('ReduceMax', ['z'], ['s0'], { axes: [1], keepdims: 0 }),
        op('Scan', ['s0', 'x'], ['end', 'y'], {
          body: { graph: body },
          num_scan_inputs: 1,
          scan_input_axes: [1],
          scan_output_axes: [-2],
        }),
      ],
      inputs: { x: { shape: ['N', 5, 2] } },
      outputs: ['y'],
      initializers: { w: of('float', [2], 1, -1), zero: of('float', [], 0) },
    }
    const loaded = loadOnnx(onnxModel(one))
    const given = new Tensor(noise(20), [2, 5, 2])
    expect(loaded.compile({ inputShape: [5, 2] }).run(given)).toEqual(loaded.forward(given).data)
  })
})

test('everything that is missing is told at once, with its nodes and what to do', () => {
  const bytes = onnxModel({
    nodes: [
      { ...op('Foo', ['x'], ['a']), name: 'first' },
      { ...op('Foo', ['a'], ['b']), name: 'second' },
      { ...op('FancyGelu', ['b'], ['c']), domain: 'com.microsoft' },
      op('Flatten', ['c'], ['d'], { shape: [1] }),
      op('Bar', ['d'], ['y']),
    ],
    inputs: { x: { shape: [1, 2] } },
  })
  expect(() => loadOnnx(bytes)).toThrow(
    expect.objectContaining({
      code: 'ERR_UNSUPPORTED',
      message: [
        'ONNX bytes, of opset 17, has what is not supported:',
        'the operator Foo: nodes "first", "second"',
        'the operator FancyGelu of "com.microsoft": node "c"',
        'the operator Bar: node "y"',
        'node d (Flatten, opset 17): attribute "shape" is not supported',
        "Where onnxruntime's optimiser wrote them, use the model from before.",
      ].join('\n'),
    }),
  )
})

test('graphs that lie in each other without end are refused', () => {
  let graph: TestGraph = { nodes: [op('Neg', ['x'], ['r'])], outputs: ['r'] }
  for (let i = 0; i < 20; i++) {
    graph = { nodes: [op('If', ['c'], ['r'], { then_branch: { graph } })], outputs: ['r'] }
  }
  const model = modelProto({
    nodes: [op('If', ['c'], ['y'], { then_branch: { graph } })],
    inputs: { x: { shape: [1] } },
    initializers: { c: list('bool', 1) },
  })
  expect(() => loadOnnx(encode(model))).toThrow(
    expect.objectContaining({ code: 'ERR_FORMAT', message: expect.stringMatching(/16 deep/) }),
  )
})
