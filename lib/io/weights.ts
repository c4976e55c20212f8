/** Weights from a file of any kind that is read. */
import { KerneletError } from '../errors.ts'
import { readSafetensors } from './safetensors.ts'
import { readSource } from './source.ts'
import type { WeightsFile } from './stored.ts'
import { readTorch } from './torch.ts'

/** A file of weights and what kind it is. */
export interface AnyWeights extends WeightsFile {
  format: 'safetensors' | 'torch'
}

/**
 * Reads a file of weights; its first bytes say of which kind it is.
 *
 * @param key as for `readTorch`
 * @throws KerneletError as `readTorch` and `readSafetensors`
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
  return { format: 'safetensors', ...readSafetensors(path) }
}
