/** A picture to what a network takes, as a Preparation says. */

import { normalizeDigit } from '../digits/normalize.ts'
import { type Channel, channelOf } from '../picture/channel.ts'
import { type Box, checkPixels, type Pixels } from '../picture/pixels.ts'
import { resample } from '../picture/resample.ts'
import type { Preparation } from './preparation.ts'

/** What there is for the network to look at, in the picture's pixels. Without an image: `nothing`, or `several`. */
export type Prepared =
  | { found: 'one'; image: Float32Array; boxes: Box[] }
  | { found: 'nothing' | 'several'; image: null; boxes: Box[] }

/**
 * @returns `image`: channels × height × width values
 * @throws KerneletError ERR_ARGUMENT, ERR_SHAPE, ERR_UNSUPPORTED as `checkPixels`
 */
export function prepare(pixels: Pixels, preparation: Preparation): Prepared {
  if (preparation.fit !== 'digit') return wholePicture(pixels, preparation)
  const [mean = 0] = preparation.mean
  const [std = 1] = preparation.std
  const { status, image, boxes } = normalizeDigit(pixels, { mean, std })
  if (image) return { found: 'one', image, boxes }
  return { found: status === 'no digit' ? 'nothing' : 'several', image: null, boxes }
}

function wholePicture(pixels: Pixels, preparation: Preparation): Prepared {
  const picture = { ...pixels, channels: pixels.channels ?? 4 }
  checkPixels(picture)
  const { fit, colour, width, height, mean, std } = preparation
  const whole = { x: 0, y: 0, width: picture.width, height: picture.height }
  const box = fit === 'crop' ? middleOf(whole, width, height) : whole
  const inner = fit === 'pad' ? largestIn(width, height, whole) : { width, height }
  const [left, top] = [(width - inner.width) >> 1, (height - inner.height) >> 1]
  const channels = order[colour]
  const image = new Float32Array(mean.length * width * height)
  for (const [c, offset] of mean.entries()) {
    const plane = image.subarray(c * width * height, (c + 1) * width * height)
    const deviation = std[c] ?? 1
    // A margin is black, as in the pictures a network learns from.
    plane.fill((0 - offset) / deviation)
    const values = resample(channelOf(picture, channels[c] as Channel, box), inner.width, inner.height)
    for (let y = 0; y < inner.height; y++) {
      for (let x = 0; x < inner.width; x++) {
        plane[(top + y) * width + left + x] = ((values[y * inner.width + x] ?? 0) / 255 - offset) / deviation
      }
    }
  }
  return { found: 'one', image, boxes: [box] }
}

const order: Readonly<Record<Preparation['colour'], readonly Channel[]>> = {
  grey: ['grey'],
  rgb: ['red', 'green', 'blue'],
  bgr: ['blue', 'green', 'red'],
}

/** The largest part of `whole`, in its middle, that has the proportions of width × height. */
function middleOf(whole: Box, width: number, height: number): Box {
  const part = largestIn(whole.width, whole.height, { width, height })
  return { ...part, x: (whole.width - part.width) >> 1, y: (whole.height - part.height) >> 1 }
}

/** The largest size within width × height that has the proportions of `of`, at least a pixel each way. */
function largestIn(
  width: number,
  height: number,
  of: { width: number; height: number },
): { width: number; height: number } {
  const scale = Math.min(width / of.width, height / of.height)
  return {
    width: Math.min(width, Math.max(1, Math.round(of.width * scale))),
    height: Math.min(height, Math.max(1, Math.round(of.height * scale))),
  }
}
