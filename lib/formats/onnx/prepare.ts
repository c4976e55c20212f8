/** A model's graph made ready to run: nodes checked, weights read, what is known before any image computed. */
import { Buffer, Parameter } from '../../tensor/parameter.ts'
import { elements, sameShape } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { type NdArray, toFloat32, transpose } from './array.ts'
import { notOnnx } from './decode.ts'
import { type ElementType, elementTypeOf, float32, float64 } from './element.ts'
import { heldAsDoubles, inferTypes, isKernel } from './infer.ts'
import { type OnnxValueInfo, valueInfo } from './info.ts'
import { OnnxNode } from './node.ts'
import { operators } from './operators/index.ts'
import type { GraphProto, ModelProto, NodeProto, ValueInfoProto } from './proto.ts'
import { type DataFolder, readTensor } from './tensor.ts'
import type { Run, Step, Value } from './value.ts'

/**
 * Versions of the operator set that are read. Promised are 7 to 22: attributes that older ones have are refused
 * unless they mean the same.
 */
const [oldestOpset, newestOpset] = [1, 24]

/** One operator in its place. */
export interface PreparedNode {
  readonly node: OnnxNode
  readonly step: Step
}

export interface Prepared {
  readonly opset: number
  /** What must be given: the inputs of the graph without a value of their own. */
  readonly inputs: readonly OnnxValueInfo[]
  readonly outputs: readonly OnnxValueInfo[]
  readonly nodes: readonly PreparedNode[]
  /** Values known before any image, by name, parameters included. */
  readonly known: ReadonlyMap<string, Value>
  /** Weights, by the name of their initializer. */
  readonly parameters: ReadonlyMap<string, Parameter>
  /** Values that are no weights but belong to the state: means and variances. */
  readonly buffers: ReadonlyMap<string, Buffer>
  /** See `Run`. */
  readonly held: ReadonlyMap<Value, readonly number[]>
  /** Element types, by name. */
  readonly types: ReadonlyMap<string, ElementType>
}

/** Inputs of an operator that training changes, and those that are measured: running means and variances. */
const weightInputs: Readonly<Record<string, readonly number[]>> = {
  Add: [0, 1],
  BatchNormalization: [1, 2],
  Conv: [1, 2],
  Div: [0, 1],
  Gemm: [1, 2],
  MatMul: [1, 2],
  Mul: [0, 1],
  PRelu: [1],
  Sub: [0, 1],
}

/** @param file what errors call the model */
export function prepare(model: ModelProto, file: string, folder: DataFolder): Prepared {
  const graph = model.graph as GraphProto
  const opset = opsetOf(model, file)
  const initializers = new Set(graph.initializer.map(({ name }) => name))
  const protos = joinBiases(needed(graph, checkOrder(graph, initializers, file)), graph)
  const inputs = graph.input.filter(({ name }) => !initializers.has(name))
  for (const { name, type } of inputs) {
    if (type && !type.tensor_type)
      throw new KerneletError('ERR_UNSUPPORTED', `${file}: its input ${show(name)} is no tensor`)
  }
  const nodes = protos.map((proto) => prepareNode(proto, opset, folder))
  const weights = new Weights(graph, protos, nodes, folder)
  const types = new Map([...weights.types, ...inputs.flatMap(declaredType)])
  const run: Run = { batch: 1, declaredBatch: undefined, held: weights.held, types }
  const known: Map<string, Value> = new Map(weights.values)
  const left = nodes.filter((one) => !fold(one, known, run))
  for (const [name, value] of known) if (!Tensor.is(value)) types.set(name, value.type)
  inferTypes(
    nodes.map(({ node }) => node),
    types,
  )
  return {
    opset,
    inputs: inputs.map((one) => valueInfo(one)),
    outputs: graph.output.map((one) => valueInfo(one, types.get(one.name))),
    nodes: left,
    known,
    parameters: weights.parameters,
    buffers: weights.buffers,
    held: weights.held,
    types,
  }
}

/** Name and element type of an input; where it does not say, float. */
function declaredType({ name, type }: ValueInfoProto): [string, ElementType][] {
  const known = type?.tensor_type ? elementTypeOf(type.tensor_type.elem_type) : float32
  return known ? [[name, known]] : []
}

function opsetOf(model: ModelProto, file: string): number {
  const version = model.opset_import.find(({ domain }) => isStandard(domain))?.version
  if (version === undefined) {
    const others = model.opset_import.map(({ domain }) => show(domain))
    if (others.length === 0) throw notOnnx(file, 'it names no version of the operator set')
    throw new KerneletError('ERR_UNSUPPORTED', `${file} has operators of ${others.join(', ')} only`)
  }
  if (version >= oldestOpset && version <= newestOpset) return version
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `${file} is for opset ${version}; supported are ${oldestOpset} to ${newestOpset}`,
  )
}

function isStandard(domain: string): boolean {
  return domain === '' || domain === 'ai.onnx'
}

/** The nodes, once it is sure that every one reads only what is there before it. */
function checkOrder(graph: GraphProto, initializers: ReadonlySet<string>, file: string): NodeProto[] {
  const there = new Set([...initializers, ...graph.input.map(({ name }) => name)])
  for (const node of graph.node) {
    for (const input of node.input) {
      if (input === '' || there.has(input)) continue
      throw notOnnx(
        file,
        `node ${show(node.name || node.op_type)} reads ${show(input)}, which is not there before it`,
      )
    }
    for (const output of node.output) {
      if (output === '') continue
      if (there.has(output)) throw notOnnx(file, `${show(output)} is there twice`)
      there.add(output)
    }
  }
  for (const { name } of graph.output) {
    if (!there.has(name)) throw notOnnx(file, `nothing makes its output ${show(name)}`)
  }
  if (graph.output.length === 0) throw notOnnx(file, 'it has no output')
  return graph.node
}

/** The nodes that the outputs depend on. */
function needed(graph: GraphProto, nodes: readonly NodeProto[]): NodeProto[] {
  const wanted = new Set(graph.output.map(({ name }) => name))
  const kept: NodeProto[] = []
  for (const node of [...nodes].reverse()) {
    if (!node.output.some((output) => wanted.has(output))) continue
    for (const input of node.input) wanted.add(input)
    kept.push(node)
  }
  return kept.reverse()
}

/** A MatMul by a matrix of weights with an Add of one number a column becomes one node: a linear layer. */
function joinBiases(nodes: readonly NodeProto[], graph: GraphProto): NodeProto[] {
  const dims = new Map(graph.initializer.map((tensor) => [tensor.name, tensor.dims]))
  const readers = countReaders(nodes, graph)
  const joined = new Map<NodeProto, NodeProto | undefined>()
  const makers = new Map(nodes.flatMap((node) => node.output.map((output) => [output, node])))
  for (const add of nodes) {
    if (add.op_type !== 'Add' || !isStandard(add.domain) || add.input.length !== 2) continue
    for (const [product, bias] of [add.input, [...add.input].reverse()] as [string, string][]) {
      const maker = makers.get(product)
      if (maker?.op_type !== 'MatMul' || !isStandard(maker.domain) || maker.input.length !== 2) continue
      const matrix = dims.get(maker.input[1] as string)
      const fits = matrix?.length === 2 && sameShape(dims.get(bias) ?? [], [matrix[1] as number])
      if (!fits || readers.get(product) !== 1) continue
      joined.set(maker, undefined)
      joined.set(add, { ...maker, input: [...maker.input, bias], output: add.output })
      break
    }
  }
  return nodes.flatMap((node) => (joined.has(node) ? (joined.get(node) ?? []) : node))
}

/** How many nodes and outputs read each value. */
function countReaders(nodes: readonly NodeProto[], graph: GraphProto): Map<string, number> {
  const readers = new Map<string, number>()
  for (const name of [...nodes.flatMap((node) => node.input), ...graph.output.map((output) => output.name)]) {
    readers.set(name, (readers.get(name) ?? 0) + 1)
  }
  return readers
}

function prepareNode(proto: NodeProto, opset: number, folder: DataFolder): PreparedNode {
  const node = new OnnxNode(proto, opset, folder)
  if (!isStandard(proto.domain)) {
    throw node.unsupported(`operators of ${show(proto.domain)} are not supported`)
  }
  const operator = operators.get(proto.op_type)
  if (!operator) throw node.unsupported(`the operator ${proto.op_type} is not supported`)
  const step = operator(node)
  node.checkAttributes()
  return { node, step }
}

/** Runs a node now when nothing that it reads comes from an image or is trained. */
function fold(prepared: PreparedNode, known: Map<string, Value>, run: Run): boolean {
  const { node } = prepared
  for (const input of node.inputs) {
    const value = input === '' ? undefined : known.get(input)
    if (input !== '' && (value === undefined || value instanceof Parameter)) return false
  }
  runNode(prepared, known, run)
  return true
}

/** Runs a node: takes its inputs from `values` and puts its outputs there. */
export function runNode({ node, step }: PreparedNode, values: Map<string, Value>, run: Run): void {
  const inputs = node.inputs.map((input) => (input === '' ? undefined : values.get(input)))
  let results: Value | readonly Value[]
  try {
    results = step(inputs, run)
  } catch (cause) {
    const { message } = cause as Error
    if (cause instanceof KerneletError) {
      throw message.startsWith(node.place) ? cause : node.error(cause.code, message, cause)
    }
    throw node.error('ERR_INTERNAL', message, cause)
  }
  const list = Array.isArray(results) ? (results as readonly Value[]) : [results as Value]
  for (const [i, output] of node.outputs.entries()) {
    if (output === '') continue
    const value = list[i]
    if (value === undefined) throw node.unsupported(`output ${i}, ${show(output)}, is not supported`)
    values.set(output, value)
  }
}

/** The initializers: weights, which training changes, and constants. */
class Weights {
  readonly values: Map<string, Value> = new Map()
  readonly parameters: Map<string, Parameter> = new Map()
  readonly buffers: Map<string, Buffer> = new Map()
  readonly held: Map<Value, readonly number[]> = new Map()
  readonly types: Map<string, ElementType> = new Map()
  /** See `heldAsDoubles`. */
  readonly #doubles: ReadonlySet<string>

  constructor(
    graph: GraphProto,
    protos: readonly NodeProto[],
    nodes: readonly PreparedNode[],
    folder: DataFolder,
  ) {
    const uses = usesOf(protos, nodes)
    const doubles = [
      ...graph.initializer.filter(({ data_type: code }) => elementTypeOf(code) === float64),
      ...graph.input.filter(({ type }) => elementTypeOf(type?.tensor_type?.elem_type ?? 0) === float64),
    ].map(({ name }) => name)
    this.#doubles = heldAsDoubles(
      new Set(doubles),
      nodes.map(({ node }) => node),
    )
    for (const tensor of graph.initializer) {
      if (!uses.has(tensor.name) && !graph.output.some(({ name }) => name === tensor.name)) continue
      const array = readTensor(tensor, `initializer ${show(tensor.name)}`, folder)
      this.types.set(tensor.name, array.type)
      this.values.set(tensor.name, this.#sort(tensor.name, array, uses.get(tensor.name) ?? []))
    }
  }

  #sort(name: string, array: NdArray, uses: readonly Use[]): Value {
    if (array.type.kind !== 'float' || array.values.length === 0) return array
    if (array.type === float64 && !uses.some((use) => this.#meetsKernel(use))) return array
    // A number alone, as in x + 3, is part of the network and no weight of it.
    const weight = array.shape.length > 0 && uses.some(({ op, index }) => weightInputs[op]?.includes(index))
    if (weight) {
      const held = heldAs(array, uses)
      const parameter = new Parameter(floats(name, held), held.shape)
      this.parameters.set(name, parameter)
      if (held !== array) this.held.set(parameter, array.shape)
      return parameter
    }
    if (!uses.some(({ op, index }) => op === 'BatchNormalization' && index > 2)) return array
    const buffer = new Buffer(floats(name, array), array.shape)
    this.buffers.set(name, buffer)
    return buffer
  }

  /** Whether doubles are read by an operator that computes float32, or beside other values: they become float32. */
  #meetsKernel({ op, node }: Use): boolean {
    return isKernel(op) || node.inputs.some((input) => input !== '' && !this.#doubles.has(input))
  }
}

/** @throws KerneletError `ERR_UNSUPPORTED` for doubles beyond float32 */
function floats(name: string, array: NdArray): Float32Array {
  try {
    return toFloat32(array)
  } catch (cause) {
    const { code, message } = cause as KerneletError
    throw new KerneletError(code, `initializer ${show(name)}: ${message}`, { cause })
  }
}

/** A place where a value is read. */
interface Use {
  readonly op: string
  readonly index: number
  readonly node: OnnxNode
  /** Under another name, that of an Identity's output. */
  readonly renamed: boolean
}

/** Every initializer's uses, looking through Identity nodes, by which exporters share equal weights. */
function usesOf(protos: readonly NodeProto[], nodes: readonly PreparedNode[]): Map<string, Use[]> {
  const uses = new Map<string, Use[]>()
  const origin = new Map<string, string>()
  for (const [i, { input, output, op_type: op }] of protos.entries()) {
    const { node } = nodes[i] as PreparedNode
    for (const [index, name] of input.entries()) {
      const source = origin.get(name) ?? name
      const list = uses.get(source) ?? []
      list.push({ op, index, node, renamed: source !== name })
      uses.set(source, list)
      if (op === 'Identity') origin.set(output[0] ?? '', source)
    }
  }
  return uses
}

/** A weight as a layer of ours holds it, where all who read it agree; see `Run.held`. */
function heldAs(array: NdArray, uses: readonly Use[]): NdArray {
  const { shape } = array
  if (shape.length === 2 && uses.every(readsInOut)) return transpose(array, [1, 0])
  const slopes = uses.every(({ op, index, renamed }) => op === 'PRelu' && index === 1 && !renamed)
  return slopes && shape.length > 1 && elements(shape) === shape[0] ? { ...array, shape: [shape[0]] } : array
}

function readsInOut({ op, index, node, renamed }: Use): boolean {
  if (index !== 1 || renamed) return false
  return op === 'MatMul' || (op === 'Gemm' && !node.flag('transB', false))
}
