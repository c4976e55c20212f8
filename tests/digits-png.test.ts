/** PNG of every kind, and files that mean harm. */
import { gzipSync } from 'node:zlib'
import { decode, encode } from 'fast-png'
import { describe, expect, test } from 'vitest'
import { Generator } from '../lib/index.ts'
import { decodePicture } from '../lib/vision/picture/decode.ts'
import { unfilter } from '../lib/vision/picture/unfilter.ts'
import { gray, grayPng, type PngParts, png, two } from './digits-pictures.ts'

/** Channels and bytes of a decoded picture. */
function decoded(parts: PngParts): [channels: number, ...bytes: number[]] {
  const { data, channels } = decodePicture(png(parts))
  return [channels, ...data]
}

/** The filters as the specification writes them, a byte at a time. */
function unfiltered(
  filter: number,
  row: readonly number[],
  above: readonly number[],
  left: number,
): number[] {
  const out: number[] = []
  for (const [i, value] of row.entries()) {
    const [a, b, c] = [out[i - left] ?? 0, above[i] ?? 0, i < left ? 0 : (above[i - left] ?? 0)]
    const [pa, pb, pc] = [a, b, c].map((one) => Math.abs(a + b - c - one)) as [number, number, number]
    const paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c
    out.push((value + [0, a, b, Math.floor((a + b) / 2), paeth][filter]!) & 255)
  }
  return out
}

test('every filter at every distance, with a row above and without', () => {
  const random = new Generator(3)
  for (let left = 1; left <= 8; left++) {
    for (let filter = 0; filter <= 4; filter++) {
      const [above, row] = [0, 1].map(() =>
        Array.from({ length: 12 * left }, () => random.random() % 256),
      ) as [number[], number[]]
      const raw = Uint8Array.from([...above, 99, ...row])
      unfilter(raw, filter, above.length + 1, row.length, above.length + 1, left)
      expect([...raw]).toEqual([...above, 99, ...unfiltered(filter, row, above, left)])
      const first = Uint8Array.from(row)
      unfilter(first, filter, 0, row.length, 0, left)
      expect([...first]).toEqual(unfiltered(filter, row, [], left))
    }
  }
})

describe('colour types and depths', () => {
  test('grey, 1 to 16 bits, becomes 0 to 255; rows begin at whole bytes', () => {
    const rows = (...raw: number[]) => Uint8Array.from(raw)
    const two = { width: 2, height: 2, colour: 0 }
    expect(decoded({ ...two, depth: 1, raw: rows(0, 0b10000000, 0, 0b01000000) })).toEqual([
      1, 255, 0, 0, 255,
    ])
    expect(decoded({ ...two, depth: 2, raw: rows(0, 0b00010000, 0, 0b10110000) })).toEqual([
      1, 0, 85, 170, 255,
    ])
    expect(decoded({ ...two, depth: 4, raw: rows(0, 0x0f, 0, 0x3c) })).toEqual([1, 0, 255, 51, 204])
    expect(decoded({ ...two, depth: 8, raw: rows(0, 1, 2, 0, 3, 4) })).toEqual([1, 1, 2, 3, 4])
    expect(decoded({ ...two, depth: 16, raw: rows(0, 0, 0, 255, 255, 0, 128, 128, 1, 1) })).toEqual([
      1, 0, 255, 128, 1,
    ])
  })

  test('several pixels a byte over more than one byte', () => {
    const raw = Uint8Array.of(0, 0b10110000, 0b10000000)
    expect(decoded({ width: 9, height: 1, depth: 1, colour: 0, raw })).toEqual([
      1, 255, 0, 255, 255, 0, 0, 0, 0, 255,
    ])
  })

  test('grey + alpha, RGB, RGB + alpha', () => {
    const one = { width: 1, height: 1, depth: 8 }
    expect(decoded({ ...one, colour: 4, raw: Uint8Array.of(0, 9, 8) })).toEqual([2, 9, 8])
    expect(decoded({ ...one, colour: 2, raw: Uint8Array.of(0, 9, 8, 7) })).toEqual([3, 9, 8, 7])
    expect(decoded({ ...one, colour: 6, raw: Uint8Array.of(0, 9, 8, 7, 6) })).toEqual([4, 9, 8, 7, 6])
    const wide = Uint8Array.of(0, 9, 9, 8, 8, 7, 7, 6, 6)
    expect(decoded({ ...one, depth: 16, colour: 6, raw: wide })).toEqual([4, 9, 8, 7, 6])
  })

  test('palette, packed, with and without transparency', () => {
    const parts = {
      width: 3,
      height: 1,
      depth: 2,
      colour: 3,
      raw: Uint8Array.of(0, 0b00011000),
      palette: [1, 2, 3, 4, 5, 6, 7, 8, 9],
    }
    expect(decoded(parts)).toEqual([3, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(decoded({ ...parts, transparency: [0, 128] })).toEqual([4, 1, 2, 3, 0, 4, 5, 6, 128, 7, 8, 9, 255])
  })

  test('a transparent colour, compared in the depth of the file', () => {
    const grey = {
      width: 2,
      height: 1,
      depth: 8,
      colour: 0,
      raw: Uint8Array.of(0, 7, 9),
      transparency: [0, 7],
    }
    expect(decoded(grey)).toEqual([2, 7, 0, 9, 255])
    const raw = Uint8Array.of(0, 1, 2, 0, 1, 2, 9, 0, 2, 1)
    const rgb = { width: 3, height: 1, depth: 8, colour: 2, raw, transparency: [0, 1, 0, 2, 0, 0] }
    expect(decoded(rgb)).toEqual([4, 1, 2, 0, 0, 1, 2, 9, 255, 0, 2, 1, 255])
  })

  test('filters, and interlacing at 8 and 16 bits', () => {
    const raw = Uint8Array.of(1, 10, 1, 1, 2, 1, 1, 1, 4, 0, 0, 5)
    expect(decoded({ width: 3, height: 3, depth: 8, colour: 0, raw })).toEqual([
      1, 10, 11, 12, 11, 12, 13, 11, 12, 18,
    ])
    const picture = gray(13, 9, (x, y) => (x * 19 + y * 31) % 256)
    const plain = decodePicture(encode({ ...picture, channels: 1, depth: 8 }))
    expect(plain.data).toEqual(picture.data)
    const interlaced = encode({ ...picture, channels: 1, depth: 8 }, { interlace: 'Adam7' })
    expect(decodePicture(interlaced).data).toEqual(picture.data)
    const deep = {
      ...picture,
      data: Uint16Array.from(picture.data, (v) => v * 257),
      channels: 1,
      depth: 16,
    } as const
    expect(decodePicture(encode(deep, { interlace: 'Adam7' })).data).toEqual(picture.data)
  })

  test('interlacing with less than a byte a pixel', () => {
    // the pass of each pixel of a tile, as the specification draws it (section 8.2)
    const tile = [
      '16462646',
      '77777777',
      '56565656',
      '77777777',
      '36463646',
      '77777777',
      '56565656',
      '77777777',
    ]
    const [width, height] = [11, 10]
    for (const depth of [1, 2, 4]) {
      const sample = (x: number, y: number) => (x * 7 + y * 5 + x * y) % 2 ** depth
      const raw: number[] = []
      for (let pass = 1; pass <= 7; pass++) {
        for (let y = 0; y < height; y++) {
          const row = Array.from({ length: width }, (_, x) => x).filter(
            (x) => tile[y % 8]![x % 8] === `${pass}`,
          )
          if (row.length === 0) continue
          const bits = row.map((x) => sample(x, y).toString(2).padStart(depth, '0')).join('')
          raw.push(0, ...(bits.match(/.{1,8}/g) ?? []).map((byte) => Number.parseInt(byte.padEnd(8, '0'), 2)))
        }
      }
      const top = 2 ** depth - 1
      const expected = Array.from({ length: width * height }, (_, i) =>
        Math.round((255 * sample(i % width, Math.floor(i / width))) / top),
      )
      const parts = { width, height, depth, colour: 0, interlace: 1, raw: Uint8Array.from(raw) }
      expect(decoded(parts), `${depth} bits`).toEqual([1, ...expected])
    }
  })

  test('every filter on every form, beside another decoder', () => {
    let seed = 1
    const random = (below: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
      return Math.floor((seed / 2 ** 32) * below)
    }
    for (const [colour, channels] of Object.entries({ 0: 1, 2: 3, 4: 2, 6: 4 })) {
      for (const depth of [8, 16]) {
        const [width, height] = [1 + random(9), 12]
        const row = () => [
          random(5),
          ...Array.from({ length: (width * channels * depth) / 8 }, () => random(256)),
        ]
        const raw = Uint8Array.from(Array.from({ length: height }, row).flat())
        const file = png({ width, height, depth, colour: Number(colour), raw })
        const judge = decode(file).data
        const level = (value: number) => (depth === 8 ? value : Math.round((value * 255) / 65535))
        expect(decodePicture(file).data, `colour ${colour}, ${depth} bits`).toEqual(
          Uint8Array.from(judge, level),
        )
      }
    }
  })

  test('a palette that only suggests, in a picture with colours of its own', () => {
    const raw = Uint8Array.of(0, 1, 2, 3)
    expect(decoded({ width: 1, height: 1, depth: 8, colour: 2, raw, palette: [7, 8, 9] })).toEqual([
      3, 1, 2, 3,
    ])
  })

  test('a window on a larger buffer', () => {
    const bytes = grayPng(two)
    const larger = Buffer.concat([Buffer.alloc(5), bytes, Buffer.alloc(5)])
    expect(decodePicture(larger.subarray(5, -5)).data).toEqual(two.data)
  })
})

describe('hostile files', () => {
  const header = { width: 4, height: 4, depth: 8, colour: 0 }
  const whole = png({ ...header, raw: new Uint8Array(20) })

  /** Decoding fails in these words, quickly and without much memory. */
  function refused(bytes: Uint8Array, code: string, message: RegExp) {
    const before = process.memoryUsage()
    expect(() => decodePicture(bytes, 'x.png')).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    )
    const after = process.memoryUsage()
    expect(after.rss - before.rss).toBeLessThan(50e6)
  }

  test('sizes beyond reason are refused before anything is allocated', () => {
    refused(
      png({ ...header, width: 0xffffffff, height: 0xffffffff }),
      'ERR_UNSUPPORTED',
      /at most 64 megapixels/,
    )
    refused(png({ ...header, width: 100_000, height: 100_000 }), 'ERR_UNSUPPORTED', /10000\.0 megapixels/)
    // Allowed by its size, but there is nothing in it.
    refused(png({ ...header, width: 8000, height: 8000 }), 'ERR_FORMAT', /fewer pixels/)
  })

  test('what would take too much memory unpacked', () => {
    const large = { ...header, width: 8000, height: 8000 }
    refused(png({ ...large, depth: 16, colour: 6 }), 'ERR_UNSUPPORTED', /takes 733 MB unpacked/)
    refused(png({ ...large, colour: 6, interlace: 1 }), 'ERR_UNSUPPORTED', /takes 489 MB unpacked/)
    // as little as 64 megapixels in colour take
    refused(png({ ...large, colour: 6 }), 'ERR_FORMAT', /fewer pixels/)
  })

  test('sizes of zero', () => {
    refused(png({ ...header, width: 0 }), 'ERR_FORMAT', /its size is 0×4/)
    refused(png({ ...header, height: 0 }), 'ERR_FORMAT', /its size is 4×0/)
  })

  test('a small picture that unpacks to much more than it announces', () => {
    refused(png({ ...header, raw: new Uint8Array(100e6) }), 'ERR_FORMAT', /more pixels than its header says/)
  })

  test('a file cut off anywhere', () => {
    for (let length = 8; length < whole.length; length++) {
      refused(whole.subarray(0, length), 'ERR_FORMAT', /ends too early/)
    }
  })

  test('a byte changed anywhere', () => {
    for (let i = 8; i < whole.length; i++) {
      const bytes = Buffer.from(whole)
      bytes[i]! ^= 0x55
      expect(() => decodePicture(bytes), `byte ${i}`).toThrow(/is not a whole PNG|megapixels/)
    }
  })

  test('impossible headers and data', () => {
    refused(png({ ...header, colour: 5 }), 'ERR_FORMAT', /no colour type 5 with 8 bits/)
    refused(png({ ...header, colour: 2, depth: 4 }), 'ERR_FORMAT', /no colour type 2 with 4 bits/)
    refused(png({ ...header, data: gzipSync('no zlib stream') }), 'ERR_FORMAT', /do not unpack/)
    refused(png({ ...header, raw: new Uint8Array(19) }), 'ERR_FORMAT', /fewer pixels/)
    refused(png({ ...header, raw: new Uint8Array(20).fill(9) }), 'ERR_FORMAT', /filter/)
    refused(png({ ...header, interlace: 2, raw: new Uint8Array(20) }), 'ERR_FORMAT', /nterlace/)
    const palette = { ...header, colour: 3, raw: new Uint8Array(20).fill(0) }
    refused(png(palette), 'ERR_FORMAT', /palette/)
    refused(png({ ...palette, palette: [] }), 'ERR_FORMAT', /palette/)
    refused(
      png({
        ...palette,
        raw: Uint8Array.from({ length: 20 }, (_, i) => (i % 5 ? 7 : 0)),
        palette: [1, 2, 3],
      }),
      'ERR_FORMAT',
      /palette/,
    )
  })

  test('no picture at all', () => {
    refused(new Uint8Array(0), 'ERR_FORMAT', /x\.png is empty/)
    refused(Buffer.from('Dear reader, …'), 'ERR_FORMAT', /not a picture: it begins with "Dear reader/)
  })
})
