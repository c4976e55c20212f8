/** Optimizer settings and learning-rate schedules: values of PyTorch's step-by-step forms. */
import { describe, expect, test } from 'vitest'
import { Adam, AdamW, CosineAnnealingLR, OneCycleLR, type Schedule, SGD, StepLR } from '../lib/index.ts'

/** The first rates of a run of `steps` steps. */
function rates(schedule: Schedule, base: number, count: number, steps = count, stepsPerEpoch = 1): number[] {
  return Array.from({ length: count }, (_, step) => schedule.rate(base, { step, steps, stepsPerEpoch }))
}

function close(actual: number[], expected: number[]): void {
  expect(actual.length).toBe(expected.length)
  for (const [i, value] of actual.entries()) expect(value / expected[i]!).toBeCloseTo(1, 10)
}

describe('schedules', () => {
  test('StepLR', () => {
    const expected = [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025]
    close(rates(new StepLR({ stepSize: 3, gamma: 0.5 }), 0.1, 8), expected)
    // Four steps an epoch: epochs are counted unless steps are asked for.
    const slow = rates(new StepLR({ stepSize: 1, gamma: 0.5 }), 0.1, 8, 8, 4)
    close(slow, [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05])
    close(rates(new StepLR({ stepSize: 3, gamma: 0.5, interval: 'step' }), 0.1, 8, 8, 4), expected)
  })

  test('CosineAnnealingLR: down, and up again after tMax', () => {
    const expected = [
      0.1, 0.0914057647469, 0.0689057647469, 0.0410942352531, 0.0185942352531, 0.01, 0.0185942352531,
      0.0410942352531, 0.0689057647469, 0.0914057647469, 0.1, 0.0914057647469,
    ]
    close(rates(new CosineAnnealingLR({ tMax: 5, etaMin: 0.01 }), 0.1, 12), expected)
    // Without tMax: once over the run, step by step.
    close(rates(new CosineAnnealingLR({ etaMin: 0.01 }), 0.1, 5, 5, 2), expected.slice(0, 5))
  })

  test('OneCycleLR', () => {
    close(
      rates(new OneCycleLR({ maxLr: 0.1 }), 1, 10),
      [
        0.004, 0.052, 0.1, 0.0950484632013, 0.081174565395, 0.0611262021936, 0.0388741978064, 0.018825834605,
        0.00495193679865, 4e-7,
      ],
    )
    const linear = new OneCycleLR({
      maxLr: 0.1,
      annealStrategy: 'linear',
      pctStart: 0.25,
      divFactor: 10,
      finalDivFactor: 100,
    })
    close(
      rates(linear, 1, 10),
      [0.01, 0.07, 0.09334, 0.08002, 0.0667, 0.05338, 0.04006, 0.02674, 0.01342, 0.0001],
    )
    close(
      rates(new OneCycleLR({ maxLr: 0.1, threePhase: true }), 1, 20),
      [
        0.004, 0.01316718427, 0.03716718427, 0.06683281573, 0.09083281573, 0.1, 0.09083281573, 0.06683281573,
        0.03716718427, 0.01316718427, 0.004, 0.00387939730305, 0.00353213567735, 0.0030001, 0.0023474616257,
        0.0016529383743, 0.0010003, 0.000468264322651, 0.000121002696952, 4e-7,
      ],
    )
    expect(rates(new OneCycleLR({ maxLr: 0.1 }), 1, 1)).toEqual([4e-7])
    expect(() => rates(new OneCycleLR({ maxLr: 0.1, totalSteps: 5 }), 1, 6)).toThrow(
      /step 6 of a cycle of 5 steps/,
    )
  })

  test('what is wrong is said by name', () => {
    expect(() => new StepLR({ stepSize: 0 })).toThrow(/StepLR: stepSize must be an integer of at least 1/)
    expect(() => new StepLR({ step_size: 1 } as never)).toThrow(/unknown option "step_size"/)
    expect(() => new StepLR({ stepSize: 1, interval: 'batch' as never })).toThrow(/'epoch' or 'step'/)
    expect(() => new CosineAnnealingLR({ tMax: 0.5 })).toThrow(/tMax must be an integer/)
    expect(() => new OneCycleLR({ maxLr: 0.1, pctStart: 2 })).toThrow(/pctStart must be from 0 to 1/)
    expect(() => new OneCycleLR({ maxLr: Number.NaN })).toThrow(/maxLr must be a number of at least 0/)
    expect(() => new OneCycleLR({ maxLr: 1, divFactor: 0 })).toThrow(/divFactor must be a number above 0/)
  })
})

describe('optimizers', () => {
  test("PyTorch's defaults", () => {
    expect(new SGD()).toMatchObject({ lr: 0.001, settings: { kind: 'sgd', momentum: 0, weightDecay: 0 } })
    const adam = { beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    expect(new Adam()).toMatchObject({ lr: 0.001, settings: { kind: 'adam', ...adam, weightDecay: 0 } })
    expect(new AdamW({ lr: 0.1 })).toMatchObject({
      lr: 0.1,
      settings: { kind: 'adamW', ...adam, weightDecay: 0.01 },
    })
  })

  test('what is wrong is said by name', () => {
    expect(() => new SGD({ learningRate: 1 } as never)).toThrow(/unknown option "learningRate"/)
    expect(() => new SGD({ lr: -1 })).toThrow(/SGD: lr must be a number of at least 0 but is -1/)
    expect(() => new SGD({ nesterov: true })).toThrow(/nesterov needs a momentum/)
    expect(() => new Adam({ betas: [0.9, 1] })).toThrow(/betas must be two numbers/)
    expect(() => new AdamW({ eps: Number.NaN })).toThrow(/AdamW: eps/)
  })
})
