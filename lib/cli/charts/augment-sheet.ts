/** A picture of images beside variations of them: what `train --augment` sees. */

import { augment, handwriting } from '../../data/augment.ts'
import type { Dataset } from '../../data/dataset.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { encodePng } from '../../vision/picture/png-encode.ts'

const [rows, variations, border] = [12, 15, 1]

/**
 * A row for each of some images, spread over the data: the image, and what becomes of it in one epoch after
 * another. The first channel, in grey.
 *
 * @returns a PNG
 */
export function augmentSheet(data: Dataset, seed: number): Uint8Array {
  const [, height = 1, width = 1] = data.shape
  const zoom = Math.max(1, Math.round(48 / Math.max(height, width)))
  const cell = { width: width * zoom + border, height: height * zoom + border }
  const count = Math.min(rows, data.length)
  const sheet = new Uint8Array(cell.width * (variations + 1) * cell.height * count).fill(90)
  for (let row = 0; row < count; row++) {
    const index = Math.floor((row * data.length) / count)
    const bytes = data.image(index)
    const image = bytes instanceof Uint8Array ? Float32Array.from(bytes, (byte) => byte / 255) : bytes.slice()
    const plain = new Tensor(image, [1, ...data.shape])
    for (let column = 0; column <= variations; column++) {
      const seen = column === 0 ? plain : augment(plain, handwriting, { seed, epoch: column - 1, index })
      for (let y = 0; y < height * zoom; y++) {
        const from = Math.floor(y / zoom) * width
        const to = (row * cell.height + y) * cell.width * (variations + 1) + column * cell.width
        for (let x = 0; x < width * zoom; x++) {
          const level = seen.data[from + Math.floor(x / zoom)] ?? 0
          sheet[to + x] = 255 * Math.max(0, Math.min(1, level))
        }
      }
    }
  }
  return encodePng({
    width: cell.width * (variations + 1),
    height: cell.height * count,
    channels: 1,
    data: sheet,
  })
}
