/** The IDX format of MNIST (http://yann.lecun.com/exdb/mnist): a magic number, sizes, bytes; gzipped or not. */
import { readFileSync, statSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { elements, formatShape } from '../tensor/shape.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

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
 */
export function loadIdx(source: string | Uint8Array): Idx {
  if (typeof source !== 'string' && !(source instanceof Uint8Array)) {
    throw new KerneletError('ERR_ARGUMENT', `loadIdx: expected a path or bytes but received ${show(source)}`)
  }
  const name = typeof source === 'string' ? source : 'IDX bytes'
  return parse(unpackIdx(source, name), name)
}

/** The bytes of a file, unzipped where it is a gzip file. */
export function unpackIdx(source: string | Uint8Array, name: string = String(source)): Uint8Array {
  return unzip(typeof source === 'string' ? read(source) : source, name)
}

function read(path: string): Uint8Array {
  try {
    const found = statSync(path)
    if (!found.isFile()) throw new Error('it is not a file')
    if (found.size > largest) {
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `${path} has ${found.size} bytes; at most ${largest} are read`,
      )
    }
    return readFileSync(path)
  } catch (cause) {
    if (cause instanceof KerneletError) throw cause
    throw new KerneletError('ERR_IO', `${path} could not be read: ${(cause as Error).message}`, { cause })
  }
}

function unzip(bytes: Uint8Array, name: string): Uint8Array {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes
  try {
    return gunzipSync(bytes, { maxOutputLength: largest })
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ERR_BUFFER_TOO_LARGE') {
      throw new KerneletError('ERR_UNSUPPORTED', `${name} unpacks to more than ${largest} bytes`, { cause })
    }
    const reason = code === 'Z_BUF_ERROR' ? 'it is truncated' : message
    throw new KerneletError('ERR_FORMAT', `${name} is a damaged gzip file: ${reason}`, { cause })
  }
}

function parse(bytes: Uint8Array, name: string): Idx {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 4) throw truncated(name, 'the magic number', 4, bytes.length)
  const magic = view.getUint32(0)
  const type = (magic >>> 8) & 0xff
  const rank = magic & 0xff
  if (magic >>> 16 !== 0 || !Object.hasOwn(types, type) || rank === 0) {
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
  const expected = start + elements(shape)
  if (bytes.length < expected) throw truncated(name, formatShape(shape), expected, bytes.length)
  if (bytes.length > expected) {
    throw new KerneletError(
      'ERR_FORMAT',
      `${name} has ${bytes.length} bytes but ${formatShape(shape)} takes ${expected}: it is damaged`,
    )
  }
  // Not a Buffer: its slice() would be a view, unlike that of the Uint8Array it claims to be.
  return { shape, data: new Uint8Array(bytes.buffer, bytes.byteOffset + start, expected - start) }
}

function truncated(name: string, what: string, expected: number, actual: number): KerneletError {
  return new KerneletError(
    'ERR_FORMAT',
    `${name} is truncated: ${what} ${what.endsWith('sizes') ? 'end' : 'ends'} at byte ${expected} but it has ${actual}`,
  )
}
