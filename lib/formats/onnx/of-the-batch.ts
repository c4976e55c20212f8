/**
 * Numbers that a model makes of the size of a free batch, as x · n: a compiled model has one plan for any batch, so what
 * goes into it must be the same for any. Each is computed for one image, as all is in a trace, and here for two as well.
 */
import { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { broadcastShapes } from './array.ts'
import { Budget, within } from './budget.ts'
import { float32 } from './element.ts'
import type { OnnxNode } from './node.ts'
import { type PreparedNode, resultsOf } from './prepared-node.ts'
import { Turned } from './turned.ts'
import { goesTogether } from './turned-results.ts'
import { integersOf, isSymbolic, type Run, Sequence, type Value } from './value.ts'

/** Attributes that hold a graph, or several. */
const graphs: ReadonlySet<number> = new Set([5, 10])

export class OfTheBatch {
  /** Values for two images, by name, where they are others than for one; undefined: not known. */
  readonly #two = new Map<string, Value | undefined>()
  /** Its own, so that what fits the budget of the trace still does. */
  readonly #budget: Budget

  /** @param given bytes of the model's weights */
  constructor(given: number) {
    this.#budget = new Budget('load', given)
  }

  /**
   * After a node of a trace was run.
   *
   * @throws KerneletError `ERR_UNSUPPORTED` where an image's numbers meet some that depend on the batch
   */
  follow(
    { node, operator, proto, step, weights }: PreparedNode,
    values: ReadonlyMap<string, Value>,
    run: Run,
  ): void {
    if (node.op === 'Shape' && isSymbolic(values.get(node.inputs[0] ?? ''))) {
      const shape = doubled(values.get(node.inputs[0] as string) as Value)
      this.#keep(node, step([{ type: float32, shape, values: new Float32Array() }], run), values)
      return
    }
    if (!node.inputs.some((name) => this.#two.has(name))) return
    const inputs = node.inputs.map((name, i) => weights?.get(i) ?? values.get(name))
    if (inputs.some(isSymbolic)) {
      this.#check(node, inputs)
      return
    }
    const isKnown = node.inputs.every((name) => !this.#two.has(name) || this.#two.get(name))
    const hasGraph = proto.attribute.some(({ type }) => graphs.has(type))
    const two = node.inputs.map((name, i) => this.#two.get(name) ?? inputs[i])
    this.#keep(node, isKnown && !hasGraph ? this.#attempt({ node, step, operator }, two, run) : [], values)
  }

  /** What a node makes of values for two images; nothing where it does not take them. */
  #attempt(
    prepared: Pick<PreparedNode, 'node' | 'step' | 'operator'>,
    inputs: readonly (Value | undefined)[],
    run: Run,
  ): readonly Value[] {
    try {
      return within(this.#budget, () => resultsOf(prepared, inputs, { ...run, batch: 2 * run.batch }))
    } catch (error) {
      if (error instanceof KerneletError) return []
      throw error
    }
  }

  #keep(node: OnnxNode, made: Value | readonly Value[], values: ReadonlyMap<string, Value>): void {
    const results = Array.isArray(made) ? (made as readonly Value[]) : [made as Value]
    for (const [i, name] of node.outputs.entries()) {
      const [one, two] = [values.get(name), results[i]]
      if (!one || !two || one instanceof Sequence || two instanceof Sequence) this.#two.set(name, undefined)
      else if (`${one.shape}` !== `${two.shape}` || !isRepeated(one, two)) this.#two.set(name, two)
    }
  }

  #check(node: OnnxNode, inputs: readonly (Value | undefined)[]): void {
    const image = inputs.find(isSymbolic) as Value
    for (const [i, name] of node.inputs.entries()) {
      const [one, two] = [inputs[i], this.#two.get(name)]
      if (!one || !two) continue
      const fits =
        node.op === 'Expand'
          ? isBatchAlone(
              broadcastShapes([image.shape, sizes(node, one)]),
              broadcastShapes([doubled(image), sizes(node, two)]),
            )
          : node.op === 'Tile'
            ? `${sizes(node, one)}` === `${sizes(node, two)}`
            : !(goesTogether(node.op) || node.op === 'Concat') || isRepeated(one, two)
      if (fits) continue
      throw node.unsupported(
        `${show(name)} depends on how many images there are, which a compiled model has no number for; run() has`,
      )
    }
  }
}

function sizes(node: OnnxNode, value: Value): number[] {
  return integersOf(node, value, 'the sizes') ?? []
}

/** The shape of a value of a trace, of one image, for two. */
function doubled(value: Value): number[] {
  const axis = value instanceof Turned ? value.axis : 0
  return value.shape.map((size, d) => (d === axis ? 2 * size : size))
}

/** Whether the second shape has one dimension of twice the size, and all others alike. */
function isBatchAlone(one: readonly number[], two: readonly number[]): boolean {
  const others = two.filter((size, d) => size !== one[d])
  return (
    one.length === two.length &&
    others.length === 1 &&
    two.every((size, d) => size === one[d] || size === 2 * (one[d] ?? 0))
  )
}

/** Whether the second value has what the first has, once for each image where it has a batch. */
function isRepeated(one: Value, two: Value): boolean {
  const [a, b] = [numbersOf(one), numbersOf(two)]
  if (`${one.shape}` === `${two.shape}`) return everyOf(b, (x, i) => Object.is(x, a[i]) || x === a[i])
  const axis = two.shape.findIndex((size, d) => size !== one.shape[d])
  if (!isBatchAlone(one.shape, two.shape)) return false
  const inner = one.shape.slice(axis).reduce((product, size) => product * size, 1)
  return everyOf(b, (x, i) => {
    const [outer, within] = [Math.floor(i / (2 * inner)), i % inner]
    const same = a[outer * inner + within]
    return Object.is(x, same) || x === same
  })
}

function numbersOf(value: Value): ArrayLike<number | bigint> {
  return Tensor.is(value) ? value.data : value.values
}

function everyOf(
  list: ArrayLike<number | bigint>,
  holds: (x: number | bigint, i: number) => boolean,
): boolean {
  for (let i = 0; i < list.length; i++) if (!holds(list[i] as number | bigint, i)) return false
  return true
}
