/**
 * Operators that many CNNs have and as many do without: scripts/build-ts.mjs has these functions load them when one is
 * called.
 */
import type { Writers } from '../graph-writer.ts'
import { type Operator, operatorsOf, writersOf } from '../operator.ts'
import { padding } from './pad.ts'
import { reductions } from './reductions.ts'
import { resizing } from './resize.ts'

const families = [padding, reductions, resizing]
const operators = operatorsOf(families)

export function moreOperator(name: string): Operator | undefined {
  return operators.get(name)
}

export function moreOperatorNames(): string[] {
  return [...operators.keys()]
}

export function moreWriters(): Writers {
  return writersOf(families)
}
