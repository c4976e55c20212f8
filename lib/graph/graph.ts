/** Graph: what a model computes, as a list of operations, found by running forward() once on a stand-in. */

import { checkShape, formatShape } from '../tensor/shape.ts'
import { noData, Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { className, show } from '../util/show.ts'
import { constantOf, definitionOf, inputOf, isInput, isView, type Operation } from './definition.ts'
import type { Model } from './model.ts'
import { inferShape } from './operation.ts'

/** An operation in its place. */
export interface GraphNode extends Operation {
  /**
   * Path of the layer (`conv1`, `block.0`), or of the module around a function with the function's name and
   * a count (`relu_1`, `block.relu_1`).
   */
  name: string
  /** Indices of earlier nodes. */
  inputs: number[]
  /** Output shape per image. */
  shape: number[]
  /** A batch is [n], not [n, 1]: one number an image, whose shape is then given as [1]. */
  flat?: true | undefined
}

/** Operations in the order they run; every node uses only earlier ones, and node 0 is the input. */
export interface Graph {
  readonly nodes: readonly GraphNode[]
  /** Index of the node that is the result. */
  readonly output: number
}

/** A model may well have a property that is called nodes. */
export function isGraph(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  return 'nodes' in value && typeof (value as { forward?: unknown }).forward !== 'function'
}

/** The shape of one input image, and of what the graph makes of it. */
export function graphShapes(graph: Graph): { input: readonly number[]; output: readonly number[] } {
  const output = graph.nodes[graph.output]
  const input = graph.nodes[0]
  if (!input || !isInput(input) || !output) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      'A graph must begin with its input and name one of its nodes as output',
    )
  }
  return { input: input.shape, output: output.shape }
}

/**
 * Records what `module.forward` does with one image of `inputShape` (per image: `[1, 28, 28]`). Nothing is
 * computed and nothing but the list is allocated.
 *
 * forward() sees a tensor of shape `[1, ...inputShape]` that has no values: it may look at shapes, but not
 * branch on numbers. Weights are referenced, not copied.
 *
 * @throws KerneletError `ERR_SHAPE` when a layer does not fit, by the name of the layer; `ERR_UNSUPPORTED`
 *   when forward() reads values, mixes the images of a batch, or returns something else than a tensor made
 *   from its input.
 * @example
 * const graph = trace(new LeNet5(), [1, 28, 28])
 * graph.nodes.length // → 13
 */
export function trace(module: Model, inputShape: readonly number[]): Graph {
  if (!isModel(module)) {
    throw new KerneletError('ERR_ARGUMENT', `trace: expected a Module but received ${show(module)}`)
  }
  const image = checkShape(inputShape, 'inputShape')
  if (image.length < 1 || image.length > 6) {
    throw new KerneletError('ERR_SHAPE', `inputShape must have 1 to 6 dimensions but has ${image.length}`)
  }
  const tracer = new Tracer(image)
  const unwatch = watch(module, tracer.scopes)
  let output: unknown
  try {
    output = module.forward(tracer.input)
  } finally {
    unwatch()
  }
  if (!(output instanceof SymbolicTensor) || output.tracer !== tracer) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${className(module)}: forward() must return one tensor that is computed from its input`,
    )
  }
  return { nodes: tracer.nodes, output: output.node }
}

let counts: Operation['counts']

/** What a layer made of several operations says of those that `compute` applies; see `Operation.counts`. */
export function counted<T>(own: NonNullable<Operation['counts']>, compute: () => T): T {
  const outer = counts
  counts = own
  try {
    return compute()
  } finally {
    counts = outer
  }
}

/** Arrays whose values operations take, while somebody asks. */
let taken: Set<Float32Array> | undefined

/**
 * What `trace` gives, and the arrays whose values operations took at once: what they made of them is a constant of the
 * graph, which does not follow them.
 *
 * @throws KerneletError as `trace`
 */
export function traceWatched(
  module: Model,
  inputShape: readonly number[],
): { graph: Graph; taken: ReadonlySet<Float32Array> } {
  const outer = taken
  const own = new Set<Float32Array>()
  taken = own
  try {
    return { graph: trace(module, inputShape), taken: own }
  } finally {
    taken = outer
  }
}

/** Says that an operation takes these values now. */
export function noteTaken(values: readonly (Float32Array | undefined)[]): void {
  if (taken) for (const one of values) if (one) taken.add(one)
}

function isModel(value: unknown): value is Model {
  const { forward, namedChildren, namedModules } = (value ?? {}) as Partial<Record<keyof Model, unknown>>
  return [forward, namedChildren, namedModules].every((method) => typeof method === 'function')
}

/** What a tensor is during a trace: a shape and a place in the graph, but no values. */
export class SymbolicTensor extends Tensor {
  readonly tracer: Tracer
  readonly node: number

  constructor(tracer: Tracer, node: number, shape: readonly number[]) {
    super(noData, shape)
    this.tracer = tracer
    this.node = node
  }

  override get data(): never {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      'forward() reads tensor values: while a model is traced (compile, summary) its tensors have shapes but ' +
        'no data, so forward() can only call layers and functions on them',
    )
  }
}

/** The module that is running: its path, and whether it has modules inside. */
interface Scope {
  readonly path: string
  readonly leaf: boolean
}

/** Collects the nodes of one trace. */
export class Tracer {
  readonly nodes: GraphNode[] = []
  readonly scopes: Scope[] = []
  readonly input: SymbolicTensor
  readonly #uses: Map<string, number> = new Map()
  readonly #constants: Map<Tensor, Map<number, number>> = new Map()
  #constantCount = 0

  constructor(inputShape: number[]) {
    this.nodes.push({ ...inputOf({}), name: 'input', inputs: [], shape: inputShape })
    this.input = new SymbolicTensor(this, 0, [1, ...inputShape])
  }

  /**
   * Appends an operation; returns the stand-in for its result. Inputs with values become constants.
   *
   * @param rank dimensions of the result, the batch counted, where they do not follow from the inputs: 1 is one number
   *   an image, which native code knows as an image of shape [1]
   */
  record(operation: Operation, inputs: readonly Tensor[], rank?: number): SymbolicTensor {
    const name = this.#name(operation.op)
    const inputRank = Math.max(
      ...inputs.map((input) => (input instanceof SymbolicTensor ? input.shape.length : 0)),
    )
    const sources = inputs.map((input) => this.#indexOf(input, name, inputRank))
    const shape = inferShape(
      operation,
      sources.map((source) => this.#at(source).shape),
      { name, origin: (i) => this.#origin(sources[i] ?? 0) },
    )
    const flat = (rank ?? inputRank) === 1
    const node = Object.assign(copyOf(operation), { name, inputs: sources, shape })
    if (flat) Object.assign(node, { flat })
    if (counts) node.counts = { ...counts }
    this.nodes.push(node)
    return new SymbolicTensor(this, this.nodes.length - 1, flat ? [1] : [1, ...shape])
  }

  /** Takes back what was recorded since there were `count` nodes. */
  forget(count: number): void {
    this.nodes.length = Math.min(this.nodes.length, count)
    for (const places of this.#constants.values()) {
      for (const [rank, index] of places) if (index >= count) places.delete(rank)
    }
  }

  #name(op: string): string {
    const { path, leaf } = this.scopes.at(-1) ?? { path: '', leaf: false }
    const named = leaf && path !== ''
    const base = named ? path : path === '' ? op : `${path}.${op}`
    const use = (this.#uses.get(base) ?? 0) + 1
    this.#uses.set(base, use)
    return named && use === 1 ? base : `${base}_${use}`
  }

  /** `rank` is that of the values, batch and all, which the operation works on. */
  #indexOf(tensor: Tensor, name: string, rank: number): number {
    if (!(tensor instanceof SymbolicTensor)) return this.#constant(tensor, name, rank)
    if (tensor.tracer !== this) {
      throw new KerneletError('ERR_UNSUPPORTED', `${name}: an input is one of the values of another trace`)
    }
    if (tensor.shape.length === rank) return tensor.node
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${name}: inputs of ${tensor.shape.length} and ${rank} dimensions would mix the images of a batch: reshape one first`,
    )
  }

  /** A tensor with values: the same for every image. */
  #constant(tensor: Tensor, name: string, rank: number): number {
    const { shape } = tensor
    const image = shape.length === rank ? shape.slice(1) : shape
    if (shape.length > rank || (shape.length === rank && shape[0] !== 1)) {
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `${name}: a constant of ${formatShape(shape)} would make images of a batch different; its shape must be that ` +
          'of one image, or begin with 1',
      )
    }
    const known = this.#constants.get(tensor)?.get(rank)
    if (known !== undefined) return known
    const index = this.nodes.length
    this.#constants.set(tensor, (this.#constants.get(tensor) ?? new Map()).set(rank, index))
    this.#constantCount++
    this.nodes.push({
      ...constantOf({ weight: tensor }),
      name: `constant_${this.#constantCount}`,
      inputs: [],
      shape: image.length === 0 ? [1] : [...image],
    })
    return index
  }

  #origin(index: number): string {
    const node = this.#at(index)
    if (!isView(node)) return `${formatShape(node.shape)} from ${node.name}`
    const source = this.#at(node.inputs[0] ?? 0)
    return `${formatShape(source.shape)} from ${source.name} ${definitionOf(node.op).participle}`
  }

  #at(index: number): GraphNode {
    return this.nodes[index] as GraphNode
  }
}

/** With lists of its own: whoever changes the graph changes no layer. */
function copyOf(operation: Operation): Operation {
  const copy: Operation = { ...operation }
  const fields = copy as unknown as Record<string, unknown>
  for (const key in fields) {
    const value = fields[key]
    if (Array.isArray(value)) fields[key] = [...value]
  }
  if (operation.counts) copy.counts = { ...operation.counts }
  return copy
}

/** Of a class that says itself which modules it has. */
function modulesOf(module: Model): [string, Model][] {
  const named: unknown = module.namedModules()
  const fits = (one: unknown) => Array.isArray(one) && typeof one[0] === 'string' && isModel(one[1])
  if (Array.isArray(named) && named.every(fits)) return named
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${className(module)}: namedModules() must give pairs of a path and a Module but gives ${show(named)}`,
  )
}

/**
 * Puts a note of which module is running around every forward() below `module`, so that operations get its
 * name also in forward() methods written by users. Returns what takes the notes off again.
 */
function watch(module: Model, scopes: Scope[]): () => void {
  const watched: { part: Model; own: PropertyDescriptor | undefined }[] = []
  for (const [path, part] of modulesOf(module)) {
    const own = Object.getOwnPropertyDescriptor(part, 'forward')
    const forward = part.forward
    const scope = { path, leaf: part.namedChildren().length === 0 }
    const noted = (...inputs: Tensor[]): Tensor => {
      scopes.push(scope)
      try {
        return forward.apply(part, inputs)
      } finally {
        scopes.pop()
      }
    }
    // A frozen module cannot be noted: its operations go by the name of the module around it.
    if (Reflect.defineProperty(part, 'forward', { value: noted, configurable: true })) {
      watched.push({ part, own })
    }
  }
  return () => {
    for (const { part, own } of watched) {
      Reflect.deleteProperty(part, 'forward')
      if (own) Object.defineProperty(part, 'forward', own)
    }
  }
}
