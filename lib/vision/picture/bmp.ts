/** BMP to pixels: uncompressed, of 1 to 32 bits a pixel, as Windows and OS/2 write it. */
import { KerneletError } from '../../util/errors.ts'
import { checkSize, MAX_PIXELS } from './pixels.ts'
import { type Reduced, Reducer, type Reduction } from './reduce.ts'

/** Bytes of the header of the file, in front of that of the picture. */
const FILE_HEADER = 14

/** By the number in the header: what is no plain rows of pixels. */
const packings: Readonly<Record<number, string>> = {
  1: 'run lengths (RLE8)',
  2: 'run lengths (RLE4)',
  4: 'JPEG',
  5: 'PNG',
}

/** Where in a pixel of 16 or 32 bits a channel lies. */
interface Field {
  shift: number
  top: number
}

interface Header {
  width: number
  height: number
  /** Rows from the top, rather than from the bottom. */
  downwards: boolean
  depth: number
  /** Of the first row. */
  start: number
  /** For up to 8 bits: blue, green, red, `step` bytes an entry. */
  palette: { bytes: Uint8Array; step: number; count: number }
  /** For 16 and 32 bits: red, green, blue and perhaps alpha. */
  fields: Field[]
}

/**
 * Decodes a BMP. Only a picture whose header says where it keeps alpha has it: other programs leave any bytes there.
 *
 * @param name what to call it in errors
 * @param reduction by which factor it is made smaller
 * @param maxPixels more are refused
 * @throws KerneletError ERR_FORMAT for a damaged file; ERR_UNSUPPORTED for a packed one or above `maxPixels`
 */
export function decodeBmp(
  bytes: Uint8Array,
  name: string,
  reduction: Reduction,
  maxPixels: number = MAX_PIXELS,
): Reduced {
  const header = readHeader(bytes, name, maxPixels)
  const { width, height, depth, downwards, start } = header
  // Rows end at whole words of four bytes.
  const rowBytes = Math.ceil((width * depth) / 32) * 4
  if (start + rowBytes * height > bytes.length)
    throw damaged(name, 'it holds fewer pixels than its header says')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const channels = header.fields.length === 4 ? 4 : 3
  const reducer = new Reducer(width, height, channels, reduction(width, height))
  // Two in turn: the one before is still wanted.
  const two = new Uint8Array(2 * width * channels)
  for (let y = 0; y < height; y++) {
    const from = (y % 2) * width * channels
    const row = two.subarray(from, from + width * channels)
    const at = start + (downwards ? y : height - 1 - y) * rowBytes
    if (depth <= 8) readIndexed(row, bytes, at, header, name)
    else if (depth === 24) readColours(row, bytes, at)
    else readFields(row, view, at, header)
    reducer.add(two, from)
  }
  return reducer.reduced
}

function readHeader(bytes: Uint8Array, name: string, maxPixels: number): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const size = bytes.length >= FILE_HEADER + 4 ? view.getUint32(FILE_HEADER, true) : 0
  if (size !== 12 && (size < 40 || size > 1024)) throw damaged(name, `its header has ${size} bytes`)
  if (FILE_HEADER + size > bytes.length) throw damaged(name, 'it ends too early')
  const isOld = size === 12
  const at = FILE_HEADER + 4
  const width = isOld ? view.getUint16(at, true) : view.getInt32(at, true)
  const tall = isOld ? view.getUint16(at + 2, true) : view.getInt32(at + 4, true)
  const height = Math.abs(tall)
  if (width < 1 || height < 1) throw damaged(name, `its size is ${width}×${tall}`)
  checkSize(name, width, height, maxPixels)
  const depth = view.getUint16(isOld ? at + 6 : at + 10, true)
  if (![1, 2, 4, 8, 16, 24, 32].includes(depth) || (isOld && (depth === 16 || depth === 32))) {
    throw damaged(name, `there are no pixels of ${depth} bits`)
  }
  const packing = isOld ? 0 : view.getUint32(at + 12, true)
  const isMasked = packing === 3 || packing === 6
  if (packing !== 0 && !(isMasked && (depth === 16 || depth === 32))) {
    const how = packings[packing]
    if (how === undefined) throw damaged(name, `there is no packing ${packing} of ${depth} bits`)
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${name} is a BMP packed as ${how}; kernelet reads unpacked ones: save it as PNG`,
    )
  }
  const masksAt = FILE_HEADER + 40
  // In the first header of this kind the masks stand behind it.
  const behind = isMasked && size === 40 ? (packing === 6 ? 16 : 12) : 0
  const step = isOld ? 3 : 4
  const most = depth <= 8 ? 2 ** depth : 0
  const said = isOld || depth > 8 ? 0 : view.getUint32(at + 28, true)
  if (said > most) throw damaged(name, `its palette has ${said} colours`)
  const paletteAt = FILE_HEADER + size + behind
  const start = view.getUint32(10, true)
  if (start < paletteAt || start > bytes.length) throw damaged(name, `its pixels begin at byte ${start}`)
  const count = Math.min(said || most, Math.floor((start - paletteAt) / step))
  if (depth <= 8 && count < 1) throw damaged(name, 'it has no palette')
  const masks = isMasked
    ? [0, 4, 8, ...(size >= 56 || packing === 6 ? [12] : [])].map((i) => view.getUint32(masksAt + i, true))
    : depth === 16
      ? [0x7c00, 0x3e0, 0x1f]
      : [0xff0000, 0xff00, 0xff]
  return {
    ...{ width, height, depth, start },
    downwards: tall < 0,
    palette: { bytes: bytes.subarray(paletteAt, paletteAt + count * step), step, count },
    fields: depth === 16 || depth === 32 ? fieldsOf(masks, name) : [],
  }
}

/** A mask of neighbouring bits as a shift and what is left of it; one without bits, of alpha, is none. */
function fieldsOf(masks: number[], name: string): Field[] {
  if (masks[3] === 0) masks.pop()
  return masks.map((mask) => {
    const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask)
    const top = mask >>> shift
    if (mask === 0 || (top & (top + 1)) !== 0) {
      throw damaged(name, `its mask 0x${mask.toString(16)} is no row of bits`)
    }
    return { shift, top }
  })
}

function readIndexed(
  row: Uint8Array,
  bytes: Uint8Array,
  at: number,
  { width, depth, palette: { bytes: colours, step, count } }: Header,
  name: string,
): void {
  for (let x = 0, to = 0; x < width; x++, to += 3) {
    const bit = x * depth
    const index = (bytes[at + (bit >> 3)]! >> (8 - depth - (bit & 7))) & (2 ** depth - 1)
    if (index >= count) throw damaged(name, `colour ${index} is not in its palette`)
    for (let c = 0; c < 3; c++) row[to + c] = colours[index * step + 2 - c]!
  }
}

function readColours(row: Uint8Array, bytes: Uint8Array, at: number): void {
  for (let to = 0, i = at; to < row.length; to += 3, i += 3) {
    row[to] = bytes[i + 2]!
    row[to + 1] = bytes[i + 1]!
    row[to + 2] = bytes[i]!
  }
}

function readFields(row: Uint8Array, view: DataView, at: number, { width, depth, fields }: Header): void {
  for (let x = 0, to = 0; x < width; x++) {
    const pixel = depth === 16 ? view.getUint16(at + 2 * x, true) : view.getUint32(at + 4 * x, true)
    for (const { shift, top } of fields) row[to++] = (((pixel >>> shift) & top) >>> 0) * (255 / top) + 0.5
  }
}

function damaged(name: string, what: string): KerneletError {
  return new KerneletError('ERR_FORMAT', `${name} is not a whole BMP: ${what}`)
}
