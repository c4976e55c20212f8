/** BMP of the kinds that programs write, and files that mean harm. */
import { describe, expect, test } from 'vitest'
import { DigitClassifier } from '../lib/index.ts'
import { decodePicture } from '../lib/vision/picture/decode.ts'
import { placed, two } from './digits-pictures.ts'

interface BmpParts {
  width: number
  height: number
  depth: number
  /** Rows as they lie in the file, each of whole words of four bytes. */
  rows: number[]
  packing?: number
  /** Behind the header: masks, then the palette. */
  behind?: number[]
  header?: number
  colours?: number
  start?: number
}

function bmp({
  width,
  height,
  depth,
  rows,
  packing = 0,
  behind = [],
  header = 40,
  ...parts
}: BmpParts): Buffer {
  const start = parts.start ?? 14 + header + behind.length
  const file = Buffer.alloc(Math.max(start, 14 + header + behind.length) + rows.length)
  file.write('BM', 0, 'latin1')
  file.writeUInt32LE(file.length, 2)
  file.writeUInt32LE(start, 10)
  file.writeUInt32LE(header, 14)
  if (header === 12) {
    file.writeUInt16LE(width, 18)
    file.writeUInt16LE(height, 20)
    file.writeUInt16LE(1, 22)
    file.writeUInt16LE(depth, 24)
  } else {
    file.writeInt32LE(width, 18)
    file.writeInt32LE(height, 22)
    file.writeUInt16LE(1, 26)
    file.writeUInt16LE(depth, 28)
    file.writeUInt32LE(packing, 30)
    file.writeUInt32LE(parts.colours ?? 0, 46)
  }
  file.set(behind, 14 + header)
  file.set(rows, file.length - rows.length)
  return file
}

const decoded = (parts: BmpParts): [channels: number, ...bytes: number[]] => {
  const { data, channels } = decodePicture(bmp(parts))
  return [channels, ...data]
}
const words = (...values: number[]): number[] => [...new Uint8Array(Uint32Array.from(values).buffer)]

describe('kinds', () => {
  test('24 bits: rows from below, blue first, padded to words; from the top where the height says so', () => {
    const rows = [1, 2, 3, 4, 5, 6, 0, 0, 7, 8, 9, 10, 11, 12, 0, 0]
    const one = { width: 2, height: 2, depth: 24, rows }
    expect(decoded(one)).toEqual([3, 9, 8, 7, 12, 11, 10, 3, 2, 1, 6, 5, 4])
    expect(decoded({ ...one, height: -2 })).toEqual([3, 3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10])
  })

  test('palettes of 1, 2, 4 and 8 bits; of OS/2 with three bytes a colour', () => {
    const palette = [3, 2, 1, 0, 6, 5, 4, 0, 9, 8, 7, 0]
    const one = { width: 3, height: 1, behind: palette, colours: 3 }
    const colours = [3, 1, 2, 3, 7, 8, 9, 4, 5, 6]
    expect(decoded({ ...one, depth: 8, rows: [0, 2, 1, 0] })).toEqual(colours)
    expect(decoded({ ...one, depth: 4, rows: [0x02, 0x10, 0, 0] })).toEqual(colours)
    expect(decoded({ ...one, depth: 2, rows: [0b00100100, 0, 0, 0] })).toEqual(colours)
    const ink = { ...one, depth: 1, behind: palette.slice(0, 8), colours: 2, rows: [0b01000000, 0, 0, 0] }
    expect(decoded(ink)).toEqual([3, 1, 2, 3, 4, 5, 6, 1, 2, 3])
    const os2 = { width: 2, height: 1, header: 12, depth: 1, behind: [3, 2, 1, 6, 5, 4] }
    expect(decoded({ ...os2, rows: [0b01000000, 0, 0, 0] })).toEqual([3, 1, 2, 3, 4, 5, 6])
  })

  test('16 bits: five a channel, or by masks', () => {
    const one = { width: 2, height: 1, depth: 16 }
    expect(decoded({ ...one, rows: words(0x001f7c00) })).toEqual([3, 255, 0, 0, 0, 0, 255])
    const masks = words(0xf800, 0x07e0, 0x001f)
    expect(decoded({ ...one, packing: 3, behind: masks, rows: words(0x07e0f800) })).toEqual([
      3, 255, 0, 0, 0, 255, 0,
    ])
  })

  test('32 bits: the fourth byte is alpha only where a mask says so', () => {
    const one = { width: 1, height: 1, depth: 32, rows: words(0x80102030) }
    expect(decoded(one)).toEqual([3, 0x10, 0x20, 0x30])
    const masks = words(0xff, 0xff00, 0xff0000, 0xff000000)
    expect(decoded({ ...one, packing: 6, behind: masks })).toEqual([4, 0x30, 0x20, 0x10, 0x80])
    // in the long header of Photoshop and GIMP the masks are a part of it
    const long = bmp({ ...one, packing: 3, header: 108 })
    long.set(masks, 14 + 40)
    expect([...decodePicture(long).data]).toEqual([0x30, 0x20, 0x10, 0x80])
    long.writeUInt32LE(0, 14 + 40 + 12)
    expect([...decodePicture(long).data]).toEqual([0x30, 0x20, 0x10])
  })

  test('a digit is read out of one', () => {
    const page = placed(two, 40, 40, 9, 12)
    const rows = Array.from({ length: 40 }, (_, y) => [
      ...page.data.subarray((39 - y) * 40, (40 - y) * 40),
    ]).flat()
    const palette = Array.from({ length: 256 }, (_, v) => [v, v, v, 0]).flat()
    using digits = DigitClassifier.load()
    const result = digits.classify(bmp({ width: 40, height: 40, depth: 8, behind: palette, rows }))
    expect(result).toEqual(digits.classify({ ...page, channels: 1 }))
  })
})

test('what is damaged, packed or too large is refused by name', () => {
  const good: BmpParts = { width: 2, height: 1, depth: 24, rows: [1, 2, 3, 4, 5, 6, 0, 0] }
  const cases: [Partial<BmpParts>, string, RegExp][] = [
    [{ rows: [1, 2, 3, 4, 5, 6, 0] }, 'ERR_FORMAT', /fewer pixels/],
    [{ width: 0 }, 'ERR_FORMAT', /size is 0×1/],
    [{ width: -2 }, 'ERR_FORMAT', /size is -2×1/],
    [{ height: -(2 ** 31) }, 'ERR_UNSUPPORTED', /megapixels/],
    [{ width: 65_536, height: 65_536 }, 'ERR_UNSUPPORTED', /at most 64 megapixels but .* 65536×65536/],
    [{ width: 8000, height: 8000 }, 'ERR_FORMAT', /fewer pixels/],
    [{ depth: 5 }, 'ERR_FORMAT', /pixels of 5 bits/],
    [{ depth: 8, packing: 1 }, 'ERR_UNSUPPORTED', /packed as run lengths \(RLE8\); .* save it as PNG/],
    [{ depth: 4, packing: 2 }, 'ERR_UNSUPPORTED', /RLE4/],
    [{ packing: 5 }, 'ERR_UNSUPPORTED', /packed as PNG/],
    [{ packing: 3 }, 'ERR_FORMAT', /no packing 3 of 24 bits/],
    [{ packing: 77 }, 'ERR_FORMAT', /no packing 77/],
    [{ depth: 8 }, 'ERR_FORMAT', /no palette/],
    [{ depth: 8, colours: 300 }, 'ERR_FORMAT', /palette has 300 colours/],
    [{ depth: 8, colours: 1, behind: [0, 0, 0, 0] }, 'ERR_FORMAT', /colour 1 is not in its palette/],
    [{ depth: 32, packing: 3, behind: words(0xff, 0, 0xff00) }, 'ERR_FORMAT', /mask 0x0 is no row of bits/],
    [{ depth: 32, packing: 3, behind: words(0xff, 0x5, 0xff00) }, 'ERR_FORMAT', /mask 0x5 is no row/],
    [{ start: 10 }, 'ERR_FORMAT', /begin at byte 10/],
    [{ start: 2 ** 31 - 1, rows: [] }, 'ERR_FORMAT', /begin at byte/],
    [{ header: 41_000 }, 'ERR_FORMAT', /header has 41000 bytes/],
  ]
  for (const [parts, code, message] of cases) {
    const start = parts.start === 2 ** 31 - 1
    const file = bmp({ ...good, ...parts, ...(start && { start: 54 }) })
    if (start) file.writeUInt32LE(2 ** 31 - 1, 10)
    expect(() => decodePicture(file), JSON.stringify(parts)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    )
  }
  const whole = bmp(good)
  for (let length = 2; length < whole.length; length++) {
    expect(() => decodePicture(whole.subarray(0, length))).toThrow(
      expect.objectContaining({ code: 'ERR_FORMAT' }),
    )
  }
})
