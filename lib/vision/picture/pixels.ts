/** Pictures in memory: what callers hand in, and the one-channel form the pipeline works on. */

import { types } from 'node:util'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { lengthOf } from '../../util/typed-array.ts'

/**
 * A decoded picture: rows from the top, `channels` bytes a pixel, as `sharp(…).raw()` and a canvas's
 * ImageData give it. 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha (alpha not premultiplied).
 */
export interface Pixels {
  data: Uint8Array | Uint8ClampedArray
  width: number
  height: number
  /** 1 to 4. Taken as 4 where it is left out, as in ImageData. */
  channels?: number
}

/** One byte a pixel. */
export interface Gray {
  data: Uint8Array
  width: number
  height: number
}

/** Part of a picture, in its pixels: left and top inclusive, measured from the upper left corner. */
export interface Box {
  x: number
  y: number
  width: number
  height: number
}

/** Pictures above this many pixels are refused before anything is allocated for them. */
export const MAX_PIXELS = 64_000_000

/** Bytes of a picture file: more than MAX_PIXELS pixels take with all their channels. */
export const largestFile: number = 2 ** 30

/**
 * @throws KerneletError ERR_ARGUMENT where a size is not a positive integer, ERR_UNSUPPORTED above
 *   `MAX_PIXELS`, ERR_SHAPE where the bytes do not fill width × height × channels exactly
 */
export function checkPixels(pixels: Pixels): asserts pixels is Required<Pixels> {
  const { data, width, height } = pixels
  const channels = pixels.channels ?? 4
  if (!types.isUint8Array(data) && !types.isUint8ClampedArray(data)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `Expected pixels.data to be a Uint8Array, Uint8ClampedArray or Buffer but received ${show(data)}`,
    )
  }
  checkSize('the picture', width, height)
  if (channels !== 1 && channels !== 2 && channels !== 3 && channels !== 4) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `Expected pixels.channels to be 1, 2, 3 or 4 but received ${show(channels)}`,
    )
  }
  const expected = width * height * channels
  const length = lengthOf(data)
  if (length !== expected) {
    throw new KerneletError(
      'ERR_SHAPE',
      `Expected ${expected} bytes of pixels (${width}×${height}, channels ${channels}) but received ${length}`,
    )
  }
}

/** @throws KerneletError ERR_ARGUMENT, ERR_UNSUPPORTED above `most` pixels */
export function checkSize(what: string, width: number, height: number, most: number = MAX_PIXELS): void {
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `Expected the size of ${what} in pixels, whole numbers from 1, but received ${show(width)}×${show(height)}`,
    )
  }
  if (width * height > most) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `Expected at most ${most / 1e6} megapixels but ${what} has ${width}×${height}, ` +
        `${((width * height) / 1e6).toFixed(1)} megapixels; make it smaller first`,
    )
  }
}
