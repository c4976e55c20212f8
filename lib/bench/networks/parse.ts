/**
 * Networks as lists of layers, one a line, as bench/models has them:
 *
 *   input 3x224x224
 *   conv 64 k7 s2 bn relu        # a number alone: channels that come out
 *   basic 128 s2 x2              # twice, the stride in the first
 *
 * A letter with a number is a size (`k3`, `k10x4`), a word a flag or an activation; `#` begins a comment. What the
 * letters mean stands in layers.ts, with each kind of layer.
 */
import { KerneletError } from '../../util/errors.ts'

/** A line of a list. */
export interface Line {
  kind: string
  /** The number alone; NaN where there is none. */
  out: number
  /** `k3` as k: [3]; `k10x4` as k: [10, 4]. */
  sizes: Readonly<Record<string, readonly number[]>>
  words: readonly string[]
  /** FILE:LINE, for errors. */
  place: string
}

export interface LayerList {
  /** Of one image. */
  inputShape: number[]
  /** Repetitions written out. */
  lines: Line[]
}

const LARGEST = 1 << 16
const MOST_LINES = 2000

/** @throws KerneletError `ERR_FORMAT` that names file and line */
export function parseList(text: string, file: string): LayerList {
  let inputShape: number[] | undefined
  const lines: Line[] = []
  text.split('\n').forEach((raw, i) => {
    const place = `${file}:${i + 1}`
    const [kind, ...terms] = raw.replace(/#.*/, '').trim().split(/\s+/)
    if (kind === undefined || kind === '') return
    if (kind === 'input') {
      inputShape = shapeOf(terms[0] ?? '', place)
      return
    }
    if (inputShape === undefined) throw bad(place, 'the first line must be an input such as input 3x224x224')
    const line = lineOf(kind, terms, place)
    const [times = 1] = line.sizes.x ?? []
    const sizes = { ...line.sizes }
    delete sizes.x
    for (let n = 0; n < times; n++) lines.push({ ...line, sizes })
    // the stride is the first one's
    if (times > 1 && sizes.s) {
      for (const again of lines.slice(1 - times)) again.sizes = { ...sizes, s: [1] }
    }
    if (lines.length > MOST_LINES) throw bad(place, `more than ${MOST_LINES} layers`)
  })
  if (inputShape === undefined || lines.length === 0) throw bad(file, 'there are no layers')
  return { inputShape, lines }
}

/** `3x224x224` as numbers. */
export function shapeOf(text: string, place: string): number[] {
  const sizes = text.split('x').map((size) => (/^[1-9]\d{0,4}$/.test(size) ? Number(size) : Number.NaN))
  if (sizes.some(Number.isNaN)) throw bad(place, `expected a shape such as 3x224x224 but received '${text}'`)
  return sizes
}

function lineOf(kind: string, terms: readonly string[], place: string): Line {
  let out = Number.NaN
  const sizes: Record<string, number[]> = {}
  const words: string[] = []
  for (const term of terms) {
    const size = /^([a-z]?)(\d{1,5}(?:x\d{1,5})?)$/.exec(term)
    if (!size) {
      if (!/^[a-z]\w*$/.test(term))
        throw bad(place, `expected a word, or a letter and a number, at '${term}'`)
      words.push(term)
      continue
    }
    const [, letter = '', numbers = ''] = size
    const values = numbers.split('x').map(Number)
    if (values.some((value) => value > LARGEST)) throw bad(place, `${term} is larger than ${LARGEST}`)
    if (letter === '') out = values[0] ?? Number.NaN
    else sizes[letter] = values
    if (letter !== 'p' && values.includes(0)) throw bad(place, `${term} must not be 0`)
  }
  return { kind, out, sizes, words, place }
}

export function bad(place: string, what: string): KerneletError {
  return new KerneletError('ERR_FORMAT', `${place}: ${what}`)
}
