/** Winograd: other roundings, so only on request. */
import { expect, test } from 'vitest'
import {
  type CompiledModel,
  Conv2d,
  compile,
  isa,
  KerneletError,
  manualSeed,
  ReLU,
  Sequential,
} from '../lib/index.ts'

manualSeed(11)
const inputShape = [24, 30, 34]
const model = new Sequential(new Conv2d(24, 20, { kernelSize: 3, padding: 1 }), new ReLU())
const input = Float32Array.from({ length: 24 * 30 * 34 }, (_, i) => Math.sin(i))
const withFma = isa().supported.filter((tier) => ['avx2', 'avx512', 'neon'].includes(tier))

test.runIf(withFma.length > 0).each(withFma)('%s: near the direct sum, and not the same bits', (tier) => {
  using exact = compile(model, { inputShape, isa: tier })
  using winograd = compile(model, { inputShape, isa: tier, algorithm: 'winograd' })
  using fastest = compile(model, { inputShape, isa: tier, numerics: 'fastest' })
  const isTaken = (net: CompiledModel) =>
    net.describe().steps.some(({ algorithm }) => algorithm === 'winograd')
  expect([exact, winograd].map(isTaken)).toEqual([false, true])
  const a = exact.run(input).slice()
  const b = winograd.run(input).slice()
  let off = 0
  let largest = 0
  a.forEach((value, i) => {
    off = Math.max(off, Math.abs(value - (b[i] as number)))
    largest = Math.max(largest, Math.abs(value))
  })
  // seen: 1e-6 of the largest; a missed tap of 216 would be 1e-2
  expect(off).toBeLessThan(1e-5 * largest)
  expect(off).toBeGreaterThan(0)
  const chosen = isTaken(fastest) ? b : a
  expect(fastest.run(input)).toEqual(chosen)
})

test('a wrong or contradictory numerics is refused', () => {
  for (const options of [
    { numerics: 'quick' as never },
    { numerics: 'fastest' as const, algorithm: 'im2col' },
  ]) {
    expect(() => compile(model, { inputShape, ...options })).toThrowError(KerneletError)
  }
})
