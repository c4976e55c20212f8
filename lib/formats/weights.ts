/** Weights from a file of any kind that is read. */
import { KerneletError } from '../util/errors.ts'
import type { WeightsFile } from './dtype.ts'
import type { OnnxFile } from './onnx/inspect.ts'
import { readOnnx } from './onnx/reader.ts'
import { readSafetensors } from './safetensors.ts'
import { readSource } from './source.ts'
import { readTorch } from './torch/load.ts'

/** A file of weights and what kind it is. */
export interface AnyWeights extends WeightsFile {
  format: 'safetensors' | 'torch' | 'onnx'
  /** Of an ONNX model: what it computes. */
  graph?: Pick<OnnxFile, 'inputs' | 'outputs' | 'nodes' | 'operators'>
}

/**
 * Reads a file of weights; its first bytes say of which kind it is.
 *
 * @param key as for `readTorch`
 * @throws KerneletError as `readTorch`, `readSafetensors` and, but for operators, `loadOnnx`
 */
export function readWeights(path: string, key?: string): AnyWeights {
  const { bytes } = readSource('readWeights', path, 'weights')
  // PK: a ZIP archive. 0x80: a pickle, of which readTorch says what is to be done.
  if ((bytes[0] === 0x50 && bytes[1] === 0x4b) || bytes[0] === 0x80) {
    return { format: 'torch', ...readTorch(path, { key }) }
  }
  if (key !== undefined) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${path} is no file of torch.save: it has no part ${JSON.stringify(key)}`,
    )
  }
  // The version of the format, field 1 of a model; in safetensors a JSON object follows eight bytes of length.
  if (bytes[0] === 0x08 && bytes[8] !== 0x7b) {
    const { tensors, metadata, ...graph } = readOnnx(path)
    return { format: 'onnx', tensors, metadata, graph }
  }
  return { format: 'safetensors', ...readSafetensors(path) }
}
