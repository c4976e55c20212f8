/** A network that is looked into: its steps, their values for a drawing, its filters, and what mattered. */
import {
  activations,
  type CompiledModel,
  compile,
  type Graph,
  type GraphNode,
  KerneletError,
  summary,
  Tensor,
  trace,
} from 'kernelet'
import { body } from './body.ts'
import { InputGradient } from './gradient.ts'
import type { HeatHead, HeatKind, NetworkInfo, StepInfo } from './info.ts'
import { type Drawing, prepare } from './prepare.ts'
import type { Opened } from './sources.ts'

/** Numbers of all maps that one answer carries, at most. */
const MOST = 500_000
/** Multiply-adds that occlusion may cost, but for the fewest positions: under half a second on one core. */
const WORK = 8e9
/** Positions along a side that are covered in turn, at most. */
const FINEST = 28

export class Network {
  readonly info: NetworkInfo
  readonly #opened: Opened
  readonly #graph: Graph
  readonly #model: CompiledModel
  #gradient: InputGradient | undefined

  constructor(opened: Opened) {
    this.#opened = opened
    const { network, inputShape, preparation, labels, tables } = opened
    this.#graph = trace(network, inputShape)
    this.#model = compile(this.#graph, { maxBatch: 64, threads: 1 })
    const { parameters, macs, connections } = summary(network, inputShape)
    const shown = shownWithin(this.#graph.nodes, MOST)
    this.info = {
      steps: this.#graph.nodes.map((node, k) => stepOf(node, shown[k] ?? 1, tables[node.name])),
      labels,
      input: { shape: inputShape, fit: preparation.fit, colour: preparation.colour },
      parameters,
      macs,
      connections,
      outputs: this.#graph.nodes[this.#graph.output]?.op === 'softmax' ? 'probabilities' : 'scores',
    }
  }

  /**
   * All steps' values for a drawing, and the probabilities: the header says where each lies among the numbers.
   *
   * @param heat how to say what mattered too
   */
  activations(drawing: Drawing, heat: HeatKind | undefined): ArrayBuffer {
    const begin = performance.now()
    const prepared = prepare(drawing, this.#opened.preparation)
    const prepareTime = performance.now() - begin
    const { status, boxes } = prepared
    if (prepared.status !== 'ready') return body({ status, boxes }, [])
    const x = new Tensor(prepared.image, [1, ...this.#opened.inputShape])
    const values = activations(this.#graph, x)
    const activationsTime = performance.now() - begin - prepareTime
    const arrays = this.info.steps.map(({ name, shape, shown }) => {
      const data = values.get(name)?.data ?? new Float32Array(0)
      return shape.length === 3 ? data.subarray(0, shown * (shape[1] ?? 1) * (shape[2] ?? 1)) : data
    })
    const { result, time } = this.#timed(prepared.image)
    const probabilities = this.#probabilities(result)
    const { head: mattered, values: map } = this.#heat(heat, prepared.image)
    const milliseconds = { prepare: prepareTime, activations: activationsTime, run: time }
    const head = { status, boxes, milliseconds, heat: mattered }
    return body(head, [probabilities, ...arrays, ...(map ? [map] : [])])
  }

  /** The weights and biases of all steps that have some. */
  weights(): ArrayBuffer {
    const nodes = this.#graph.nodes
    const arrays: Float32Array[] = []
    const where = nodes.flatMap(({ weight, bias }, step) => {
      const length = (weight?.data.length ?? 0) + (bias?.data.length ?? 0)
      if (!weight || length > MOST) return []
      arrays.push(weight.data, bias?.data ?? new Float32Array(0))
      return [step]
    })
    return body({ steps: where }, arrays)
  }

  dispose(): void {
    this.#gradient?.dispose()
    this.#model.dispose()
  }

  /** The compiled network's answer, and what a call takes in milliseconds. */
  #timed(image: Float32Array): { result: Float32Array; time: number } {
    let time = Number.POSITIVE_INFINITY
    let result: Float32Array = new Float32Array(0)
    for (let call = 0; call < 5; call++) {
      const begin = performance.now()
      result = this.#model.run(image).slice()
      time = Math.min(time, performance.now() - begin)
      if (time > 2) break
    }
    return { result, time }
  }

  #probabilities(scores: Float32Array): Float32Array {
    if (this.info.outputs === 'probabilities') return scores
    const { temperature } = this.#opened
    let largest = Number.NEGATIVE_INFINITY
    for (const score of scores) largest = Math.max(largest, score)
    const shares = scores.map((score) => Math.exp((score - largest) / temperature))
    const sum = shares.reduce((all, share) => all + share, 0)
    return shares.map((share) => share / sum)
  }

  #heat(
    kind: HeatKind | undefined,
    image: Float32Array,
  ): { head?: HeatHead; values?: Float32Array | undefined } {
    if (kind === undefined) return {}
    if (kind === 'occlusion') {
      const { side, values } = this.#occlusion(image)
      return { head: { kind, rows: side, columns: side }, values }
    }
    const [, rows = 1, columns = 1] = this.#opened.inputShape
    try {
      return { head: { kind, rows, columns }, values: this.#slopes(image) }
    } catch (error) {
      if (!(error instanceof KerneletError)) throw error
      return { head: { kind, problem: error.message } }
    }
  }

  /**
   * What the winning output would lose, to first order, were a pixel ground: its gradient times how far the pixel is from
   * that, over all channels (Simonyan et al. 2013; "gradient × input").
   */
  #slopes(image: Float32Array): Float32Array {
    const { network, inputShape } = this.#opened
    const [channels = 1, height = 1, width = 1] = inputShape
    this.#gradient ??= new InputGradient(network, this.#graph, inputShape, this.#model)
    const gradient = this.#gradient.of(image)
    const ground = this.#ground(channels)
    const size = height * width
    return Float32Array.from({ length: size }, (_, i) => {
      let sum = 0
      for (let at = i, c = 0; c < channels; c++, at += size) {
        sum += (gradient[at] ?? 0) * ((image[at] ?? 0) - (ground[c] ?? 0))
      }
      return sum
    })
  }

  /**
   * How much less sure the network is of its answer when a part is covered with ground, part by part: the fall of the
   * logarithm of its probability (Zeiler and Fergus 2014), in one batch after another. A network of much work is asked
   * for fewer positions: by its multiply-adds and not by the clock, so that a drawing has one map.
   */
  #occlusion(image: Float32Array): { side: number; values: Float32Array } {
    const [channels = 1, height = 1, width = 1] = this.#opened.inputShape
    const finest = Math.floor(Math.sqrt(WORK / this.info.macs))
    const side = Math.max(4, Math.min(FINEST, height, width, finest))
    const whole = this.#probabilities(this.#model.run(image).slice())
    const top = whole.indexOf(Math.max(...whole))
    const ground = this.#ground(channels)
    const values = new Float32Array(side * side)
    const reach = Math.max(2.5 * (height / 28), (0.5 * height) / side)
    const batch = this.info.macs > 1e7 ? 8 : 64
    const images = new Float32Array(batch * image.length)
    for (let first = 0; first < values.length; first += batch) {
      const count = Math.min(batch, values.length - first)
      for (let k = 0; k < count; k++) {
        const y = ((Math.floor((first + k) / side) + 0.5) * height) / side
        const x = ((((first + k) % side) + 0.5) * width) / side
        const copy = images.subarray(k * image.length, (k + 1) * image.length)
        copy.set(image)
        const [left, right] = [Math.max(0, Math.round(x - reach)), Math.min(width, Math.round(x + reach))]
        for (let c = 0; c < channels; c++) {
          for (let v = Math.max(0, Math.round(y - reach)); v < Math.min(height, Math.round(y + reach)); v++) {
            const row = (c * height + v) * width
            copy.fill(ground[c] ?? 0, row + left, row + right)
          }
        }
      }
      const results = this.#model.run(images.subarray(0, count * image.length))
      const classes = results.length / count
      for (let k = 0; k < count; k++) {
        const shares = this.#probabilities(results.slice(k * classes, (k + 1) * classes))
        values[first + k] = Math.log((whole[top] ?? 0) + 1e-9) - Math.log((shares[top] ?? 0) + 1e-9)
      }
    }
    return { side, values }
  }

  /** No ink; a middle grey in photographs. */
  #ground(channels: number): number[] {
    const { fit, mean, std } = this.#opened.preparation
    const level = fit === 'digit' ? 0 : 0.5
    return Array.from({ length: channels }, (_, c) => (level - (mean[c] ?? 0)) / (std[c] ?? 1))
  }
}

function stepOf(node: GraphNode, shown: number, table: StepInfo['table']): StepInfo {
  const { name, op, inputs, shape, kernelSize, stride, padding, dilation, groups, weight } = node
  const info: StepInfo = { name, op, inputs, shape, shown }
  if (kernelSize && stride && padding && dilation) info.window = { kernelSize, stride, padding, dilation }
  if (groups !== undefined) info.groups = groups
  if (weight) info.weight = weight.shape
  if (table) info.table = table
  return info
}

/**
 * How many channels of each step fit into so many numbers in all: all of the input's, and of the others as many as have
 * the same number of values in every step, one at least; so deep steps show more maps, which are smaller.
 */
function shownWithin(nodes: readonly GraphNode[], most: number): number[] {
  const sizes = nodes.map(({ shape: [, height = 1, width = 1] }) => height * width)
  const counts = (values: number): number[] =>
    nodes.map(({ shape: [count = 1, ...map] }, k) =>
      k === 0 || map.length !== 2
        ? count
        : Math.max(1, Math.min(count, Math.floor(values / (sizes[k] ?? 1)))),
    )
  const total = (all: number[]): number => all.reduce((sum, count, k) => sum + count * (sizes[k] ?? 1), 0)
  // the largest share that fits, to a number
  let [low, high] = [0, Math.max(...nodes.map(({ shape }) => shape.reduce((product, n) => product * n, 1)))]
  if (total(counts(high)) <= most) return counts(high)
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (total(counts(middle)) <= most) low = middle
    else high = middle
  }
  return counts(low)
}
