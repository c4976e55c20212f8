/** The shipped model on digits of a hand it was not trained on: no image of anyone's is needed for it. */
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { DigitClassifier, type Pixels } from '../lib/index.ts'
import { root } from './helpers.ts'

type Random = () => number
type Strokes = readonly (readonly number[])[]
const { SHAPES, WRITTEN } = (await import(join(root, 'scripts/digits/pictures.mjs'))) as {
  SHAPES: readonly [digit: number, name: string, strokes: Strokes][]
  WRITTEN: Record<string, (strokes: Strokes, random: Random) => Pixels>
}
const { generator } = (await import(join(root, 'scripts/digits/pen.mjs'))) as {
  generator(seed: string): Random
}

const classifier = DigitClassifier.load()
afterAll(() => classifier.dispose())

/** Of `each` digits of every shape and pen, those read rightly. */
function read(shapes: typeof SHAPES, each: number): { right: number; all: number; misread: string[] } {
  const misread: string[] = []
  let all = 0
  for (const [digit, name, strokes] of shapes) {
    for (const [pen, write] of Object.entries(WRITTEN)) {
      for (let k = 0; k < each; k++, all++) {
        const found = classifier.classify(write(strokes, generator(`${digit} ${name} ${pen} ${k}`)))
        if (found.digit !== digit) misread.push(`${name} ${digit} by ${pen}: ${found.digit ?? found.status}`)
      }
    }
  }
  return { right: all - misread.length, all, misread }
}

test('shapes that are rare in MNIST: open and Swiss 4s, crossed 7s, 1s with a flag or a foot', () => {
  const rare = ['open', 'cup', 'swiss', 'crossed', 'serif_crossed', 'flag', 'roof', 'foot']
  const { right, all, misread } = read(
    SHAPES.filter(([digit, name]) => [1, 4, 7].includes(digit) && rare.includes(name)),
    10,
  )
  console.log(`${right} of ${all}; ${misread.join(', ')}`)
  expect(right).toBeGreaterThanOrEqual(0.97 * all)
})

test('every digit, by ball pen, marker, on photos and tablets', () => {
  const { right, all, misread } = read(SHAPES, 5)
  console.log(`${right} of ${all}; ${misread.join(', ')}`)
  expect(right).toBeGreaterThanOrEqual(0.98 * all)
})
