/** PNG to pixels (PNG specification, third edition), safe for files that nobody vouches for. */
import { crc32, inflateSync } from 'node:zlib'
import { KerneletError } from '../errors.ts'
import { checkSize, type Pixels } from './pixels.ts'

const SIGNATURE_LENGTH = 8

const PALETTE = 3

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
 * announces. Chunks that do not make up the picture are passed over.
 *
 * @param name what to call it in errors
 * @throws KerneletError ERR_FORMAT for a damaged file; ERR_UNSUPPORTED for one above MAX_PIXELS
 */
export function decodePng(bytes: Uint8Array, name: string): Required<Pixels> {
  const parts = takeApart(bytes, name)
  const samples = samplesOf(parts, inflate(parts, name), name)
  return parts.colour === PALETTE ? lookUp(parts, samples, name) : toBytes(parts, samples, name)
}

/** The chunks that matter. */
interface Parts {
  width: number
  height: number
  /** Bits a sample. */
  depth: number
  colour: number
  channels: number
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
      parts.palette = content
    } else if (type === 'tRNS') {
      parts.transparency = content
    } else if (type === 'IEND') {
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
  const [depth, colour, compression, filter, interlace] = header.subarray(8) as unknown as number[]
  const known = COLOUR_TYPES[colour!]
  if (!known?.depths.includes(depth!)) {
    throw damaged(name, `there is no colour type ${colour} with ${depth} bits`)
  }
  if (compression !== 0 || filter !== 0 || interlace! > 1) {
    throw damaged(name, `there is no compression ${compression}, filter ${filter}, interlacing ${interlace}`)
  }
  const interlaced = interlace === 1
  return { width, height, depth: depth!, colour: colour!, channels: known.channels, interlaced, data: [] }
}

/** A reduced picture of every dx-th pixel of every dy-th row, from (x, y) on. */
interface Pass {
  x: number
  y: number
  dx: number
  dy: number
  columns: number
  rows: number
  rowBytes: number
}

/** What the rows make up one after another: the picture, or the seven passes of interlacing that have pixels. */
function passesOf({ width, height, depth, channels, interlaced }: Parts): Pass[] {
  return (interlaced ? ADAM7 : [[0, 0, 1, 1] as const])
    .map(([x, y, dx, dy]) => {
      const columns = Math.ceil((width - x) / dx)
      const rowBytes = Math.ceil((columns * channels * depth) / 8)
      return { x, y, dx, dy, columns, rows: Math.ceil((height - y) / dy), rowBytes }
    })
    .filter(({ columns, rows }) => columns > 0 && rows > 0)
}

/** First column and row, and the steps between columns and rows. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const

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

/** Samples as the file has them, of 1 to 16 bits, in the order of the pixels. Takes the filters off `raw` in place. */
function samplesOf(parts: Parts, raw: Uint8Array, name: string): Uint8Array | Uint16Array {
  const { width, height, depth, channels } = parts
  const samples = new (depth === 16 ? Uint16Array : Uint8Array)(width * height * channels)
  const step = Math.max(1, (depth * channels) / 8)
  let at = 0
  for (const { x, y, dx, dy, columns, rows, rowBytes } of passesOf(parts)) {
    for (let row = 0; row < rows; row++) {
      const filter = raw[at++]!
      const above = row === 0 ? undefined : raw.subarray(at - 1 - rowBytes, at - 1)
      const line = raw.subarray(at, at + rowBytes)
      if (filter > 4) throw damaged(name, `a row has the filter ${filter}`)
      unfilter(filter, line, above, step)
      at += rowBytes
      const to = ((y + row * dy) * width + x) * channels
      if (depth === 8 && dx === 1) {
        samples.set(line, to)
        continue
      }
      for (let i = 0; i < columns; i++) {
        for (let c = 0; c < channels; c++) {
          samples[to + i * dx * channels + c] = sampleAt(line, i * channels + c, depth)
        }
      }
    }
  }
  return samples
}

/** Several samples a byte, high bits first, or several bytes a sample, the high one first. */
function sampleAt(line: Uint8Array, i: number, depth: number): number {
  if (depth === 8) return line[i]!
  if (depth === 16) return (line[2 * i]! << 8) | line[2 * i + 1]!
  const bit = i * depth
  return (line[bit >> 3]! >> (8 - depth - (bit & 7))) & ((1 << depth) - 1)
}

/**
 * Adds to each byte what its filter predicts from the byte of the pixel to the left, a, the one above, b, and the one
 * above left, c; zeros beyond the picture (section 9).
 *
 * @param step from a pixel's byte to that of the next pixel; 1 where pixels share bytes
 */
function unfilter(filter: number, line: Uint8Array, above: Uint8Array | undefined, step: number): void {
  const { length } = line
  if (filter === 1) {
    for (let i = step; i < length; i++) line[i]! += line[i - step]!
  } else if (filter === 2 && above) {
    for (let i = 0; i < length; i++) line[i]! += above[i]!
  } else if (filter === 3) {
    for (let i = 0; i < length; i++) {
      const a = i < step ? 0 : line[i - step]!
      line[i]! += (a + (above ? above[i]! : 0)) >> 1
    }
  } else if (filter === 4) {
    for (let i = 0; i < length; i++) {
      const a = i < step ? 0 : line[i - step]!
      const b = above ? above[i]! : 0
      const c = above && i >= step ? above[i - step]! : 0
      const [toA, toB, toC] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)]
      line[i]! += toA <= toB && toA <= toC ? a : toB <= toC ? b : c
    }
  }
}

/** Grey and colours as 8-bit channels; one more, alpha, where the file names a colour that is transparent. */
function toBytes(parts: Parts, samples: Uint8Array | Uint16Array, name: string): Required<Pixels> {
  const { width, height, depth, channels, transparency } = parts
  const top = 2 ** depth - 1
  const level = (sample: number): number => Math.round((sample * 255) / top)
  if (!transparency) {
    const data = depth === 8 ? (samples as Uint8Array) : Uint8Array.from(samples, level)
    return { data, width, height, channels }
  }
  if (transparency.length !== 2 * channels || channels % 2 === 0) {
    throw damaged(name, 'its transparent colour does not fit its colour type')
  }
  // given in samples of the file's depth
  const clear = Array.from({ length: channels }, (_, c) => sampleAt(transparency, c, 16))
  const data = new Uint8Array(width * height * (channels + 1))
  for (let from = 0, to = 0; from < samples.length; from += channels) {
    let differs = false
    for (let c = 0; c < channels; c++) {
      const sample = samples[from + c]!
      data[to++] = level(sample)
      differs ||= sample !== clear[c]
    }
    data[to++] = differs ? 255 : 0
  }
  return { data, width, height, channels: channels + 1 }
}

/** Colours of a palette, with alpha where the file gives some. */
function lookUp(parts: Parts, indices: Uint8Array | Uint16Array, name: string): Required<Pixels> {
  const { width, height, palette, transparency } = parts
  if (!palette?.length || palette.length % 3 !== 0)
    throw damaged(name, 'it has no palette, or not a whole one')
  const colours = palette.length / 3
  if (transparency && transparency.length > colours) {
    throw damaged(
      name,
      `its palette has ${colours} colours but ${transparency.length} degrees of transparency`,
    )
  }
  const channels = transparency ? 4 : 3
  const data = new Uint8Array(width * height * channels)
  for (let i = 0, to = 0; i < indices.length; i++, to += channels) {
    const index = indices[i]!
    if (index >= colours) throw damaged(name, `colour ${index} is not in its palette`)
    for (let c = 0; c < 3; c++) data[to + c] = palette[3 * index + c]!
    if (transparency) data[to + 3] = transparency[index] ?? 255
  }
  return { data, width, height, channels }
}

function damaged(name: string, what: string, cause?: unknown): KerneletError {
  return new KerneletError('ERR_FORMAT', `${name} is not a whole PNG: ${what}`, { cause })
}
