import { expect, test } from 'vitest'
import { Conv2d, Generator, Linear, manualSeed, Sequential } from '../lib/index.ts'

const rounded = (values: Iterable<number>) => Array.from(values, (value) => Math.round(value * 1e4) / 1e4)

test('MT19937 gives the reference implementation’s numbers', () => {
  // mt19937ar.c seeded with 5489: the first output, and the 10,000th that the C++ standard demands
  const generator = new Generator(5489)
  expect(generator.random()).toBe(3499211612)
  for (let i = 2; i < 10000; i++) generator.random()
  expect(generator.random()).toBe(4123659995)
})

test('uniform numbers are torch.rand’s', () => {
  const generator = new Generator(0)
  const values = Array.from({ length: 5 }, () => generator.uniform())
  expect(rounded(values)).toEqual([0.4963, 0.7682, 0.0885, 0.132, 0.3074])
  expect(values[0]).toBe(0.49625658988952637)
  expect(values.every((value) => value === Math.fround(value))).toBe(true)
})

test('layers start as PyTorch’s do under the same seed', () => {
  manualSeed(0)
  const { weight, bias } = new Linear(2, 1)
  expect(rounded(weight.data)).toEqual([-0.0053, 0.3793])
  expect(rounded(bias!.data)).toEqual([-0.582])
})

test('a generator of its own does not disturb the default one', () => {
  manualSeed(7)
  const first = new Linear(3, 4)
  manualSeed(7)
  const own = new Linear(3, 4, { generator: new Generator(7) })
  const again = new Linear(3, 4)
  expect(own.weight.data).toEqual(first.weight.data)
  expect(again.bias!.data).toEqual(first.bias!.data)
})

test('values lie within ±1/√fan-in and fill the range', () => {
  manualSeed(1)
  const model = new Sequential(new Conv2d(4, 64, { kernelSize: [3, 5], groups: 2 }), new Linear(100, 50))
  for (const [name, { data }] of model.namedParameters()) {
    const bound = Math.fround(1 / Math.sqrt(name.startsWith('0.') ? 2 * 3 * 5 : 100))
    expect(Math.max(...data)).toBeLessThanOrEqual(bound)
    expect(Math.min(...data)).toBeGreaterThanOrEqual(-bound)
    expect(Math.max(...data)).toBeGreaterThan(0.9 * bound)
    expect(Math.min(...data)).toBeLessThan(-0.9 * bound)
  }
})

test('the seed’s low 32 bits count; other seeds are refused', () => {
  expect(new Generator(2 ** 32 + 5).random()).toBe(new Generator(5).random())
  for (const seed of [-1, 0.5, Number.NaN, 2 ** 53, '1']) {
    expect(() => new Generator(seed as number)).toThrow(/^seed must be an integer/)
  }
  expect(new Generator().random()).not.toBe(new Generator().random())
})
