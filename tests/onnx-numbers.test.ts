/** Integers and doubles in ONNX models, each computed in its own type: as NumPy and the specification have it. */
import { describe, expect, test } from 'vitest'
import { loadOnnx, OnnxArray, Tensor } from '../lib/index.ts'
import { int64s, list, numbersOf, of, onnxModel, runOperator, type Type } from './onnx-models.ts'

describe('integers wrap in their own width', () => {
  test.each<[string, Type, (number | bigint)[], (number | bigint)[], (number | bigint)[]]>([
    ['Sub', 'uint8', [3, 10], [10, 3], [249, 7]],
    ['Add', 'uint8', [200], [100], [44]],
    ['Add', 'int8', [100, -100], [100, -100], [-56, 56]],
    ['Mul', 'int16', [300], [300], [24464]],
    ['Sub', 'uint16', [0], [1], [65535]],
    ['Mul', 'int32', [100000, 2 ** 31 - 1], [100000, 2 ** 31 - 1], [1410065408, 1]],
    ['Mul', 'uint32', [4294967295, 4294967295], [2, 4294967295], [4294967294, 1]],
    ['Add', 'int64', [2n ** 53n, 2n ** 63n - 1n], [1n, 1n], [2n ** 53n + 1n, -(2n ** 63n)]],
    ['Mul', 'int64', [2n ** 62n, 3037000500n], [4n, 3037000500n], [0n, 3037000500n ** 2n - 2n ** 64n]],
    ['Sub', 'uint64', [0n], [1n], [2n ** 64n - 1n]],
    ['Div', 'int32', [-7, 7, -(2 ** 31), 5], [2, -2, -1, 0], [-3, -3, -(2 ** 31), 0]],
    ['Div', 'int64', [-7n, 2n ** 62n + 1n, 5n], [2n, 1n, 0n], [-3n, 2n ** 62n + 1n, 0n]],
    ['Div', 'uint8', [255], [2], [127]],
    ['Mod', 'int64', [-4n, 7n, 2n ** 62n + 1n, 3n], [3n, -3n, 2n, 0n], [2n, -2n, 1n, 0n]],
    ['Mod', 'int32', [-4, 7, 5], [3, -3, 0], [2, -2, 0]],
    ['Max', 'int64', [2n ** 60n, -1n], [2n ** 60n + 1n, -2n], [2n ** 60n + 1n, -1n]],
    ['Min', 'uint64', [2n ** 63n], [1n], [1n]],
    ['Pow', 'int32', [3, -2, 5, 7], [40, 3, -1, 0], [Number(BigInt.asIntN(32, 3n ** 40n)), -8, 0, 1]],
    ['Pow', 'int64', [3n, -1n, 1n], [39n, -3n, -5n], [3n ** 39n, -1n, 1n]],
    ['PRelu', 'int32', [-3, 4], [100000, 9], [-300000, 4]],
    ['PRelu', 'int64', [-(2n ** 40n)], [3n], [-3n * 2n ** 40n]],
    ['Sum', 'uint8', [250], [10], [4]],
  ])('%s of %s', (op, type, a, b, expected) => {
    const [y] = runOperator(op, [list(type, ...a), list(type, ...b)])
    expect(y).toBeInstanceOf(OnnxArray)
    expect((y as OnnxArray).dtype).toBe(type)
    expect([...(y!.data as Iterable<number | bigint>)]).toEqual(expected)
  })

  test('of one input', () => {
    expect(numbersOf('Neg', [list('int8', -128, 5)])).toEqual([-128, -5])
    expect(numbersOf('Abs', [list('int8', -128, -5)])).toEqual([-128, 5])
    expect(numbersOf('Neg', [list('int64', 2n ** 60n + 1n)])).toEqual([-(2n ** 60n) - 1n])
    expect(numbersOf('Sign', [list('int64', -5n, 0n, 2n ** 62n)])).toEqual([-1n, 0n, 1n])
    expect(numbersOf('Relu', [list('int64', -5n, 2n ** 62n + 1n)])).toEqual([0n, 2n ** 62n + 1n])
    expect(numbersOf('Clip', [list('uint8', 3, 200), of('uint8', [], 5)])).toEqual([5, 200])
    expect(numbersOf('Clip', [list('int64', -9n, 2n ** 60n + 1n), of('int64', [], -1n)])).toEqual([
      -1n,
      2n ** 60n + 1n,
    ])
  })

  test('sums, products and means', () => {
    const flat = { keepdims: 0 }
    expect(numbersOf('ReduceSum', [list('int64', 2n ** 53n, 1n)], flat)).toEqual([2n ** 53n + 1n])
    expect(numbersOf('ReduceSum', [list('int32', 2 ** 31 - 1, 1)], flat)).toEqual([-(2 ** 31)])
    expect(numbersOf('ReduceSum', [list('uint32', 2 ** 32 - 1, 2)], flat)).toEqual([1])
    expect(numbersOf('ReduceProd', [list('int64', 3037000500n, 3037000500n)], flat)).toEqual([
      3037000500n ** 2n - 2n ** 64n,
    ])
    expect(numbersOf('ReduceProd', [list('int32', 65537, 65537)], flat)).toEqual([131073])
    expect(numbersOf('ReduceMean', [list('int32', -3, -4)], flat)).toEqual([-3])
    expect(numbersOf('ReduceMean', [list('int64', 2n ** 62n, 2n ** 62n, 2n ** 62n)], flat)).toEqual([
      2n ** 62n,
    ])
    expect(numbersOf('ReduceMax', [list('int64', 2n ** 60n, 2n ** 60n + 1n)], flat)).toEqual([2n ** 60n + 1n])
    expect(numbersOf('ReduceMin', [list('uint8', 200, 100)], flat)).toEqual([100])
  })

  test('products of matrices', () => {
    const a = of('int32', [2, 2], 100000, 1, 2, 3)
    const [y] = runOperator('MatMul', [a, of('int32', [2, 1], 100000, 7)])
    expect({ shape: y!.shape, data: [...y!.data] }).toEqual({ shape: [2, 1], data: [1410065415, 200021] })
    expect(numbersOf('MatMul', [list('int64', 2n ** 53n, 1n), list('int64', 1n, 1n)])).toEqual([
      2n ** 53n + 1n,
    ])
    const stacked = runOperator('MatMul', [of('int32', [2, 1, 2], 1, 2, 3, 4), list('int32', 5, 6)])[0]!
    expect({ shape: stacked.shape, data: [...stacked.data] }).toEqual({ shape: [2, 1], data: [17, 39] })
    expect(() => runOperator('MatMul', [a, of('int32', [3, 1], 1, 2, 3)])).toThrow(/cannot be multiplied/)
  })

  test('ranges', () => {
    const range = (type: Type, ...data: (number | bigint)[]) =>
      numbersOf(
        'Range',
        data.map((one) => of(type, [], one)),
      )
    expect(range('int64', 2n ** 60n + 1n, 2n ** 60n + 6n, 2n)).toEqual(
      [1n, 3n, 5n].map((one) => 2n ** 60n + one),
    )
    expect(range('int64', 5n, 0n, -2n)).toEqual([5n, 3n, 1n])
    expect(range('int64', 5n, 0n, 2n)).toEqual([])
    expect(range('int32', 0, 7, 3)).toEqual([0, 3, 6])
    expect(range('double', 0, 0.3, 0.1)).toEqual([0, 0.1, 0.2])
    expect(range('float', 1, 2, 0.5)).toEqual([1, 1.5])
  })

  test('moved about without loss', () => {
    const [a, b] = [2n ** 53n + 1n, -(2n ** 63n)]
    const x = of('int64', [2, 1], a, b)
    expect(numbersOf('Transpose', [x])).toEqual([a, b])
    expect(numbersOf('Concat', [x, x], { axis: 1 })).toEqual([a, a, b, b])
    expect(numbersOf('Gather', [x, int64s(1, 0)])).toEqual([b, a])
    expect(numbersOf('Expand', [x, int64s(2, 2)])).toEqual([a, a, b, b])
    expect(numbersOf('Tile', [x, int64s(2, 1)])).toEqual([a, b, a, b])
    expect(numbersOf('Pad', [list('int64', a), int64s(1, 1), of('int64', [], b)])).toEqual([b, a, b])
    expect(numbersOf('Pad', [list('int64', a), int64s(1, 0)])).toEqual([0n, a])
    expect(numbersOf('Where', [list('bool', 1, 0), list('int64', a, a), list('int64', b, b)])).toEqual([a, b])
    expect(numbersOf('Slice', [list('int64', a, b), int64s(1), int64s(2)])).toEqual([b])
    expect(numbersOf('ReduceMax', [x, int64s(1)])).toEqual([a, b])
    expect(numbersOf('Equal', [list('int64', a), list('int64', a - 1n)])).toEqual([0])
    expect(numbersOf('Less', [list('uint64', 2n ** 63n), list('uint64', 2n ** 63n + 1n)])).toEqual([1])
  })

  test('tiling along several dimensions', () => {
    const [y] = runOperator('Tile', [of('float', [2, 1, 2], 1, 2, 3, 4), int64s(1, 2, 2)])
    expect(y!.shape).toEqual([2, 2, 4])
    expect([...y!.data]).toEqual([1, 2, 1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4, 3, 4])
    expect(runOperator('Tile', [of('float', [2], 1, 2), int64s(0)])[0]!.shape).toEqual([0])
  })
})

describe('doubles', () => {
  test.each<[string, number[][], number[]]>([
    [
      'Add',
      [
        [0.1, 1e200],
        [0.2, 1e200],
      ],
      [0.30000000000000004, 2e200],
    ],
    [
      'Mul',
      [
        [1e-200, 3],
        [1e-50, 1 / 3],
      ],
      [1e-250, 1],
    ],
    [
      'Div',
      [
        [1, 1],
        [3, 0],
      ],
      [1 / 3, Infinity],
    ],
    ['Sub', [[1], [1e-16]], [0.9999999999999999]],
    [
      'Max',
      [
        [1e300, NaN],
        [1, 1],
      ],
      [1e300, NaN],
    ],
    [
      'Pow',
      [
        [10, 2],
        [300, 0.5],
      ],
      [1e300, Math.SQRT2],
    ],
    [
      'PRelu',
      [
        [-1e200, 1e200],
        [3, 3],
      ],
      [-3e200, 1e200],
    ],
    ['Sqrt', [[2, 1e300]], [Math.SQRT2, 1e150]],
    ['Exp', [[700]], [Math.exp(700)]],
    ['Log', [[1e300]], [Math.log(1e300)]],
    ['Sigmoid', [[-700]], [1 / (1 + Math.exp(700))]],
    ['Tanh', [[0.1]], [Math.tanh(0.1)]],
    ['Relu', [[-1e300, 1e300, NaN]], [0, 1e300, NaN]],
    ['LeakyRelu', [[-1e300]], [-1e300 * Math.fround(0.01)]],
    ['Elu', [[-1e-12]], [Math.expm1(-1e-12)]],
    ['HardSigmoid', [[0.1, 9]], [Math.fround(0.2) * 0.1 + 0.5, 1]],
    ['HardSwish', [[1e300, -5]], [1e300, -0]],
    ['Abs', [[-1e300]], [1e300]],
    ['Reciprocal', [[2 ** -1000]], [2 ** 1000]],
    ['Floor', [[1e300, -0.5]], [1e300, -1]],
    ['ReduceSum', [[0.1, 0.2]], [0.30000000000000004]],
    ['ReduceMean', [[1e300, 1e300]], [1e300]],
  ])('%s', (op, given, expected) => {
    const [y] = runOperator(
      op,
      given.map((one) => list('double', ...one)),
    )
    expect(y!.data).toEqual(Float64Array.from(expected))
    expect((y as OnnxArray).dtype).toBe('float64')
  })

  test('Clip', () => {
    const x = list('double', -1e300, 0.1, 1e300)
    expect(numbersOf('Clip', [x, of('double', [], -1e299)])).toEqual([-1e299, 0.1, 1e300])
  })

  test('a pool of doubles', () => {
    const x = of('double', [1, 1, 3], 0.1, 1e300, 0.3)
    expect(numbersOf('MaxPool', [x], { kernel_shape: [2] })).toEqual([1e300, 1e300])
    expect(numbersOf('AveragePool', [x], { kernel_shape: [2], strides: [2] })).toEqual([(0.1 + 1e300) / 2])
  })

  const conv = (data: number[], extra: object = {}) =>
    onnxModel({
      nodes: [
        { op: 'Conv', inputs: ['x', 'w'], outputs: ['c'] },
        { op: 'Mul', inputs: ['c', 's'], outputs: ['y'] },
      ],
      inputs: { x: { type: 'double', shape: ['N', 1, 2, 2] } },
      initializers: {
        w: of('double', [1, 1, 2, 2], ...data),
        s: of('double', [1, 1, 1], 2),
        ...extra,
      },
    })

  test('through a layer they are float32, and doubles again in the end', () => {
    const model = loadOnnx(conv([0.1, 1, 1, 1]))
    expect(model.inputs).toEqual([{ name: 'x', type: 'double', dtype: 'float64', shape: ['N', 1, 2, 2] }])
    expect(model.outputs[0]?.dtype).toBe('float64')
    const { y } = model.run<OnnxArray>({ x: { data: [1, 0, 0, 0], shape: [1, 1, 2, 2] } })
    expect(y!.data).toEqual(Float64Array.of(2 * Math.fround(0.1)))
    // both weights learn
    expect([...model.stateDict().keys()]).toEqual(['w', 's'])
    using compiled = model.compile()
    expect([...compiled.run(Float32Array.of(1, 0, 0, 0))]).toEqual([...y!.data])
  })

  test('beyond float32 they are refused by the name of the weight', () => {
    expect(() => loadOnnx(conv([1, 2, 1e39, 4]))).toThrow(
      /^initializer "w": the double 1e\+39 is beyond float32, in which this is computed/,
    )
    expect(() => loadOnnx(conv([1, 2, 3, 4], { s: of('double', [1, 1, 1], -1e300) }))).toThrow(
      /initializer "s": the double -1e\+300/,
    )
    expect(
      loadOnnx(conv([1, 2, Infinity, 4]))
        .stateDict()
        .get('w')?.data[2],
    ).toBe(Infinity)
    const x = { data: [1e40, 0, 0, 0], shape: [1, 1, 2, 2] }
    expect(() => loadOnnx(conv([1, 2, 3, 4])).run({ x })).toThrow(
      /^node c \(Conv, opset 17\): the double 1e\+40 is beyond float32/,
    )
    for (const op of ['Gemm', 'MatMul']) {
      const bytes = onnxModel({
        nodes: [{ op, inputs: ['x', 'w'] }],
        inputs: { x: { type: 'double', shape: ['N', 1] } },
        initializers: { w: of('double', [1, 1], 1e39) },
      })
      expect(() => loadOnnx(bytes)).toThrow(/initializer "w": the double 1e\+39 is beyond float32/)
    }
    const constant = onnxModel({
      nodes: [
        {
          op: 'Constant',
          inputs: [],
          outputs: ['w'],
          attributes: { value: { tensor: of('double', [1, 1], 1e39) } },
        },
        { op: 'MatMul', inputs: ['x', 'w'] },
      ],
      inputs: { x: { shape: ['N', 1] } },
    })
    expect(() => loadOnnx(constant).compile()).toThrow(/node y \(MatMul.*the double 1e\+39 is beyond float32/)
  })

  test('that go through arithmetic alone are not', () => {
    const bytes = onnxModel({
      nodes: [
        { op: 'Mul', inputs: ['x', 'w'], outputs: ['m'] },
        { op: 'Div', inputs: ['m', 'w'], outputs: ['d'] },
        { op: 'Cast', inputs: ['d'], outputs: ['y'], attributes: { to: 1 } },
      ],
      inputs: { x: { type: 'double', shape: [1] } },
      initializers: { w: list('double', 1e300) },
    })
    const { y } = loadOnnx(bytes).run({ x: { data: [0.1], shape: [1] } })
    expect(y).toBeInstanceOf(Tensor)
    expect([...y!.data]).toEqual([Math.fround(0.1)])
  })
})
