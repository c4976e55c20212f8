/** What mattered, by gradient: how the network's answer would change with every value of its input. */
import { add, type CompiledModel, type Graph, Module, Parameter, SGD, Tensor, Trainer } from 'kernelet'

/** Below such a rest a probability is too sure of itself for float32 to tell what it hangs on. */
const SURE = 1e-20

/** A network whose input is moved by a parameter: the gradient of that is the gradient of the input. */
class Moved extends Module {
  readonly shift: Parameter
  // hidden from the trainer, which would take its weights for some that learn
  readonly #network: Module

  constructor(network: Module, shape: readonly number[]) {
    super()
    this.#network = network
    this.shift = new Parameter(new Float32Array(shape.reduce((product, n) => product * n, 1)), shape)
  }

  forward(x: Tensor): Tensor {
    return this.#network.forward(add(x, this.shift))
  }
}

/** Gradients of a network's highest output, by the trainer, whose steps are of length 0. */
export class InputGradient {
  readonly #shape: readonly number[]
  readonly #model: CompiledModel
  readonly #probabilities: boolean
  readonly #trainer: Trainer

  /**
   * @param model the same network compiled
   * @throws KerneletError ERR_UNSUPPORTED for operations that have no gradient
   */
  constructor(network: Module, graph: Graph, shape: readonly number[], model: CompiledModel) {
    this.#shape = shape
    this.#model = model
    this.#probabilities = graph.nodes[graph.output]?.op === 'softmax'
    this.#trainer = new Trainer(new Moved(network, shape), {
      optimizer: new SGD({ lr: 0 }),
      loss: 'mse',
      seed: 1,
      threads: 1,
      inputShape: shape,
    })
  }

  /**
   * The slope of the highest output by each value of an image: of its score, or of its probability up to one factor.
   * All 0 where the network is too sure of a probability.
   */
  of(image: Float32Array): Float32Array {
    const outputs = this.#model.run(image).slice()
    const top = outputs.indexOf(Math.max(...outputs))
    // The slope of mean square error is twice the distance to the target: targets far away from some outputs, and equal
    // to the others, ask for the slope of the sum of those.
    const targets = outputs.slice()
    let distance: number
    if (this.#probabilities) {
      // Of a probability near 1 nothing is left in float32, of the sum of all others is.
      const rest = outputs.reduce((sum, share, k) => (k === top ? sum : sum + share), 0)
      if (!(rest > SURE)) return new Float32Array(image.length)
      distance = Math.min(1e15, 1e6 / rest)
      for (const [k, share] of outputs.entries()) if (k !== top) targets[k] = share + distance
    } else {
      distance = 1024 * (1 + Math.abs(outputs[top] ?? 0))
      targets[top] = (outputs[top] ?? 0) - distance
    }
    this.#trainer.step(new Tensor(image, [1, ...this.#shape]), targets)
    const gradient = this.#trainer.gradients().get('shift') ?? new Float32Array(image.length)
    return gradient.map((slope) => (slope * outputs.length) / (2 * distance))
  }

  dispose(): void {
    this.#trainer.dispose()
  }
}
