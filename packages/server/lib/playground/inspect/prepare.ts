/** A drawing as the input of a network, by the preparation that its classifier has. */
import { normalizeDigit, type Pixels, type Preparation } from 'kernelet'

/** Bytes of a drawing: ink is high where there is one channel, red, green and blue where there are three. */
export type Drawing = Pixels & { channels: 1 | 3 }

export type Prepared =
  | { status: 'ready'; image: Float32Array; boxes: Box[] }
  | { status: 'nothing' | 'several'; boxes: Box[] }

interface Box {
  x: number
  y: number
  width: number
  height: number
}

export function prepare(drawing: Drawing, preparation: Preparation): Prepared {
  const { fit, mean, std } = preparation
  if (fit !== 'digit') return { status: 'ready', image: resized(drawing, preparation), boxes: [] }
  const { status, image, boxes } = normalizeDigit(drawing, { mean: mean[0] ?? 0, std: std[0] ?? 1 })
  if (status === 'digit') return { status: 'ready', image, boxes }
  return { status: status === 'no digit' ? 'nothing' : 'several', boxes }
}

/** The middle of the drawing in the network's proportions (all of it where it is stretched), averaged over areas. */
function resized(drawing: Drawing, { fit, colour, height, width, mean, std }: Preparation): Float32Array {
  const { data, channels } = drawing
  const scale = fit === 'crop' ? Math.min(drawing.width / width, drawing.height / height) : undefined
  const wide = scale === undefined ? drawing.width : scale * width
  const high = scale === undefined ? drawing.height : scale * height
  const left = (drawing.width - wide) / 2
  const top = (drawing.height - high) / 2
  const count = colour === 'grey' ? 1 : 3
  const image = new Float32Array(count * height * width)
  const columns = Array.from({ length: width }, (_, x) =>
    span(left + (x * wide) / width, wide / width, drawing.width),
  )
  // where green and blue lie behind red; the same byte in a drawing of ink
  const [green, blue] = channels === 3 ? [1, 2] : [0, 0]
  for (let y = 0; y < height; y++) {
    const [fromY, toY] = span(top + (y * high) / height, high / height, drawing.height)
    for (const [x, [fromX, toX]] of columns.entries()) {
      let [reds, greens, blues] = [0, 0, 0]
      for (let v = fromY; v < toY; v++) {
        const end = (v * drawing.width + toX) * channels
        for (let at = (v * drawing.width + fromX) * channels; at < end; at += channels) {
          reds += data[at] ?? 0
          greens += data[at + green] ?? 0
          blues += data[at + blue] ?? 0
        }
      }
      const area = 255 * (toY - fromY) * (toX - fromX)
      const write = (c: number, value: number): void => {
        image[(c * height + y) * width + x] = (value - (mean[c] ?? 0)) / (std[c] ?? 1)
      }
      if (colour === 'grey') write(0, (0.299 * reds + 0.587 * greens + 0.114 * blues) / area)
      else {
        write(0, (colour === 'rgb' ? reds : blues) / area)
        write(1, greens / area)
        write(2, (colour === 'rgb' ? blues : reds) / area)
      }
    }
  }
  return image
}

/** The pixels of a stretch, at least one. */
function span(from: number, length: number, size: number): [from: number, to: number] {
  const begin = Math.min(size - 1, Math.max(0, Math.floor(from)))
  return [begin, Math.min(size, Math.max(begin + 1, Math.ceil(from + length)))]
}
