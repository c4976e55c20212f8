/** Writing of ONNX models, with all operators. */
import type { Graph } from '../../graph/graph.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { GraphWriter } from './graph-writer.ts'
import { allWriters } from './operators/index.ts'

/**
 * The bytes of an ONNX model.
 *
 * @param weights by the names that they get
 * @throws KerneletError as `saveOnnx`
 */
export function encodeGraph(
  graph: Graph,
  weights: ReadonlyMap<string, Tensor>,
  names: { inputName: string; outputName: string },
): Uint8Array {
  return new GraphWriter(graph, weights, allWriters()).write(names)
}
