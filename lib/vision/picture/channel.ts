/** A channel of a part of a picture. */
import type { Box, Gray, Pixels } from './pixels.ts'

/** Grey by the weights of `toLuma`, or one of red, green and blue. */
export type Channel = 'grey' | 'red' | 'green' | 'blue'

const places = { grey: 0, red: 0, green: 1, blue: 2 } as const

/** The channel's levels; what is transparent is white. A picture without colours has the same level in all. */
export function channelOf(picture: Required<Pixels>, channel: Channel, { x, y, width, height }: Box): Gray {
  const { channels } = picture
  // One kind of array, whatever came: the loop stays fast.
  const bytes = new Uint8Array(picture.data.buffer, picture.data.byteOffset, picture.data.length)
  const out = new Uint8Array(width * height)
  const weighed = channel === 'grey' && channels >= 3
  const place = channels >= 3 ? places[channel] : 0
  const hasAlpha = channels % 2 === 0
  for (let row = 0, i = 0; row < height; row++) {
    let p = ((y + row) * picture.width + x) * channels
    for (let column = 0; column < width; column++, i++, p += channels) {
      let level = bytes[p + place] ?? 0
      // The weights add up to 256.
      if (weighed) level = (77 * level + 150 * (bytes[p + 1] ?? 0) + 29 * (bytes[p + 2] ?? 0) + 128) >> 8
      if (hasAlpha) {
        const alpha = bytes[p + channels - 1] ?? 0
        level = (level * alpha + 255 * (255 - alpha) + 127) / 255
      }
      out[i] = level
    }
  }
  return { data: out, width, height }
}
