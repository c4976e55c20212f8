/**
 * Writes pictures of signs drawn by one hand, for a classifier of your own: SHAPES/circle, SHAPES/cross and
 * SHAPES/triangle with some pictures each, and new.png beside the folder, a cross that is in none of them. The same
 * pictures every time.
 *
 *     node scripts/write-shapes.mjs FOLDER [PICTURES OF EACH]
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { encode } from 'fast-png'
import { generator } from './digits/pen.mjs'
import { MANNER, write } from './digits/write.mjs'

const [folder = 'shapes', count = '20'] = process.argv.slice(2)
const around = Array.from({ length: 17 }, (_, i) => (2 * Math.PI * i) / 16)
const shapes = {
  circle: [around.flatMap((angle) => [0.45 + 0.45 * Math.cos(angle), 0.5 + 0.5 * Math.sin(angle)])],
  cross: [
    [0, 0, 0.9, 1],
    [0.9, 0, 0, 1],
  ],
  triangle: [
    [0.45, 0, 0.9, 1],
    [0.9, 1, 0, 1],
    [0, 1, 0.45, 0],
  ],
}
const manner = { ...MANNER, pen: [0.05, 0.12] }

function picture(shape, seed) {
  const { coverage, size } = write(shapes[shape], 60, manner, generator(seed))
  const data = Uint8Array.from(coverage, (c) => 250 - 215 * c)
  return encode({ width: size, height: size, channels: 1, data })
}

for (const shape of Object.keys(shapes)) {
  mkdirSync(join(folder, shape), { recursive: true })
  for (let k = 1; k <= Number(count); k++) {
    writeFileSync(join(folder, shape, `${k}.png`), picture(shape, `${shape} ${k}`))
  }
}
writeFileSync(join(dirname(folder), 'new.png'), picture('cross', 'new'))
