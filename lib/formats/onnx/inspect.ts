/** What an ONNX file says, supported or not. */
import { dirname } from 'node:path'
import { show } from '../../util/show.ts'
import type { WeightsFile } from '../dtype.ts'
import { readSource } from '../source.ts'
import { Budget, within } from './budget.ts'
import { valueInfo } from './declared.ts'
import { decodeModel } from './decode.ts'
import type { OnnxValueInfo } from './info.ts'
import type { GraphProto } from './proto.ts'
import { initializersOf } from './sparse.ts'
import { storedTensor } from './tensor.ts'

/** A node of a graph, by name: operator, inputs and outputs. */
export interface OnnxNodeInfo {
  readonly name: string
  readonly op: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
}

/** An ONNX file taken apart. */
export interface OnnxFile extends WeightsFile {
  readonly inputs: readonly OnnxValueInfo[]
  readonly outputs: readonly OnnxValueInfo[]
  readonly nodes: readonly OnnxNodeInfo[]
}

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
    tensors: within(
      new Budget('load'),
      () =>
        new Map(
          [...initializers].map(([name, get]) => [
            name,
            storedTensor(get(folder), `initializer ${show(name)}`, folder),
          ]),
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
      op: node.domain === '' ? node.op_type : `${node.domain}.${node.op_type}`,
      inputs: node.input,
      outputs: node.output,
    })),
  }
}
