/** Operators that slide a window: convolution and pooling, over one or two dimensions; pooling in run() over any. */
import type { GraphNode } from '../../../graph/graph.ts'
import {
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  avgPool1d,
  avgPool2d,
  conv1d,
  conv2d,
  maxPool1d,
  maxPool2d,
  reshape,
} from '../../../ops/index.ts'
import { elements, formatShape, windowCount, windowExtent } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { KerneletError } from '../../../util/errors.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { float32, int64, type Scalar } from '../element.ts'
import type { Attributes, GraphWriter, Write } from '../graph-writer.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { layer } from '../slots.ts'
import { arrayOf, isEmpty, isSymbolic, type Read, required, tensorOf, type Value } from '../value.ts'
import { planar, type Window } from './planar.ts'
import { conv3d, poolVolume } from './volume.ts'

/** The attributes of a window, a number for each dimension it slides along. */
export interface WindowAttributes {
  readonly autoPad: string
  readonly kernel: number[] | undefined
  readonly strides: number[] | undefined
  readonly dilations: number[] | undefined
  readonly pads: number[] | undefined
}

export function readWindow(node: OnnxNode): WindowAttributes {
  const autoPad = node.text('auto_pad', 'NOTSET')
  if (!['NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'].includes(autoPad)) {
    throw node.unsupported(`attribute auto_pad=${autoPad} is not supported`)
  }
  const pads = node.ints('pads')
  if (pads?.some((pad) => pad < 0)) throw node.unsupported(`attribute pads=[${pads.join(', ')}] is negative`)
  return {
    autoPad,
    kernel: node.ints('kernel_shape'),
    strides: node.ints('strides'),
    dilations: node.ints('dilations'),
    pads,
  }
}

export function place(
  node: OnnxNode,
  attributes: WindowAttributes,
  kernel: number[],
  image: readonly number[],
): Window {
  const rank = image.length
  const list = (values: number[] | undefined, otherwise: number, what: string, count = rank): number[] => {
    const numbers = values ?? new Array<number>(count).fill(otherwise)
    if (numbers.length === count && numbers.every((one) => one >= otherwise)) return numbers
    throw node.error(
      'ERR_SHAPE',
      `${what} [${numbers.join(', ')}] does not fit an image of ${formatShape(image)}`,
    )
  }
  const size = list(kernel, 1, 'kernel_shape')
  const stride = list(attributes.strides, 1, 'strides')
  const dilation = list(attributes.dilations, 1, 'dilations')
  const pads = list(attributes.autoPad === 'NOTSET' ? attributes.pads : undefined, 0, 'pads', 2 * rank)
  if (!attributes.autoPad.startsWith('SAME')) {
    return { kernel: size, stride, dilation, before: pads.slice(0, rank), after: pads.slice(rank) }
  }
  // As many outputs as strides fit into the image; an odd pad goes to the side that the name says.
  const totals = image.map((length, d) => {
    const [step, extent] = [stride[d] ?? 0, windowExtent(size[d] ?? 0, dilation[d] ?? 0)]
    return Math.max((Math.ceil(length / step) - 1) * step + extent - length, 0)
  })
  const less = totals.map((total) => Math.floor(total / 2))
  const more = totals.map((total) => Math.ceil(total / 2))
  const upper = attributes.autoPad === 'SAME_UPPER'
  return { kernel: size, stride, dilation, before: upper ? less : more, after: upper ? more : less }
}

/** How the functions of sequences take a window over one. */
export function linear({ stride, dilation, before, after }: Window): {
  stride: number
  dilation: number
  padding: [number, number]
} {
  const one = (list: number[]) => list[0] ?? 0
  return { stride: one(stride), dilation: one(dilation), padding: [one(before), one(after)] }
}

/** What a convolution of either way is given, checked. */
export function operandsOf(
  node: OnnxNode,
  attributes: WindowAttributes,
  inputs: readonly (Value | undefined)[],
): { x: Tensor; weight: Tensor; bias: Tensor | undefined; kernel: number[] } {
  const x = tensorOf(required(node, inputs, 0), node)
  const weight = tensorOf(required(node, inputs, 1), node)
  const bias = inputs[2] ? tensorOf(inputs[2], node) : undefined
  const rank = x.shape.length
  if (isSymbolic(weight) || isSymbolic(bias)) {
    throw node.unsupported('weights that are computed from the image are for run() only')
  }
  if (rank < 3 || rank > 5) {
    throw node.unsupported(
      `a convolution over ${formatShape(x.shape.slice(2))} has ${rank - 2} dimensions, not 1 to 3`,
    )
  }
  if (weight.shape.length !== rank) {
    throw node.error(
      'ERR_SHAPE',
      `weights of ${formatShape(weight.shape)} do not fit ${formatShape(x.shape)}`,
    )
  }
  const kernel = weight.shape.slice(2)
  if (attributes.kernel?.some((size, d) => size !== kernel[d])) {
    throw node.error(
      'ERR_SHAPE',
      `kernel_shape is ${formatShape(attributes.kernel)} but the weights are ${formatShape(weight.shape)}`,
    )
  }
  return { x, weight, bias, kernel }
}

const Conv: Read = (node) => {
  const attributes = readWindow(node)
  const groups = node.int('group', 1)
  return (inputs) => {
    const { x, weight, bias, kernel } = operandsOf(node, attributes, inputs)
    const window = place(node, attributes, kernel, x.shape.slice(2))
    if (x.shape.length === 5) return conv3d(node, x, weight, bias, window, groups)
    return x.shape.length === 3
      ? conv1d(x, weight, bias, { ...linear(window), groups })
      : conv2d(x, weight, bias, { ...planar(window), groups })
  }
}

export function readPool(node: OnnxNode): {
  attributes: WindowAttributes
  ceilMode: boolean
  kernel: number[]
} {
  const attributes = readWindow(node)
  if (!attributes.kernel) throw node.error('ERR_FORMAT', 'attribute kernel_shape is missing')
  return { attributes, kernel: attributes.kernel, ceilMode: node.flag('ceil_mode', false) }
}

const MaxPool: Read = (node) => {
  const { attributes, kernel, ceilMode } = readPool(node)
  // Only the indices depend on it.
  const columnMajor = node.int('storage_order', 0) === 1
  const indices = (node.outputs[1] ?? '') !== ''
  return (inputs) => {
    const value = required(node, inputs, 0)
    const window = place(node, attributes, kernel, value.shape.slice(2))
    const pooled = indices
      ? undefined
      : nativePool(
          value,
          window,
          (x, size, options) => maxPool1d(x, size, { ...options, ceilMode }),
          (x, size, options) => maxPool2d(x, size, { ...options, ceilMode }),
        )
    if (pooled) return pooled
    if (isSymbolic(value) && indices) throw node.unsupported('the second output, Indices, is for run() only')
    return maxPoolHost(arrayOf(node, value), window, ceilMode, columnMajor)
  }
}

/** A pool by the native operations over one or two dimensions; undefined where they do not do. */
function nativePool(
  given: Value,
  window: Window,
  overOne: (x: Tensor, size: number, options: ReturnType<typeof linear>) => Tensor,
  overTwo: (x: Tensor, size: [number, number], options: ReturnType<typeof planar>) => Tensor,
): Tensor | undefined {
  // floats that were only moved are those of a compiled model, to the last bit too
  const isMoved = !Tensor.is(given) && given.type === float32 && !isEmpty(given)
  const x = isMoved ? nd.toTensor(given) : given
  if (!Tensor.is(x)) return undefined
  const image = x.shape.slice(2)
  if (image.length === 3) {
    return poolVolume(x, window, (plane, part) => nativePool(plane, part, overOne, overTwo))
  }
  if (!fitsNative(window, image)) return undefined
  const [height = 1, width = 1] = window.kernel
  return image.length === 1 ? overOne(x, height, linear(window)) : overTwo(x, [height, width], planar(window))
}

/** The native pools take one or two dimensions, and less padding than the window covers. */
function fitsNative({ kernel, dilation, before, after }: Window, image: readonly number[]): boolean {
  if (image.length !== 1 && image.length !== 2) return false
  return kernel.every((size, d) => {
    const extent = windowExtent(size, dilation[d] ?? 0)
    return (before[d] ?? 0) < extent && (after[d] ?? 0) < extent
  })
}

const AveragePool: Read = (node) => {
  const { attributes, kernel, ceilMode } = readPool(node)
  const countIncludePad = node.flag('count_include_pad', false)
  return (inputs) => {
    const value = required(node, inputs, 0)
    const window = place(node, attributes, kernel, value.shape.slice(2))
    const pooled = nativePool(
      value,
      window,
      (x, size, options) => avgPool1d(x, size, { ...options, ceilMode, countIncludePad }),
      (x, size, options) => avgPool2d(x, size, { ...options, ceilMode, countIncludePad }),
    )
    return pooled ?? averagePoolHost(arrayOf(node, value), window, ceilMode, countIncludePad)
  }
}

/** Positions of a window along every dimension of the image. */
export function positions(x: nd.NdArray, window: Window, ceilMode: boolean): number[] {
  const { kernel, stride, dilation, before, after } = window
  const counts = x.shape
    .slice(2)
    .map((size, d) =>
      windowCount(
        size,
        kernel[d] ?? 0,
        stride[d] ?? 0,
        before[d] ?? 0,
        after[d] ?? 0,
        dilation[d] ?? 0,
        ceilMode,
      ),
    )
  if (counts.every((count) => count > 0)) return counts
  throw new KerneletError(
    'ERR_SHAPE',
    `a window of ${formatShape(kernel)} does not fit the image of ${formatShape(x.shape)}`,
  )
}

/** Every window of a pool over any number of dimensions: `visit` gets the places in the image it covers. */
export function slide(
  x: nd.NdArray,
  counts: readonly number[],
  { kernel, stride, dilation, before, after }: Window,
  visit: (output: number, offset: number, taps: number[], padded: number) => void,
): void {
  const image = x.shape.slice(2)
  const strides = nd.stridesOf(image)
  const planes = elements(x.shape.slice(0, 2))
  const area = elements(image)
  const outputs = elements(counts)
  // a window is laid out once for all planes, also where it covers nothing but padding
  spend(outputs * (elements(kernel) * (planes + 16) + 64))
  for (let output = 0; output < outputs; output++) {
    let taps = [0]
    let padded = 1
    for (const [d, size] of image.entries()) {
      const at = Math.floor(output / elements(counts.slice(d + 1))) % (counts[d] ?? 0)
      const first = at * (stride[d] ?? 0) - (before[d] ?? 0)
      const places = Array.from({ length: kernel[d] ?? 0 }, (_, k) => first + k * (dilation[d] ?? 0))
      padded *= places.filter((one) => one < size + (after[d] ?? 0)).length
      const inside = places.filter((one) => one >= 0 && one < size)
      taps = taps.flatMap((tap) => inside.map((one) => tap + one * (strides[d] ?? 0)))
    }
    for (let plane = 0; plane < planes; plane++) visit(plane * outputs + output, plane * area, taps, padded)
  }
}

/** The largest value of every window, and where in the whole tensor it is. NaN is the largest, the last one. */
function maxPoolHost(x: nd.NdArray, window: Window, ceilMode: boolean, columnMajor: boolean): nd.NdArray[] {
  const image = x.shape.slice(2)
  const counts = positions(x, window, ceilMode)
  const shape = [...x.shape.slice(0, 2), ...counts]
  const [pooled, indices] = [nd.allocate(x.type, shape), nd.allocate(int64, shape)]
  const places = indices.values as BigInt64Array
  slide(x, counts, window, (output, offset, taps) => {
    let [best, largest] = [taps[0] ?? 0, x.type.lowest]
    for (const tap of taps) {
      const value = x.values[offset + tap] as Scalar
      if (value > largest || Number.isNaN(value)) [best, largest] = [tap, value]
    }
    pooled.values[output] = largest
    const place = columnMajor && taps.length > 0 ? columnMajorIndex(best, image) : best
    places[output] = BigInt(offset + place)
  })
  return [pooled, indices]
}

/** A place in an image counted with the first dimension fastest. */
function columnMajorIndex(index: number, image: readonly number[]): number {
  let [rest, step, result] = [index, elements(image), 0]
  for (let d = image.length - 1; d >= 0; d--) {
    step /= image[d] ?? 0
    result += (rest % (image[d] ?? 0)) * step
    rest = Math.floor(rest / (image[d] ?? 0))
  }
  return result
}

function averagePoolHost(
  x: nd.NdArray,
  window: Window,
  ceilMode: boolean,
  countIncludePad: boolean,
): nd.NdArray {
  if (x.type.kind !== 'float') {
    throw new KerneletError('ERR_UNSUPPORTED', `it takes floating-point numbers but gets ${x.type.name}`)
  }
  const counts = positions(x, window, ceilMode)
  const pooled = nd.allocate(x.type, [...x.shape.slice(0, 2), ...counts])
  slide(x, counts, window, (output, offset, taps, padded) => {
    const sum = taps.reduce((total, tap) => total + Number(x.values[offset + tap]), 0)
    pooled.values[output] = sum / (countIncludePad ? padded : taps.length)
  })
  return pooled
}

/** A pool over everything but batch and channels, which keeps these dimensions as 1. */
function globalPool(pool: (x: Tensor, size: number) => Tensor): Read {
  return (node) => (inputs) => {
    const x = tensorOf(required(node, inputs, 0), node)
    const [n, c, ...image] = x.shape as [number, number, ...number[]]
    if (x.shape.length < 3) throw node.error('ERR_SHAPE', `${formatShape(x.shape)} has no image to pool`)
    if (image.length === 2) return pool(x, 1)
    return reshape(pool(reshape(x, [n, c, 1, elements(image)]), 1), [n, c, ...image.map(() => 1)])
  }
}

/** A window over [c, l] is one over two dimensions of which ONNX wants only the second. */
export function lastOf(pair: readonly number[], flat: boolean): number[] {
  return flat ? pair.slice(1) : [...pair]
}

export function windowAttributes(node: GraphNode, flat: boolean): Record<string, number[]> {
  const { kernelSize = [1, 1], stride = [1, 1], padding: [top, left, bottom, right] = [0, 0, 0, 0] } = node
  return {
    kernel_shape: lastOf(kernelSize, flat),
    strides: lastOf(stride, flat),
    pads: flat ? [left, right] : [top, left, bottom, right],
  }
}

/** A convolution of either way. */
export function convolutionAs(
  op: string,
  more: (node: GraphNode, flat: boolean) => Attributes = () => ({}),
): Write {
  return (to, { node, inputs, shapes: [image = []], output }) => {
    const { bias, dilation = [1, 1], groups = 1 } = node
    const weight = to.weightOf(node)
    const flat = image.length === 2
    const form = flat ? [...weight.shape.slice(0, 2), ...weight.shape.slice(-1)] : undefined
    const names = [
      ...inputs,
      to.weight(weight, `${node.name}.weight`, weight.shape.length === 3 ? undefined : form),
    ]
    if (bias) names.push(to.weight(bias, `${node.name}.bias`))
    to.add(op, names, output, {
      ...windowAttributes(node, flat),
      dilations: lastOf(dilation, flat),
      group: groups,
      ...more(node, flat),
    })
  }
}

const writeMaxPool: Write = (to, { node, inputs, shapes: [image = []], output }) => {
  const flat = image.length === 2
  to.add('MaxPool', inputs, output, {
    ...windowAttributes(node, flat),
    dilations: lastOf(node.dilation ?? [1, 1], flat),
    ceil_mode: node.ceilMode ? 1 : 0,
  })
}

const writeAveragePool: Write = (to, { node, inputs, shapes: [image = []], output }) => {
  const { dilation = [1, 1] } = node
  const flat = image.length === 2
  const dilated = dilation.some((one) => one !== 1)
  if (dilated) to.need(19)
  to.add('AveragePool', inputs, output, {
    ...windowAttributes(node, flat),
    ...(dilated && { dilations: lastOf(dilation, flat) }),
    ceil_mode: node.ceilMode ? 1 : 0,
    count_include_pad: node.countIncludePad ? 1 : 0,
  })
}

/** A dimension cut into `size` windows, as adaptive pools cut it, each reduced to one. */
function reducedStrips(
  to: GraphWriter,
  op: string,
  from: string,
  axis: number,
  length: number,
  size: number,
  output: string,
): string {
  const axes = to.integers(`${output}.axes`, [axis])
  const strips = Array.from({ length: size }, (_, i) => {
    const [begin, end] = [Math.floor((i * length) / size), Math.ceil(((i + 1) * length) / size)]
    const bounds = [begin, end].map((one) => to.integers(`${output}.bound`, [one]))
    return to.step(op, [to.step('Slice', [from, ...bounds, axes], output), axes], output, { keepdims: 1 })
  })
  return strips.length === 1 ? (strips[0] as string) : to.step('Concat', strips, output, { axis })
}

/** To one value a channel, to a size that windows of one size tile, or strip by strip. */
function adaptivePool(globalOp: string, op: string, reduce: string): Write {
  return (to, { node, inputs, shapes: [image = []], output }) => {
    const [from, size] = [image.slice(1), node.shape.slice(1)]
    if (size.every((one) => one === 1)) {
      to.add(globalOp, inputs, output)
      return
    }
    const kernel = from.map((one, d) => one / (size[d] ?? 1))
    if (!kernel.every(Number.isInteger)) {
      // these take their axes as an input since
      to.need(18)
      const made = size.reduce(
        (name, one, d) =>
          one === from[d] ? name : reducedStrips(to, reduce, name, d + 2, from[d] ?? 1, one, output),
        inputs[0] ?? '',
      )
      to.add('Identity', [made], output)
      return
    }
    to.add(op, inputs, output, { kernel_shape: kernel, strides: kernel })
  }
}

export const windows: Family = {
  operators: {
    Conv: { read: Conv, isKernel: true, slot: (_node, index) => (index === 0 ? undefined : layer) },
    MaxPool: { read: MaxPool, type: (_node, output, input) => (output === 0 ? input(0) : int64) },
    AveragePool,
    GlobalAveragePool: { read: globalPool(adaptiveAvgPool2d), isKernel: true },
    GlobalMaxPool: { read: globalPool(adaptiveMaxPool2d), isKernel: true },
  },
  writers: {
    conv2d: convolutionAs('Conv'),
    maxPool2d: writeMaxPool,
    avgPool2d: writeAveragePool,
    adaptiveAvgPool2d: adaptivePool('GlobalAveragePool', 'AveragePool', 'ReduceMean'),
    adaptiveMaxPool2d: adaptivePool('GlobalMaxPool', 'MaxPool', 'ReduceMax'),
  },
}
