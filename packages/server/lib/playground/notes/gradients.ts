/** What is left of a gradient on its way back through many layers: a product, one factor a layer. */
import { gt, mul, relu, sigmoid, sub, Tensor, tanh } from 'kernelet'
import { choiceOf, type Fields, integerOf, numberOf } from './read.ts'

export interface Gradients {
  /** f′(z) */
  slope: number
  /** w · f′(z), by which each layer multiplies. */
  factor: number
  /** From the last layer to the first; the last layer's is 1. */
  left: number[]
}

const activations = ['sigmoid', 'tanh', 'relu'] as const

/** @throws RequestError for what is no such question */
export function gradientsOf(fields: Fields): Gradients {
  const activation = choiceOf(fields.activation, 'activation', activations)
  const z = scalar(numberOf(fields.sum, 'sum'))
  const weight = scalar(numberOf(fields.weight, 'weight'))
  const layers = integerOf(fields.layers, 'layers', 1, 50)
  const slope = slopes[activation](z)
  const factor = mul(weight, slope)
  const left = [scalar(1)]
  while (left.length < layers) left.push(mul(left.at(-1) as Tensor, factor))
  return { slope: numberIn(slope), factor: numberIn(factor), left: left.map(numberIn) }
}

const one = scalar(1)
const slopes: Readonly<Record<(typeof activations)[number], (z: Tensor) => Tensor>> = {
  sigmoid(z) {
    const s = sigmoid(z)
    return mul(s, sub(one, s))
  },
  tanh(z) {
    const t = tanh(z)
    return sub(one, mul(t, t))
  },
  relu: (z) => gt(relu(z), scalar(0)),
}

function scalar(value: number): Tensor {
  return new Tensor(Float32Array.of(value), [1])
}

function numberIn({ data }: Tensor): number {
  return data[0] ?? 0
}
