/** Cases of what goes element by element, of reductions and of losses, with their formulas in double. */
import { type Case, f, index, ints, scalar } from './onnx-cases.ts'
import { type Numbers, of, type Type } from './onnx-models.ts'

type Scalar = number | bigint
type Want = Exclude<Case['want'], undefined>
const image = [2, 3, 4, 5]
const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

/** Element by element, with NumPy's broadcasting. */
const each =
  (compute: (...values: never[]) => Scalar | boolean): Want =>
  (...inputs) => {
    const rank = Math.max(...inputs.map(({ shape }) => shape.length))
    const padded = inputs.map(({ shape }) => [...Array<number>(rank - shape.length).fill(1), ...shape])
    const shape = Array.from({ length: rank }, (_, d) => Math.max(...padded.map((one) => one[d]!)))
    const data = Array.from({ length: size(shape) }, (_, at) => {
      const values = inputs.map((input, k) => {
        let [rest, from, stride] = [at, 0, 1]
        for (let d = rank - 1; d >= 0; d--) {
          const i = rest % shape[d]!
          rest = Math.floor(rest / shape[d]!)
          from += (padded[k]![d] === 1 ? 0 : i) * stride
          stride *= padded[k]![d]!
        }
        return input.data[from] as never
      })
      return Number(compute(...values))
    })
    return [{ shape, data }]
  }

const numbers = (...data: number[]): Numbers => ({
  shape: [1, data.length],
  data: data.map(Math.fround),
})
const special = numbers(
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  Infinity,
  -Infinity,
  NaN,
  1e-30,
  -1e-30,
  89,
  -89,
)
const unit = (shape: number[]): Numbers => ({
  shape,
  data: Array.from({ length: size(shape) }, (_, i) => Math.sin(i * 1.7) * 0.99),
})
const above = (shape: number[]): Numbers => ({
  shape,
  data: Array.from({ length: size(shape) }, (_, i) => 1 + (i * i) / 7),
})
const far: Numbers = {
  shape: [1, 12],
  data: [
    1e4, -1e5, 3e6, 33554432, 67108864, -1e9, 1e15, 2.5e20, -7e30, 3.4028234663852886e38, 1e-5, -3e-40,
  ].map(Math.fround),
}

/** By its series, or the one of what is left to 1. */
function erf(x: number): number {
  const z = Math.abs(x)
  let [term, sum] = [z, z]
  for (let n = 1; n < 200 && z < 5; n++) {
    term *= -(z * z) / n
    sum += term / (2 * n + 1)
  }
  return Math.sign(x) * (z < 5 ? (2 * sum) / Math.sqrt(Math.PI) : Number.isNaN(z) ? z : 1)
}
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))
const even = (x: number) => {
  const near = Math.round(x)
  return Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : near
}

const activation = (op: string, compute: (x: number) => number, attributes = {}, opset = 18): Case[] => [
  { op, inputs: [image], attributes, opset, want: each(compute) },
  { op, inputs: [special], attributes, opset, want: each(compute) },
  {
    op,
    inputs: [of('double', [2, 2], -1.25, 0.375, 2.5, -0.5)],
    attributes,
    opset,
    want: each(compute),
    runOnly: true,
    ownOnly: ['Erf', 'Celu', 'Atan', 'Asinh'].includes(op),
  },
]

const gelu = (x: number) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
const activations: Case[] = [
  ...activation('Erf', erf),
  ...activation('Softplus', softplus),
  ...activation('Mish', (x) => x * Math.tanh(softplus(x))),
  ...activation('Softsign', (x) => x / (1 + Math.abs(x))),
  ...activation('Celu', (x) => (x > 0 ? x : Math.expm1(x))),
  ...activation('Celu', (x) => (x > 0 ? x : 2.5 * Math.expm1(x / 2.5)), { alpha: f(2.5) }),
  ...activation('ThresholdedRelu', (x) => (x > 1 ? x : 0)).slice(0, 1),
  ...activation('ThresholdedRelu', (x) => (x > -0.25 ? x : 0), { alpha: f(-0.25) }).slice(0, 1),
  ...activation('Shrink', (x) => (x > 0.5 || x < -0.5 ? x : 0)).slice(0, 1),
  ...activation('Shrink', (x) => (x < -1 ? x + 0.75 : x > 1 ? x - 0.75 : 0), {
    lambd: f(1),
    bias: f(0.75),
  }).slice(0, 1),
  { op: 'Gelu', inputs: [image], attributes: { approximate: 'tanh' }, opset: 20, want: each(gelu) },
]

const exact: Case[] = [
  ...activation('Floor', Math.floor),
  ...activation('Ceil', Math.ceil),
  ...activation('Round', even),
  ...activation('Sign', Math.sign),
  ...activation('Sin', Math.sin),
  ...activation('Cos', Math.cos),
  ...activation('Tan', Math.tan).slice(0, 1),
  ...(['Sin', 'Cos', 'Atan'] as const).map(
    (op): Case => ({ op, inputs: [far], want: each((Math as never)[op.toLowerCase()]), tolerance: 1e-7 }),
  ),
  { op: 'Asin', inputs: [unit(image)], want: each(Math.asin) },
  { op: 'Acos', inputs: [unit(image)], want: each(Math.acos) },
  { op: 'Asin', inputs: [numbers(1, -1, 0, 1.5)], want: each(Math.asin) },
  { op: 'Acos', inputs: [numbers(1, -1, 0, -1.5)], want: each(Math.acos) },
  ...activation('Atan', Math.atan),
  ...activation('Sinh', Math.sinh).slice(0, 1),
  ...activation('Cosh', Math.cosh).slice(0, 1),
  ...activation('Asinh', Math.asinh),
  { op: 'Acosh', inputs: [above(image)], want: each(Math.acosh) },
  { op: 'Acosh', inputs: [numbers(1, 1.0000001, 0.5, Infinity)], want: each(Math.acosh) },
  { op: 'Atanh', inputs: [unit(image)], want: each(Math.atanh) },
  { op: 'Atanh', inputs: [numbers(1, -1, 2, 0)], want: each(Math.atanh) },
  { op: 'IsNaN', inputs: [special], want: each(Number.isNaN) },
  { op: 'IsInf', inputs: [special], want: each((x: number) => Math.abs(x) === Infinity) },
  {
    op: 'IsInf',
    inputs: [special],
    attributes: { detect_negative: 0 },
    want: each((x: number) => x === Infinity),
  },
  {
    op: 'IsInf',
    inputs: [special],
    attributes: { detect_positive: 0 },
    want: each((x: number) => x === -Infinity),
  },
  { op: 'Sign', inputs: [of('int64', [3], -5, 0, 7)], want: each((x: bigint) => Math.sign(Number(x))) },
]

const comparisons: [string, (a: Scalar, b: Scalar) => boolean][] = [
  ['Equal', (a, b) => a === b],
  ['Less', (a, b) => a < b],
  ['LessOrEqual', (a, b) => a <= b],
  ['Greater', (a, b) => a > b],
  ['GreaterOrEqual', (a, b) => a >= b],
]
const logical: [string, (a: number, b: number) => boolean][] = [
  ['And', (a, b) => a !== 0 && b !== 0],
  ['Or', (a, b) => a !== 0 || b !== 0],
  ['Xor', (a, b) => (a !== 0) !== (b !== 0)],
]
const flags = (shape: number[], ...data: number[]) => of('bool', shape, ...data)

const several: Case[] = [
  ...comparisons.flatMap(([op, compare]): Case[] => [
    { op, inputs: [image, [4, 1]], want: each(compare) },
    { op, inputs: [special, special], want: each(compare) },
    { op, inputs: [image, scalar(0.25)], want: each(compare) },
    { op, inputs: [of('int64', [3], 1, 2, 3), of('int64', [1], 2)], want: each(compare), opset: 16 },
  ]),
  ...logical.map(
    ([op, compare]): Case => ({
      op,
      inputs: [flags([2, 2], 0, 0, 1, 1), flags([2], 0, 1)],
      want: each(compare),
    }),
  ),
  { op: 'Not', inputs: [flags([2], 0, 1)], want: each((x: number) => x === 0) },
  ...(['Max', 'Min'] as const).flatMap((op): Case[] => {
    const pick = (...values: number[]) => Math[op === 'Max' ? 'max' : 'min'](...values)
    return [
      { op, inputs: [image, [4, 5], [3, 1, 1]], want: each(pick) },
      { op, inputs: [image], want: each(pick) },
      { op, inputs: [special, scalar(0.25)], want: each(pick) },
    ]
  }),
  {
    op: 'Sum',
    inputs: [image, [4, 5], [3, 1, 1]],
    want: each((a: number, b: number, c: number) => a + b + c),
  },
  {
    op: 'Mean',
    inputs: [image, [4, 5], [3, 1, 1]],
    want: each((a: number, b: number, c: number) => (a + b + c) / 3),
  },
  { op: 'Mean', inputs: [image], want: each((a: number) => a) },
  {
    op: 'Mod',
    inputs: [image, [4, 1]],
    attributes: { fmod: 1 },
    want: each((a: number, b: number) => a % b),
  },
  {
    op: 'Mod',
    inputs: [of('int32', [4], 7, -7, 7, -7), of('int32', [4], 3, 3, -3, -3)],
    want: each((a: number, b: number) => ((a % b) + b) % b),
  },
  {
    op: 'Mod',
    inputs: [of('int64', [4], 7, -7, 7, -7), of('int64', [4], 3, 3, -3, -3)],
    attributes: { fmod: 1 },
    want: each((a: bigint, b: bigint) => Number(a) % Number(b)),
  },
  {
    op: 'Where',
    inputs: [flags([4, 1], 1, 0, 0, 1), image, scalar(-3)],
    want: each((c: number, a: number, b: number) => (c ? a : b)),
  },
  {
    op: 'Where',
    inputs: [flags([2], 1, 0), of('int64', [2], 1, 2), of('int64', [2, 1], 3, 4)],
    want: each((c: number, a: number, b: number) => (c ? a : b)),
  },
  ...(['uint8', 'uint32', 'uint64'] as Type[]).flatMap((type): Case[] => {
    const bits = { uint8: 8, uint32: 32, uint64: 64 }[type as 'uint8']
    return ['LEFT', 'RIGHT'].map((direction) => ({
      op: 'BitShift',
      inputs: [of(type, [4], 1, 200, 7, 255), of(type, [4], 1, 3, 0, bits - 1)],
      attributes: { direction },
      want: each((a: Scalar, b: Scalar) =>
        direction === 'LEFT' ? BigInt.asUintN(bits, BigInt(a) << BigInt(b)) : BigInt(a) >> BigInt(b),
      ),
    }))
  }),
  ...(['int32', 'uint8', 'int64'] as Type[]).flatMap((type): Case[] => {
    const [a, b] = [of(type, [3], 12, 7, 100), of(type, [1], 10)]
    const as = (compute: (x: number, y: number) => number): Want =>
      each((x: Scalar, y: Scalar) => compute(Number(x), Number(y)))
    return [
      { op: 'BitwiseAnd', inputs: [a, b], opset: 18, want: as((x, y) => x & y) },
      { op: 'BitwiseOr', inputs: [a, b], opset: 18, want: as((x, y) => x | y) },
      { op: 'BitwiseXor', inputs: [a, b], opset: 18, want: as((x, y) => x ^ y) },
      { op: 'BitwiseNot', inputs: [a], opset: 18, want: as((x) => (type === 'uint8' ? 255 - x : ~x)) },
    ]
  }),
]

/** Each row along `axes`, in order, by the index of what is left. */
function folded(axes: number[], keep: boolean, fold: (row: Scalar[]) => Scalar | boolean): Want {
  return (x) => {
    const rows = new Map<string, Scalar[]>()
    for (let at = 0; at < x.data.length; at++) {
      const place = placeOf(at, x.shape).filter((_, d) => !axes.includes(d))
      const key = place.join(' ')
      rows.set(key, [...(rows.get(key) ?? []), x.data[at]!])
    }
    const kept = x.shape.map((one, d) => (axes.includes(d) ? 1 : one))
    const shape = keep ? kept : kept.filter((_, d) => !axes.includes(d))
    const none = size(x.shape) === 0 && size(shape) > 0
    return [{ shape, data: (none ? [[]] : [...rows.values()]).map((row) => Number(fold(row))) }]
  }
}

function placeOf(at: number, shape: readonly number[]): number[] {
  const place: number[] = []
  for (let d = shape.length - 1; d >= 0; d--) {
    place.unshift(at % shape[d]!)
    at = Math.floor(at / shape[d]!)
  }
  return place
}

const sum = (row: number[]) => row.reduce((a, b) => a + b, 0)
const positive = (shape: number[]): Numbers => ({
  shape,
  data: Array.from({ length: size(shape) }, (_, i) => 0.1 + (i % 7)),
})

const reductions: Case[] = [
  ...(
    [
      ['ReduceL1', (row: number[]) => sum(row.map(Math.abs))],
      ['ReduceL2', (row: number[]) => Math.hypot(...row)],
      ['ReduceSumSquare', (row: number[]) => sum(row.map((x) => x * x))],
      ['ReduceLogSum', (row: number[]) => Math.log(sum(row))],
      ['ReduceLogSumExp', (row: number[]) => Math.log(sum(row.map(Math.exp)))],
      ['ReduceProd', (row: number[]) => row.reduce((a, b) => a * b, 1)],
    ] as [string, (row: number[]) => number][]
  ).flatMap(([op, fold]): Case[] => {
    const by = (axes: number[], keep: boolean) => folded(axes, keep, fold as never)
    const x = positive(image)
    return [
      { op, inputs: [x, ints(2, 3)], opset: 18, want: by([2, 3], true) },
      { op, inputs: [x, ints(-3)], attributes: { keepdims: 0 }, opset: 18, want: by([1], false) },
      { op, inputs: [x], attributes: { axes: [1, 3], keepdims: 0 }, opset: 13, want: by([1, 3], false) },
      { op, inputs: [x], opset: 13, want: by([0, 1, 2, 3], true), runOnly: true },
      { op, inputs: [x], attributes: { noop_with_empty_axes: 1 }, opset: 18, want: by([], true) },
      {
        op,
        inputs: [of('float', [2, 0, 3]), ints(1)],
        opset: 18,
        want: () => [{ shape: [2, 1, 3], data: Array<number>(6).fill(fold([])) }],
        runOnly: true,
      },
      {
        op,
        inputs: [of('double', [1, 3], 1.5, 2.25, 0.5), ints(1)],
        opset: 18,
        want: by([1], true),
        runOnly: true,
      },
    ]
  }),
  {
    op: 'ReduceLogSumExp',
    inputs: [{ shape: [1, 2], data: [1000, 1000] }, ints(1)],
    opset: 18,
    want: () => [{ shape: [1, 1], data: [1000 + Math.log(2)] }],
  },
  {
    op: 'ReduceSumSquare',
    inputs: [of('int32', [2, 2], 1, -2, 3, 4), ints(1)],
    opset: 18,
    want: folded([1], true, (row) => sum(row.map((x) => Number(x) ** 2))),
  },
  {
    op: 'ReduceL1',
    inputs: [of('int64', [2, 2], 1, -2, 3, 4), ints(1)],
    opset: 18,
    want: folded([1], true, (row) => sum(row.map((x) => Math.abs(Number(x))))),
  },
  ...(['ArgMax', 'ArgMin'] as const).flatMap((op): Case[] => {
    const best = (last: boolean) => (row: Scalar[]) => {
      const value = row.reduce((a, b) => ((op === 'ArgMax' ? b > a : b < a) ? b : a))
      return last ? row.lastIndexOf(value) : row.indexOf(value)
    }
    const equals = { shape: [2, 4], data: [1, 3, 3, 1, 2, 2, 2, 2] }
    return [
      { op, inputs: [image], runOnly: true, want: folded([0], true, best(false)) },
      { op, inputs: [image], attributes: { axis: 1 }, want: folded([1], true, best(false)) },
      { op, inputs: [image], attributes: { axis: -1, keepdims: 0 }, want: folded([3], false, best(false)) },
      { op, inputs: [equals], attributes: { axis: 1 }, want: folded([1], true, best(false)) },
      {
        op,
        inputs: [equals],
        attributes: { axis: 1, select_last_index: 1 },
        want: folded([1], true, best(true)),
      },
      { op, inputs: [of('int32', [4], 3, 9, -2, 9)], want: folded([0], true, best(false)) },
    ]
  }),
  ...[
    [0, 0],
    [1, 0],
    [0, 1],
    [1, 1],
  ].flatMap(([exclusive = 0, reverse = 0]): Case[] => {
    const want: Want = (x, axis) => {
      const at = Number(axis!.data[0])
      const inner = size(x.shape.slice(at + 1))
      const n = x.shape[at]!
      const data = Array.from(x.data, Number)
      const sums = data.map((_, i) => {
        const k = Math.floor(i / inner) % n
        const others = Array.from({ length: n }, (_unused, j) => j).filter((j) =>
          reverse ? (exclusive ? j > k : j >= k) : exclusive ? j < k : j <= k,
        )
        return sum(others.map((j) => data[i + (j - k) * inner]!))
      })
      return [{ shape: x.shape, data: sums }]
    }
    const attributes = { exclusive, reverse }
    return [
      { op: 'CumSum', inputs: [image, index(1)], attributes, want },
      { op: 'CumSum', inputs: [image, index(3)], attributes, want },
      { op: 'CumSum', inputs: [of('int64', [5], 1, 2, 3, 4, 5), index(0)], attributes, want },
    ]
  }),
  { op: 'Hardmax', inputs: [image], opset: 13, want: hardmax(5) },
  { op: 'Hardmax', inputs: [[2, 6]], opset: 11, want: hardmax(6) },
  { op: 'Hardmax', inputs: [image], attributes: { axis: 2 }, opset: 11, want: hardmax(20), runOnly: true },
]

/** Rows of `n` neighbours. */
function hardmax(n: number): Want {
  return (x) => [
    {
      shape: x.shape,
      data: Array.from(x.data, (value, i) => {
        const start = Math.floor(i / n) * n
        const row = Array.from({ length: n }, (_, j) => Number(x.data[start + j]))
        return row.indexOf(Math.max(...row)) === i - start ? 1 : 0 * Number(value)
      }),
    },
  ]
}

const losses: Case[] = ['none', 'mean', 'sum'].flatMap((reduction): Case[] => {
  const loss =
    (soft: boolean, ignored?: number): Want =>
    (x, targets, weights) => {
      const [n = 0, classes = 0, ...places] = x.shape
      const plane = size(places)
      const at = (i: number, c: number) => (Math.floor(i / plane) * classes + c) * plane + (i % plane)
      const all = Array.from({ length: n * plane }, (_, i) => {
        const row = Array.from({ length: classes }, (_unused, c) => Number(x.data[at(i, c)]))
        const target = Number(targets!.data[i])
        const weight = target === ignored ? 0 : Number(weights?.data[target] ?? 1)
        const log =
          target === ignored ? 0 : soft ? row[target]! - Math.log(sum(row.map(Math.exp))) : row[target]!
        return { loss: weight === 0 ? 0 : -weight * log, weight }
      })
      const losses = all.map((one) => one.loss)
      if (reduction === 'none') return [{ shape: [n, ...places], data: losses }]
      return [
        {
          shape: [],
          data: [reduction === 'sum' ? sum(losses) : sum(losses) / sum(all.map((one) => one.weight))],
        },
      ]
    }
  const attributes = { reduction }
  const targets = of('int64', [3], 0, 4, 2)
  const places = of('int64', [2, 2], 0, 1, 2, 1)
  return [
    {
      op: 'NegativeLogLikelihoodLoss',
      inputs: [[3, 5], targets],
      attributes,
      want: loss(false),
      runOnly: true,
    },
    {
      op: 'NegativeLogLikelihoodLoss',
      inputs: [[2, 3, 2], places, positive([3])],
      attributes,
      want: loss(false),
      runOnly: true,
    },
    {
      op: 'NegativeLogLikelihoodLoss',
      inputs: [[3, 5], targets, positive([5])],
      attributes: { ...attributes, ignore_index: 4 },
      want: loss(false, 4),
      runOnly: true,
    },
    { op: 'SoftmaxCrossEntropyLoss', inputs: [[3, 5], targets], attributes, want: loss(true), runOnly: true },
    {
      op: 'SoftmaxCrossEntropyLoss',
      inputs: [[2, 3, 2], places, positive([3])],
      attributes: { ...attributes, ignore_index: 1 },
      want: loss(true, 1),
      runOnly: true,
    },
  ]
})

export const elementwise: Record<string, Case[]> = { activations, exact, several, reductions, losses }
