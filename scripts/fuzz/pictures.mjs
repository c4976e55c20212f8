/** Pixels of any size and content to the digit classifier. */
import { Random } from './random.mjs'

export const extension = 'json'

export function prepare(kernelet) {
  return { kernelet, classifier: kernelet.DigitClassifier.load() }
}

export function make(_state, random) {
  const side = () =>
    random.pick([1, 2, 3, random.between(1, 40), random.between(1, 200), random.oneIn(50) ? 3000 : 28])
  return Buffer.from(
    JSON.stringify({
      width: side(),
      height: side(),
      channels: random.between(1, 4),
      kind: random.below(6),
      seed: random.bits(),
    }),
  )
}

export function read({ classifier }, bytes) {
  const { width, height, channels, kind, seed } = JSON.parse(Buffer.from(bytes).toString())
  const data = paint(new Random(seed), width, height, channels, kind)
  const result = classifier.classify({ data, width, height, channels })
  const { status, digit, confidence, probabilities, boxes } = result
  if (status !== 'digit') {
    if (digit !== null || confidence !== 0) throw new Error(`${status} but ${digit} with ${confidence}`)
  } else {
    const sum = probabilities.reduce((all, one) => all + one, 0)
    if (!(digit >= 0 && digit <= 9) || !(Math.abs(sum - 1) < 1e-4) || !(confidence > 0)) {
      throw new Error(`digit ${digit}, confidence ${confidence}, probabilities ${[...probabilities]}`)
    }
  }
  for (const { x, y, width: w, height: h } of boxes) {
    if (!(x >= 0 && y >= 0 && w >= 1 && h >= 1 && x + w <= width && y + h <= height)) {
      throw new Error(`a box ${JSON.stringify({ x, y, w, h })} in ${width}×${height}`)
    }
  }
}

/** Noise, stripes, a few strokes, specks, one colour, a gradient. */
function paint(random, width, height, channels, kind) {
  const data = new Uint8Array(width * height * channels)
  const [paper, ink] = [random.below(256), random.below(256)]
  data.fill(paper)
  const dot = (x, y) => {
    const at = (Math.floor(y) * width + Math.floor(x)) * channels
    if (x >= 0 && y >= 0 && x < width && y < height) data.fill(ink, at, at + channels)
  }
  if (kind === 0) for (let i = 0; i < data.length; i++) data[i] = random.below(256)
  if (kind === 1)
    for (let i = 0; i < data.length; i++) data[i] = Math.floor(i / channels) % 5 < 2 ? ink : paper
  if (kind === 2) {
    for (let left = random.between(1, 5); left > 0; left--) {
      let [x, y] = [random.below(width), random.below(height)]
      const [dx, dy] = [random.number(), random.number()]
      for (let i = 0; i < width + height; i++, x += dx, y += dy) for (const d of [0, 1, 2]) dot(x + d, y)
    }
  }
  if (kind === 3) for (let i = 0; i < 30; i++) dot(random.below(width), random.below(height))
  if (kind === 5) for (let i = 0; i < data.length; i++) data[i] = (i * 7) / data.length + (i % width)
  return data
}
