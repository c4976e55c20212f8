/** What arranges values without computing any, and the mean over dimensions; the layers of them. */
import { apply, axisMisfit, axisOf, checkTensor } from '../graph/apply.ts'
import { operation } from '../graph/definition.ts'
import { SymbolicTensor } from '../graph/graph.ts'
import { Module } from '../nn/module.ts'
import { elements, formatShape, mostDimensions, normaliseDim, sameShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions, flag, integer, isInteger, itemsOf, numberOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { adaptiveAvgPool2d } from './pooling.ts'

const flattened = operation('flatten', {
  title: 'Flatten',
  needs: ['axis'],
  defaults: { axis: 0 },
  check: axisMisfit,
  view: 'always',
  participle: 'flattened',
  keepsUnits: true,
  own: ({ axis }, input) => [...input.slice(0, axis), elements(input.slice(axis))],
})

const reshaped = operation('reshape', {
  needs: ['size'],
  derived: (_operation, _input, shape) => ({ size: shape }),
  view: 'always',
  participle: 'reshaped',
  own: ({ size }) => [...size],
})

const permuted = operation('permute', {
  needs: ['axes'],
  misfit: ({ axes }, [input = []]) =>
    `axes must have each dimension of its input, 0 to ${input.length - 1}, once, but are [${axes.join(', ')}]`,
})

const sliced = operation('slice', {
  needs: ['starts', 'steps', 'size'],
  derived: (_, input, shape) => ({ size: shape, starts: input.map(() => 0), steps: input.map(() => 1) }),
  check: ({ starts, steps }, input) => eachDimension({ starts, steps }, input),
  own: ({ size }) => [...size],
  misfit: (_operation, _inputs, place) => `starts and steps must stay inside its input, ${place.origin(0)}`,
})

const padded = operation('pad', {
  needs: ['starts', 'ends'],
  takes: ['value'],
  derived: ({ starts }, input, shape) => ({
    starts: input.map(() => 0),
    ends: input.map((one, d) => (shape[d] ?? 0) - one - (starts?.[d] ?? 0)),
  }),
  check: ({ starts, ends }, input) => eachDimension({ starts, ends }, input),
  own: ({ starts, ends }, input) => input.map((one, i) => one + (starts[i] ?? 0) + (ends[i] ?? 0)),
  misfit: ({ starts, ends }, [input = []], place) =>
    input.every((one, i) => one + (starts[i] ?? 0) + (ends[i] ?? 0) > 0)
      ? undefined
      : `pad cuts everything off: nothing is left of ${place.origin(0)}`,
})

const joined = operation('concat', {
  inputs: Number.POSITIVE_INFINITY,
  needs: ['axis'],
  defaults: { axis: 0 },
  check: axisMisfit,
  misfit({ axis }, [first = [], ...others], place) {
    const rest = (shape: readonly number[]) => shape.filter((_, d) => d !== axis)
    const odd = others.findIndex(
      (other) => other.length !== first.length || !sameShape(rest(other), rest(first)),
    )
    if (odd < 0) return undefined
    return (
      `cat expects shapes that agree in all but one dimension but receives ${place.origin(0)} and ` +
      place.origin(odd + 1)
    )
  },
})

/** That a list has not one number for each dimension. */
function eachDimension(
  lists: Readonly<Record<string, readonly number[]>>,
  input: readonly number[],
): string | undefined {
  if (Object.values(lists).every((list) => list.length === input.length)) return undefined
  return `${Object.keys(lists).join(' and ')} must have one number for each of the ${input.length} dimensions`
}

/**
 * Merges the dimensions from `startDim` to the last, `torch.flatten`. The result shares the input's data.
 *
 * @param startDim default 0: everything, as in PyTorch; 1 keeps the batch
 * @example flatten(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 2, 2]), 1) // → [[1, 2, 3, 4]]
 */
export function flatten(input: Tensor, startDim = 0): Tensor {
  if (input instanceof SymbolicTensor && elements(input.shape) === 1) {
    // One number an image: [n] whatever ones there were.
    if (normaliseDim(startDim, input.shape.length, 'Flatten: startDim') === 0) return reshape(input, [-1])
  }
  return apply(flattened({ axis: axisOf(input, startDim, 'Flatten: startDim') }), [input])
}

/**
 * The same values in another shape, `torch.reshape`; one size may be −1: what is left. The result shares the input's
 * data. In a trace the first dimension is the batch and stays.
 * @example reshape(new Tensor(Float32Array.of(3, 1, 2, 4, 6, 5), [2, 3]), [3, -1]) // → [[3, 1], [2, 4], [6, 5]]
 */
export function reshape(input: Tensor, shape: readonly number[]): Tensor {
  const from = checkTensor('reshape', input).shape
  const wanted = sizesOf(shape)
  if (!wanted) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `reshape: shape must be an array of positive integers, one of them perhaps -1, but is ${show(shape)}`,
    )
  }
  const rest = elements(from) / elements(wanted.filter((one) => one !== -1))
  const size = wanted.map((one) => (one === -1 ? rest : one))
  if (elements(size) !== elements(from) || !Number.isInteger(rest)) {
    throw new KerneletError(
      'ERR_SHAPE',
      `reshape: ${formatShape(from)} has ${elements(from)} values, which do not fill ${show(shape)}`,
    )
  }
  if (!(input instanceof SymbolicTensor)) return apply(reshaped({ size }), [input])
  if (size[0] === 1 && size.length > 1) return apply(reshaped({ size: size.slice(1) }), [input], size.length)
  if (size[0] === 1) return apply(reshaped({ size: [1] }), [input], 1)
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `reshape to ${show(shape)} would mix the images of a batch, which a compiled model keeps apart; begin the shape ` +
      'with x.shape[0]',
  )
}

/** Positive integers, one of them perhaps -1. */
function sizesOf(value: unknown): number[] | undefined {
  const sizes = itemsOf(value, mostDimensions)
  const fits = (one: unknown): one is number => isInteger(one) && ((one >= 1 && one < 2 ** 53) || one === -1)
  return sizes?.every(fits) && sizes.filter((one) => one === -1).length <= 1 ? sizes : undefined
}

/**
 * Dimension `i` of the result is dimension `dims[i]` of the input, `torch.permute`. In a trace 0 comes first.
 * @example permute(new Tensor(Float32Array.of(3, 1, 2, 4, 6, 5), [2, 3]), [1, 0]) // → [[3, 4], [1, 6], [2, 5]]
 */
export function permute(input: Tensor, dims: readonly number[]): Tensor {
  const rank = checkTensor('permute', input).shape.length
  const axes = (itemsOf(dims, rank) ?? []).map((dim) => normaliseDim(dim, rank, 'permute: dims'))
  if (axes.length !== rank || new Set(axes).size !== rank) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `permute: dims must name each of the ${rank} dimensions once but is ${show(dims)}`,
    )
  }
  if (!(input instanceof SymbolicTensor)) return apply(permuted({ axes }), [input])
  if (rank === 1) return input
  if (axes[0] === 0) return apply(permuted({ axes: axes.slice(1).map((axis) => axis - 1) }), [input])
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    'permute: dims must begin with 0: a compiled model keeps the images of a batch apart',
  )
}

/**
 * Elements `start`, `start + step`, … before `end` along one dimension, as Python's `x[start:end:step]`: negative
 * numbers count from the end, and what lies beyond an end stops there. A negative step goes backwards.
 *
 * @param end default: everything that follows
 * @example slice(new Tensor(Float32Array.of(3, 1, 2, 4, 6, 5), [2, 3]), 1, 1, 3) // → [[1, 2], [6, 5]]
 */
export function slice(input: Tensor, dim: number, start: number, end?: number | null, step = 1): Tensor {
  const rank = checkTensor('slice', input).shape.length
  const axis = axisOf(input, dim, 'slice: dim')
  const image = input instanceof SymbolicTensor ? input.shape.slice(1) : [...input.shape]
  for (const [what, value] of Object.entries({ start, end: end ?? 0, step })) {
    if (!Number.isSafeInteger(value) || (what === 'step' && value === 0)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `slice: ${what} must be an integer that makes sense but is ${show(value)}`,
      )
    }
  }
  const length = image[axis] ?? 0
  const fromEnd = (index: number) => (index < 0 ? index + length : index)
  const clip = (index: number, low: number, high: number) => Math.min(Math.max(index, low), high)
  const first = step > 0 ? clip(fromEnd(start), 0, length) : clip(fromEnd(start), -1, length - 1)
  const missing = step > 0 ? length : -1
  const last =
    end === undefined || end === null
      ? missing
      : clip(fromEnd(end), step > 0 ? 0 : -1, step > 0 ? length : length - 1)
  const count = Math.ceil((last - first) / step)
  if (count < 1) {
    throw new KerneletError(
      'ERR_SHAPE',
      `slice: nothing lies between ${start} and ${end ?? 'the end'} of dimension ${dim} of ${formatShape(input.shape)}, rank ${rank}`,
    )
  }
  return apply(
    sliced({
      starts: image.map((_, i) => (i === axis ? first : 0)),
      steps: image.map((_, i) => (i === axis ? step : 1)),
      size: image.map((one, i) => (i === axis ? count : one)),
    }),
    [input],
  )
}

/**
 * Puts `value` around, `torch.nn.functional.pad` with mode 'constant'.
 *
 * @param pads how many before and after the last dimension, then before and after the one before it, …; negative
 *   ones cut off
 * @example pad(new Tensor(Float32Array.of(1, 2), [1, 2]), [1, 2]) // → [[0, 1, 2, 0, 0]]
 */
export function pad(input: Tensor, pads: readonly number[], value = 0): Tensor {
  const { shape } = checkTensor('pad', input)
  const around = itemsOf(pads, 2 * shape.length)
  const fits = (one: unknown): one is number => isInteger(one) && Math.abs(one) <= 2 ** 31 - 1
  if (!around?.every(fits) || around.length % 2 !== 0) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `pad: pads must be [before, after] of the last dimensions, integers, at most ${shape.length} pairs, but is ${show(pads)}`,
    )
  }
  const side = (i: number, after: number) => around[2 * (shape.length - 1 - i) + after] ?? 0
  const starts = shape.map((_, i) => side(i, 0))
  const ends = shape.map((_, i) => side(i, 1))
  const filling = numberOf(value, 'pad: value')
  if (!(input instanceof SymbolicTensor)) return apply(padded({ starts, ends, value: filling }), [input])
  if (starts[0] === 0 && ends[0] === 0) {
    if (shape.length === 1) return input
    return apply(padded({ starts: starts.slice(1), ends: ends.slice(1), value: filling }), [input])
  }
  throw new KerneletError('ERR_UNSUPPORTED', 'pad: a compiled model cannot add images to a batch')
}

const mostJoined = 2 ** 16

/**
 * Joins tensors along `dim` (negative: from the end), `torch.cat`.
 * @example cat([new Tensor(Float32Array.of(1, 2), [1, 2]), new Tensor(Float32Array.of(3, 4), [1, 2])], 1) // → [[1, 2, 3, 4]]
 */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  const parts = (itemsOf(tensors, mostJoined) ?? []).map((one) => checkTensor('cat', one))
  const first = parts[0]
  if (first === undefined) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `cat: expected an array of one or more tensors but received ${show(tensors)}`,
    )
  }
  const like = parts.find((tensor) => tensor instanceof SymbolicTensor) ?? first
  return apply(joined({ axis: axisOf(like, dim, 'cat: dim') }), parts)
}

/**
 * Mean over some dimensions, `torch.mean`: one sum in order, then a division.
 *
 * @param dims one or several (negative: from the end); in a trace not 0, the batch
 * @param options `keepdim` (default false): they stay as dimensions of 1
 * @example mean(new Tensor(Float32Array.of(3, 1, 2, 4, 6, 5), [2, 3]), 1) // → [2, 5]
 */
export function mean(
  input: Tensor,
  dims: number | readonly number[],
  options: { keepdim?: boolean } = {},
): Tensor {
  checkOptions('mean', options, ['keepdim'])
  const { shape } = checkTensor('mean', input)
  const list = Array.isArray(dims) ? (itemsOf(dims, shape.length) ?? []) : [dims as unknown]
  const over = new Set(list.map((dim) => normaliseDim(dim, shape.length, 'mean: dims')))
  if (over.size !== list.length || over.size === 0) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `mean: dims must name one or more dimensions once but is ${show(dims)}`,
    )
  }
  const all = [...shape.keys()]
  const kept = all.filter((dim) => !over.has(dim))
  if (input instanceof SymbolicTensor && over.has(0)) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      'mean: dims 0 would mix the images of a batch, which a compiled model keeps apart',
    )
  }
  const size = (dim: number) => shape[dim] ?? 0
  const keepdim = flag(options.keepdim ?? false, 'mean: keepdim')
  const result = keepdim ? shape.map((one, dim) => (over.has(dim) ? 1 : one)) : kept.map(size)
  // of each plane of an image: a value in blocks of channels stays as it lies
  if (all.length === 4 && kept.join() === '0,1') return reshape(adaptiveAvgPool2d(input, 1), result)
  // the dimensions that go come last, and are one row of an image
  const last = over.has(all.length - 1) && Math.min(...over) === kept.length
  const ordered = last ? input : permute(input, [...kept, ...all.filter((dim) => over.has(dim))])
  const rows = reshape(ordered, [1, elements(kept.map(size)), 1, elements([...over].map(size))])
  return reshape(adaptiveAvgPool2d(rows, 1), result)
}

/**
 * Merges dimensions from `startDim` to the last, `torch.nn.Flatten`; by default all but the batch.
 * @example new Flatten().forward(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 2, 2])) // → [[1, 2, 3, 4]]
 */
export class Flatten extends Module {
  readonly startDim: number

  constructor(startDim = 1) {
    super()
    this.startDim = integer(startDim, 'Flatten: startDim')
  }

  forward(x: Tensor): Tensor {
    return flatten(x, this.startDim)
  }
}

/**
 * Splits one dimension into several, `torch.nn.Unflatten`; one of `sizes` may be −1.
 * @example new Unflatten(1, [2, 2]).forward(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 4])) // → [[[1, 2], [3, 4]]]
 */
export class Unflatten extends Module {
  readonly dim: number
  readonly sizes: readonly number[]

  constructor(dim: number, sizes: readonly number[]) {
    super()
    const wanted = sizesOf(sizes)
    if (!wanted || !Number.isInteger(dim)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        'Unflatten: expected a dimension and its sizes, positive integers, one of them perhaps -1, but received ' +
          `${show(dim)} and ${show(sizes)}`,
      )
    }
    this.dim = dim
    this.sizes = wanted
  }

  forward(x: Tensor): Tensor {
    const dim = normaliseDim(this.dim, checkTensor('Unflatten', x).shape.length, 'Unflatten: dim')
    const known = this.sizes.reduce((product, one) => (one === -1 ? product : product * one), 1)
    const sizes = this.sizes.map((one) => (one === -1 ? (x.shape[dim] ?? 0) / known : one))
    return reshape(x, [...x.shape.slice(0, dim), ...sizes, ...x.shape.slice(dim + 1)])
  }
}

/** The same on all sides, or [left, right, top, bottom] as PyTorch orders them; negative numbers cut off. */
export type Pads2d = number | readonly [left: number, right: number, top: number, bottom: number]

/**
 * Puts `value` around, `torch.nn.ConstantPad2d`.
 * @example new ConstantPad2d([1, 0, 0, 0], 7).forward(new Tensor(Float32Array.of(5), [1, 1, 1, 1])) // → [[[[7, 5]]]]
 */
export class ConstantPad2d extends Module {
  readonly padding: readonly number[]
  readonly value: number

  constructor(padding: Pads2d, value: number) {
    super()
    const sides = Array.isArray(padding) ? itemsOf(padding, 4) : Array(4).fill(padding)
    if (sides?.length !== 4 || !sides.every(Number.isInteger)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `${new.target.name}: padding must be an integer or [left, right, top, bottom] but is ${show(padding)}`,
      )
    }
    this.padding = sides as number[]
    this.value = numberOf(value, 'ConstantPad2d: value')
  }

  forward(x: Tensor): Tensor {
    return pad(x, this.padding, this.value)
  }
}

/**
 * Puts zeros around, `torch.nn.ZeroPad2d`.
 * @example new ZeroPad2d(1).forward(new Tensor(Float32Array.of(5), [1, 1, 1, 1])) // → [[[[0, 0, 0], [0, 5, 0], [0, 0, 0]]]]
 */
export class ZeroPad2d extends ConstantPad2d {
  constructor(padding: Pads2d) {
    super(padding, 0)
  }
}
