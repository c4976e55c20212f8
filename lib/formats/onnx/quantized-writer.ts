/**
 * An ONNX graph of which convolutions and linear layers compute with bytes: QuantizeLinear and DequantizeLinear before
 * each, as tools that quantise write it.
 */
import { isConstant } from '../../graph/definition.ts'
import type { Graph, GraphNode } from '../../graph/graph.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { fromTensor, transpose } from './array.ts'
import { type Form, GraphWriter, type Writers } from './graph-writer.ts'

/** Layers that take bytes. */
const layers: ReadonlySet<string> = new Set(['conv2d', 'linear'])

/** A layer whose input is bytes times a scale; and its weights', once they are written. */
interface Layer {
  readonly node: GraphNode
  readonly scale: number
  scales?: Float32Array
}

export class QuantizedWriter extends GraphWriter {
  readonly #nodes: readonly GraphNode[]
  readonly #ranges: Float32Array
  /** Values as bytes and back, by the node that makes them. */
  readonly #bytes: Map<number, { name: string; scale: number }> = new Map()
  readonly #weights: Map<Float32Array, Map<string, { name: string; scales: Float32Array }>> = new Map()
  #layer: Layer | undefined

  /** @param ranges the least and the largest value of each node */
  constructor(graph: Graph, weights: ReadonlyMap<string, Tensor>, writers: Writers, ranges: Float32Array) {
    super(graph, weights, writers)
    this.#nodes = graph.nodes
    this.#ranges = ranges
  }

  protected override inputsOf(node: GraphNode): string[] {
    const names = super.inputsOf(node)
    const source = node.inputs[0] ?? 0
    this.#layer = undefined
    if (!layers.has(node.op) || isConstant(this.#nodes[source] as GraphNode)) return names
    const { name, scale } = this.#asBytes(source, names[0] ?? '')
    this.#layer = { node, scale }
    return [name, ...names.slice(1)]
  }

  /** Bytes from the least to the largest value, of which zero is one. */
  #asBytes(source: number, from: string): { name: string; scale: number } {
    const known = this.#bytes.get(source)
    if (known) return known
    const [least = 0, most = 0] = this.#ranges.subarray(2 * source, 2 * source + 2)
    const [low, high] = [Math.min(least, 0), Math.max(most, 0)]
    const scale = Math.fround((high - low) / 255) || 1 / 255
    const zero = Math.min(Math.max(toEven(-low / scale), 0), 255)
    const rest = [
      this.floats(`${from}.scale`, [], [scale]),
      this.numbers(`${from}.zero`, [], Uint8Array.of(zero)),
    ]
    const bytes = this.step('QuantizeLinear', [from, ...rest], from)
    const made = { name: this.step('DequantizeLinear', [bytes, ...rest], from), scale }
    this.#bytes.set(source, made)
    return made
  }

  override weight(tensor: Tensor, otherwise: string, form?: Form): string {
    const layer = this.#layer
    if (layer && tensor === layer.node.weight) return this.#weight(layer, tensor, otherwise, form)
    if (layer?.scales && tensor === layer.node.bias) {
      const name = this.#bias(layer.scale, layer.scales, tensor, otherwise)
      if (name !== undefined) return name
    }
    return super.weight(tensor, otherwise, form)
  }

  /** One scale for each output. */
  #weight(layer: Layer, tensor: Tensor, otherwise: string, form: Form): string {
    const key = String(form)
    const forms = this.#weights.get(tensor.data) ?? new Map<string, { name: string; scales: Float32Array }>()
    this.#weights.set(tensor.data, forms)
    const known = forms.get(key)
    if (known) {
      layer.scales = known.scales
      return known.name
    }
    const [outputs = 1] = tensor.shape
    const taps = tensor.data.length / outputs
    const scales = Float32Array.from({ length: outputs }, (_, o) => {
      const own = tensor.data.subarray(o * taps, (o + 1) * taps)
      return own.reduce((most, one) => Math.max(most, Math.abs(one)), 0) / 127 || 1
    })
    const rounded = tensor.data.map((one, i) => {
      const whole = toEven(one / (scales[Math.floor(i / taps)] as number))
      return Math.min(Math.max(whole, -127), 127)
    })
    const turned = form === 'transposed'
    const array = fromTensor(new Tensor(rounded, tensor.shape))
    const values = turned ? transpose(array, [1, 0]).values : array.values
    const dims = turned
      ? [...tensor.shape].reverse()
      : ((form as readonly number[] | undefined) ?? tensor.shape)
    const name = this.nameOf(tensor, otherwise)
    const inputs = [
      this.numbers(`${name}.int8`, dims, Int8Array.from(values as Float32Array)),
      this.floats(`${name}.scales`, [outputs], scales),
      this.numbers(`${name}.zeros`, [outputs], new Int8Array(outputs)),
    ]
    const made = this.step('DequantizeLinear', inputs, name, { axis: turned ? 1 : 0 })
    forms.set(key, { name: made, scales })
    layer.scales = scales
    return made
  }

  /** In units of the sums it is added to; undefined: they are too small for 32 bits. */
  #bias(scale: number, scales: Float32Array, tensor: Tensor, otherwise: string): string | undefined {
    const units = scales.map((one) => scale * one)
    const whole = Array.from(tensor.data, (one, o) => toEven(one / (units[o] as number)))
    if (!whole.every((one) => Math.abs(one) < 2 ** 31)) return undefined
    const name = this.nameOf(tensor, otherwise)
    const inputs = [
      this.numbers(`${name}.int32`, tensor.shape, Int32Array.from(whole)),
      this.floats(`${name}.scales`, [units.length], units),
    ]
    return this.step('DequantizeLinear', inputs, name, { axis: 0 })
  }
}

/** The nearest integer, of two the even one. */
function toEven(value: number): number {
  const nearest = Math.round(value)
  return nearest - value === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest
}
