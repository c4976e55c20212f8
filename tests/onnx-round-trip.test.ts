/** Random small networks: written as ONNX, read, trained, written and read again, they stay what they are. */
import { describe, expect, test } from 'vitest'
import {
  add,
  BatchNorm2d,
  Conv2d,
  conv1d,
  div,
  flatten,
  Generator,
  Linear,
  linear,
  loadOnnx,
  Module,
  mean,
  mul,
  Parameter,
  PReLU,
  permute,
  relu,
  reshape,
  SGD,
  saveOnnx,
  sigmoid,
  slice,
  sub,
  Tensor,
  Trainer,
  tanh,
} from '../lib/index.ts'
import { noise } from './helpers.ts'

/** One step of a network, for values of [n, c, h, w]. */
type Part = (x: Tensor) => Tensor

class RandomNet extends Module {
  readonly layers: Module[] = []
  readonly free: Parameter[] = []
  readonly #parts: Part[] = []
  readonly #generator: Generator
  /** Shape of what is there so far. */
  #shape: number[] = [2, 4, 5]

  constructor(seed: number) {
    super()
    this.#generator = new Generator(seed)
    for (let i = 2 + this.#below(4); i > 0; i--) this.#parts.push(this.#part())
    this.#parts.push(this.#head())
  }

  forward(x: Tensor): Tensor {
    return this.#parts.reduce((value, part) => part(value), x)
  }

  #below(count: number): number {
    return this.#generator.random() % count
  }

  #layer<T extends Module>(layer: T): T {
    this.layers.push(layer)
    return layer
  }

  #weight(shape: number[]): Parameter {
    const length = shape.reduce((product, one) => product * one, 1)
    const weight = new Parameter(
      noise(length, 1 + this.free.length).map((one) => one / 2 + 1),
      shape,
    )
    this.free.push(weight)
    return weight
  }

  #part(): Part {
    const generator = this.#generator
    const [c, h, w] = this.#shape as [number, number, number]
    switch (this.#below(10)) {
      case 0: {
        const layer = this.#layer(
          new Conv2d(c, 3, { kernelSize: 3, padding: 1, bias: this.#below(2) === 0, generator }),
        )
        this.#shape = [3, h, w]
        return (x) => layer.forward(x)
      }
      case 1: {
        const layer = this.#layer(new BatchNorm2d(c))
        layer.runningMean.data.set(noise(c, 3))
        layer.runningVar.data.fill(0.7)
        layer.eval()
        return (x) => layer.forward(x)
      }
      case 2: {
        const layer = this.#layer(new PReLU(this.#below(2) === 0 ? 1 : c))
        return (x) => layer.forward(x)
      }
      case 3: {
        // One matrix of weights, turned by being used along rows.
        const layer = this.#layer(new Linear(w, w, { generator, bias: this.#below(2) === 0 }))
        return (x) => layer.forward(relu(layer.forward(x)))
      }
      case 4: {
        const scale = this.#weight([[1], [c, 1, 1], [1, c, 1, 1], [w], [h, w]][this.#below(5)] as number[])
        const op = [add, sub, mul, div][this.#below(4)] as typeof add
        return this.#below(2) === 0 ? (x) => op(x, scale) : (x) => tanh(add(op(x, scale), scale))
      }
      case 5: {
        // The convolution and the linear layer share their numbers.
        const shared = this.#weight([c, c, 1])
        const matrix = new Tensor(shared.data, [c, c])
        return (x) => {
          const n = x.shape[0] as number
          const sequence = relu(conv1d(reshape(x, [n, c, h * w]), shared))
          const rows = linear(permute(sequence, [0, 2, 1]), matrix)
          return mul(reshape(permute(rows, [0, 2, 1]), [n, c, h, w]), 0.1)
        }
      }
      case 6:
      case 7:
        this.#shape = [c, w, h]
        return (x) => permute(x, [0, 1, 3, 2])
      case 8:
        return (x) => mul(x, sigmoid(reshape(mean(x, [1, 2, 3]), [x.shape[0] as number, 1, 1, 1])))
      default:
        if (h === 1) return (x) => relu(x)
        this.#shape = [c, h - 1, w]
        return (x) => slice(x, 2, 1)
    }
  }

  #head(): Part {
    const features = this.#shape.reduce((product, one) => product * one, 1)
    const layer = this.#layer(new Linear(features, 3, { generator: this.#generator }))
    return (x) => layer.forward(flatten(x, 1))
  }
}

const inputShape = [2, 4, 5]
const x = new Tensor(noise(6 * 40, 2), [6, ...inputShape])
const y = [0, 1, 2, 2, 1, 0]

function losses(model: Module): number[] {
  using trainer = new Trainer(model, { optimizer: new SGD({ lr: 0.01 }), seed: 1 })
  return Array.from({ length: 3 }, () => trainer.step(x, y).loss)
}

function close(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length)
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i] as number, expected[i] as number]
    expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(b)))
  }
}

describe.each(Array.from({ length: 60 }, (_, i) => i + 1))('network %i', (seed) => {
  test('its numbers and its training', () => {
    const net = new RandomNet(seed)
    const run = (model: Module) => model.compile({ inputShape }).run(x).slice()
    const read = loadOnnx(saveOnnx(net, { inputShape }))
    close(run(read), run(net))
    expect(read.parameters().length).toBe(net.parameters().length)
    close(losses(read), losses(net))
    close(run(read), run(net))
    const again = loadOnnx(saveOnnx(read))
    expect([...again.stateDict().keys()].sort()).toEqual([...read.stateDict().keys()].sort())
    close(run(again), run(net))
    close(losses(again), losses(net))
    close(run(again), run(net))
  })
})
