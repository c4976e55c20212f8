/**
 * The operators that CNNs are made of, and the way to all others (more.ts, rare.ts). shape.ts moves elements (Reshape, Transpose,
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
import { moreOperator, moreOperatorNames, moreWriters } from './more.ts'
import { normalise } from './normalise.ts'
import { rareOperator, rareOperatorNames, rareWriters } from './rare.ts'
import { movement } from './shape.ts'
import { windows } from './window.ts'

const families = [
  arithmetic,
  cast,
  gathering,
  elementwise,
  matrices,
  movement,
  normalise,
  transposed,
  windows,
]
const operators = operatorsOf(families)
/** What may be in more.ts: for other names that are not here it need not be loaded. */
const more = /^(Pad|Resize|Upsample|(Arg|Cum|Reduce)\w+)$/

/** What there is to know of an operator, by its name with its domain where that is not ONNX's own. */
export function operatorNamed(name: string): Operator | undefined {
  return operators.get(name) ?? (more.test(name) ? moreOperator(name) : undefined) ?? rareOperator(name)
}

/** The names of all operators. */
export function operatorNames(): string[] {
  return [...operators.keys(), ...moreOperatorNames(), ...rareOperatorNames()]
}

/** How operations are written, by operation. */
export function allWriters(): Writers {
  return { ...writersOf(families), ...moreWriters(), ...rareWriters() }
}
