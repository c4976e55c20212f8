/** The network that a command is about: an ONNX file, a list of layers, or a name that `kernelet bench models` knows. */
import { existsSync } from 'node:fs'
import { networkNames, readNetwork } from '../bench/networks/network.ts'
import { loadOnnx, type OnnxModel } from '../formats/onnx/load.ts'
import { saveOnnx } from '../formats/onnx/save.ts'
import { UsageError } from './command.ts'
import { didYouMean } from './suggest.ts'

/**
 * A list is written as ONNX and read again, as `bench models` measures it.
 *
 * @throws UsageError for a word that is neither
 */
export function openNetwork(file: string): OnnxModel {
  const known = networkNames()
  if (known.includes(file) || file.endsWith('.txt')) return loadOnnx(saveOnnx(readNetwork(file)))
  // (what looks like a path is told that there is no such file)
  if (/^[\w-]+$/.test(file) && !existsSync(file)) {
    throw new UsageError(
      `${file} is neither a file nor one of the networks ${known.join(', ')}${didYouMean(file, known)}`,
    )
  }
  return loadOnnx(file)
}
