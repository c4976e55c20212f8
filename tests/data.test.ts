/** IDX files, folders of pictures, splits, downloads. No real digits: all is made here. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { encode } from 'fast-png'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  Dataset,
  downloadMnist,
  Generator,
  KerneletError,
  loadCsv,
  loadIdx,
  loadMnist,
  loadPictures,
} from '../lib/index.ts'
import { root } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-data-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** An IDX file of unsigned bytes. */
function idx(shape: number[], data: ArrayLike<number>, type = 8): Buffer {
  const header = Buffer.alloc(4 + 4 * shape.length)
  header[2] = type
  header[3] = shape.length
  for (const [i, size] of shape.entries()) header.writeUInt32BE(size, 4 + 4 * i)
  return Buffer.concat([header, Uint8Array.from(data)])
}

const counting = (length: number): number[] => Array.from({ length }, (_, i) => i % 251)

function errorOf(action: () => unknown): KerneletError {
  try {
    action()
  } catch (error) {
    if (error instanceof KerneletError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

function fails(action: () => unknown, code: string, message: RegExp): void {
  const error = errorOf(action)
  expect(error.message).toMatch(message)
  expect(error.code).toBe(code)
}

let places = 0
function place(files: Record<string, Uint8Array>): string {
  const path = join(folder, `set${places++}`)
  mkdirSync(path)
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true })
    writeFileSync(join(path, name), bytes)
  }
  return path
}

describe('IDX', () => {
  test('as it is and gzipped, from bytes and from a file', () => {
    const bytes = idx([2, 3, 4], counting(24))
    const expected = { shape: [2, 3, 4], data: Uint8Array.from(counting(24)) }
    expect(loadIdx(bytes)).toEqual(expected)
    expect(loadIdx(gzipSync(bytes))).toEqual(expected)
    const path = place({ a: gzipSync(bytes) })
    expect(loadIdx(join(path, 'a'))).toEqual(expected)
  })

  test('every way to be damaged is named', () => {
    const bytes = idx([2, 3, 4], counting(24))
    fails(() => loadIdx(Buffer.from('<!DOCTYPE html>')), 'ERR_FORMAT', /not an IDX file: .* 0x3c21444f/)
    fails(
      () => loadIdx(bytes.subarray(0, 3)),
      'ERR_FORMAT',
      /truncated: the magic number ends at byte 4 but it has 3/,
    )
    fails(() => loadIdx(bytes.subarray(0, 9)), 'ERR_FORMAT', /truncated: 3 sizes end at byte 16 but it has 9/)
    fails(
      () => loadIdx(bytes.subarray(0, 39)),
      'ERR_FORMAT',
      /truncated: 2×3×4 ends at byte 40 but it has 39/,
    )
    fails(() => loadIdx(Buffer.concat([bytes, bytes])), 'ERR_FORMAT', /80 bytes but 2×3×4 takes 40/)
    fails(() => loadIdx(gzipSync(bytes).subarray(0, 30)), 'ERR_FORMAT', /damaged gzip file: it is truncated/)
    fails(() => loadIdx(idx([1], [0], 13)), 'ERR_DTYPE', /holds float32/)
    fails(
      () => loadIdx(idx([2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1], [0])),
      'ERR_FORMAT',
      /truncated/,
    )
    fails(() => loadIdx(join(folder, 'nowhere')), 'ERR_IO', /nowhere cannot be read: there is no such file/)
    fails(() => loadIdx(folder), 'ERR_IO', /it is a folder/)
    fails(() => loadIdx(7 as never), 'ERR_ARGUMENT', /expected a path or bytes but received 7/)
  })

  test('no prefix of a file is read past its end', () => {
    const bytes = idx([2, 3, 4], counting(24))
    for (let length = 0; length < bytes.length; length++) {
      expect(errorOf(() => loadIdx(bytes.subarray(0, length))).code).toBe('ERR_FORMAT')
    }
  })
})

describe('MNIST', () => {
  const images = idx([3, 2, 2], counting(12))
  const labels = idx([3], [7, 0, 9])

  test('both parts, by all names in use', () => {
    const path = place({
      'train-images-idx3-ubyte.gz': gzipSync(images),
      'train-labels-idx1-ubyte': labels,
      't10k-images.idx3-ubyte': images,
      't10k-labels.idx1-ubyte': labels,
    })
    for (const part of ['train', 'test'] as const) {
      const data = loadMnist(path, part)
      expect(data).toMatchObject({ length: 3, shape: [1, 2, 2], imageLength: 4 })
      expect(data.classes).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
      expect([...data.labels]).toEqual([7, 0, 9])
      expect([...data.image(1)]).toEqual([4, 5, 6, 7])
    }
    const letters = place({
      'emnist-letters-train-images-idx3-ubyte': images,
      'emnist-letters-train-labels-idx1-ubyte': idx([3], [26, 1, 5]),
    })
    expect(loadMnist(letters).classes.length).toBe(27)
  })

  test('files missing, counts that differ, labels out of range', () => {
    fails(() => loadMnist(place({})), 'ERR_IO', /has no train-images-idx3-ubyte and train-labels-idx1-ubyte/)
    fails(() => loadMnist(place({}), 'test'), 'ERR_IO', /no t10k-images/)
    fails(() => loadMnist(join(folder, 'none')), 'ERR_IO', /none cannot be read/)
    const pair = (a: Uint8Array, b: Uint8Array) =>
      place({ 'train-images-idx3-ubyte': a, 'train-labels-idx1-ubyte': b })
    fails(() => loadMnist(pair(images, idx([2], [1, 2]))), 'ERR_FORMAT', /has 3 images but .* has 2 labels/)
    fails(
      () => loadMnist(pair(labels, labels)),
      'ERR_FORMAT',
      /expected count × height × width but it holds 3/,
    )
    fails(() => loadMnist(pair(images, images)), 'ERR_FORMAT', /expected a row of labels but it holds 3×2×2/)
    fails(() => loadMnist(pair(images, idx([3], [1, 77, 2]))), 'ERR_FORMAT', /label 1 is 77/)
  })

  test('KERNELET_MNIST, and what to do without', () => {
    const path = place({ 'train-images-idx3-ubyte': images, 'train-labels-idx1-ubyte': labels })
    const before = process.env.KERNELET_MNIST
    try {
      process.env.KERNELET_MNIST = path
      expect(loadMnist().length).toBe(3)
      delete process.env.KERNELET_MNIST
      fails(() => loadMnist(), 'ERR_ARGUMENT', /--data, set KERNELET_MNIST, or run kernelet data mnist/)
    } finally {
      if (before !== undefined) process.env.KERNELET_MNIST = before
    }
  })
})

describe('Dataset', () => {
  const data = new Dataset({
    images: Uint8Array.from(counting(200)),
    labels: Array.from({ length: 100 }, (_, i) => (i < 80 ? 0 : 1)),
    shape: [1, 1, 2],
    names: Array.from({ length: 100 }, (_, i) => `n${i}`),
  })

  test('a split takes the share of every class and loses nothing', () => {
    const [rest, part] = data.split(0.1, new Generator(5))
    expect([part.length, rest.length]).toEqual([10, 90])
    expect(part.labels.filter((label) => label === 1).length).toBe(2)
    expect([...rest.names!, ...part.names!].sort()).toEqual([...data.names!].sort())
    const first = Number(part.names![0]!.slice(1))
    expect(part.image(0)).toEqual(data.image(first))
  })

  test('the same seed gives the same split, another seed another', () => {
    const names = (seed: number) => data.split(0.2, new Generator(seed))[1].names
    expect(names(5)).toEqual(names(5))
    expect(names(5)).not.toEqual(names(6))
  })

  test('what does not fit is refused', () => {
    const images = new Uint8Array(4)
    fails(() => new Dataset({ images, labels: [0], shape: [1, 1, 2] }), 'ERR_SHAPE', /1 labels need 2 values/)
    fails(() => new Dataset({ images, labels: [0, -1], shape: [2] }), 'ERR_ARGUMENT', /label 1 .* but is -1/)
    fails(() => new Dataset({ images, labels: [0, 0.5], shape: [2] }), 'ERR_ARGUMENT', /but is 0.5/)
    fails(() => new Dataset({ images, labels: [0, Number.NaN], shape: [2] }), 'ERR_ARGUMENT', /NaN/)
    fails(
      () => new Dataset({ images, labels: [0, 1e9], shape: [2] }),
      'ERR_ARGUMENT',
      /the highest is 1000000000/,
    )
    fails(
      () => new Dataset({ images, labels: [0, 2], shape: [2], classes: ['a', 'b'] }),
      'ERR_ARGUMENT',
      /label 1 must be a class from 0 to 1 but is 2/,
    )
    fails(
      () => new Dataset({ images: [1] as never, labels: [0], shape: [1] }),
      'ERR_ARGUMENT',
      /must be a Uint8Array/,
    )
    fails(() => data.split(1, new Generator(1)), 'ERR_ARGUMENT', /between 0 and 1/)
    fails(() => data.split(0.001, new Generator(1)), 'ERR_ARGUMENT', /leaves one of the two sets empty/)
    fails(() => data.subset([100]), 'ERR_ARGUMENT', /from 0 to 99 but received 100/)
  })
})

describe('folders of pictures', () => {
  const picture = (width: number, height: number, level: number) =>
    encode({ width, height, channels: 1, depth: 8, data: new Uint8Array(width * height).fill(level) })

  test('classes are the folders, in the order of numbers', async () => {
    const path = place({
      '10/a.png': picture(3, 2, 10),
      '9/b.png': picture(3, 2, 9),
      '9/notes.txt': Buffer.from('x'),
    })
    const data = await loadPictures(path, { normalize: false })
    expect(data).toMatchObject({ length: 2, shape: [1, 2, 3], classes: ['9', '10'] })
    expect([...data.labels]).toEqual([0, 1])
    expect([...data.image(1)]).toEqual([10, 10, 10, 10, 10, 10])
    expect(data.names![0]).toBe(join(path, '9', 'b.png'))
    const ordered = await loadPictures(path, { normalize: false, classes: ['10', '9', '8'] })
    expect([...ordered.labels]).toEqual([1, 0])
  })

  test('drawn digits come in the form of MNIST', async () => {
    const three = readFileSync(join(root, 'examples/digits/3-blue-pen-on-yellow-paper.png'))
    const data = await loadPictures(place({ '3/x.png': three }))
    expect(data.shape).toEqual([1, 28, 28])
    expect(Math.max(...data.images)).toBe(255)
    expect(data.images.filter((level) => level > 0).length).toBeGreaterThan(50)
  })

  test('photographs: cut, filled up or stretched to one size, in grey or colour', async () => {
    const path = place({ '1/a.png': picture(6, 3, 51), '2/b.png': picture(3, 3, 102) })
    const crop = await loadPictures(path, { fit: 'crop', size: 2, colour: 'rgb' })
    expect(crop).toMatchObject({ length: 2, shape: [3, 2, 2], classes: ['1', '2'] })
    expect([...crop.image(0), ...crop.image(1)]).toEqual([...Array(12).fill(51), ...Array(12).fill(102)])
    const pad = await loadPictures(path, { fit: 'pad', size: 4 })
    expect([...pad.image(0)]).toEqual([...Array(4).fill(0), ...Array(8).fill(51), ...Array(4).fill(0)])
    for (const options of [
      { fit: 'digit', size: 4 },
      { size: 4 },
      { colour: 'rgb' },
      { fit: 'crop', size: 0 },
    ]) {
      await expect(loadPictures(path, options as object)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    }
    const both = loadPictures(path, { fit: 'crop', normalize: false })
    await expect(both).rejects.toThrow(/normalize and fit do not go together/)
  })

  test('what cannot be used is an error, or left out and told', async () => {
    const path = place({
      '1/blank.png': picture(30, 30, 255),
      '1/text.png': Buffer.from('hello'),
      '2/x.png': picture(9, 9, 0),
    })
    await expect(loadPictures(path)).rejects.toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringMatching(/blank.png: no digit/),
    })
    const skipped: string[] = []
    await expect(
      loadPictures(path, { onSkip: (file, reason) => skipped.push(`${file}: ${reason}`) }),
    ).rejects.toMatchObject({ message: expect.stringMatching(/has no pictures: expected a folder a class/) })
    expect(skipped.length).toBe(3)
    const sizes = place({ '1/a.png': picture(3, 3, 1), '1/b.png': picture(4, 3, 1) })
    await expect(loadPictures(sizes, { normalize: false })).rejects.toThrow(/b.png is 4×3 but .*a.png is 3×3/)
    await expect(loadPictures(sizes, { normalize: false, classes: ['0'] })).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
    })
    await expect(loadPictures(join(folder, 'none'))).rejects.toMatchObject({ code: 'ERR_IO' })
  })
})

describe('tables', () => {
  const table = (text: string): string => {
    const path = join(mkdtempSync(join(folder, 'table-')), 'data.csv')
    writeFileSync(path, text)
    return path
  }

  test('a label and pixels a row, with headings or without, in any of the usual forms', async () => {
    const plain = await loadCsv(table('1,0,51,102,255\n3,1,2,3,4\n'))
    expect(plain).toMatchObject({
      length: 2,
      shape: [1, 2, 2],
      classes: ['0', '1', '2', '3'],
      names: undefined,
    })
    expect([...plain.labels]).toEqual([1, 3])
    expect([...plain.images]).toEqual([0, 51, 102, 255, 1, 2, 3, 4])
    const headed = await loadCsv(table('\uFEFFp0;p1;p2;p3;class\r\n0;0.4;0.6;9;"b; ""c"""\r\n\r\n4;3;2;1;a'))
    expect(headed).toMatchObject({ classes: ['a', 'b; "c"'] })
    expect([...headed.images]).toEqual([0, 0, 1, 9, 4, 3, 2, 1])
    expect([...headed.labels]).toEqual([1, 0])
    const colours = await loadCsv(table('x,1,2,3,4,5,6,7,8,9,10,11,12'), { classes: ['w', 'x'] })
    expect(colours).toMatchObject({ shape: [3, 2, 2], classes: ['w', 'x'] })
    expect([...colours.images]).toEqual([1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12])
  })

  test('a label and a file a row', async () => {
    const three = readFileSync(join(root, 'examples/digits/3-blue-pen-on-yellow-paper.png'))
    for (const text of ['label,file\nthree,x.png', 'x.png,three\nx.png,tree', 'three\tsub/../x.png']) {
      const path = table(text)
      writeFileSync(join(path, '../x.png'), three)
      const data = await loadCsv(path)
      expect(data).toMatchObject({ shape: [1, 28, 28], length: text.includes('tree') ? 2 : 1 })
      expect(data.classes[data.labels[0]!]).toBe('three')
      expect(data.names![0]).toBe(join(path, '../x.png'))
    }
    const skipped: string[] = []
    const path = table('a,x.png\nb,none.png')
    writeFileSync(join(path, '../x.png'), three)
    const data = await loadCsv(path, { onSkip: (file) => skipped.push(file) })
    expect([data.length, skipped]).toEqual([1, [join(path, '../none.png')]])
  })

  test('what does not fit is named by line', async () => {
    const cases: [text: string, code: string, message: RegExp][] = [
      ['', 'ERR_FORMAT', /is empty/],
      ['one\n', 'ERR_FORMAT', /line 1 is "one"/],
      ['label,a,b,c,d\n', 'ERR_FORMAT', /a heading and nothing else/],
      ['1,2,3,4,5,6,7\n', 'ERR_FORMAT', /pixels of a square image, grey or RGB, in a row, but there are 6/],
      ['1,2,3,4,5\n\n1,2,3,4\n', 'ERR_FORMAT', /a label and 4 pixels in line 3/],
      ['1,2,3,4,5\n1,2,256,4,5\n', 'ERR_FORMAT', /levels from 0 to 255, not "256" in line 2/],
      ['1,2,,4,5\n', 'ERR_FORMAT', /levels from 0 to 255, not "" in line 1/],
      [',2,3,4,5\n', 'ERR_FORMAT', /expected a label in line 1/],
      ['a,"b.png\n', 'ERR_FORMAT', /a quote in line 1 is not closed/],
      ['a,x.png\nb\n', 'ERR_FORMAT', /a picture's file and its label in line 2/],
      ['a,none.png\n', 'ERR_IO', /none\.png cannot be read: there is no such file/],
    ]
    for (const [text, code, message] of cases) {
      await expect(loadCsv(table(text))).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message),
      })
    }
    const given = loadCsv(table('1,2,3,4,5\n'), { classes: ['a'] })
    await expect(given).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(loadCsv(table('1,2'), { classes: 'a' } as object)).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
    })
    await expect(loadCsv(7 as never)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(loadCsv(join(folder, 'none.csv'))).rejects.toMatchObject({ code: 'ERR_IO' })
  })
})

describe('download', () => {
  /** What the server gives: by path, or a reason to fail. */
  const served = new Map<string, Uint8Array | number>()
  let server: Server
  let origin: string
  beforeAll(async () => {
    server = createServer((request, response) => {
      const found = served.get(request.url!) ?? 404
      if (typeof found === 'number') response.writeHead(found).end('not here')
      else response.writeHead(200, { 'content-length': found.length }).end(found)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => new Promise((resolve) => server.close(resolve)))

  const mnist = process.env.KERNELET_MNIST ?? join(root, '../shared/data/mnist')

  test.skipIf(!existsSync(mnist))(
    'the real files: written, kept the next time, replaced when damaged',
    async () => {
      const names = ['train-images-idx3', 'train-labels-idx1', 't10k-images-idx3', 't10k-labels-idx1']
      for (const name of names)
        served.set(`/m/${name}-ubyte.gz`, readFileSync(join(mnist, `${name}-ubyte.gz`)))
      const target = join(folder, 'down')
      const states: string[] = []
      const get = () =>
        downloadMnist({
          folder: target,
          mirror: `${origin}/m`,
          onProgress: ({ file, state }) => state !== 'receiving' && states.push(`${file} ${state}`),
        })
      expect(await get()).toBe(target)
      expect(states).toEqual(names.map((name) => `${name}-ubyte.gz done`))
      expect(readdirSync(target).sort()).toEqual(names.map((name) => `${name}-ubyte.gz`).sort())
      expect(loadMnist(target, 'test').length).toBe(10_000)
      writeFileSync(join(target, 't10k-labels-idx1-ubyte.gz'), 'damaged')
      states.length = 0
      await get()
      expect(states).toEqual(names.map((name, i) => `${name}-ubyte.gz ${i === 3 ? 'done' : 'kept'}`))
    },
  )

  test('other contents, other answers: nothing is left behind', async () => {
    const target = join(folder, 'bad')
    served.set('/x/train-images-idx3-ubyte.gz', gzipSync(idx([1, 2, 2], [1, 2, 3, 4])))
    await expect(downloadMnist({ folder: target, mirror: `${origin}/x/` })).rejects.toMatchObject({
      code: 'ERR_IO',
      message: expect.stringMatching(/train-images-idx3-ubyte.gz could not be downloaded.*SHA-256/),
    })
    served.set('/x/train-images-idx3-ubyte.gz', Buffer.from([0x1f, 0x8b, 8, 0, 0]))
    await expect(downloadMnist({ folder: target, mirror: `${origin}/x/` })).rejects.toThrow(/damaged gzip/)
    await expect(downloadMnist({ folder: target, mirror: `${origin}/y` })).rejects.toThrow(
      /\/y\/: 404 Not Found/,
    )
    expect(readdirSync(target)).toEqual([])
    await expect(downloadMnist({ folder: target, mirror: 'http://127.0.0.1:1/' })).rejects.toMatchObject({
      code: 'ERR_IO',
    })
    await expect(downloadMnist({ mirror: 'ftp://x' })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
  })
})
