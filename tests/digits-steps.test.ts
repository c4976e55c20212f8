/** Each step of the digit pipeline on pictures small enough to work out by hand. */
import { describe, expect, test } from 'vitest'
import { estimateBackground, evenBackground } from '../lib/vision/digits/background.ts'
import { components, dropSpecks } from '../lib/vision/digits/components.ts'
import { fitDigit, maximumToOne, placeByMass, standardize } from '../lib/vision/digits/field.ts'
import { histogram, otsu, percentile } from '../lib/vision/digits/histogram.ts'
import { cutOut, keepInk, threshold } from '../lib/vision/digits/ink.ts'
import { inkIsDark, inkUp } from '../lib/vision/digits/polarity.ts'
import { digitLike, dropFrames, groupStrokes, penWidth } from '../lib/vision/digits/strokes.ts'
import { toLuma } from '../lib/vision/picture/luma.ts'
import type { Gray } from '../lib/vision/picture/pixels.ts'
import { reduce } from '../lib/vision/picture/reduce.ts'
import { resample } from '../lib/vision/picture/resample.ts'
import { art, enlarged, gray, placed, two } from './digits-pictures.ts'

const inverted = ({ data, width, height }: Gray): Gray => ({ data: data.map((v) => 255 - v), width, height })

describe('luma', () => {
  const luma = (channels: number, ...data: number[]) => [
    ...toLuma({ data: Uint8Array.from(data), width: data.length / channels, height: 1, channels }).data,
  ]

  test('Rec. 601 weights', () => {
    expect(luma(3, 255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255)).toEqual([77, 149, 29, 255])
  })

  test('alpha goes onto white, in proportion', () => {
    expect(luma(2, 0, 255, 0, 0, 0, 51, 100, 255)).toEqual([0, 255, 204, 100])
    expect(luma(4, 0, 0, 0, 255, 0, 0, 0, 0)).toEqual([0, 255])
  })

  test('white on transparent goes onto black, for on white there is nothing', () => {
    expect(luma(2, 255, 255, 255, 0)).toEqual([255, 0])
    expect(luma(4, 255, 255, 255, 255, 9, 9, 9, 0)).toEqual([255, 0])
  })

  test('the input is left alone and shared with nobody', () => {
    const data = Uint8ClampedArray.of(1, 2, 3)
    inkUp(toLuma({ data, width: 3, height: 1, channels: 1 }))
    expect([...data]).toEqual([1, 2, 3])
  })
})

describe('histogram', () => {
  test('counts every pixel, odd numbers of them too', () => {
    for (const length of [1, 2, 7, 8]) {
      const counts = histogram(Uint8Array.from({ length }, (_, i) => i % 3))
      expect(counts.reduce((a, b) => a + b)).toBe(length)
      expect(counts[0]).toBe(Math.ceil(length / 3))
    }
  })

  test('percentiles', () => {
    const counts = histogram(Uint8Array.of(10, 20, 30, 40))
    expect([0, 0.25, 0.26, 0.5, 1].map((f) => percentile(counts, f))).toEqual([10, 10, 20, 20, 40])
  })

  test('Otsu: the middle of the gap, means of both classes', () => {
    const split = otsu(histogram(Uint8Array.of(10, 10, 14, 14, 200, 204)))!
    expect(split).toMatchObject({ threshold: 106, lowMean: 12, highMean: 202, lowDeviation: 2 })
    expect(split.separability).toBeGreaterThan(0.999)
  })

  test('Otsu: three levels are split where the variance between is largest, by exhaustive search', () => {
    const data = Uint8Array.of(...Array(50).fill(20), ...Array(30).fill(90), ...Array(8).fill(220))
    const between = (t: number) => {
      const low = data.filter((v) => v <= t)
      const high = data.filter((v) => v > t)
      const mean = (a: Uint8Array) => a.reduce((x, y) => x + y, 0) / a.length
      return low.length * high.length * (mean(low) - mean(high)) ** 2
    }
    const { threshold: t } = otsu(histogram(data))!
    expect(between(t)).toBe(Math.max(between(20), between(90)))
  })

  test('one level cannot be split', () => {
    expect(otsu(histogram(Uint8Array.of(7, 7, 7)))).toBeNull()
  })
})

describe('polarity', () => {
  test('dark and light ink', () => {
    expect(inkIsDark(inverted(two))).toBe(true)
    expect(inkIsDark(two)).toBe(false)
    expect([...inkUp(inverted(two)).data]).toEqual([...two.data])
  })

  test('a reflection lighter than the paper does not turn dark ink into light', () => {
    const page = gray(60, 60, (x, y) =>
      Math.hypot(x - 45, y - 15) < 8 ? 255 : x > 20 && x < 25 && y > 10 && y < 50 ? 50 : 160,
    )
    expect(inkIsDark(page)).toBe(true)
    expect(inkIsDark(inverted(page))).toBe(false)
  })

  test('a line around the picture is not the paper', () => {
    const page = gray(60, 60, (x, y) =>
      Math.min(x, y, 59 - x, 59 - y) < 2 || (x > 28 && x < 33 && y > 15 && y < 45) ? 40 : 230,
    )
    expect(inkIsDark(page)).toBe(true)
    expect(inkIsDark(inverted(page))).toBe(false)
  })

  test('ink that touches the border', () => {
    expect(inkIsDark(gray(20, 20, (x) => (x > 8 && x < 13 ? 0 : 255)))).toBe(true)
  })
})

describe('background', () => {
  test('even paper is given back as it is', () => {
    const page = enlarged(two, 8)
    expect(evenBackground(page)).toBe(page)
  })

  test('the estimate follows a slope of light and bridges strokes', () => {
    const slope = (x: number) => 20 + x / 2
    const page = gray(160, 160, (x, y) => (x > 70 && x < 82 && y > 20 && y < 140 ? 230 : slope(x)))
    const { data, columns, cell } = estimateBackground(page)
    expect(cell).toBe(10)
    // One cell more on every side; quartiles lie a little below the middle of a cell.
    for (const column of [1, 4, 8, 12, 16]) {
      const expected = slope((column - 0.5) * cell)
      expect(Math.abs(data[8 * columns + column]! - expected)).toBeLessThan(4)
    }
  })

  test('ink stands out evenly afterwards, in the corners too', () => {
    const light = (x: number, y: number) => 1 - 0.7 * Math.hypot(x / 160 - 0.5, y / 160 - 0.5)
    const stroke = (x: number, y: number) => x >= 40 && x < 120 && y >= 40 && y < 120 && (x < 50 || y >= 110)
    const page = gray(160, 160, (x, y) => 255 - light(x, y) * (stroke(x, y) ? 60 : 220))
    const { data } = evenBackground(page)
    let paper = 0
    let ink = 255
    for (let y = 10; y < 150; y++) {
      for (let x = 10; x < 150; x++) {
        const v = data[y * 160 + x]!
        if (stroke(x, y)) ink = Math.min(ink, v)
        else paper = Math.max(paper, v)
      }
    }
    expect(paper).toBeLessThan(40)
    expect(ink).toBeGreaterThan(150)
  })
})

describe('ink', () => {
  test('levels above the threshold are kept, counted from the paper', () => {
    const page = art('22222', '22922', '29992', '22922', '22222')
    const kept = keepInk(page, threshold(page)!)
    // Full ink is 1.2 times the mean ink: (229 - 51) of (255 - 51).
    expect([...kept.data.subarray(5, 10)]).toEqual([0, 0, 223, 0, 0])
  })

  test('grey beside ink is kept, grey by itself is not', () => {
    const page = art('.........', '..3##3...', '.........', '.......3.', '.........')
    const split = threshold(page)!
    expect(split.threshold).toBeGreaterThan(76)
    const { data } = keepInk(page, { ...split, threshold: 128 })
    expect([...data.subarray(9, 18)].map((v) => v > 0)).toEqual([
      false,
      false,
      true,
      true,
      true,
      true,
      false,
      false,
      false,
    ])
    expect(data[3 * 9 + 7]).toBe(0)
  })

  test('blank paper, with grain or without, has no ink', () => {
    expect(threshold(gray(20, 20, () => 80))).toBeNull()
    expect(threshold(gray(50, 50, (x, y) => 80 + ((x * 7 + y * 13) % 9)))).toBeNull()
  })

  test('a thin stroke on grainy paper: the stroke is split off, not the grain', () => {
    const page = gray(400, 400, (x, y) =>
      x === 200 && y > 150 && y < 250 ? 220 : ((x * 7919 + y * 104729) % 31) + 10,
    )
    expect(threshold(page)!.threshold).toBeGreaterThan(41)
  })

  test('cutting out takes the pieces and leaves what else lies in their box', () => {
    const page = art('#######', '#.....#', '#..#..#', '#.....#', '#######')
    const [frame, dot] = components(page)
    expect([frame!.area, dot!.area]).toEqual([20, 1])
    expect(cutOut(page, [dot!])).toEqual({ data: Uint8Array.of(255), width: 1, height: 1 })
    const cut = cutOut(page, [frame!])
    expect([cut.width, cut.height, cut.data[2 * 7 + 3]]).toEqual([7, 5, 0])
    expect(cutOut(page, [frame!, dot!]).data).toEqual(page.data)
  })
})

describe('components', () => {
  test('boxes, areas and outlines; corners connect', () => {
    const found = components(art('##...', '##...', '..#..', '.....', '....#'))
    expect(
      found.map(({ left, top, right, bottom, area, outline }) => [left, top, right, bottom, area, outline]),
    ).toEqual([
      [0, 0, 3, 3, 5, 12],
      [4, 4, 5, 5, 1, 4],
    ])
  })

  test('branches that meet later are one piece', () => {
    expect(components(art('#.#.#.#', '#.#.#.#', '###.###', '..#.#..', '..###..'))).toHaveLength(1)
  })

  test('a spiral and a checkerboard of a hundred thousand pixels', () => {
    const spiral = gray(101, 101, (x, y) => {
      const ring = Math.min(x, y, 100 - x, 100 - y)
      return ring % 2 === 0 && !(x === ring && y === ring + 1) ? 255 : 0
    })
    expect(components(spiral).reduce((sum, { area }) => sum + area, 0)).toBe(
      spiral.data.filter((v) => v).length,
    )
    expect(components(gray(400, 250, (x, y) => ((x + y) % 2) * 255))).toHaveLength(1)
  })

  test('specks are dropped, in terms of the largest piece', () => {
    const pieces = components(placed(art('#'), 40, 40, 1, 1))
    expect(dropSpecks(pieces)).toHaveLength(1)
    const both = gray(40, 40, (x, y) => ((x > 20 && y > 20) || (x < 2 && y < 2) ? 255 : 0))
    expect(dropSpecks(components(both)).map(({ area }) => area)).toEqual([19 * 19])
  })

  test('width of the pen', () => {
    expect(penWidth(components(gray(100, 20, (_, y) => (y >= 5 && y < 9 ? 255 : 0))))).toBeCloseTo(4, 0)
  })
})

describe('strokes', () => {
  const digits = (picture: Gray) =>
    digitLike(groupStrokes(dropSpecks(components(picture))), picture.width, picture.height).map(
      ({ left, top, right, bottom }) => [left, top, right, bottom],
    )
  const page = (level: (x: number, y: number) => boolean, width = 100, height = 100) =>
    gray(width, height, (x, y) => (level(x, y) ? 255 : 0))
  const box = (x: number, y: number, left: number, top: number, right: number, bottom: number) =>
    x >= left && x < right && y >= top && y < bottom

  test('a bar that does not reach its body belongs to it', () => {
    const five = page(
      (x, y) => box(x, y, 30, 35, 36, 80) || box(x, y, 30, 74, 60, 80) || box(x, y, 32, 22, 64, 28),
    )
    expect(digits(five)).toEqual([[30, 22, 64, 80]])
  })

  test('dots and dashes of a pen are one digit', () => {
    const dotted = page(
      (x, y) =>
        Math.abs(Math.hypot(x - 50, y - 50) - 30) < 4 &&
        Math.floor((Math.atan2(y - 50, x - 50) * 12) / Math.PI) % 2 === 0,
    )
    expect(components(dotted).length).toBeGreaterThan(8)
    expect(digits(dotted)).toHaveLength(1)
  })

  test('two digits beside each other, or one above the other, are two', () => {
    expect(digits(page((x, y) => box(x, y, 30, 30, 35, 70) || box(x, y, 50, 30, 55, 70)))).toHaveLength(2)
    const two = (x: number, y: number, top: number) =>
      box(x, y, 40, top, 60, top + 30) && !box(x, y, 45, top + 5, 55, top + 25)
    expect(digits(page((x, y) => two(x, y, 10) || two(x, y, 60)))).toHaveLength(2)
  })

  test('a stroke broken across is one digit', () => {
    const broken = page(
      (x, y) =>
        box(x, y, 30, 20, 60, 26) ||
        box(x, y, 54, 26, 60, 45) ||
        box(x, y, 40, 48, 46, 80) ||
        box(x, y, 40, 48, 58, 53),
    )
    expect(components(broken)).toHaveLength(2)
    expect(digits(broken)).toHaveLength(1)
  })

  test('a frame around a digit is left out', () => {
    const framed = page(
      (x, y) => (box(x, y, 5, 5, 95, 95) && !box(x, y, 8, 8, 92, 92)) || box(x, y, 45, 30, 52, 70),
    )
    expect(digits(framed)).toEqual([[45, 30, 52, 70]])
  })

  test('what runs off the edge is left out beside a digit inside, but is the digit where it is alone', () => {
    const shadow = (x: number, y: number) => x + y < 40
    expect(digits(page((x, y) => shadow(x, y) || box(x, y, 60, 30, 66, 80)))).toEqual([[60, 30, 66, 80]])
    expect(digits(page(shadow))).toEqual([[0, 0, 40, 40]])
  })
})

describe('resampling', () => {
  const byTwo = (picture: Gray, channels = 1) => reduce({ ...picture, channels }, () => 2)

  test('making smaller averages, leftovers at the edges by themselves', () => {
    const picture = gray(5, 3, (x, y) => x * 10 + y * 50)
    const { pixels, ...was } = byTwo(picture)
    expect(was).toEqual({ width: 5, height: 3, factor: 2 })
    expect(pixels).toMatchObject({ width: 3, height: 2, channels: 1 })
    expect([...pixels.data]).toEqual([30, 50, 65, 105, 125, 140])
  })

  test('colours channel by channel, by their alpha where they have some', () => {
    const bytes = (...data: number[]): Gray => ({ data: Uint8Array.from(data), width: 2, height: 2 })
    const colours = bytes(0, 10, 20, 40, 50, 60, 80, 90, 100, 120, 130, 140)
    expect([...byTwo(colours, 3).pixels.data]).toEqual([60, 70, 80])
    // by two, odd at the right and below, as by any factor
    const odd = Uint8Array.from({ length: 5 * 3 * 3 }, (_, i) => (i * 37) % 251)
    const halves = byTwo({ data: odd, width: 5, height: 3 }, 3).pixels.data
    const mean = (c: number, ...at: number[]) =>
      Math.floor(at.reduce((sum, i) => sum + odd[3 * i + c]!, 0) / at.length + 0.5)
    const groups = [[0, 1, 5, 6], [2, 3, 7, 8], [4, 9], [10, 11], [12, 13], [14]]
    expect([...halves]).toEqual(groups.flatMap((at) => [0, 1, 2].map((c) => mean(c, ...at))))
    // clear pixels have no colour
    expect([...byTwo(bytes(200, 255, 9, 0, 100, 255, 9, 0), 2).pixels.data]).toEqual([150, 128])
    expect([...byTwo(bytes(9, 0, 9, 0, 9, 0, 9, 0), 2).pixels.data]).toEqual([0, 0])
    const half = bytes(1, 2, 3, 255, 9, 9, 9, 0, 9, 9, 9, 0, 5, 6, 7, 255)
    expect([...byTwo(half, 4).pixels.data]).toEqual([3, 4, 5, 128])
  })

  test('by area: exact shares of the pixels', () => {
    expect([...resample(art('#..', '#..'), 2, 1)]).toEqual([170, 0])
    expect([
      ...resample(
        gray(6, 6, (x) => x * 10),
        3,
        2,
      ),
    ]).toEqual([5, 25, 45, 5, 25, 45])
  })

  test('growing is smooth, keeps the level inside and fades at the edges', () => {
    const grown = resample(art('##', '##'), 8, 8)
    expect(grown[3 * 8 + 3]).toBe(255)
    expect(grown[3 * 8]).toBeGreaterThan(grown[0]!)
    for (let x = 1; x < 4; x++) expect(grown[24 + x]).toBeGreaterThanOrEqual(grown[24 + x - 1]!)
  })

  test('the same size changes nothing', () => {
    expect([...resample(two, two.width, two.height)]).toEqual([...two.data])
  })
})

describe('field', () => {
  test('the longer side becomes 20 pixels, the other keeps its proportion', () => {
    const size = (width: number, height: number) => {
      const patch = fitDigit(gray(width, height, () => 255))
      return [patch.width, patch.height]
    }
    expect(size(40, 10)).toEqual([20, 5])
    expect(size(7, 14)).toEqual([10, 20])
    expect(size(300, 301)).toEqual([20, 20])
    expect(size(1, 500)).toEqual([1, 20])
  })

  test('the centre of mass comes to lie on pixel (14, 14)', () => {
    for (const [left, right] of [
      [5, 5],
      [1, 9],
    ]) {
      const data = Float32Array.from({ length: 20 * 11 }, (_, i) =>
        i % 11 < 5 ? left! : i % 11 > 5 ? right! : 0,
      )
      const field = placeByMass({ data, width: 11, height: 20 })
      let mass = 0
      let x = 0
      let y = 0
      field.forEach((v, i) => {
        mass += v
        x += v * (i % 28)
        y += v * Math.floor(i / 28)
      })
      expect(Math.abs(x / mass - 14)).toBeLessThanOrEqual(0.5)
      expect(Math.abs(y / mass - 14)).toBeLessThanOrEqual(0.5)
      expect(mass).toBe(data.reduce((a, b) => a + b))
    }
  })

  test('a lopsided digit stays inside the field', () => {
    const data = new Float32Array(400)
    data[0] = 1000
    data[399] = 1
    const field = placeByMass({ data, width: 20, height: 20 })
    expect([field[8 * 28 + 8], field[27 * 28 + 27]]).toEqual([1000, 1])
  })

  test('maximum to 1, then mean and deviation', () => {
    expect([...maximumToOne(Float32Array.of(0, 5, 10))]).toEqual([0, 0.5, 1])
    expect([...maximumToOne(Float32Array.of(0, 0))]).toEqual([0, 0])
    expect([...standardize(Float32Array.of(0, 0.5, 1), 0.5, 0.25)]).toEqual([-2, 0, 2])
  })
})

describe('lines of a form', () => {
  /** A digit's body in the middle of 60×60, and lines. */
  const cell = (line: (x: number, y: number) => boolean) =>
    dropFrames(
      components(gray(60, 60, (x, y) => (line(x, y) || (x > 24 && x < 36 && y > 15 && y < 45) ? 255 : 0))),
      60,
      60,
    )

  test('are left out: all four, two, or one', () => {
    expect(cell((x, y) => Math.min(x, y, 59 - x, 59 - y) === 2)).toHaveLength(1)
    expect(cell((x, y) => x === 4 || y === 55)).toHaveLength(1)
    expect(cell((_, y) => y === 58)).toHaveLength(1)
    expect(cell((x) => x === 1)).toHaveLength(1)
  })

  test('stay where they may be strokes: near the digit, or nothing else is there', () => {
    expect(cell((x) => x === 38)).toHaveLength(2)
    expect(cell((_, y) => y === 13)).toHaveLength(2)
    const frame = components(gray(60, 60, (x, y) => (Math.min(x, y, 59 - x, 59 - y) === 2 ? 255 : 0)))
    expect(dropFrames(frame, 60, 60)).toEqual(frame)
    const slanted = components(gray(60, 60, (x, y) => (Math.abs(x - y) < 3 ? 255 : 0)))
    expect(dropFrames(slanted, 60, 60)).toEqual(slanted)
  })
})
