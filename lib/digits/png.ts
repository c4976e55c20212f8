/** PNG to pixels, safe for files that nobody vouches for. */
import { createRequire } from 'node:module'
import { crc32, deflateSync, inflateSync } from 'node:zlib'
import type { DecodedPng } from 'fast-png'
import { KerneletError } from '../errors.ts'
import { checkSize, type Pixels } from './pixels.ts'

/** Loaded with the first PNG: it is half of what `import 'kernelet'` would cost otherwise. */
let fastPng: typeof import('fast-png') | undefined

function decode(png: Uint8Array): DecodedPng {
  fastPng ??= createRequire(import.meta.url)('fast-png') as typeof import('fast-png')
  return fastPng.decode(png)
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)

/** Channels by colour type, and the bit depths each may have (PNG specification, table 11.1). */
const COLOUR_TYPES: Record<number, { channels: number; depths: number[] }> = {
  0: { channels: 1, depths: [1, 2, 4, 8, 16] },
  2: { channels: 3, depths: [8, 16] },
  3: { channels: 1, depths: [1, 2, 4, 8] },
  4: { channels: 2, depths: [8, 16] },
  6: { channels: 4, depths: [8, 16] },
}

/**
 * Decodes a PNG of any colour type and depth to 8 bits a channel.
 *
 * The file is taken apart before fast-png sees it: sizes are checked before anything of that size is allocated,
 * pixel data may not unpack to more than the header announces, and of all chunks only those that make up the
 * picture are handed on.
 *
 * @param name what to call it in errors
 * @throws KerneletError ERR_FORMAT for a damaged file; ERR_UNSUPPORTED for one above MAX_PIXELS, or interlaced
 *   with less than 8 bits
 */
export function decodePng(bytes: Uint8Array, name: string): Required<Pixels> {
  const parts = takeApart(bytes, name)
  const raw = inflate(parts, name)
  const picture = Buffer.concat([
    SIGNATURE,
    chunk('IHDR', parts.header),
    ...(parts.palette ? [chunk('PLTE', parts.palette)] : []),
    ...(parts.transparency ? [chunk('tRNS', parts.transparency)] : []),
    // Stored, not compressed again: fast-png then only copies it, and Node's own inflate is faster than its.
    chunk('IDAT', deflateSync(raw, { level: 0 })),
    chunk('IEND', new Uint8Array(0)),
  ])
  try {
    return expand(decode(picture))
  } catch (cause) {
    throw damaged(name, cause instanceof Error ? cause.message : String(cause), cause)
  }
}

/** The chunks that matter. */
interface Parts {
  width: number
  height: number
  /** Bits a pixel. */
  bits: number
  interlaced: boolean
  header: Uint8Array
  palette?: Uint8Array
  transparency?: Uint8Array
  data: Uint8Array[]
}

function takeApart(bytes: Uint8Array, name: string): Parts {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let parts: Parts | undefined
  for (let at = SIGNATURE.length; ; ) {
    if (at + 12 > bytes.length) throw damaged(name, 'it ends too early')
    const length = view.getUint32(at)
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8))
    if (at + 12 + length > bytes.length) throw damaged(name, 'it ends too early')
    const content = bytes.subarray(at + 8, at + 8 + length)
    if (crc32(bytes.subarray(at + 4, at + 8 + length)) !== view.getUint32(at + 8 + length)) {
      throw damaged(name, `the checksum of its ${type} chunk is wrong`)
    }
    at += 12 + length
    if (!parts) {
      if (type !== 'IHDR') throw damaged(name, 'it does not begin with a header')
      parts = readHeader(content, name)
    } else if (type === 'IDAT') {
      parts.data.push(content)
    } else if (type === 'PLTE') {
      // in a picture with colours of its own a palette only suggests which to show, and is no part of it
      if (parts.header[9] === 3) parts.palette = content
    } else if (type === 'tRNS') {
      parts.transparency = content
    } else if (type === 'IEND') {
      if (parts.header[9] === 3 && !parts.palette) throw damaged(name, 'it has no palette')
      return parts
    }
  }
}

function readHeader(header: Uint8Array, name: string): Parts {
  if (header.length !== 13) throw damaged(name, 'its header has the wrong length')
  const view = new DataView(header.buffer, header.byteOffset, 13)
  const width = view.getUint32(0)
  const height = view.getUint32(4)
  if (width === 0 || height === 0) throw damaged(name, `its size is ${width}×${height}`)
  checkSize(name, width, height)
  const depth = header[8]!
  const colour = COLOUR_TYPES[header[9]!]
  if (!colour?.depths.includes(depth)) {
    throw damaged(name, `there is no colour type ${header[9]} with ${depth} bits`)
  }
  const interlaced = header[12] === 1
  if (interlaced && depth < 8) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${name} is an interlaced PNG with ${depth} ${depth === 1 ? 'bit' : 'bits'} a channel, ` +
        'which kernelet does not read; save it without interlacing',
    )
  }
  return { width, height, bits: depth * colour.channels, interlaced, header, data: [] }
}

/** The rows, each with its filter byte in front: exactly as many bytes as the header announces. */
function inflate({ width, height, bits, interlaced, data }: Parts, name: string): Uint8Array {
  const bytesOf = (columns: number, rows: number): number =>
    columns === 0 ? 0 : rows * (1 + Math.ceil((columns * bits) / 8))
  let expected = bytesOf(width, height)
  if (interlaced) {
    expected = 0
    for (const [x, y, dx, dy] of ADAM7) {
      expected += bytesOf(Math.max(0, Math.ceil((width - x) / dx)), Math.max(0, Math.ceil((height - y) / dy)))
    }
  }
  let raw: Uint8Array
  try {
    raw = inflateSync(Buffer.concat(data), { maxOutputLength: expected })
  } catch (cause) {
    const tooMuch = (cause as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE'
    throw damaged(
      name,
      tooMuch ? 'it holds more pixels than its header says' : 'its pixels do not unpack',
      cause,
    )
  }
  if (raw.length !== expected) throw damaged(name, 'it holds fewer pixels than its header says')
  return raw
}

/** The seven passes of interlacing: first column and row, and the steps between columns and rows. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const

/** A chunk as the format has it, but for the checksum, which nobody reads again. */
function chunk(type: string, content: Uint8Array): Buffer {
  const out = Buffer.alloc(12 + content.length)
  out.writeUInt32BE(content.length)
  out.write(type, 4, 'latin1')
  out.set(content, 8)
  return out
}

/** Palettes, packed bits, 16 bits and transparent colours to plain 8-bit channels. */
function expand(png: DecodedPng): Required<Pixels> {
  const { width, height, depth, palette, transparency } = png
  const samples = png.data.length === width * height * png.channels ? png.data : unpack(png)
  if (palette) return { data: lookUp(samples, palette), width, height, channels: palette[0]!.length }
  const top = 2 ** depth - 1
  const level = (sample: number): number => Math.round((sample * 255) / top)
  if (!transparency) {
    const data = samples instanceof Uint8Array && depth === 8 ? samples : Uint8Array.from(samples, level)
    return { data, width, height, channels: png.channels }
  }
  // One colour, given in samples of the file's depth, stands for "transparent".
  const channels = png.channels + 1
  const data = new Uint8Array(width * height * channels)
  for (let i = 0; i < width * height; i++) {
    let clear = true
    for (let c = 0; c < png.channels; c++) {
      const sample = samples[i * png.channels + c]!
      data[i * channels + c] = level(sample)
      clear &&= sample === transparency[c]
    }
    data[i * channels + png.channels] = clear ? 0 : 255
  }
  return { data, width, height, channels }
}

/** Samples of 1, 2 or 4 bits, high bits first, rows beginning at whole bytes. */
function unpack({ data, width, height, depth }: DecodedPng): Uint8Array {
  const out = new Uint8Array(width * height)
  const perByte = 8 / depth
  const rowBytes = Math.ceil(width / perByte)
  const mask = 2 ** depth - 1
  for (let y = 0, o = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const byte = data[y * rowBytes + Math.floor(x / perByte)]!
      out[o++] = (byte >> (8 - depth - (x % perByte) * depth)) & mask
    }
  }
  return out
}

function lookUp(indices: ArrayLike<number>, palette: number[][]): Uint8Array {
  const channels = palette[0]?.length ?? 0
  const out = new Uint8Array(indices.length * channels)
  for (let i = 0; i < indices.length; i++) {
    const colour = palette[indices[i]!]
    if (!colour) throw new Error(`colour ${indices[i]} is not in its palette`)
    out.set(colour, i * channels)
  }
  return out
}

function damaged(name: string, what: string, cause?: unknown): KerneletError {
  return new KerneletError('ERR_FORMAT', `${name} is not a whole PNG: ${what}`, { cause })
}
