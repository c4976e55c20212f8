/** Files read whole, or bytes that stand for one. */
import { KerneletError } from '../util/errors.ts'
import { readWhole } from '../util/file.ts'
import { show } from '../util/show.ts'

/**
 * The bytes of a file given by path, or bytes as they are, with a name for errors.
 *
 * @param who the function that was called
 * @throws KerneletError `ERR_IO` when the file cannot be read; `ERR_ARGUMENT` for something else altogether
 */
export function readSource(
  who: string,
  source: string | Uint8Array,
  kind: string,
): { bytes: Uint8Array; name: string } {
  if (typeof source === 'string') return { bytes: readWhole(source), name: source }
  if (!(source instanceof Uint8Array)) {
    throw new KerneletError('ERR_ARGUMENT', `${who}: expected a path or bytes but received ${show(source)}`)
  }
  // Not a Buffer: its slice() would be a view, unlike that of the Uint8Array it claims to be.
  return { bytes: new Uint8Array(source.buffer, source.byteOffset, source.byteLength), name: `${kind} bytes` }
}
