import { graphGiven } from '../../graph/check-graph.ts'
import { type Graph, trace } from '../../graph/graph.ts'
import { Module } from '../../nn/module.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { checkOptions, text } from '../../util/check.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { type FilePath, pathOf } from '../../util/source.ts'
import { writeAtomically } from '../atomic-write.ts'
import { encodeGraph } from './reader.ts'

/** Options of `saveOnnx`. */
export interface SaveOnnxOptions {
  /** Shape of one image, without the batch: `[1, 28, 28]`. Needed for a Module, known to a Graph. */
  inputShape?: readonly number[] | undefined
  /** Name of the input; default 'input'. */
  inputName?: string | undefined
  /** Name of the output; default 'output'. */
  outputName?: string | undefined
}

/**
 * Writes a model as ONNX, opset 17 (up to 23 for operators that came later), for batches of any size. Weights go
 * by the names of `stateDict()`.
 *
 * @param path where to, all or nothing; without it only the bytes are made
 * @returns the bytes of the file
 * @throws KerneletError `ERR_UNSUPPORTED` for an operation that ONNX has no operator for, or a file of over 2 GiB;
 *   `ERR_IO` when the file cannot be written (the old one is then untouched); otherwise as `trace`
 */
export function saveOnnx(model: Module | Graph, path: FilePath, options?: SaveOnnxOptions): Uint8Array
export function saveOnnx(model: Module | Graph, options?: SaveOnnxOptions): Uint8Array
export function saveOnnx(
  model: Module | Graph,
  path: FilePath | SaveOnnxOptions = {},
  more: SaveOnnxOptions = {},
): Uint8Array {
  const file = pathOf(path)
  const options = file === undefined ? (path as SaveOnnxOptions) : more
  checkOptions('saveOnnx', options, ['inputShape', 'inputName', 'outputName'])
  const inputName = text(options.inputName ?? 'input', 'saveOnnx: inputName')
  const outputName = text(options.outputName ?? 'output', 'saveOnnx: outputName')
  const graph = graphOf(model, options)
  const names = model instanceof Module ? model.stateDict() : new Map<string, Tensor>()
  const bytes = encodeGraph(graph, names, { inputName, outputName })
  if (file !== undefined) writeAtomically(file, [bytes])
  return bytes
}

function graphOf(model: Module | Graph, options: SaveOnnxOptions): Graph {
  const graph = graphGiven(model)
  if (graph) return graph
  if (!(model instanceof Module)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `saveOnnx: expected a Module or Graph but received ${show(model)}`,
    )
  }
  const inputShape = options.inputShape ?? (model as { inputShape?: readonly number[] }).inputShape
  if (inputShape) return trace(model, inputShape)
  throw new KerneletError(
    'ERR_ARGUMENT',
    'saveOnnx: inputShape, the shape of one image such as [1, 28, 28], is needed',
  )
}
