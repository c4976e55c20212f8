/** Which values a value is made of: in the step before it, and all the way down to the input. */
import type { Step } from './types.ts'

/** One value of a step; y and x are 0 where it has no height and width. */
export interface Place {
  step: number
  channel: number
  y: number
  x: number
}

/** Rows and columns, the last ones included; may begin below 0 and end beyond the edge, in the padding. */
export interface Region {
  top: number
  left: number
  bottom: number
  right: number
}

const elementwise = (step: Step, input: Step | undefined): boolean =>
  input !== undefined &&
  step.shape.length === input.shape.length &&
  step.shape.every((n, d) => n === input.shape[d])

/** Height and width of a step's maps. */
export function sidesOf({ shape }: Step): [height: number, width: number] {
  return shape.length === 3 ? [shape[1] ?? 1, shape[2] ?? 1] : [1, 1]
}

/** The place of the n-th value of a step. */
export function placeOf(steps: readonly Step[], step: number, index: number): Place {
  const [height, width] = sidesOf(steps[step] as Step)
  const channel = Math.floor(index / (height * width))
  const rest = index % (height * width)
  return { step, channel, y: Math.floor(rest / width), x: rest % width }
}

/** Where a place lies among a step's values. */
export function indexOf(steps: readonly Step[], { step, channel, y, x }: Place): number {
  const [height, width] = sidesOf(steps[step] as Step)
  return (channel * height + y) * width + x
}

/** The part of input number `k` of a step from which a part of the step is computed. */
export function regionBefore(steps: readonly Step[], step: number, region: Region, k = 0): Region {
  const own = steps[step] as Step
  const input = steps[own.inputs[k] ?? 0] as Step
  const [height, width] = sidesOf(input)
  if (own.window) {
    const { kernelSize, stride, padding, dilation } = own.window
    const first = (at: number, d: number): number => at * (stride[d] ?? 1) - (padding[d] ?? 0)
    const reach = (d: number): number => ((kernelSize[d] ?? 1) - 1) * (dilation[d] ?? 1)
    return {
      top: first(region.top, 0),
      left: first(region.left, 1),
      bottom: first(region.bottom, 0) + reach(0),
      right: first(region.right, 1) + reach(1),
    }
  }
  if (elementwise(own, input) && own.op !== 'softmax') return region
  if (own.op === 'pad' && own.shape.length === 3) {
    const [outHeight, outWidth] = sidesOf(own)
    const [down, along] = [(outHeight - height) / 2, (outWidth - width) / 2]
    const { top, left, bottom, right } = region
    return { top: top - down, left: left - along, bottom: bottom - down, right: right - along }
  }
  return { top: 0, left: 0, bottom: height - 1, right: width - 1 }
}

/**
 * The receptive field: the part of the input that a value can depend on, without the padding.
 *
 * @param steps step 0 is the input
 */
export function receptiveField(steps: readonly Step[], place: Place): Region {
  const input = steps[0] as Step
  const [height, width] = sidesOf(input)
  const regions = new Map<number, Region>([
    [place.step, { top: place.y, left: place.x, bottom: place.y, right: place.x }],
  ])
  for (let step = place.step; step > 0; step--) {
    const region = regions.get(step)
    if (!region) continue
    const own = steps[step] as Step
    for (const [k, before] of own.inputs.entries()) {
      // a flattened value is one of a map, and keeps its place
      const part =
        own.op === 'flatten' && step === place.step
          ? regionOf(placeOf(steps, before, place.channel))
          : regionBefore(steps, step, region, k)
      regions.set(before, union(regions.get(before), part))
    }
  }
  const { top, left, bottom, right } = regions.get(0) ?? {
    top: 0,
    left: 0,
    bottom: height - 1,
    right: width - 1,
  }
  return {
    top: Math.max(0, top),
    left: Math.max(0, left),
    bottom: Math.min(height - 1, bottom),
    right: Math.min(width - 1, right),
  }
}

function regionOf({ y, x }: Place): Region {
  return { top: y, left: x, bottom: y, right: x }
}

function union(a: Region | undefined, b: Region): Region {
  if (!a) return b
  return {
    top: Math.min(a.top, b.top),
    left: Math.min(a.left, b.left),
    bottom: Math.max(a.bottom, b.bottom),
    right: Math.max(a.right, b.right),
  }
}

/** A tap of a window: where its input lies (undefined: in the padding), and what stands there. */
export interface Tap {
  channel: number
  y: number
  x: number
  input: number
  /** 1 in pools. */
  weight: number
}

/**
 * What a value of a convolution, a pool or a linear layer is made of, in the order in which it is summed up.
 *
 * @returns undefined for other operations, and where not all of it was sent
 */
export function tapsOf(
  steps: readonly Step[],
  place: Place,
  values: readonly Float32Array[],
  weight: Float32Array | undefined,
): Tap[] | undefined {
  const own = steps[place.step] as Step
  const before = own.inputs[0] ?? 0
  const input = steps[before] as Step
  const data = values[before] ?? new Float32Array(0)
  if (own.op === 'linear' && weight) {
    const count = own.weight?.[1] ?? 0
    return Array.from({ length: count }, (_, channel) => ({
      channel,
      y: 0,
      x: 0,
      input: data[channel] ?? 0,
      weight: weight[place.channel * count + channel] ?? 0,
    }))
  }
  if (!own.window || input.shape.length !== 3) return undefined
  const isConvolution = own.op === 'conv2d'
  if (isConvolution && (!weight || !own.weight)) return undefined
  const { kernelSize, stride, padding, dilation } = own.window
  const [rows = 1, columns = 1] = kernelSize
  const [height, width] = sidesOf(input)
  const perGroup = isConvolution ? (own.weight?.[1] ?? 1) : 1
  const outputs = (own.shape[0] ?? 1) / (own.groups ?? 1)
  const first = isConvolution ? Math.floor(place.channel / outputs) * perGroup : place.channel
  if (first + perGroup > input.shown) return undefined
  const taps: Tap[] = []
  for (let c = 0; c < perGroup; c++) {
    if (own.table && !own.table[place.channel]?.includes(first + c)) continue
    for (let v = 0; v < rows; v++) {
      for (let u = 0; u < columns; u++) {
        const y = place.y * (stride[0] ?? 1) - (padding[0] ?? 0) + v * (dilation[0] ?? 1)
        const x = place.x * (stride[1] ?? 1) - (padding[1] ?? 0) + u * (dilation[1] ?? 1)
        const inside = y >= 0 && x >= 0 && y < height && x < width
        // a pool takes no part of the padding
        if (!inside && !isConvolution) continue
        taps.push({
          channel: first + c,
          y,
          x,
          input: inside ? (data[((first + c) * height + y) * width + x] ?? 0) : 0,
          weight: isConvolution
            ? (weight?.[((place.channel * perGroup + c) * rows + v) * columns + u] ?? 0)
            : 1,
        })
      }
    }
  }
  return taps
}
