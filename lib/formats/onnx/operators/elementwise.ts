/** Functions of one value, element by element. */
import type { GraphNode } from '../../../graph/graph.ts'
import {
  abs,
  clamp,
  div,
  elu,
  exp,
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
  silu,
  sub,
  tanh,
} from '../../../ops/index.ts'
import { elements, formatShape, sameShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import type { Scalar } from '../element.ts'
import type { Attributes, Write } from '../graph-writer.ts'
import type { OnnxNode } from '../node.ts'
import { type Family, same } from '../operator.ts'
import { slopes } from '../slots.ts'
import {
  arrayOf,
  commonType,
  isSymbolic,
  onlyArrays,
  type Read,
  required,
  tensorOf,
  typeOf,
  type Value,
} from '../value.ts'
import { reshaped } from './shape.ts'

/** A function of floats: of a tensor by its native operation, of doubles one by one. */
export function unary(
  make: (node: OnnxNode) => { native: (x: Tensor) => Tensor; number: (x: number) => number },
): Read {
  return (node) => {
    const { native, number } = make(node)
    return (inputs) => {
      const value = required(node, inputs, 0)
      return onlyArrays([value]) ? mapFloats(node, value, number) : native(tensorOf(value, node))
    }
  }
}

/** The same of every number of an array of floats. */
function mapFloats(node: OnnxNode, value: Value, compute: (x: number) => number): nd.NdArray {
  const array = arrayOf(node, value)
  if (array.type.kind !== 'float') {
    throw node.unsupported(`it takes floating-point numbers but gets ${array.type.name}`)
  }
  return nd.combine<number>(array.type, [array], compute)
}

/** A function of one float, in JavaScript; of tensors in a trace where there is an operation for it. */
function unaryHost(compute: (x: number) => number, symbolic?: (x: Tensor) => Tensor): Read {
  return (node) => (inputs) => {
    const value = required(node, inputs, 0)
    return symbolic && isSymbolic(value) ? symbolic(value) : mapFloats(node, value, compute)
  }
}

/** The same of integers too. */
export function unaryNumbers(
  compute: (x: number) => number,
  wide: (x: bigint) => bigint,
  symbolic?: (x: Tensor) => Tensor,
): Read {
  return (node) => (inputs) => {
    const value = required(node, inputs, 0)
    if (symbolic && isSymbolic(value)) return symbolic(value)
    const array = arrayOf(node, value)
    if (array.type.wide) return nd.combine<bigint>(array.type, [array], wide)
    return nd.combine<number>(array.type, [array], compute)
  }
}

const Clip: Read = (node) => {
  const old = node.opset < 11
  const low = old && node.has('min') ? node.float('min', 0) : undefined
  const high = old && node.has('max') ? node.float('max', 0) : undefined
  return (inputs) => {
    const value = required(node, inputs, 0)
    if (old && typeOf(value).kind !== 'float') {
      throw node.unsupported(`it takes floating-point numbers but gets ${typeOf(value).name}`)
    }
    const bound = (i: number) => {
      if (old || !inputs[i]) return undefined
      const array = arrayOf(node, inputs[i], 'a bound')
      if (onlyArrays([value])) commonType(node, [value, array])
      return array.values[0]
    }
    return clip(node, value, bound(1) ?? low, bound(2) ?? high)
  }
}

/** Where the bounds cross, the upper one wins; NaN stays. */
function clip(node: OnnxNode, value: Value, low: Scalar | undefined, high: Scalar | undefined): Value {
  if (!onlyArrays([value])) {
    const number = (bound: Scalar | undefined) => (bound === undefined ? bound : Number(bound))
    return clamp(tensorOf(value, node), number(low), number(high))
  }
  const array = arrayOf(node, value)
  const [least, most] = [low ?? array.type.lowest, high ?? array.type.highest]
  return nd.combine<Scalar>(array.type, [array], (x) => {
    const y = x < least ? least : x
    return y > most ? most : y
  })
}

const PRelu: Read = (node) => (inputs, run) => {
  const [value, given] = [required(node, inputs, 0), required(node, inputs, 1)]
  // A list of slopes may be held otherwise than the model has it.
  const shape = run.held.get(given) ?? given.shape
  // Before opset 7 a list of slopes was one for each channel whatever the rank.
  const old = node.opset < 7 && shape.length === 1 && shape[0] === value.shape[1]
  checkSlopes(node, value, old ? [] : shape)
  if (onlyArrays([value, given])) {
    const arrays = [arrayOf(node, value), arrayOf(node, reshaped(node, given, shape))]
    const type = commonType(node, arrays)
    if (type.wide) return nd.combine<bigint>(type, arrays, (x, a) => (x < 0n ? x * a : x))
    const times = type.kind === 'float' ? (x: number, a: number) => x * a : Math.imul
    return nd.combine<number>(type, arrays, (x, a) => (x < 0 ? times(x, a) : x))
  }
  const [x, slope] = [tensorOf(value, node), tensorOf(given, node)]
  const count = elements(slope.shape)
  // One slope, or one a channel: dimension 1 of the input, the other dimensions of the slope being 1.
  const perChannel = count === x.shape[1] && shape[shape.length - (x.shape.length - 1)] === count
  if (!isSymbolic(slope) && (count === 1 || perChannel || old)) {
    return prelu(x, slope.shape.length === 1 ? slope : new Tensor(slope.data, [count]))
  }
  const negative = mul(relu(mul(x, -1)), tensorOf(reshaped(node, slope, shape)))
  return sub(relu(x), negative)
}

/** Slopes broadcast to the input, and not the other way round. */
function checkSlopes(node: OnnxNode, value: Value, slopes: readonly number[]): void {
  const { shape } = value
  if (isSymbolic(value) && slopes.length === shape.length && slopes[0] !== 1) {
    throw node.unsupported(
      `slopes of ${formatShape(slopes)}, which differ from image to image, are for run() only`,
    )
  }
  if (sameShape(nd.broadcastShapes([shape, slopes]), shape)) return
  throw node.error(
    'ERR_SHAPE',
    `slopes of ${formatShape(slopes)} do not broadcast to the ${formatShape(shape)} of its input`,
  )
}

function between(x: number, low: number, high: number): number {
  return x < low ? low : x > high ? high : x
}

/** alpha · tanh(beta · x) */
const writeScaledTanh: Write = (to, { node: { alpha = 1, beta = 1 }, inputs, output }) => {
  const number = (value: number) => to.floats(`${output}.factor`, [], [value])
  const inner = to.step('Tanh', [to.step('Mul', [...inputs, number(beta)], output)], output)
  to.add('Mul', [inner, number(alpha)], output)
}

const writeSilu: Write = (to, { inputs, output }) => {
  to.add('Mul', [...inputs, to.step('Sigmoid', inputs, output)], output)
}

const writeClip: Write = (to, { node, inputs, output }) => {
  const bound = (value: number | undefined, name: string) =>
    value === undefined || !Number.isFinite(value) ? '' : to.floats(`${node.name}.${name}`, [], [value])
  to.add('Clip', [...inputs, bound(node.alpha, 'min'), bound(node.beta, 'max')], output)
}

const writePow: Write = (to, { node, inputs, output }) => {
  to.add('Pow', [...inputs, to.floats(`${node.name}.exponent`, [], [node.alpha ?? 1])], output)
}

/** Slopes line up with the channels, the first dimension of an image. */
const writePRelu: Write = (to, { node, inputs, shapes, output }) => {
  const rank = shapes[0]?.length ?? 1
  const form = rank === 1 ? undefined : [...to.weightOf(node).shape, ...Array<number>(rank - 1).fill(1)]
  to.add('PRelu', [...inputs, to.weight(to.weightOf(node), `${node.name}.weight`, form)], output)
}

function withAlpha({ alpha = 1 }: GraphNode): Attributes {
  return { alpha: { float: alpha } }
}

export const elementwise: Family = {
  operators: {
    Relu: (node) => (inputs) => {
      const value = required(node, inputs, 0)
      if (!onlyArrays([value])) return relu(tensorOf(value, node))
      return clip(node, value, typeOf(value).wide ? 0n : 0, undefined)
    },
    Sigmoid: unary(() => ({ native: sigmoid, number: (x) => 1 / (1 + Math.exp(-x)) })),
    Tanh: unary(() => ({ native: tanh, number: Math.tanh })),
    Swish: unary((node) => {
      const alpha = node.float('alpha', 1)
      const native = alpha === 1 ? silu : (x: Tensor) => mul(x, sigmoid(mul(x, alpha)))
      return { native, number: (x) => x / (1 + Math.exp(-alpha * x)) }
    }),
    HardSwish: unary(() => ({ native: hardswish, number: (x) => x * between(x / 6 + 0.5, 0, 1) })),
    LeakyRelu: unary((node) => {
      const alpha = node.float('alpha', Math.fround(0.01))
      return { native: (x) => leakyRelu(x, alpha), number: (x) => (x < 0 ? alpha * x : x) }
    }),
    Elu: unary((node) => {
      const alpha = node.float('alpha', 1)
      return { native: (x) => elu(x, alpha), number: (x) => (x < 0 ? alpha * Math.expm1(x) : x) }
    }),
    Selu: unary((node) => {
      // Written with the digits of the specification, as float32 numbers.
      const alpha = node.float('alpha', Math.fround(1.6732632423543772))
      const gamma = node.float('gamma', Math.fround(1.0507009873554805))
      return {
        native: (x) => selu(x, { alpha, scale: gamma }),
        number: (x) => gamma * (x < 0 ? alpha * Math.expm1(x) : x),
      }
    }),
    HardSigmoid: unary((node) => {
      const alpha = node.float('alpha', Math.fround(0.2))
      const beta = node.float('beta', 0.5)
      return {
        native: (x) => hardsigmoid(x, { alpha, beta }),
        number: (x) => between(alpha * x + beta, 0, 1),
      }
    }),
    PRelu: { read: PRelu, slot: (_node, index, shape) => (index === 1 ? slopes(shape) : undefined) },
    Clip,
    Exp: unary(() => ({ native: exp, number: Math.exp })),
    Log: unary(() => ({ native: log, number: Math.log })),
    Abs: unaryNumbers(Math.abs, (x) => (x < 0n ? -x : x), abs),
    Neg: unaryNumbers(
      (x) => -x,
      (x) => -x,
      (x) => mul(x, -1),
    ),
    Sqrt: unaryHost(Math.sqrt, (x) => pow(x, 0.5)),
    Reciprocal: unaryHost(
      (x) => 1 / x,
      (x) => div(1, x),
    ),
  },
  writers: {
    relu: same('Relu'),
    tanh: same('Tanh'),
    sigmoid: same('Sigmoid'),
    scaledTanh: writeScaledTanh,
    silu: writeSilu,
    hardswish: same('HardSwish'),
    exp: same('Exp'),
    log: same('Log'),
    abs: same('Abs'),
    leakyRelu: same('LeakyRelu', withAlpha),
    elu: same('Elu', withAlpha),
    selu: same('Selu', ({ alpha = 1, beta = 1 }) => ({ alpha: { float: alpha }, gamma: { float: beta } })),
    hardsigmoid: same('HardSigmoid', ({ alpha = 1, beta = 1 }) => ({
      alpha: { float: alpha },
      beta: { float: beta },
    })),
    clip: writeClip,
    pow: writePow,
    prelu: writePRelu,
  },
}
