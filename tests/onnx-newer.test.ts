/** Operators of opsets 24 to 28, which onnxruntime does not have yet, by their definitions. */
import { expect, test } from 'vitest'
import { loadOnnx, type OnnxArray, type OnnxInput } from '../lib/index.ts'
import { largestError } from './helpers.ts'
import { type Case, checkCase, f, ints } from './onnx-cases.ts'
import { list, type Numbers, of, onnxModel, runOperator } from './onnx-models.ts'

const data = (one: Numbers) => Array.from(one.data as ArrayLike<number>, Number)
const swish = (x: number, alpha = 1) => x / (1 + Math.exp(-alpha * x))

/** Products of three numbers, up to each. */
const products = (x: number[], exclusive: boolean, reverse: boolean) => {
  const order = reverse ? [2, 1, 0] : [0, 1, 2]
  const result = [0, 0, 0]
  let all = 1
  for (const at of order) {
    if (exclusive) result[at] = all
    all *= x[at]!
    if (!exclusive) result[at] = all
  }
  return result
}

const cases: Case[] = [
  ...[1, 1.7].flatMap((alpha): Case[] => [
    {
      op: 'Swish',
      inputs: [[2, 3]],
      attributes: { alpha: f(alpha) },
      opset: 24,
      want: (x) => [{ shape: [2, 3], data: data(x!).map((one) => swish(one, alpha)) }],
    },
    {
      op: 'SwiGLU',
      inputs: [
        [2, 3],
        [2, 3],
      ],
      attributes: { alpha: f(alpha) },
      opset: 28,
      runOnly: true,
      want: (a, b) => [{ shape: [2, 3], data: data(a!).map((one, i) => swish(one, alpha) * data(b!)[i]!) }],
    },
  ]),
  ...[0, 1].flatMap((exclusive) =>
    [0, 1].map(
      (reverse): Case => ({
        op: 'CumProd',
        inputs: [[2, 3], of('int64', [], -1)],
        attributes: { exclusive, reverse },
        opset: 26,
        want: (x) => [
          {
            shape: [2, 3],
            data: [0, 3].flatMap((i) => products(data(x!).slice(i, i + 3), exclusive === 1, reverse === 1)),
          },
        ],
      }),
    ),
  ),
  ...['none', 'silu'].map(
    (activation): Case => ({
      op: 'CausalConvWithState',
      inputs: [[1, 2, 4], [2, 1, 3], [2], [1, 2, 2]],
      attributes: { activation },
      opset: 27,
      outputs: 2,
      want: (x, w, b, past) => {
        const all = [0, 1].map((c) => [
          ...data(past!).slice(2 * c, 2 * c + 2),
          ...data(x!).slice(4 * c, 4 * c + 4),
        ])
        const sums = all.flatMap((row, c) =>
          [0, 1, 2, 3].map((t) =>
            [0, 1, 2].reduce((sum, k) => sum + row[t + k]! * data(w!)[3 * c + k]!, data(b!)[c]!),
          ),
        )
        const y = activation === 'none' ? sums : sums.map((one) => swish(one))
        return [
          { shape: [1, 2, 4], data: y },
          { shape: [1, 2, 2], data: all.flatMap((row) => row.slice(-2)) },
        ]
      },
    }),
  ),
  ...['linear', 'circular'].map(
    (mode): Case => ({
      op: 'TensorScatter',
      inputs: [[2, 3, 1], [2, 2, 1], ints(1, mode === 'linear' ? 0 : 2)],
      attributes: { mode },
      opset: 24,
      runOnly: true,
      want: (past, update) => {
        const result = data(past!)
        const [a, b, c, d] = data(update!)
        result[1] = a!
        result[2] = b!
        result[mode === 'linear' ? 3 : 5] = c!
        result[mode === 'linear' ? 4 : 3] = d!
        return [{ shape: [2, 3, 1], data: result }]
      },
    }),
  ),
  {
    op: 'SpaceToDepth',
    inputs: [[1, 2, 2, 4]],
    attributes: { blocksize: 2, mode: 'CRD' },
    opset: 28,
    want: (x) => [
      {
        shape: [1, 8, 1, 2],
        data: [0, 1].flatMap((c) =>
          [0, 1].flatMap((r) =>
            [0, 1].flatMap((k) => [0, 1].map((w) => data(x!)[8 * c + 4 * r + 2 * w + k]!)),
          ),
        ),
      },
    ],
  },
]

test.each(cases.map((one) => [`${one.op} ${JSON.stringify(one.attributes)}`, one] as const))('%s', (_, one) =>
  checkCase(one),
)

const run = (op: string, inputs: Numbers[], attributes: Case['attributes'] = {}, opset = 28) => {
  const given = Object.fromEntries(inputs.map((one, i) => [`x${i}`, one]))
  const node = { op, inputs: Object.keys(given), outputs: ['y'], attributes }
  const model = loadOnnx(onnxModel({ opset, nodes: [node], inputs: given, outputs: ['y'] }))
  return model.run<OnnxArray>(given as Record<string, OnnxInput>).y!
}

test('BitCast', () => {
  const bits = run('BitCast', [of('float', [3], 1, -0, 0.5)], { to: 6 })
  expect([bits.dtype, [...bits.data]]).toEqual(['int32', [0x3f800000, -(2 ** 31), 0x3f000000]])
  const back = run('BitCast', [of('int32', [2], 0x3f800000, 0x7f800000)], { to: 1 })
  expect([...back.data]).toEqual([1, Number.POSITIVE_INFINITY])
  const wide = run('BitCast', [of('double', [1], 2)], { to: 7 })
  expect([...wide.data]).toEqual([0x4000000000000000n])
  const halves = run('BitCast', [of('uint16', [5], 0x3c00, 0x8001, 0x7bff, 0xfc00, 0x0400)], { to: 10 })
  expect([...halves.data]).toEqual([1, -(2 ** -24), 65504, Number.NEGATIVE_INFINITY, 2 ** -14])
  const numbers = run('BitCast', [of('int16', [2], -32767, 0x7bff)], { to: 10 })
  expect([...numbers.data]).toEqual([-(2 ** -24), 65504])
  expect(() => run('BitCast', [of('float', [1], 1)], { to: 7 })).toThrow(/have not as many bits/)
  expect(() => run('BitCast', [of('float', [1], 1)], { to: 8 })).toThrow(/to=8 is not supported/)
})

test('BitShift of signed integers', () => {
  const shift = (direction: string, x: number[], y: number[]) => [
    ...run('BitShift', [of('int8', [x.length], ...x), of('int8', [x.length], ...y)], { direction }).data,
  ]
  expect(shift('RIGHT', [-128, -1, 64, -5, -5, 5], [3, 7, 2, 9, -1, 100])).toEqual([-16, -1, 16, -1, -1, 0])
  expect(shift('LEFT', [1, 64, -1, 3, 3], [7, 1, 4, 8, -1])).toEqual([-128, -128, -16, 0, 0])
  const wide = run('BitShift', [of('int64', [3], -8, -8, 8), of('int64', [3], 1, 64, -1)], {
    direction: 'RIGHT',
  })
  expect([...wide.data]).toEqual([-4n, -1n, 0n])
})

test.each(['linear', 'gated', 'delta', 'gated_delta'])(
  'LinearAttention, %s: a state of one number a head',
  (rule) => {
    const [gated, delta] = [rule.startsWith('gated'), rule.endsWith('delta')]
    const [q, k, v] = [
      of('float', [1, 2, 2], 1, -2, 3, 0.5),
      of('float', [1, 2, 1], 0.5, 2),
      of('float', [1, 2, 1], 4, -1),
    ]
    const [past, decay, beta] = [
      of('float', [1, 1, 1, 1], 3),
      of('float', [1, 2, 1], -1, -0.5),
      of('float', [1, 2, 1], 0.25, 0.75),
    ]
    const inputs = { q, k, v, past, ...(gated && { decay }), ...(delta && { beta }) }
    const node = {
      op: 'LinearAttention',
      inputs: ['q', 'k', 'v', 'past', gated ? 'decay' : '', delta ? 'beta' : ''],
      outputs: ['y', 'present'],
      attributes: { q_num_heads: 2, kv_num_heads: 1, update_rule: rule, scale: f(0.5) },
    }
    const model = loadOnnx(onnxModel({ opset: 27, nodes: [node], inputs, outputs: ['y', 'present'] }))
    const result = model.run(inputs as never)
    let state = 3
    const want = [0, 1].flatMap((t) => {
      if (gated) state *= Math.exp(data(decay)[t]!)
      const [key, value] = [data(k)[t]!, data(v)[t]!]
      state += (delta ? data(beta)[t]! : 1) * key * (value - (delta ? state * key : 0))
      return [0, 1].map((h) => 0.5 * data(q)[2 * t + h]! * state)
    })
    expect(largestError(result.y!.data as Float32Array, want)).toBeLessThan(1e-6)
    expect([...(result.present!.data as Float32Array)][0]).toBeCloseTo(state, 6)
  },
)

test('what does not fit is refused by name', () => {
  const refused = (message: RegExp, ...call: Parameters<typeof run>) =>
    expect(() => run(...call)).toThrow(
      expect.objectContaining({ name: 'KerneletError', message: expect.stringMatching(message) }),
    )
  const floats = (...shape: number[]) =>
    of('float', shape, ...new Array(shape.reduce((a, b) => a * b, 1)).fill(1))
  refused(/should be alike/, 'SwiGLU', [floats(2, 3), floats(3)])
  refused(/place 3 is outside a cache of 3/, 'TensorScatter', [floats(1, 3, 1), floats(1, 2, 1), ints(2)])
  refused(/place -1 is outside/, 'TensorScatter', [floats(1, 3, 1), floats(1, 2, 1), ints(-1)])
  refused(/does not go in 1×3×1/, 'TensorScatter', [floats(1, 3, 1), floats(1, 4, 1)])
  refused(/write_indices are 2 numbers, not 1/, 'TensorScatter', [
    floats(1, 3, 1),
    floats(1, 2, 1),
    ints(0, 0),
  ])
  refused(/mode=round/, 'TensorScatter', [floats(1, 3, 1), floats(1, 2, 1)], { mode: 'round' })
  refused(/activation=relu/, 'CausalConvWithState', [floats(1, 2, 4), floats(2, 1, 3)], {
    activation: 'relu',
  })
  refused(/does not go with 1×2×4/, 'CausalConvWithState', [floats(1, 2, 4), floats(2, 2, 3)])
  refused(/past_state should be 1×2×2/, 'CausalConvWithState', [
    floats(1, 2, 4),
    floats(2, 1, 3),
    floats(2),
    floats(1, 2, 1),
  ])
  const attention = { q_num_heads: 2, kv_num_heads: 1 }
  const one = floats(1, 2, 2)
  refused(/takes decay/, 'LinearAttention', [one, floats(1, 2, 1), floats(1, 2, 1)], attention)
  refused(/do not go with 2 and 1 heads/, 'LinearAttention', [one, one, one], attention)
  refused(/should be a multiple/, 'LinearAttention', [one, one, one], { q_num_heads: 3, kv_num_heads: 2 })
  refused(/update_rule=ema/, 'LinearAttention', [one, one, one], { ...attention, update_rule: 'ema' })
  refused(/mode=XYZ/, 'SpaceToDepth', [floats(1, 1, 2, 2)], { blocksize: 2, mode: 'XYZ' })
})

test('DFT: half a spectrum becomes the real signal again', () => {
  for (const length of [8, 7]) {
    const x = list('float', ...Array.from({ length }, (_, i) => Math.sin(i * i) - i / 4))
    const signal = { ...x, shape: [1, length, 1] }
    const [half] = runOperator('DFT', [signal], { axis: 1, onesided: 1 }, 19)
    const spectrum: Numbers = { shape: [...half!.shape], data: [...(half!.data as Float32Array)] }
    const back = (...given: Numbers[]) =>
      runOperator('DFT', [spectrum, ...given], { axis: 1, onesided: 1, inverse: 1 }, 19)[0]!
    const whole = back({ type: 'int64', shape: [], data: [length] })
    expect(whole.shape).toEqual([1, length, 1])
    for (const [i, one] of Array.from(x.data).entries()) expect(whole.data[i]).toBeCloseTo(Number(one), 5)
    // without a length it is even
    expect(back().shape).toEqual([1, 2 * Math.floor(length / 2), 1])
  }
  const real: Numbers = { shape: [1, 3, 1], data: [1, 2, 3] }
  expect(() => runOperator('DFT', [real], { axis: 1, onesided: 1, inverse: 1 }, 19)).toThrow(
    /half a spectrum should have real and imaginary parts/,
  )
})
