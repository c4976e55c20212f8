/**
 * Convolutions as strings, as benchdnn writes them: `mb1ic6ih12oc16oh8kh5`.
 *
 * mb images, g groups, ic/oc channels in/out of all groups, ih iw / oh ow planes, kh kw window, sh sw stride,
 * dh dw dilation, ph pw padding at the top and left, and n"a name". What is left out follows from the rest: the
 * other side of a square, output from input, padding from both. One difference: dilation counts from 1 (dense)
 * as in PyTorch and in `describe()`, where benchdnn counts from 0.
 */
import { KerneletError } from '../util/errors.ts'

export interface Problem {
  name: string
  mb: number
  g: number
  ic: number
  ih: number
  iw: number
  oc: number
  oh: number
  ow: number
  kh: number
  kw: number
  sh: number
  sw: number
  dh: number
  dw: number
  ph: number
  pw: number
  /** Padding at the bottom and right, as far as the output asks for it. */
  pb: number
  pr: number
}

const LETTERS = [
  ...['mb', 'g', 'ic', 'ih', 'iw', 'oc', 'oh', 'ow', 'kh', 'kw'],
  ...['sh', 'sw', 'dh', 'dw', 'ph', 'pw'],
] as const
type Letter = (typeof LETTERS)[number]

const LARGEST = 1 << 20

/** @throws KerneletError `ERR_ARGUMENT` that quotes the string and says what is wrong with it */
export function parseProblem(text: string): Problem {
  const wrong = (reason: string): KerneletError =>
    new KerneletError('ERR_ARGUMENT', `problem '${text}': ${reason} (an example: mb1ic6ih12oc16oh8kh5)`)
  const given = new Map<Letter, number>()
  let name = ''
  let rest = text.trim()
  while (rest !== '') {
    const named = /^_?n"([^"]*)"/.exec(rest)
    const sized = /^_?([a-z]+)(\d+)/.exec(rest)
    if (named) {
      name = named[1]!
      rest = rest.slice(named[0].length)
      continue
    }
    if (!sized) throw wrong(`expected letters and a number at '${rest}'`)
    const letter = sized[1] as Letter
    if (!LETTERS.includes(letter)) throw wrong(`unknown letters '${letter}'; known are ${LETTERS.join(' ')}`)
    if (given.has(letter)) throw wrong(`${letter} is given twice`)
    const value = Number(sized[2])
    if (value > LARGEST) throw wrong(`${letter} is larger than ${LARGEST}`)
    if (value === 0 && letter !== 'ph' && letter !== 'pw') {
      throw wrong(`${letter} must not be 0${letter.startsWith('d') ? '; dilation 1 is dense' : ''}`)
    }
    given.set(letter, value)
    rest = rest.slice(sized[0].length)
  }
  for (const letter of ['ic', 'oc'] as const) if (!given.has(letter)) throw wrong(`${letter} is missing`)
  // A height or width alone stands for both.
  const vertical = side(given, 'h', wrong)
  const horizontal = side(given, 'w', wrong)
  const g = given.get('g') ?? 1
  const ic = given.get('ic')!
  const oc = given.get('oc')!
  if (ic % g !== 0 || oc % g !== 0) throw wrong(`ic and oc must be multiples of g`)
  return {
    name,
    ...{ mb: given.get('mb') ?? 1, g, ic, ih: vertical.i, iw: horizontal.i },
    ...{ oc, oh: vertical.o, ow: horizontal.o, kh: vertical.k, kw: horizontal.k },
    ...{ sh: vertical.s, sw: horizontal.s, dh: vertical.d, dw: horizontal.d },
    ...{ ph: vertical.before, pw: horizontal.before, pb: vertical.after, pr: horizontal.after },
  }
}

/** One direction of the window; the other direction fills in what is not given. */
function side(given: ReadonlyMap<Letter, number>, own: 'h' | 'w', wrong: (reason: string) => KerneletError) {
  const other = own === 'h' ? 'w' : 'h'
  // The output and padding of the other side only say something about this one if their inputs are alike.
  const find = (letter: string): number | undefined =>
    given.get(`${letter}${own}` as Letter) ?? given.get(`${letter}${other}` as Letter)
  const [i, k, s, d] = [find('i'), find('k') ?? 1, find('s') ?? 1, find('d') ?? 1]
  const extent = (k - 1) * d + 1
  let o = find('o')
  let before = find('p')
  let input = i
  if (input === undefined) {
    if (o === undefined) throw wrong(`i${own} or o${own} is missing`)
    input = (o - 1) * s + extent - 2 * (before ?? 0)
    if (input < 1) throw wrong(`the padding leaves no input`)
  }
  if (o === undefined) {
    o = Math.floor((input + 2 * (before ?? 0) - extent) / s) + 1
    if (o < 1) throw wrong(`a window of ${extent} does not fit an input of ${input}`)
  }
  const needed = (o - 1) * s + extent - input
  before ??= Math.max(0, Math.floor(needed / 2))
  const after = Math.max(0, needed - before)
  if (before >= extent || after >= extent) throw wrong(`o${own}${o} takes a whole window of padding`)
  if (Math.floor((input + before + after - extent) / s) + 1 !== o) {
    throw wrong(`i${own}${input} gives more than o${own}${o}`)
  }
  return { i: input, o, k, s, d, before, after }
}

/** The string of a problem, all that is usual left out; `describe()` writes the same without mb. */
export function formatProblem(p: Problem): string {
  const unless = (usual: number, h: string, height: number, w: string, width: number): string =>
    height === usual && width === usual ? '' : `${h}${height}${w}${width}`
  // No padding before but two or more behind: without the letters it would be shared out.
  const lopsided = (p.ph === 0 && p.pb > 1) || (p.pw === 0 && p.pr > 1)
  return (
    `mb${p.mb}${p.g > 1 ? `g${p.g}` : ''}ic${p.ic}ih${p.ih}iw${p.iw}oc${p.oc}oh${p.oh}ow${p.ow}` +
    `kh${p.kh}kw${p.kw}${unless(1, 'sh', p.sh, 'sw', p.sw)}${unless(1, 'dh', p.dh, 'dw', p.dw)}` +
    unless(lopsided ? -1 : 0, 'ph', p.ph, 'pw', p.pw)
  )
}

/** A file of problems: one a line, `#` begins a comment. */
export function parseShapes(text: string, file: string): Problem[] {
  const problems: Problem[] = []
  text.split('\n').forEach((line, i) => {
    const problem = line.replace(/#.*/, '').trim()
    if (problem === '') return
    try {
      problems.push(parseProblem(problem))
    } catch (error) {
      if (!(error instanceof KerneletError)) throw error
      throw new KerneletError(error.code, `${file}:${i + 1}: ${error.message}`)
    }
  })
  return problems
}

/** Multiply-adds of the whole batch, without those that would meet the padding (as benchdnn counts). */
export function countMacs(p: Problem): number {
  const rows = taps(p.ih, p.oh, p.kh, p.sh, p.dh, p.ph)
  const columns = taps(p.iw, p.ow, p.kw, p.sw, p.dw, p.pw)
  return p.mb * p.oc * (p.ic / p.g) * rows * columns
}

function taps(i: number, o: number, k: number, s: number, d: number, before: number): number {
  let count = 0
  for (let y = 0; y < o; y++) {
    for (let t = 0; t < k; t++) {
      const at = y * s + t * d - before
      if (at >= 0 && at < i) count++
    }
  }
  return count
}

/** Floats of a problem's operands, the batch included. */
export function countFloats(p: Problem): { input: number; output: number; weight: number; bias: number } {
  return {
    input: p.mb * p.ic * p.ih * p.iw,
    output: p.mb * p.oc * p.oh * p.ow,
    weight: p.oc * (p.ic / p.g) * p.kh * p.kw,
    bias: p.oc,
  }
}
