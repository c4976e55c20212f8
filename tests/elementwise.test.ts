/** Functions that fewer networks have: against their definitions; compiled, in batches, the bits of the eager result; as ONNX. */
import { describe, expect, test } from 'vitest'
import * as k from '../lib/index.ts'
import { Tensor } from '../lib/index.ts'
import { bitsOf, Inline, largestError, noise } from './helpers.ts'

const shape = [3, 4, 5]
const x = new Tensor(
  noise(19 * 60, 3).map((v) => 3 * v),
  [19, ...shape],
)
const other = new Tensor(noise(60, 5), shape)
const row = new Tensor(noise(5, 8), [5])
const flag = (value: boolean) => (value ? 1 : 0)
const softplus = (v: number) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))
const at = (i: number) => other.data[i % 60]!
const inRow = (i: number) => row.data[i % 5]!

const cases: [string, (v: Tensor) => Tensor, (v: number, i: number) => number][] = [
  [
    'gelu by tanh',
    (v) => k.gelu(v, 'tanh'),
    (v) => (v / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))),
  ],
  ['softplus', (v) => k.softplus(v, 2), (v) => softplus(2 * v) / 2],
  ['softplus with a threshold', (v) => k.softplus(v, 1, 0.5), (v) => (v > 0.5 ? v : softplus(v))],
  ['mish', k.mish, (v) => v * Math.tanh(softplus(v))],
  ['softsign', k.softsign, (v) => v / (1 + Math.abs(v))],
  ['celu', (v) => k.celu(v, 1.5), (v) => (v > 0 ? v : 1.5 * Math.expm1(v / 1.5))],
  ['threshold', (v) => k.threshold(v, 0.5, -2), (v) => (v > 0.5 ? v : -2)],
  ['threshold to 0', (v) => k.threshold(v, 0.5, 0), (v) => (v > 0.5 ? v : 0)],
  ['hardshrink', (v) => k.hardshrink(v, 1), (v) => (Math.abs(v) > 1 ? v : 0)],
  ['softshrink', (v) => k.softshrink(v, 1), (v) => (v > 1 ? v - 1 : v < -1 ? v + 1 : 0)],
  ['floor', k.floor, Math.floor],
  ['ceil', k.ceil, Math.ceil],
  [
    'round',
    (v) => k.round(k.mul(k.floor(v), 0.5)),
    (v) => {
      const half = Math.floor(v) / 2
      return Math.abs(half % 1) === 0.5 ? 2 * Math.round(half / 2) : half
    },
  ],
  ['sign', k.sign, Math.sign],
  ['sin', k.sin, Math.sin],
  ['cos', k.cos, Math.cos],
  ['tan', k.tan, Math.tan],
  ['asin', (v) => k.asin(k.mul(v, 0.25)), (v) => Math.asin(v / 4)],
  ['acos', (v) => k.acos(k.mul(v, 0.25)), (v) => Math.acos(v / 4)],
  ['atan', k.atan, Math.atan],
  ['sinh', k.sinh, Math.sinh],
  ['cosh', k.cosh, Math.cosh],
  ['asinh', k.asinh, Math.asinh],
  ['acosh', (v) => k.acosh(k.add(k.abs(v), 1)), (v) => Math.acosh(Math.abs(v) + 1)],
  ['atanh', (v) => k.atanh(k.mul(v, 0.25)), (v) => Math.atanh(v / 4)],
  ['isnan', (v) => k.isnan(k.log(v)), (v) => flag(v < 0)],
  ['isinf', (v) => k.isinf(k.div(v, 0)), () => 1],
  ['isposinf', (v) => k.isposinf(k.div(v, 0)), (v) => flag(v > 0)],
  ['isneginf', (v) => k.isneginf(k.div(v, 0)), (v) => flag(v < 0)],
  ['logicalNot', (v) => k.logicalNot(k.relu(v)), (v) => flag(v <= 0)],
  ['maximum', (v) => k.maximum(v, other), (v, i) => Math.max(v, at(i))],
  ['minimum', (v) => k.minimum(row, v), (v, i) => Math.min(v, inRow(i))],
  ['maximum of a number', (v) => k.maximum(0.5, v), (v) => Math.max(v, 0.5)],
  ['lt', (v) => k.lt(v, other), (v, i) => flag(v < at(i))],
  ['le', (v) => k.le(v, row), (v, i) => flag(v <= inRow(i))],
  ['gt', (v) => k.gt(v, 0.5), (v) => flag(v > 0.5)],
  ['ge', (v) => k.ge(0.5, v), (v) => flag(v <= 0.5)],
  ['eq', (v) => k.eq(k.floor(v), 1), (v) => flag(Math.floor(v) === 1)],
  ['ne', (v) => k.ne(k.floor(v), 1), (v) => flag(Math.floor(v) !== 1)],
  ['logicalAnd', (v) => k.logicalAnd(k.relu(v), k.lt(v, 1)), (v) => flag(v > 0 && v < 1)],
  ['logicalOr', (v) => k.logicalOr(k.gt(v, 1), k.lt(v, 0)), (v) => flag(v > 1 || v < 0)],
  ['logicalXor', (v) => k.logicalXor(k.gt(v, 1), k.gt(v, 0)), (v) => flag(v > 0 && v <= 1)],
  ['remainder', (v) => k.remainder(v, -0.75), (v) => v - -0.75 * Math.floor(v / -0.75)],
  ['fmod', (v) => k.fmod(v, 0.75), (v) => v % 0.75],
  ['where', (v) => k.where(k.gt(v, 0), v, row), (v, i) => (v > 0 ? v : inRow(i))],
  ['where of numbers', (v) => k.where(k.gt(v, 0), 1, -1), (v) => (v > 0 ? 1 : -1)],
]

/** Compiled as it is, and read again from ONNX: the bits of the eager result, or of its class. */
function checkBits(run: (v: Tensor) => Tensor, eager: Tensor, exact = true): void {
  const model = new Inline(run)
  for (const algorithm of ['auto', 'lanes'] as const) {
    using compiled = model.compile({ inputShape: shape, algorithm })
    expect(bitsOf(compiled.run(x.data).slice())).toEqual(bitsOf(eager.data))
    const one = compiled.run(x.data.subarray(0, 60))
    expect(bitsOf(one)).toEqual(bitsOf(eager.data.subarray(0, one.length)))
  }
  const read = k.loadOnnx(k.saveOnnx(model, { inputShape: shape }))
  using again = read.compile()
  const got = again.run(x.data)
  if (exact) expect(bitsOf(got)).toEqual(bitsOf(eager.data))
  else expect(largestError(got, eager.data)).toBeLessThan(1e-6)
}

test.each(cases)('%s', (name, run, define) => {
  const eager = run(x)
  const want = Float32Array.from(x.data, define)
  expect(largestError(eager.data, want) / Math.max(1, ...want.map(Math.abs))).toBeLessThan(1e-6)
  checkBits(run, eager, !name.startsWith('softplus'))
})

describe('folds', () => {
  const rows = Array.from({ length: 19 * 3 * 5 }, (_, i) =>
    Array.from({ length: 4 }, (_unused, j) => x.data[(Math.floor(i / 5) * 4 + j) * 5 + (i % 5)]!),
  )
  const check = (run: (v: Tensor) => Tensor, wanted: number[], length: number[]) => {
    const eager = run(x)
    expect(eager.shape).toEqual([19, ...length])
    expect(largestError(eager.data, Float32Array.from(wanted))).toBeLessThan(1e-5)
    checkBits(run, eager)
  }
  test('argmax, argmin', () => {
    check(
      (v) => k.argmax(v, 2),
      rows.map((one) => one.indexOf(Math.max(...one))),
      [3, 5],
    )
    check(
      (v) => k.argmin(v, -2, { keepdim: true }),
      rows.map((one) => one.indexOf(Math.min(...one))),
      [3, 1, 5],
    )
    const signs = (one: number[]) => one.map(Math.sign)
    check(
      (v) => k.argmax(k.sign(v), 2, { last: true }),
      rows.map((one) => signs(one).lastIndexOf(Math.max(...signs(one)))),
      [3, 5],
    )
  })
  test('prod', () => {
    check(
      (v) => k.prod(v, 2),
      rows.map((one) => one.reduce((a, b) => a * b, 1)),
      [3, 5],
    )
  })
  test('sort and argsort: of equals the first, NaN as the largest', () => {
    const values = [2, -1, Number.NaN, 2, 0, Number.NEGATIVE_INFINITY, -0]
    const line = new Tensor(Float32Array.from(values), [1, values.length])
    expect([...k.argsort(line, 1).data]).toEqual([5, 1, 4, 6, 0, 3, 2])
    expect([...k.sort(line, 1).data]).toEqual([5, 1, 4, 6, 0, 3, 2].map((i) => values[i]))
    expect([...k.argsort(line, -1, { descending: true }).data]).toEqual([2, 0, 3, 4, 6, 1, 5])
    for (let count = 1; count <= values.length; count++) {
      expect([...k.argsort(line, 1, { count }).data]).toEqual([5, 1, 4, 6, 0, 3, 2].slice(0, count))
      const largest = { descending: true, count }
      expect([...k.argsort(line, 1, largest).data]).toEqual([2, 0, 3, 4, 6, 1, 5].slice(0, count))
      expect(k.sort(line, 1, largest).shape).toEqual([1, count])
    }
    expect(() => k.sort(line, 1, { count: 8 })).toThrow('count')
    for (const descending of [false, true]) {
      const wanted = Array.from(x.data, (_, i) => {
        const [plane, c] = [Math.floor(i / 20), Math.floor(i / 5) % 4]
        const one = [...rows[plane * 5 + (i % 5)]!].sort((a, b) => (descending ? b - a : a - b))
        return one[c]!
      })
      check((v) => k.sort(v, 2, { descending }), wanted, shape)
    }
    expect(() => k.sort(line, 2)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
    expect(() => k.sort(line, 1, { descending: 1 as never })).toThrow('descending')
  })
  test('cumsum', () => {
    for (const exclusive of [false, true]) {
      for (const reverse of [false, true]) {
        const wanted = Array.from(x.data, (_, i) => {
          const [plane, c] = [Math.floor(i / 20), Math.floor(i / 5) % 4]
          const one = rows[plane * 5 + (i % 5)]!
          const part = reverse ? one.slice(c + (exclusive ? 1 : 0)) : one.slice(0, c + (exclusive ? 0 : 1))
          return part.reduce((a, b) => a + b, 0)
        })
        check((v) => k.cumsum(v, 2, { exclusive, reverse }), wanted, shape)
      }
    }
  })
})

test('layers are their functions', () => {
  const layers: [k.Module, (v: Tensor) => Tensor][] = [
    [new k.GELU('tanh'), (v) => k.gelu(v, 'tanh')],
    [new k.Softplus(2, 3), (v) => k.softplus(v, 2, 3)],
    [new k.Mish(), k.mish],
    [new k.Softsign(), k.softsign],
    [new k.Threshold(0.5, 2), (v) => k.threshold(v, 0.5, 2)],
    [new k.Hardshrink(1), (v) => k.hardshrink(v, 1)],
    [new k.Softshrink(1), (v) => k.softshrink(v, 1)],
    [new k.CELU(2), (v) => k.celu(v, 2)],
  ]
  for (const [layer, run] of layers) expect(bitsOf(layer.forward(x).data)).toEqual(bitsOf(run(x).data))
})

test('NaN comes through, and is no number among others', () => {
  const nan = new Tensor(Float32Array.of(Number.NaN, 1), [2])
  for (const run of [k.erf, k.softplus, k.mish, k.softsign, k.sin, k.floor, k.hardshrink]) {
    expect(run(nan).data[0]).toBeNaN()
  }
  expect(k.threshold(nan, 0, 5).data[0]).toBeNaN()
  expect(k.maximum(nan, 0).data[0]).toBeNaN()
  expect(k.minimum(0, nan).data[0]).toBeNaN()
  expect(Array.from(k.lt(nan, 2).data)).toEqual([0, 1])
  expect(
    Array.from(k.argmax(new Tensor(Float32Array.of(1, Number.NaN, 3, Number.NaN), [1, 4]), 1).data),
  ).toEqual([1])
})

test('many columns, and many planes, side by side: as one by one', () => {
  const x = new Tensor(
    noise(2 * 5 * 150, 3).map((one) => Math.round(one * 4)),
    [2, 5, 150],
  )
  for (const at of [7, 300, 301]) x.data[at] = Number.NaN
  const column = (n: number, j: number) => [0, 1, 2, 3, 4].map((i) => x.data[(n * 5 + i) * 150 + j] as number)
  const columns = [0, 1].flatMap((n) => Array.from({ length: 150 }, (_, j) => column(n, j)))
  const place = (one: number[], best: number, last: boolean) =>
    one.some(Number.isNaN) ? one.findIndex(Number.isNaN) : last ? one.lastIndexOf(best) : one.indexOf(best)
  for (const last of [false, true]) {
    expect([...k.argmax(x, 1, { last }).data]).toEqual(
      columns.map((one) => place(one, Math.max(...one), last)),
    )
    expect([...k.argmin(x, 1, { last }).data]).toEqual(
      columns.map((one) => place(one, Math.min(...one), last)),
    )
  }
  const planes = new Tensor(noise(2 * 35 * 99, 4), [2, 35, 9, 11])
  const means = Array.from({ length: 70 }, (_, c) => {
    const plane = planes.data.subarray(99 * c, 99 * (c + 1))
    return Math.fround(plane.reduce((sum, one) => Math.fround(sum + one), 0) / 99)
  })
  expect([...k.mean(planes, [2, 3]).data]).toEqual(means)
})

describe('what does not fit is refused', () => {
  const code = (code: string) => expect.objectContaining({ code })
  const calls: [string, () => unknown, string][] = [
    ['another approximation', () => k.gelu(x, 'fast' as never), 'ERR_ARGUMENT'],
    ['shapes that do not broadcast', () => k.maximum(x, new Tensor(new Float32Array(3), [3])), 'ERR_SHAPE'],
    ['three that do not', () => k.where(x, x, new Tensor(new Float32Array(3), [3])), 'ERR_SHAPE'],
    ['two numbers', () => k.lt(1 as never, 2), 'ERR_ARGUMENT'],
    ['no dimension', () => k.argmax(x, 7), 'ERR_ARGUMENT'],
    ['the batch', () => k.trace(new Inline((v) => k.cumsum(v, 0)), shape), 'ERR_UNSUPPORTED'],
    ['below 0', () => k.softshrink(x, -1), 'ERR_ARGUMENT'],
    ['CELU of 0', () => k.celu(x, 0), 'ERR_ARGUMENT'],
  ]
  test.each(calls)('%s', (_, run, wanted) => expect(run).toThrow(code(wanted)))
})
