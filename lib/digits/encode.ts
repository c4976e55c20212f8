/** Pixels to PNG, for pictures that commands and `explain` draw. */
import { crc32, deflateSync } from 'node:zlib'
import type { Pixels } from './pixels.ts'

/** Colour types of the PNG specification by channels, 1 to 4. */
const COLOURS = [0, 0, 4, 2, 6]

/** The bytes of a PNG file with 8 bits a channel, its rows not filtered. */
export function encodePng({ data, width, height, channels }: Required<Pixels>): Uint8Array {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, COLOURS[channels] as number], 8)
  const rowBytes = width * channels
  const rows = new Uint8Array(height * (1 + rowBytes))
  for (let y = 0; y < height; y++) {
    rows.set(data.subarray(y * rowBytes, (y + 1) * rowBytes), y * (1 + rowBytes) + 1)
  }
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', new Uint8Array(0)),
  ])
}

/** Length, type, content, and a checksum over the latter two. */
function chunk(type: string, content: Uint8Array): Buffer {
  const out = Buffer.alloc(12 + content.length)
  out.writeUInt32BE(content.length)
  out.write(type, 4, 'latin1')
  out.set(content, 8)
  out.writeUInt32BE(crc32(out.subarray(4, 8 + content.length)), 8 + content.length)
  return out
}
