/** PNG to pixels, safe for files that nobody vouches for. */
import { crc32, inflateSync } from 'node:zlib'
import { KerneletError, messageOf } from '../../util/errors.ts'
import { checkSize, MAX_PIXELS } from './pixels.ts'
import { type Reduced, Reducer, type Reduction, reduce, whole } from './reduce.ts'
import { unfilter } from './unfilter.ts'

/** Bytes before the first chunk. */
const SIGNATURE_LENGTH = 8

/** Bytes of all rows and, where they are of another form, of all pixels: a file of some kilobytes may ask for them. */
const LARGEST = 384 * 2 ** 20

/** Of deflate: a run of 258 bytes in two bits. */
const MOST_UNPACKED = 1032

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
 * @param reduction by which factor it is made smaller, in the same pass where its rows lie as they are handed out
 * @param maxPixels more are refused
 * @throws KerneletError ERR_FORMAT for a damaged file; ERR_UNSUPPORTED for one above `maxPixels`, or
 *   that takes more than 384 MB unpacked, as some with 16 bits a channel do
 */
export function decodePng(
  bytes: Uint8Array,
  name: string,
  reduction: Reduction = whole,
  maxPixels: number = MAX_PIXELS,
): Reduced {
  const parts = takeApart(bytes, name, maxPixels)
  const colours = coloursOf(parts, name)
  const raw = inflate(parts, colours, name)
  const { width, height, depth, interlaced } = parts
  const { channels } = colours
  const passes = passesOf(parts)
  const distance = (depth * parts.channels) >> 3
  if (depth === 8 && !interlaced && colours.plain) {
    const factor = reduction(width, height)
    if (factor > 1) {
      const reducer = new Reducer(width, height, channels, factor)
      for (const pass of passes) unfilterRows(raw, pass, distance, name, (at) => reducer.add(raw, at))
      return reducer.reduced
    }
    for (const pass of passes) unfilterTogether(raw, pass, distance, name)
    // What lies there as it is to be handed out is not copied.
    const pixels = { data: raw.subarray(0, width * height * channels), width, height, channels }
    return { pixels, width, height, factor: 1 }
  }
  for (const pass of passes) unfilterTogether(raw, pass, distance, name)
  const data = new Uint8Array(width * height * channels)
  for (const pass of passes) colours.write(data, raw, pass, name)
  return reduce({ data, width, height, channels }, reduction)
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

function takeApart(bytes: Uint8Array, name: string, maxPixels: number): Parts {
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
      parts = readHeader(content, name, maxPixels)
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

function readHeader(header: Uint8Array, name: string, maxPixels: number): Parts {
  if (header.length !== 13) throw damaged(name, 'its header has the wrong length')
  const view = new DataView(header.buffer, header.byteOffset, 13)
  const width = view.getUint32(0)
  const height = view.getUint32(4)
  if (width === 0 || height === 0) throw damaged(name, `its size is ${width}×${height}`)
  checkSize(name, width, height, maxPixels)
  const depth = header[8] ?? 0
  const colour = COLOUR_TYPES[header[9] ?? 0]
  if (!colour?.depths.includes(depth)) {
    throw damaged(name, `there is no colour type ${header[9]} with ${depth} bits`)
  }
  for (const [i, what] of [
    [10, 'compression'],
    [11, 'filter'],
  ] as const) {
    if (header[i] !== 0) throw damaged(name, `there is no ${what} method ${header[i]}`)
  }
  if ((header[12] ?? 0) > 1) throw damaged(name, `there is no interlace method ${header[12]}`)
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
  /** Where its first row begins. */
  start: number
}

/** The passes of a picture that have pixels, one after the other: one, or seven when it is interlaced. */
function passesOf({ width, height, depth, channels, interlaced }: Parts): Pass[] {
  let start = 0
  const passes: Pass[] = []
  for (const [x, y, dx, dy] of interlaced ? ADAM7 : [[0, 0, 1, 1] as const]) {
    const [columns, rows] = [Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)]
    if (columns <= 0 || rows <= 0) continue
    const rowBytes = Math.ceil((columns * depth * channels) / 8)
    passes.push({ x, y, dx, dy, columns, rows, rowBytes, start })
    start += rows * (1 + rowBytes)
  }
  return passes
}

/** The rows, each with its filter byte in front: exactly as many bytes as the header announces. */
function inflate(parts: Parts, colours: Colours, name: string): Uint8Array {
  const expected = passesOf(parts).reduce((sum, { rows, rowBytes }) => sum + rows * (1 + rowBytes), 0)
  const { width, height, depth, interlaced } = parts
  const second = depth === 8 && !interlaced && colours.plain ? 0 : width * height * colours.channels
  if (expected + second > LARGEST) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${name} takes ${Math.ceil((expected + second) / 2 ** 20)} MB unpacked, ${width}×${height} with ${depth} bits a ` +
        `channel; at most ${LARGEST / 2 ** 20} MB are read; make it smaller first`,
    )
  }
  const [only, ...more] = parts.data
  const data = only && more.length === 0 ? only : Buffer.concat(parts.data)
  if (data.length * MOST_UNPACKED < expected)
    throw damaged(name, 'it holds fewer pixels than its header says')
  let raw: Buffer
  try {
    // In one piece: in many they would be in memory twice.
    raw = inflateSync(data, { maxOutputLength: expected, chunkSize: Math.max(64, expected + 1) })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const tooMuch = code === 'ERR_BUFFER_TOO_LARGE'
    // zlib's own word on what it was given; anything else, no memory for it, says nothing of the picture
    if (!tooMuch && !/^Z_(DATA|BUF|STREAM|NEED)/.test(String(code))) {
      throw new KerneletError('ERR_UNSUPPORTED', `${name} cannot be unpacked: ${messageOf(cause)}`, { cause })
    }
    throw damaged(
      name,
      tooMuch ? 'it holds more pixels than its header says' : 'its pixels do not unpack',
      cause,
    )
  }
  if (raw.length !== expected) throw damaged(name, 'it holds fewer pixels than its header says')
  // Not a Buffer: its slice() would be a view, unlike that of the Uint8Array it claims to be.
  return new Uint8Array(raw.buffer, raw.byteOffset, expected)
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

/**
 * Undoes the filter of each row of a pass, which its first byte names, where it lies.
 *
 * @param distance bytes from a pixel to the next; 0: several pixels are in a byte
 * @param each told where a row begins that is done
 */
function unfilterRows(
  raw: Uint8Array,
  { rows, rowBytes, start }: Pass,
  distance: number,
  name: string,
  each: (at: number) => void,
): void {
  for (let y = 0, at = start + 1; y < rows; y++, at += rowBytes + 1) {
    const filter = checkedFilter(raw[at - 1] ?? 0, name)
    unfilter(raw, filter, at, rowBytes, y === 0 ? 0 : rowBytes + 1, Math.max(1, distance))
    each(at)
  }
}

/** The same; the rows end up where the pass begins, one behind the other without their filter bytes. */
function unfilterTogether(
  raw: Uint8Array,
  { rows, rowBytes, start }: Pass,
  distance: number,
  name: string,
): void {
  for (let y = 0, from = start, to = start; y < rows; y++, from += rowBytes + 1, to += rowBytes) {
    const filter = checkedFilter(raw[from] ?? 0, name)
    raw.copyWithin(to, from + 1, from + 1 + rowBytes)
    unfilter(raw, filter, to, rowBytes, y === 0 ? 0 : rowBytes, Math.max(1, distance))
  }
}

function checkedFilter(filter: number, name: string): number {
  if (filter <= 4) return filter
  throw damaged(name, `there is no filter ${filter}`)
}

/** How samples become 8-bit channels. */
interface Colours {
  /** Of what is handed out. */
  channels: number
  /** Samples of 8 bits stay as they are. */
  plain: boolean
  /** Puts the pixels of a pass, its filters undone, in their places in `data`. */
  write(data: Uint8Array, raw: Uint8Array, pass: Pass, name: string): void
}

/** Palettes, depths other than 8 and transparent colours to plain 8-bit channels. */
function coloursOf(parts: Parts, name: string): Colours {
  const { width, depth, channels, palette, transparency } = parts
  if (palette) return indexedColours(parts, palette, name)
  const top = 2 ** depth - 1
  const isKeyed = transparency !== undefined && (channels === 1 || channels === 3)
  if (isKeyed && transparency.length !== 2 * channels) {
    throw damaged(name, 'its transparent colour has the wrong length')
  }
  // One colour, given as 16 bits a channel of which those of the file's depth count, stands for "transparent".
  const clearest = Array.from({ length: isKeyed ? channels : 0 }, (_, c) => {
    return (transparency![2 * c]! * 256 + transparency![2 * c + 1]!) & top
  })
  const out = channels + (isKeyed ? 1 : 0)
  return {
    channels: out,
    plain: !isKeyed,
    write(data, raw, pass) {
      const { x, y, dx, dy, columns, rows } = pass
      for (let row = 0; row < rows; row++) {
        let to = ((y + row * dy) * width + x) * out
        for (let column = 0; column < columns; column++, to += dx * out) {
          let clear = isKeyed
          for (let c = 0; c < channels; c++) {
            const sample = sampleAt(raw, pass, row, column * channels + c, depth)
            data[to + c] = depth === 8 ? sample : Math.round((sample * 255) / top)
            clear &&= sample === clearest[c]
          }
          if (isKeyed) data[to + channels] = clear ? 0 : 255
        }
      }
    },
  }
}

/** Colours by their index, with a channel more where some are transparent. */
function indexedColours({ width, depth, transparency }: Parts, palette: Uint8Array, name: string): Colours {
  const count = palette.length / 3
  if (!Number.isInteger(count) || count < 1 || count > 256) {
    throw damaged(name, `its palette has ${palette.length} bytes`)
  }
  if (transparency && transparency.length > count) {
    throw damaged(name, 'it has more transparencies than colours')
  }
  const channels = transparency ? 4 : 3
  return {
    channels,
    plain: false,
    write(data, raw, pass) {
      const { x, y, dx, dy, columns, rows } = pass
      for (let row = 0; row < rows; row++) {
        let to = ((y + row * dy) * width + x) * channels
        for (let column = 0; column < columns; column++, to += dx * channels) {
          const index = sampleAt(raw, pass, row, column, depth)
          if (index >= count) throw damaged(name, `colour ${index} is not in its palette`)
          for (let c = 0; c < 3; c++) data[to + c] = palette[3 * index + c] ?? 0
          if (transparency) data[to + 3] = transparency[index] ?? 255
        }
      }
    },
  }
}

/** A sample of any depth: the first of a row in the highest bits, rows beginning at whole bytes. */
function sampleAt(
  raw: Uint8Array,
  { start, rowBytes }: Pass,
  row: number,
  index: number,
  depth: number,
): number {
  const from = start + row * rowBytes
  if (depth === 8) return raw[from + index] ?? 0
  if (depth === 16) return (raw[from + 2 * index] ?? 0) * 256 + (raw[from + 2 * index + 1] ?? 0)
  const bit = index * depth
  return ((raw[from + (bit >> 3)] ?? 0) >> (8 - depth - (bit & 7))) & (2 ** depth - 1)
}

function damaged(name: string, what: string, cause?: unknown): KerneletError {
  return new KerneletError('ERR_FORMAT', `${name} is not a whole PNG: ${what}`, { cause })
}
