/** A picture to what a network takes, as a Preparation says. */

import { digitReduction, normalizeReduced } from '../digits/normalize.ts'
import { type Channel, channelOf } from '../picture/channel.ts'
import type { Box } from '../picture/pixels.ts'
import type { Reduced, Reduction } from '../picture/reduce.ts'
import { resample } from '../picture/resample.ts'
import type { Preparation } from './preparation.ts'

/** What there is for the network to look at, in the picture's pixels. Without an image: `nothing`, or `several`. */
export type Prepared =
  | { found: 'one'; image: Float32Array; boxes: Box[] }
  | { found: 'nothing' | 'several'; image: null; boxes: Box[] }

/** By which factor a picture may be made smaller before it is prepared. */
export function reductionFor({ fit, width, height }: Preparation): Reduction {
  if (fit === 'digit') return digitReduction
  return (across, down) => {
    const scales = [across / width, down / height]
    // Twice the size that is needed: what is finer does not show in the mean of an area.
    const scale = fit === 'pad' ? Math.max(...scales) : Math.min(...scales)
    return Math.max(1, Math.floor(scale / 2))
  }
}

/** @returns `image`: channels × height × width values */
export function prepare(picture: Reduced, preparation: Preparation): Prepared {
  if (preparation.fit !== 'digit') return wholePicture(picture, preparation)
  const [mean = 0] = preparation.mean
  const [std = 1] = preparation.std
  const { status, image, boxes } = normalizeReduced(picture, mean, std)
  if (image) return { found: 'one', image, boxes }
  return { found: status === 'no digit' ? 'nothing' : 'several', image: null, boxes }
}

function wholePicture({ pixels, ...full }: Reduced, preparation: Preparation): Prepared {
  const { fit, colour, width, height, mean, std } = preparation
  const cut = (picture: Size) =>
    fit === 'crop' ? middleOf(picture, width, height) : { x: 0, y: 0, ...sizeOf(picture) }
  const inner = fit === 'pad' ? largestIn(width, height, full) : { width, height }
  const [left, top] = [(width - inner.width) >> 1, (height - inner.height) >> 1]
  const channels = order[colour]
  const image = new Float32Array(mean.length * width * height)
  for (const [c, offset] of mean.entries()) {
    const plane = image.subarray(c * width * height, (c + 1) * width * height)
    const deviation = std[c] ?? 1
    // A margin is black, as in the pictures a network learns from.
    plane.fill((0 - offset) / deviation)
    const values = resample(channelOf(pixels, channels[c] as Channel, cut(pixels)), inner.width, inner.height)
    for (let y = 0; y < inner.height; y++) {
      for (let x = 0; x < inner.width; x++) {
        plane[(top + y) * width + left + x] = ((values[y * inner.width + x] ?? 0) / 255 - offset) / deviation
      }
    }
  }
  return { found: 'one', image, boxes: [cut(full)] }
}

interface Size {
  width: number
  height: number
}

function sizeOf({ width, height }: Size): Size {
  return { width, height }
}

const order: Readonly<Record<Preparation['colour'], readonly Channel[]>> = {
  grey: ['grey'],
  rgb: ['red', 'green', 'blue'],
  bgr: ['blue', 'green', 'red'],
}

/** The largest part of a picture, in its middle, that has the proportions of width × height. */
function middleOf(picture: Size, width: number, height: number): Box {
  const part = largestIn(picture.width, picture.height, { width, height })
  return { ...part, x: (picture.width - part.width) >> 1, y: (picture.height - part.height) >> 1 }
}

/** The largest size within width × height that has the proportions of `of`, at least a pixel each way. */
function largestIn(width: number, height: number, of: Size): Size {
  const scale = Math.min(width / of.width, height / of.height)
  return {
    width: Math.min(width, Math.max(1, Math.round(of.width * scale))),
    height: Math.min(height, Math.max(1, Math.round(of.height * scale))),
  }
}
