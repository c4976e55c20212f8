/** The operators there are. */
import type { Operator } from '../value.ts'
import { elementwiseOperators } from './elementwise.ts'
import { linearOperators } from './linear.ts'
import { normaliseOperators } from './normalise.ts'
import { shapeOperators } from './shape.ts'
import { windowOperators } from './window.ts'

export const operators: ReadonlyMap<string, Operator> = new Map(
  [elementwiseOperators, linearOperators, normaliseOperators, shapeOperators, windowOperators].flatMap(
    (some) => Object.entries(some),
  ),
)
