/** What of a model is known before any image: its initializers, and what nodes make of them. */
import { elements } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { fromTensor, integers, type NdArray, toFloat32 } from './array.ts'
import { spend } from './budget.ts'
import { type PreparedNode, resultsOf, runNode } from './prepared-node.ts'
import type { TensorProto } from './proto.ts'
import { type DataFolder, readTensor } from './tensor.ts'
import type { Run, Value } from './value.ts'

/** A value may come from so many arrays of the file before they count as one, by the value's own name. */
const mostSources = 8

/** A known value as an array. */
export function arrayOfKnown(value: Value): NdArray {
  return Tensor.is(value) ? fromTensor(value) : value
}

export function isFloat(value: Value): boolean {
  return Tensor.is(value) || value.type.kind === 'float'
}

/**
 * The numbers of an array of floats, as layers take them.
 *
 * @param what names it in errors
 * @throws KerneletError `ERR_UNSUPPORTED` for doubles beyond float32
 */
export function floatsOf(what: string, array: NdArray): Float32Array {
  try {
    return toFloat32(array)
  } catch (cause) {
    const { code, message } = cause as KerneletError
    throw new KerneletError(code, `${what}: ${message}`, { cause })
  }
}

export class Constants {
  readonly values: Map<string, Value> = new Map()
  /** Names of initializers and of what Constant nodes hold, in the order of the file. */
  readonly given: Map<string, 'initializer' | 'node'> = new Map()
  readonly #run: Run
  readonly #makers: Map<string, PreparedNode> = new Map()
  /** The floats of the file that a value is made of. */
  readonly #sources: Map<string, readonly string[]> = new Map()
  readonly #owned: Set<ArrayBufferLike> = new Set()
  #hasWeights: boolean | undefined
  /** See `places`, by source and name. */
  readonly #places: Map<string, Map<string, NdArray | undefined>> = new Map()

  constructor(run: Run) {
    this.#run = run
  }

  read(tensor: TensorProto, folder: DataFolder): void {
    this.#give(tensor.name, readTensor(tensor, `initializer ${show(tensor.name)}`, folder), 'initializer')
  }

  #give(name: string, value: Value, from: 'initializer' | 'node'): void {
    this.values.set(name, value)
    this.given.set(name, from)
    if (isFloat(value) && elements(value.shape) > 0) this.#sources.set(name, [name])
  }

  /** Runs a node now when everything that it reads is known. */
  fold(prepared: PreparedNode): boolean {
    const { node } = prepared
    if (node.inputs.some((input) => input !== '' && !this.values.has(input))) return false
    runNode(prepared, this.values, this.#run)
    const sources = new Set(node.inputs.flatMap((input) => this.sourcesOf(input)))
    for (const output of node.outputs) {
      const value = this.values.get(output)
      if (output === '' || value === undefined) continue
      this.#makers.set(output, prepared)
      if (node.op === 'Constant') this.#give(output, value, 'node')
      else if (isFloat(value)) {
        if (sources.size > 0) this.#sources.set(output, sources.size > mostSources ? [output] : [...sources])
      }
    }
    return true
  }

  sourcesOf(name: string): readonly string[] {
    return this.#sources.get(name) ?? []
  }

  /** Whether an initializer holds floats, more than one. */
  get hasWeights(): boolean {
    this.#hasWeights ??= [...this.given].some(
      ([name, from]) => from === 'initializer' && this.#sources.has(name) && this.count(name) > 1,
    )
    return this.#hasWeights
  }

  /** The numbers themselves for who comes first, copies for others: arrays of other shapes share them. */
  owned(floats: Float32Array): Float32Array {
    if (this.#owned.has(floats.buffer)) return floats.slice()
    this.#owned.add(floats.buffer)
    return floats
  }

  /** Lets go of what none of these nodes reads, nor a result is. */
  keep(nodes: readonly PreparedNode[], results: readonly string[]): ReadonlyMap<string, Value> {
    const wanted = new Set(results)
    for (const { node, weights } of nodes) {
      node.inputs.forEach((name, i) => {
        if (!weights?.has(i)) wanted.add(name)
      })
    }
    const kept = new Map<string, Value>()
    for (const [name, value] of this.values) if (wanted.has(name)) kept.set(name, value)
    return kept
  }

  /** How many numbers a known value has. */
  count(name: string): number {
    return elements((this.values.get(name) as Value).shape)
  }

  /** Whether a value is another one as it is, under its own name. */
  isCopy(name: string, source: string): boolean {
    let at: string | undefined = name
    while (at !== undefined && at !== source) {
      const node: PreparedNode['node'] | undefined = this.#makers.get(at)?.node
      at = node?.op === 'Identity' ? node.inputs[0] : undefined
    }
    return at === source
  }

  /**
   * A value with the place in `source` in the place of each of its numbers; undefined where numbers are computed, and
   * not only moved.
   */
  places(name: string, source: string): NdArray | undefined {
    const found = this.#places.get(source) ?? this.#begin(source)
    const chain: PreparedNode[] = []
    for (let at = name; !found.has(at); ) {
      const maker = this.#makers.get(at)
      if (!maker?.operator.moves) {
        found.set(at, undefined)
        break
      }
      chain.push(maker)
      at = maker.node.inputs[0] ?? ''
    }
    for (const prepared of chain.reverse()) {
      const { node } = prepared
      const [moved, ...others] = node.inputs.map((input, i) => (i === 0 ? found : this.values).get(input))
      const results = moved && resultsOf(prepared, [moved, ...others], this.#run)
      for (const [i, output] of node.outputs.entries()) {
        if (output !== '') found.set(output, results?.[i] as NdArray | undefined)
      }
    }
    return found.get(name)
  }

  #begin(source: string): Map<string, NdArray | undefined> {
    const { shape } = this.values.get(source) as Value
    const count = elements(shape)
    spend(count, 8 * count)
    const all = { ...integers(Array.from({ length: count }, (_, i) => i)), shape }
    const found = new Map<string, NdArray | undefined>([[source, all]])
    this.#places.set(source, found)
    return found
  }
}
