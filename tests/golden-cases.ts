/** Single operations and optimizer runs as PyTorch computed them: fixtures/ops.json and ops.safetensors. */
import { readFileSync } from 'node:fs'
import type { Tensor } from '../lib/index.ts'
import * as kernelet from '../lib/index.ts'
import { fixtures, integersOf, tensorOf } from './helpers.ts'

export interface Case {
  id: string
  op: string
  params: Record<string, unknown>
  inputs: Record<string, string>
  output: string
  cotangent: string
  grads: Record<string, string>
}

export interface Run {
  id: string
  op: string
  params: { lr: number; betas?: [number, number]; weight_decay?: number; [name: string]: unknown }
  steps: number
}

export const file: kernelet.WeightsFile = kernelet.readSafetensors(`${fixtures}/ops.safetensors`)

const reference = JSON.parse(readFileSync(`${fixtures}/ops.json`, 'utf8')) as {
  cases: Case[]
  optimizers: Run[]
}
export const cases: Case[] = reference.cases
export const optimizers: Run[] = reference.optimizers

/** PyTorch's names as ours: `log_softmax` is `logSoftmax`. */
const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())

function stored({ inputs }: Case, name: string): Tensor | undefined {
  return inputs[name] === undefined ? undefined : tensorOf(file, inputs[name])
}

/** The operation of a case as a function of its input. */
export function operation(
  golden: Case,
  weight: Tensor | undefined = stored(golden, 'weight'),
  bias: Tensor | undefined = stored(golden, 'bias'),
): (x: Tensor) => Tensor {
  const { op, params, inputs } = golden
  const { kernelSize, ...options } = Object.fromEntries(
    Object.entries(params).map(([name, value]) => [camel(name), value]),
  ) as Record<string, never>
  switch (camel(op)) {
    case 'conv2d':
      return (x) => kernelet.conv2d(x, weight!, bias, options)
    case 'linear':
      return (x) => kernelet.linear(x, weight!, bias)
    case 'maxPool2d':
      return (x) => kernelet.maxPool2d(x, kernelSize!, options)
    case 'avgPool2d':
      return (x) => kernelet.avgPool2d(x, kernelSize!, options)
    case 'softmax':
      return (x) => kernelet.softmax(x, -1)
    case 'logSoftmax':
      return (x) => kernelet.logSoftmax(x, -1)
    case 'crossEntropy':
      return (x) => kernelet.crossEntropy(x, integersOf(file, inputs.target!))
    case 'relu':
      return kernelet.relu
    case 'tanh':
      return kernelet.tanh
    case 'sigmoid':
      return kernelet.sigmoid
    default:
      throw new Error(`no such operation: ${op}`)
  }
}
