/** Writing of ONNX models, with all operators. */
import type { Graph } from '../../graph/graph.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { GraphWriter } from './graph-writer.ts'
import { allWriters } from './operators/index.ts'
import { QuantizedWriter } from './quantized-writer.ts'

/**
 * The bytes of an ONNX model.
 *
 * @param weights by the names that they get
 * @param ranges the least and the largest value of each node: layers compute with bytes
 * @throws KerneletError as `saveOnnx`
 */
export function encodeGraph(
  graph: Graph,
  weights: ReadonlyMap<string, Tensor>,
  names: { inputName: string; outputName: string },
  ranges?: Float32Array,
): Uint8Array {
  const writers = allWriters()
  const writer = ranges
    ? new QuantizedWriter(graph, weights, writers, ranges)
    : new GraphWriter(graph, weights, writers)
  return writer.write(names)
}
