/** Functions of one value, element by element, that fewer networks have: activations, rounding, trigonometry. */
import type { GraphNode } from '../../../graph/graph.ts'
import * as ops from '../../../ops/index.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { bool } from '../element.ts'
import type { Attributes, Write } from '../graph-writer.ts'
import type { OnnxNode } from '../node.ts'
import { type Family, type Operator, same } from '../operator.ts'
import { arrayOf, axisOf, isSymbolic, keepBatch, type Read, required } from '../value.ts'
import { unary, unaryNumbers } from './elementwise.ts'

/** A function without attributes. */
function plain(native: (x: Tensor) => Tensor, number: (x: number) => number): Read {
  return unary(() => ({ native, number }))
}

/** Halves to the even integer. */
function rounded(x: number): number {
  const below = Math.floor(x)
  const rest = x - below
  if (rest !== 0.5) return Math.sign(x) === -1 && x >= -0.5 ? -0 : rest < 0.5 ? below : below + 1
  return below % 2 === 0 ? below : below + 1
}

/** The error function in double: its series near 0, else a continued fraction for 1 − erf. */
function errorFunction(x: number): number {
  const size = Math.abs(x)
  if (size < 2.5) {
    let [term, sum] = [size, size]
    for (let n = 1; Math.abs(term) > 1e-18 * sum; n++) {
      term *= -(size * size) / n
      sum += term / (2 * n + 1)
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI) || x
  }
  if (!(size < 7)) return Number.isNaN(x) ? x : Math.sign(x)
  let below = 0
  for (let n = 60; n > 0; n--) below = n / 2 / (size + below)
  return Math.sign(x) * (1 - Math.exp(-size * size) / ((size + below) * Math.sqrt(Math.PI)))
}

const Shrink: Read = unary((node) => {
  const [lambd, bias] = [node.float('lambd', 0.5), node.float('bias', 0)]
  return {
    native: (x) => ops.shrink(x, lambd, bias),
    number: (x) => (x < -lambd ? x + bias : x > lambd ? x - bias : Number.isNaN(x) ? x : 0),
  }
})

/** 1 for the first of the largest along a dimension, else 0; before opset 13 along all from `axis` on. */
const Hardmax: Read = (node) => {
  const merged = node.opset < 13
  const axis = node.int('axis', merged ? 1 : -1)
  return (inputs) => {
    const value = required(node, inputs, 0)
    const rank = value.shape.length
    const at = merged && axis === rank ? rank : axisOf(node, axis, rank)
    keepBatch(node, value, at)
    if (isSymbolic(value)) {
      if (merged && at < rank - 1) throw node.unsupported('along several dimensions it is for run() only')
      if (at >= rank) return ops.eq(value, value)
      const n = value.shape[at] ?? 1
      const places = new Tensor(
        Float32Array.from({ length: n }, (_, i) => i),
        [n, ...Array<number>(rank - at - 1).fill(1)],
      )
      return ops.eq(places, ops.argmax(value, at, { keepdim: true }))
    }
    const x = arrayOf(node, value)
    if (x.type.kind !== 'float')
      throw node.unsupported(`it takes floating-point numbers but gets ${x.type.name}`)
    const result = nd.allocate(x.type, x.shape)
    const inner = merged ? 1 : x.shape.slice(at + 1).reduce((a, b) => a * b, 1)
    const n = merged ? x.shape.slice(at).reduce((a, b) => a * b, 1) : (x.shape[at] ?? 1)
    const [from, to] = [x.values as Float64Array, result.values as Float64Array]
    for (let row = 0; row < from.length / Math.max(n, 1); row++) {
      const start = Math.floor(row / inner) * n * inner + (row % inner)
      let best = start
      for (let i = 1; i < n; i++)
        if ((from[start + i * inner] ?? 0) > (from[best] ?? 0)) best = start + i * inner
      to[best] = 1
    }
    return result
  }
}

/** What is infinite, or NaN: of floats alone. */
function test(
  of: (node: OnnxNode) => { native: (x: Tensor) => Tensor; number: (x: number) => boolean },
): Operator {
  const read: Read = (node) => {
    const { native, number } = of(node)
    return (inputs) => {
      const value = required(node, inputs, 0)
      if (isSymbolic(value)) return native(value)
      const x = arrayOf(node, value)
      if (x.type.kind !== 'float')
        throw node.unsupported(`it takes floating-point numbers but gets ${x.type.name}`)
      return nd.combine<number>(bool, [x], (one) => (number(one) ? 1 : 0))
    }
  }
  return { read, type: () => bool }
}

const IsInf = test((node) => {
  const [above, below] = [node.flag('detect_positive', true), node.flag('detect_negative', true)]
  const native = (x: Tensor) =>
    above && below ? ops.isinf(x) : above ? ops.isposinf(x) : below ? ops.isneginf(x) : ops.ne(x, x)
  const number = (x: number) =>
    (above && x === Number.POSITIVE_INFINITY) || (below && x === Number.NEGATIVE_INFINITY)
  return { native, number }
})

const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

/** A condition is 0 or 1, which is what is written where a number is meant. */
function asNumbers(op: string): Write {
  return (to, { inputs, output }) => {
    to.add('Cast', [to.step(op, inputs, output)], output, { to: 1 })
  }
}

const writeIsInf: Write = (to, { node, inputs, output }) => {
  const { alpha = 1, beta = 1 } = node
  const attributes = { detect_positive: alpha === 0 ? 0 : 1, detect_negative: beta === 0 ? 0 : 1 }
  to.add('Cast', [to.step('IsInf', inputs, output, attributes)], output, { to: 1 })
}

/** Elu of x / alpha, scaled, is what CELU is. */
const Celu: Read = unary((node) => {
  const alpha = node.float('alpha', 1)
  return {
    native: (x) => ops.celu(x, alpha),
    number: (x) => (x > 0 ? x : alpha * Math.expm1(x / alpha)),
  }
})

const Gelu: Read = unary((node) => {
  const approximate = node.text('approximate', 'none')
  if (approximate !== 'none' && approximate !== 'tanh')
    throw node.unsupported(`attribute approximate=${approximate} is not supported`)
  const inner = (x: number) => Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)
  return {
    native: (x) => ops.gelu(x, approximate),
    number: (x) =>
      (x / 2) * (1 + (approximate === 'tanh' ? Math.tanh(inner(x)) : errorFunction(x * Math.SQRT1_2))),
  }
})

const ThresholdedRelu: Read = unary((node) => {
  const alpha = node.float('alpha', 1)
  return {
    native: (x) => ops.threshold(x, alpha, 0),
    number: (x) => (x > alpha || Number.isNaN(x) ? x : 0),
  }
})

/**
 * ONNX's Softplus has no factor, x times it comes before, and no threshold: from 20 on, the default, what is added to x
 * is less than a float holds.
 */
const writeSoftplus: Write = (to, { node, inputs, output }) => {
  const { alpha = 1, beta = 1 } = node
  const factor = alpha === 1 ? undefined : to.floats(`${node.name}.beta`, [], [alpha])
  const scaled = factor === undefined ? inputs : [to.step('Mul', [...inputs, factor], output)]
  const whole = beta >= 20
  if (whole && factor === undefined) return void to.add('Softplus', inputs, output)
  const sum = to.step('Softplus', scaled, output)
  if (whole && factor !== undefined) return void to.add('Div', [sum, factor], output)
  const result = factor === undefined ? sum : to.step('Div', [sum, factor], output)
  const beyond = to.step('Greater', [...scaled, to.floats(`${node.name}.threshold`, [], [beta])], output)
  to.add('Where', [beyond, ...inputs, result], output)
}

/** Its own operator where what lies below becomes 0. */
const writeThreshold: Write = (to, { node, inputs, output }) => {
  const { alpha = 1, beta = 1 } = node
  if (beta === 0) return void to.add('ThresholdedRelu', inputs, output, { alpha: { float: alpha } })
  const [level, value] = [
    to.floats(`${node.name}.threshold`, [], [alpha]),
    to.floats(`${node.name}.value`, [], [beta]),
  ]
  const above = to.step('LessOrEqual', [...inputs, level], output)
  to.add('Where', [above, value, ...inputs], output)
}

function lambdAndBias({ alpha = 1, beta = 1 }: GraphNode): Attributes {
  return { lambd: { float: alpha }, bias: { float: beta } }
}

export const functions: Family = {
  operators: {
    Gelu,
    Erf: plain(ops.erf, errorFunction),
    Softplus: plain((x) => ops.softplus(x, 1, Number.POSITIVE_INFINITY), softplus),
    Mish: plain(ops.mish, (x) => x * Math.tanh(softplus(x))),
    Softsign: plain(ops.softsign, (x) => x / (1 + Math.abs(x))),
    Celu,
    ThresholdedRelu,
    Shrink,
    Hardmax,
    Floor: plain(ops.floor, Math.floor),
    Ceil: plain(ops.ceil, Math.ceil),
    Round: plain(ops.round, rounded),
    Sign: unaryNumbers(Math.sign, (x) => (x > 0n ? 1n : x < 0n ? -1n : 0n), ops.sign),
    Sin: plain(ops.sin, Math.sin),
    Cos: plain(ops.cos, Math.cos),
    Tan: plain(ops.tan, Math.tan),
    Asin: plain(ops.asin, Math.asin),
    Acos: plain(ops.acos, Math.acos),
    Atan: plain(ops.atan, Math.atan),
    Sinh: plain(ops.sinh, Math.sinh),
    Cosh: plain(ops.cosh, Math.cosh),
    Asinh: plain(ops.asinh, Math.asinh),
    Acosh: plain(ops.acosh, Math.acosh),
    Atanh: plain(ops.atanh, Math.atanh),
    IsNaN: test(() => ({ native: ops.isnan, number: Number.isNaN })),
    IsInf,
  },
  writers: {
    erf: same('Erf'),
    gelu: same('Gelu', () => ({}), 20),
    geluTanh: same('Gelu', () => ({ approximate: 'tanh' }), 20),
    softplus: writeSoftplus,
    mish: same('Mish', () => ({}), 18),
    softsign: same('Softsign'),
    threshold: writeThreshold,
    shrink: same('Shrink', lambdAndBias),
    floor: same('Floor'),
    ceil: same('Ceil'),
    round: same('Round'),
    sign: same('Sign'),
    sin: same('Sin'),
    cos: same('Cos'),
    tan: same('Tan'),
    asin: same('Asin'),
    acos: same('Acos'),
    atan: same('Atan'),
    sinh: same('Sinh'),
    cosh: same('Cosh'),
    asinh: same('Asinh'),
    acosh: same('Acosh'),
    atanh: same('Atanh'),
    isNaN: asNumbers('IsNaN'),
    isInf: writeIsInf,
  },
}
