/**
 * The operators of which most CNNs have none, two thirds of the code of all: scripts/build-ts.mjs has these functions load
 * them when one is called. arrange.ts and indexing.ts move elements in rare ways, control.ts runs graphs inside nodes;
 * the others are what their names say.
 */
import type { Writers } from '../graph-writer.ts'
import { type Operator, operatorsOf, writersOf } from '../operator.ts'
import { arranging } from './arrange.ts'
import { attention } from './attention.ts'
import { control } from './control.ts'
import { deforming } from './deform.ts'
import { detection } from './detection.ts'
import { einsum } from './einsum.ts'
import { functions } from './functions.ts'
import { fused } from './fused.ts'
import { generating } from './generate.ts'
import { indexing } from './indexing.ts'
import { integerProducts } from './integer-products.ts'
import { linearAttention } from './linear-attention.ts'
import { logic } from './logic.ts'
import { losses } from './losses.ts'
import { moreWindows } from './more-windows.ts'
import { newer } from './newer.ts'
import { pipelines } from './pipelines.ts'
import { quantization } from './quantize.ts'
import { quantized } from './quantized.ts'
import { recurrence } from './recurrent.ts'
import { rowNorms } from './row-norms.ts'
import { sampling } from './sampling.ts'
import { selecting } from './select.ts'
import { sequencing } from './sequences.ts'
import { signals } from './signals.ts'
import { transformers } from './transformers.ts'

const families = [
  attention,
  einsum,
  integerProducts,
  functions,
  logic,
  losses,
  quantization,
  quantized,
  recurrence,
  rowNorms,
  control,
  arranging,
  generating,
  indexing,
  selecting,
  sampling,
  detection,
  moreWindows,
  linearAttention,
  newer,
  fused,
  transformers,
  pipelines,
  signals,
  deforming,
  sequencing,
]
const operators = operatorsOf(families)

export function rareOperator(name: string): Operator | undefined {
  return operators.get(name)
}

export function rareOperatorNames(): string[] {
  return [...operators.keys()]
}

export function rareWriters(): Writers {
  return writersOf(families)
}
