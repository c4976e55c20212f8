/** What an ONNX file says, supported or not. */
import { dirname } from 'node:path'
import { show } from '../../util/show.ts'
import type { WeightsFile } from '../dtype.ts'
import { readSource } from '../source.ts'
import { uncompiled, untrained } from './abilities.ts'
import { Budget, within } from './budget.ts'
import { valueInfo } from './declared.ts'
import { decodeModel } from './decode.ts'
import { flattened } from './functions.ts'
import type { OnnxValueInfo } from './info.ts'
import { initializersOf } from './initializers.ts'
import { isStandard, operatorOf } from './prepared-node.ts'
import type { GraphProto, NodeProto } from './proto.ts'
import { closingFiles, storedTensor } from './tensor.ts'

/** A node of a graph, by name: operator, inputs and outputs. */
export interface OnnxNodeInfo {
  readonly name: string
  readonly op: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
}

/** An operator that a model uses. */
export interface OnnxOperatorInfo {
  /** With its domain, where it is not ONNX's own: `com.microsoft.Gelu`. */
  readonly op: string
  /** Nodes of it, those of functions at each of their calls. */
  readonly count: number
  /** The first of these nodes, by name. */
  readonly nodes: readonly string[]
  /** Whether there is one here: `run` computes it. An attribute of a node may still be refused. */
  readonly run: boolean
  /** Whether a compiled model computes it of an image, and training goes through it. */
  readonly compile: boolean
  readonly train: boolean
}

/** An ONNX file taken apart. */
export interface OnnxFile extends WeightsFile {
  readonly inputs: readonly OnnxValueInfo[]
  readonly outputs: readonly OnnxValueInfo[]
  readonly nodes: readonly OnnxNodeInfo[]
  /** By name. */
  readonly operators: readonly OnnxOperatorInfo[]
}

/** Nodes of an operator that are named. */
const mostNamed = 16

/**
 * Reads what an ONNX file holds, whether or not its operators are supported.
 *
 * @param path of the file
 * @throws KerneletError as `loadOnnx`, but for operators
 */
export function readOnnx(path: string): OnnxFile {
  const { bytes, name } = readSource('readOnnx', path, 'ONNX')
  const model = decodeModel(bytes, name)
  const graph = model.graph as GraphProto
  const folder = { path: dirname(path) }
  const initializers = initializersOf(graph)
  return {
    tensors: closingFiles(folder, () =>
      within(
        new Budget('load'),
        () =>
          new Map(
            [...initializers].map(([name, get]) => [
              name,
              storedTensor(get(folder), `initializer ${show(name)}`, folder),
            ]),
          ),
      ),
    ),
    metadata: new Map([
      ['producer', `${model.producer_name} ${model.producer_version}`.trim()],
      ...model.opset_import.map(({ domain, version }): [string, string] => [
        domain === '' ? 'opset' : `opset of ${domain}`,
        String(version),
      ]),
      ...model.metadata_props.map(({ key, value }): [string, string] => [key, value]),
    ]),
    inputs: graph.input.filter((input) => !initializers.has(input.name)).map((one) => valueInfo(one)),
    outputs: graph.output.map((one) => valueInfo(one)),
    nodes: graph.node.map((node) => ({
      name: node.name,
      op: nameOf(node),
      inputs: node.input,
      outputs: node.output,
    })),
    operators: within(new Budget('load'), () => operatorsOf(flattened(model, name))),
  }
}

function nameOf({ domain, op_type: name }: NodeProto): string {
  return isStandard(domain) ? name : `${domain}.${name}`
}

/** The operators of a graph and of the graphs in its nodes. */
function operatorsOf(graph: GraphProto): OnnxOperatorInfo[] {
  const found = new Map<string, { count: number; nodes: string[]; run: boolean }>()
  const look = ({ node }: GraphProto) => {
    for (const one of node) {
      const name = nameOf(one)
      const known = found.get(name) ?? { count: 0, nodes: [], run: operatorOf(one) !== undefined }
      found.set(name, known)
      known.count++
      if (known.nodes.length < mostNamed) known.nodes.push(one.name || one.output[0] || name)
      for (const { g } of one.attribute) if (g) look(g)
    }
  }
  look(graph)
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([op, { count, nodes, run }]) => ({
      op,
      count,
      nodes,
      run,
      compile: run && !uncompiled.has(op),
      train: run && !untrained.has(op),
    }))
}
