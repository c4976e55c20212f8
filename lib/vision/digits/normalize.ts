/** Any picture of a digit to the 28×28 form of MNIST. */

import { checkOptions, numberOf, objectOf } from '../../util/check.ts'
import { toLuma } from '../picture/luma.ts'
import { type Box, checkPixels, type Gray, type Pixels } from '../picture/pixels.ts'
import { type Reduced, reduce } from '../picture/reduce.ts'
import { evenBackground } from './background.ts'
import { components, dropSpecks } from './components.ts'
import { alongAxis, colourContrast } from './contrast.ts'
import { fitDigit, maximumToOne, placeByMass, standardize } from './field.ts'
import { cutOut, keepInk, threshold } from './ink.ts'
import { inkUp } from './polarity.ts'
import { digitLike, dropFrames, groupStrokes, type StrokeGroup } from './strokes.ts'

/** What was found in a picture, in the picture's pixels. */
export type NormalizedDigit =
  | { status: 'digit'; image: Float32Array; boxes: [Box] }
  | { status: 'no digit'; image: null; boxes: [] }
  | { status: 'several digits'; image: null; boxes: Box[] }

/** Pictures with a longer side than this are averaged down first: it is plenty for a digit, and saves time. */
const LONGEST = 1024

export interface NormalizeOptions {
  /** Of the training set, in units of the full ink level. Default 0. */
  mean?: number
  /** Default 1. */
  std?: number
}

/**
 * Prepares a picture for a network trained on MNIST, in the order in which MNIST was made: grey, ink up, paper
 * evened, threshold, specks dropped, one digit cut out, its longer side to 20 pixels, its centre of mass to the
 * middle of 28×28, its maximum to 1, then the training set's mean and deviation.
 *
 * @returns `image` is 784 values, row by row, paper 0 and full ink 1 before mean and deviation
 * @throws KerneletError ERR_ARGUMENT, ERR_SHAPE as `checkPixels`
 */
export function normalizeDigit(pixels: Pixels, options: NormalizeOptions = {}): NormalizedDigit {
  checkOptions('normalizeDigit', options, ['mean', 'std'])
  const mean = numberOf(options.mean ?? 0, 'normalizeDigit: mean')
  const std = numberOf(options.std ?? 1, 'normalizeDigit: std')
  objectOf(pixels, 'normalizeDigit: pixels')
  const picture = { ...pixels, channels: pixels.channels ?? 4 }
  checkPixels(picture)
  return normalizeReduced(reduce(picture, digitReduction), mean, std)
}

/** To which a picture is made smaller. */
export function digitReduction(width: number, height: number): number {
  return Math.ceil(Math.max(width, height) / LONGEST)
}

/** Colours that vary this much more than grey does are where the ink is to be looked for … */
const SURELY = 3
/** … and so much more where grey shows none. */
const PERHAPS = 1.2

/** `normalizeDigit` for a picture that may have been made smaller. */
export function normalizeReduced(picture: Reduced, mean: number, std: number): NormalizedDigit {
  const { pixels } = picture
  const contrast = colourContrast(pixels)
  const byColour = (least: number) =>
    contrast && contrast.gain >= least
      ? findDigit(alongAxis(pixels, contrast), picture, mean, std)
      : undefined
  const surely = byColour(SURELY)
  if (surely?.image) return surely
  const byGrey = findDigit(toLuma(pixels), picture, mean, std)
  if (byGrey.status !== 'no digit') return byGrey
  return surely ?? byColour(PERHAPS) ?? byGrey
}

/** @param levels of the pixels, ink on either side of its paper */
function findDigit(
  levels: Gray,
  { width, height, factor }: Reduced,
  mean: number,
  std: number,
): NormalizedDigit {
  const gray = evenBackground(inkUp(levels))
  const split = threshold(gray)
  if (!split) return { status: 'no digit', image: null, boxes: [] }
  const ink = keepInk(gray, split)
  const pieces = dropSpecks(dropFrames(components(ink), ink.width, ink.height))
  const digits = digitLike(groupStrokes(pieces), ink.width, ink.height)
  const boxOf = ({ left, top, right, bottom }: StrokeGroup): Box => ({
    x: left * factor,
    y: top * factor,
    width: Math.min(width, right * factor) - left * factor,
    height: Math.min(height, bottom * factor) - top * factor,
  })
  if (digits.length > 1) return { status: 'several digits', image: null, boxes: digits.map(boxOf) }
  const digit = digits[0]
  if (!digit) return { status: 'no digit', image: null, boxes: [] }
  const image = standardize(maximumToOne(placeByMass(fitDigit(cutOut(ink, digit.pieces)))), mean, std)
  return { status: 'digit', image, boxes: [boxOf(digit)] }
}
