import { activations, LeNet5, LeNet5Original, manualSeed, Tensor, trace } from 'kernelet'
import { describe, expect, test } from 'vitest'
import { Network } from '../lib/playground/inspect/network.ts'
import { type Opened, openSource } from '../lib/playground/inspect/sources.ts'
import { placeOf, receptiveField, tapsOf } from '../playground/draw/receptive-field.ts'
import type { Step } from '../playground/draw/types.ts'
import { noise } from './helpers.ts'

manualSeed(0)

describe.each([
  ['LeNet5', '@lenet5', new LeNet5()],
  ['LeNet5Original', '@lenet5-1998', new LeNet5Original()],
] as const)('%s', (_, id, network) => {
  const opened: Opened = { ...openSource(id, undefined), network }
  const steps = new Network(opened).info.steps as Step[]
  const graph = trace(network, [1, 28, 28])
  const image = noise(784)
  const valuesOf = (input: Float32Array): Float32Array[] => {
    const all = activations(graph, new Tensor(input, [1, 1, 28, 28]))
    return steps.map(({ name }) => all.get(name)?.data ?? new Float32Array(0))
  }
  const values = valuesOf(image)

  test('a value depends on its receptive field, and on nothing else', () => {
    for (const [step, { shape }] of steps.entries()) {
      if (shape.length !== 3) continue
      const index = Math.floor((values[step]?.length ?? 0) * 0.4)
      const { top, left, bottom, right } = receptiveField(steps, placeOf(steps, step, index))
      const inside = (i: number): boolean => {
        const [y, x] = [Math.floor(i / 28), i % 28]
        return y >= top && y <= bottom && x >= left && x <= right
      }
      const changed = (part: (i: number) => boolean): number =>
        valuesOf(image.map((value, i) => (part(i) ? 1 - value : value)))[step]?.[index] ?? Number.NaN
      const before = values[step]?.[index]
      expect(
        changed((i) => !inside(i)),
        `${step}`,
      ).toBe(before)
      // behind ReLU it may be 0 before and after
      if (before !== 0) expect(changed(inside), `${step}`).not.toBe(before)
    }
  })

  test('the numbers that a value is made of give it', () => {
    for (const [step, { op }] of steps.entries()) {
      const node = graph.nodes[step]
      if (op !== 'conv2d' && op !== 'linear' && op !== 'maxPool2d') continue
      for (const share of [0, 0.3, 0.99]) {
        const index = Math.floor((values[step]?.length ?? 0) * share)
        const place = placeOf(steps, step, index)
        const taps = tapsOf(steps, place, values, node?.weight?.data) ?? []
        expect(taps.length).toBeGreaterThan(0)
        const sum = taps.reduce(
          (all, { input, weight }) => all + input * weight,
          node?.bias?.data[place.channel] ?? 0,
        )
        const most = Math.max(...taps.map(({ input }) => input))
        expect(op === 'maxPool2d' ? most : sum).toBeCloseTo(values[step]?.[index] ?? Number.NaN, 3)
      }
    }
  })
})
