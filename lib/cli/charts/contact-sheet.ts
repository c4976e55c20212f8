/** A picture of many small pictures with their labels: what a model misread. */

import type { Dataset } from '../../data/dataset.ts'
import type { Example } from '../../train/evaluate.ts'
import { encodePng } from '../../vision/picture/png-encode.ts'

/** Letters of 5×7 dots, rows from the top, bits from the left. */
const letters: Readonly<Record<string, string>> = {
  '0': '0e11131519110e',
  '1': '040c040404040e',
  '2': '0e11010204081f',
  '3': '1f02040201110e',
  '4': '02060a121f0202',
  '5': '1f101e0101110e',
  '6': '0608101e11110e',
  '7': '1f010204080808',
  '8': '0e11110e11110e',
  '9': '0e11110f01020c',
  '%': '18190204081303',
  // An arrow, since a sign of inequality would look like a digit.
  '>': '0004021f020400',
  '.': '00000000000c0c',
  '-': '0000001f000000',
  _: '0000000000001f',
  '?': '0e110102040004',
}

/** A–Z, of the same kind. */
const capitals =
  '0e11111f111111 1e11111e11111e 0e11101010110e 1c12111111121c 1f10101e10101f 1f10101e101010 0e11101711110f ' +
  '1111111f111111 0e04040404040e 0702020202120c 11121418141211 1010101010101f 111b1515111111 11111915131111 ' +
  '0e11111111110e 1e11111e101010 0e11111115120d 1e11111e141211 0f10100e01011e 1f040404040404 1111111111110e ' +
  '11111111110a04 1111111515150a 11110a040a1111 1111110a040404 1f01020408101f'

const advance = 6
const letterHeight = 7

type Colour = readonly [red: number, green: number, blue: number]
const paper: Colour = [24, 26, 30]
const plain: Colour = [170, 176, 184]
const right: Colour = [86, 211, 100]
const wrong: Colour = [255, 123, 114]

/** Rows of a letter as 7 numbers of 5 bits; capitals stand for small letters, ? for what there is not. */
function bitmap(letter: string): number[] {
  const code = letter.toUpperCase().charCodeAt(0) - 65
  const hex = letters[letter] ?? (code >= 0 && code < 26 ? (capitals.split(' ')[code] ?? '') : letters['?'])
  return Array.from({ length: letterHeight }, (_, i) =>
    Number.parseInt((hex as string).slice(2 * i, 2 * i + 2), 16),
  )
}

/** An RGB picture that is drawn on. */
class Canvas {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number

  constructor(width: number, height: number) {
    this.width = width
    this.height = height
    this.data = new Uint8Array(3 * width * height)
    for (let i = 0; i < this.data.length; i += 3) this.data.set(paper, i)
  }

  fill(x: number, y: number, size: number, colour: Colour): void {
    for (let row = y; row < Math.min(this.height, y + size); row++) {
      for (let column = x; column < Math.min(this.width, x + size); column++) {
        this.data.set(colour, 3 * (row * this.width + column))
      }
    }
  }

  /** @returns where the next letter would begin */
  write(text: string, x: number, y: number, scale: number, colour: Colour): number {
    for (const letter of text) {
      if (letter !== ' ') {
        for (const [row, bits] of bitmap(letter).entries()) {
          for (let column = 0; column < 5; column++) {
            if (bits & (16 >> column)) this.fill(x + column * scale, y + row * scale, scale, colour)
          }
        }
      }
      x += advance * scale
    }
    return x
  }
}

/**
 * The examples' images side by side, enlarged, below each the right class (green), what the model says (red) and how
 * sure it is.
 *
 * @returns a PNG
 */
export function contactSheet(
  data: Dataset,
  examples: readonly Example[],
  classes: readonly string[],
): Uint8Array {
  const [channels = 1, height = 1, width = 1] = data.shape
  const zoom = Math.max(1, Math.round(84 / Math.max(height, width)))
  const scale = 2
  const label = ({ label: one, predicted, confidence }: Example) => [
    classes[one] ?? String(one),
    classes[predicted] ?? String(predicted),
    `${Math.floor(100 * Math.min(0.99, Math.max(0, confidence)))}%`,
  ]
  const longest = Math.max(8, ...examples.map((example) => label(example).join('  ').length))
  const cell = {
    width: Math.max(width * zoom, longest * advance * scale) + 12,
    height: height * zoom + letterHeight * scale + 16,
  }
  const columns = Math.max(1, Math.min(examples.length, Math.floor(1200 / cell.width)))
  const rows = Math.max(1, Math.ceil(examples.length / columns))
  const canvas = new Canvas(columns * cell.width + 6, rows * cell.height + 6)
  for (const [i, example] of examples.entries()) {
    const x = 6 + (i % columns) * cell.width
    const y = 6 + Math.floor(i / columns) * cell.height
    const image = data.image(example.index)
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const value = (channel: number): number => {
          const level = image[((channel % channels) * height + row) * width + column] ?? 0
          return image instanceof Uint8Array ? level : Math.max(0, Math.min(255, 255 * level))
        }
        const colour: Colour = channels >= 3 ? [value(0), value(1), value(2)] : [value(0), value(0), value(0)]
        canvas.fill(x + column * zoom, y + row * zoom, zoom, colour)
      }
    }
    const [own, said, sure] = label(example) as [string, string, string]
    const base = y + height * zoom + 5
    const after = canvas.write(own, x, base, scale, right)
    const next = canvas.write('>', after, base, scale, plain)
    const end = canvas.write(said, next, base, scale, wrong)
    canvas.write(sure, end + advance, base, scale, plain)
  }
  return encodePng({ width: canvas.width, height: canvas.height, channels: 3, data: canvas.data })
}
