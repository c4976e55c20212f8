/**
 * Draws the pictures of examples/digits: strokes of our own, given as points on curves, with a pen of some width
 * and a hand that shakes a little. The same pictures every time.
 *
 *     node scripts/draw-digits.mjs [FOLDER]
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encode } from 'fast-png'
import { curve, generator, spaced, stamp } from './digits/pen.mjs'
import { root } from './util.mjs'

/**
 * Strokes of each digit: points that a smooth curve passes through, x to the right and y down, in terms of the
 * digit's height. Every stroke begins anew, so that corners stay corners.
 */
const STROKES = {
  0: [
    [
      0.5, 0.02, 0.24, 0.13, 0.09, 0.44, 0.16, 0.8, 0.4, 0.98, 0.66, 0.86, 0.79, 0.52, 0.71, 0.17, 0.49, 0.03,
      0.4, 0.05,
    ],
  ],
  1: [[0.53, 0.02, 0.51, 0.5, 0.47, 0.98]],
  2: [
    [0.13, 0.25, 0.23, 0.08, 0.46, 0.01, 0.69, 0.11, 0.72, 0.33, 0.53, 0.61, 0.27, 0.84, 0.1, 0.96],
    [0.1, 0.96, 0.35, 0.91, 0.6, 0.93, 0.83, 0.97],
  ],
  3: [
    [0.14, 0.13, 0.36, 0.01, 0.64, 0.06, 0.7, 0.23, 0.58, 0.4, 0.36, 0.47],
    [0.36, 0.47, 0.64, 0.52, 0.77, 0.71, 0.67, 0.9, 0.42, 0.99, 0.12, 0.9],
  ],
  4: [
    [0.46, 0.02, 0.3, 0.3, 0.1, 0.63],
    [0.1, 0.63, 0.4, 0.61, 0.82, 0.58],
    [0.63, 0.34, 0.59, 0.66, 0.55, 0.99],
  ],
  5: [
    [0.25, 0.06, 0.22, 0.24, 0.19, 0.44],
    [0.19, 0.44, 0.43, 0.37, 0.68, 0.47, 0.76, 0.69, 0.62, 0.9, 0.36, 0.99, 0.1, 0.92],
    [0.25, 0.05, 0.48, 0.06, 0.76, 0.02],
  ],
  6: [
    [
      0.62, 0.02, 0.38, 0.18, 0.18, 0.46, 0.12, 0.74, 0.28, 0.96, 0.54, 0.98, 0.72, 0.82, 0.68, 0.62, 0.46,
      0.54, 0.25, 0.63, 0.14, 0.77,
    ],
  ],
  7: [
    [0.1, 0.07, 0.4, 0.05, 0.78, 0.03],
    [0.78, 0.03, 0.6, 0.36, 0.45, 0.68, 0.37, 0.99],
  ],
  8: [
    [
      0.63, 0.16, 0.43, 0.02, 0.21, 0.13, 0.26, 0.33, 0.5, 0.48, 0.72, 0.67, 0.68, 0.9, 0.42, 0.99, 0.17,
      0.88, 0.19, 0.66, 0.44, 0.48, 0.66, 0.31, 0.64, 0.13,
    ],
  ],
  9: [
    [0.7, 0.19, 0.48, 0.03, 0.22, 0.12, 0.14, 0.34, 0.3, 0.51, 0.53, 0.45, 0.7, 0.2],
    [0.7, 0.19, 0.68, 0.52, 0.6, 0.8, 0.5, 0.99],
  ],
}

const WHITE = [255, 255, 255]

/**
 * What is drawn. `height` is the digit's, `pen` the width of the pen and `x`, `y` the upper left corner of the
 * digit, all in pixels; `slant` leans it to the right; `paper` may be a function of the place (0 to 1 each way).
 */
const PICTURES = {
  '0-thick-marker': {
    digit: 0,
    size: [220, 240],
    height: 150,
    pen: 26,
    x: 48,
    y: 44,
    ink: [20, 20, 24],
    paper: WHITE,
  },
  '1-pencil': {
    digit: 1,
    size: [160, 200],
    height: 120,
    pen: 6,
    x: 36,
    y: 38,
    slant: 0.12,
    ink: [120, 120, 124],
    paper: [250, 249, 246],
  },
  '2-chalk-on-blackboard': {
    digit: 2,
    size: [240, 240],
    height: 150,
    pen: 13,
    x: 56,
    y: 44,
    ink: [232, 234, 226],
    paper: [38, 62, 52],
  },
  '3-blue-pen-on-yellow-paper': {
    digit: 3,
    size: [260, 220],
    height: 120,
    pen: 8,
    x: 80,
    y: 46,
    slant: 0.1,
    ink: [32, 52, 150],
    paper: [250, 226, 120],
  },
  '4-off-centre': {
    digit: 4,
    size: [320, 240],
    height: 84,
    pen: 8,
    x: 216,
    y: 138,
    ink: [30, 30, 40],
    paper: WHITE,
  },
  '5-detached-bar': {
    digit: 5,
    size: [200, 220],
    height: 140,
    pen: 11,
    x: 44,
    y: 40,
    lift: [0, 0, 0.09],
    ink: [24, 24, 60],
    paper: [244, 244, 244],
  },
  '6-transparent-background': {
    digit: 6,
    size: [180, 200],
    height: 140,
    pen: 12,
    x: 40,
    y: 30,
    ink: [110, 30, 40],
    paper: null,
  },
  '7-large-1600x1200': {
    digit: 7,
    size: [1600, 1200],
    height: 820,
    pen: 64,
    x: 460,
    y: 180,
    ink: [16, 40, 90],
    paper: [252, 252, 250],
  },
  '8-tiny-16x16': {
    digit: 8,
    size: [16, 16],
    height: 11,
    pen: 1.7,
    x: 3.2,
    y: 2.4,
    ink: [0, 0, 0],
    paper: WHITE,
  },
  '9-uneven-light': {
    digit: 9,
    size: [240, 240],
    height: 140,
    pen: 11,
    x: 66,
    y: 50,
    ink: [40, 40, 52],
    // A lamp at the upper left.
    paper: (u, v) => [1, 0.97, 0.9].map((tint) => 245 * tint * (1 - (0.62 * Math.hypot(u, v)) / Math.SQRT2)),
  },
  '0-light-on-dark': {
    digit: 0,
    size: [28, 28],
    height: 19,
    pen: 2.6,
    x: 5.5,
    y: 4.5,
    slant: 0.15,
    ink: WHITE,
    paper: [0, 0, 0],
  },
  '2-thin-pen-on-a-page': {
    digit: 2,
    size: [900, 1100],
    height: 330,
    pen: 13,
    x: 120,
    y: 620,
    slant: 0.15,
    ink: [30, 30, 120],
    paper: WHITE,
  },
  '3-tiny-20x20': {
    digit: 3,
    size: [20, 20],
    height: 15,
    pen: 2,
    x: 4,
    y: 2.5,
    ink: [40, 40, 40],
    paper: [240, 240, 240],
  },
  '5-dotted-pen': {
    digit: 5,
    size: [220, 240],
    height: 160,
    pen: 10,
    x: 50,
    y: 40,
    dots: 15,
    ink: [20, 90, 60],
    paper: [240, 246, 240],
  },
  '7-red-pen-on-grey-paper': {
    digit: 7,
    size: [200, 200],
    height: 110,
    pen: 9,
    x: 52,
    y: 44,
    slant: 0.06,
    ink: [190, 36, 40],
    paper: [196, 194, 188],
  },
  '9-white-on-transparent': {
    digit: 9,
    size: [160, 180],
    height: 120,
    pen: 12,
    x: 36,
    y: 28,
    slant: 0.1,
    ink: WHITE,
    paper: null,
  },
}

const folder = process.argv[2] ?? join(root, 'examples/digits')
mkdirSync(folder, { recursive: true })
for (const [name, picture] of Object.entries(PICTURES)) {
  writeFileSync(join(folder, `${name}.png`), draw(name, picture))
}

/** One picture, as the bytes of a PNG. */
function draw(
  name,
  { digit, size: [width, height], height: tall, pen, x, y, slant = 0, lift = [], dots = 0, ink, paper },
) {
  const random = generator(name)
  const coverage = new Float32Array(width * height)
  STROKES[digit].forEach((stroke, i) => {
    // The hand: every point a little off, the pen pressed a little more here than there.
    const points = []
    for (let k = 0; k < stroke.length; k += 2) {
      const across = stroke[k] + (random() - 0.5) * 0.025
      const down = stroke[k + 1] + (random() - 0.5) * 0.025 - (lift[i] ?? 0)
      points.push([x + tall * (across + slant * (1 - down)), y + tall * down])
    }
    const pressure = random() * Math.PI * 2
    const line = curve(points)
    if (dots > 0)
      for (const point of spaced(line, dots)) stamp(coverage, width, height, point, point, pen / 2)
    else {
      for (let k = 1; k < line.length; k++) {
        const radius = (pen / 2) * (1 + 0.12 * Math.sin(pressure + (5 * k) / line.length))
        stamp(coverage, width, height, line[k - 1], line[k], radius)
      }
    }
  })
  const channels = paper === null ? 4 : 3
  const data = new Uint8Array(width * height * channels)
  for (let i = 0; i < coverage.length; i++) {
    const c = coverage[i]
    if (paper === null) data.set([...ink, 255 * c], i * 4)
    else {
      const ground =
        typeof paper === 'function' ? paper((i % width) / width, Math.floor(i / width) / height) : paper
      data.set(
        ground.map((level, k) => Math.round(level + (ink[k] - level) * c)),
        i * 3,
      )
    }
  }
  return encode({ width, height, channels, data }, { zlib: { level: 9 } })
}
