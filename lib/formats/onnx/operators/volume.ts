/** Windows over three dimensions, by the native operations over two. */
import { cat, conv2d, convTranspose2d, pad, reshape, slice } from '../../../ops/index.ts'
import { windowCount, windowExtent } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { spend } from '../budget.ts'
import type { OnnxNode } from '../node.ts'
import { tracedSteps } from '../pieces.ts'
import { isSymbolic } from '../value.ts'
import { planar, type Window } from './planar.ts'

/** What a plane costs beside its arithmetic. */
const planeSteps = 200

/** The same window along some dimensions alone. */
function along({ kernel, stride, dilation, before, after }: Window, from: number, to: number): Window {
  const part = (list: number[]) => list.slice(from, to)
  return {
    kernel: part(kernel),
    stride: part(stride),
    dilation: part(dilation),
    before: part(before),
    after: part(after),
  }
}

/**
 * A convolution over [n, c, depth, height, width]: for each depth of the output one over height and width of all the
 * layers that it reaches, as channels: each sum goes over (channel, depth, height, width).
 */
export function conv3d(
  node: OnnxNode,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  window: Window,
  groups: number,
): Tensor {
  const [n = 1, channels = 1, depth = 1, height = 1, width = 1] = x.shape
  const [outputs = 1, perGroup = 1, layers = 1, rows = 1, columns = 1] = weight.shape
  const [stride = 1, dilation = 1] = [window.stride[0], window.dilation[0]]
  const [before = 0, after = 0] = [window.before[0], window.after[0]]
  const count = windowCount(depth, layers, stride, before, after, dilation, false)
  if (!(count > 0)) {
    throw node.error('ERR_SHAPE', `a window of ${layers} does not fit a depth of ${depth}`)
  }
  spend(count * (isSymbolic(x) ? tracedSteps : planeSteps))
  const deep = before + after > 0 ? pad(x, [0, 0, 0, 0, before, after]) : x
  const flat = new Tensor(weight.data, [outputs, perGroup * layers, rows, columns])
  const options = { ...planar(along(window, 1, 3)), groups }
  const results = Array.from({ length: count }, (_, i) => {
    const first = i * stride
    const reached = slice(deep, 2, first, first + (layers - 1) * dilation + 1, dilation)
    const plane = conv2d(reshape(reached, [n, channels * layers, height, width]), flat, bias, options)
    const [, c = 1, h = 1, w = 1] = plane.shape
    return reshape(plane, [n, c, 1, h, w])
  })
  return joinedAlong(results, 2)
}

/**
 * The way back: for each depth of the output one over height and width of the layers that reach it, as channels.
 *
 * @param outputPadding of depth, height, width
 */
export function convTranspose3d(
  node: OnnxNode,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  window: Window,
  outputPadding: readonly number[],
  groups: number,
): Tensor {
  const [n = 1, channels = 1, depth = 1, height = 1, width = 1] = x.shape
  const [, perGroup = 1, layers = 1, rows = 1, columns = 1] = weight.shape
  const [stride = 1, dilation = 1] = [window.stride[0], window.dilation[0]]
  const [before = 0, after = 0, more = 0] = [window.before[0], window.after[0], outputPadding[0]]
  const count = (depth - 1) * stride - before - after + windowExtent(layers, dilation) + more
  if (!(count > 0)) throw node.error('ERR_SHAPE', `nothing is left of a depth of ${depth}`)
  spend(count * layers * (isSymbolic(x) ? tracedSteps : planeSteps))
  const [moreRows = 0, moreColumns = 0] = outputPadding.slice(1)
  const options = {
    ...planar(along(window, 1, 3)),
    outputPadding: [moreRows, moreColumns] as [number, number],
    groups,
  }
  const parts = new Map<string, Tensor>()
  const weightOf = (taps: readonly number[]): Tensor => {
    const key = taps.join()
    const known = parts.get(key)
    if (known) return known
    const each = taps.map((k) => reshape(slice(weight, 2, k, k + 1), [channels, 1, perGroup, rows, columns]))
    const part = reshape(joinedAlong(each, 1), [channels * taps.length, perGroup, rows, columns])
    parts.set(key, part)
    return part
  }
  const planes = Array.from({ length: count }, (_, o) => {
    const places = Array.from({ length: layers }, (_unused, k) => (o + before - k * dilation) / stride)
    const taps = [...places.keys()].filter((k) => {
      const at = places[k] as number
      return Number.isInteger(at) && at >= 0 && at < depth
    })
    if (taps.length === 0) return undefined
    const reached = joinedAlong(
      taps.map((k) => slice(x, 2, places[k] as number, (places[k] as number) + 1)),
      2,
    )
    const flat = reshape(reached, [n, channels * taps.length, height, width])
    return convTranspose2d(flat, weightOf(taps), bias, options)
  })
  const shape = planes.find((plane) => plane)?.shape
  if (!shape) throw node.unsupported('none of its input reaches its output')
  const [, outputs = 1, h = 1, w = 1] = shape
  const results = planes.map((plane) => {
    if (plane) return reshape(plane, [n, outputs, 1, h, w])
    // where strides leave gaps, the bias alone
    const alone = new Float32Array(n * outputs * h * w)
    for (let i = 0; i < alone.length; i++) alone[i] = bias?.data[Math.floor(i / (h * w)) % outputs] ?? 0
    return new Tensor(alone, [n, outputs, 1, h, w])
  })
  return joinedAlong(results, 2)
}

function joinedAlong(parts: readonly Tensor[], axis: number): Tensor {
  return parts.length === 1 ? (parts[0] as Tensor) : cat(parts, axis)
}

/** Whether a window does nothing along a dimension. */
function isIdle({ kernel, stride, before, after }: Window, d: number): boolean {
  return kernel[d] === 1 && stride[d] === 1 && before[d] === 0 && after[d] === 0
}

/**
 * A pool over [n, c, depth, height, width]: over height and width, then over the depth. A maximum of maxima is one, and
 * a mean of means too, as each has its own number of values behind it.
 *
 * @param pool over [n, c, height, width]; undefined where it does not do
 */
export function poolVolume(
  x: Tensor,
  window: Window,
  pool: (plane: Tensor, window: Window) => Tensor | undefined,
): Tensor | undefined {
  const [n = 1, c = 1, depth = 1, height = 1, width = 1] = x.shape
  let planes = x
  if (!isIdle(window, 1) || !isIdle(window, 2)) {
    const pooled = pool(reshape(x, [n, c * depth, height, width]), along(window, 1, 3))
    if (!pooled) return undefined
    planes = reshape(pooled, [n, c, depth, pooled.shape[2] ?? 0, pooled.shape[3] ?? 0])
  }
  if (isIdle(window, 0)) return planes
  const [, , , h = 1, w = 1] = planes.shape
  const { kernel, stride, dilation, before, after } = along(window, 0, 1)
  const deep = pool(reshape(planes, [n, c, depth, h * w]), {
    kernel: [...kernel, 1],
    stride: [...stride, 1],
    dilation: [...dilation, 1],
    before: [...before, 0],
    after: [...after, 0],
  })
  return deep && reshape(deep, [n, c, deep.shape[2] ?? 0, h, w])
}
