/**
 * The operators there are, and how operations are written. shape.ts moves elements (Reshape, Transpose, Concat …),
 * arrange.ts and indexing.ts do so in rarer ways, linear.ts multiplies matrices, window.ts slides windows (convolutions and pools),
 * control.ts runs graphs inside nodes; the others are what their names say.
 */
import type { Writers } from '../graph-writer.ts'
import type { Operator } from '../operator.ts'
import { arithmetic } from './arithmetic.ts'
import { arranging } from './arrange.ts'
import { attention } from './attention.ts'
import { cast } from './cast.ts'
import { control } from './control.ts'
import { transposed } from './conv-transpose.ts'
import { deforming } from './deform.ts'
import { detection } from './detection.ts'
import { einsum } from './einsum.ts'
import { elementwise } from './elementwise.ts'
import { functions } from './functions.ts'
import { fused } from './fused.ts'
import { generating } from './generate.ts'
import { indexing } from './indexing.ts'
import { integerProducts } from './integer-products.ts'
import { matrices } from './linear.ts'
import { logic } from './logic.ts'
import { losses } from './losses.ts'
import { moreWindows } from './more-windows.ts'
import { normalise } from './normalise.ts'
import { padding } from './pad.ts'
import { pipelines } from './pipelines.ts'
import { quantization } from './quantize.ts'
import { quantized } from './quantized.ts'
import { recurrence } from './recurrent.ts'
import { reductions } from './reductions.ts'
import { resizing } from './resize.ts'
import { rowNorms } from './row-norms.ts'
import { sampling } from './sampling.ts'
import { selecting } from './select.ts'
import { movement } from './shape.ts'
import { signals } from './signals.ts'
import { transformers } from './transformers.ts'
import { windows } from './window.ts'

const families = [
  arithmetic,
  attention,
  cast,
  einsum,
  elementwise,
  integerProducts,
  functions,
  logic,
  losses,
  reductions,
  matrices,
  movement,
  normalise,
  padding,
  quantization,
  quantized,
  recurrence,
  resizing,
  rowNorms,
  transposed,
  windows,
  control,
  arranging,
  generating,
  indexing,
  selecting,
  sampling,
  detection,
  moreWindows,
  fused,
  transformers,
  pipelines,
  signals,
  deforming,
]

export const operators: ReadonlyMap<string, Operator> = new Map(
  families
    .flatMap((family) => Object.entries(family.operators))
    .map(([name, row]) => [name, typeof row === 'function' ? { read: row } : row]),
)

/** By operation. */
export const writers: Writers = Object.assign({}, ...families.map((family) => family.writers))
