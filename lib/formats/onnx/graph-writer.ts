/** An ONNX graph that is being written, node by node. */
import { PbfWriter } from 'pbf'
import { definitionOf, isConstant, title } from '../../graph/definition.ts'
import { type Graph, type GraphNode, graphShapes } from '../../graph/graph.ts'
import { attached } from '../../graph/operation.ts'
import { sameShape } from '../../tensor/shape.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import { version } from '../../util/version.ts'
import { fromTensor, transpose } from './array.ts'
import type { AttributeProto, NodeProto, TensorProto, ValueInfoProto } from './proto.ts'
import { type Draft, writeModelProto } from './proto-write.ts'

/** The opset of a file, unless an operator is newer. */
const usualOpset = 17

/** What a protobuf message may have at most. */
const largestFile = 2 ** 31 - 1

/** A node of the graph to be written. */
export interface Item {
  readonly node: GraphNode
  /** Names of its inputs. */
  readonly inputs: readonly string[]
  /** Their shapes, per image. */
  readonly shapes: readonly (readonly number[])[]
  /** The name its value must have. */
  readonly output: string
  /** Of what goes from step to step: the linear layer that makes its first input, which nobody else reads. */
  readonly layer?: GraphNode | undefined
}

/** ONNX joins these with the linear layer before. */
const stepping: ReadonlySet<string> = new Set(['lstm', 'gru', 'gruResetFirst', 'rnnTanh', 'rnnRelu'])

/** How an operation is written. */
export type Write = (to: GraphWriter, item: Item) => void

/** By operation. */
export type Writers = Readonly<Record<string, Write>>

/** An attribute: numbers are integers, { float } is one that is not. */
type AttributeValue =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly strings: readonly string[] }

export type Attributes = Readonly<Record<string, AttributeValue>>

type Numbers = Float32Array | BigInt64Array | Uint8Array | Int8Array | Int32Array

/** By the name of an array's class, the number that ONNX has for its elements. */
const dataTypes: Readonly<Record<string, number>> = {
  Float32Array: 1,
  Uint8Array: 2,
  Int8Array: 3,
  Int32Array: 6,
  BigInt64Array: 7,
}

/** How a weight is written: as it is, its two dimensions exchanged, or in another shape. */
export type Form = 'transposed' | readonly number[] | undefined

/** The dimensions a weight is written with: its own, exchanged, or others. */
interface Layout {
  readonly shape: readonly number[]
  readonly turned: boolean
  readonly dims: readonly number[]
}

/** Writes the nodes of a graph one after the other; what `writers` have to work with. */
export class GraphWriter {
  readonly #writers: Writers
  readonly #graph: Graph
  /** By their numbers: tensors of several shapes can share them. */
  readonly #weightNames: ReadonlyMap<Float32Array, string>
  readonly #nodes: Draft<NodeProto>[] = []
  readonly #initializers: Draft<TensorProto>[] = []
  /** Weights that are written already, with the names of their forms. */
  readonly #written: Map<Float32Array, Layout & { name: string; forms: Map<string, string> }> = new Map()
  readonly #taken: Set<string>
  /** By name, the number that is tried next where it is taken: many nodes may have one name. */
  readonly #nextNumber: Map<string, number> = new Map()
  /** Names of the values of the graph's nodes. */
  readonly #values: string[] = []
  readonly #constants: Set<string> = new Set()
  #opset = usualOpset

  constructor(graph: Graph, weights: ReadonlyMap<string, Tensor>, writers: Writers) {
    this.#writers = writers
    graphShapes(graph)
    this.#graph = graph
    // A weight held in two places goes by its first name.
    this.#weightNames = new Map([...weights].reverse().map(([name, { data }]) => [data, name]))
    this.#taken = new Set(weights.keys())
  }

  /** The bytes of the file. */
  write({ inputName, outputName }: { inputName: string; outputName: string }): Uint8Array {
    const { nodes, output } = this.#graph
    const shapes = graphShapes(this.#graph)
    const [source, result] = [this.#unused(inputName), this.#unused(outputName)]
    const live = this.#live()
    const absorbed = this.#absorbed(live)
    this.#values[0] = source
    for (const [i, node] of nodes.entries()) {
      if (i === 0 || !live.has(i)) continue
      if (isConstant(node)) {
        // The same for every image, so that it lines up with a batch as it does with one.
        // A number of a formula has no dimension, a weight has: so it is told apart when the file is read.
        const weight = this.weightOf(node)
        const form = weight.shape.length > 0 || this.#weightNames.has(weight.data) ? node.shape : []
        this.#values[i] = this.weight(weight, node.name, form)
        this.#constants.add(this.#values[i])
        continue
      }
      if (definitionOf(node.op).view === 'unless trained' || absorbed.has(i)) {
        this.#values[i] = this.#values[node.inputs[0] ?? 0] ?? ''
        continue
      }
      this.#values[i] = i === output ? result : this.#unused(node.name)
      const before = node.inputs[0] ?? 0
      this.#writeNode(node, this.#values[i] ?? '', absorbed.has(before) ? nodes[before] : undefined)
    }
    if (this.#values[output] !== result) this.add('Identity', [this.#values[output] ?? ''], result)
    return this.#encode(
      [valueInfo(source, shapes.input)],
      [valueInfo(result, (nodes[output] as GraphNode).flat ? [] : shapes.output)],
    )
  }

  #encode(input: Draft<ValueInfoProto>[], output: Draft<ValueInfoProto>[]): Uint8Array {
    const graph = { node: this.#nodes, name: 'kernelet', initializer: this.#initializers, input, output }
    const size = this.#initializers.reduce((sum, { raw_data: raw }) => sum + (raw?.length ?? 0), 0)
    if (size > largestFile) {
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `saveOnnx: ${size} bytes are more than an ONNX file may have`,
      )
    }
    const writer = new PbfWriter()
    const model = {
      ir_version: irVersion(this.#opset),
      producer_name: 'kernelet',
      producer_version: version,
      graph,
      opset_import: [{ version: this.#opset }],
    }
    writeModelProto(model, writer)
    return writer.finish().slice()
  }

  /** The nodes that the output depends on. */
  #live(): Set<number> {
    const live = new Set([this.#graph.output])
    for (let i = this.#graph.output; i >= 0; i--) {
      if (live.has(i)) for (const input of (this.#graph.nodes[i] as GraphNode).inputs) live.add(input)
    }
    return live
  }

  /** Linear layers that only an operation of `stepping` reads, as its first input. */
  #absorbed(live: ReadonlySet<number>): ReadonlySet<number> {
    const { nodes, output } = this.#graph
    const readers = new Map<number, GraphNode[]>()
    for (const i of live) {
      const node = nodes[i] as GraphNode
      for (const input of node.inputs) readers.set(input, [...(readers.get(input) ?? []), node])
    }
    const isAbsorbed = (i: number) => {
      const [reader, ...more] = readers.get(i) ?? []
      const steps = reader !== undefined && more.length === 0 && stepping.has(reader.op)
      return nodes[i]?.op === 'linear' && i !== output && steps && reader.inputs[0] === i
    }
    return new Set([...live].filter(isAbsorbed))
  }

  #writeNode(node: GraphNode, output: string, layer: GraphNode | undefined): void {
    const write = Object.hasOwn(this.#writers, node.op) ? this.#writers[node.op] : undefined
    if (!write) {
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `saveOnnx: ${node.name}: ONNX has no operator for ${title(node)}`,
      )
    }
    const inputs = this.inputsOf(node)
    const shapes = node.inputs.map((input) => (this.#graph.nodes[input] as GraphNode).shape)
    write(this, { node, inputs, shapes, output, layer })
  }

  /** Names of what a node reads. */
  protected inputsOf(node: GraphNode): string[] {
    return node.inputs.map((input) => this.#values[input] ?? '')
  }

  /** The name that a weight has, or gets. */
  protected nameOf({ data }: Tensor, otherwise: string): string {
    return this.#weightNames.get(data) ?? otherwise
  }

  #unused(name: string): string {
    let unused = name
    let next = this.#nextNumber.get(name) ?? 1
    for (; this.#taken.has(unused); next++) unused = `${name}_${next}`
    this.#nextNumber.set(name, next)
    this.#taken.add(unused)
    return unused
  }

  /** The weight of a node that has one. */
  weightOf({ name, weight }: GraphNode): Tensor {
    if (weight) return weight
    throw new KerneletError('ERR_ARGUMENT', `saveOnnx: ${name} has no weight`)
  }

  /** Whether a value is the same for every image, and has no batch dimension. */
  isConstant(name: string): boolean {
    return this.#constants.has(name)
  }

  /** Says that an operator came with this opset. */
  need(opset: number): void {
    this.#opset = Math.max(this.#opset, opset)
  }

  /** Adds a node whose value is `output`, which it returns; `outputs`: all that it has, where it has more. */
  add(
    op: string,
    inputs: readonly string[],
    output: string,
    attributes: Attributes = {},
    outputs: readonly string[] = [output],
  ): string {
    this.#nodes.push({
      input: [...inputs],
      output: [...outputs],
      name: output,
      op_type: op,
      attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
    })
    return output
  }

  /** Adds a node on the way to `output`. */
  step(op: string, inputs: readonly string[], output: string, attributes: Attributes = {}): string {
    return this.add(op, inputs, this.#unused(`${output}.${op.toLowerCase()}`), attributes)
  }

  /** A name that no value has. */
  unused(name: string): string {
    return this.#unused(name)
  }

  /**
   * Adds a weight, once; `otherwise` is its name where the model has none. In a second form it is made of the first by
   * nodes, so that it stays one weight.
   */
  weight(tensor: Tensor, otherwise: string, form?: Form): string {
    const { data, shape } = tensor
    const turned = form === 'transposed'
    const dims = turned ? [...shape].reverse() : (form ?? shape)
    const key = `${turned} ${dims}`
    const written = this.#written.get(data)
    const known = written?.forms.get(key)
    if (known !== undefined) return known
    if (written) {
      const name = this.#otherForm(written.name, written, { shape, turned, dims }, otherwise)
      written.forms.set(key, name)
      return name
    }
    const name = this.#weightNames.get(data) ?? this.#unused(otherwise)
    this.#written.set(data, { name, shape, turned, dims, forms: new Map([[key, name]]) })
    attached(tensor, name)
    const array = turned ? transpose(fromTensor(tensor), [1, 0]) : fromTensor(tensor)
    this.#initialize(name, dims, array.values as Float32Array)
    return name
  }

  /** A weight that is written in one form, in another. */
  #otherForm(name: string, from: Layout, to: Layout, otherwise: string): string {
    let [made, shape] = [name, from.dims]
    const turn = () => {
      made = this.step('Transpose', [made], otherwise, { perm: [1, 0] })
      shape = [...shape].reverse()
    }
    const reshape = (wanted: readonly number[]) => {
      if (sameShape(shape, wanted)) return
      made = this.step('Reshape', [made, this.integers(`${otherwise}.shape`, wanted)], otherwise)
      shape = wanted
    }
    if (from.turned) turn()
    reshape(to.turned ? to.shape : to.dims)
    if (to.turned) turn()
    return made
  }

  floats(name: string, shape: readonly number[], values: ArrayLike<number>): string {
    const unused = this.#unused(name)
    this.#initialize(unused, shape, Float32Array.from(values))
    return unused
  }

  integers(name: string, values: readonly number[]): string {
    return this.numbers(name, [values.length], BigInt64Array.from(values.map(BigInt)))
  }

  /** Numbers of any of these types. */
  numbers(name: string, shape: readonly number[], values: Numbers): string {
    const unused = this.#unused(name)
    this.#initialize(unused, shape, values)
    return unused
  }

  #initialize(name: string, dims: readonly number[], values: Numbers): void {
    this.#initializers.push({
      name,
      dims: [...dims],
      data_type: dataTypes[values.constructor.name] ?? 1,
      raw_data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    })
  }
}

/** The version of the format that came with an opset from 17 on. */
function irVersion(opset: number): number {
  return opset > 22 ? 11 : opset > 20 ? 10 : opset > 18 ? 9 : 8
}

function attribute(name: string, value: AttributeValue): Draft<AttributeProto> {
  if (typeof value === 'number') return { name, i: value, type: 2 }
  if (typeof value === 'string') return { name, s: new TextEncoder().encode(value), type: 3 }
  if ('strings' in value) {
    return { name, strings: value.strings.map((one) => new TextEncoder().encode(one)), type: 8 }
  }
  return 'float' in value ? { name, f: value.float, type: 1 } : { name, ints: [...value], type: 7 }
}

/** Floats for a batch of any size. */
function valueInfo(name: string, shape: readonly number[]): Draft<ValueInfoProto> {
  const dim = [{ dim_param: 'N' }, ...shape.map((size) => ({ dim_value: size }))]
  return { name, type: { tensor_type: { elem_type: 1, shape: { dim } } } }
}
