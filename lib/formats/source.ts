/** Files read whole, or bytes that stand for one. */

import { KerneletError } from '../util/errors.ts'
import { readWhole } from '../util/file.ts'
import { show } from '../util/show.ts'
import { bytesOf, type FileSource, pathOf } from '../util/source.ts'

/**
 * The bytes of a file given by path or URL, or bytes as they are, with a name for errors.
 *
 * @param who the function that was called
 * @throws KerneletError `ERR_IO` when the file cannot be read; `ERR_ARGUMENT` for something else altogether
 */
export function readSource(
  who: string,
  source: FileSource,
  kind: string,
): { bytes: Uint8Array; name: string; path: string | undefined } {
  const bytes = bytesOf(source)
  const path = bytes ? undefined : pathOf(source)
  if (path !== undefined) return { bytes: readWhole(path), name: path, path }
  if (!bytes) {
    throw new KerneletError('ERR_ARGUMENT', `${who}: expected a path or bytes but received ${show(source)}`)
  }
  return { bytes, name: `${kind} bytes`, path: undefined }
}
