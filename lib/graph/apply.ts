/** Running one operation: now, on tensors with values, or later, as a node of the graph that is being traced. */

import { native } from '../backend/node-addon.ts'
import { formatShape, normaliseDim, sameShape } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { definitionOf, isView, type Operation, type Told, title } from './definition.ts'
import { noteTaken, SymbolicTensor, type Tracer } from './graph.ts'
import { attached, explained, inferShape, ownShape, toNative } from './operation.ts'

const noOrigin = (shapes: readonly (readonly number[])[]) => (input: number) =>
  `input ${formatShape(shapes[input] as readonly number[])}`

/** `eager` is called before an operation computes `batch` results of `shape`, and may refuse it. */
export const before: {
  eager?: ((operation: Operation, shape: readonly number[], batch: number) => void) | undefined
} = {}

/** Runs an operation, or records it where inputs are stand-ins; `rank` as for `Tracer.record`. */
export function apply(operation: Operation, inputs: readonly Tensor[], rank?: number): Tensor {
  const who = title(operation)
  const tracer = inputs.map((input) => checkTensor(who, input)).reduce(tracerOf, undefined)
  if (tracer) return tracer.record(operation, inputs, rank)

  // Some operations work image by image; to everything else the batch is a dimension like any other.
  const whole = inputs.map((input) => [...input.shape])
  const [first = []] = whole
  const batched = first.length === imageRank(operation, first.length) + 1
  const batch = batched ? (first[0] ?? 1) : 1
  const shapes = whole.map((shape) => (batched ? shape.slice(1) : shape.length === 0 ? [1] : shape))
  const place = { name: '', origin: noOrigin(whole) }
  const own = ownShape(operation, shapes, place)
  const view = isView(operation)
  before.eager?.(operation, (view && own) || inferShape(operation, shapes, place), batch)
  const data = inputs.map((input) => attached(input, who))
  const outputShape = (shape: number[]) => (batched ? [batch, ...shape] : shape)
  if (view && own && data[0]) return new Tensor(data[0], outputShape(own))
  noteTaken([...data, operation.weight?.data, operation.bias?.data])
  const node = toNative(operation, who, [...inputs.keys()], own)
  const value = explained(operation, shapes, place, () => native().evaluate(node, data, shapes, batch, {}))
  const scalar = whole.every((one) => one.length === 0)
  return new Tensor(value.data, scalar ? [] : outputShape(value.shape))
}

/** The rank of one image, for operations on [channels, …]; for the others more than any tensor has. */
function imageRank(operation: Operation, rank: number): number {
  const definition = definitionOf(operation.op)
  if (definition.byChannel) return Math.max(rank - 1, 1)
  return definition.rank?.(operation) ?? Number.POSITIVE_INFINITY
}

function tracerOf(found: Tracer | undefined, input: Tensor): Tracer | undefined {
  return found ?? (input instanceof SymbolicTensor ? input.tracer : undefined)
}

/** `value`, if it is a Tensor. */
export function checkTensor(who: string, value: unknown): Tensor {
  if (Tensor.is(value)) return value
  const other =
    (value as { constructor?: { name?: unknown } } | null | undefined)?.constructor?.name === 'Tensor'
  const hint = ArrayBuffer.isView(value)
    ? '; wrap it: new Tensor(data, shape)'
    : other
      ? ' of another copy of kernelet: one program must load it once'
      : ''
  throw new KerneletError('ERR_ARGUMENT', `${who}: expected a Tensor but received ${show(value)}${hint}`)
}

/** A weight of that rank that does not depend on the input of a trace. */
export function checkWeight(what: string, value: unknown, rank: number, form: string): Tensor {
  const weight = checkTensor(what, value)
  if (weight.shape.length !== rank) {
    throw new KerneletError(
      'ERR_SHAPE',
      `${what} must have the shape ${form} but has ${formatShape(weight.shape)}`,
    )
  }
  return constant(what, weight)
}

/** [out] for a weight of [out, …], or nothing. */
export function checkBias(what: string, value: unknown, weight: Tensor): Tensor | undefined {
  if (value === undefined || value === null) return undefined
  const bias = checkTensor(what, value)
  if (!sameShape(bias.shape, weight.shape.slice(0, 1))) {
    throw new KerneletError(
      'ERR_SHAPE',
      `${what} must have the shape ${formatShape(weight.shape.slice(0, 1))} but has ${formatShape(bias.shape)}`,
    )
  }
  return constant(what, bias)
}

/** A tensor that does not depend on the input of a trace. */
export function constant(what: string, tensor: Tensor): Tensor {
  if (!(tensor instanceof SymbolicTensor)) return tensor
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `${what} is computed from the model's input; it must be a constant`,
  )
}

/** That an axis is none of the input's dimensions. */
export function axisMisfit({ axis }: Told<'axis'>, input: readonly number[]): string | undefined {
  if (axis >= 0 && axis < input.length) return undefined
  return `axis must be from 0 to ${input.length - 1} but is ${axis}`
}

/** `dim` as an axis of the shape the operation works on: in a trace that is the shape of one image. */
export function axisOf(input: Tensor, dim: number, what: string): number {
  const rank = Math.max(checkTensor(what, input).shape.length, 1)
  const axis = normaliseDim(dim, rank, what)
  if (!(input instanceof SymbolicTensor)) return axis
  if (axis > 0) return axis - 1
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `${what} 0 would mix the images of a batch, which a compiled model keeps apart; dimensions of one image begin at 1`,
  )
}
