/**
 * What there is to know of an ONNX operator and of how an operation is written as one: a file of `operators/` holds both
 * for a family. Nothing else names an operator, but join.ts, which joins some, graph-writer.ts, which puts some between,
 * constants.ts, for Constant, and prepare.ts, which takes a branch of an If.
 */
import type { GraphNode } from '../../graph/graph.ts'
import type { ElementType } from './element.ts'
import type { Attributes, Write, Writers } from './graph-writer.ts'
import type { OnnxNode } from './node.ts'
import type { FindSlot } from './slots.ts'
import type { Read } from './value.ts'

export interface Operator {
  /** Reads a node; a row of a family that is nothing but this may be the function alone. */
  readonly read: Read
  /** The element type of an output, from those of the inputs; by default that of the first input. */
  readonly type?: (
    node: OnnxNode,
    output: number,
    input: (i: number) => ElementType | undefined,
  ) => ElementType | undefined
  /** Computes float32, whatever floats it is given. */
  readonly isKernel?: true
  /** Puts its first input's numbers elsewhere and changes none: weights are traced through it (`Constants.places`). */
  readonly moves?: true
  /** Takes sequences, and optional values that are not there, for what they are. */
  readonly sequences?: true
  /** What its inputs are to training; by default nothing. */
  readonly slot?: FindSlot
}

/** Operators by name, and how operations are written, by name. */
export interface Family {
  readonly operators: Readonly<Record<string, Read | Operator>>
  readonly writers?: Writers
}

/** Written as an operator of the same meaning, which came with the opset `since`. */
export function same(op: string, attributes: (node: GraphNode) => Attributes = () => ({}), since = 0): Write {
  return (to, { node, inputs, output }) => {
    to.need(since)
    to.add(op, inputs, output, attributes(node))
  }
}

/** Per image to per batch. */
export function axisAttribute({ axis = 0 }: GraphNode): Attributes {
  return { axis: axis + 1 }
}

/** What families have of operators, by name. */
export function operatorsOf(families: readonly Family[]): ReadonlyMap<string, Operator> {
  return new Map(
    families
      .flatMap((family) => Object.entries(family.operators))
      .map(([name, row]) => [name, typeof row === 'function' ? { read: row } : row]),
  )
}

/** How families write operations, by operation. */
export function writersOf(families: readonly Family[]): Writers {
  return Object.assign({}, ...families.map((family) => family.writers))
}
