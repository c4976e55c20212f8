/** The native trainer against PyTorch: every gradient, every optimizer run, LeNet-5, on every instruction set. */
import { describe, expect, test } from 'vitest'
import type {
  NativeGraph,
  NativeOptimizer,
  NativeTrainer,
  NativeTrainerOptions,
} from '../lib/backend/backend.ts'
import { native } from '../lib/backend/node-addon.ts'
import { toNative } from '../lib/graph/operation.ts'
import * as kernelet from '../lib/index.ts'
import { isa, LeNet5, trace } from '../lib/index.ts'
import { cases, file, operation, optimizers } from './golden-cases.ts'
import { fixtures, Inline, integersOf, largestError, lenet5Golden, tensorOf } from './helpers.ts'

const sgd: NativeOptimizer = { kind: 'sgd' }

function nativeGraph(module: kernelet.Module, shape: number[]): NativeGraph {
  const graph = trace(module, shape)
  return {
    nodes: graph.nodes.map(({ name, inputs, shape, ...operation }) =>
      toNative(operation, name, inputs, shape),
    ),
    output: graph.output,
  }
}

const upTo = (n: number) => Uint32Array.from({ length: n }, (_, i) => i)
const relativeError = (actual: ArrayLike<number>, expected: Float32Array) =>
  largestError(actual, expected) / Math.max(1e-30, ...expected.map(Math.abs))

/**
 * Largest |ours − PyTorch's| of a gradient, as a part of the largest |gradient|; in brackets what was measured
 * over all tiers.
 */
const tolerance: Record<string, number> = {
  conv2d: 1.5e-6,
  linear: 1.5e-6,
  max_pool2d: 0,
  avg_pool2d: 3e-7,
  relu: 0,
  tanh: 5e-7,
  sigmoid: 5e-7,
  softmax: 5e-7,
  log_softmax: 5e-7,
  cross_entropy: 5e-7,
}

test('there are 99 cases and 6 optimizer runs', () => {
  expect(cases).toHaveLength(99)
  expect(optimizers).toHaveLength(6)
})

describe.each(isa().supported)('%s', (tier) => {
  const trainerOf = (graph: NativeGraph, options: Partial<NativeTrainerOptions>): NativeTrainer =>
    native().trainer(graph, {
      parameters: [],
      loss: { kind: 'dot' },
      optimizer: sgd,
      isa: tier,
      ...options,
    })

  test.each(cases.filter(({ op }) => op !== 'cross_entropy'))('gradients of $id', (golden) => {
    const input = tensorOf(file, golden.inputs.input!)
    const cotangent = tensorOf(file, golden.cotangent)
    const batch = input.shape[0]!
    const weight = golden.inputs.weight === undefined ? undefined : tensorOf(file, golden.inputs.weight)
    const bias = golden.inputs.bias === undefined ? undefined : tensorOf(file, golden.inputs.bias)
    const graph = nativeGraph(new Inline(operation(golden, weight, bias)), input.shape.slice(1))
    const named = { weight, bias }
    const parameters = Object.entries(named).flatMap(([name, tensor]) =>
      tensor ? [{ name, data: tensor.data }] : [],
    )
    const trainer = trainerOf(graph, { parameters, inputGradient: true })
    const before = parameters.map(({ data }) => data.slice())
    const report = trainer.run({
      images: input.data,
      targets: cotangent.data,
      indices: upTo(batch),
      batch,
      learningRates: [0.1],
      update: false,
    })
    expect(report.nonFinite).toBeUndefined()
    expect(report.steps).toBe(1)
    const [inputGradient] = trainer.read('inputGradient')
    const gradients = trainer.read('gradient')
    expect(relativeError(inputGradient!, tensorOf(file, golden.grads.input!).data)).toBeLessThanOrEqual(
      tolerance[golden.op]!,
    )
    for (const [i, { name, data }] of parameters.entries()) {
      const expected = tensorOf(file, golden.grads[name]!)
      expect(relativeError(gradients[i]!, expected.data)).toBeLessThanOrEqual(tolerance[golden.op]!)
      expect(data).toEqual(before[i])
    }
    trainer.dispose()
  })

  test.each(cases.filter(({ op }) => op === 'cross_entropy'))('loss and gradient of $id', (golden) => {
    const input = tensorOf(file, golden.inputs.input!)
    const batch = input.shape[0]!
    const graph = nativeGraph(new Inline((x) => kernelet.flatten(x, 1)), input.shape.slice(1))
    const trainer = trainerOf(graph, { loss: { kind: 'crossEntropy' }, inputGradient: true })
    const scale = tensorOf(file, golden.cotangent).data[0]!
    const report = trainer.run({
      images: input.data,
      targets: Int32Array.from(integersOf(file, golden.inputs.target!)),
      indices: upTo(batch),
      batch,
      learningRates: [0],
    })
    const expected = tensorOf(file, golden.output).data
    expect(relativeError(Float32Array.from(report.losses), expected)).toBeLessThanOrEqual(3e-7)
    const [gradient] = trainer.read('inputGradient')
    expect(
      relativeError(
        gradient!.map((g) => g * scale),
        tensorOf(file, golden.grads.input!).data,
      ),
    ).toBeLessThanOrEqual(tolerance.cross_entropy!)
  })

  test.each(optimizers)('$id', ({ id, op, params, steps }) => {
    const weights = tensorOf(file, `${id}/w0`)
    const { lr, betas, weight_decay, ...rest } = params
    const optimizer: NativeOptimizer = {
      ...rest,
      kind: op === 'adamw' ? 'adamW' : (op as 'sgd' | 'adam'),
      ...(betas && { beta1: betas[0], beta2: betas[1] }),
      ...(weight_decay && { weightDecay: weight_decay }),
    }
    // one input of 1 and a dot product with g: the gradient of the weights is g
    const matrix = new kernelet.Tensor(weights.data, [weights.data.length, 1])
    const graph = nativeGraph(new Inline((x) => kernelet.linear(x, matrix)), [1])
    const trainer = trainerOf(graph, { parameters: [{ name: 'w', data: weights.data }], optimizer })
    for (let step = 0; step < steps; step++) {
      const gradient = tensorOf(file, `${id}/g${step}`).data
      const report = trainer.run({
        images: Float32Array.of(1),
        targets: gradient,
        indices: Uint32Array.of(0),
        batch: 1,
        learningRates: [lr],
      })
      expect(report.nonFinite).toBeUndefined()
      expect(trainer.read('gradient')[0]).toEqual(gradient)
      const expected = tensorOf(file, `${id}/w${step + 1}`).data
      expect(relativeError(weights.data, expected)).toBeLessThanOrEqual(3e-7)
    }
    expect(trainer.step).toBe(steps)
  })

  test('interrupt() before the thread has begun ends the call, and only that call', async () => {
    const weights = new kernelet.Tensor(new Float32Array(100), [1, 100])
    const trainer = trainerOf(nativeGraph(new Inline((x) => kernelet.linear(x, weights)), [100]), {
      parameters: [{ name: 'w', data: weights.data }],
    })
    const call = {
      images: new Float32Array(100).fill(1),
      targets: Float32Array.of(1),
      indices: new Uint32Array(200_000),
      batch: 1,
      learningRates: new Float32Array(200_000).fill(0.01),
    }
    const running = trainer.runAsync(call)
    expect(() => trainer.run(call)).toThrow(/runAsync is under way/)
    trainer.interrupt()
    const { steps } = await running
    expect(steps).toBeLessThan(200_000)
    expect(trainer.step).toBe(steps)
    trainer.interrupt()
    const { indices, learningRates, ...rest } = call
    const next = trainer.run({
      ...rest,
      indices: indices.subarray(0, 3),
      learningRates: learningRates.subarray(0, 3),
    })
    expect(next.steps).toBe(3)
  })

  const golden = lenet5Golden()
  test.skipIf(golden === undefined)('LeNet-5: loss and gradients of 16 digits', () => {
    const model = new LeNet5()
    model.loadStateDict(kernelet.loadSafetensors(`${fixtures}/../../../shared/reference/lenet5.safetensors`))
    const names = model.namedParameters()
    const trainer = trainerOf(nativeGraph(model, [1, 28, 28]), {
      loss: { kind: 'crossEntropy' },
      parameters: names.map(([name, { data }]) => ({ name, data })),
    })
    const report = trainer.run({
      images: tensorOf(golden!, 'input').data,
      targets: Int32Array.from(integersOf(golden!, 'target')),
      indices: upTo(16),
      batch: 16,
      learningRates: [0],
      update: false,
    })
    expect(relativeError(Float32Array.from(report.losses), tensorOf(golden!, 'loss').data)).toBeLessThan(1e-6)
    const gradients = trainer.read('gradient')
    for (const [i, [name]] of names.entries()) {
      const expected = tensorOf(golden!, `grad.${name}`).data
      expect(relativeError(gradients[i]!, expected)).toBeLessThan(5e-6)
    }
  })
})
