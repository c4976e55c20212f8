/** Images sampled at places that are computed: GridSample, RoiAlign, AffineGrid. */
import { add, mul } from '../../../ops/index.ts'
import { elements, formatShape, sameShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { picked } from '../pieces.ts'
import {
  arrayOf,
  indicesOf,
  integersOf,
  isSymbolic,
  type Read,
  type Run,
  required,
  tensorOf,
  type Value,
} from '../value.ts'
import { sampledAt } from './computed-places.ts'
import { onlyOneImage } from './rearrange.ts'
import { reshaped } from './shape.ts'

/** A pixel of one dimension and what it counts; below 0: outside, a zero. */
interface Tap {
  readonly at: number
  readonly share: number
}

/** How a place between the pixels of one dimension is made of them. */
type Sample = (place: number, size: number) => Tap[]

/** A place that is outside thrown back at the edges, which lie at `low` and `high`, as often as it takes. */
function reflected(place: number, low: number, high: number): number {
  if (place >= low && place <= high) return place
  const range = high - low
  if (!(range > 0) || !Number.isFinite(place)) return low
  const over = place < low ? low - place : place - high
  const times = Math.trunc(over / range)
  const rest = over - times * range
  return place < low === (times % 2 === 0) ? low + rest : high - rest
}

/** A half goes to the even one, as the processor rounds. */
function toEven(value: number): number {
  const low = Math.floor(value)
  const part = value - low
  return part > 0.5 || (part === 0.5 && low % 2 !== 0) ? low + 1 : low
}

/** Shares of four pixels at a distance of 0 to 1 behind the second one, PyTorch's: a is −0.75. */
function cubicShares(t: number): number[] {
  const a = -0.75
  const near = (x: number) => ((a + 2) * x - (a + 3)) * x * x + 1
  const far = (x: number) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
  return [far(t + 1), near(t), near(1 - t), far(2 - t)]
}

interface Sampler {
  readonly kind: number
  readonly padding: string
  readonly corners: boolean
}

function attributesOf(node: OnnxNode): Sampler {
  const modes = node.opset < 20 ? ['bilinear', 'nearest', 'bicubic'] : ['linear', 'nearest', 'cubic']
  const mode = node.text('mode', modes[0] as string)
  const padding = node.text('padding_mode', 'zeros')
  const corners = node.flag('align_corners', false)
  const kind = modes.indexOf(mode)
  if (kind < 0) throw node.unsupported(`attribute mode=${mode} is not supported`)
  if (!['zeros', 'border', 'reflection'].includes(padding)) {
    throw node.unsupported(`attribute padding_mode=${padding} is not supported`)
  }
  return { kind, padding, corners }
}

function samplerOf({ kind, padding, corners }: Sampler): Sample {
  const edges = (size: number): [number, number] => (corners ? [0, size - 1] : [-0.5, size - 0.5])
  const pixel = (at: number, size: number): number => {
    if (at >= 0 && at < size) return at
    if (padding === 'zeros') return -1
    if (padding === 'border') return at < 0 ? 0 : size - 1
    return Math.min(Math.max(Math.trunc(reflected(at, ...edges(size))), 0), size - 1)
  }
  return (given, size) => {
    // from −1 … 1 to pixels
    let place = Math.fround(
      corners ? ((given + 1) / 2) * (size - 1) : (Math.fround(Math.fround(given + 1) * size) - 1) / 2,
    )
    if (!Number.isFinite(place)) place = -1e6
    if (kind === 1) place = toEven(place)
    const [low, high] = edges(size)
    if (place < low || place > high) {
      // Of four pixels each goes to the edge by itself.
      if (padding === 'border' && kind !== 2) place = Math.min(Math.max(place, 0), size - 1)
      if (padding === 'reflection') place = reflected(place, low, high)
    }
    if (kind === 1) return [{ at: pixel(Math.trunc(place), size), share: 1 }]
    const first = Math.floor(place)
    const t = place - first
    if (kind === 0) {
      return [
        { at: pixel(first, size), share: 1 - t },
        { at: pixel(first + 1, size), share: t },
      ]
    }
    return cubicShares(t).map((share, i) => ({ at: pixel(first - 1 + i, size), share }))
  }
}

const GridSample: Read = (node) => {
  const attributes = attributesOf(node)
  const sample = samplerOf(attributes)
  return (inputs, run) => {
    const [value, given] = [required(node, inputs, 0), required(node, inputs, 1)]
    const [n = 0, c = 0, ...image] = value.shape
    const rank = image.length
    // four neighbours of each place have no form as a sum along one dimension, then another
    const isComputed = isSymbolic(given) && isSymbolic(value) && rank === 2 && attributes.kind !== 2
    const grid = isComputed ? given : arrayOf(node, given, 'the grid')
    if (rank < 1 || grid.shape.length !== rank + 2 || grid.shape[0] !== n || grid.shape.at(-1) !== rank) {
      throw node.error(
        'ERR_SHAPE',
        `a grid of ${formatShape(grid.shape)} does not go with ${formatShape(value.shape)}`,
      )
    }
    if (Tensor.is(grid))
      return sampledAt(node, tensorOf(value), grid, { ...attributes, nearest: attributes.kind === 1 })
    const sides = grid.shape.slice(1, -1)
    if (isSymbolic(value)) return sampled(node, value, grid, sample, run)
    const x = arrayOf(node, value)
    const result = nd.allocate(x.type, [n, c, ...sides])
    const [places, area] = [elements(sides), elements(image)]
    spend(n * places * 4 ** rank * (c + 16))
    for (let at = 0; at < n * places; at++) {
      const taps = tapsAt(grid, at, image, sample).filter((tap) => tap.at >= 0)
      const [image0, place] = [Math.floor(at / places) * c, at % places]
      for (let k = 0; k < c; k++) {
        const plane = (image0 + k) * area
        let sum = 0
        for (const tap of taps) sum += tap.share * Number(x.values[plane + tap.at])
        result.values[(image0 + k) * places + place] = sum
      }
    }
    return result
  }
}

/** The pixels of an image that place `at` of a grid is made of, as many for each. */
function tapsAt(grid: nd.NdArray, at: number, image: readonly number[], sample: Sample): Tap[] {
  const rank = image.length
  const strides = nd.stridesOf(image)
  let taps: Tap[] = [{ at: 0, share: 1 }]
  for (const [d, size] of image.entries()) {
    // the last dimension comes first
    const own = sample(Number(grid.values[at * rank + rank - 1 - d]), size)
    const stride = strides[d] ?? 0
    taps = taps.flatMap((tap) =>
      own.map((one) => ({
        at: tap.at < 0 || one.at < 0 ? -1 : tap.at + one.at * stride,
        share: tap.share * one.share,
      })),
    )
  }
  return taps
}

/** The same of a trace, by a grid that is known: pixels in their places, times their shares, added up. */
function sampled(node: OnnxNode, value: Value, grid: nd.NdArray, sample: Sample, run: Run): Value {
  onlyOneImage(node, run)
  const [, c = 0, ...image] = value.shape
  const sides = grid.shape.slice(1, -1)
  const places = elements(sides)
  spend(places * 4 ** image.length * 16)
  const taps = Array.from({ length: places }, (_, at) => tapsAt(grid, at, image, sample))
  const flat = reshaped(node, value, [1, c, elements(image)])
  const [first = []] = taps
  const sums = first.map((_, k) => {
    const own = taps.map((each) => each[k] as Tap)
    const pixels = tensorOf(
      picked(
        node,
        flat,
        2,
        own.map(({ at }) => at),
      ),
      node,
    )
    if (first.length === 1) return pixels
    return mul(
      pixels,
      new Tensor(
        Float32Array.from(own, ({ share }) => share),
        [1, 1, places],
      ),
    )
  })
  return reshaped(
    node,
    sums.reduce((sum, one) => add(sum, one)),
    [1, c, ...sides],
  )
}

/** A grid for GridSample from an affine map of the result's places to the image's. */
const AffineGrid: Read = (node) => {
  const corners = node.flag('align_corners', false)
  return (inputs) => {
    const theta = arrayOf(node, required(node, inputs, 0))
    const size = integersOf(node, required(node, inputs, 1), 'the size') as number[]
    const [n = 0, , ...sides] = size
    const rank = sides.length
    if ((rank !== 2 && rank !== 3) || !sameShape(theta.shape, [n, rank, rank + 1])) {
      throw node.error(
        'ERR_SHAPE',
        `theta of ${formatShape(theta.shape)} does not go with the size [${size}]`,
      )
    }
    const result = nd.allocate(theta.type, [n, ...sides, rank])
    const places = elements(sides)
    spend(n * places * rank * rank)
    const strides = nd.stridesOf(sides)
    const coordinate = (i: number, length: number) => {
      if (!corners) return (2 * i + 1) / length - 1
      return length === 1 ? 0 : (2 * i) / (length - 1) - 1
    }
    for (let at = 0; at < n * places; at++) {
      const place = at % places
      // x, y, z: the last dimension comes first
      const from = sides
        .map((length, d) => coordinate(Math.floor(place / (strides[d] ?? 1)) % length, length))
        .reverse()
      const matrix = Math.floor(at / places) * rank * (rank + 1)
      for (let row = 0; row < rank; row++) {
        const begin = matrix + row * (rank + 1)
        let sum = Number(theta.values[begin + rank])
        for (const [k, one] of from.entries()) sum += Number(theta.values[begin + k]) * one
        result.values[at * rank + row] = sum
      }
    }
    return result
  }
}

const RoiAlign: Read = (node) => {
  const largest = node.text('mode', 'avg') === 'max'
  const [height, width] = [node.int('output_height', 1), node.int('output_width', 1)]
  const ratio = node.int('sampling_ratio', 0)
  const scale = node.float('spatial_scale', 1)
  const halfPixel =
    node.opset >= 16 && node.text('coordinate_transformation_mode', 'half_pixel') === 'half_pixel'
  if (!(height >= 1 && width >= 1 && ratio >= 0)) {
    throw node.error('ERR_FORMAT', `output of ${height}×${width} by ${ratio} samples`)
  }
  return (inputs) => {
    const x = arrayOf(node, required(node, inputs, 0))
    const rois = arrayOf(node, required(node, inputs, 1), 'the regions')
    const batch = indicesOf(node, required(node, inputs, 2), 'batch_indices')
    const [n = 0, c = 0, h = 0, w = 0] = x.shape
    const count = rois.shape[0] ?? 0
    if (x.shape.length !== 4 || !sameShape(rois.shape, [count, 4]) || batch.values.length !== count) {
      throw node.error(
        'ERR_SHAPE',
        `regions of ${formatShape(rois.shape)} and ${formatShape(batch.shape)} do not go with ${formatShape(x.shape)}`,
      )
    }
    const result = nd.allocate(x.type, [count, c, height, width])
    const offset = halfPixel ? 0.5 : 0
    for (let r = 0; r < count; r++) {
      const image = Number(batch.values[r])
      if (!(image >= 0 && image < n)) throw node.error('ERR_SHAPE', `there is no image ${image} of ${n}`)
      const edge = (i: number) => Number(rois.values[r * 4 + i]) * scale - offset
      const [left, top] = [edge(0), edge(1)]
      const least = halfPixel ? Number.NEGATIVE_INFINITY : 1
      const [across, down] = [Math.max(edge(2) - left, least), Math.max(edge(3) - top, least)]
      const [binWidth, binHeight] = [across / width, down / height]
      const columns = ratio > 0 ? ratio : Math.max(Math.ceil(binWidth), 0)
      const rows = ratio > 0 ? ratio : Math.max(Math.ceil(binHeight), 0)
      if (!Number.isFinite(columns * rows)) throw node.error('ERR_SHAPE', 'a region is not finite')
      spend(height * width * rows * columns * (4 * c + 16))
      for (let bin = 0; bin < height * width; bin++) {
        const [by, bx] = [Math.floor(bin / width), bin % width]
        const samples: Tap[][] = []
        for (let s = 0; s < rows * columns; s++) {
          const [iy, ix] = [Math.floor(s / columns), s % columns]
          const y = top + by * binHeight + ((iy + 0.5) * binHeight) / rows
          const z = left + bx * binWidth + ((ix + 0.5) * binWidth) / columns
          samples.push(between(y, z, h, w))
        }
        for (let k = 0; k < c; k++) {
          const plane = (image * c + k) * h * w
          const value = (tap: Tap) => tap.share * Number(x.values[plane + tap.at])
          let total = largest && samples.length > 0 ? Number.NEGATIVE_INFINITY : 0
          for (const taps of samples) {
            if (largest) {
              // as onnxruntime has it: the largest share of a pixel, not of a sample
              for (const tap of taps) total = Math.max(total, value(tap))
              if (taps.length === 0) total = Math.max(total, 0)
            } else for (const tap of taps) total += value(tap)
          }
          result.values[(r * c + k) * height * width + bin] = largest
            ? total
            : total / Math.max(rows * columns, 1)
        }
      }
    }
    return result
  }
}

/** The four pixels around a place; none where that is outside by more than one. */
function between(y: number, x: number, height: number, width: number): Tap[] {
  if (y < -1 || y > height || x < -1 || x > width) return []
  const along = (place: number, size: number): Tap[] => {
    const at = Math.max(place, 0)
    const first = Math.floor(at)
    if (first >= size - 1)
      return [
        { at: size - 1, share: 1 },
        { at: size - 1, share: 0 },
      ]
    return [
      { at: first, share: 1 - (at - first) },
      { at: first + 1, share: at - first },
    ]
  }
  const columns = along(x, width)
  return along(y, height).flatMap((row) =>
    columns.map((column) => ({ at: row.at * width + column.at, share: row.share * column.share })),
  )
}

export const sampling: Family = {
  operators: {
    AffineGrid,
    GridSample,
    RoiAlign,
  },
}
