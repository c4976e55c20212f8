/** What `kernelet profile` says of a step, and the rows of its picture. */
import { describe, expect, test } from 'vitest'
import { adviceOf, adviceOnFine, isShapeFine, limitsOf } from '../lib/bench/analysis.ts'
import { flameBody, pathOf } from '../lib/bench/report/flame.ts'
import type { Roof } from '../lib/bench/roof.ts'
import type { StepDescription } from '../lib/index.ts'

/** 100 GB/s from the first level, 10 from memory. */
const roof = {
  levelOf: (bytes: number) =>
    bytes <= 1e4
      ? { name: 'L1', size: 1e4, bandwidth: 100 }
      : { name: 'memory', size: Number.POSITIVE_INFINITY, bandwidth: 10 },
} as Roof

function step(problem: string, more: Partial<StepDescription> = {}): StepDescription {
  const shape = [4, 8, 8]
  return {
    names: ['conv'],
    ops: ['conv2d'],
    problem,
    algorithm: 'blocked',
    isa: 'avx2',
    tile: '',
    epilogue: 'bias',
    layout: 'blocked',
    parts: 1,
    inputShape: shape,
    outputShape: shape,
    macs: 1,
    ...more,
  }
}

const judged = (one: StepDescription, share: number, peak = 1) => {
  const [limit] = limitsOf([one], 1, 1, peak, roof)
  return { step: one, limit: limit!, ns: limit!.ns / share }
}
const advice = (one: StepDescription, share: number, peak?: number) =>
  adviceOf(judged(one, share, peak), 8, 1)

describe('limits', () => {
  test('the largest of multiply-adds at the peak, weights and values at their bandwidths', () => {
    const conv = step('ic4ih8iw8oc4oh8ow8kh1kw1')
    expect(judged(conv, 1).limit).toMatchObject({ kind: 'compute', ns: 2 * 4 * 4 * 64 })
    expect(judged(conv, 1, 1e9).limit).toMatchObject({
      kind: 'values',
      name: 'values (L1)',
      ns: (4 * 2 * 256) / 100,
    })
    const linear = step('ic1000oc1000', { ops: ['linear'], inputShape: [1000], outputShape: [1000] })
    expect(judged(linear, 1, 1e9).limit).toMatchObject({
      kind: 'weights',
      name: 'weights (memory)',
      ns: (4 * 1001 * 1000) / 10,
    })
  })

  test('several images share weights, not values', () => {
    const [limit] = limitsOf([step('ic4ih8iw8oc4oh8ow8kh1kw1')], 8, 8, 1e9, roof)
    // 8 · 2 kB no longer lie in the first level
    expect(limit).toMatchObject({ name: 'values (memory)', ns: (8 * 4 * 2 * 256) / 10 })
  })
})

describe('advice', () => {
  test.each<[string, StepDescription, number, RegExp]>([
    ['near its bound', step('ic64ih8iw8oc64oh8ow8kh3kw3ph1pw1'), 0.9, /^at 90 % of what the machine allows/],
    [
      'lanes',
      step('ic64ih8iw8oc20oh8ow8kh3kw3ph1pw1'),
      0.6,
      /^20 channels fill 4 of the 8 lanes .*: 24 would/,
    ],
    ['half a tile', step('ic64ih8iw8oc8oh8ow8kh3kw3ph1pw1'), 0.6, /^8 channels are one register of a tile/],
    ['few terms', step('ic2ih8iw8oc64oh8ow8kh3kw3ph1pw1'), 0.6, /^a sum has 18 terms only/],
    ['depthwise', step('g64ic64ih8iw8oc64oh4ow4kh3kw3sh2sw2ph1pw1'), 0.3, /^depthwise: 9 .*; with a stride/],
    ['groups', step('g4ic8ih8iw8oc8oh8ow8kh3kw3ph1pw1'), 0.3, /^4 groups of 2 channels: a register holds 8/],
    ['a small plane', step('ic64ih2iw2oc64oh2ow2kh3kw3ph1pw1'), 0.6, /a plane of 2×2 is few pixels/],
    ['a reorder', step('', { macs: 0, algorithm: 'reorder' }), 0.5, /^a copy from one layout to another/],
    ['a copy', step('', { macs: 0, algorithm: 'copy' }), 0.5, /^a copy: what it joins/],
    ['another pass', step('', { macs: 0, ops: ['silu'], algorithm: 'direct' }), 0.5, /of its own \(silu\)/],
    [
      'no reason known',
      step('ic64ih64iw64oc64oh64ow64kh3kw3ph1pw1'),
      0.6,
      /^at 60 % of what the machine allows, and nothing in its shape says why not more: kernelet tune times .* it\.$/,
    ],
  ])('%s', (_, one, share, expected) => {
    expect(advice(one, share)).toMatch(expected)
  })

  test('weights from memory; Winograd where it was measured to be faster', () => {
    const linear = step('ic1000oc1000', { ops: ['linear'], inputShape: [1000], outputShape: [1000] })
    expect(advice(linear, 0.8, 1e9)).toMatch(
      /^its weights, 4\.0 MB, come from memory at 80 % .*several images a call/,
    )
    const conv = judged(step('ic64ih8iw8oc64oh8ow8kh3kw3ph1pw1'), 0.9)
    expect(adviceOf({ ...conv, fastest: conv.ns / 2 }, 8, 1)).toMatch(/^numerics 'fastest' takes .*; at 90 %/)
    expect(adviceOf({ ...conv, fastest: conv.ns }, 8, 1)).toMatch(/^at 90 %/)
  })
})

test('steps near their bounds are one sentence, with their times added up', () => {
  const conv = step('ic64ih8iw8oc64oh8ow8kh3kw3ph1pw1')
  const all = [judged(conv, 0.84), judged(conv, 0.94)]
  expect(adviceOnFine(all)).toMatch(/^at 84 to 94 % of what the machine allows: .*\.$/)
  const halved = all.map((one) => ({ ...one, fastest: one.ns / 2 }))
  expect(adviceOnFine(halved)).toMatch(/^numerics 'fastest' takes .* instead of .*; at 84 to 94 %/)
  expect(adviceOnFine([halved[0]!, all[1]!])).toMatch(/^at 84 to 94 %/)
})

test('steps that nothing in their shapes holds up are one sentence too', () => {
  const fine = step('ic64ih64iw64oc64oh64ow64kh3kw3ph1pw1')
  const all = [judged(fine, 0.6), judged(fine, 0.7), judged(fine, 0.9)]
  expect(all.map((one) => isShapeFine(one, 8))).toEqual([true, true, true])
  expect(adviceOnFine(all.slice(0, 2))).toMatch(
    /^at 60 to 70 % .* nothing in their shapes .* compute them\.$/,
  )
  expect(isShapeFine(judged(step('ic2ih8iw8oc64oh8ow8kh3kw3ph1pw1'), 0.6), 8)).toBe(false)
  expect(isShapeFine(judged(step('', { macs: 0, algorithm: 'reorder' }), 0.5), 8)).toBe(false)
})

describe('flame graph', () => {
  test('paths of names', () => {
    expect(pathOf('layer1/layer1.0/conv1/Conv')).toEqual(['layer1', '0', 'conv1', 'Conv'])
    expect(pathOf('features.0.conv')).toEqual(['features', '0', 'conv'])
    expect(pathOf('conv1')).toEqual(['conv1'])
  })

  test('steps in their order, parts of names above them, as wide as their time', () => {
    const flame = (path: string, ns: number, hint: string) => ({
      path: path.split('/'),
      ns,
      kind: 'accent' as const,
      hint,
    })
    const { body, height } = flameBody(
      'net',
      [
        flame('a/x/c1', 10, 'one'),
        flame('a/y/c2', 30, '<two>'),
        flame('b/c3', 40, 'three'),
        flame('a/x/c4', 20, 'four'),
      ],
      0,
      1000,
    )
    const boxes = body
      .filter((line) => line.startsWith('<rect'))
      .map((line) => {
        const [, kind, x, y, width, hint] =
          /class="(\w+)" x="([\d.]+)" y="(\d+)" width="([\d.]+)".*<title>(.*?):/.exec(line)!
        return `${kind} ${hint} ${x} ${y} ${width}`
      })
    expect(boxes).toEqual([
      'frame net 0 0 999.4',
      'frame a 0 22 399.4',
      'frame b 400 22 399.4',
      'frame a 800 22 199.4',
      'frame a / x 0 44 99.4',
      'frame a / y 100 44 299.4',
      'frame a / x 800 44 199.4',
      'accent one 0 66 99.4',
      'accent &lt;two&gt; 100 66 299.4',
      'accent three 400 66 399.4',
      'accent four 800 66 199.4',
    ])
    expect(height).toBe(88)
  })
})
