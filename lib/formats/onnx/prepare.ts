/** A model's graph made ready to run: nodes checked, weights read, what is known before any image computed. */

import type { Buffer, Parameter } from '../../tensor/parameter.ts'
import { elements } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { arrayOfKnown, Constants } from './constants.ts'
import { valueInfo } from './declared.ts'
import { notOnnx } from './decode.ts'
import { type ElementType, elementTypeOf, float32 } from './element.ts'
import { flattened } from './functions.ts'
import { inferTypes } from './infer.ts'
import type { OnnxValueInfo } from './info.ts'
import { initializersOf } from './initializers.ts'
import { joinNodes } from './join.ts'
import { inOrder, needed } from './order.ts'
import { identity, type PlacedNode } from './placed-node.ts'
import { Preparer } from './prepare-body.ts'
import { isStandard, type PreparedNode, prepareNode } from './prepared-node.ts'
import type { GraphProto, ModelProto, NodeProto, ValueInfoProto } from './proto.ts'
import { type DataFolder, typeName } from './tensor.ts'
import type { Value } from './value.ts'
import { stateOf } from './weights.ts'

/**
 * Versions of the operator set that are read. Promised are 7 to 22: attributes that older ones have are refused
 * unless they mean the same. Of those here none has another meaning in 25 or 26, which only add element types; Range
 * has in 27.
 */
const [oldestOpset, newestOpset] = [1, 28]

export interface Prepared {
  readonly opset: number
  /** What must be given: the inputs of the graph without a value of their own. */
  readonly inputs: readonly OnnxValueInfo[]
  readonly outputs: readonly OnnxValueInfo[]
  readonly nodes: readonly PreparedNode[]
  /** Values known before any image, by name, but for weights and statistics. */
  readonly known: ReadonlyMap<string, Value>
  /** Weights, then values that are none but belong to the state, means and variances. Names may come twice. */
  readonly state: readonly (readonly [name: string, tensor: Parameter | Buffer])[]
  /** See `Run`. */
  readonly held: ReadonlyMap<Value, readonly number[]>
  /** Element types, by name. */
  readonly types: ReadonlyMap<string, ElementType>
}

/** @param file what errors call the model */
export function prepare(model: ModelProto, file: string, folder: DataFolder): Prepared {
  const opset = opsetOf(model, file)
  const graph = flattened(model, file)
  const initializers = initializersOf(graph)
  const results = graph.output.map(({ name }) => name)
  const given = new Set([...initializers.keys(), ...graph.input.map(({ name }) => name)])
  const protos = needed(inOrder(graph, given, file), results)
  const inputs = graph.input.filter(({ name }) => !initializers.has(name))
  for (const { name, type } of inputs) {
    if (type && !type.tensor_type)
      throw new KerneletError('ERR_UNSUPPORTED', `${file}: its input ${show(name)} is no tensor`)
  }
  const types = new Map(inputs.flatMap(declaredType))
  const constants = new Constants({ batch: 1, declaredBatch: undefined, held: new Map(), types })
  const read = new Set([...protos.flatMap((proto) => proto.input), ...results])
  for (const { name, type } of inputs) {
    const code = type?.tensor_type?.elem_type
    if (code === undefined || !read.has(name) || elementTypeOf(code)) continue
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${file}: its input ${show(name)} has the element type ${typeName(code)}, which is not supported`,
    )
  }
  for (const [name, get] of initializers) if (read.has(name)) constants.read(get(folder), folder)
  const preparer = new Preparer(opset, folder, file)
  const left = unfolded(protos, results, constants, preparer, file)
  const ready = (proto: PlacedNode) => prepareNode(proto, opset, folder)
  const { nodes, tensors, held } = stateOf(joinNodes(left, constants, results, ready), constants, types)
  for (const [name, value] of constants.values) if (!Tensor.is(value)) types.set(name, value.type)
  inferTypes(nodes, types)
  return {
    opset,
    inputs: inputs.map((one) => valueInfo(one)),
    outputs: graph.output.map((one) => valueInfo(one, types.get(one.name))),
    nodes,
    known: constants.keep(nodes, results),
    state: tensors,
    held,
    types,
  }
}

/** The nodes that have to wait for an image; others are run now, and of an If whose condition is known one branch stays. */
function unfolded(
  protos: readonly PlacedNode[],
  results: readonly string[],
  constants: Constants,
  preparer: Preparer,
  file: string,
): PreparedNode[] {
  const left: PreparedNode[] = []
  const waiting = [...protos].reverse()
  let branches = false
  for (let proto = waiting.pop(); proto; proto = waiting.pop()) {
    const branch = branchTaken(proto, constants)
    if (branch) {
      for (const [, get] of initializersOf(branch)) constants.read(get(preparer.folder), preparer.folder)
      waiting.push(...nodesOf(branch, proto, file).reverse())
      branches = true
      continue
    }
    const prepared = preparer.prepare(proto)
    if (prepared && !constants.fold(prepared)) left.push(prepared)
  }
  preparer.check()
  if (!branches) return left
  // what only the other branch needed
  const kept = needed(
    left.map(({ proto }) => proto),
    results,
  )
  const same = new Map(left.map((one) => [one.proto, one]))
  return kept.map((proto) => same.get(proto) ?? prepareNode(proto, preparer.opset, preparer.folder))
}

/** The branch that an If takes whatever the image is. */
function branchTaken(proto: PlacedNode, constants: Constants): GraphProto | undefined {
  const condition = constants.values.get(proto.input[0] ?? '')
  if (proto.op_type !== 'If' || !isStandard(proto.domain) || !condition || elements(condition.shape) !== 1) {
    return undefined
  }
  const name = Number(arrayOfKnown(condition).values[0]) === 0 ? 'else_branch' : 'then_branch'
  return proto.attribute.find((one) => one.name === name)?.g
}

/** The nodes of a branch, in order, and what gives its results the names that the If gives them. */
function nodesOf(branch: GraphProto, node: PlacedNode, file: string): NodeProto[] {
  const given = new Set([...initializersOf(branch).keys(), ...node.input])
  const copies = node.output.flatMap((output, i) => {
    const from = branch.output[i]?.name
    if (from === undefined) {
      throw notOnnx(file, `a branch of node ${show(node.name || node.op_type)} has too few outputs`)
    }
    return output === '' ? [] : identity(from, output)
  })
  return needed(
    [...inOrder(branch, given, file), ...copies],
    copies.flatMap(({ output }) => output),
  )
}

/** Name and element type of an input; where it does not say, float. */
function declaredType({ name, type }: ValueInfoProto): [string, ElementType][] {
  const known = type?.tensor_type ? elementTypeOf(type.tensor_type.elem_type) : float32
  return known ? [[name, known]] : []
}

/** The nodes that one result depends on. */
export function nodesFor(
  { nodes, opset }: Prepared,
  result: string,
  folder: DataFolder,
): readonly PreparedNode[] {
  const prepared = new Map(nodes.map((one) => [one.proto, one]))
  const byOutput = new Map(nodes.flatMap((one) => one.proto.output.map((name) => [name, one])))
  return needed([...prepared.keys()], [result]).map((proto) => {
    const same = prepared.get(proto)
    if (same) return same
    // Fewer of its outputs are wanted.
    const name = proto.output.find((output) => output !== '') as string
    return { ...prepareNode(proto, opset, folder), weights: byOutput.get(name)?.weights }
  })
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
