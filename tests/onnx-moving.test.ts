/** Operators that move and choose elements, by their definitions: types, shapes without elements, refusals. */
import { describe, expect, test } from 'vitest'
import { loadOnnx, Tensor } from '../lib/index.ts'
import { noise } from './helpers.ts'
import {
  int64s,
  list,
  type Numbers,
  numbersOf,
  of,
  onnxModel,
  runOperator,
  type Type,
} from './onnx-models.ts'

const types: Type[] = ['float', 'double', 'int8', 'uint8', 'int16', 'int32', 'int64', 'uint64', 'bool']
const bits = (type: Type, ...data: number[]): Numbers => of(type, [data.length], ...data)
const numbers = (list: (number | bigint)[]) => list.map(Number)

describe('every element type', () => {
  test.each(types)('%s', (type) => {
    const x = of(type, [2, 3], 1, 0, 1, 0, 1, 1)
    const of1 = (op: string, inputs: Numbers[], attributes = {}) => numbers(numbersOf(op, inputs, attributes))
    expect(of1('Gather', [x, int64s(2, 0)], { axis: 1 })).toEqual([1, 1, 1, 0])
    expect(of1('GatherElements', [x, of('int64', [1, 3], 1, 0, -1)], { axis: 0 })).toEqual([0, 0, 1])
    expect(of1('GatherND', [x, of('int64', [2, 2], 0, 1, 1, -1)])).toEqual([0, 1])
    expect(of1('ScatterElements', [x, of('int64', [1, 1], 1), of(type, [1, 1], 1)], { axis: 1 })).toEqual([
      1, 1, 1, 0, 1, 1,
    ])
    expect(of1('ScatterND', [x, of('int64', [1, 1], 1), of(type, [1, 3], 1, 0, 0)])).toEqual([
      1, 0, 1, 1, 0, 0,
    ])
    expect(of1('Tile', [x, int64s(1, 2)])).toEqual([1, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1])
    expect(of1('Expand', [bits(type, 1, 0), int64s(2, 2)])).toEqual([1, 0, 1, 0])
    expect(of1('Trilu', [of(type, [2, 2], 1, 1, 1, 1)])).toEqual([1, 1, 0, 1])
    expect(of1('Trilu', [of(type, [2, 2], 1, 1, 1, 1)], { upper: 0 })).toEqual([1, 0, 1, 1])
    expect(of1('ReverseSequence', [x, int64s(3, 2)], { time_axis: 1, batch_axis: 0 })).toEqual([
      1, 0, 1, 1, 0, 1,
    ])
    expect(of1('CenterCropPad', [x, int64s(2, 5)])).toEqual([0, 1, 0, 1, 0, 0, 0, 1, 1, 0])
    expect(of1('NonZero', [x])).toEqual([0, 0, 1, 1, 0, 2, 1, 2])
    expect(of1('Compress', [x, list('bool', 0, 1)], { axis: 1 })).toEqual([0, 1])
    expect(of1('Unique', [x])).toEqual([0, 1])
    const image = of(type, [1, 4, 1, 2], 1, 0, 0, 0, 1, 1, 0, 1)
    const shuffled = [1, 0, 0, 0, 1, 0, 1, 1]
    expect(of1('DepthToSpace', [image], { blocksize: 2 })).toEqual(shuffled)
    expect(of1('SpaceToDepth', [of(type, [1, 1, 2, 4], ...shuffled)], { blocksize: 2 })).toEqual(
      Array.from(image.data, Number),
    )
    if (type !== 'bool') {
      const [best, places] = runOperator('TopK', [x, int64s(2)], { axis: 1 }, 18, 2)
      expect(numbers([...(best!.data as Iterable<number>)])).toEqual([1, 1, 1, 1])
      expect([...(places!.data as BigInt64Array)]).toEqual([0n, 2n, 1n, 2n])
    }
  })

  test('integers of 64 bits stay exact', () => {
    const large = 2n ** 62n + 1n
    expect(
      numbersOf('ScatterElements', [list('int64', large), int64s(0), list('int64', 1n)], {
        reduction: 'add',
      }),
    ).toEqual([large + 1n])
    expect(numbersOf('TopK', [list('int64', large, large + 1n), int64s(1)])).toEqual([large + 1n])
    expect(numbersOf('Unique', [list('int64', large, large + 1n, large)])).toEqual([large, large + 1n])
  })

  test('narrow integers wrap, floats are rounded', () => {
    const add = (type: Type, a: number, b: number) =>
      numbersOf('ScatterElements', [list(type, a), int64s(0), list(type, b)], { reduction: 'add' })
    expect(add('uint8', 200, 100)).toEqual([44])
    expect(add('int8', 100, 100)).toEqual([-56])
    expect(add('float', 2 ** 24, 1)).toEqual([2 ** 24])
    expect(add('double', 2 ** 24, 1)).toEqual([2 ** 24 + 1])
  })
})

describe('nothing, and what is outside', () => {
  test('no elements', () => {
    const shape = (op: string, inputs: Numbers[], attributes = {}) =>
      runOperator(op, inputs, attributes).map((one) => one.shape)
    const empty = of('float', [0, 3])
    expect(shape('GatherElements', [empty, of('int64', [0, 2])], { axis: 1 })).toEqual([[0, 2]])
    expect(shape('GatherND', [of('float', [2, 3], 1, 2, 3, 4, 5, 6), of('int64', [0, 1])])).toEqual([[0, 3]])
    expect(shape('NonZero', [empty])).toEqual([[2, 0]])
    expect(shape('Unique', [of('float', [0])])).toEqual([[0]])
    expect(shape('Compress', [of('float', [2], 1, 2), list('bool', 0, 0)])).toEqual([[0]])
    expect(shape('Trilu', [of('float', [2, 0])])).toEqual([[2, 0]])
    expect(shape('ScatterElements', [empty, of('int64', [0, 3]), empty])).toEqual([[0, 3]])
  })

  test.each<[string, Numbers[], Record<string, number>, RegExp]>([
    ['Gather', [of('float', [2], 1, 2), int64s(2)], {}, /index 2 is outside a dimension of 2/],
    ['GatherElements', [of('float', [2], 1, 2), int64s(-3)], {}, /index -3 is outside/],
    ['GatherElements', [of('float', [1, 2], 1, 2), of('int64', [2, 1], 0, 0)], { axis: 1 }, /do not go with/],
    ['GatherND', [of('float', [2], 1, 2), of('int64', [1, 2], 0, 0)], {}, /do not go with/],
    ['GatherND', [of('float', [2, 2], 1, 2, 3, 4), of('int64', [2], 0, 5)], {}, /index 5 is outside/],
    [
      'GatherND',
      [of('float', [2, 2], 1, 2, 3, 4), of('int64', [3, 1], 0, 1, 0)],
      { batch_dims: 1 },
      /do not go/,
    ],
    ['ScatterND', [of('float', [2], 1, 2), of('int64', [1, 1], 0), of('float', [2], 1, 2)], {}, /updates of/],
    ['ScatterElements', [of('float', [2], 1, 2), int64s(7), of('float', [1], 1)], {}, /index 7 is outside/],
    ['TopK', [of('float', [2], 1, 2), int64s(3)], {}, /k is 3 of a dimension of 2/],
    ['DepthToSpace', [of('float', [1, 3, 1, 1], 1, 2, 3)], { blocksize: 2 }, /3 channels do not make/],
    ['DepthToSpace', [of('float', [1, 3, 1, 1], 1, 2, 3)], { blocksize: 0 }, /blocksize is 0/],
    ['SpaceToDepth', [of('float', [1, 1, 1, 3], 1, 2, 3)], { blocksize: 2 }, /no whole blocks/],
    ['ReverseSequence', [of('float', [1, 2], 1, 2), int64s(3, 1)], {}, /sequence_lens does not fit/],
    ['OneHot', [int64s(1), int64s(0), of('float', [2], 0, 1)], {}, /depth 0/],
    ['Trilu', [of('float', [2], 1, 2)], {}, /holds no matrices/],
    ['EyeLike', [of('float', [2], 1, 2)], {}, /is no matrix/],
  ])('%s %#', (op, inputs, attributes, message) => {
    expect(() => runOperator(op, inputs, attributes)).toThrow(
      expect.objectContaining({ message: expect.stringMatching(message) }),
    )
    try {
      runOperator(op, inputs, attributes)
    } catch (error) {
      expect((error as { code: string }).code).toMatch(/ERR_(SHAPE|FORMAT)/)
    }
  })
})

describe('compiled', () => {
  const compiled = (op: string, shape: number[], more: Record<string, Numbers>, attributes = {}) => {
    const x = new Tensor(noise(2 * shape.reduce((a, b) => a * b, 1)), [2, ...shape])
    const model = loadOnnx(
      onnxModel({
        opset: 18,
        nodes: [{ op, inputs: ['x', ...Object.keys(more)], attributes }],
        inputs: { x: { shape: ['N', ...shape] } },
        initializers: more,
      }),
    )
    const plan = model.compile()
    expect(plan.run(x)).toEqual(model.forward(x).data)
    return { x, y: model.forward(x) }
  }

  test('gathers of every kind of order', () => {
    for (const places of [
      [4, 3, 2, 1, 0],
      [0, 2, 4, 1, 3],
      [1, 1, 1],
      [-1, 0, 3],
      [0, 3, 1, 4, 2, 0],
    ]) {
      const { x, y } = compiled('Gather', [5, 2], { i: int64s(...places) }, { axis: 1 })
      expect(y.shape).toEqual([2, places.length, 2])
      for (const [i, value] of y.data.entries()) {
        const [k, at, n] = [i % 2, Math.floor(i / 2) % places.length, Math.floor(i / 2 / places.length)]
        expect(value).toBe(x.data[(n * 5 + ((places[at]! + 5) % 5)) * 2 + k])
      }
    }
  })

  test('expansions and tiles keep -0, infinities and NaN', () => {
    const special = Float32Array.of(-0, Number.POSITIVE_INFINITY, Number.NaN, 1e-45)
    const model = loadOnnx(
      onnxModel({
        nodes: [
          { op: 'Expand', inputs: ['x', 'shape'], outputs: ['e'] },
          { op: 'Tile', inputs: ['e', 'repeats'] },
        ],
        inputs: { x: { shape: ['N', 4, 1] } },
        initializers: { shape: int64s(1, 4, 2), repeats: int64s(1, 1, 2) },
      }),
    )
    const result = model.compile().run(special)
    for (let i = 0; i < 16; i++) expect(result[i]).toBe(special[Math.floor(i / 4)])
  })

  test('places that are known, in a model of one image', () => {
    const shape = [1, 3, 4, 2]
    const x = new Tensor(noise(24), shape)
    const some = of('float', [1, 4, 2], ...noise(8, 3))
    const cases: [string, string[], Record<string, Numbers>, Record<string, number>?][] = [
      [
        'GatherElements',
        ['x', 'i'],
        { i: of('int64', [1, 3, 2, 2], 0, 3, 1, 1, 2, 0, 0, 0, 3, 3, -1, 2) },
        { axis: 2 },
      ],
      ['GatherND', ['x', 'i'], { i: of('int64', [1, 2], 0, 1) }],
      ['GatherND', ['x', 'i'], { i: of('int64', [1, 3, 3], 0, 1, 2, 0, 0, 3, 0, 2, -4) }],
      ['GatherND', ['x', 'i'], { i: of('int64', [1, 2, 1], 2, 0) }, { batch_dims: 1 }],
      ['ScatterND', ['x', 'i', 'u'], { i: of('int64', [1, 2], 0, 1), u: some }],
      [
        'ScatterND',
        ['u', 'i', 'x'],
        { i: of('int64', [1, 1], 0), u: new Tensor(noise(24, 9), shape) as never },
      ],
      [
        'ScatterElements',
        ['x', 'i', 'u'],
        { i: of('int64', [1, 1, 4, 2], 0, 1, 2, 2, 1, 0, 0, 2), u: { ...some, shape: [1, 1, 4, 2] } },
        { axis: 1 },
      ],
      ['Trilu', ['x'], {}],
    ]
    for (const [op, inputs, initializers, attributes = {}] of cases) {
      const model = loadOnnx(
        onnxModel({
          opset: 18,
          nodes: [{ op, inputs, attributes }],
          inputs: { x: { shape } },
          initializers,
        }),
      )
      const expected = model.forward(x)
      using plan = model.compile()
      expect(plan.run(x), op).toEqual(expected.data)
      expect([1, ...plan.outputShape]).toEqual(expected.shape)
    }
  })

  test('too many places are refused', () => {
    const length = 60 * 60
    const model = loadOnnx(
      onnxModel({
        nodes: [{ op: 'GatherND', inputs: ['x', 'i'] }],
        inputs: { x: { shape: [1, length] } },
        initializers: {
          i: of(
            'int64',
            [1, length, 2],
            ...Array.from({ length: 2 * length }, (_, i) => (i % 2) * ((i * i) % length)),
          ),
        },
      }),
    )
    expect(() => model.compile()).toThrow(
      expect.objectContaining({
        code: 'ERR_UNSUPPORTED',
        message: expect.stringMatching(/more than 2048 places.*run\(\) can/),
      }),
    )
  })

  test('what a compiled model cannot do is refused by the name of its node', () => {
    for (const [op, more] of Object.entries<Record<string, Numbers>>({
      GatherElements: { i: of('int64', [1, 2], 0, 1) },
      Trilu: {},
      NonZero: {},
    })) {
      expect(() => compiled(op, [2], more)).toThrow(
        expect.objectContaining({
          code: 'ERR_UNSUPPORTED',
          message: expect.stringMatching(new RegExp(`^node y \\(${op}, opset 18\\): .*run\\(\\) can`)),
        }),
      )
    }
  })
})
