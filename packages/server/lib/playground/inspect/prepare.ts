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
  for (let y = 0; y < height; y++) {
    const [fromY, toY] = span(top + (y * high) / height, high / height, drawing.height)
    for (let x = 0; x < width; x++) {
      const [fromX, toX] = span(left + (x * wide) / width, wide / width, drawing.width)
      const sums = [0, 0, 0]
      for (let v = fromY; v < toY; v++) {
        for (let u = fromX; u < toX; u++) {
          for (let c = 0; c < 3; c++) {
            sums[c] =
              (sums[c] ?? 0) + (data[(v * drawing.width + u) * channels + (channels === 3 ? c : 0)] ?? 0)
          }
        }
      }
      const area = 255 * (toY - fromY) * (toX - fromX)
      const [red = 0, green = 0, blue = 0] = sums.map((sum) => sum / area)
      const values =
        colour === 'grey'
          ? [0.299 * red + 0.587 * green + 0.114 * blue]
          : colour === 'rgb'
            ? [red, green, blue]
            : [blue, green, red]
      for (const [c, value] of values.entries()) {
        image[(c * height + y) * width + x] = (value - (mean[c] ?? 0)) / (std[c] ?? 1)
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
