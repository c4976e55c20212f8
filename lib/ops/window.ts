/** What convolutions and pools have in common: a window that slides over an image. */
import { type Attributes, type Operation, type Place, type Told, title } from '../graph/definition.ts'
import { size, windowExtent } from '../tensor/shape.ts'
import { KerneletError } from '../util/errors.ts'

/** What a window needs to be told. */
export const windowNeeds = ['kernelSize', 'stride', 'padding', 'dilation'] as const

/** What they are where a graph leaves them out: the window of one pixel. */
export const windowDefaults: Required<Pick<Attributes, (typeof windowNeeds)[number]>> = {
  kernelSize: [1, 1],
  stride: [1, 1],
  dilation: [1, 1],
  padding: [0, 0, 0, 0],
}

/** An image of two dimensions is [channels, length]. */
export function imageDims(_: Operation, input: readonly number[]): { dims?: 1 } {
  return input.length === 2 ? { dims: 1 } : {}
}

/** Dimensions of one image: channels, and those the window slides along. */
export function imageRank({ dims = 2 }: Operation): number {
  return dims + 1
}

/** `MaxPool2d`, of [channels, length] `MaxPool1d`. */
export function titled(name: string): (operation: Operation) => string {
  return ({ dims = 2 }) => `${name}${dims}d`
}

/** That an input has not the dimensions of an image. */
export function imageMisfit(
  operation: Operation,
  [input = []]: readonly (readonly number[])[],
  place: Place,
): string | undefined {
  if (input.length === imageRank(operation)) return undefined
  const flat = operation.dims === 1
  const form = flat ? '[channels, length]' : '[channels, height, width]'
  const hint =
    input.length === 2 && !flat && operation.weight?.shape[1] === 1 ? `; use [1, ${input.join(', ')}]` : ''
  return `${title(operation)} expects ${form} per image but receives ${place.origin(0)}${hint}`
}

/** That a window is larger than the image. */
export function windowMisfit(
  operation: Told<(typeof windowNeeds)[number]>,
  inputs: readonly (readonly number[])[],
  place: Place,
): string | undefined {
  const [, ...image] = inputs[0] ?? []
  const [height = 1, width = 1] = operation.dims === 1 ? [1, ...image] : image
  const [kh, kw] = operation.kernelSize
  const [dh, dw] = operation.dilation
  const [top, left, bottom, right] = operation.padding
  const [rows, columns] = [windowExtent(kh, dh), windowExtent(kw, dw)]
  const [paddedHeight, paddedWidth] = [height + top + bottom, width + left + right]
  if (rows <= paddedHeight && columns <= paddedWidth) return undefined
  const dilated = dh > 1 || dw > 1 ? ` (${rows}×${columns} with dilation)` : ''
  const isPadded = top + left + bottom + right > 0
  const padded = isPadded ? `${paddedHeight}×${paddedWidth} with padding, ` : ''
  return (
    `${title(operation)} has a window of ${kh}×${kw}${dilated}, larger than the ${height}×${width} image ` +
    `it receives (${padded}${place.origin(0)})`
  )
}

/** The groups of a convolution, 1 unless given, checked against its channels. */
export function groupsOf(
  who: string,
  inChannels: number,
  outChannels: number,
  given: number | undefined,
): number {
  const groups = size(given ?? 1, `${who}: groups`, 1)
  if (inChannels % groups === 0 && outChannels % groups === 0) return groups
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${who}: groups must divide ${inChannels} input and ${outChannels} output channels but is ${groups}`,
  )
}
