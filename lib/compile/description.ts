/** What a compiled model tells of itself. */
import type { StepDescription } from '../backend/backend.ts'
import { formatShape } from '../tensor/shape.ts'
import { formatCount, formatTable } from '../util/text-table.ts'

/**
 * What `CompiledModel.describe` tells; `toString()` prints it.
 * @example
 * const about = new LeNet5().compile({ inputShape: [1, 28, 28] }).describe()
 * String(about).includes('conv1') // → true
 */
export class ModelDescription {
  /** Per image. */
  readonly inputShape: readonly number[]
  /** Per image. */
  readonly outputShape: readonly number[]
  readonly isa: string
  /** As asked for; 0: by the amount of work. */
  readonly threads: number
  /** Images of a batch that run side by side in the lanes; 0 where each runs alone. */
  readonly batchLanes: number
  /** Working memory. */
  readonly arenaBytes: number
  /** Packed weights. */
  readonly weightBytes: number
  /** Multiply-adds per image, padding included, as `summary` counts them. */
  readonly macs: number
  readonly parameters: number
  /** Of a model compiled with `tune` or `tuned`: 'measured', 'given', or 'not used: ' and why. */
  readonly tuning?: string | undefined
  readonly steps: readonly StepDescription[]

  constructor(facts: Omit<ModelDescription, 'toString'>) {
    this.inputShape = facts.inputShape
    this.outputShape = facts.outputShape
    this.isa = facts.isa
    this.threads = facts.threads
    this.batchLanes = facts.batchLanes
    this.arenaBytes = facts.arenaBytes
    this.weightBytes = facts.weightBytes
    this.macs = facts.macs
    this.parameters = facts.parameters
    this.tuning = facts.tuning
    this.steps = facts.steps
  }

  toString(): string {
    const facts = [
      `${formatShape(this.inputShape)} → ${formatShape(this.outputShape)}`,
      this.isa,
      this.threads === 0 ? 'threads by work' : `${this.threads} thread${this.threads === 1 ? '' : 's'}`,
      `${formatCount(this.parameters)} parameters`,
      `${formatCount(this.macs)} MACs`,
      `weights ${formatCount(this.weightBytes)} bytes`,
      `arena ${formatCount(this.arenaBytes)} bytes`,
      ...(this.tuning === undefined ? [] : [`tuning ${this.tuning}`]),
    ].join(', ')
    const int8 = this.steps.some((step) => step.int8)
    const rows = [
      ['Step', 'Algorithm', 'Tile', 'Fused', 'Problem', 'MACs', ...(int8 ? ['Bytes'] : [])],
      ...this.steps.map((step) => [
        step.names.join(' + '),
        `${step.algorithm} ${step.isa}${step.during ? `, during ${step.during}` : ''}${step.strip ? `, ${step.strip} rows at a time` : ''}`,
        step.tile,
        step.epilogue,
        step.problem,
        formatCount(step.macs),
        ...(int8 ? [formatBytes(step)] : []),
      ]),
    ]
    return `${facts}\n${formatTable(rows, [5])}`
  }
}

/** `(byte − 33) · 0.0128 → byte · 0.05`; nothing for a step in floats. */
function formatBytes({ int8 }: StepDescription): string {
  if (!int8) return ''
  const [from, to] = [int8.input, int8.output].map(
    (bytes) =>
      bytes &&
      `${bytes.zero === 0 ? 'byte' : `(byte − ${bytes.zero})`} · ${Number(bytes.scale.toPrecision(3))}`,
  )
  return `${from} → ${to ?? 'floats'}`
}
