/**
 * Resizing by sums of neighbours, one dimension after another, each by a matrix that is known before the image: cubic,
 * smoothed, of a part of the image, and of any dimension.
 */
import type { Rounding } from '../../../backend/backend.ts'
import { add } from '../../../ops/index.ts'
import { cubic, type Resample, resampled, shares, triangle } from '../../../ops/resample.ts'
import { elements } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { spend } from '../budget.ts'
import type { OnnxNode } from '../node.ts'
import { keepBatch } from '../value.ts'

/** How a node resizes. */
export interface Way {
  readonly mode: 'nearest' | 'linear' | 'cubic'
  readonly coordinates: string
  readonly rounding: Rounding
  readonly antialias: boolean
  readonly dropOutside: boolean
  /** Of the cubic kernel. */
  readonly slope: number
  /** What is outside the image, where a part of it is taken that reaches beyond. */
  readonly beyond: number
}

/** One dimension: output over input, and what of it is taken. */
export interface Side {
  readonly scale: number
  readonly from: number
  readonly to: number
  readonly begin: number
  readonly end: number
}

/** Where element i of the result lies among those of the input, as onnxruntime rounds it. */
function placeOf({ coordinates }: Way, { scale, from, to, begin, end }: Side): (i: number) => number {
  const { fround } = Math
  const half = (i: number) => fround(fround((i + 0.5) / scale) - 0.5)
  switch (coordinates) {
    case 'asymmetric':
      return (i) => fround(i / scale)
    case 'pytorch_half_pixel':
      return to > 1 ? half : () => 0
    case 'align_corners':
      return (i) => (to === 1 ? 0 : fround((i * (from - 1)) / (to - 1)))
    case 'half_pixel_symmetric': {
      const offset = fround((from / 2) * (1 - to / (scale * from)))
      return (i) => fround(offset + half(i))
    }
    case 'tf_crop_and_resize':
      return (i) =>
        fround(
          to > 1
            ? begin * (from - 1) + (i * (end - begin) * (from - 1)) / (to - 1)
            : 0.5 * (begin + end) * (from - 1),
        )
    default:
      return half
  }
}

const nearestOf: Record<Rounding, (place: number) => number> = {
  floor: Math.floor,
  ceil: Math.ceil,
  round_prefer_floor: (place) => Math.ceil(place - 0.5),
  round_prefer_ceil: (place) => Math.floor(place + 0.5),
}

function resampleOf(way: Way, side: Side): Resample {
  const { from, to, scale } = side
  const where = placeOf(way, side)
  const isPart = way.coordinates === 'tf_crop_and_resize'
  const place = (i: number) => {
    const at = where(i)
    return isPart && !(at >= 0 && at <= from - 1) ? undefined : at
  }
  if (way.mode === 'nearest') {
    const pixel = (i: number) => {
      const at = place(i)
      return at === undefined ? undefined : Math.min(Math.max(nearestOf[way.rounding](at), 0), from - 1)
    }
    return { from, to, place: pixel, kernel: () => 1, reach: 0 }
  }
  const wider = way.antialias ? Math.max(1 / scale, 1) : 1
  return {
    from,
    to,
    place,
    ...(way.mode === 'linear' ? { kernel: triangle, reach: 1 } : { kernel: cubic(way.slope), reach: 2 }),
    wider,
    dropOutside: way.dropOutside,
  }
}

/** `x` with each of its sides resized. */
export function summed(node: OnnxNode, way: Way, x: Tensor, sides: readonly Side[]): Tensor {
  let result = x
  const outside: [axis: number, places: readonly number[]][] = []
  for (const [axis, side] of sides.entries()) {
    const { from, to, scale, begin, end } = side
    if (from === to && scale === 1 && begin === 0 && end === 1) continue
    keepBatch(node, x, axis)
    spend(8 * from * to, 8 * from * to)
    const how = resampleOf(way, side)
    const none = Array.from({ length: to }, (_, i) => i).filter((i) => how.place(i) === undefined)
    if (none.length > 0 && way.beyond !== 0) outside.push([axis, none])
    result = resampled(result, axis, shares(how), to)
  }
  return outside.length === 0 ? result : add(result, frame(result.shape, outside, way.beyond))
}

/** `value` where a place is outside along one of the axes, and zero elsewhere; the axes of others are 1. */
function frame(
  shape: readonly number[],
  outside: readonly (readonly [axis: number, places: readonly number[]])[],
  value: number,
): Tensor {
  const own = shape.map((size, d) => (outside.some(([axis]) => axis === d) ? size : 1))
  const count = elements(own)
  spend(count, 4 * count)
  const data = new Float32Array(count)
  for (const [axis, places] of outside) {
    const step = elements(own.slice(axis + 1))
    const size = own[axis] ?? 1
    const is = new Set(places)
    for (let at = 0; at < count; at++) if (is.has(Math.floor(at / step) % size)) data[at] = value
  }
  return new Tensor(data, own)
}
