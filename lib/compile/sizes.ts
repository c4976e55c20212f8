/** Sizes that are left free when a model is compiled: which they are, and the last few that were planned. */
import type { Graph } from '../graph/graph.ts'
import { attached } from '../graph/operation.ts'
import { formatShape, mostDimensions, sameShape } from '../tensor/shape.ts'
import { storedOf, type Tensor } from '../tensor/tensor.ts'
import { isInteger, itemsOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { bufferOf, byteOffsetOf, lengthOf } from '../util/typed-array.ts'

/** What stands for a free size in a shape. */
export const free = -1

/** Numbers that are read at once. */
const piece = 2 ** 16

/** Plans that are kept at once. */
const most = 8

/** Whether a shape, of any content, leaves a size free: integers, of which some are −1. */
export function isFree(shape: unknown): shape is readonly number[] {
  const sizes = itemsOf(shape, mostDimensions)
  return sizes?.includes(free) === true && sizes.every((one) => isInteger(one) && (one === free || one > 0))
}

/** Whether `shape` is one of those that `pattern` stands for. */
export function fitsPattern(shape: readonly number[], pattern: readonly number[]): boolean {
  return sameShape(
    pattern.map((one, d) => (one === free && (shape[d] ?? 0) > 0 ? (shape[d] as number) : one)),
    shape,
  )
}

/** `[3, -1, -1]` as `3×?×?`. */
export function formatPattern(pattern: readonly number[]): string {
  return formatShape(pattern).replaceAll(String(free), '?')
}

/** What is made once for each size, such as a plan: of the last few sizes it is kept. */
export class Sizes<T extends { dispose(): void }> {
  /** undefined once all are freed. */
  #make: ((shape: readonly number[]) => T) | undefined
  /** The least recently used first. */
  readonly #kept: Map<string, T> = new Map()
  /** The last one that was asked for, and its size. */
  #last: T | undefined
  #shape: readonly number[] = []

  constructor(make: (shape: readonly number[]) => T) {
    this.#make = make
  }

  /** What belongs to a size: made now, unless it is there. The least recently used goes, freed, where it is one too many. */
  of(shape: readonly number[]): T {
    if (this.#last && sameShape(shape, this.#shape)) return this.#last
    if (!this.#make) throw new KerneletError('ERR_DISPOSED', 'This model was disposed; compile it again')
    const key = shape.join()
    const one = this.#kept.get(key) ?? this.#make([...shape])
    this.#kept.delete(key)
    this.#kept.set(key, one)
    for (const [oldest, other] of this.#kept) {
      if (this.#kept.size <= most) break
      this.#kept.delete(oldest)
      other.dispose()
    }
    this.#last = one
    this.#shape = [...shape]
    return one
  }

  get last(): T | undefined {
    return this.#last
  }

  dispose(): void {
    for (const one of this.#kept.values()) one.dispose()
    this.#kept.clear()
    this.#last = undefined
    this.#make = undefined
  }
}

/** Sizes to try a network with before any image has come: those of icons, of pictures, multiples of many strides. */
const trials = [64, 224, 256, 96, 32, 28, 299, 512]

/** A pattern with one size for all that are free. */
export function sized(pattern: readonly number[], size: number): number[] {
  return pattern.map((one) => (one === free ? size : one))
}

/**
 * Shapes that follow from free sizes: −1 where they depend on them; undefined where no size that is tried fits the network.
 *
 * @param attempt traces the network with that size, and gives the shapes of its outputs
 * @throws KerneletError where something of the network cannot be compiled, whatever the size
 */
export function outputPatterns(
  attempt: (size: number) => readonly (readonly number[])[],
): (readonly number[])[] | undefined {
  const found: (readonly (readonly number[])[])[] = []
  const refused: KerneletError[] = []
  for (const size of trials) {
    try {
      found.push(attempt(size))
    } catch (error) {
      if (!(error instanceof KerneletError)) throw error
      refused.push(error)
    }
    if (found.length === 2) break
  }
  const [shapes, others] = found
  if (shapes) return shapes.map((shape, i) => common(shape, others?.[i]))
  if (refused.some(({ code }) => code === 'ERR_SHAPE')) return undefined
  throw refused[0]
}

function common(shape: readonly number[], other: readonly number[] | undefined): readonly number[] {
  return shape.map((size, d) => (shape.length === other?.length && size === other[d] ? size : free))
}

/**
 * Sees to it that all sizes are planned with the weights that the first one was planned with.
 *
 * @returns to be called with each graph; throws KerneletError `ERR_ARGUMENT` where the weights have changed
 */
export function sameWeights(): (graph: Graph) => Graph {
  let first: number | undefined
  return (graph) => {
    const sum = checksum(graph)
    first ??= sum
    if (sum === first) return graph
    throw new KerneletError(
      'ERR_ARGUMENT',
      'The weights have changed since the first size was planned, and another size would get the new ones: compile again',
    )
  }
}

/** A number that follows from the weights of a graph's layers: another one where they have changed. */
function checksum(graph: Graph): number {
  let sum = 0
  for (const { op, name, weight, bias, mean, variance } of graph.nodes) {
    // What stands beside the values may follow from their size.
    if (op === 'constant') continue
    for (const tensor of [weight, bias, mean, variance]) {
      if (!tensor) continue
      for (const words of wordsOf(tensor, name)) {
        for (const word of words) sum = (Math.imul(sum, 31) + word) | 0
      }
    }
  }
  return sum
}

/** The bits of a tensor's numbers, piece by piece where they lie in a file: they stay there. */
function* wordsOf(tensor: Tensor, name: string): Generator<Int32Array> {
  const stored = storedOf(tensor)
  if (!stored) {
    const data = attached(tensor, name)
    yield new Int32Array(bufferOf(data), byteOffsetOf(data), lengthOf(data))
    return
  }
  for (let begin = 0; begin < stored.length; begin += piece) {
    yield new Int32Array(stored.read(begin, Math.min(begin + piece, stored.length)).buffer)
  }
}
