/** Comparisons, logic, choices and bits, of several values element by element. What is true is 1 in a compiled model. */

import type { Operand } from '../../../ops/index.ts'
import * as ops from '../../../ops/index.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { bool, convert, float32, type Scalar } from '../element.ts'
import type { Write } from '../graph-writer.ts'
import type { OnnxNode } from '../node.ts'
import type { Family, Operator } from '../operator.ts'
import {
  arrayOf,
  commonType,
  isSymbolic,
  onlyArrays,
  type Read,
  required,
  typeOf,
  type Value,
} from '../value.ts'
import { host, linedUp, operand } from './arithmetic.ts'

/** An operand of a trace: integers and conditions as floats. */
function numbers(node: OnnxNode, value: Value, other: Value): Operand {
  const floats =
    Tensor.is(value) || value.type.kind === 'float'
      ? value
      : { type: float32, shape: value.shape, values: convert(value.values, value.type, float32, true) }
  return operand(node, floats, other)
}

function compare(
  of: (a: Scalar, b: Scalar) => boolean,
  native: (a: Operand, b: Operand) => Tensor,
): Operator {
  const read: Read = (node) => (inputs) => {
    const [a, b] = [required(node, inputs, 0), required(node, inputs, 1)]
    if (isSymbolic(a) || isSymbolic(b)) return native(numbers(node, a, b), numbers(node, b, a))
    const arrays = [arrayOf(node, a), arrayOf(node, b)]
    commonType(node, arrays)
    return nd.combine<Scalar>(bool, arrays, (x, y) => (of(x, y) ? 1 : 0))
  }
  return { read, type: () => bool }
}

const Not: Read = (node) => (inputs) => {
  const value = required(node, inputs, 0)
  if (isSymbolic(value)) return ops.logicalNot(value)
  return nd.combine<Scalar>(bool, [arrayOf(node, value)], (x) => (x ? 0 : 1))
}

const Where: Read = (node) => (inputs) => {
  const [condition, a, b] = [0, 1, 2].map((i) => required(node, inputs, i)) as [Value, Value, Value]
  const like = [condition, a, b].find(isSymbolic)
  if (like) {
    const which = numbers(node, condition, like)
    const chosen = typeof which === 'number' ? new Tensor(Float32Array.of(which), []) : which
    return ops.where(chosen, numbers(node, a, like), numbers(node, b, like))
  }
  const arrays = [condition, a, b].map((value) => arrayOf(node, value)) as [
    nd.NdArray,
    nd.NdArray,
    nd.NdArray,
  ]
  return nd.combine<Scalar>(commonType(node, [arrays[1], arrays[2]]), arrays, (which, x, y) =>
    which ? x : y,
  )
}

/** Modulo has the sign of the divisor, with fmod=1 that of the dividend. */
const Mod: Read = (node) => {
  const remainder = node.flag('fmod', false)
  const number = (a: number, b: number) => (remainder ? a % b : modulo(a, b))
  const integer = (a: number, b: number) => (b === 0 ? 0 : number(a, b))
  const arithmetic = {
    float: number,
    int: integer,
    wide: (a: bigint, b: bigint) => {
      const rest = b === 0n ? 0n : a % b
      return !remainder && rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest
    },
  }
  return (inputs) => {
    const [a, b] = [required(node, inputs, 0), required(node, inputs, 1)]
    if (onlyArrays([a, b])) return host(node, arithmetic, [a, b])
    const native = remainder ? ops.fmod : ops.remainder
    return native(numbers(node, a, b), numbers(node, b, a))
  }
}

function modulo(a: number, b: number): number {
  const rest = a % b
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest
}

/** A function of the bits of integers. */
function bits(
  int: (a: number, b: number) => number,
  wide: (a: bigint, b: bigint) => bigint,
  inputs: 1 | 2,
): Read {
  return (node) => (given) => {
    const values = Array.from({ length: inputs }, (_, i) => arrayOf(node, required(node, given, i)))
    const type = commonType(node, values)
    if (type.kind !== 'int') throw node.error('ERR_FORMAT', `it takes integers but gets ${type.name}`)
    return type.wide ? nd.combine<bigint>(type, values, wide) : nd.combine<number>(type, values, int)
  }
}

const BitShift: Read = (node) => {
  const direction = node.text('direction', '')
  if (direction !== 'LEFT' && direction !== 'RIGHT')
    throw node.error('ERR_FORMAT', `attribute direction=${direction} should be LEFT or RIGHT`)
  const leftwards = bits(
    (a, b) => (b < 0 || b > 31 ? 0 : a << b),
    (a, b) => (b < 0n || b > 63n ? 0n : a << b),
    2,
  )(node)
  // the sign goes on to the right, however far; of unsigned ones there is none
  const signed = bits(
    (a, b) => a >> (b < 0 || b > 31 ? 31 : b),
    (a, b) => a >> (b < 0n || b > 63n ? 63n : b),
    2,
  )(node)
  const unsigned = bits(
    (a, b) => (b > 31 ? 0 : a >>> b),
    (a, b) => (b > 63n ? 0n : a >> b),
    2,
  )(node)
  return (inputs, run) => {
    const { name } = typeOf(required(node, inputs, 0))
    if (direction === 'LEFT') return leftwards(inputs, run)
    return (name.startsWith('u') ? unsigned : signed)(inputs, run)
  }
}

/** A condition is a number here: what compares makes one of it. */
function writeComparison(op: string): Write {
  return (to, item) => {
    const made = to.step(op, linedUp(to, item), item.output)
    to.add('Cast', [made], item.output, { to: 1 })
  }
}

/** And what takes conditions takes what is not 0. */
function writeLogic(op: string): Write {
  return (to, item) => {
    const conditions = linedUp(to, item).map((name) => to.step('Cast', [name], item.output, { to: 9 }))
    to.add('Cast', [to.step(op, conditions, item.output)], item.output, { to: 1 })
  }
}

const writeWhere: Write = (to, item) => {
  const [condition = '', ...others] = linedUp(to, item)
  to.add('Where', [to.step('Cast', [condition], item.output, { to: 9 }), ...others], item.output)
}

/** Mod of floats is fmod alone: where that has another sign than the divisor, the divisor is added. */
const writeRemainder: Write = (to, item) => {
  const [a = '', b = ''] = linedUp(to, item)
  const step = (op: string, ...inputs: string[]) => to.step(op, inputs, item.output)
  const zero = to.floats(`${item.output}.zero`, [], [0])
  const rest = to.step('Mod', [a, b], item.output, { fmod: 1 })
  const differs = step('Xor', step('Less', rest, zero), step('Less', b, zero))
  const wrong = step('And', step('Not', step('Equal', rest, zero)), differs)
  to.add('Where', [wrong, step('Add', rest, b), rest], item.output)
}

const writeFmod: Write = (to, item) => {
  to.add('Mod', linedUp(to, item), item.output, { fmod: 1 })
}

export const logic: Family = {
  operators: {
    Mod,
    Where: { read: Where, type: (_node, _output, input) => input(1) },
    Equal: compare((a, b) => a === b, ops.eq),
    Less: compare((a, b) => a < b, ops.lt),
    LessOrEqual: compare((a, b) => a <= b, ops.le),
    Greater: compare((a, b) => a > b, ops.gt),
    GreaterOrEqual: compare((a, b) => a >= b, ops.ge),
    And: compare((a, b) => Boolean(a) && Boolean(b), ops.logicalAnd),
    Or: compare((a, b) => Boolean(a) || Boolean(b), ops.logicalOr),
    Xor: compare((a, b) => Boolean(a) !== Boolean(b), ops.logicalXor),
    Not: { read: Not, type: () => bool },
    BitShift,
    BitwiseAnd: bits(
      (a, b) => a & b,
      (a, b) => a & b,
      2,
    ),
    BitwiseOr: bits(
      (a, b) => a | b,
      (a, b) => a | b,
      2,
    ),
    BitwiseXor: bits(
      (a, b) => a ^ b,
      (a, b) => a ^ b,
      2,
    ),
    BitwiseNot: bits(
      (a) => ~a,
      (a) => ~a,
      1,
    ),
  },
  writers: {
    less: writeComparison('Less'),
    lessEqual: writeComparison('LessOrEqual'),
    equal: writeComparison('Equal'),
    logicalAnd: writeLogic('And'),
    logicalOr: writeLogic('Or'),
    logicalXor: writeLogic('Xor'),
    logicalNot: writeLogic('Not'),
    where: writeWhere,
    remainder: writeRemainder,
    fmod: writeFmod,
  },
}
