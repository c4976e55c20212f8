/** Graphs inside nodes, made ready to run: branches, and what loops do over and over. */
import { elements } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { toTensor } from './array.ts'
import { spend } from './budget.ts'
import { type ElementType, float32 } from './element.ts'
import type { OnnxNode } from './node.ts'
import type { GraphProto } from './proto.ts'
import { isSymbolic, type Run, type Value } from './value.ts'

/** What a node of a body costs beside what it computes. */
const nodeSteps = 200

/** The same in a trace, where it takes a name, a shape and a place in the graph. */
const tracedSteps = 1000

export interface Body {
  readonly graph: GraphProto
  /** How many nodes one round takes. */
  readonly nodes: number
  /** Values known before any round. */
  readonly known: ReadonlyMap<string, Value>
  /** Runs the nodes on these values, and puts what they make among them. */
  readonly compute: (values: Map<string, Value>, run: Run) => void
  /** Adds the element types of what the nodes make. */
  readonly infer: (types: Map<string, ElementType>) => void
}

/** By the graph as the model has it; whoever prepares a node prepares its graphs first. */
const bodies: WeakMap<GraphProto, Body> = new WeakMap()

export function giveBody(body: Body): void {
  bodies.set(body.graph, body)
}

export function hasBody(graph: GraphProto): boolean {
  return bodies.has(graph)
}

/** A graph that is an attribute of a node. */
export class NodeBody {
  readonly node: OnnxNode
  readonly graph: GraphProto
  readonly #body: Body
  /** What `within` made last: a model's types stay the same from run to run. */
  #last: { outer: Run['types']; types: Run['types'] } | undefined

  constructor(node: OnnxNode, attribute: string) {
    this.node = node
    this.graph = node.graph(attribute)
    this.#body = bodies.get(this.graph) as Body
  }

  /**
   * One round.
   *
   * @param inputs in the order of the graph's own
   * @param around the values that it reads of the graph around it, as `capturedOf` gives them
   */
  run(inputs: readonly Value[], around: ReadonlyMap<string, Value>, run: Run): Value[] {
    const traced = inputs.some(isSymbolic) || [...around.values()].some(isSymbolic)
    spend((traced ? tracedSteps : nodeSteps) * (this.#body.nodes + 2))
    const { known } = this.#body
    const values = new Map([...known, ...around])
    for (const [i, { name }] of this.graph.input.entries()) {
      const value = inputs[i]
      if (value !== undefined) values.set(name, value)
    }
    this.#body.compute(values, run)
    return this.graph.output.map(({ name }) => values.get(name) as Value)
  }

  /** The run with the types of what is inside too, for those that ask. */
  within(run: Run, inputs: readonly (ElementType | undefined)[]): Run {
    if (this.#last?.outer !== run.types) {
      const own = this.types(inputs, (i) => run.types.get(this.node.inputs[i] ?? ''))
      this.#last = { outer: run.types, types: new Map([...run.types, ...own]) }
    }
    return { ...run, types: this.#last.types }
  }

  /** Element types of its results, and of everything inside, from those of what it is given. */
  types(
    inputs: readonly (ElementType | undefined)[],
    around: (i: number) => ElementType | undefined,
  ): ReadonlyMap<string, ElementType> {
    const types = new Map<string, ElementType>()
    const own = this.node.inputs.length - this.node.captured
    for (const [i, name] of this.node.inputs.entries()) {
      const type = i < own ? undefined : around(i)
      if (type) types.set(name, type)
    }
    for (const [i, { name }] of this.graph.input.entries()) {
      const type = inputs[i]
      if (type) types.set(name, type)
    }
    this.#body.infer(types)
    return types
  }
}

/** The values of the graph around a node that its own graphs read, by name. */
export function capturedOf(node: OnnxNode, inputs: readonly (Value | undefined)[]): Map<string, Value> {
  const own = node.inputs.length - node.captured
  return new Map(
    node.inputs.slice(own).flatMap((name, i) => {
      const value = inputs[own + i]
      return value === undefined ? [] : [[name, shared(value)] as const]
    }),
  )
}

/** Floats as one Tensor for all rounds: a trace that has loops unrolled has each constant once. */
export function shared(value: Value): Value {
  if (Tensor.is(value) || value.type !== float32 || elements(value.shape) < 2) return value
  return toTensor(value)
}
