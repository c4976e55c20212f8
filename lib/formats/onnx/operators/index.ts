/**
 * The operators that CNNs are made of, and the way to all others (rare.ts). shape.ts moves elements (Reshape, Transpose,
 * Concat …), linear.ts multiplies matrices, window.ts slides windows (convolutions and pools); the others are what their
 * names say.
 */
import type { Writers } from '../graph-writer.ts'
import { type Operator, operatorsOf, writersOf } from '../operator.ts'
import { arithmetic } from './arithmetic.ts'
import { cast } from './cast.ts'
import { transposed } from './conv-transpose.ts'
import { elementwise } from './elementwise.ts'
import { gathering } from './gather.ts'
import { matrices } from './linear.ts'
import { normalise } from './normalise.ts'
import { padding } from './pad.ts'
import { rareOperator, rareOperatorNames, rareWriters } from './rare.ts'
import { reductions } from './reductions.ts'
import { resizing } from './resize.ts'
import { movement } from './shape.ts'
import { windows } from './window.ts'

const families = [
  arithmetic,
  cast,
  gathering,
  elementwise,
  reductions,
  matrices,
  movement,
  normalise,
  padding,
  resizing,
  transposed,
  windows,
]
const operators = operatorsOf(families)

/** What there is to know of an operator, by its name with its domain where that is not ONNX's own. */
export function operatorNamed(name: string): Operator | undefined {
  return operators.get(name) ?? rareOperator(name)
}

/** The names of all operators. */
export function operatorNames(): string[] {
  return [...operators.keys(), ...rareOperatorNames()]
}

/** How operations are written, by operation. */
export function allWriters(): Writers {
  return { ...writersOf(families), ...rareWriters() }
}
