/** PNG: chunks and rows are changed before checksums and compression are made right again. */
import { crc32, deflateSync } from 'node:zlib'
import { integer, joined, mutateBytes, mutateList } from './mutate.mjs'

export const extension = 'png'

const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)
const channelsOf = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }

export function prepare(kernelet) {
  const pictures = []
  for (const [colour, depths] of [
    [0, [1, 2, 4, 8, 16]],
    [2, [8, 16]],
    [3, [1, 2, 4, 8]],
    [4, [8, 16]],
    [6, [8, 16]],
  ]) {
    for (const depth of depths) {
      for (const interlaced of depth < 8 ? [0] : [0, 1]) {
        pictures.push(picture(9, 7, depth, colour, interlaced), picture(1, 1, depth, colour, interlaced))
      }
    }
  }
  const digit = picture(28, 28, 8, 0, 0)
  for (let y = 4; y < 24; y++) digit.rows.fill(255, 29 * y + 13, 29 * y + 17)
  pictures.push(digit)
  const classifier = kernelet.DigitClassifier.load()
  return { kernelet, classifier, pictures, seeds: pictures.map((one) => encode(one)) }
}

/** A picture before it is encoded. */
function picture(width, height, depth, colour, interlaced) {
  const rowBytes = (columns) =>
    columns === 0 ? 0 : 1 + Math.ceil((columns * depth * channelsOf[colour]) / 8)
  const passes = interlaced ? adam7 : [[0, 0, 1, 1]]
  const size = passes.reduce((sum, [x, y, dx, dy]) => {
    const [columns, rows] = [Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)]
    return sum + Math.max(0, rows) * rowBytes(Math.max(0, columns))
  }, 0)
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([depth, colour, 0, 0, interlaced], 8)
  const extra = []
  if (colour === 3) extra.push(['PLTE', Uint8Array.from({ length: 3 * 2 ** depth }, (_, i) => i)])
  if (colour === 0) extra.push(['tRNS', Uint8Array.of(0, 1)])
  return { header, extra, rows: new Uint8Array(size) }
}

const adam7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
]

function encode({ header, extra, rows }) {
  return assemble([
    ['IHDR', header],
    ...extra,
    ['IDAT', deflateSync(rows, { level: 1 })],
    ['IEND', new Uint8Array(0)],
  ])
}

function assemble(chunks) {
  return joined(signature, ...chunks.map(([type, content]) => chunk(type, content)))
}

function chunk(type, content) {
  const out = Buffer.alloc(12 + content.length)
  out.writeUInt32BE(content.length)
  out.write(type, 4, 'latin1')
  out.set(content, 8)
  out.writeUInt32BE(crc32(out.subarray(4, 8 + content.length)), 8 + content.length)
  return out
}

export function make({ pictures, seeds }, random) {
  if (random.oneIn(4)) return mutateBytes(random, random.pick(seeds), seeds)
  const { header, extra, rows } = random.pick(pictures)
  const changed = Buffer.from(header)
  if (random.oneIn(2)) changeHeader(random, changed)
  const content = random.oneIn(2) ? mutateBytes(random, rows, [rows]) : filters(random, rows)
  const packed = deflateSync(content, { level: 1 })
  let chunks = [
    ['IHDR', changed],
    ...extra.map(([type, bytes]) => [type, random.oneIn(3) ? mutateBytes(random, bytes, [bytes]) : bytes]),
    ['IDAT', random.oneIn(6) ? mutateBytes(random, packed, [packed]) : packed],
    ['IEND', new Uint8Array(0)],
  ]
  if (random.oneIn(3)) chunks = mutateList(random, chunks, others)
  return assemble(chunks)
}

const others = ['PLTE', 'tRNS', 'IDAT', 'IHDR', 'IEND', 'iCCP', 'zTXt', 'gAMA', 'acTL'].map((type) => [
  type,
  Uint8Array.of(1, 2, 3, 0, 0, 9),
])

function changeHeader(random, header) {
  switch (random.below(4)) {
    case 0:
      header.writeUInt32BE(integer(random) >>> 0, random.pick([0, 4]))
      break
    case 1:
      header.writeUInt32BE(random.below(40), random.pick([0, 4]))
      break
    case 2:
      header[8] = random.pick([0, 1, 2, 3, 4, 8, 16, 32, 255])
      header[9] = random.below(8)
      break
    default:
      header[random.between(8, 12)] = random.below(4)
  }
}

/** Rows of random samples with random filters. */
function filters(random, rows) {
  return Uint8Array.from(rows, () => (random.oneIn(2) ? random.below(6) : random.below(256)))
}

export function read({ kernelet, classifier }, bytes) {
  classifier.classify(kernelet.decodePicture(bytes))
}
