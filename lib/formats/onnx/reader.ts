/**
 * Reading and writing of ONNX models with all operators, a third of the library's code, which programs that read no
 * ONNX model need not load: scripts/build-ts.mjs has these functions load it when one of them is first called.
 */
import type { Graph } from '../../graph/graph.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { Evaluator } from './evaluator.ts'
import { GraphWriter } from './graph-writer.ts'
import { writers } from './operators/index.ts'
import type { ModelProto } from './proto.ts'
import { QuantizedWriter } from './quantized-writer.ts'

export { decodeModel } from './decode.ts'
export { patternOf } from './evaluator.ts'
export { readOnnx } from './inspect.ts'

/** @throws KerneletError as `loadOnnx` */
export function evaluatorOf(
  model: ModelProto,
  file: string,
  folder: { path: string | undefined },
  output: string | undefined,
): Evaluator {
  return new Evaluator(model, file, folder, output)
}

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
  const writer = ranges
    ? new QuantizedWriter(graph, weights, writers, ranges)
    : new GraphWriter(graph, weights, writers)
  return writer.write(names)
}
