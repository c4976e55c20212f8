/**
 * Functions of every value by itself, of two and of three that fewer networks have: rounding, trigonometry, comparisons,
 * logic. Results are the nearest float32 but for a hundredth of a unit of the last place. What is true is 1, what is not
 * 0; any number but 0 counts as true. Trained are those that have a slope, `where`, `maximum` and `minimum`.
 */
import { apply, axisMisfit, axisOf, checkTensor } from '../graph/apply.ts'
import { type Maker, type Operation, operation } from '../graph/definition.ts'
import { SymbolicTensor } from '../graph/graph.ts'
import { normaliseDim } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions, flag, integer } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { binary, broadcastMisfit, type Operand, scalar } from './broadcast.ts'
import { reshape } from './movement.ts'

const one = (op: string) => operation(op, {})
const [floorOf, ceilOf, roundOf, signOf] = [one('floor'), one('ceil'), one('round'), one('sign')]
const [sinOf, cosOf, tanOf] = [one('sin'), one('cos'), one('tan')]
const [asinOf, acosOf, atanOf] = [one('asin'), one('acos'), one('atan')]
const [sinhOf, coshOf] = [one('sinh'), one('cosh')]
const [asinhOf, acoshOf, atanhOf] = [one('asinh'), one('acosh'), one('atanh')]
const [isNaNOf, notOf] = [one('isNaN'), one('logicalNot')]
const isInfOf = operation('isInf', { takes: ['alpha', 'beta'], defaults: { alpha: 1, beta: 1 } })

/**
 * The largest integer that is not above x, `torch.floor`.
 * @example floor(new Tensor(Float32Array.of(-1.5, 0.5, 2.5), [3])) // → [-2, 0, 2]
 */
export function floor(input: Tensor): Tensor {
  return apply(floorOf({}), [input])
}

/**
 * The smallest integer that is not below x, `torch.ceil`.
 * @example ceil(new Tensor(Float32Array.of(-1.5, 0.5, 2.5), [3])) // → [-1, 1, 3]
 */
export function ceil(input: Tensor): Tensor {
  return apply(ceilOf({}), [input])
}

/**
 * The nearest integer, halves to the even one, `torch.round`.
 * @example round(new Tensor(Float32Array.of(-1.5, 0.5, 2.5), [3])) // → [-2, 0, 2]
 */
export function round(input: Tensor): Tensor {
  return apply(roundOf({}), [input])
}

/**
 * 1, −1, or a zero as it is, `torch.sign`.
 * @example sign(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-1, -1, 1]
 */
export function sign(input: Tensor): Tensor {
  return apply(signOf({}), [input])
}

/**
 * Sine, `torch.sin`.
 * @example sin(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.9093, -0.4794, 0.8415]
 */
export function sin(input: Tensor): Tensor {
  return apply(sinOf({}), [input])
}

/**
 * Cosine, `torch.cos`.
 * @example cos(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-0.4161, 0.8776, 0.5403]
 */
export function cos(input: Tensor): Tensor {
  return apply(cosOf({}), [input])
}

/**
 * Tangent, `torch.tan`.
 * @example tan(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [2.185, -0.5463, 1.557]
 */
export function tan(input: Tensor): Tensor {
  return apply(tanOf({}), [input])
}

/**
 * Arc sine, `torch.asin`; NaN beyond ±1.
 * @example asin(new Tensor(Float32Array.of(-0.5, 0, 0.5), [3])) // → [-0.5236, 0, 0.5236]
 */
export function asin(input: Tensor): Tensor {
  return apply(asinOf({}), [input])
}

/**
 * Arc cosine, `torch.acos`; NaN beyond ±1.
 * @example acos(new Tensor(Float32Array.of(-0.5, 0, 0.5), [3])) // → [2.094, 1.571, 1.047]
 */
export function acos(input: Tensor): Tensor {
  return apply(acosOf({}), [input])
}

/**
 * Arc tangent, `torch.atan`.
 * @example atan(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-1.107, -0.4636, 0.7854]
 */
export function atan(input: Tensor): Tensor {
  return apply(atanOf({}), [input])
}

/**
 * Hyperbolic sine, `torch.sinh`.
 * @example sinh(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-3.627, -0.5211, 1.175]
 */
export function sinh(input: Tensor): Tensor {
  return apply(sinhOf({}), [input])
}

/**
 * Hyperbolic cosine, `torch.cosh`.
 * @example cosh(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [3.762, 1.128, 1.543]
 */
export function cosh(input: Tensor): Tensor {
  return apply(coshOf({}), [input])
}

/**
 * Inverse hyperbolic sine, `torch.asinh`.
 * @example asinh(new Tensor(Float32Array.of(-2, -0.5, 1), [3])) // → [-1.444, -0.4812, 0.8814]
 */
export function asinh(input: Tensor): Tensor {
  return apply(asinhOf({}), [input])
}

/**
 * Inverse hyperbolic cosine, `torch.acosh`; NaN below 1.
 * @example acosh(new Tensor(Float32Array.of(1, 2), [2])) // → [0, 1.317]
 */
export function acosh(input: Tensor): Tensor {
  return apply(acoshOf({}), [input])
}

/**
 * Inverse hyperbolic tangent, `torch.atanh`; NaN beyond ±1.
 * @example atanh(new Tensor(Float32Array.of(-0.5, 0, 0.5), [3])) // → [-0.5493, 0, 0.5493]
 */
export function atanh(input: Tensor): Tensor {
  return apply(atanhOf({}), [input])
}

/**
 * Whether it is NaN, `torch.isnan`.
 * @example isnan(new Tensor(Float32Array.of(NaN, Infinity, -Infinity, 1), [4])) // → [1, 0, 0, 0]
 */
export function isnan(input: Tensor): Tensor {
  return apply(isNaNOf({}), [input])
}

/**
 * Whether it is ∞ or −∞, `torch.isinf`.
 * @example isinf(new Tensor(Float32Array.of(NaN, Infinity, -Infinity, 1), [4])) // → [0, 1, 1, 0]
 */
export function isinf(input: Tensor): Tensor {
  return apply(isInfOf({ alpha: 1, beta: 1 }), [input])
}

/**
 * Whether it is ∞, `torch.isposinf`.
 * @example isposinf(new Tensor(Float32Array.of(NaN, Infinity, -Infinity, 1), [4])) // → [0, 1, 0, 0]
 */
export function isposinf(input: Tensor): Tensor {
  return apply(isInfOf({ alpha: 1, beta: 0 }), [input])
}

/**
 * Whether it is −∞, `torch.isneginf`.
 * @example isneginf(new Tensor(Float32Array.of(NaN, Infinity, -Infinity, 1), [4])) // → [0, 0, 1, 0]
 */
export function isneginf(input: Tensor): Tensor {
  return apply(isInfOf({ alpha: 0, beta: 1 }), [input])
}

/**
 * Whether it is 0, `torch.logical_not`.
 * @example logicalNot(new Tensor(Float32Array.of(0, 2), [2])) // → [1, 0]
 */
export function logicalNot(input: Tensor): Tensor {
  return apply(notOf({}), [input])
}

const two = (op: string) => operation(op, { inputs: 2, misfit: broadcastMisfit(op) })
const [maximumOf, minimumOf] = [two('maximum'), two('minimum')]
const [lessOf, lessEqualOf, equalOf] = [two('less'), two('lessEqual'), two('equal')]
const [andOf, orOf, xorOf] = [two('logicalAnd'), two('logicalOr'), two('logicalXor')]
const [remainderOf, fmodOf] = [two('remainder'), two('fmod')]
const whereOf = operation('where', { inputs: 3, misfit: broadcastMisfit('where') })

/**
 * The larger of two, NaN if one is, `torch.maximum`.
 * @example maximum(new Tensor(Float32Array.of(1, 5, 3), [3]), new Tensor(Float32Array.of(2, 5, 1), [3])) // → [2, 5, 3]
 */
export function maximum(a: Operand, b: Operand): Tensor {
  return binary('maximum', maximumOf, a, b)
}

/**
 * The smaller of two, NaN if one is, `torch.minimum`.
 * @example minimum(new Tensor(Float32Array.of(1, 5, 3), [3]), new Tensor(Float32Array.of(2, 5, 1), [3])) // → [1, 5, 1]
 */
export function minimum(a: Operand, b: Operand): Tensor {
  return binary('minimum', minimumOf, a, b)
}

/**
 * `a < b`, `torch.lt`.
 * @example lt(new Tensor(Float32Array.of(1, 5, 3), [3]), new Tensor(Float32Array.of(2, 5, 1), [3])) // → [1, 0, 0]
 */
export function lt(a: Operand, b: Operand): Tensor {
  return binary('lt', lessOf, a, b)
}

/**
 * `a ≤ b`, `torch.le`.
 * @example le(new Tensor(Float32Array.of(1, 5, 3), [3]), new Tensor(Float32Array.of(2, 5, 1), [3])) // → [1, 1, 0]
 */
export function le(a: Operand, b: Operand): Tensor {
  return binary('le', lessEqualOf, a, b)
}

/**
 * `a > b`, `torch.gt`.
 * @example gt(new Tensor(Float32Array.of(1, 5, 3), [3]), new Tensor(Float32Array.of(2, 5, 1), [3])) // → [0, 0, 1]
 */
export function gt(a: Operand, b: Operand): Tensor {
  return turned('gt', lessOf, a, b)
}

/**
 * `a ≥ b`, `torch.ge`.
 * @example ge(new Tensor(Float32Array.of(1, 5, 3), [3]), new Tensor(Float32Array.of(2, 5, 1), [3])) // → [0, 1, 1]
 */
export function ge(a: Operand, b: Operand): Tensor {
  return turned('ge', lessEqualOf, a, b)
}

function turned(op: string, make: Maker<never, never>, a: Operand, b: Operand): Tensor {
  const left = typeof b === 'number' ? checkTensor(op, a) : scalar(a)
  return apply(make({}), [scalar(b), left])
}

/**
 * `a = b`, `torch.eq`.
 * @example eq(new Tensor(Float32Array.of(1, 5, 3), [3]), new Tensor(Float32Array.of(2, 5, 1), [3])) // → [0, 1, 0]
 */
export function eq(a: Operand, b: Operand): Tensor {
  return binary('eq', equalOf, a, b)
}

/**
 * `a ≠ b`, `torch.ne`.
 * @example ne(new Tensor(Float32Array.of(1, 5, 3), [3]), new Tensor(Float32Array.of(2, 5, 1), [3])) // → [1, 0, 1]
 */
export function ne(a: Operand, b: Operand): Tensor {
  return logicalNot(eq(a, b))
}

/**
 * Whether both are true, `torch.logical_and`.
 * @example logicalAnd(new Tensor(Float32Array.of(0, 0, 1, 1), [4]), new Tensor(Float32Array.of(0, 1, 0, 1), [4])) // → [0, 0, 0, 1]
 */
export function logicalAnd(a: Operand, b: Operand): Tensor {
  return binary('logicalAnd', andOf, a, b)
}

/**
 * Whether one is true, `torch.logical_or`.
 * @example logicalOr(new Tensor(Float32Array.of(0, 0, 1, 1), [4]), new Tensor(Float32Array.of(0, 1, 0, 1), [4])) // → [0, 1, 1, 1]
 */
export function logicalOr(a: Operand, b: Operand): Tensor {
  return binary('logicalOr', orOf, a, b)
}

/**
 * Whether one of two is true and the other is not, `torch.logical_xor`.
 * @example logicalXor(new Tensor(Float32Array.of(0, 0, 1, 1), [4]), new Tensor(Float32Array.of(0, 1, 0, 1), [4])) // → [0, 1, 1, 0]
 */
export function logicalXor(a: Operand, b: Operand): Tensor {
  return binary('logicalXor', xorOf, a, b)
}

/**
 * What is left of `a` after a division by `b`, with the sign of `b`, `torch.remainder`.
 * @example remainder(new Tensor(Float32Array.of(-3, 3), [2]), 2) // → [1, 1]
 */
export function remainder(a: Operand, b: Operand): Tensor {
  return binary('remainder', remainderOf, a, b)
}

/**
 * What is left of `a` after a division by `b`, with the sign of `a`, `torch.fmod`.
 * @example fmod(new Tensor(Float32Array.of(-3, 3), [2]), 2) // → [-1, 1]
 */
export function fmod(a: Operand, b: Operand): Tensor {
  return binary('fmod', fmodOf, a, b)
}

/**
 * `a` where the condition is not 0, else `b`, `torch.where`; shapes broadcast.
 * @example where(new Tensor(Float32Array.of(1, 0, 1), [3]), new Tensor(Float32Array.of(1, 5, 3), [3]), 0) // → [1, 0, 3]
 */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  return apply(whereOf({}), [checkTensor('where: condition', condition), scalar(a), scalar(b)])
}

const prodOf = operation('prod', { needs: ['axis'], defaults: { axis: 0 }, check: axisMisfit })
const cumSumOf = operation('cumSum', {
  needs: ['axis'],
  takes: ['alpha', 'beta'],
  defaults: { axis: 0, alpha: 0, beta: 0 },
  check: axisMisfit,
})
const sortOf = operation('sort', {
  needs: ['axis', 'size'],
  takes: ['alpha', 'beta'],
  defaults: { axis: 0, alpha: 0, beta: 0 },
  derived: (_operation, _input, shape) => ({ size: shape }),
  own: ({ size }) => [...size],
  check: axisMisfit,
})
const place = {
  needs: ['axis'],
  takes: ['alpha'],
  defaults: { axis: 0, alpha: 0 },
  check: axisMisfit,
} as const
const [argMaxOf, argMinOf] = [operation('argMax', place), operation('argMin', place)]

/** Options of `prod`. */
export interface FoldOptions {
  /** The dimension stays, as 1; default false. */
  keepdim?: boolean | undefined
}

/** Options of `argmax` and `argmin`. */
export interface PlaceOptions extends FoldOptions {
  /** The last of equals, as ONNX can have it; default false: the first. */
  last?: boolean | undefined
}

function along(
  who: string,
  input: Tensor,
  dim: number,
  options: FoldOptions,
  make: (axis: number) => Operation,
): Tensor {
  checkOptions(who, options, ['keepdim'])
  const { shape } = checkTensor(who, input)
  const keepdim = flag(options.keepdim ?? false, `${who}: keepdim`)
  const result = apply(make(axisOf(input, dim, `${who}: dim`)), [input])
  const at = normaliseDim(dim, Math.max(shape.length, 1), who)
  return keepdim || shape.length === 0
    ? result
    : reshape(
        result,
        shape.filter((_, d) => d !== at),
      )
}

/**
 * The product along `dim` (negative: from the end), in order, `torch.prod`. Not trained.
 * @example prod(new Tensor(Float32Array.of(3, 1, 2, 4, 6, 5), [2, 3]), 1) // → [6, 120]
 */
export function prod(input: Tensor, dim: number, options: FoldOptions = {}): Tensor {
  return along('prod', input, dim, options, (axis) => prodOf({ axis }))
}

/**
 * Where along `dim` (negative: from the end) the largest value is, `torch.argmax`: the first of equals. An index is a
 * float here, exact below 2²⁴.
 * @example argmax(new Tensor(Float32Array.of(3, 1, 2, 4, 6, 5), [2, 3]), 1) // → [0, 1]
 */
export function argmax(input: Tensor, dim: number, options: PlaceOptions = {}): Tensor {
  const [alpha, rest] = lastOf(options, 'argmax')
  return along('argmax', input, dim, rest, (axis) => argMaxOf({ axis, alpha }))
}

function lastOf(options: PlaceOptions, who: string): [number, FoldOptions] {
  checkOptions(who, options, ['keepdim', 'last'])
  const { last = false, ...rest } = options
  return [flag(last, `${who}: last`) ? 1 : 0, rest]
}

/**
 * Where along `dim` the smallest value is, `torch.argmin`; see `argmax`.
 * @example argmin(new Tensor(Float32Array.of(3, 1, 2, 4, 6, 5), [2, 3]), 1) // → [1, 0]
 */
export function argmin(input: Tensor, dim: number, options: PlaceOptions = {}): Tensor {
  const [alpha, rest] = lastOf(options, 'argmin')
  return along('argmin', input, dim, rest, (axis) => argMinOf({ axis, alpha }))
}

/** Options of `cumsum` that PyTorch has not, and ONNX has. */
export interface CumsumOptions {
  /** Sums of what comes before, without the element itself; default false. */
  exclusive?: boolean | undefined
  /** From the end; default false. */
  reverse?: boolean | undefined
}

/**
 * Sums of the values up to each along `dim` (negative: from the end), in order, `torch.cumsum`. Not trained.
 * @example cumsum(new Tensor(Float32Array.of(3, 1, 2, 4, 6, 5), [2, 3]), 1) // → [[3, 4, 6], [4, 10, 15]]
 */
export function cumsum(input: Tensor, dim: number, options: CumsumOptions = {}): Tensor {
  checkOptions('cumsum', options, ['exclusive', 'reverse'])
  const alpha = flag(options.exclusive ?? false, 'cumsum: exclusive') ? 1 : 0
  const beta = flag(options.reverse ?? false, 'cumsum: reverse') ? 1 : 0
  return apply(cumSumOf({ axis: axisOf(input, dim, 'cumsum: dim'), alpha, beta }), [input])
}

/** Options of `sort` and `argsort`. */
export interface SortOptions {
  /** The largest first; default false. */
  descending?: boolean | undefined
  /** How many of the first are wanted, as of `torch.topk`; default all. */
  count?: number | undefined
}

function sorted(who: string, input: Tensor, dim: number, options: SortOptions, beta: number): Tensor {
  checkOptions(who, options, ['descending', 'count'])
  const alpha = flag(options.descending ?? false, `${who}: descending`) ? 1 : 0
  const axis = axisOf(checkTensor(who, input), dim, `${who}: dim`)
  const size = input instanceof SymbolicTensor ? input.shape.slice(1) : [...input.shape]
  const all = size[axis] ?? 1
  const count = integer(options.count ?? all, `${who}: count`)
  if (count < 1 || count > all) {
    throw new KerneletError('ERR_ARGUMENT', `${who}: count must be from 1 to ${all} but is ${count}`)
  }
  size[axis] = count
  return apply(sortOf({ axis, size, alpha, beta }), [input])
}

/**
 * The values along `dim` (negative: from the end) in order, those of `torch.sort`; of equals the first comes first, and a
 * NaN counts as larger than all. Up to 2²⁴ of them; those that are wanted are found without the order of the rest. Not
 * trained.
 * @example sort(new Tensor(Float32Array.of(3, 1, 2, 4, 6, 5), [2, 3]), 1) // → [[1, 2, 3], [4, 5, 6]]
 */
export function sort(input: Tensor, dim: number, options: SortOptions = {}): Tensor {
  return sorted('sort', input, dim, options, 0)
}

/**
 * Where the values that `sort` gives are, `torch.argsort` with `stable`: an index is a float here.
 * @example argsort(new Tensor(Float32Array.of(3, 1, 2, 4, 6, 5), [2, 3]), 1) // → [[1, 2, 0], [0, 2, 1]]
 */
export function argsort(input: Tensor, dim: number, options: SortOptions = {}): Tensor {
  return sorted('argsort', input, dim, options, 1)
}
