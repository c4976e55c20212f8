/** Colour to grey. */
import type { Gray, Pixels } from './pixels.ts'

/**
 * Alpha onto white, then luma by Rec. 601 (0.299 R + 0.587 G + 0.114 B), in fixed point: the weights scanners
 * and image libraries use for "grey". White strokes on a transparent ground would vanish on white, so where
 * nothing is to be seen there the picture is laid onto black instead.
 */
export function toLuma(pixels: Required<Pixels>): Gray {
  const { channels, width, height } = pixels
  if (channels === 1) return { data: new Uint8Array(pixels.data), width, height }
  const onWhite = composite(pixels, 255)
  if (channels % 2 === 1 || contrast(onWhite) >= 24) return onWhite
  const onBlack = composite(pixels, 0)
  return contrast(onBlack) > contrast(onWhite) ? onBlack : onWhite
}

function composite({ data, width, height, channels }: Required<Pixels>, ground: number): Gray {
  // One kind of array, whatever came: the loops below stay fast.
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length)
  const out = new Uint8Array(width * height)
  if (channels >= 3) weigh(bytes, channels, out)
  else pick(bytes, channels, 0, out)
  if (channels % 2 === 0) blend(out, bytes, channels, ground)
  return { data: out, width, height }
}

function weigh(bytes: Uint8Array, channels: number, out: Uint8Array): void {
  // The weights add up to 256.
  for (let i = 0, p = 0; i < out.length; i++, p += channels) {
    out[i] = (77 * (bytes[p] ?? 0) + 150 * (bytes[p + 1] ?? 0) + 29 * (bytes[p + 2] ?? 0) + 128) >> 8
  }
}

function pick(bytes: Uint8Array, channels: number, channel: number, out: Uint8Array): void {
  for (let i = 0, p = channel; i < out.length; i++, p += channels) out[i] = bytes[p] ?? 0
}

/** The last of the channels is alpha. */
function blend(luma: Uint8Array, bytes: Uint8Array, channels: number, ground: number): void {
  for (let i = 0, p = channels - 1; i < luma.length; i++, p += channels) {
    const a = bytes[p] ?? 0
    luma[i] = ((luma[i] ?? 0) * a + ground * (255 - a) + 127) / 255
  }
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
