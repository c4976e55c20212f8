/**
 * The operators there are, and how operations are written. shape.ts moves elements (Reshape, Transpose, Concat …), linear.ts
 * multiplies matrices, window.ts slides windows (convolutions and pools); the others are what their names say.
 */
import type { Writers } from '../graph-writer.ts'
import type { Operator } from '../operator.ts'
import { arithmetic } from './arithmetic.ts'
import { cast } from './cast.ts'
import { transposed } from './conv-transpose.ts'
import { elementwise } from './elementwise.ts'
import { functions } from './functions.ts'
import { matrices } from './linear.ts'
import { logic } from './logic.ts'
import { losses } from './losses.ts'
import { normalise } from './normalise.ts'
import { padding } from './pad.ts'
import { reductions } from './reductions.ts'
import { resizing } from './resize.ts'
import { rowNorms } from './row-norms.ts'
import { movement } from './shape.ts'
import { windows } from './window.ts'

const families = [
  arithmetic,
  cast,
  elementwise,
  functions,
  logic,
  losses,
  reductions,
  matrices,
  movement,
  normalise,
  padding,
  resizing,
  rowNorms,
  transposed,
  windows,
]

export const operators: ReadonlyMap<string, Operator> = new Map(
  families
    .flatMap((family) => Object.entries(family.operators))
    .map(([name, row]) => [name, typeof row === 'function' ? { read: row } : row]),
)

/** By operation. */
export const writers: Writers = Object.assign({}, ...families.map((family) => family.writers))
