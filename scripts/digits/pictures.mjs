/**
 * Pictures of digits as cameras, scanners, tablets and old data sets make them: for measuring how well real
 * handwriting would be read. Nothing here is used in training.
 */
import { HANDS } from './hands.mjs'
import { MANNER, write } from './write.mjs'

const between = (random, low, high) => low + (high - low) * random()
const clamp = (v, low, high) => Math.min(high, Math.max(low, v))

/** The four weights of a cubic through points 1 apart (Catmull-Rom), `t` after the second. */
function cubic(t) {
  return [
    ((2 - t) * t - 1) * t * 0.5,
    ((3 * t - 5) * t * t + 2) * 0.5,
    ((4 - 3 * t) * t + 1) * t * 0.5,
    (t - 1) * t * t * 0.5,
  ]
}

/** Level (0 to 1) of a `size` × `size` image between its pixels; 0 outside. */
function sample(image, size, x, y) {
  const [left, top] = [Math.floor(x), Math.floor(y)]
  if (left < -1 || top < -1 || left > size || top > size) return 0
  const [across, down] = [cubic(x - left), cubic(y - top)]
  let sum = 0
  for (let j = 0; j < 4; j++) {
    const row = top + j - 1
    if (row < 0 || row >= size) continue
    for (let i = 0; i < 4; i++) {
      const column = left + i - 1
      if (column >= 0 && column < size) sum += down[j] * across[i] * image[row * size + column]
    }
  }
  return clamp(sum, 0, 1)
}

/** Smooth noise from -1 to 1, of waves `scale` long. */
function field(random, scale) {
  const waves = Array.from({ length: 5 }, () => {
    const angle = random() * 2 * Math.PI
    const k = (2 * Math.PI) / (scale * between(random, 0.7, 1.6))
    return [Math.cos(angle) * k, Math.sin(angle) * k, random() * 2 * Math.PI]
  })
  return (x, y) => waves.reduce((sum, [a, b, phase]) => sum + Math.sin(a * x + b * y + phase), 0) / 3
}

/**
 * A 28×28 digit drawn again, `tall` pixels for its 20: `threshold` tells how thick (low) or thin (high) the
 * strokes come out, `map` where a place of the picture comes from, both in pixels of the picture about its middle.
 *
 * @returns coverage, 0 to 1
 */
export function redraw(image, { tall, threshold, width, height, map = (x, y) => [x, y] }) {
  const scale = 20 / tall
  const coverage = new Float32Array(width * height)
  // The edge of a stroke is a pixel soft, in the picture's pixels.
  const gain = 3.2 / Math.min(1.6, 1.6 * scale)
  let [mx, my, mass] = [0, 0, 1e-9]
  for (let i = 0; i < 784; i++) {
    mass += image[i]
    mx += image[i] * (i % 28)
    my += image[i] * Math.floor(i / 28)
  }
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [u, v] = map(x + 0.5 - width / 2, y + 0.5 - height / 2)
      const level = sample(image, 28, mx / mass + u * scale, my / mass + v * scale)
      coverage[y * width + x] = clamp(0.5 + (level - threshold) * gain, 0, 1)
    }
  }
  return { coverage, width, height }
}

/** Ink on paper, grey. Levels from 0 to 255. */
function print({ coverage, width, height }, ink, paper) {
  const level = typeof paper === 'function' ? paper : () => paper
  const data = new Float32Array(width * height)
  for (let i = 0; i < data.length; i++) {
    const ground = level(i % width, Math.floor(i / width))
    data[i] = ground + (ink - ground) * coverage[i]
  }
  return { data, width, height }
}

function blur({ data, width, height }, sigma) {
  const reach = Math.ceil(2.5 * sigma)
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) =>
    Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)),
  )
  const pass = (from, dx, dy) => {
    const to = new Float32Array(from.length)
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        let [sum, all] = [0, 0]
        for (let k = -reach; k <= reach; k++) {
          const [u, v] = [clamp(x + dx * k, 0, width - 1), clamp(y + dy * k, 0, height - 1)]
          sum += weights[k + reach] * from[v * width + u]
          all += weights[k + reach]
        }
        to[y * width + x] = sum / all
      }
    }
    return to
  }
  return { data: pass(pass(data, 1, 0), 0, 1), width, height }
}

function grain(picture, deviation, random) {
  for (let i = 0; i < picture.data.length; i++) {
    picture.data[i] += deviation * (random() + random() + random() + random() - 2) * 1.73
  }
  return picture
}

/** What JPEG leaves of a picture: 8×8 cosine transform, coarser for fine detail. */
function jpeg({ data, width, height }, coarse) {
  const c = Array.from({ length: 8 }, (_, u) =>
    Array.from(
      { length: 8 },
      (_, x) => Math.cos(((2 * x + 1) * u * Math.PI) / 16) * (u === 0 ? Math.SQRT1_2 : 1) * 0.5,
    ),
  )
  const out = new Float32Array(data.length)
  const block = new Float64Array(64)
  const half = new Float64Array(64)
  for (let top = 0; top < height; top += 8) {
    for (let left = 0; left < width; left += 8) {
      for (let i = 0; i < 64; i++) {
        const [x, y] = [Math.min(width - 1, left + (i % 8)), Math.min(height - 1, top + (i >> 3))]
        block[i] = data[y * width + x]
      }
      const turn = (from, to, at) => {
        for (let i = 0; i < 8; i++) {
          for (let u = 0; u < 8; u++) {
            let sum = 0
            for (let k = 0; k < 8; k++) sum += at(u, k) * from[k * 8 + i]
            to[i * 8 + u] = sum
          }
        }
      }
      turn(block, half, (u, k) => c[u][k])
      turn(half, block, (u, k) => c[u][k])
      for (let i = 0; i < 64; i++) {
        const step = coarse * (1 + (i % 8) + (i >> 3))
        block[i] = Math.round(block[i] / step) * step
      }
      turn(block, half, (u, k) => c[k][u])
      turn(half, block, (u, k) => c[k][u])
      for (let i = 0; i < 64; i++) {
        const [x, y] = [left + (i % 8), top + (i >> 3)]
        if (x < width && y < height) out[y * width + x] = block[i]
      }
    }
  }
  return { data: out, width, height }
}

/** Pixels as classify() takes them. */
function toBytes({ data, width, height }) {
  return { data: Uint8Array.from(data, (v) => clamp(Math.round(v), 0, 255)), width, height, channels: 1 }
}

/** Coverage brought to width × height by area. */
function resize({ coverage, width, height }, w, h) {
  const out = new Float32Array(w * h)
  const count = new Float32Array(w * h)
  const s = 4
  for (let y = 0; y < h * s; y++) {
    for (let x = 0; x < w * s; x++) {
      const u = Math.min(width - 1, Math.floor(((x + 0.5) / (w * s)) * width))
      const v = Math.min(height - 1, Math.floor(((y + 0.5) / (h * s)) * height))
      out[Math.floor(y / s) * w + Math.floor(x / s)] += coverage[v * width + u]
      count[Math.floor(y / s) * w + Math.floor(x / s)]++
    }
  }
  return { coverage: out.map((v, i) => v / count[i]), width: w, height: h }
}

/** The box of what is covered at least by half. */
function box({ coverage, width, height }) {
  let [left, right, top, bottom] = [width, -1, height, -1]
  for (let i = 0; i < coverage.length; i++) {
    if (coverage[i] < 0.5) continue
    const [x, y] = [i % width, Math.floor(i / width)]
    left = Math.min(left, x)
    right = Math.max(right, x)
    top = Math.min(top, y)
    bottom = Math.max(bottom, y)
  }
  return right < 0
    ? { left: 0, top: 0, width, height }
    : { left, top, width: right - left + 1, height: bottom - top + 1 }
}

function crop({ coverage, width }, b) {
  const out = new Float32Array(b.width * b.height)
  for (let y = 0; y < b.height; y++) {
    out.set(
      coverage.subarray((b.top + y) * width + b.left, (b.top + y) * width + b.left + b.width),
      y * b.width,
    )
  }
  return { coverage: out, width: b.width, height: b.height }
}

/** In the middle of an empty square. */
function centred({ coverage, width, height }, side) {
  const out = new Float32Array(side * side)
  const [left, top] = [(side - width) >> 1, (side - height) >> 1]
  for (let y = 0; y < height; y++) {
    out.set(coverage.subarray(y * width, (y + 1) * width), (top + y) * side + left)
  }
  return { coverage: out, width: side, height: side }
}

/** A map of the plane: turned, leant, seen from the side. */
function tilted(random, { turn = 0, lean = 0, perspective = 0, stretch = 0, size = 100 }) {
  const a = (between(random, -turn, turn) * Math.PI) / 180
  const l = between(random, -lean, lean)
  const s = 1 + between(random, -stretch, stretch)
  const [px, py] = [
    between(random, -perspective, perspective) / size,
    between(random, -perspective, perspective) / size,
  ]
  const [cos, sin] = [Math.cos(a), Math.sin(a)]
  return (x, y) => {
    const w = 1 + px * x + py * y
    const [u, v] = [x / w, y / w]
    return [(cos * u - sin * v + l * v) * s, (sin * u + cos * v) / s]
  }
}

/** Paper under a lamp: bright at one side, dark at another, a little uneven. */
function lit(random, width, height, level, strength) {
  const [cx, cy] = [between(random, -0.2, 1.2) * width, between(random, -0.2, 1.2) * height]
  const far = Math.hypot(width, height)
  const stains = field(random, 90)
  return (x, y) => level * (1 - strength * (Math.hypot(x - cx, y - cy) / far)) + 2.5 * stains(x, y)
}

/**
 * Ways to make a picture of a digit of MNIST's (784 levels from 0 to 1).
 * @type {Record<string, (image: Float32Array, random: () => number) => object>}
 */
export const REDRAWN = {
  clean(image) {
    return toBytes(print(redraw(image, { tall: 100, threshold: 0.45, width: 150, height: 150 }), 20, 250))
  },
  perspective(image, random) {
    const map = tilted(random, { turn: 10, perspective: 0.35, stretch: 0.12, size: 100 })
    return toBytes(
      print(redraw(image, { tall: 100, threshold: 0.45, width: 180, height: 180, map }), 20, 250),
    )
  },
  slanted(image, random) {
    const map = tilted(random, { lean: 0.45 })
    return toBytes(print(redraw(image, { tall: 90, threshold: 0.45, width: 180, height: 160, map }), 20, 250))
  },
  thick(image, random) {
    const drawn = redraw(image, { tall: 80, threshold: between(random, 0.06, 0.14), width: 130, height: 130 })
    return toBytes(print(drawn, 10, 255))
  },
  thin(image, random) {
    const drawn = redraw(image, {
      tall: 160,
      threshold: between(random, 0.78, 0.88),
      width: 230,
      height: 230,
    })
    return toBytes(print(drawn, 60, 250))
  },
  wavy(image, random) {
    const [across, down] = [field(random, 70), field(random, 70)]
    const map = (x, y) => [x + 5.5 * across(x, y), y + 5.5 * down(x, y)]
    return toBytes(
      print(redraw(image, { tall: 100, threshold: 0.45, width: 160, height: 160, map }), 20, 250),
    )
  },
  'dry pen'(image, random) {
    const drawn = redraw(image, { tall: 110, threshold: 0.45, width: 160, height: 160 })
    const patches = field(random, 14)
    drawn.coverage = drawn.coverage.map(
      (c, i) => c * clamp(0.75 + 0.9 * patches(i % 160, Math.floor(i / 160)), 0.05, 1),
    )
    return toBytes(print(drawn, 40, 245))
  },
  photo(image, random) {
    const map = tilted(random, { turn: 8, perspective: 0.25, size: 120 })
    const drawn = redraw(image, {
      tall: 90,
      threshold: between(random, 0.3, 0.6),
      width: 200,
      height: 180,
      map,
    })
    const paper = lit(random, 200, 180, between(random, 150, 235), between(random, 0.1, 0.6))
    const shot = blur(print(drawn, between(random, 20, 80), paper), between(random, 0.6, 2.2))
    return toBytes(jpeg(grain(shot, between(random, 2, 9), random), between(random, 1, 5)))
  },
  'small scan'(image, random) {
    const tall = between(random, 9, 16)
    const side = Math.ceil(tall * 1.7)
    const big = redraw(image, { tall: tall * 5, threshold: 0.4, width: side * 5, height: side * 5 })
    return toBytes(grain(print(resize(big, side, side), 40, 235), 5, random))
  },
  'stretched 16×16 bitmap'(image) {
    const drawn = redraw(image, { tall: 96, threshold: 0.4, width: 160, height: 160 })
    const small = resize(crop(drawn, box(drawn)), 16, 16)
    small.coverage = small.coverage.map((c) => (c > 0.45 ? 1 : 0))
    return toBytes(print(small, 255, 0))
  },
  'tablet 32×32 bitmap'(image, random) {
    const map = tilted(random, { turn: 5, lean: 0.2, stretch: 0.12 })
    const drawn = redraw(image, {
      tall: 96,
      threshold: between(random, 0.45, 0.7),
      width: 160,
      height: 160,
      map,
    })
    const b = box(drawn)
    const scale = 30 / Math.max(b.width, b.height)
    const small = resize(
      crop(drawn, b),
      Math.max(1, Math.round(b.width * scale)),
      Math.max(1, Math.round(b.height * scale)),
    )
    small.coverage = small.coverage.map((c) => (c > 0.4 ? 1 : 0))
    return toBytes(print(centred(small, 32), 255, 0))
  },
  'grey 16×16'(image, random) {
    const map = tilted(random, { turn: 4, lean: 0.15 })
    const drawn = redraw(image, {
      tall: 96,
      threshold: between(random, 0.25, 0.5),
      width: 160,
      height: 160,
      map,
    })
    const b = box(drawn)
    const scale = 15 / Math.max(b.width, b.height)
    const small = resize(
      crop(drawn, b),
      Math.max(2, Math.round(b.width * scale)),
      Math.max(2, Math.round(b.height * scale)),
    )
    return toBytes(print(centred(small, 16), 255, 0))
  },
  cropped(image, random) {
    const drawn = redraw(image, { tall: 60, threshold: 0.45, width: 130, height: 130 })
    const b = box(drawn)
    const by = () => Math.floor(random() * 3)
    const [l, t] = [Math.max(0, b.left - by()), Math.max(0, b.top - by())]
    const tight = crop(drawn, {
      left: l,
      top: t,
      width: b.left + b.width + by() - l,
      height: b.top + b.height + by() - t,
    })
    return toBytes(print(tight, 30, 240))
  },
  pencil(image, random) {
    const map = tilted(random, { turn: 6, lean: 0.15 })
    const drawn = redraw(image, {
      tall: 80,
      threshold: between(random, 0.5, 0.7),
      width: 150,
      height: 150,
      map,
    })
    for (let i = 0; i < drawn.coverage.length; i++) drawn.coverage[i] *= between(random, 0.4, 1)
    return toBytes(blur(grain(print(drawn, between(random, 120, 165), 215), 5, random), 0.6))
  },
  'ruled paper'(image, random) {
    const map = tilted(random, { turn: 5 })
    const drawn = redraw(image, { tall: 90, threshold: 0.5, width: 170, height: 170, map })
    const [apart, first, line] = [between(random, 35, 60), random() * 60, between(random, 185, 220)]
    const paper = (_, y) => (Math.abs(((y - first + 300) % apart) - apart / 2) < 1 ? line : 245)
    return toBytes(blur(grain(print(drawn, between(random, 20, 90), paper), 3, random), 0.7))
  },
  'squared paper'(image, random) {
    const map = tilted(random, { turn: 5 })
    const drawn = redraw(image, { tall: 80, threshold: 0.5, width: 150, height: 150, map })
    const [apart, u, v, line] = [
      between(random, 18, 32),
      random() * 30,
      random() * 30,
      between(random, 195, 225),
    ]
    const near = (x) => Math.abs(((x + 300) % apart) - apart / 2) < 1
    const paper = (x, y) => (near(x - u) || near(y - v) ? line : 245)
    return toBytes(blur(grain(print(drawn, between(random, 20, 80), paper), 3, random), 0.7))
  },
  'form cell'(image, random) {
    const drawn = redraw(image, { tall: 60, threshold: 0.45, width: 110, height: 110 })
    const width = between(random, 1, 3)
    const inset = [0, 1, 2, 3].map(() => between(random, -4, 9))
    const on = (d) => d >= 0 && d < width
    for (let i = 0; i < drawn.coverage.length; i++) {
      const [x, y] = [i % 110, Math.floor(i / 110)]
      if (on(x - inset[0]) || on(109 - x - inset[1]) || on(y - inset[2]) || on(109 - y - inset[3]))
        drawn.coverage[i] = 1
    }
    return toBytes(grain(print(drawn, 40, 245), 4, random))
  },
  'neighbour cut off'(image, random) {
    const drawn = redraw(image, { tall: 70, threshold: 0.45, width: 110, height: 110 })
    const other = redraw(image, { tall: 70, threshold: 0.45, width: 110, height: 110 })
    const b = box(other)
    const visible = Math.floor(between(random, 3, 12))
    for (let y = 0; y < 110; y++) {
      for (let k = 0; k < visible; k++) {
        const i = y * 110 + 110 - visible + k
        drawn.coverage[i] = Math.max(drawn.coverage[i], other.coverage[y * 110 + b.left + k])
      }
    }
    return toBytes(grain(print(drawn, 40, 245), 4, random))
  },
  specks(image, random) {
    const drawn = redraw(image, { tall: 70, threshold: 0.45, width: 120, height: 120 })
    for (let k = between(random, 5, 40); k > 0; k--) {
      const [x, y] = [Math.floor(random() * 118), Math.floor(random() * 118)]
      drawn.coverage[y * 120 + x] = 1
      if (random() < 0.5) drawn.coverage[y * 120 + x + 1] = 1
      if (random() < 0.3) drawn.coverage[y * 120 + 120 + x] = 1
    }
    return toBytes(print(drawn, 30, 250))
  },
  'hard shadow'(image, random) {
    const drawn = redraw(image, { tall: 90, threshold: 0.5, width: 180, height: 170 })
    const angle = random() * 2 * Math.PI
    const [a, b, c] = [Math.cos(angle), Math.sin(angle), between(random, -50, 50)]
    const dark = between(random, 0.55, 0.8)
    const paper = (x, y) => 225 * (1 - (1 - dark) * clamp(0.5 + (a * (x - 90) + b * (y - 85) - c) / 6, 0, 1))
    const shot = print({ ...drawn, coverage: drawn.coverage.map((v) => v * 0.85) }, 0, paper)
    return toBytes(jpeg(grain(blur(shot, 0.8), 3, random), 2))
  },
  'red pen on dark green'(image, random) {
    const drawn = redraw(image, {
      tall: 80,
      threshold: 0.5,
      width: 140,
      height: 140,
      map: tilted(random, { turn: 6 }),
    })
    const data = new Uint8Array(140 * 140 * 3)
    const [ink, paper] = [
      [230, 190, 180],
      [40, 70, 50],
    ]
    drawn.coverage.forEach((v, i) => {
      for (let k = 0; k < 3; k++)
        data[i * 3 + k] = clamp(paper[k] + (ink[k] - paper[k]) * v + (random() - 0.5) * 20, 0, 255)
    })
    return { data, width: 140, height: 140, channels: 3 }
  },
  'strokes with gaps'(image, random) {
    const drawn = redraw(image, { tall: 100, threshold: 0.5, width: 150, height: 150 })
    for (let k = 0; k < 3; k++) {
      const [x, y, angle] = [between(random, 45, 105), between(random, 35, 115), random() * Math.PI]
      const [a, b, half] = [Math.cos(angle), Math.sin(angle), between(random, 1.5, 3.5)]
      for (let i = 0; i < drawn.coverage.length; i++) {
        const [u, v] = [(i % 150) - x, Math.floor(i / 150) - y]
        if (Math.abs(a * u + b * v) < half && Math.hypot(u, v) < 20) drawn.coverage[i] = 0
      }
    }
    return toBytes(print(drawn, 30, 250))
  },
}

/** Pens and papers for digits of our own hand. */
export const WRITTEN = {
  'ball pen'(strokes, random) {
    const { coverage, size } = write(strokes, 90, { ...MANNER, pen: [0.05, 0.09] }, random)
    return toBytes(print({ coverage, width: size, height: size }, 40, 245))
  },
  marker(strokes, random) {
    const { coverage, size } = write(strokes, 70, { ...MANNER, pen: [0.14, 0.22] }, random)
    return toBytes(print({ coverage, width: size, height: size }, 20, 250))
  },
  photo(strokes, random) {
    const { coverage, size } = write(strokes, 80, MANNER, random)
    const paper = lit(random, size, size, between(random, 150, 235), between(random, 0.1, 0.5))
    const shot = blur(
      print({ coverage, width: size, height: size }, between(random, 20, 80), paper),
      between(random, 0.6, 1.6),
    )
    return toBytes(jpeg(grain(shot, between(random, 2, 7), random), between(random, 1, 4)))
  },
  tablet(strokes, random) {
    const { coverage, size } = write(strokes, 28, { ...MANNER, pen: [0.06, 0.1], pressure: [0, 0] }, random)
    return toBytes(
      print({ coverage: coverage.map((c) => (c > 0.45 ? 1 : 0)), width: size, height: size }, 255, 0),
    )
  },
}

/** Every shape of the second hand: [digit, name, strokes]. */
export const SHAPES = Object.entries(HANDS.second).flatMap(([digit, shapes]) =>
  Object.entries(shapes).map(([name, strokes]) => [Number(digit), name, strokes]),
)
