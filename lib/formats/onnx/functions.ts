/**
 * A model's graph with its functions in the place of their calls, and with every value that a graph inside a node reads
 * as an input of that node: what follows sees one list of nodes that say all that they need.
 */
import { withoutFunctions } from './flatten.ts'
import type { GraphProto, ModelProto, NodeProto } from './proto.ts'

/**
 * @param file what errors call the model
 * @throws KerneletError `ERR_FORMAT` for functions that call themselves; `ERR_UNSUPPORTED` for those that make too
 *   much of a model
 */
export function flattened(model: ModelProto, file: string): GraphProto {
  const graph = model.graph as GraphProto
  const plain = model.functions.length === 0 && graph.node.every(hasNoGraph)
  return plain ? graph : withoutFunctions(model, file)
}

function hasNoGraph({ attribute }: NodeProto): boolean {
  return attribute.every(({ g }) => !g)
}
