/** Special values and shapes of ONNX operators: slopes, scalars, NaN, nothing at all, ends of the range. */
import { describe, expect, test } from 'vitest'
import { loadOnnx, Tensor } from '../lib/index.ts'
import {
  type AttributeValue,
  int64s,
  list,
  type Numbers,
  numbersOf,
  of,
  onnxModel,
  runOperator,
  type Type,
} from './onnx-models.ts'

const { NaN: nan, POSITIVE_INFINITY: inf } = Number

describe('PRelu', () => {
  const x = Float32Array.from({ length: 120 }, (_, i) => Math.sin(1.7 * i))
  const shape = [2, 3, 4, 5]

  test.each<[number[]]>([
    [[4, 1]],
    [[5]],
    [[1, 5]],
    [[4, 5]],
    [[3, 1, 1]],
    [[3, 4, 1]],
    [[1, 3, 1, 1]],
    [[1]],
    [[]],
    [[1, 1, 1, 5]],
  ])('slopes of %j broadcast', (slopes) => {
    const count = slopes.reduce((product, size) => product * size, 1)
    const a = Float32Array.from({ length: count }, (_, i) => 0.25 * (i + 1))
    const full = [1, 1, 1, 1, ...slopes].slice(-4)
    const expected = x.map((value, i) => {
      const index = [Math.floor(i / 60), Math.floor(i / 20) % 3, Math.floor(i / 5) % 4, i % 5]
      const at = index.reduce((sum, one, d) => sum * full[d]! + (full[d] === 1 ? 0 : one), 0)
      return value < 0 ? value * a[at]! : value
    })
    const model = loadOnnx(
      onnxModel({
        nodes: [{ op: 'PRelu', inputs: ['x', 'a'] }],
        inputs: { x: { shape: ['N', 3, 4, 5] } },
        initializers: { a: { shape: slopes, data: a } },
      }),
    )
    expect(model.run({ x: new Tensor(x, shape) }).y!.data).toEqual(expected)
    using compiled = model.compile()
    expect(compiled.run(x)).toEqual(expected)
  })

  test('slopes of another shape', () => {
    const slopes = (size: number[]) =>
      runOperator('PRelu', [
        of('float', [2, 1], -1, -2),
        of('float', size, ...Array(size.reduce((p, s) => p * s, 1)).fill(3)),
      ])
    expect(runOperator('PRelu', [of('float', [2, 1], -1, -2), of('float', [2, 1], 3, 5)])[0]).toEqual(
      new Tensor(Float32Array.of(-3, -10), [2, 1]),
    )
    expect(() => slopes([2])).toThrow(/slopes of 2 do not broadcast to the 2×1 of its input/)
    expect(() => slopes([1, 2, 1])).toThrow(/do not broadcast/)
  })
})

describe('scalars', () => {
  const one = of('float', [], 5)

  test('get dimensions', () => {
    expect(runOperator('Reshape', [one, int64s(-1)])[0]).toEqual(new Tensor(Float32Array.of(5), [1]))
    expect(runOperator('Reshape', [one, int64s(1, 1)])[0]!.shape).toEqual([1, 1])
    expect(runOperator('Unsqueeze', [one, int64s(0)])[0]!.shape).toEqual([1])
    expect(runOperator('Unsqueeze', [one, int64s(0, 1)])[0]!.shape).toEqual([1, 1])
    expect(runOperator('Reshape', [list('float', 5), int64s()])[0]!.shape).toEqual([])
    expect(runOperator('Squeeze', [list('float', 5)])[0]!.shape).toEqual([])
    expect(runOperator('Flatten', [one], { axis: 0 })[0]!.shape).toEqual([1, 1])
    expect(runOperator('Expand', [one, int64s(2)])[0]).toEqual(new Tensor(Float32Array.of(5, 5), [2]))
  })

  test('and go on', () => {
    const bytes = onnxModel({
      nodes: [
        { op: 'ReduceSum', inputs: ['x'], outputs: ['sum'], attributes: { keepdims: 0 } },
        { op: 'Unsqueeze', inputs: ['sum', 'zero'], outputs: ['list'] },
        { op: 'Concat', inputs: ['list', 'list'], outputs: ['two'], attributes: { axis: 0 } },
        { op: 'Gather', inputs: ['two', 'index'], outputs: ['y'] },
      ],
      inputs: { x: { shape: [2] } },
      initializers: { zero: int64s(0), index: of('int64', [], 1) },
      outputs: ['list', 'two', 'y'],
    })
    const results = loadOnnx(bytes).run({ x: { data: [1, 2], shape: [2] } })
    expect(Object.values(results).map(({ shape, data }) => [shape, [...data]])).toEqual([
      [[1], [3]],
      [[2], [3, 3]],
      [[], [3]],
    ])
  })

  test.each(['Gather', 'Concat', 'Split', 'Slice'])('%s takes none', (op) => {
    const more =
      op === 'Gather' ? [int64s(0)] : op === 'Slice' ? [int64s(0), int64s(1)] : op === 'Concat' ? [one] : []
    const attributes: Record<string, AttributeValue> = op === 'Slice' ? {} : { axis: 0 }
    const expected = /takes a tensor of at least one dimension but gets a scalar/
    expect(() => runOperator(op, [one, ...more], attributes, 13)).toThrow(expected)
  })
})

describe('NaN', () => {
  test('a maximum over a window with NaN is NaN, at the place of the last', () => {
    const x = of('float', [1, 1, 6], 1, nan, 2, nan, 3, 4)
    const [y, places] = runOperator('MaxPool', [x], { kernel_shape: [3] }, 18, 2)
    expect([...y!.data]).toEqual([nan, nan, nan, nan])
    expect(places!.data).toEqual(BigInt64Array.of(1n, 3n, 3n, 3n))
    expect(numbersOf('MaxPool', [x], { kernel_shape: [3] })).toEqual([nan, nan, nan, nan])
    const doubles = of('double', [1, 1, 3], nan, 2, 3)
    expect(numbersOf('MaxPool', [doubles], { kernel_shape: [2] })).toEqual([nan, 3])
  })

  test('over three dimensions too', () => {
    const data = Array.from({ length: 16 }, (_, i) => (i === 5 ? nan : i))
    const [y, places] = runOperator(
      'MaxPool',
      [of('float', [1, 1, 4, 2, 2], ...data)],
      { kernel_shape: [2, 2, 2] },
      18,
      2,
    )
    expect([...y!.data]).toEqual([nan, nan, 15])
    expect(places!.data).toEqual(BigInt64Array.of(5n, 5n, 15n))
  })

  test('windows of −∞ are −∞, at their first place', () => {
    const [y, places] = runOperator(
      'MaxPool',
      [of('float', [1, 1, 3], -inf, -inf, -inf)],
      { kernel_shape: [2] },
      18,
      2,
    )
    expect([...y!.data]).toEqual([-inf, -inf])
    expect(places!.data).toEqual(BigInt64Array.of(0n, 1n))
  })

  test('in reductions, extremes and bounds', () => {
    const x = list('float', 1, nan, 2)
    for (const op of ['ReduceMax', 'ReduceMin', 'ReduceSum']) expect(numbersOf(op, [x])).toEqual([nan])
    expect(numbersOf('Max', [x, list('float', nan, 1, 1)])).toEqual([nan, nan, 2])
    expect(numbersOf('Min', [x, list('float', nan, 1, 1)])).toEqual([nan, nan, 1])
    expect(numbersOf('Clip', [x, of('float', [], 0), of('float', [], 1)])).toEqual([1, nan, 1])
    expect(numbersOf('Clip', [list('double', nan), of('double', [], 0)])).toEqual([nan])
  })
})

describe('reductions of nothing', () => {
  test.each<[string, Type, (number | bigint)[]]>([
    ['ReduceMax', 'float', [-inf, -inf]],
    ['ReduceMin', 'float', [inf, inf]],
    ['ReduceMax', 'double', [-inf, -inf]],
    ['ReduceMax', 'int64', [-(2n ** 63n), -(2n ** 63n)]],
    ['ReduceMin', 'int64', [2n ** 63n - 1n, 2n ** 63n - 1n]],
    ['ReduceMax', 'uint8', [0, 0]],
    ['ReduceMin', 'int8', [127, 127]],
    ['ReduceMax', 'bool', [0, 0]],
    ['ReduceMin', 'bool', [1, 1]],
    ['ReduceSum', 'float', [0, 0]],
    ['ReduceSum', 'int64', [0n, 0n]],
    ['ReduceProd', 'float', [1, 1]],
    ['ReduceProd', 'int32', [1, 1]],
    ['ReduceMean', 'float', [nan, nan]],
  ])('%s of %s', (op, type, expected) => {
    expect(numbersOf(op, [of(type, [2, 0]), int64s(1)], { keepdims: 0 })).toEqual(expected)
  })

  test('there is no mean of no integers', () => {
    expect(() => runOperator('ReduceMean', [of('int32', [2, 0]), int64s(1)])).toThrow(
      /there is no mean of no numbers of int32/,
    )
    expect(() => runOperator('ReduceMax', [of('float', [2, 2], 1, 2, 3, 4), int64s(0, 0)])).toThrow(
      /two axes are the same/,
    )
  })
})

describe('powers and roots, run and compiled', () => {
  const bases = [
    0,
    -0,
    1,
    -1,
    0.5,
    -0.5,
    2,
    -2,
    3,
    -7,
    1e-45,
    -1e-45,
    1e-38,
    3.4e38,
    -3.4e38,
    1e19,
    inf,
    -inf,
    nan,
  ]
  const x = Float32Array.from(bases)

  const compute = (op: string, initializers: Record<string, Numbers>) => {
    const inputs = ['x', ...Object.keys(initializers)]
    const model = loadOnnx(
      onnxModel({ nodes: [{ op, inputs }], inputs: { x: { shape: ['N', 1] } }, initializers }),
    )
    using compiled = model.compile()
    const results = [model.run({ x: new Tensor(x, [x.length, 1]) }).y!.data, compiled.run(x).slice()] as const
    return results
  }

  test('Sqrt', () => {
    for (const y of compute('Sqrt', {})) expect(y).toEqual(Float32Array.from(x, Math.sqrt))
  })

  test.each([0, 1, -1, 2, -2, 3, -3, 4, 5, -5, 0.25, 1.5, -1.5, 99, 2 ** 23 + 1, 2 ** 30])(
    'Pow %d',
    (exponent) => {
      const results = compute('Pow', { e: of('float', [], exponent) })
      expect(results[0]).toEqual(results[1])
      for (const [i, base] of x.entries()) {
        const want = Math.fround(base ** exponent)
        const y = results[0][i]!
        if (want === 0 || !Number.isFinite(want)) expect([base, y]).toEqual([base, want])
        else expect(Math.abs(y / want - 1)).toBeLessThan(3e-5)
      }
    },
  )

  test('of arrays', () => {
    const exponents = list('float', 3, 3, 0.5, -1, 0)
    expect(numbersOf('Pow', [list('float', -0, -2, -4, -0, nan), exponents])).toEqual([-0, -8, nan, -inf, 1])
    const ones = list('double', 1, 1, -1, -1)
    expect(numbersOf('Pow', [ones, list('double', inf, nan, -inf, nan)])).toEqual([1, 1, 1, nan])
    expect(numbersOf('Pow', [list('float', 2, 3), int64s(10, 3)])).toEqual([1024, 27])
    expect(numbersOf('Pow', [list('int32', 2, 9), list('float', 0.5, 0.5)])).toEqual([1, 3])
  })
})

describe('a model saved in training mode says so', () => {
  const advice =
    /the model was saved in training mode\. Export it for evaluation, as after model\.eval\(\) in PyTorch/

  test('by its batch norms', () => {
    const one = (data: number) => list('float', data)
    const bytes = onnxModel({
      nodes: [
        {
          op: 'BatchNormalization',
          inputs: ['x', 'w', 'b', 'm', 'v'],
          outputs: ['y', 'mean', 'variance'],
          attributes: { training_mode: 1 },
        },
      ],
      inputs: { x: { shape: ['N', 1, 4] } },
      initializers: { w: one(1), b: one(0), m: one(0), v: one(1) },
    })
    const model = loadOnnx(bytes, { output: 'y' })
    expect(() => model.compile()).toThrow(advice)
    expect(() => model.compile()).toThrow(/attribute training_mode=1/)
  })

  test('by its dropout', () => {
    const bytes = onnxModel({
      nodes: [{ op: 'Dropout', inputs: ['x', 'ratio', 'training'] }],
      inputs: { x: { shape: ['N', 4] } },
      initializers: { ratio: of('float', [], 0.5), training: of('bool', [], 1) },
    })
    expect(() => loadOnnx(bytes).compile()).toThrow(advice)
    expect(() => loadOnnx(bytes).run({ x: { data: [1, 2, 3, 4], shape: [1, 4] } })).toThrow(
      /training_mode is true/,
    )
  })
})
