/** A digit written by a hand: its shape, shaken, leant and stretched, with a pen of some width. */
import { curve, stamp } from './pen.mjs'

/**
 * How a hand varies what it writes. Lengths in terms of the digit's height, angles in degrees; pairs are ranges
 * to draw from.
 */
export const MANNER = {
  shake: [0.01, 0.035],
  slant: [-0.15, 0.4],
  turn: [-7, 7],
  width: [0.7, 1.25],
  pen: [0.045, 0.2],
  pressure: [0, 0.25],
}

/**
 * Coverage (0 to 1 a pixel) of a digit `tall` pixels high in a square picture with a margin around it.
 *
 * @param strokes of one shape of hands.mjs
 * @param random numbers from 0 to 1
 */
export function write(strokes, tall, manner, random) {
  const between = ([low, high]) => low + (high - low) * random()
  const shake = between(manner.shake)
  const slant = between(manner.slant)
  const width = between(manner.width)
  const pen = between(manner.pen) * tall
  const pressure = between(manner.pressure)
  const angle = (between(manner.turn) * Math.PI) / 180
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
  const lines = strokes.map((stroke) => {
    const points = []
    for (let k = 0; k < stroke.length; k += 2) {
      // Two numbers less one are the likelier the smaller.
      const x = (stroke[k] - 0.45 + (random() + random() - 1) * 2 * shake) * width
      const y = stroke[k + 1] - 0.5 + (random() + random() - 1) * 2 * shake
      const leant = x - slant * y
      points.push([tall * (cos * leant - sin * y), tall * (sin * leant + cos * y)])
    }
    return curve(points)
  })
  const xs = lines.flat().map(([x]) => x)
  const ys = lines.flat().map(([, y]) => y)
  const margin = pen + 3
  const [left, top] = [Math.min(...xs) - margin, Math.min(...ys) - margin]
  const size = Math.ceil(Math.max(Math.max(...xs) - left, Math.max(...ys) - top) + margin)
  const coverage = new Float32Array(size * size)
  for (const line of lines) {
    const phase = random() * Math.PI * 2
    for (let k = 1; k < line.length; k++) {
      const radius = (pen / 2) * (1 + pressure * Math.sin(phase + (5 * k) / line.length))
      const [a, b] = [line[k - 1], line[k]].map(([x, y]) => [x - left, y - top])
      stamp(coverage, size, size, a, b, radius)
    }
  }
  return { coverage, size }
}
