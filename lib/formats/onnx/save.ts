import { type CompileOptions, rangesOf } from '../../compile/options.ts'
import { graphGiven } from '../../graph/given.ts'
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
  /** 'int8': convolutions and linear layers with QuantizeLinear and DequantizeLinear before them; default 'float32'. */
  precision?: 'float32' | 'int8' | undefined
  /** For 'int8': images such as the model will run on, as `compile` takes them; values' ranges are taken from them. */
  calibration?: CompileOptions['calibration']
}

/**
 * Writes a model as ONNX, opset 17 (up to 23 for operators that came later), for batches of any size. Weights go
 * by the names of `stateDict()`.
 *
 * With `precision: 'int8'` and images for calibration convolutions and linear layers compute with bytes in whatever runs
 * the file: QuantizeLinear and DequantizeLinear before each, one scale for its input and one for each output's weights.
 *
 * @param path where to, all or nothing; without it only the bytes are made
 * @returns the bytes of the file
 * @throws KerneletError `ERR_UNSUPPORTED` for an operation that ONNX has no operator for, or a file of over 2 GiB;
 *   `ERR_IO` when the file cannot be written (the old one is then untouched); otherwise as `trace`
 * @example
 * const bytes = saveOnnx(new LeNet5(), 'lenet.onnx', { inputShape: [1, 28, 28] })
 * loadOnnx(bytes).inputs[0].shape // → ['N', 1, 28, 28]
 * const calibration = new Float32Array(10 * 784).map((_, i) => (i % 7) / 7)
 * saveOnnx(new LeNet5(), { inputShape: [1, 28, 28], precision: 'int8', calibration }).length < bytes.length / 3 // → true
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
  checkOptions('saveOnnx', options, ['inputShape', 'inputName', 'outputName', 'precision', 'calibration'])
  const inputName = text(options.inputName ?? 'input', 'saveOnnx: inputName')
  const outputName = text(options.outputName ?? 'output', 'saveOnnx: outputName')
  const graph = graphOf(model, options)
  const names = model instanceof Module ? model.stateDict() : new Map<string, Tensor>()
  const ranges = rangesFor(graph, options)
  const bytes = encodeGraph(graph, names, { inputName, outputName }, ranges)
  if (file !== undefined) writeAtomically(file, [bytes])
  return bytes
}

/** As `compile` takes them. */
function rangesFor(graph: Graph, { precision, calibration }: SaveOnnxOptions): Float32Array | undefined {
  try {
    return rangesOf(graph, { precision, calibration })
  } catch (error) {
    if (!(error instanceof KerneletError)) throw error
    throw new KerneletError(error.code, error.message.replace(/^compile/, 'saveOnnx'), { cause: error })
  }
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
