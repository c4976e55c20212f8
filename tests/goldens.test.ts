/** Every operation against PyTorch's results, on every instruction set this machine has, in every way to run it. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { native } from '../lib/backend/node-addon.ts'
import { compile, isa } from '../lib/index.ts'
import { cases, file, operation } from './golden-cases.ts'
import { Inline, largestError, tensorOf } from './helpers.ts'

/**
 * Largest |ours − PyTorch's| allowed, as a part of the case's largest |value|; in brackets what was measured
 * over all tiers. One unit in the last place is 6e-8 to 1.2e-7; sums differ by the order they are taken in.
 */
const tolerance: Record<string, number> = {
  conv2d: 1.2e-6, // (6.0e-7, the case with 150 products a sum and the largest values)
  linear: 7.2e-7, // (3.6e-7, with 256 products a sum)
  max_pool2d: 0, // (0)
  avg_pool2d: 1.2e-7, // (0)
  relu: 0, // (0)
  tanh: 1.2e-7, // (6.0e-8)
  sigmoid: 6e-8, // (3.0e-8)
  softmax: 3.6e-7, // (1.8e-7)
  log_softmax: 1.2e-7, // (4.7e-8)
  cross_entropy: 2.4e-7, // (1.3e-7)
}

/** A name that an operation has no kernel for falls back. */
const algorithms = ['auto', 'im2col', 'direct', 'direct-pixels', 'direct-channels', 'lanes']

afterEach(() => vi.restoreAllMocks())

test('there are 99 cases', () => {
  expect(cases).toHaveLength(99)
  expect(Object.keys(tolerance).sort()).toEqual([...new Set(cases.map(({ op }) => op))].sort())
})

describe.each(isa().supported)('%s', (tier) => {
  describe.each(cases)('$id', (golden) => {
    const input = tensorOf(file, golden.inputs.input!)
    const expected = tensorOf(file, golden.output)
    const check = (actual: ArrayLike<number>) => {
      const error = largestError(actual, expected.data) / Math.max(...expected.data.map(Math.abs))
      expect(error).toBeLessThanOrEqual(tolerance[golden.op]!)
    }

    test('eager', () => {
      const addon = native()
      const { evaluate } = addon
      const spy = vi
        .spyOn(addon, 'evaluate')
        .mockImplementation((node, inputs, shapes, batch) =>
          evaluate(node, inputs, shapes, batch, { isa: tier }),
        )
      const output = operation(golden)(input)
      expect(spy).toHaveBeenCalledTimes(1)
      expect(output.shape).toEqual(expected.shape)
      check(output.data)
    })

    // A loss takes labels too: it is no part of a model.
    if (golden.op === 'cross_entropy') return
    test.each(algorithms)('compiled, algorithm: %s', (algorithm) => {
      for (const fuse of [true, false]) {
        const inputShape = input.shape.slice(1)
        using model = compile(new Inline(operation(golden)), { inputShape, isa: tier, algorithm, fuse })
        expect(model.outputShape).toEqual(expected.shape.slice(1))
        expect(new Set(model.describe().steps.map((step) => step.isa))).toEqual(new Set([tier]))
        check(model.run(input))
      }
    })
  })
})
