/** The IDX format of MNIST (http://yann.lecun.com/exdb/mnist): a magic number, sizes, bytes; gzipped or not. */

import { gunzipSync } from 'node:zlib'
import { mostDimensions } from '../formats/dtype.ts'
import { elements, formatShape } from '../tensor/shape.ts'
import { KerneletError } from '../util/errors.ts'
import { readWhole } from '../util/file.ts'
import { show } from '../util/show.ts'
import { bytesOf, type FileSource, pathOf } from '../util/source.ts'

/** What an IDX file of unsigned bytes holds. */
export interface Idx {
  /** Sizes, the outermost first: [60000, 28, 28]. */
  shape: number[]
  /** In row-major order. */
  data: Uint8Array
}

/** Element types by the third byte of the magic number. */
const types: Readonly<Record<number, string>> = {
  8: 'unsigned bytes',
  9: 'signed bytes',
  11: '16-bit integers',
  12: '32-bit integers',
  13: 'float32',
  14: 'float64',
}

/** More than any set of pictures that fits into memory twice; keeps a small gzip file from filling it. */
const largest = 2 ** 30

/**
 * Reads an IDX file of unsigned bytes. Whether it is gzipped is seen by its first bytes, not its name.
 *
 * @param source the path of a file, or its bytes
 * @throws KerneletError `ERR_IO` when the file cannot be read; `ERR_FORMAT` when it is no IDX file, is damaged or
 *   truncated, or has bytes left over; `ERR_DTYPE` for other elements than unsigned bytes; `ERR_UNSUPPORTED`
 *   above a gigabyte
 * @example
 * // 'idx', unsigned bytes, two dimensions of 1 and 2, and two numbers
 * loadIdx(Uint8Array.of(0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 5, 6)).shape // → [1, 2]
 */
export function loadIdx(source: FileSource): Idx {
  const given = bytesOf(source) ?? pathOf(source)
  if (given === undefined) {
    throw new KerneletError('ERR_ARGUMENT', `loadIdx: expected a path or bytes but received ${show(source)}`)
  }
  const name = typeof given === 'string' ? given : 'IDX bytes'
  return parse(unpackIdx(given, name), name)
}

/** The bytes of a file, unzipped where it is a gzip file. */
export function unpackIdx(source: string | Uint8Array, name: string = String(source)): Uint8Array {
  return unzip(typeof source === 'string' ? readWhole(source, largest) : source, name)
}

/** Of deflate: a run of 258 bytes in two bits. */
const mostUnpacked = 1032

/**
 * The header says how many bytes follow: room is made for these and no more, so that a small file which unpacks
 * to very much is refused before it does.
 */
function unzip(bytes: Uint8Array, name: string): Uint8Array {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes
  try {
    const { shape, size } = unzippedHeader(bytes, name)
    if (size > largest) {
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `${name} unpacks to ${size} bytes, ${formatShape(shape)}; at most ${largest} are read`,
      )
    }
    if (size > bytes.length * mostUnpacked) {
      throw new KerneletError('ERR_FORMAT', `${name} is a damaged gzip file: it is truncated`)
    }
    // In one piece: in many they would be in memory twice.
    return gunzipSync(bytes, { maxOutputLength: size, chunkSize: Math.max(64, size + 1) })
  } catch (cause) {
    if (cause instanceof KerneletError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    const reason =
      code === 'Z_BUF_ERROR'
        ? 'it is truncated'
        : code === 'ERR_BUFFER_TOO_LARGE'
          ? 'it holds more than its header says'
          : message
    throw new KerneletError('ERR_FORMAT', `${name} is a damaged gzip file: ${reason}`, { cause })
  }
}

/**
 * The header of what a gzip file unpacks to. It is in the first kilobyte but for files whose own header is long:
 * there the right part is searched, one that unpacks to enough and not to very much.
 */
function unzippedHeader(bytes: Uint8Array, name: string): Header {
  let [tooFew, high] = [0, bytes.length]
  for (let length = Math.min(1024, high); ; length = Math.ceil((tooFew + high) / 2)) {
    const start = unzippedStart(bytes.subarray(0, length))
    if (start === undefined) high = length - 1
    else if (start.length >= longestHeader) return parseHeader(start, name)
    else if (length === high) return parseHeader(gunzipSync(bytes), name)
    else tooFew = length
  }
}

/** zlib's Z_SYNC_FLUSH: what there is, though it ends in the middle. */
const syncFlush = 2

/** What the first part of a gzip file unpacks to; undefined where that is more than a megabyte. */
function unzippedStart(part: Uint8Array): Uint8Array | undefined {
  try {
    return gunzipSync(part, { finishFlush: syncFlush, maxOutputLength: 2 ** 20 + 2 ** 16 })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined
    throw cause
  }
}

/** What stands before the numbers. */
interface Header {
  shape: number[]
  /** Where the numbers begin. */
  start: number
  /** Bytes of all of it. */
  size: number
}

const longestHeader = 4 + 4 * mostDimensions

function parseHeader(bytes: Uint8Array, name: string): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 4) throw truncated(name, 'the magic number', 4, bytes.length)
  const magic = view.getUint32(0)
  const type = (magic >>> 8) & 0xff
  const rank = magic & 0xff
  if (magic >>> 16 !== 0 || !Object.hasOwn(types, type) || rank === 0 || rank > mostDimensions) {
    const hex = magic.toString(16).padStart(8, '0')
    throw new KerneletError(
      'ERR_FORMAT',
      `${name} is not an IDX file: its magic number is 0x${hex}; images have 0x00000803, labels 0x00000801`,
    )
  }
  if (type !== 8) {
    throw new KerneletError(
      'ERR_DTYPE',
      `${name}: expected unsigned bytes (0x08) but it holds ${types[type]}`,
    )
  }
  const start = 4 + 4 * rank
  if (bytes.length < start) throw truncated(name, `${rank} sizes`, start, bytes.length)
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i))
  // Of very many dimensions the product may be infinite, and that is 0 with one that is 0.
  return { shape, start, size: start + (shape.includes(0) ? 0 : elements(shape)) }
}

function parse(bytes: Uint8Array, name: string): Idx {
  const { shape, start, size } = parseHeader(bytes, name)
  if (bytes.length < size) throw truncated(name, formatShape(shape), size, bytes.length)
  if (bytes.length > size) {
    throw new KerneletError(
      'ERR_FORMAT',
      `${name} has ${bytes.length} bytes but ${formatShape(shape)} takes ${size}: it is damaged`,
    )
  }
  // Not a Buffer: its slice() would be a view, unlike that of the Uint8Array it claims to be.
  return { shape, data: new Uint8Array(bytes.buffer, bytes.byteOffset + start, size - start) }
}

function truncated(name: string, what: string, expected: number, actual: number): KerneletError {
  return new KerneletError(
    'ERR_FORMAT',
    `${name} is truncated: ${what} ${what.endsWith('sizes') ? 'end' : 'ends'} at byte ${expected} but it has ${actual}`,
  )
}
