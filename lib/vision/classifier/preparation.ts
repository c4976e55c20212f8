/** Preparation: how a picture becomes the values that a network takes. Plain data, which other threads can follow. */

import { itemsOf } from '../../util/check.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { FIELD } from '../digits/field.ts'

/** What `fit` may be. */
export const fits = ['digit', 'crop', 'pad', 'stretch'] as const
/** What `colour` may be. */
export const colours = ['grey', 'rgb', 'bgr'] as const

/** How a picture is brought to the form that a network was trained on. */
export interface Preparation {
  /**
   * How a picture comes to the network's size.
   *
   * - `digit`: as MNIST was made. Ink is told from paper, one sign is cut out, its longer side comes to 20 pixels,
   *   its centre of mass to the middle of 28×28: paper 0, full ink 1.
   * - `crop`: the largest part in the middle that has the network's proportions
   * - `pad`: all of it, with black margins
   * - `stretch`: all of it, its proportions changed
   */
  fit: (typeof fits)[number]
  /** The order of the channels; `grey` has one. */
  colour: (typeof colours)[number]
  /** Of the network's input, in pixels. */
  height: number
  width: number
  /** Taken off each channel, whose values are 0 … 1. */
  mean: readonly number[]
  /** What is left is divided by this. */
  std: readonly number[]
}

/** The parts of a preparation as they are given, or stand in the metadata of weights. */
export interface PreparationParts {
  fit?: (typeof fits)[number] | undefined
  colour?: (typeof colours)[number] | undefined
  mean?: number | readonly number[] | undefined
  std?: number | readonly number[] | undefined
}

/**
 * The preparation for images of `shape`, parts that are left out by what the shape suggests: `digit` for 1×28×28,
 * else `crop`; `grey` for one channel, else `rgb`; no mean, a deviation of 1.
 *
 * @throws KerneletError `ERR_ARGUMENT` for a part that is none or does not go with the shape; `ERR_SHAPE` for a shape
 *   that no picture has
 */
export function preparationFor(
  who: string,
  shape: readonly number[],
  { fit, colour, mean, std }: PreparationParts,
): Preparation {
  const [channels, height, width] = shape
  if (shape.length !== 3 || (channels !== 1 && channels !== 3) || !height || !width) {
    throw new KerneletError(
      'ERR_SHAPE',
      `${who}: expected a network of images, 1×height×width or 3×height×width, but it takes ${shape.join('×')}`,
    )
  }
  const isDigit = channels === 1 && height === FIELD && width === FIELD
  const chosen = oneOf(fit ?? (isDigit ? 'digit' : 'crop'), fits, `${who}: fit`)
  if (chosen === 'digit' && !isDigit) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: fit 'digit' makes images of 1×${FIELD}×${FIELD} but the network takes ${shape.join('×')}`,
    )
  }
  const order = oneOf(colour ?? (channels === 1 ? 'grey' : 'rgb'), colours, `${who}: colour`)
  if ((order === 'grey') !== (channels === 1)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: colour ${show(order)} does not go with a network that takes ${shape.join('×')}`,
    )
  }
  return {
    fit: chosen,
    colour: order,
    height,
    width,
    mean: perChannel(mean ?? 0, channels, `${who}: mean`, false),
    std: perChannel(std ?? 1, channels, `${who}: std`, true),
  }
}

/** @throws KerneletError `ERR_ARGUMENT` for what is none of the words */
export function oneOf<T extends string>(value: unknown, words: readonly T[], what: string): T {
  const found = words.find((word) => word === value)
  if (found !== undefined) return found
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${what} must be ${words.map((word) => `'${word}'`).join(', ')} but is ${show(value)}`,
  )
}

/** A number for all channels, or one for each. */
function perChannel(value: unknown, channels: number, what: string, above0: boolean): number[] {
  const given = typeof value === 'number' ? [value] : itemsOf(value, 4)
  const fit = given?.every((one) => typeof one === 'number' && Number.isFinite(one) && (!above0 || one > 0))
  if (!given || !fit || (given.length !== 1 && given.length !== channels)) {
    const kind = above0 ? 'a number above 0' : 'a number'
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${what} must be ${kind}, or ${channels} of them, one a channel, but is ${show(value)}`,
    )
  }
  return Array.from({ length: channels }, (_, c) => (given.length === 1 ? given[0] : given[c]) as number)
}
