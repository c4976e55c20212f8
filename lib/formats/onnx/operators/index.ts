/** The operators there are. */
import type { Operator } from '../value.ts'
import { arithmeticOperators } from './arithmetic.ts'
import { castOperators } from './cast.ts'
import { elementwiseOperators } from './elementwise.ts'
import { linearOperators } from './linear.ts'
import { normaliseOperators } from './normalise.ts'
import { padOperators } from './pad.ts'
import { shapeOperators } from './shape.ts'
import { windowOperators } from './window.ts'

export const operators: ReadonlyMap<string, Operator> = new Map(
  [
    arithmeticOperators,
    castOperators,
    elementwiseOperators,
    linearOperators,
    normaliseOperators,
    padOperators,
    shapeOperators,
    windowOperators,
  ].flatMap((some) => Object.entries(some)),
)
