/** One neuron, σ(wᵀx + b), and a step of its training. */
import { LogisticRegression, linear, mul, SGD, sigmoid, sub, Tensor, Trainer } from 'kernelet'
import { type Fields, integerOf, numberOf, numbersOf } from './read.ts'

export interface Neuron {
  /** wᵢ xᵢ */
  products: number[]
  /** wᵀx + b */
  sum: number
  /** σ of it. */
  output: number
  /** −log of the probability of the right answer. */
  loss: number
  /** How the loss changes with the sum: output − answer. */
  error: number
  /** After one step downhill. */
  next: { weights: number[]; bias: number; output: number }
}

/** @throws RequestError for what is no such question */
export function neuronOf(fields: Fields): Neuron {
  const weights = numbersOf(fields.weights, 'weights', 8)
  const inputs = numbersOf(fields.inputs, 'inputs', weights.length)
  const answer = integerOf(fields.answer, 'answer', 0, 1)
  const model = new LogisticRegression(weights.length)
  const { weight, bias } = model.linear
  weight.data.set(weights)
  bias?.data.set([numberOf(fields.bias, 'bias')])
  const x = new Tensor(
    Float32Array.from(weights, (_, i) => inputs[i] ?? 0),
    [1, weights.length],
  )
  const products = mul(x, new Tensor(weight.data, [1, weights.length]))
  const sum = linear(x, weight, bias)
  const output = model.forward(x)
  const error = sub(output, new Tensor(Float32Array.of(answer), [1, 1]))
  const optimizer = new SGD({ lr: numberOf(fields.rate, 'rate') })
  using trainer = new Trainer(model, { optimizer, loss: 'binaryCrossEntropy', threads: 1, seed: 0 })
  const before = { products: [...products.data], sum: sum.data[0] ?? 0, output: output.data[0] ?? 0 }
  const { loss } = trainer.step(x, [answer])
  return {
    ...before,
    loss,
    error: error.data[0] ?? 0,
    next: {
      weights: [...weight.data],
      bias: bias?.data[0] ?? 0,
      output: model.forward(x).data[0] ?? 0,
    },
  }
}

/** σ from −8 to 8, for its curve. */
export function sigmoidCurve(): { sum: number; output: number }[] {
  const sums = Float32Array.from({ length: 65 }, (_, i) => (i - 32) / 4)
  const outputs = sigmoid(new Tensor(sums, [65])).data
  return Array.from(sums, (sum, i) => ({ sum, output: outputs[i] ?? 0 }))
}
