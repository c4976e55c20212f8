/**
 * How well pictures of digits are read that are not MNIST's: its validation digits drawn again, as scans, photos,
 * bitmaps and on forms, and digits of a hand that was not trained on. What the shipped model's card reports.
 *
 *     npm run build && node scripts/measure-handwriting.mjs --data DIR [--weights FILE] [--count 1000] [--sheet FOLDER]
 *
 * `--sheet` writes a picture a kind: what was classified, and beside it what the network saw.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { encode } from 'fast-png'
import { DigitClassifier, Generator, loadMnist, normalizeDigit } from '../dist/index.js'
import { generator } from './digits/pen.mjs'
import { REDRAWN, SHAPES, WRITTEN } from './digits/pictures.mjs'

const { values: options } = parseArgs({
  options: {
    data: { type: 'string' },
    weights: { type: 'string' },
    count: { type: 'string', default: '1000' },
    kind: { type: 'string', multiple: true },
    sheet: { type: 'string' },
  },
})
const count = Number(options.count)
const digits = DigitClassifier.load({ weights: options.weights })
// As scripts/train-shipped.mjs splits with its default seed.
const [, validation] = loadMnist(options.data).split(1 / 12, new Generator(1))

const totals = { redrawn: [0, 0], written: [0, 0] }
for (const [name, way] of Object.entries(REDRAWN)) {
  measure('redrawn', name, (k) => {
    const i = (k * 7) % validation.length
    const picture = way(
      Float32Array.from(validation.image(i), (v) => v / 255),
      generator(`${name} ${i}`),
    )
    return { label: validation.labels[i], picture }
  })
}
for (const [name, way] of Object.entries(WRITTEN)) {
  measure('written', name, (k) => {
    const [label, , strokes] = SHAPES[k % SHAPES.length]
    return { label, picture: way(strokes, generator(`${name} ${k}`)) }
  })
}
for (const [source, [right, all]] of Object.entries(totals)) {
  if (all > 0) console.log(`${source}, all kinds: ${((100 * right) / all).toFixed(2)} %`)
}

function measure(source, name, make) {
  if (options.kind && !options.kind.includes(name)) return
  const misread = new Map()
  const shown = []
  let right = 0
  for (let k = 0; k < count; k++) {
    const { label, picture } = make(k)
    const { digit, status } = digits.classify(picture)
    if (digit === label) right++
    else misread.set(`${label}→${digit ?? status}`, (misread.get(`${label}→${digit ?? status}`) ?? 0) + 1)
    if (options.sheet && shown.length < 96) shown.push(picture)
  }
  totals[source][0] += right
  totals[source][1] += count
  const worst = [...misread].sort(([, a], [, b]) => b - a).slice(0, 5)
  const list = worst.map(([what, n]) => `${what} ${n}×`).join(', ')
  console.log(`${source}  ${name.padEnd(24)} ${((100 * right) / count).toFixed(1).padStart(5)} %   ${list}`)
  if (options.sheet) sheet(name, shown)
}

/** Pictures in rows of eight, each with its 28×28 form beside it, as a PNG. */
function sheet(name, pictures) {
  const [cell, columns] = [64, 16]
  const rows = Math.ceil((2 * pictures.length) / columns)
  const data = new Uint8Array(columns * cell * rows * cell).fill(128)
  const put = (k, { data: from, width, height, channels = 1 }) => {
    const scale = Math.max(width, height) / cell
    for (let y = 0; y < Math.min(cell, Math.floor(height / scale)); y++) {
      for (let x = 0; x < Math.min(cell, Math.floor(width / scale)); x++) {
        const to = (Math.floor(k / columns) * cell + y) * columns * cell + (k % columns) * cell + x
        data[to] = from[(Math.floor(y * scale) * width + Math.floor(x * scale)) * channels]
      }
    }
  }
  pictures.forEach((picture, i) => {
    put(2 * i, picture)
    const { image } = normalizeDigit(picture)
    if (image) put(2 * i + 1, { data: image.map((v) => 255 * v), width: 28, height: 28 })
  })
  mkdirSync(options.sheet, { recursive: true })
  const file = join(options.sheet, `${name.replaceAll(/[^a-z0-9]+/gi, '-')}.png`)
  writeFileSync(file, encode({ width: columns * cell, height: rows * cell, channels: 1, data }))
}
