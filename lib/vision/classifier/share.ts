/** Pictures in memory for another thread, without holding this one up. */
import { types } from 'node:util'
import { KerneletError } from '../../util/errors.ts'
import { bytesOf } from '../../util/source.ts'
import { bufferOf, byteOffsetOf, lengthOf } from '../../util/typed-array.ts'
import type { Work } from './work.ts'

/** So many bytes are copied before the event loop has its turn: a tenth of a millisecond or two. */
const PIECE = 2 ** 19

/**
 * The work with its bytes where another thread has them. In a SharedArrayBuffer they stay where they are; what is to be
 * handed over moves, where its buffer is its own; the rest is copied, piece by piece.
 *
 * @returns the buffers that go with the message
 */
export async function shareable(
  work: Work,
  handOver: boolean,
): Promise<{ work: Work; transfer: ArrayBuffer[] }> {
  const { picture } = work
  if (typeof picture === 'string') return { work, transfer: [] }
  const isPixels = 'data' in picture
  const given = isPixels ? picture.data : picture
  const bytes = types.isUint8ClampedArray(given)
    ? new Uint8Array(bufferOf(given), byteOffsetOf(given), lengthOf(given))
    : bytesOf(given)
  if (!bytes) throw new KerneletError('ERR_ARGUMENT', 'classify: the picture was taken away while it waited')
  const there = await reachable(bytes, handOver)
  const transfer = there.buffer instanceof ArrayBuffer ? [there.buffer] : []
  return { work: { ...work, picture: isPixels ? { ...picture, data: there } : there }, transfer }
}

async function reachable(bytes: Uint8Array, handOver: boolean): Promise<Uint8Array> {
  const { buffer, length } = bytes
  if (types.isSharedArrayBuffer(buffer)) return bytes
  if (handOver && length === buffer.byteLength) {
    try {
      return new Uint8Array(structuredClone(buffer, { transfer: [buffer] }))
    } catch {
      // memory that belongs to somebody else, as sharp's
    }
  }
  if (length <= PIECE) return bytes.slice()
  const shared = new Uint8Array(new SharedArrayBuffer(length))
  for (let at = 0; at < length; at += PIECE) {
    if (at > 0) await new Promise((resolve) => setImmediate(resolve))
    if (bytes.length !== length) {
      throw new KerneletError('ERR_ARGUMENT', 'classify: the picture was taken away while it waited')
    }
    shared.set(bytes.subarray(at, at + PIECE), at)
  }
  return shared
}
