/** Pixels to PNG: for pictures that kernelet draws itself. */
import { crc32, deflateSync } from 'node:zlib'
import type { Pixels } from './pixels.ts'

/** PNG specification, table 11.1: the colour type of so many channels of 8 bits. */
const COLOUR_TYPE: Readonly<Record<number, number>> = { 1: 0, 2: 4, 3: 2, 4: 6 }

/** A PNG of 8 bits a channel: grey, grey and alpha, RGB or RGBA. */
export function encodePng({ data, width, height, channels }: Required<Pixels>): Buffer {
  const rowBytes = width * channels
  // Filter 0 in front of every row: what is drawn here is flat, which deflate alone makes small.
  const raw = new Uint8Array(height * (1 + rowBytes))
  for (let row = 0; row < height; row++) {
    raw.set(data.subarray(row * rowBytes, (row + 1) * rowBytes), row * (1 + rowBytes) + 1)
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, COLOUR_TYPE[channels] ?? 0], 8)
  return Buffer.concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(raw)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/** Length, type, content and the checksum of type and content. */
function chunk(type: string, content: Uint8Array): Buffer {
  const out = Buffer.alloc(12 + content.length)
  out.writeUInt32BE(content.length)
  out.write(type, 4, 'latin1')
  out.set(content, 8)
  out.writeUInt32BE(crc32(out.subarray(4, 8 + content.length)), 8 + content.length)
  return out
}
