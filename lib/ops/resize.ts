/** Planes made larger or smaller: the operations that `interpolate` and ONNX's Resize are made of. */
import type { Coordinates, Rounding } from '../backend/backend.ts'
import { apply } from '../graph/apply.ts'
import { type Operation, operation, type Told } from '../graph/definition.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { imageDims, imageMisfit, imageRank } from './window.ts'

const resizing = {
  title: 'Upsample',
  rank: imageRank,
  keepsUnits: true,
  derived: (operation: Operation, input: readonly number[], shape: readonly number[]) => {
    const [, ...from] = input
    const [, ...size] = shape
    const by = size.map((side, d) => side / (from[d] ?? 1))
    const [first = 1, second = 1] = operation.coordinates === 'step' ? by.map((one) => 1 / one) : by
    const scales: [number, number] = size.length === 1 ? [1, first] : [first, second]
    return { size, scales, ...imageDims(operation, input) }
  },
  own: ({ size }: Told<'size'>, [channels = 1]: readonly number[]) => [channels, ...size],
  misfit: imageMisfit,
} as const

const nearest = operation('upsampleNearest2d', {
  needs: ['size', 'scales', 'coordinates', 'rounding'],
  takes: ['dims'],
  defaults: { coordinates: 'asymmetric', rounding: 'floor' },
  ...resizing,
})

const bilinear = operation('upsampleBilinear2d', {
  needs: ['size', 'scales', 'coordinates'],
  takes: ['dims'],
  defaults: { coordinates: 'asymmetric' },
  ...resizing,
})

/** How an image is resized: [oh, ow], or [ol] of [c, l]; `scales` of height and width, of [c, l] [1, of the length]. */
export interface Resizing {
  readonly size: readonly number[]
  readonly scales: [number, number]
  readonly coordinates: Coordinates
  /** The nearest pixel, by this; else between pixels. */
  readonly rounding?: Rounding | undefined
}

export function resize(x: Tensor, { size, scales, coordinates, rounding }: Resizing): Tensor {
  const told = { size, scales, coordinates, dims: size.length === 1 ? (1 as const) : (2 as const) }
  return apply(rounding === undefined ? bilinear(told) : nearest({ ...told, rounding }), [x])
}
