/** Arithmetic, comparisons and choices, of several values element by element. Numbers keep their type. */
import { add, clamp, div, maximum, minimum, mul, pow, sub } from '../../../ops/index.ts'
import { elements } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { convert, type ElementType, float64, int64 } from '../element.ts'
import type { GraphWriter, Item, Write } from '../graph-writer.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { anywhere } from '../slots.ts'
import {
  arrayOf,
  commonType,
  isSymbolic,
  onlyArrays,
  type Read,
  required,
  type Step,
  tensorOf,
  typeOf,
  type Value,
} from '../value.ts'
import { reshaped } from './shape.ts'

/** A function of two numbers, for each way in which numbers are held. */
export interface Arithmetic {
  readonly float: (a: number, b: number) => number
  /** Of integers of up to 32 bits: only the low bits of the result count. */
  readonly int: (a: number, b: number) => number
  readonly wide: (a: bigint, b: bigint) => bigint
}

function compute(
  { float, int, wide }: Arithmetic,
  type: ElementType,
  arrays: readonly nd.NdArray[],
): nd.NdArray {
  if (type.wide) return nd.combine<bigint>(type, arrays, wide)
  return nd.combine<number>(type, arrays, type.kind === 'float' ? float : int)
}

/** The arithmetic of two values in their own type. */
export function host(node: OnnxNode, arithmetic: Arithmetic, values: readonly Value[]): nd.NdArray {
  const type = commonType(node, values)
  if (type.kind === 'bool') throw node.error('ERR_FORMAT', 'it takes numbers but gets bool')
  return compute(
    arithmetic,
    type,
    values.map((value) => arrayOf(node, value)),
  )
}

/** An operand for the functions of two tensors: a constant with the batch dimension left off. */
export function operand(node: OnnxNode, value: Value, other: Value): Tensor | number {
  const tensor = tensorOf(value, node)
  if (isSymbolic(value) || !isSymbolic(other)) return tensor
  if (!Tensor.is(value) && value.values.length === 1 && value.shape.length <= other.shape.length) {
    return tensor.data[0] ?? 0
  }
  return tensor
}

/** Arithmetic on two values: integers and doubles here, floats by the native operation. */
function binary(native: (a: Tensor | number, b: Tensor | number) => Tensor, arithmetic: Arithmetic): Read {
  return (node) => {
    // Before opset 7 the second operand could begin at any dimension of the first.
    const old = node.opset < 7 && node.flag('broadcast', false)
    const begin = old && node.has('axis') ? node.int('axis', 0) : undefined
    return (inputs) => {
      const [a, second] = [required(node, inputs, 0), required(node, inputs, 1)]
      const missing = begin === undefined ? 0 : a.shape.length - begin - second.shape.length
      const ones = Array<number>(Math.max(missing, 0)).fill(1)
      const b = reshaped(node, second, [...second.shape, ...ones])
      if (onlyArrays([a, b])) return host(node, arithmetic, [a, b])
      return native(operand(node, a, b), operand(node, b, a))
    }
  }
}

const addTwo = binary(add, { float: (a, b) => a + b, int: (a, b) => a + b, wide: (a, b) => a + b })

/** Division of integers drops the fraction; by zero it is 0, as NumPy has it. */
const division: Arithmetic = {
  float: (a, b) => a / b,
  int: (a, b) => (b === 0 ? 0 : Math.trunc(a / b)),
  wide: (a, b) => (b === 0n ? 0n : a / b),
}

/** Any number of tensors, added up. */
const Sum: Read = (node) => {
  const step: Step = addTwo(node)
  return (inputs, run) => {
    if (inputs.length === 0) throw node.error('ERR_FORMAT', 'it has no inputs')
    return inputs
      .map((_, i) => required(node, inputs, i))
      .reduce((sum, value) => step([sum, value], run) as Value)
  }
}

/** The largest or smallest of several; of one tensor in a trace and numbers, a clamp. */
function extreme(pick: (a: number, b: number) => number, lower: boolean): Read {
  const arithmetic: Arithmetic = { float: pick, int: pick, wide: (a, b) => (a < b === lower ? b : a) }
  return (node) => (inputs) => {
    if (inputs.length === 0) throw node.error('ERR_FORMAT', 'it has no inputs')
    const values = inputs.map((_, i) => required(node, inputs, i))
    const symbolic = values.filter(isSymbolic)
    if (symbolic.length === 0) return values.reduce((a, b) => host(node, arithmetic, [a, b]))
    const bounds = values.filter((value) => !isSymbolic(value)).map((value) => tensorOf(value, node).data)
    if (values.length === 1) return values[0] as Tensor
    if (symbolic.length > 1 || bounds.some(({ length }) => length !== 1)) {
      const native = lower ? maximum : minimum
      return values.reduce((a, b) => native(operand(node, a, b), operand(node, b, a)))
    }
    const bound = bounds.map((one) => one[0] ?? 0).reduce(pick)
    return clamp(
      symbolic[0] as Tensor,
      lower ? bound : Number.NEGATIVE_INFINITY,
      lower ? Number.POSITIVE_INFINITY : bound,
    )
  }
}

/** The mean of any number of tensors. */
const Mean: Read = (node) => {
  const sum = Sum(node)
  return (inputs, run) => {
    const total = sum(inputs, run) as Value
    if (typeOf(total).kind !== 'float')
      throw node.unsupported(`it takes floating-point numbers but gets ${typeOf(total).name}`)
    if (!onlyArrays([total])) return div(tensorOf(total, node), inputs.length)
    const array = arrayOf(node, total)
    return nd.combine<number>(array.type, [array], (x) => x / inputs.length)
  }
}

/** What a power of integers costs: up to 128 products. */
const powerSteps = 1000

/** Base and exponent may be of two types; the result has the base's. */
const Pow: Read = (node) => (inputs) => {
  const [base, exponent] = [required(node, inputs, 0), required(node, inputs, 1)]
  const type = typeOf(base)
  const one = elements(exponent.shape) === 1 && exponent.shape.length <= base.shape.length
  if (one && type.single && !onlyArrays([base])) {
    return pow(tensorOf(base, node), nd.first(arrayOf(node, exponent, 'the exponent')) as number)
  }
  if (isSymbolic(base)) throw node.unsupported('an exponent that is not one number is for run() only')
  const [a, b] = [arrayOf(node, base), arrayOf(node, exponent)]
  if (type.kind === 'float' || b.type.kind === 'float') {
    const doubles = [a, b].map(asDoubles)
    if (type.kind === 'float') return nd.combine<number>(type, doubles, power)
    const result = nd.combine<number>(float64, doubles, power)
    return { ...result, type, values: convert(result.values, float64, type, true) }
  }
  spend(powerSteps * Math.max(a.values.length, b.values.length))
  const wide = [a, b].map(asWide)
  const result = nd.combine<bigint>(int64, wide, powerOf)
  return { ...result, type, values: convert(result.values, int64, type, true) }
}

function asDoubles(array: nd.NdArray): nd.NdArray {
  return { ...array, type: float64, values: convert(array.values, array.type, float64, true) }
}

function asWide(array: nd.NdArray): nd.NdArray {
  return { ...array, type: int64, values: convert(array.values, array.type, int64, true) }
}

/** IEEE 754's power, which is 1 where JavaScript's is NaN. */
function power(base: number, exponent: number): number {
  return base === 1 || (base === -1 && Math.abs(exponent) === Number.POSITIVE_INFINITY) ? 1 : base ** exponent
}

/** The low 64 bits of a power of integers; one below zero has its fraction dropped. */
function powerOf(base: bigint, exponent: bigint): bigint {
  if (exponent < 0n) return base === 1n ? 1n : base === -1n ? (exponent % 2n === 0n ? 1n : -1n) : 0n
  let [result, square] = [1n, base]
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = BigInt.asIntN(64, result * square)
    square = BigInt.asIntN(64, square * square)
  }
  return result
}

/** Shapes line up at the end, so that the lower rank gets ones between the batch and the rest. */
export function linedUp(to: GraphWriter, { inputs, shapes, output }: Item): string[] {
  const rank = Math.max(...shapes.map((shape) => shape.length))
  return inputs.map((name, i) => {
    const missing = rank - (shapes[i]?.length ?? rank)
    if (missing === 0 || to.isConstant(name)) return name
    const axes = to.integers(
      `${output}.axes`,
      Array.from({ length: missing }, (_, d) => d + 1),
    )
    return to.step('Unsqueeze', [name, axes], output)
  })
}

export function arithmeticOf(op: string): Write {
  return (to, item) => {
    to.add(op, linedUp(to, item), item.output)
  }
}

export const arithmetic: Family = {
  operators: {
    Add: { read: addTwo, slot: anywhere },
    Sub: {
      slot: anywhere,
      read: binary(sub, { float: (a, b) => a - b, int: (a, b) => a - b, wide: (a, b) => a - b }),
    },
    Mul: {
      slot: anywhere,
      read: binary(mul, { float: (a, b) => a * b, int: Math.imul, wide: (a, b) => a * b }),
    },
    Div: { read: binary(div, division), slot: anywhere },
    Sum: { read: Sum, slot: anywhere },
    Mean: { read: Mean, slot: anywhere },
    Pow,
    Max: extreme(Math.max, true),
    Min: extreme(Math.min, false),
  },
  writers: {
    add: arithmeticOf('Add'),
    sub: arithmeticOf('Sub'),
    mul: arithmeticOf('Mul'),
    div: arithmeticOf('Div'),
    maximum: arithmeticOf('Max'),
    minimum: arithmeticOf('Min'),
  },
}
