/** What the shipped model is trained on besides MNIST: digits of our own hand, for the shapes MNIST hardly has. */
import { Dataset, normalizeDigit } from '../../dist/index.js'
import { HANDS } from './hands.mjs'
import { generator } from './pen.mjs'
import { MANNER, write } from './write.mjs'

/** `count` digits of the first hand, each shape of a digit as often as the others, in MNIST's form. */
export function writtenDigits(count, seed) {
  const images = []
  const labels = []
  for (let k = 0; labels.length < count; k++) {
    const random = generator(`${seed} ${k}`)
    const digit = k % 10
    const shapes = Object.values(HANDS.first[digit])
    const { coverage, size } = write(shapes[Math.floor(random() * shapes.length)], 64, MANNER, random)
    const data = Uint8Array.from(coverage, (c) => 255 * c)
    const { image } = normalizeDigit({ data, width: size, height: size, channels: 1 })
    if (image === null) continue
    for (const v of image) images.push(Math.round(255 * v))
    labels.push(digit)
  }
  return new Dataset({ images: Uint8Array.from(images), labels, shape: [1, 28, 28] })
}

/** Two sets of the same form, one after the other. */
export function together(a, b) {
  const images = new Uint8Array(a.images.length + b.images.length)
  images.set(a.images)
  images.set(b.images, a.images.length)
  return new Dataset({ images, labels: [...a.labels, ...b.labels], shape: a.shape })
}
