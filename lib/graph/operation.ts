/** Operations: what one needs to be told, and the shape and the work that follow from it. */

import { types } from 'node:util'
import type { NativeNode } from '../backend/backend.ts'
import { elements, formatShape, looksLikeNhwc, windowCount, windowExtent } from '../tensor/shape.ts'
import { received, type Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { lengthOf } from '../util/typed-array.ts'

/**
 * One operation and its attributes, without a place in a graph. All shapes are per image; `axis` counts
 * their dimensions (for flatten: the first one that is merged).
 */
export interface Operation
  extends Omit<NativeNode, 'name' | 'inputs' | 'shape' | 'weight' | 'bias' | 'mean' | 'variance'> {
  weight?: Tensor | undefined
  bias?: Tensor | undefined
  mean?: Tensor | undefined
  variance?: Tensor | undefined
  /** batchNorm in training: counts the batches that its running statistics have seen. */
  batches?: Tensor | undefined
  /** 1: a convolution or pool of [channels, length]; default 2. */
  dims?: 1 | 2 | undefined
  /** reshape, slice: the output's shape; adaptive pools: its sides. */
  size?: readonly number[] | undefined
  /** pad: how many elements come after each dimension. */
  ends?: number[] | undefined
  /**
   * What a layer made of several operations says of this one, where it is not what follows from the operation: the
   * number of parameters, and of connections into each output value.
   */
  counts?: { parameters?: number; connections?: number } | undefined
}

/** Where an operation stands, for its errors. */
export interface Place {
  /** `fc1: ` in a trace, nothing in eager mode. */
  readonly prefix: string
  /** Where an input comes from: `16×29×29 from pool2 flattened`. */
  readonly origin: (input: number) => string
}

/**
 * The shape an operation gives for inputs of these shapes, all per image.
 *
 * @throws KerneletError `ERR_SHAPE` that names the layer, what it expects, what it gets and from where.
 */
export function inferShape(
  operation: Operation,
  inputs: readonly (readonly number[])[],
  place: Place,
): number[] {
  const input = inputs[0] as readonly number[]
  switch (operation.op) {
    case 'conv2d':
      return conv2dShape(operation, input, place)
    case 'maxPool2d':
    case 'avgPool2d':
      return [checkImage(operation, input, place), ...windows(operation, input, place)]
    case 'adaptiveAvgPool2d':
    case 'adaptiveMaxPool2d':
      return [checkImage(operation, input, place), ...(operation.size as readonly number[])]
    case 'linear':
      return linearShape(operation, input, place)
    case 'flatten':
      return [...input.slice(0, operation.axis), elements(input.slice(operation.axis))]
    case 'reshape':
    case 'slice':
      return [...(operation.size as readonly number[])]
    case 'permute':
      return (operation.axes as number[]).map((axis) => input[axis] as number)
    case 'pad':
      return padShape(operation, input, place)
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
      return broadcastShape(operation, inputs, place)
    case 'prelu':
    case 'batchNorm':
      return channelShape(operation, input, place)
    case 'concat':
      return concatShape(operation.axis as number, inputs, place)
    default:
      return [...input]
  }
}

/**
 * Multiply-adds per image, as torchinfo and most papers count them: every tap of every window, also those
 * that fall into the padding; nothing for pooling, activations and bias.
 */
export function countMacs(operation: Operation, shape: readonly number[]): number {
  if (operation.op !== 'conv2d' && operation.op !== 'linear') return 0
  const perOutput = elements((operation.weight as Tensor).shape.slice(1))
  return perOutput * elements(shape)
}

/** Weights and biases of a tensor: those that are there, where it has a mask. */
export function countParameters(tensor: Tensor): number {
  const { mask } = tensor as { mask?: Uint8Array | undefined }
  if (mask !== undefined && !types.isUint8Array(mask)) {
    throw new KerneletError('ERR_ARGUMENT', `A parameter's mask must be a Uint8Array but is ${show(mask)}`)
  }
  return mask ? mask.reduce((sum, one) => sum + (one === 0 ? 0 : 1), 0) : elements(tensor.shape)
}

/**
 * Connections per image, as LeCun et al. 1998 count them: into every output value one from each input it has a weight
 * for, and one from the bias.
 */
export function countConnections(operation: Operation, shape: readonly number[]): number {
  const { weight, bias, counts, op } = operation
  if (counts?.connections !== undefined) return counts.connections * elements(shape)
  if ((op !== 'conv2d' && op !== 'linear') || weight === undefined) return 0
  const outputs = weight.shape[0] as number
  const all = countParameters(weight) + (bias === undefined ? 0 : countParameters(bias))
  return (all * elements(shape)) / outputs
}

/** The operation in the terms of the native core. */
export function toNative(operation: Operation, name: string, inputs: number[], shape: number[]): NativeNode {
  const { weight, bias, mean, variance, dims, size, ends, ...rest } = operation
  const { counts: _, batches: __, ...attributes } = rest
  return {
    ...attributes,
    name,
    inputs,
    shape,
    ...(weight && { weight: attached(weight, `${name}: weight`) }),
    ...(bias && { bias: attached(bias, `${name}: bias`) }),
    ...(mean && { mean: attached(mean, `${name}: running mean`) }),
    ...(variance && { variance: attached(variance, `${name}: running variance`) }),
  }
}

/** The data of a tensor whose buffer may have been transferred away since the tensor was made. */
export function attached(tensor: Tensor, what: string): Float32Array {
  const { data } = tensor
  if (!types.isFloat32Array(data)) {
    throw new KerneletError('ERR_ARGUMENT', `${what}: data must be a Float32Array but is ${show(data)}`)
  }
  if (lengthOf(data) !== elements(tensor.shape)) {
    throw new KerneletError(
      'ERR_SHAPE',
      `${what}: expected ${elements(tensor.shape)} values for shape ${formatShape(tensor.shape)} ` +
        `but received ${received(data)}`,
    )
  }
  return data
}

const titles: Partial<Record<NativeNode['op'], string>> = {
  constant: 'Constant',
  conv2d: 'Conv2d',
  maxPool2d: 'MaxPool2d',
  avgPool2d: 'AvgPool2d',
  adaptiveAvgPool2d: 'AdaptiveAvgPool2d',
  adaptiveMaxPool2d: 'AdaptiveMaxPool2d',
  linear: 'Linear',
  batchNorm: 'BatchNorm2d',
  relu: 'ReLU',
  leakyRelu: 'LeakyReLU',
  prelu: 'PReLU',
  elu: 'ELU',
  selu: 'SELU',
  silu: 'SiLU',
  gelu: 'GELU',
  hardswish: 'Hardswish',
  hardsigmoid: 'Hardsigmoid',
  clip: 'Hardtanh',
  tanh: 'Tanh',
  sigmoid: 'Sigmoid',
  scaledTanh: 'ScaledTanh',
  softmax: 'Softmax',
  logSoftmax: 'LogSoftmax',
  dropout: 'Dropout',
  flatten: 'Flatten',
}

/** An operation as its layer is called: `Conv2d`; `add` and `concat` have no layer. */
export function title({ op, dims, alpha, beta }: Operation): string {
  if (op === 'clip' && alpha === 0 && beta === 6) return 'ReLU6'
  const name = titles[op] ?? op
  return dims === 1 ? name.replace('2d', '1d') : name
}

function misfit(place: Place, sentence: string): KerneletError {
  return new KerneletError('ERR_SHAPE', place.prefix + sentence)
}

/** Checks that an input is [channels, height, width]; returns the channels. */
function checkImage(operation: Operation, input: readonly number[], place: Place): number {
  const form = operation.dims === 1 ? '[channels, length]' : '[channels, height, width]'
  if (input.length === (operation.dims ?? 2) + 1) return input[0] as number
  const hint =
    input.length === 2 && operation.dims !== 1 && operation.weight?.shape[1] === 1
      ? `; use [1, ${input.join(', ')}]`
      : ''
  throw misfit(place, `${title(operation)} expects ${form} per image but receives ${place.origin(0)}${hint}`)
}

function conv2dShape(operation: Operation, input: readonly number[], place: Place): number[] {
  const channels = checkImage(operation, input, place)
  const [out, perGroup] = (operation.weight as Tensor).shape as [number, number]
  const expected = perGroup * (operation.groups as number)
  if (channels !== expected) {
    const hint = looksLikeNhwc(input, expected)
      ? '; this looks like NHWC (height, width, channels): kernelet expects channels first, ' +
        `[${[input[2], input[0], input[1]].join(', ')}]`
      : ''
    throw misfit(
      place,
      `${title(operation)} expects ${expected} input channel${expected === 1 ? '' : 's'} but receives ${channels} ` +
        `(${place.origin(0)})${hint}`,
    )
  }
  return [out, ...windows(operation, input, place)]
}

/** Rows and columns of a convolution's or pool's output. */
function windows(operation: Operation, input: readonly number[], place: Place): number[] {
  const { kernelSize, stride, padding, dilation } = operation as Required<Operation>
  const [top, left, bottom, right] = padding as [number, number, number, number]
  const [height, width] =
    operation.dims === 1 ? [1, input[1] as number] : [input[1] as number, input[2] as number]
  const [kh, kw] = kernelSize as [number, number]
  const [dh, dw] = dilation as [number, number]
  const [sh, sw] = stride as [number, number]
  const rows = windowCount(height, kh, sh, top, bottom, dh, operation.ceilMode)
  const columns = windowCount(width, kw, sw, left, right, dw, operation.ceilMode)
  if (rows < 1 || columns < 1) {
    const dilated = dh > 1 || dw > 1 ? ` (${windowExtent(kh, dh)}×${windowExtent(kw, dw)} with dilation)` : ''
    const padded =
      top + left + bottom + right > 0 ? `${height + top + bottom}×${width + left + right} with padding, ` : ''
    throw misfit(
      place,
      `${title(operation)} has a window of ${kh}×${kw}${dilated}, larger than the ${height}×${width} image ` +
        `it receives (${padded}${place.origin(0)})`,
    )
  }
  return operation.dims === 1 ? [columns] : [rows, columns]
}

function linearShape(operation: Operation, input: readonly number[], place: Place): number[] {
  const [out, expected] = (operation.weight as Tensor).shape as [number, number]
  const features = input.at(-1)
  if (features !== expected) {
    const advice =
      elements(input) === expected && input.length > 1
        ? 'flatten it first: flatten(x, 1)'
        : `use new Linear(${features}, ${out})`
    throw misfit(
      place,
      `Linear expects ${expected} features but receives ${features} (${place.origin(0)}); ${advice}`,
    )
  }
  return [...input.slice(0, -1), out]
}

/** PyTorch's broadcasting: aligned at the last dimension, 1 is repeated. */
function broadcastShape(
  operation: Operation,
  inputs: readonly (readonly number[])[],
  place: Place,
): number[] {
  const [a, b] = inputs as [readonly number[], readonly number[]]
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const [x = 1, y = 1] = [a[a.length - rank + i], b[b.length - rank + i]]
    if (x === y || y === 1) return x
    if (x === 1) return y
    throw misfit(
      place,
      `${operation.op} expects shapes that are equal, or 1, in every dimension, aligned at the last, but receives ` +
        `${place.origin(0)} and ${place.origin(1)}`,
    )
  })
}

function channelShape(operation: Operation, input: readonly number[], place: Place): number[] {
  const { shape } = (operation.mean ?? operation.weight) as Tensor
  if (shape[0] === input[0] || (operation.op === 'prelu' && shape[0] === 1)) return [...input]
  throw misfit(
    place,
    `${title(operation)} expects ${shape[0]} channels but receives ${input[0]} (${place.origin(0)})`,
  )
}

function padShape(operation: Operation, input: readonly number[], place: Place): number[] {
  const { starts = [], ends = [] } = operation
  const shape = input.map((one, i) => one + (starts[i] as number) + (ends[i] as number))
  if (shape.every((one) => one >= 1)) return shape
  throw misfit(place, `pad cuts everything off: nothing is left of ${place.origin(0)}`)
}

function concatShape(axis: number, inputs: readonly (readonly number[])[], place: Place): number[] {
  const shape = [...(inputs[0] as readonly number[])]
  for (const [i, other] of inputs.entries()) {
    if (i === 0) continue
    if (other.length !== shape.length || other.some((one, d) => d !== axis && one !== shape[d])) {
      throw misfit(
        place,
        `cat expects shapes that agree in all but one dimension but receives ${place.origin(0)} and ${place.origin(i)}`,
      )
    }
    shape[axis] = (shape[axis] as number) + (other[axis] as number)
  }
  return shape
}
