/** Colour to grey. */
import type { Gray, Pixels } from './pixels.ts'

/**
 * Alpha onto white, then luma by Rec. 601 (0.299 R + 0.587 G + 0.114 B), in fixed point: the weights scanners
 * and image libraries use for "grey". White strokes on a transparent ground would vanish on white, so where
 * nothing is to be seen there the picture is laid onto black instead.
 */
export function toLuma(pixels: Required<Pixels>): Gray {
  const { channels, width, height } = pixels
  if (channels === 1) return { data: Uint8Array.from(pixels.data), width, height }
  const onWhite = composite(pixels, 255)
  if (channels % 2 === 1 || contrast(onWhite) >= 24) return onWhite
  const onBlack = composite(pixels, 0)
  return contrast(onBlack) > contrast(onWhite) ? onBlack : onWhite
}

function composite(pixels: Required<Pixels>, ground: number): Gray {
  const { data, width, height, channels } = pixels
  const out = new Uint8Array(width * height)
  const colour = channels >= 3
  const alpha = channels % 2 === 0
  for (let i = 0, p = 0; i < out.length; i++, p += channels) {
    // The weights add up to 256; each value is rounded once.
    const luma = colour ? (77 * data[p]! + 150 * data[p + 1]! + 29 * data[p + 2]! + 128) >> 8 : data[p]!
    if (alpha) {
      const a = data[p + channels - 1]!
      out[i] = (luma * a + ground * (255 - a) + 127) / 255
    } else {
      out[i] = luma
    }
  }
  return { data: out, width, height }
}

/** Lightest minus darkest. */
function contrast({ data }: Gray): number {
  let low = 255
  let high = 0
  for (const v of data) {
    if (v < low) low = v
    if (v > high) high = v
  }
  return high - low
}
