/** Weights of a model: which of the numbers that nodes read are trained, under which name and in which form. */
import { Buffer, Parameter } from '../../tensor/parameter.ts'
import { elements, sameShape } from '../../tensor/shape.ts'
import { noData, store, Tensor } from '../../tensor/tensor.ts'
import { show } from '../../util/show.ts'
import { type NdArray, placeOf } from './array.ts'
import { arrayOfKnown, type Constants, floatsOf, isFloat } from './constants.ts'
import { type ElementType, float64 } from './element.ts'
import { heldAsDoubles } from './infer.ts'
import type { PreparedNode } from './prepared-node.ts'
import type { Slot } from './slots.ts'
import { typeOf, type Value } from './value.ts'

/** Numbers that nodes read in one form. */
interface Candidate {
  readonly name: string
  readonly slot: Slot
  /** As the model has them. */
  readonly array: NdArray
  /** Names of the weights of the file that they are made of. */
  readonly owners: readonly string[]
  /** Who reads them first. */
  readonly reader: PreparedNode
  /** The same numbers, held for another reader. */
  twin?: Candidate
  /** Why they cannot be trained. */
  reason?: string
  tensor?: Tensor
}

/** Weights and statistics, and the nodes that read them. */
export interface State {
  readonly nodes: readonly PreparedNode[]
  /** By name; names may come twice. Parameters come first. */
  readonly tensors: readonly (readonly [name: string, tensor: Parameter | Buffer])[]
  /** See `Run`. */
  readonly held: ReadonlyMap<Value, readonly number[]>
}

/** @param types of the model's inputs, by name */
export function stateOf(
  nodes: readonly PreparedNode[],
  constants: Constants,
  types: ReadonlyMap<string, ElementType>,
): State {
  const doubles = doublesOf(nodes, constants, types)
  const candidates = new Map<string, Candidate>()
  const places = nodes.map((prepared) => placesOf(prepared, constants, doubles, candidates))
  const all = [...candidates.values()]
  const weights = all.filter(({ slot }) => slot.kind !== 'statistic')
  tie(weights, constants)
  const single = weights.filter(({ twin }) => !twin)
  const parts = countBy(single.flatMap(({ owners }) => owners))
  const named = [
    ...single.map((one) => parameterOf(one, parts, constants)),
    ...all.flatMap((one) => bufferOf(one, constants)),
  ]
  const held = new Map<Value, readonly number[]>()
  for (const one of all) {
    const tensor = tensorOf(one)
    if (one.slot.kind === 'layer') held.set(tensor, one.array.shape)
  }
  return {
    nodes: nodes.map((prepared, i) => {
      const own = places[i] as ReadonlyMap<number, Candidate>
      if (own.size === 0) return prepared
      return { ...prepared, weights: new Map([...own].map(([input, one]) => [input, tensorOf(one)])) }
    }),
    tensors: inFileOrder(named, constants),
    held,
  }
}

/** Values that are held as doubles; see `heldAsDoubles`. */
function doublesOf(
  nodes: readonly PreparedNode[],
  constants: Constants,
  types: ReadonlyMap<string, ElementType>,
): ReadonlySet<string> {
  const known = [...constants.values].filter(([, value]) => typeOf(value) === float64).map(([name]) => name)
  const given = [...types].filter(([, type]) => type === float64).map(([name]) => name)
  return heldAsDoubles(new Set([...known, ...given]), nodes)
}

/** Whether doubles are read by an operator that computes float32, or beside other values: they become float32. */
function meetsKernel({ node, operator }: PreparedNode, doubles: ReadonlySet<string>): boolean {
  return operator.isKernel || node.inputs.some((input) => input !== '' && !doubles.has(input))
}

/** The inputs of a node that are weights or statistics; those that are new join `candidates`. */
function placesOf(
  reader: PreparedNode,
  constants: Constants,
  doubles: ReadonlySet<string>,
  candidates: Map<string, Candidate>,
): Map<number, Candidate> {
  const places = new Map<number, Candidate>()
  const { inputs } = reader.node
  const shapeOf = (i: number) => constants.values.get(inputs[i] ?? '')?.shape
  for (let i = 0; i < inputs.length; i++) {
    const name = inputs[i] as string
    const value = constants.values.get(name)
    if (value === undefined || !isFloat(value) || elements(value.shape) === 0) continue
    if (doubles.has(name) && !meetsKernel(reader, doubles)) continue
    const slot = reader.operator.slot?.(reader.node, i, value.shape, shapeOf)
    const owners = slot ? ownersOf(name, slot, constants) : []
    if (!slot || owners.length === 0) continue
    const key = JSON.stringify([name, slot.kind === 'statistic', slot.form.key])
    const found = candidates.get(key) ?? { name, slot, array: arrayOfKnown(value), owners, reader }
    candidates.set(key, found)
    places.set(i, found)
  }
  return places
}

/**
 * The weights of the file that a value is made of; none where it is a part of the network. A layer's are weights
 * wherever they come from; beside arithmetic those of initializers are, or of Constant nodes in a file that has no
 * others, but not a number without a dimension, as in x + 3.
 */
function ownersOf(name: string, { kind }: Slot, constants: Constants): readonly string[] {
  const sources = constants.sourcesOf(name)
  const listed = sources.filter((one) => constants.given.get(one) !== 'node')
  const many = (names: readonly string[]) => names.filter((one) => constants.count(one) > 1)
  if (many(listed).length > 0) return many(listed)
  if (kind !== 'arithmetic') return many(sources).length > 0 ? many(sources) : sources
  const literal = constants.hasWeights ? [] : many(sources)
  if (literal.length > 0) return literal
  return listed.filter((one) => constants.values.get(one)?.shape.length !== 0)
}

/** Finds candidates that are the same weight of the file, and those that share a part of one in another way. */
function tie(candidates: readonly Candidate[], constants: Constants): void {
  const byOwner = new Map<string, Candidate[]>()
  for (const one of candidates) {
    for (const owner of one.owners) {
      const sharing = byOwner.get(owner)
      if (sharing) sharing.push(one)
      else byOwner.set(owner, [one])
    }
  }
  for (const [owner, sharing] of byOwner) {
    if (sharing.length > 1) tieOwned(owner, sharing, constants)
  }
}

function tieOwned(owner: string, sharing: readonly Candidate[], constants: Constants): void {
  const [one, ...others] = sharing as [Candidate, ...Candidate[]]
  const alike = sharing.every(
    ({ name, slot }) =>
      slot.form.key === one.slot.form.key &&
      slot.form.factor === one.slot.form.factor &&
      constants.isCopy(name, owner),
  )
  if (!alike) tiePlaces(owner, sharing, constants)
  // what exporters make of weights of equal numbers: places need not be looked at
  else for (const other of others) other.twin = one
}

function tiePlaces(owner: string, sharing: readonly Candidate[], constants: Constants): void {
  const readers: (Candidate | undefined)[] = new Array(constants.count(owner))
  const known = new Map<Candidate, ArrayLike<number | bigint>>()
  for (const one of sharing) {
    const moved = one.owners.length === 1 ? constants.places(one.name, owner) : undefined
    const places = moved && one.slot.form.lay(moved).values
    if (!places) {
      // A number that many weights are multiplied by ties none of them.
      const other = constants.count(owner) > 1 && sharing.find((another) => another !== one)
      if (other) refuse(other, one)
      continue
    }
    const first = readers[Number(places[0])]
    if (first && first.slot.form.factor === one.slot.form.factor && same(known.get(first), places)) {
      one.twin = first
      continue
    }
    known.set(one, places)
    for (const place of places) {
      const other = readers[Number(place)]
      if (other && other !== one && readers.length > 1) refuse(other, one)
      readers[Number(place)] = one
    }
  }
}

function same(a: ArrayLike<number | bigint> | undefined, b: ArrayLike<number | bigint>): boolean {
  if (a?.length !== b.length) return false
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) return false
  return true
}

function refuse(one: Candidate, other: Candidate): void {
  one.reason ??= `${one.reader.node.place} and ${other.reader.node.place} share its numbers in different forms`
  other.reason ??= one.reason
}

/** A weight goes by the name it has in the file, where it is the only one made of that. */
function parameterOf(
  candidate: Candidate,
  parts: ReadonlyMap<string, number>,
  constants: Constants,
): [string, Parameter] {
  const { name, owners, slot, array, reason } = candidate
  const held = slot.form.lay(array)
  const { factor } = slot.form
  const stored = factor === 1 ? placeOf(held) : undefined
  const numbers = () => {
    const floats = floatsOf(sourceOf(candidate, constants), held)
    return factor === 1 ? constants.owned(floats) : floats.map((one) => one * factor)
  }
  const parameter = stored
    ? store(new Parameter(noData, held.shape), stored)
    : new Parameter(numbers(), held.shape)
  parameter.untrainable = reason
  candidate.tensor = parameter
  const [owner] = owners as [string]
  return [owners.length === 1 && parts.get(owner) === 1 ? owner : name, parameter]
}

/** What errors call it: by its name where the file has it so, else by who reads it. */
function sourceOf({ name, reader }: Candidate, constants: Constants): string {
  return constants.given.get(name) === 'initializer' ? `initializer ${show(name)}` : reader.node.place
}

/** Its own array: training may change others that began with the same numbers. */
function bufferOf(candidate: Candidate, constants: Constants): [string, Buffer][] {
  const { slot, array, name, owners } = candidate
  if (slot.kind !== 'statistic') return []
  const buffer = new Buffer(floatsOf(sourceOf(candidate, constants), array).slice(), array.shape)
  candidate.tensor = buffer
  return [[owners.length === 1 ? (owners[0] ?? '') : name, buffer]]
}

/** What stands in a node's input: the weight, or another view of its numbers. */
function tensorOf(candidate: Candidate): Tensor {
  const { twin, tensor, slot, array } = candidate
  if (tensor) return tensor
  const source = tensorOf(twin as Candidate)
  const { shape } = slot.form.lay(array)
  const alike = sameShape(shape, source.shape) && twin?.slot.form.key === slot.form.key
  candidate.tensor = alike ? source : new Tensor(source.data, shape)
  return candidate.tensor
}

function countBy(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

/** Parameters first, by where their names come in the file; what nodes computed comes last. */
function inFileOrder<T extends readonly [string, Tensor]>(named: readonly T[], constants: Constants): T[] {
  const order = new Map<string, number>()
  for (const name of constants.given.keys()) order.set(name, order.size)
  return named
    .map((one) => {
      const [name, tensor] = one
      const from = tensor instanceof Parameter ? 0 : order.size + 1
      return { one, rank: from + (order.get(name) ?? order.size) }
    })
    .sort((a, b) => a.rank - b.rank)
    .map(({ one }) => one)
}
