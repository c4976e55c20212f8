/** A node of a model: its attributes, read with the type they should have, and the errors that are about it. */

import { KerneletError, type KerneletErrorCode } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import type { NdArray } from './array.ts'
import type { PlacedNode } from './placed-node.ts'
import type { AttributeProto, GraphProto } from './proto.ts'
import { dense } from './sparse.ts'
import { type DataFolder, readTensor } from './tensor.ts'

/** Names of `AttributeProto.AttributeType`. */
const attributeTypes: Readonly<Record<number, string>> = {
  1: 'a float',
  2: 'an integer',
  3: 'a string',
  4: 'a tensor',
  5: 'a graph',
  6: 'floats',
  7: 'integers',
  8: 'strings',
  9: 'tensors',
  10: 'graphs',
  11: 'a sparse tensor',
}

export class OnnxNode {
  /** As the model names it, else by its first output. */
  readonly name: string
  readonly op: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** The last of its inputs, so many, are values around it that its own graphs read. */
  readonly captured: number
  /** Version of the operator set. */
  readonly opset: number
  readonly #attributes: Map<string, AttributeProto>
  /** Names of attributes that were; of a node that has none nobody wants to know. */
  #asked: Set<string> | undefined
  readonly #folder: DataFolder
  readonly #proto: PlacedNode

  constructor(node: PlacedNode, opset: number, folder: DataFolder) {
    this.name = node.name || node.output.find((output) => output !== '') || node.op_type
    this.op = node.op_type
    this.inputs = node.input
    this.outputs = node.output
    this.captured = node.captured ?? 0
    this.opset = node.opset ?? opset
    this.#attributes = new Map()
    for (const attribute of node.attribute) this.#attributes.set(attribute.name, attribute)
    this.#folder = folder
    this.#proto = node
  }

  /** The same with another axis, or other axes. */
  with({ axis, axes }: { axis?: number; axes?: readonly number[] }): OnnxNode {
    const copy = new OnnxNode(this.#proto, this.opset, this.#folder)
    if (axis !== undefined) copy.#attributes.set('axis', attribute('axis', 2, axis))
    if (axes !== undefined) copy.#attributes.set('axes', attribute('axes', 7, 0, axes))
    return copy
  }

  has(name: string): boolean {
    return this.#attributes.has(name)
  }

  int(name: string, otherwise: number): number {
    return this.#read(name, 2)?.i ?? otherwise
  }

  /** One of two things, as ONNX writes a boolean. */
  flag(name: string, otherwise: boolean): boolean {
    return this.int(name, otherwise ? 1 : 0) !== 0
  }

  float(name: string, otherwise: number): number {
    return this.#read(name, 1)?.f ?? otherwise
  }

  text(name: string, otherwise: string): string {
    const attribute = this.#read(name, 3)
    return attribute ? new TextDecoder().decode(attribute.s) : otherwise
  }

  ints(name: string): number[] | undefined {
    return this.#read(name, 7)?.ints
  }

  floats(name: string): number[] | undefined {
    return this.#read(name, 6)?.floats
  }

  texts(name: string): string[] | undefined {
    return this.#read(name, 8)?.strings.map((one) => new TextDecoder().decode(one))
  }

  tensor(name: string): NdArray | undefined {
    const attribute = this.#read(name, 4)
    if (!attribute) return undefined
    if (!attribute.t) throw this.error('ERR_FORMAT', `attribute ${name} has no tensor`)
    return readTensor(attribute.t, `${this.place}: attribute ${name}`, this.#folder)
  }

  graph(name: string): GraphProto {
    const graph = this.#read(name, 5)?.g
    if (graph) return graph
    throw this.error('ERR_FORMAT', `attribute ${name}, a graph, is missing`)
  }

  /** A sparse tensor, with its zeros. */
  sparse(name: string): NdArray | undefined {
    const attribute = this.#read(name, 11)
    if (!attribute) return undefined
    const what = `${this.place}: attribute ${name}`
    if (!attribute.sparse_tensor) throw this.error('ERR_FORMAT', `attribute ${name} has no tensor`)
    return readTensor(dense(attribute.sparse_tensor, what, this.#folder), what, this.#folder)
  }

  /** An attribute that changes nothing here. */
  ignore(...names: string[]): void {
    for (const name of names) this.#ask(name)
  }

  /** @throws KerneletError `ERR_UNSUPPORTED` when there is an attribute that nobody asked for */
  checkAttributes(): void {
    for (const [name, { ref_attr_name: reference }] of this.#attributes) {
      if (!this.#asked?.has(name)) throw this.unsupported(`attribute ${show(name)} is not supported`)
      if (reference)
        throw this.unsupported(`attribute ${name} refers to one of a function, which the node is not in`)
    }
  }

  #ask(name: string): AttributeProto | undefined {
    if (this.#attributes.size === 0) return undefined
    this.#asked ??= new Set()
    this.#asked.add(name)
    return this.#attributes.get(name)
  }

  #read(name: string, type: number): AttributeProto | undefined {
    const attribute = this.#ask(name)
    if (attribute && attribute.type !== type && attribute.type !== 0) {
      throw this.error(
        'ERR_FORMAT',
        `attribute ${name} should be ${attributeTypes[type]} but is ${attributeTypes[attribute.type] ?? `of type ${attribute.type}`}`,
      )
    }
    return attribute
  }

  /** `node conv1 (Conv, opset 17)` */
  get place(): string {
    return `node ${this.name} (${this.op}, opset ${this.opset})`
  }

  error(code: KerneletErrorCode, reason: string, cause?: unknown): KerneletError {
    return new KerneletError(code, `${this.place}: ${reason}`, { cause })
  }

  unsupported(reason: string): KerneletError {
    return this.error('ERR_UNSUPPORTED', reason)
  }
}

/** An attribute of an integer or of several, by its type. */
function attribute(name: string, type: number, i: number, ints: readonly number[] = []): AttributeProto {
  return {
    ...{ name, type, i, ints: [...ints], f: 0, floats: [], strings: [], ref_attr_name: '' },
    ...{ s: undefined, t: undefined, g: undefined, sparse_tensor: undefined },
  }
}
