/** What follows from an operation: its shape, and the work it makes. */
import { types } from 'node:util'
import type { NativeNode } from '../backend/backend.ts'
import { native } from '../backend/node-addon.ts'
import { elements, formatShape } from '../tensor/shape.ts'
import { received, storedOf, type Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { lengthOf } from '../util/typed-array.ts'
import { definitionOf, type Operation, type Place } from './definition.ts'

type Shapes = readonly (readonly number[])[]

/**
 * The shape an operation gives for inputs of these shapes, all per image, by the core's rule.
 *
 * @throws KerneletError `ERR_SHAPE` that names the layer, what it expects, what it gets and from where.
 */
export function inferShape(operation: Operation, inputs: Shapes, place: Place): number[] {
  const own = ownShape(operation, inputs, place)
  const node = toNative(operation, place.name || operation.op, [...inputs.keys()], own, true)
  return explained(operation, inputs, place, () => native().inferShape(node, inputs))
}

/**
 * What the core has to be told of the output's shape; undefined: nothing.
 *
 * @throws KerneletError `ERR_SHAPE` for inputs of a rank that the operation does not take, and where nothing is left
 */
export function ownShape(operation: Operation, inputs: Shapes, place: Place): number[] | undefined {
  const { rank, own } = definitionOf(operation.op)
  const [input = []] = inputs
  const fits = rank === undefined || rank(operation) === input.length
  const shape = fits ? own?.(operation, input) : undefined
  if (fits && !shape?.some((one) => one < 1)) return shape
  throw (
    misfit(operation, inputs, place) ??
    new KerneletError('ERR_SHAPE', `${operation.op}: ${place.origin(0)} does not fit`)
  )
}

/** Asks the core; where it refuses shapes, says why in the terms of layers. */
export function explained<T>(operation: Operation, inputs: Shapes, place: Place, ask: () => T): T {
  try {
    return ask()
  } catch (error) {
    const isShape = error instanceof KerneletError && error.code === 'ERR_SHAPE'
    throw (isShape && misfit(operation, inputs, place, error)) || error
  }
}

function misfit(
  operation: Operation,
  inputs: Shapes,
  place: Place,
  cause?: KerneletError,
): KerneletError | undefined {
  const sentence = definitionOf(operation.op).misfit?.(operation, inputs, place)
  if (sentence === undefined) return undefined
  const prefix = place.name === '' ? '' : `${place.name}: `
  return new KerneletError('ERR_SHAPE', prefix + sentence, cause && { cause })
}

/** Multiply-adds per image; nothing for pooling, activations and bias. */
export function countMacs(operation: Operation, shape: readonly number[]): number {
  const { macs } = definitionOf(operation.op)
  return macs ? macs(operation, shape) : 0
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
  const { weight, bias, counts } = operation
  if (counts?.connections !== undefined) return counts.connections * elements(shape)
  if (weight === undefined) return 0
  // a masked weight is one less
  const there = (tensor: Tensor, all: number) => (all * countParameters(tensor)) / elements(tensor.shape)
  const macs = countMacs(operation, shape)
  return macs === 0 ? 0 : there(weight, macs) + (bias === undefined ? 0 : there(bias, elements(shape)))
}

/**
 * The operation in the terms of the native core.
 *
 * @param files whether weights may be left in files: for shapes, and for plans that pack them as they are
 */
export function toNative(
  operation: Operation,
  name: string,
  inputs: number[],
  shape: number[] | undefined,
  files = false,
): NativeNode {
  const { op, weight, bias, mean, variance } = operation
  const stored = files && weight && (op === 'conv2d' || op === 'linear') ? storedOf(weight) : undefined
  return {
    // with what the core does not know, and does not read
    ...operation,
    name,
    inputs,
    shape,
    weight: stored
      ? { file: stored.file.descriptor, offset: stored.offset, length: stored.length }
      : weight && attached(weight, `${name}: weight`),
    bias: bias && attached(bias, `${name}: bias`),
    mean: mean && attached(mean, `${name}: running mean`),
    variance: variance && attached(variance, `${name}: running variance`),
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
