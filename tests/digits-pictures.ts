/** Small pictures for the digit tests: drawn in letters, or as PNG bytes of any kind. */
import { crc32, deflateSync } from 'node:zlib'
import type { Gray } from '../lib/vision/picture/pixels.ts'

/** A grey picture from rows of text: '#' is full ink (255), '.' none, a digit d is d/10 of full ink. */
export function art(...rows: string[]): Gray {
  const width = rows[0]!.length
  const data = Uint8Array.from(rows.join(''), (c) => (c === '#' ? 255 : c === '.' ? 0 : Number(c) * 25.5))
  return { data, width, height: rows.length }
}

/** A grey picture computed per pixel. */
export function gray(width: number, height: number, level: (x: number, y: number) => number): Gray {
  const data = Uint8Array.from({ length: width * height }, (_, i) => level(i % width, Math.floor(i / width)))
  return { data, width, height }
}

/** `picture` on a larger empty canvas. */
export function placed(picture: Gray, width: number, height: number, left: number, top: number): Gray {
  return gray(width, height, (x, y) => {
    const inside = x >= left && y >= top && x < left + picture.width && y < top + picture.height
    return inside ? picture.data[(y - top) * picture.width + x - left]! : 0
  })
}

/** Each pixel `factor` × `factor` times. */
export function enlarged(picture: Gray, factor: number): Gray {
  return gray(picture.width * factor, picture.height * factor, (x, y) => {
    return picture.data[Math.floor(y / factor) * picture.width + Math.floor(x / factor)]!
  })
}

/** A handwritten-looking 2, with some paper around it. */
export const two: Gray = art(
  '................',
  '.....#####......',
  '...#########....',
  '..####...####...',
  '..##......###...',
  '..........###...',
  '..........###...',
  '.........###....',
  '........###.....',
  '.......###......',
  '......###.......',
  '.....###........',
  '....###.........',
  '...####.........',
  '..#############.',
  '..#############.',
  '................',
)

export interface PngParts {
  width: number
  height: number
  depth: number
  colour: number
  /** Each row's bytes with its filter byte; by default all zero. */
  raw?: Uint8Array
  interlace?: number
  palette?: number[]
  transparency?: number[]
  /** Instead of the compressed rows. */
  data?: Uint8Array
}

export function png(parts: PngParts): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(parts.width, 0)
  header.writeUInt32BE(parts.height, 4)
  header.set([parts.depth, parts.colour, 0, 0, parts.interlace ?? 0], 8)
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    ...(parts.palette ? [chunk('PLTE', Uint8Array.from(parts.palette))] : []),
    ...(parts.transparency ? [chunk('tRNS', Uint8Array.from(parts.transparency))] : []),
    chunk('IDAT', parts.data ?? deflateSync(parts.raw ?? new Uint8Array(0))),
    chunk('IEND', new Uint8Array(0)),
  ])
}

function chunk(type: string, content: Uint8Array): Buffer {
  const out = Buffer.alloc(12 + content.length)
  out.writeUInt32BE(content.length, 0)
  out.write(type, 4, 'latin1')
  out.set(content, 8)
  out.writeUInt32BE(crc32(out.subarray(4, 8 + content.length)), 8 + content.length)
  return out
}

/** A picture as an 8-bit grey PNG. */
export function grayPng({ data, width, height }: Gray): Buffer {
  const raw = new Uint8Array((width + 1) * height)
  for (let y = 0; y < height; y++) raw.set(data.subarray(y * width, (y + 1) * width), y * (width + 1) + 1)
  return png({ width, height, depth: 8, colour: 0, raw })
}
