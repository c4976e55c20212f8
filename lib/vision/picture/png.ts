/** PNG to pixels, safe for files that nobody vouches for. */
import { crc32, inflateSync } from 'node:zlib'
import { KerneletError } from '../../util/errors.ts'
import { checkSize, type Pixels } from './pixels.ts'

/** Bytes before the first chunk. */
const SIGNATURE_LENGTH = 8

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
 * Sizes are checked before anything of that size is allocated, and pixel data may not unpack to more than the header
 * announces. Chunks that only describe the picture (gamma, profiles, text) are passed over.
 *
 * @param name what to call it in errors
 * @throws KerneletError ERR_FORMAT for a damaged file; ERR_UNSUPPORTED for one above MAX_PIXELS
 */
export function decodePng(bytes: Uint8Array, name: string): Required<Pixels> {
  const parts = takeApart(bytes, name)
  return expand(parts, samplesOf(parts, inflate(parts, name), name), name)
}

/** The chunks that matter. */
interface Parts {
  width: number
  height: number
  /** Bits a channel. */
  depth: number
  /** Samples a pixel; one, an index, with a palette. */
  channels: number
  indexed: boolean
  interlaced: boolean
  palette?: Uint8Array
  transparency?: Uint8Array
  data: Uint8Array[]
}

function takeApart(bytes: Uint8Array, name: string): Parts {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let parts: Parts | undefined
  for (let at = SIGNATURE_LENGTH; ; ) {
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
      if (parts.indexed) parts.palette = content
    } else if (type === 'tRNS') {
      parts.transparency = content
    } else if (type === 'IEND') {
      if (parts.indexed && !parts.palette) throw damaged(name, 'it has no palette')
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
  for (const [i, what] of [
    [10, 'compression'],
    [11, 'filter'],
  ] as const) {
    if (header[i] !== 0) throw damaged(name, `there is no ${what} method ${header[i]}`)
  }
  if (header[12]! > 1) throw damaged(name, `there is no interlace method ${header[12]}`)
  return {
    width,
    height,
    depth,
    channels: colour.channels,
    indexed: header[9] === 3,
    interlaced: header[12] === 1,
    data: [],
  }
}

/** Pixels that are stored together: every `dx`-th column from `x`, every `dy`-th row from `y`. */
interface Pass {
  x: number
  y: number
  dx: number
  dy: number
  columns: number
  rows: number
  /** Bytes of a row, without its filter byte. */
  rowBytes: number
}

/** The passes of a picture that have pixels: one, or seven when it is interlaced. */
function passesOf({ width, height, depth, channels, interlaced }: Parts): Pass[] {
  return (interlaced ? ADAM7 : [[0, 0, 1, 1] as const])
    .map(([x, y, dx, dy]) => {
      const [columns, rows] = [Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)]
      return { x, y, dx, dy, columns, rows, rowBytes: Math.ceil((columns * depth * channels) / 8) }
    })
    .filter(({ columns, rows }) => columns > 0 && rows > 0)
}

/** The rows, each with its filter byte in front: exactly as many bytes as the header announces. */
function inflate(parts: Parts, name: string): Uint8Array {
  const expected = passesOf(parts).reduce((sum, { rows, rowBytes }) => sum + rows * (1 + rowBytes), 0)
  let raw: Uint8Array
  try {
    raw = inflateSync(Buffer.concat(parts.data), { maxOutputLength: expected })
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

/** The samples of all pixels, row by row, in the depth of the file. */
function samplesOf(parts: Parts, raw: Uint8Array, name: string): Uint8Array | Uint16Array {
  const { width, height, depth, channels, interlaced } = parts
  const all = new (depth === 16 ? Uint16Array : Uint8Array)(interlaced ? width * height * channels : 0)
  let at = 0
  for (const pass of passesOf(parts)) {
    const { x, y, dx, dy, columns, rows, rowBytes } = pass
    const bytes = unfilter(
      raw.subarray(at, (at += rows * (1 + rowBytes))),
      pass,
      (depth * channels) >> 3,
      name,
    )
    const samples = unpack(bytes, columns * channels, rows, rowBytes, depth)
    if (!interlaced) return samples
    for (let i = 0; i < samples.length; i++) {
      const pixel = Math.floor(i / channels)
      const [row, column] = [Math.floor(pixel / columns), pixel % columns]
      all[((y + row * dy) * width + x + column * dx) * channels + (i % channels)] = samples[i]!
    }
  }
  return all
}

/**
 * Undoes the filter of each row (PNG specification, section 9), which its first byte names: a byte is stored as its
 * difference from what its neighbours let expect, the one on the left being `distance` bytes before.
 */
function unfilter(raw: Uint8Array, { rows, rowBytes }: Pass, distance: number, name: string): Uint8Array {
  const left = Math.max(1, distance)
  const out = new Uint8Array(rows * rowBytes)
  let above = new Uint8Array(rowBytes)
  for (let y = 0, from = 0; y < rows; y++) {
    const filter = raw[from++]!
    const row = out.subarray(y * rowBytes, (y + 1) * rowBytes)
    row.set(raw.subarray(from, (from += rowBytes)))
    if (filter === 1) {
      for (let i = left; i < rowBytes; i++) row[i]! += row[i - left]!
    } else if (filter === 2) {
      for (let i = 0; i < rowBytes; i++) row[i]! += above[i]!
    } else if (filter === 3) {
      for (let i = 0; i < rowBytes; i++) row[i]! += ((i < left ? 0 : row[i - left]!) + above[i]!) >> 1
    } else if (filter === 4) {
      for (let i = 0; i < Math.min(left, rowBytes); i++) row[i]! += above[i]!
      for (let i = left; i < rowBytes; i++) row[i]! += paeth(row[i - left]!, above[i]!, above[i - left]!)
    } else if (filter !== 0) {
      throw damaged(name, `there is no filter ${filter}`)
    }
    above = row
  }
  return out
}

/** Whichever of left, above and above left is nearest to left + above − above left. */
function paeth(a: number, b: number, c: number): number {
  const toA = Math.abs(b - c)
  const toB = Math.abs(a - c)
  const toC = Math.abs(a + b - 2 * c)
  return toA <= toB && toA <= toC ? a : toB <= toC ? b : c
}

/** Samples of any depth, the first in the highest bits, rows beginning at whole bytes. */
function unpack(
  bytes: Uint8Array,
  perRow: number,
  rows: number,
  rowBytes: number,
  depth: number,
): Uint8Array | Uint16Array {
  if (depth === 8) return bytes
  if (depth === 16)
    return Uint16Array.from({ length: perRow * rows }, (_, i) => bytes[2 * i]! * 256 + bytes[2 * i + 1]!)
  const out = new Uint8Array(perRow * rows)
  const mask = 2 ** depth - 1
  for (let i = 0; i < out.length; i++) {
    const bit = (i % perRow) * depth
    const byte = bytes[Math.floor(i / perRow) * rowBytes + (bit >> 3)]!
    out[i] = (byte >> (8 - depth - (bit & 7))) & mask
  }
  return out
}

/** Palettes, depths other than 8 and transparent colours to plain 8-bit channels. */
function expand(parts: Parts, samples: Uint8Array | Uint16Array, name: string): Required<Pixels> {
  const { width, height, depth, channels, palette, transparency } = parts
  if (palette) return { ...lookUp(samples, palette, transparency, name), width, height }
  const top = 2 ** depth - 1
  const level = (sample: number): number => Math.round((sample * 255) / top)
  if (!transparency || channels === 2 || channels === 4) {
    const data = samples instanceof Uint8Array && depth === 8 ? samples : Uint8Array.from(samples, level)
    return { data, width, height, channels }
  }
  // One colour, given as 16 bits a channel of which those of the file's depth count, stands for "transparent".
  if (transparency.length !== 2 * channels) throw damaged(name, 'its transparent colour has the wrong length')
  const clearest = Array.from(
    { length: channels },
    (_, c) => (transparency[2 * c]! * 256 + transparency[2 * c + 1]!) & top,
  )
  const data = new Uint8Array(width * height * (channels + 1))
  for (let i = 0; i < width * height; i++) {
    let clear = true
    for (let c = 0; c < channels; c++) {
      const sample = samples[i * channels + c]!
      data[i * (channels + 1) + c] = level(sample)
      clear &&= sample === clearest[c]
    }
    data[i * (channels + 1) + channels] = clear ? 0 : 255
  }
  return { data, width, height, channels: channels + 1 }
}

/** Colours by their index, with a channel more where some are transparent. */
function lookUp(
  indices: ArrayLike<number>,
  palette: Uint8Array,
  transparency: Uint8Array | undefined,
  name: string,
): { data: Uint8Array; channels: number } {
  const colours = palette.length / 3
  if (!Number.isInteger(colours) || colours < 1 || colours > 256) {
    throw damaged(name, `its palette has ${palette.length} bytes`)
  }
  if (transparency && transparency.length > colours)
    throw damaged(name, 'it has more transparencies than colours')
  const channels = transparency ? 4 : 3
  const data = new Uint8Array(indices.length * channels)
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]!
    if (index >= colours) throw damaged(name, `colour ${index} is not in its palette`)
    for (let c = 0; c < 3; c++) data[i * channels + c] = palette[3 * index + c]!
    if (transparency) data[i * channels + 3] = transparency[index] ?? 255
  }
  return { data, channels }
}

function damaged(name: string, what: string, cause?: unknown): KerneletError {
  return new KerneletError('ERR_FORMAT', `${name} is not a whole PNG: ${what}`, { cause })
}
