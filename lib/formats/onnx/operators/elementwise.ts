/** Operators that go element by element. */
import {
  abs,
  add,
  clamp,
  div,
  elu,
  exp,
  gelu,
  hardsigmoid,
  hardswish,
  leakyRelu,
  log,
  mul,
  pow,
  prelu,
  relu,
  selu,
  sigmoid,
  sub,
  tanh,
} from '../../../ops/functional.ts'
import { elements } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import type { OnnxNode } from '../node.ts'
import {
  arrayOf,
  isSymbolic,
  type Operator,
  onlyArrays,
  required,
  type Step,
  tensorOf,
  type Value,
} from '../value.ts'
import { reshaped } from './shape.ts'

/** A function of one tensor, with a native operation. */
function unary(make: (node: OnnxNode) => (x: Tensor) => Tensor): Operator {
  return (node) => {
    const compute = make(node)
    return (inputs) => compute(tensorOf(required(node, inputs, 0)))
  }
}

/** A function of one number; of tensors in a trace where there is an operation for it. */
function unaryHost(compute: (value: number) => number, symbolic?: (x: Tensor) => Tensor): Operator {
  return (node) => (inputs) => {
    const value = required(node, inputs, 0)
    if (symbolic && isSymbolic(value)) return symbolic(value)
    const array = arrayOf(node, value)
    const result = nd.allocate(array.kind, array.shape)
    for (const [i, one] of array.values.entries()) result.values[i] = compute(one)
    return result
  }
}

/** An operand for the functions of two tensors: a constant with the batch dimension left off. */
export function operand(value: Value, other: Value): Tensor | number {
  const tensor = tensorOf(value)
  if (isSymbolic(value) || !isSymbolic(other)) return tensor
  if (!(value instanceof Tensor) && value.values.length === 1 && value.shape.length <= other.shape.length) {
    return value.values[0] as number
  }
  return tensor
}

/** Arithmetic on two values: integers here, floats by the native operation. */
function binary(
  native: (a: Tensor | number, b: Tensor | number) => Tensor,
  integers: (a: number, b: number) => number,
): Operator {
  return (node) => {
    // Before opset 7 the second operand could begin at any dimension of the first.
    const old = node.opset < 7 && node.flag('broadcast', false)
    const begin = old && node.has('axis') ? node.int('axis', 0) : undefined
    return (inputs) => {
      const [a, second] = [required(node, inputs, 0), required(node, inputs, 1)]
      const missing = begin === undefined ? 0 : a.shape.length - begin - second.shape.length
      const ones = Array<number>(Math.max(missing, 0)).fill(1)
      const b = reshaped(node, second, [...second.shape, ...ones])
      if (onlyArrays([a, b])) return nd.combine(kindOf(a), [arrayOf(node, a), arrayOf(node, b)], integers)
      return native(operand(a, b), operand(b, a))
    }
  }
}

function kindOf(value: Value): nd.Kind {
  return value instanceof Tensor ? 'float' : value.kind
}

/** Division of integers drops the fraction. */
function divide(a: number, b: number): number {
  return b === 0 ? 0 : Math.trunc(a / b)
}

/** A function of arrays that there is no native operation for; `kind` of the result, else the first one's. */
function hostOf(compute: (...values: number[]) => number, kind?: nd.Kind): Operator {
  return (node) => (inputs) => {
    const arrays = inputs.map((_, i) => arrayOf(node, required(node, inputs, i)))
    if (arrays.length === 0) throw node.error('ERR_FORMAT', 'it has no inputs')
    return nd.combine(kind ?? (arrays[0] as nd.NdArray).kind, arrays, compute)
  }
}

const Clip: Operator = (node) => {
  const old = node.opset < 11
  const low = old ? node.float('min', Number.NEGATIVE_INFINITY) : Number.NEGATIVE_INFINITY
  const high = old ? node.float('max', Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY
  return (inputs) => {
    const value = required(node, inputs, 0)
    const bound = (i: number, otherwise: number) =>
      (!old && inputs[i] ? arrayOf(node, inputs[i], 'a bound').values[0] : undefined) ?? otherwise
    return clip(node, value, bound(1, low), bound(2, high))
  }
}

/** Where the bounds cross, the upper one wins. */
function clip(node: OnnxNode, value: Value, low: number, high: number): Value {
  if (!onlyArrays([value])) return clamp(tensorOf(value), low, high)
  const array = arrayOf(node, value)
  const result = nd.allocate(array.kind, array.shape)
  for (const [i, one] of array.values.entries()) result.values[i] = Math.min(Math.max(one, low), high)
  return result
}

const PRelu: Operator = (node) => (inputs, run) => {
  const [value, slope] = [required(node, inputs, 0), tensorOf(required(node, inputs, 1))]
  if (onlyArrays([value])) {
    return nd.combine(kindOf(value), [arrayOf(node, value), arrayOf(node, slope)], (x, a) =>
      x < 0 ? x * a : x,
    )
  }
  const x = tensorOf(value)
  const count = elements(slope.shape)
  // One slope, or one a channel: dimension 1 of the input, the other dimensions of the slope being 1.
  const shape = run.held.get(slope) ?? slope.shape
  // Before opset 7 a list of slopes was one for each channel whatever the rank.
  const old = node.opset < 7 && shape.length === 1 && count === x.shape[1]
  const perChannel = count === x.shape[1] && shape[shape.length - (x.shape.length - 1)] === count
  if (!isSymbolic(slope) && (count === 1 || perChannel || old)) {
    return prelu(x, slope.shape.length === 1 ? slope : new Tensor(slope.data, [count]))
  }
  const negative = mul(relu(mul(x, -1)), slope)
  return sub(relu(x), negative)
}

/** The largest or smallest of several; of one tensor in a trace and numbers, a clamp. */
function extreme(pick: (...values: number[]) => number, lower: boolean): Operator {
  const host = hostOf(pick)
  return (node) => {
    const compute = host(node)
    return (inputs, run) => {
      const symbolic = inputs.filter(isSymbolic)
      if (symbolic.length === 0) return compute(inputs, run)
      const bounds = inputs
        .filter((value): value is Value => value !== undefined && !isSymbolic(value))
        .map((value) => arrayOf(node, value).values)
      if (symbolic.length > 1 || bounds.some((values) => values.length !== 1)) {
        throw node.unsupported('when a model is compiled, all but one of its inputs must be single numbers')
      }
      const bound = pick(...bounds.map((values) => values[0] as number))
      if (bounds.length === 0) return symbolic[0] as Tensor
      return clamp(
        symbolic[0] as Tensor,
        lower ? bound : Number.NEGATIVE_INFINITY,
        lower ? Number.POSITIVE_INFINITY : bound,
      )
    }
  }
}

const addTwo = binary(add, (a, b) => a + b)

/** Any number of tensors, added up. */
const Sum: Operator = (node) => {
  const step: Step = addTwo(node)
  return (inputs, run) =>
    inputs.map((_, i) => required(node, inputs, i)).reduce((sum, value) => step([sum, value], run) as Value)
}

const Pow: Operator = (node) => (inputs) => {
  const [base, exponent] = [required(node, inputs, 0), required(node, inputs, 1)]
  if (isSymbolic(base)) {
    const { values } = arrayOf(node, exponent, 'the exponent')
    if (values.length !== 1) throw node.unsupported('an exponent that is not one number is for run() only')
    return pow(base, values[0] as number)
  }
  return nd.combine(kindOf(base), [arrayOf(node, base), arrayOf(node, exponent)], (a, b) => a ** b)
}

const Gelu: Operator = (node) => {
  const approximate = node.text('approximate', 'none')
  if (approximate !== 'none') throw node.unsupported(`attribute approximate=${approximate} is not supported`)
  return (inputs) => gelu(tensorOf(required(node, inputs, 0)))
}

const Where: Operator = (node) => (inputs) => {
  const [condition, a, b] = [0, 1, 2].map((i) => arrayOf(node, required(node, inputs, i))) as nd.NdArray[]
  const arrays = [condition, a, b] as nd.NdArray[]
  return nd.combine((a as nd.NdArray).kind, arrays, (which, x, y) => (which ? x : y) as number)
}

/** Modulo has the sign of the divisor, with fmod=1 that of the dividend. */
const Mod: Operator = (node) => {
  const remainder = node.flag('fmod', false)
  return hostOf((a, b) => (remainder ? (a as number) % (b as number) : modulo(a as number, b as number)))(
    node,
  )
}

function modulo(a: number, b: number): number {
  const rest = a % b
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest
}

const compare = (compute: (a: number, b: number) => boolean): Operator =>
  hostOf((a, b) => (compute(a as number, b as number) ? 1 : 0), 'bool')

export const elementwiseOperators: Readonly<Record<string, Operator>> = {
  Relu: (node) => (inputs) => {
    const value = required(node, inputs, 0)
    return onlyArrays([value]) ? clip(node, value, 0, Number.POSITIVE_INFINITY) : relu(tensorOf(value))
  },
  Sigmoid: unary(() => sigmoid),
  Tanh: unary(() => tanh),
  HardSwish: unary(() => hardswish),
  LeakyRelu: unary((node) => {
    const alpha = node.float('alpha', 0.01)
    return (x) => leakyRelu(x, alpha)
  }),
  Elu: unary((node) => {
    const alpha = node.float('alpha', 1)
    return (x) => elu(x, alpha)
  }),
  Selu: unary((node) => {
    // Written with the digits of the specification, as float32 numbers.
    const alpha = node.float('alpha', Math.fround(1.6732632423543772))
    const gamma = node.float('gamma', Math.fround(1.0507009873554805))
    return (x) => selu(x, { alpha, scale: gamma })
  }),
  HardSigmoid: unary((node) => {
    const alpha = node.float('alpha', 0.2)
    const beta = node.float('beta', 0.5)
    return (x) => hardsigmoid(x, { alpha, beta })
  }),
  Gelu,
  PRelu,
  Clip,
  Exp: unary(() => exp),
  Log: unary(() => log),
  Abs: unaryHost(Math.abs, abs),
  Neg: unaryHost(
    (x) => -x,
    (x) => mul(x, -1),
  ),
  Sqrt: unaryHost(Math.sqrt, (x) => pow(x, 0.5)),
  Reciprocal: unaryHost(
    (x) => 1 / x,
    (x) => div(1, x),
  ),
  Floor: unaryHost(Math.floor),
  Ceil: unaryHost(Math.ceil),
  Sign: unaryHost(Math.sign),
  Add: addTwo,
  Sub: binary(sub, (a, b) => a - b),
  Mul: binary(mul, (a, b) => a * b),
  Div: binary(div, divide),
  Sum,
  Pow,
  Max: extreme(Math.max, true),
  Min: extreme(Math.min, false),
  Mod,
  Where,
  Equal: compare((a, b) => a === b),
  Less: compare((a, b) => a < b),
  LessOrEqual: compare((a, b) => a <= b),
  Greater: compare((a, b) => a > b),
  GreaterOrEqual: compare((a, b) => a >= b),
  And: compare((a, b) => a !== 0 && b !== 0),
  Or: compare((a, b) => a !== 0 || b !== 0),
  Xor: compare((a, b) => (a !== 0) !== (b !== 0)),
  Not: (node) => (inputs) =>
    nd.combine('bool', [arrayOf(node, required(node, inputs, 0))], (x) => (x === 0 ? 1 : 0)),
}
