/** Transposed convolution, over one to three dimensions. */
import { convTranspose1d, convTranspose2d } from '../../../ops/index.ts'
import { formatShape, windowExtent } from '../../../tensor/shape.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { layer } from '../slots.ts'
import type { Read } from '../value.ts'
import { planar, type Window } from './planar.ts'
import { convTranspose3d } from './volume.ts'
import { convolutionAs, lastOf, linear, operandsOf, place, readWindow } from './window.ts'

const ConvTranspose: Read = (node) => {
  const attributes = readWindow(node)
  const groups = node.int('group', 1)
  const [more, sides] = [node.ints('output_padding'), node.ints('output_shape')]
  return (inputs) => {
    const { x, weight, bias, kernel } = operandsOf(node, attributes, inputs)
    const image = x.shape.slice(2)
    const { autoPad } = attributes
    const named = { ...attributes, autoPad: autoPad === 'NOTSET' ? autoPad : 'VALID' }
    const window = place(node, named, kernel, image)
    const added = numbersFor(node, 'output_padding', more, image) ?? image.map(() => 0)
    const asked = outputSides(node, sides, autoPad, window, image)
    const { after, before, outputPadding } = asked
      ? padsFor(asked, autoPad, window, image, added)
      : { ...window, outputPadding: added }
    const all = { ...window, before, after }
    if (x.shape.length === 5) return convTranspose3d(node, x, weight, bias, all, outputPadding, groups)
    const [first = 0, second = 0] = outputPadding
    return x.shape.length === 3
      ? convTranspose1d(x, weight, bias, { ...linear(all), groups, outputPadding: first })
      : convTranspose2d(x, weight, bias, { ...planar(all), groups, outputPadding: [first, second] })
  }
}

/** An attribute with a number for each dimension. */
function numbersFor(
  node: OnnxNode,
  name: string,
  values: number[] | undefined,
  image: readonly number[],
): number[] | undefined {
  if (values === undefined) return undefined
  if (values.length === image.length && values.every((one) => one >= 0)) return values
  throw node.error(
    'ERR_SHAPE',
    `${name} [${values.join(', ')}] does not fit an image of ${formatShape(image)}`,
  )
}

/** The sides that an output must have, from which its padding follows; undefined: they follow from the padding. */
function outputSides(
  node: OnnxNode,
  given: number[] | undefined,
  autoPad: string,
  { stride }: Window,
  image: readonly number[],
): number[] | undefined {
  // some name batch and channels too
  const own = given && given.length > image.length ? given.slice(2) : given
  const sides = numbersFor(node, 'output_shape', own, image)
  if (sides || !autoPad.startsWith('SAME')) return sides
  return image.map((length, d) => length * (stride[d] ?? 1))
}

/** What is cut off so that the sides come out; where there is too little, zeros behind the last pixel. */
function padsFor(
  sides: readonly number[],
  autoPad: string,
  { kernel, stride, dilation }: Window,
  image: readonly number[],
  added: readonly number[],
): { before: number[]; after: number[]; outputPadding: number[] } {
  const totals = image.map((length, d) => {
    const extent = windowExtent(kernel[d] ?? 1, dilation[d] ?? 1)
    return (length - 1) * (stride[d] ?? 1) + extent + (added[d] ?? 0) - (sides[d] ?? 0)
  })
  const less = totals.map((total) => Math.floor(Math.max(total, 0) / 2))
  const more = totals.map((total) => Math.ceil(Math.max(total, 0) / 2))
  const upper = autoPad === 'SAME_UPPER'
  return {
    before: upper ? less : more,
    after: upper ? more : less,
    outputPadding: totals.map((total, d) => (added[d] ?? 0) + Math.max(-total, 0)),
  }
}

export const transposed: Family = {
  operators: {
    ConvTranspose: {
      read: ConvTranspose,
      isKernel: true,
      slot: (_node, index) => (index === 0 ? undefined : layer),
    },
  },
  writers: {
    convTranspose2d: convolutionAs('ConvTranspose', ({ outputPadding = [0, 0] }, flat) => ({
      output_padding: lastOf(outputPadding, flat),
    })),
  },
}
