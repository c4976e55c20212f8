/** Where on the drawing lies what a network takes. */
import { type Mark, SIDE } from './pad.ts'
import type { Region } from './receptive-field.ts'
import type { Activations, Box, Network } from './types.ts'

/** A part of the input as a part of the drawing. */
export function markOf({ info }: Network, { boxes, values }: Activations, field: Region): Mark {
  const [, height = 1, width = 1] = info.input.shape
  const [box] = boxes
  const image = values[0]
  const mark = (scale: number, x: number, y: number): Mark => ({
    x: x + field.left * scale,
    y: y + field.top * scale,
    width: (field.right - field.left + 1) * scale,
    height: (field.bottom - field.top + 1) * scale,
  })
  if (info.input.fit !== 'digit' || !box || !image) return mark(1 / width, 0, 0)
  // the ink's longer side was brought to 20 pixels
  const { x, y } = box as Box
  const scale = Math.max(box.width, box.height) / 20 / SIDE
  const ground = Math.min(...image)
  let [left, top] = [width, height]
  for (const [i, value] of image.entries()) {
    if (value - ground < 0.1) continue
    left = Math.min(left, i % width)
    top = Math.min(top, Math.floor(i / width))
  }
  return mark(scale, x / SIDE - left * scale, y / SIDE - top * scale)
}
