/** compile: a model as one native plan, and CompiledModel, what there is to do with it. */
import { types } from 'node:util'
import { type NativePlan, native, type StepDescription } from '../backend/node-addon.ts'
import { type Graph, graphShapes, trace } from '../graph/graph.ts'
import type { Model } from '../graph/model.ts'
import { attached, toNative } from '../graph/operation.ts'
import { Summary } from '../graph/summary.ts'
import { checkShape, elements, formatShape, looksLikeNhwc, sameShape, size } from '../tensor/shape.ts'
import { noData, received, Tensor } from '../tensor/tensor.ts'
import { bufferOf, byteLengthOf, byteOffsetOf, hasVariableLength, lengthOf } from '../tensor/typed-array.ts'
import { checkOptions } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { formatCount, formatTable } from '../util/text-table.ts'
import { calibrate } from './calibrate.ts'

/** Options of `compile`. */
export interface CompileOptions {
  /** Shape of one image, without the batch: `[1, 28, 28]`. Needed for a Module, known to a Graph. */
  inputShape?: readonly number[] | undefined
  /** Instruction set, by name: one of `isa().supported`. Default: KERNELET_ISA, else the best there is. */
  isa?: string | undefined
  /**
   * Algorithm of the convolutions, by name; default 'auto': chosen per layer. im2col, direct (the better of
   * direct-pixels and direct-channels) or winograd where it fits, im2col elsewhere; lanes: images side by side.
   */
  algorithm?: string | undefined
  /**
   * 'exact' (default): the same bits by every algorithm. 'fastest': Winograd too, where it should be faster; its
   * roundings are others, by some 1e-6 of the largest sum. Not together with `algorithm`.
   */
  numerics?: 'exact' | 'fastest' | undefined
  /**
   * What `run` is given: 'float32' (default), or 'uint8': pixels as services hold them, a quarter of the memory.
   * A byte becomes byte · scale + shift on the way in.
   */
  inputType?: 'float32' | 'uint8' | undefined
  /** For inputType 'uint8'; default 1/255: pixels become 0 … 1. */
  scale?: number | undefined
  /** For inputType 'uint8'; default 0. */
  shift?: number | undefined
  /**
   * 'float32' (default), or 'int8': convolutions and linear layers, followed by ReLU and 2×2 max pools or nothing,
   * run on 8-bit integers; what else there is stays as it is. Several times faster where the CPU has instructions
   * for it (AVX-512 VNNI), the same integers at the speed of float32 elsewhere. Needs `calibration`.
   */
  precision?: 'float32' | 'int8' | undefined
  /**
   * For precision 'int8': images such as the model will be run on, a hundred or so, of the training set. The ranges
   * of the values they lead to become the scales. As for `run`, one after another; floats are taken after scale
   * and shift, bytes before.
   */
  calibration?: Input | undefined
  /** Threads of `run`; 0: by the amount of work. Default: `setThreads`, KERNELET_THREADS, else 0. */
  threads?: number | undefined
  /** Largest batch; a larger one is refused, and the output for one of this size is allocated at once. */
  maxBatch?: number | undefined
  /** false runs every operation on its own; default true. */
  fuse?: boolean | undefined
}

/** What a model runs on: floats or a Tensor; bytes where it was compiled with inputType 'uint8'. */
export type Input = Float32Array | Tensor | Uint8Array | Uint8ClampedArray

type Values = Float32Array | Uint8Array | Uint8ClampedArray

/** Options of `CompiledModel.runAsync`. */
export interface RunAsyncOptions {
  /** When it has fired before the work starts, the call is rejected with `ERR_ABORTED`. */
  signal?: AbortSignal | undefined
}

/** One step of a plan with what it cost. */
export interface StepProfile extends StepDescription {
  /** Median nanoseconds of the step for the whole batch. */
  ns: number
  /** 2 · macs · batch / ns. */
  gflops: number
}

/**
 * Makes a native plan of a model: operations fused, algorithms chosen, weights packed, memory laid out.
 *
 * The weights are copied: train or load first, or compile again.
 *
 * @throws KerneletError `ERR_SHAPE` when a layer does not fit, by its name; `ERR_ISA` for an instruction set
 *   that is not there; `ERR_ARGUMENT` for a wrong option; otherwise as `trace`
 */
export function compile(model: Model | Graph, options: CompileOptions = {}): CompiledModel {
  checkOptions('compile', options, [
    'inputShape',
    'isa',
    'algorithm',
    'threads',
    'maxBatch',
    'fuse',
    'numerics',
    'inputType',
    'scale',
    'shift',
    'precision',
    'calibration',
  ])
  return new CompiledModel(graphOf(model, options.inputShape), options)
}

function graphOf(model: Model | Graph, inputShape: readonly number[] | undefined): Graph {
  if (typeof model !== 'object' || model === null) {
    throw new KerneletError('ERR_ARGUMENT', `compile: expected a Module or Graph but received ${show(model)}`)
  }
  if (!('nodes' in model)) {
    if (inputShape !== undefined) return trace(model, inputShape)
    throw new KerneletError(
      'ERR_ARGUMENT',
      'compile: inputShape, the shape of one image such as [1, 28, 28], is needed',
    )
  }
  const known = graphShapes(model).input
  if (inputShape !== undefined && !sameShape(known, checkShape(inputShape, 'inputShape'))) {
    throw new KerneletError(
      'ERR_SHAPE',
      `compile: inputShape is ${formatShape(inputShape)} but the graph was traced with ${formatShape(known)}`,
    )
  }
  return model
}

/**
 * A model ready to run. Made by `compile`; not to be constructed.
 *
 * Its native memory is freed by `dispose()`, at the end of a `using` block, or when the object is collected.
 */
export class CompiledModel {
  /** Per image. */
  readonly inputShape: readonly number[]
  /** Per image. */
  readonly outputShape: readonly number[]
  /** What `run` takes: a Float32Array or Tensor, or bytes. */
  readonly inputType: 'float32' | 'uint8'
  readonly #plan: NativePlan
  readonly #inputLength: number
  readonly #outputLength: number
  readonly #maxBatch: number
  readonly #counts: { macs: number; parameters: number }
  #disposed = false
  /** The output handed back when the caller brings none: a view of the first images of #space. */
  #own: Float32Array
  #space: Float32Array
  /** The input as it was given. */
  #source: Input | undefined
  /** The arrays that the plan is bound to, views of them, and the views' lengths when they were bound. */
  #input: Values = noData
  #output: Float32Array = noData
  #inputView: Values = noData
  #outputView: Float32Array = noData
  #inputSize = 0
  #outputSize = 0

  constructor(graph: Graph, options: CompileOptions) {
    const { isa, threads, maxBatch, fuse, inputType = 'float32', scale, shift } = options
    const algorithm = algorithmOf(options)
    checkBytes(inputType, scale, shift)
    this.inputType = inputType
    const shapes = graphShapes(graph)
    this.inputShape = shapes.input
    this.outputShape = shapes.output
    this.#inputLength = elements(shapes.input)
    this.#outputLength = elements(shapes.output)
    this.#maxBatch =
      maxBatch === undefined ? Number.POSITIVE_INFINITY : size(maxBatch, 'compile: maxBatch', 1)
    if (threads !== undefined) size(threads, 'compile: threads', 0)
    const ranges = rangesOf(graph, options)
    const { macs, parameters } = new Summary(graph)
    this.#counts = { macs, parameters }
    const nodes = graph.nodes.map((node) => toNative(node, node.name, node.inputs, node.shape))
    this.#plan = native().compile(
      { nodes, output: graph.output },
      {
        isa,
        algorithm,
        threads,
        fuse,
        byteInput: inputType === 'uint8',
        scale: scale ?? 1 / 255,
        shift: shift ?? 0,
        int8: ranges !== undefined,
        ranges,
      },
    )
    this.#space = new Float32Array((maxBatch ?? 1) * this.#outputLength)
    this.#own = this.#space.subarray(0, this.#outputLength)
  }

  /**
   * Runs a batch, synchronously: the thread waits. Calling again with the same arrays is fastest; then a
   * call is two comparisons and the work.
   *
   * @param input batch × values per image, or a Tensor of the input shape with or without a batch in front;
   *   with inputType 'uint8' a Uint8Array, Uint8ClampedArray or Buffer
   * @param output batch × values per output. Without it the model hands back an array of its own that the
   *   **next call overwrites**: copy it (`.slice()`) or bring your own to keep it.
   * @returns `output`, or the model's own array
   * @throws KerneletError `ERR_SHAPE` for lengths that do not fit, also of a detached buffer; `ERR_ARGUMENT`
   *   for other types, too large a batch, or an output that overlaps the input; `ERR_BUSY` when `output` waits
   *   for a `runAsync`; `ERR_DISPOSED`
   */
  run(input: Input, output?: Float32Array): Float32Array {
    // A buffer that was transferred away, or resized, shows in the lengths of views that nobody else has.
    if (
      input === this.#source &&
      this.#inputView.length === this.#inputSize &&
      (output ?? this.#own) === this.#output &&
      this.#outputView.length === this.#outputSize &&
      inFlight.size === 0
    ) {
      this.#plan.execute()
      return this.#output
    }
    this.#bind(input, output)
    this.#plan.execute()
    return this.#output
  }

  #bind(input: Input, output: Float32Array | undefined): void {
    const values = this.#checkInput(input)
    const batch = lengthOf(values) / this.#inputLength
    const target =
      output === undefined ? this.#ownOutput(values, batch) : this.#checkOutput(output, values, batch)
    checkFree(target)
    const unchanged =
      values === this.#input &&
      target === this.#output &&
      this.#inputView.length === this.#inputSize &&
      this.#outputView.length === this.#outputSize
    if (!unchanged) {
      // Nothing is bound until all has gone well.
      this.#source = undefined
      this.#input = noData
      this.#plan.bind(values, target, batch)
      this.#inputView = viewOf(values)
      this.#inputSize = this.#inputView.length
      this.#outputView = viewOf(target)
      this.#outputSize = this.#outputView.length
      this.#input = values
      this.#output = target
    }
    this.#source = input
  }

  /**
   * Runs a batch on another thread. The input is copied before this returns; it may be changed at once.
   *
   * @param input as for `run`
   * @param output batch × values per output, written just before the promise resolves; default: a new array
   * @returns `output`, or the new array
   * @throws (by rejection) KerneletError as `run`; `ERR_BUSY` when an earlier call into memory that overlaps
   *   `output` has not finished; `ERR_ABORTED` when the signal has fired
   */
  async runAsync(input: Input, output?: Float32Array, options: RunAsyncOptions = {}): Promise<Float32Array> {
    checkOptions('runAsync', options, ['signal'])
    const values = this.#checkInput(input)
    const batch = lengthOf(values) / this.#inputLength
    if (options.signal?.aborted) {
      throw new KerneletError('ERR_ABORTED', 'runAsync: aborted before it started', {
        cause: options.signal.reason,
      })
    }
    if (output === undefined) {
      const fresh = new Float32Array(batch * this.#outputLength)
      await this.#plan.runAsync(values, fresh, batch)
      return fresh
    }
    const release = reserve(this.#checkOutput(output, values, batch))
    try {
      await this.#plan.runAsync(values, output, batch)
    } finally {
      release()
    }
    return output
  }

  /**
   * Measures every step on its own.
   *
   * @param input as for `run`
   * @param options `iterations`: runs of which the median is taken; default 100
   */
  profile(input: Input, options: { iterations?: number } = {}): StepProfile[] {
    checkOptions('profile', options, ['iterations'])
    const iterations = size(options.iterations ?? 100, 'profile: iterations', 1)
    const values = this.#checkInput(input)
    const batch = lengthOf(values) / this.#inputLength
    const output = new Float32Array(batch * this.#outputLength)
    const times = this.#plan.profile(values, output, batch, iterations)
    return this.#plan.describe().map((step, i) => {
      const ns = times[i] as number
      return { ...step, ns, gflops: ns > 0 ? (2 * step.macs * batch) / ns : 0 }
    })
  }

  /** What the plan does, step by step, and what it takes. */
  describe(): ModelDescription {
    this.#checkAlive()
    const { isa, threads, batchLanes, arenaBytes, weightBytes } = this.#plan
    return new ModelDescription({
      inputShape: this.inputShape,
      outputShape: this.outputShape,
      isa,
      threads,
      batchLanes,
      arenaBytes,
      weightBytes,
      ...this.#counts,
      steps: this.#plan.describe(),
    })
  }

  /** Frees the native memory; every later call throws `ERR_DISPOSED`, except this one. */
  dispose(): void {
    this.#disposed = true
    this.#source = undefined
    this.#input = noData
    this.#output = noData
    this.#inputView = noData
    this.#outputView = noData
    this.#plan.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #checkAlive(): void {
    if (this.#disposed) throw new KerneletError('ERR_DISPOSED', 'This model was disposed; compile it again')
  }

  /** The values of a whole number of images, not more than allowed. */
  #checkInput(input: Input): Values {
    this.#checkAlive()
    const values =
      this.inputType === 'uint8'
        ? checkPixels(input)
        : input instanceof Tensor
          ? this.#checkTensor(input)
          : checkFloats(input, 'input')
    const length = lengthOf(values)
    if (length === 0 || length % this.#inputLength !== 0) {
      throw new KerneletError(
        'ERR_SHAPE',
        `Expected ${this.#inputLength} values per image (${formatShape(this.inputShape)}) for input but ` +
          `received ${received(values)}`,
      )
    }
    const batch = length / this.#inputLength
    if (batch > this.#maxBatch) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `Expected at most ${this.#maxBatch} images at once (maxBatch) but received ${batch}`,
      )
    }
    return values
  }

  #checkTensor(input: Tensor): Float32Array {
    const { shape } = input
    const image = shape.length === this.inputShape.length ? shape : shape.slice(1)
    if (!sameShape(image, this.inputShape)) {
      const hint =
        this.inputShape.length === 3 && looksLikeNhwc(image, this.inputShape[0] as number)
          ? '; this looks like NHWC (height, width, channels): kernelet expects channels first'
          : ''
      throw new KerneletError(
        'ERR_SHAPE',
        `Expected a tensor of shape ${formatShape(this.inputShape)} or batch×${formatShape(this.inputShape)} ` +
          `for input but received ${formatShape(shape)}${hint}`,
      )
    }
    return attached(input, 'input')
  }

  #checkOutput(output: unknown, input: Values, batch: number): Float32Array {
    const target = checkFloats(output, 'output')
    const expected = batch * this.#outputLength
    if (lengthOf(target) !== expected) {
      throw new KerneletError(
        'ERR_SHAPE',
        `Expected ${expected} values (${batch} × ${formatShape(this.outputShape)}) for output but received ` +
          received(target),
      )
    }
    if (overlap(target, input)) {
      throw new KerneletError('ERR_ARGUMENT', 'output overlaps input in memory; they must be apart')
    }
    return target
  }

  #ownOutput(input: Values, batch: number): Float32Array {
    const length = batch * this.#outputLength
    // The caller may have transferred away what it was handed (no length is left), or may give it back as input.
    if (this.#space.length < length || overlap(this.#space, input)) {
      this.#space = new Float32Array(Math.max(length, this.#space.length))
    }
    if (lengthOf(this.#own) !== length || bufferOf(this.#own) !== this.#space.buffer) {
      this.#own = this.#space.subarray(0, length)
    }
    return this.#own
  }
}

/** What `CompiledModel.describe` tells; `toString()` prints it. */
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
    ].join(', ')
    const int8 = this.steps.some((step) => step.int8)
    const rows = [
      ['Step', 'Algorithm', 'Tile', 'Fused', 'Problem', 'MACs', ...(int8 ? ['Bytes'] : [])],
      ...this.steps.map((step) => [
        step.names.join(' + '),
        `${step.algorithm} ${step.isa}${step.during ? `, during ${step.during}` : ''}`,
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

function algorithmOf({ algorithm, numerics }: CompileOptions): string | undefined {
  if (numerics === undefined || numerics === 'exact') return algorithm
  if (numerics !== 'fastest') {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `compile: numerics: expected 'exact' or 'fastest' but received ${show(numerics)}`,
    )
  }
  if (algorithm !== undefined && algorithm !== 'auto') {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `compile: numerics 'fastest' chooses the algorithm itself; algorithm ${show(algorithm)} cannot be asked for too`,
    )
  }
  return 'fastest'
}

function rangesOf(graph: Graph, options: CompileOptions): Float32Array | undefined {
  const { precision, calibration, scale, shift } = options
  if (precision === 'int8') return calibrate(graph, calibration, scale ?? 1 / 255, shift ?? 0)
  if (precision !== undefined && precision !== 'float32') {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `compile: precision: expected 'float32' or 'int8' but received ${show(precision)}`,
    )
  }
  if (calibration !== undefined) {
    throw new KerneletError('ERR_ARGUMENT', "compile: calibration goes with precision 'int8'")
  }
  return undefined
}

function checkBytes(inputType: string, scale: number | undefined, shift: number | undefined): void {
  if (inputType !== 'float32' && inputType !== 'uint8') {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `compile: inputType: expected 'float32' or 'uint8' but received ${show(inputType)}`,
    )
  }
  for (const [name, value] of Object.entries({ scale, shift })) {
    if (value === undefined) continue
    if (inputType === 'float32') {
      throw new KerneletError('ERR_ARGUMENT', `compile: ${name} goes with inputType 'uint8'`)
    }
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `compile: ${name}: expected a finite number but received ${show(value)}`,
      )
    }
  }
}

function checkPixels(value: unknown): Uint8Array | Uint8ClampedArray {
  if (types.isUint8Array(value) || types.isUint8ClampedArray(value)) return value
  throw new KerneletError(
    'ERR_ARGUMENT',
    `Expected a Uint8Array, Uint8ClampedArray or Buffer for input (inputType 'uint8') but received ${show(value)}`,
  )
}

function checkFloats(value: unknown, what: string): Float32Array {
  if (types.isFloat32Array(value)) return value
  const hint = types.isUint8Array(value)
    ? "; compile with inputType: 'uint8' to run on bytes, or Float32Array.from(pixels, (p) => p / 255)"
    : Array.isArray(value) || ArrayBuffer.isView(value)
      ? `; convert it with Float32Array.from(${what})`
      : ''
  throw new KerneletError(
    'ERR_ARGUMENT',
    `Expected a Float32Array for ${what} but received ${show(value)}${hint}`,
  )
}

/** Outputs that a `runAsync` will write to, of all models, by the memory they lie in. */
const inFlight: Map<ArrayBufferLike, Set<Float32Array>> = new Map()

function checkFree(output: Float32Array): void {
  for (const busy of inFlight.get(bufferOf(output)) ?? []) {
    if (overlap(busy, output)) {
      throw new KerneletError(
        'ERR_BUSY',
        'output belongs to a runAsync call that has not finished: await it first, or bring another array',
      )
    }
  }
}

/** Marks `output` as waited for, unless it is already; returns what unmarks it. */
function reserve(output: Float32Array): () => void {
  checkFree(output)
  const buffer = bufferOf(output)
  const outputs = inFlight.get(buffer) ?? new Set()
  inFlight.set(buffer, outputs.add(output))
  return () => {
    outputs.delete(output)
    if (outputs.size === 0) inFlight.delete(buffer)
  }
}

function overlap(a: Values, b: Values): boolean {
  return (
    bufferOf(a) === bufferOf(b) &&
    byteOffsetOf(a) < byteOffsetOf(b) + byteLengthOf(b) &&
    byteOffsetOf(b) < byteOffsetOf(a) + byteLengthOf(a)
  )
}

/**
 * A view of the same elements that nobody else has, so that its `length` is true: 0 once the buffer is detached. Where
 * the buffer can be resized it follows the end of the buffer, and differs from the array as soon as that is moved.
 */
function viewOf<T extends Values>(array: T): T {
  const View = (types.isFloat32Array(array) ? Float32Array : Uint8Array) as unknown as new (
    buffer: ArrayBufferLike,
    byteOffset: number,
    length?: number,
  ) => T
  const buffer = bufferOf(array)
  const length = hasVariableLength(buffer) ? undefined : lengthOf(array)
  return new View(buffer, byteOffsetOf(array), length)
}
