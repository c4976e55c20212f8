/** Small pictures by the thousand: 28×28, a few hundred bytes, as digits that were cut out before. */
import { linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crc32, deflateSync } from 'node:zlib'
import { decodePicture, normalizeDigit } from 'kernelet'

export const root = fileURLToPath(new URL('../../..', import.meta.url))

/** @returns {Buffer[]} PNG files, one for each of the examples that shows a digit */
export function smallPictures() {
  const folder = join(root, 'examples/digits')
  return readdirSync(folder)
    .filter((name) => name.endsWith('.png'))
    .sort()
    .map((name) => normalizeDigit(decodePicture(readFileSync(join(folder, name)))))
    .filter(({ image }) => image)
    .map(({ image }) =>
      png(
        Uint8Array.from(image, (value) => Math.round(255 * value)),
        28,
      ),
    )
}

/**
 * `count` pictures in a folder, a thousand a folder below it; of few files under many names.
 *
 * @param {string} folder
 * @param {number} count
 */
export function writePictures(folder, count) {
  const files = smallPictures()
  const first = []
  for (let i = 0; i < count; i++) {
    const below = join(folder, String(Math.floor(i / 1000)).padStart(4, '0'))
    if (i % 1000 === 0) mkdirSync(below, { recursive: true })
    const path = join(below, `${String(i).padStart(7, '0')}.png`)
    const which = i % files.length
    // a file has some tens of thousands of names at most
    if (Math.floor(i / files.length) % 30_000 > 0) linkSync(first[which], path)
    else {
      writeFileSync(path, files[which])
      first[which] = path
    }
  }
}

/** @param {Uint8Array} pixels grey @param {number} width */
function png(pixels, width) {
  const height = pixels.length / width
  const rows = Buffer.alloc(height * (width + 1))
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1)
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  head.set([8, 0, 0, 0, 0], 8)
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    block('IHDR', head),
    block('IDAT', deflateSync(rows)),
    block('IEND', Buffer.alloc(0)),
  ])
}

/** @param {string} type @param {Buffer} data */
function block(type, data) {
  const body = Buffer.concat([Buffer.from(type), data])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}
