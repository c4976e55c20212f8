/** Boxes of detectors. */
import { formatShape } from '../../../tensor/shape.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { int64 } from '../element.ts'
import type { Family } from '../operator.ts'
import { arrayOf, type Read, required, type Value } from '../value.ts'

/** [y1, x1, y2, x2], the smaller first, and the area. */
interface Box {
  readonly top: number
  readonly left: number
  readonly bottom: number
  readonly right: number
  readonly area: number
}

function boxOf(values: ArrayLike<number | bigint>, at: number, centred: boolean): Box {
  const [a, b, c, d] = [0, 1, 2, 3].map((i) => Number(values[at + i])) as [number, number, number, number]
  const [top, left, bottom, right] = centred
    ? [b - d / 2, a - c / 2, b + d / 2, a + c / 2]
    : [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)]
  return { top, left, bottom, right, area: (bottom - top) * (right - left) }
}

/** What two boxes share, as a part of what they cover together. */
function overlap(a: Box, b: Box): number {
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left)
  if (!(height > 0 && width > 0) || !(a.area > 0 && b.area > 0)) return 0
  return Math.fround((height * width) / (a.area + b.area - height * width))
}

/** Of the boxes of each class the best, and none that covers much of a better one: [image, class, box]. */
const NonMaxSuppression: Read = (node) => {
  const centred = node.flag('center_point_box', false)
  return (inputs) => {
    const boxes = arrayOf(node, required(node, inputs, 0), 'the boxes')
    const scores = arrayOf(node, required(node, inputs, 1), 'the scores')
    const [images = 0, count = 0, four] = boxes.shape
    const [, classes = 0] = scores.shape
    const fits = boxes.shape.length === 3 && scores.shape.length === 3 && four === 4
    if (!fits || scores.shape[0] !== images || scores.shape[2] !== count) {
      throw node.error(
        'ERR_SHAPE',
        `boxes of ${formatShape(boxes.shape)} do not go with scores of ${formatShape(scores.shape)}`,
      )
    }
    const number = (value: Value | undefined) => (value ? nd.first(arrayOf(node, value)) : undefined)
    const most = number(inputs[2]) ?? 0
    const threshold = number(inputs[3]) ?? 0
    const least = number(inputs[4]) ?? Number.NEGATIVE_INFINITY
    const chosen: number[] = []
    for (let image = 0; image < images; image++) {
      const all = Array.from({ length: count }, (_, i) =>
        boxOf(boxes.values, (image * count + i) * 4, centred),
      )
      spend(20 * count, 80 * count)
      for (let one = 0; one < classes; one++) {
        const score = (i: number) => Number(scores.values[(image * classes + one) * count + i])
        const order = [...all.keys()].filter((i) => score(i) > least)
        order.sort((a, b) => score(b) - score(a) || a - b)
        spend(20 * count * Math.ceil(Math.log2(count + 2)))
        const kept: number[] = []
        for (const i of order) {
          if (kept.length >= most) break
          spend(kept.length)
          if (kept.every((other) => overlap(all[i] as Box, all[other] as Box) <= threshold)) kept.push(i)
        }
        for (const i of kept) chosen.push(image, one, i)
      }
    }
    const result = nd.allocate(int64, [chosen.length / 3, 3])
    ;(result.values as BigInt64Array).set(chosen.map(BigInt))
    return result
  }
}

export const detection: Family = {
  operators: { NonMaxSuppression: { read: NonMaxSuppression, type: () => int64 } },
}
