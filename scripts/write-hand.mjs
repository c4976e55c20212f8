/**
 * Writes pictures as one hand would, for examples/fine-tune.js: a folder a digit with some pictures of it, in
 * shapes that are rare in MNIST. The same pictures every time.
 *
 *     node scripts/write-hand.mjs FOLDER [PICTURES OF EACH]
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encode } from 'fast-png'
import { HANDS } from './digits/hands.mjs'
import { generator } from './digits/pen.mjs'
import { MANNER, write } from './digits/write.mjs'

const [folder = 'hand', count = '20'] = process.argv.slice(2)

/** Shapes of the writer's where the first one known is not it: a continental hand. */
const usual = { 1: 'roof', 4: 'swiss', 7: 'crossed' }

/** One writer: always the same shapes, the same pen, a lean that hardly varies. */
const manner = { ...MANNER, slant: [0.15, 0.35], pen: [0.06, 0.1] }

for (const [digit, shapes] of Object.entries(HANDS.second)) {
  const strokes = shapes[usual[digit]] ?? Object.values(shapes)[0]
  mkdirSync(join(folder, digit), { recursive: true })
  for (let k = 0; k < Number(count); k++) {
    const { coverage, size } = write(strokes, 90, manner, generator(`${digit} ${k}`))
    const data = Uint8Array.from(coverage, (c) => 250 - 215 * c)
    const png = encode({ width: size, height: size, channels: 1, data })
    writeFileSync(join(folder, digit, `${String(k).padStart(2, '0')}.png`), png)
  }
}
