/** compile: a model as one native plan, and CompiledModel, what there is to do with it. */

import type { NativePlan, StepDescription } from '../backend/backend.ts'
import { type Graph, graphShapes, trace } from '../graph/graph.ts'
import type { Model } from '../graph/model.ts'
import { attached, toNative } from '../graph/operation.ts'
import { totals } from '../graph/summary.ts'
import { zeros } from '../tensor/allocate.ts'
import { checkShape, elements, formatShape, looksLikeNhwc, sameShape, size } from '../tensor/shape.ts'
import { noData, received, Tensor } from '../tensor/tensor.ts'
import { checkOptions, signalOf } from '../util/check.ts'
import { disposable } from '../util/dispose.ts'
import { KerneletError } from '../util/errors.ts'
import { bufferOf, lengthOf } from '../util/typed-array.ts'
import {
  checkFloats,
  checkFree,
  checkPixels,
  inFlight,
  overlap,
  reserve,
  type Values,
  viewOf,
} from './buffers.ts'
import { ModelDescription } from './description.ts'
import { algorithmOf, type CompileOptions, checkBytes, graphOf, type Input, rangesOf } from './options.ts'
import { planOf } from './planned.ts'
import { fitsPattern, formatPattern, isFree, outputPatterns, Sizes, sameWeights, sized } from './sizes.ts'
import type { Tuning } from './tuning.ts'
import { isVerbose, tellCompiled, tellRun } from './verbose.ts'

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
 * Where `inputShape` leaves sizes free, as [3, -1, -1] does, `run` takes Tensors of any size: each is planned when it first
 * comes, the plans of the last eight are kept, and those whose kernels want the same order share their packed weights.
 *
 * @throws KerneletError `ERR_SHAPE` when a layer does not fit, by its name; `ERR_ISA` for an instruction set
 *   that is not there; `ERR_ARGUMENT` for a wrong option; otherwise as `trace`
 * @example
 * const model = compile(LeNet5.pretrained(), { inputShape: [1, 28, 28] })
 * model.run(new Float32Array(2 * 784)).length // → 20
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
    'tune',
    'tuned',
  ])
  const { inputShape } = options
  if (isFree(inputShape)) return new CompiledModel(freeSizes(model, [...inputShape], options), options)
  return new CompiledModel(graphOf(model, inputShape), options)
}

/** What a model of free sizes is made of. */
interface FreeSizes {
  readonly input: readonly number[]
  readonly output: readonly number[]
  readonly plans: Sizes<CompiledModel>
}

function freeSizes(model: Model | Graph, input: readonly number[], options: CompileOptions): FreeSizes {
  if (typeof model === 'object' && model !== null && 'nodes' in model && !('forward' in model)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      'compile: a graph is of one size; free sizes need the model itself',
    )
  }
  if (options.precision === 'int8' || options.calibration !== undefined) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      "compile: precision 'int8' needs an inputShape without free sizes: its ranges are those of one size",
    )
  }
  const rest = { ...options, inputShape: undefined }
  const checked = sameWeights()
  const plans = new Sizes((shape) => new CompiledModel(checked(trace(model as Model, shape)), rest))
  const outputs = outputPatterns((size) => [graphShapes(trace(model as Model, sized(input, size))).output])
  return { input, output: outputs?.[0] ?? [], plans }
}

/**
 * A model ready to run. Made by `compile`; not to be constructed.
 *
 * Its native memory is freed by `dispose()`, at the end of a `using` block, or when the object is collected.
 * @example
 * const model = LeNet5.pretrained().compile({ inputShape: [1, 28, 28] })
 * model.run(new Float32Array(784)).length // → 10
 */
export class CompiledModel {
  /** `dispose`, at the end of a `using` block. */
  declare readonly [Symbol.dispose]: () => void
  /** Per image; −1 where a size is free. */
  readonly inputShape: readonly number[]
  /** Per image; −1 where it follows from a free size: `at(…).outputShape` says it. [] where nothing is known of it. */
  readonly outputShape: readonly number[]
  /** What `run` takes: a Float32Array or Tensor, or bytes. */
  readonly inputType: 'float32' | 'uint8'
  /** The models for each size, where sizes are free: then there is no plan here, and nothing is ever bound. */
  readonly #sizes: Sizes<CompiledModel> | undefined
  readonly #plan!: NativePlan
  readonly #inputLength: number
  readonly #outputLength: number
  readonly #maxBatch: number
  #tuning: Tuning | undefined
  #tuned: string | undefined
  readonly #counts: { macs: number; parameters: number } = { macs: 0, parameters: 0 }
  readonly #verbose: boolean = isVerbose()
  #disposed = false
  /** The output handed back when the caller brings none: a view of the first images of #space. */
  #own: Float32Array = noData
  #space: Float32Array = noData
  /** The input as it was given. */
  #source: Input | undefined
  /** The arrays that the plan is bound to, views of them, and the views' lengths when they were bound. */
  #input: Values = noData
  #output: Float32Array = noData
  #inputView: Values = noData
  #outputView: Float32Array = noData
  #inputSize = 0
  #outputSize = 0

  constructor(of: Graph | FreeSizes, options: CompileOptions) {
    const { isa, threads, maxBatch, fuse, inputType = 'float32', scale, shift } = options
    const algorithm = algorithmOf(options)
    checkBytes(inputType, scale, shift)
    this.inputType = inputType
    this.#sizes = 'plans' in of ? of.plans : undefined
    const shapes = 'plans' in of ? of : graphShapes(of)
    this.inputShape = shapes.input
    this.outputShape = shapes.output
    this.#inputLength = elements(shapes.input)
    this.#outputLength = elements(shapes.output)
    this.#maxBatch =
      maxBatch === undefined ? Number.POSITIVE_INFINITY : size(maxBatch, 'compile: maxBatch', 1)
    if (threads !== undefined) size(threads, 'compile: threads', 0)
    if ('plans' in of) return
    const graph = of
    const ranges = rangesOf(graph, options)
    this.#counts = totals(graph)
    const nodes = graph.nodes.map((node) =>
      toNative(node, node.name, node.inputs, node.shape, ranges === undefined),
    )
    // not performance.now(): Node loads perf_hooks for it
    const begin = process.hrtime.bigint()
    const native = {
      isa,
      algorithm,
      threads,
      fuse,
      byteInput: inputType === 'uint8',
      scale: scale ?? 1 / 255,
      shift: shift ?? 0,
      int8: ranges !== undefined,
      ranges,
    }
    const made = planOf({ nodes, output: graph.output }, graph, native, options)
    this.#plan = made.plan
    this.#tuning = made.tuning
    this.#tuned = made.tuned
    if (this.#verbose) {
      const between = `${formatShape(shapes.input)} → ${formatShape(shapes.output)}`
      tellCompiled(this.#plan, between, Number(process.hrtime.bigint() - begin) / 1e6)
    }
    this.#space = zeros(
      [maxBatch ?? 1, ...shapes.output],
      'compile: output for maxBatch',
      Number.POSITIVE_INFINITY,
    )
    this.#own = this.#space.subarray(0, this.#outputLength)
  }

  /**
   * Runs a batch, synchronously: the thread waits. Calling again with the same arrays is fastest; then a
   * call is two comparisons and the work.
   *
   * @param input batch × values per image, or a Tensor of the input shape with or without a batch in front;
   *   with inputType 'uint8' a Uint8Array, Uint8ClampedArray or Buffer. Where sizes are free: a Tensor, which says them
   * @param output batch × values per output. Without it the model hands back an array of its own that the
   *   **next call overwrites**: copy it (`.slice()`) or bring your own to keep it.
   * @returns `output`, or the model's own array
   * @throws KerneletError `ERR_SHAPE` for lengths that do not fit, also of a detached buffer; `ERR_ARGUMENT`
   *   for other types, too large a batch, or an output that overlaps the input; `ERR_BUSY` when `output` waits
   *   for a `runAsync`; `ERR_DISPOSED`
   * @example
   * new LeNet5().compile({ inputShape: [1, 28, 28] }).run(new Float32Array(2 * 784)).length // → 20
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
    if (this.#sizes) return this.#sized(input).run(input, output)
    this.#bind(input, output)
    if (this.#verbose) this.#tell(this.#input, lengthOf(this.#input) / this.#inputLength)
    this.#plan.execute()
    return this.#output
  }

  /**
   * The model for images of one size, where sizes are free; otherwise this one. It is one of the last eight that are kept:
   * it ends with this model, or when eight other sizes have come after it.
   *
   * @param inputShape of one image: [3, 480, 640]
   * @throws KerneletError `ERR_SHAPE` for a shape that does not fit `inputShape` or the network; `ERR_DISPOSED`
   * @example
   * new Conv2d(3, 8, { kernelSize: 3 }).compile({ inputShape: [3, -1, -1] }).at([3, 48, 64]).outputShape // → [8, 46, 62]
   */
  at(inputShape: readonly number[]): CompiledModel {
    this.#checkAlive()
    const shape = checkShape(inputShape, 'at: inputShape')
    if (!fitsPattern(shape, this.inputShape)) {
      throw new KerneletError(
        'ERR_SHAPE',
        `at: expected ${formatPattern(this.inputShape)} but received ${formatShape(shape)}`,
      )
    }
    return this.#sizes ? this.#sizes.of(shape) : this
  }

  /** The model for the size of an input. */
  #sized(input: Input): CompiledModel {
    this.#checkAlive()
    const wanted = formatPattern(this.inputShape)
    if (!Tensor.is(input)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `Sizes are free (${wanted}): bring a Tensor, which says them, or name them: at([…]).run(…)`,
      )
    }
    const { shape } = input
    const image = shape.length === this.inputShape.length ? shape : shape.slice(1)
    if (fitsPattern(image, this.inputShape)) return (this.#sizes as Sizes<CompiledModel>).of(image)
    throw new KerneletError(
      'ERR_SHAPE',
      `Expected a tensor of shape ${wanted} or batch×${wanted} for input but received ${formatShape(shape)}`,
    )
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
    // (a call that tells what it does is never the short one)
    this.#source = this.#verbose ? undefined : input
  }

  /** The times of all steps, from a run of their own. */
  #tell(values: Values, batch: number): void {
    const output = new Float32Array(batch * this.#outputLength)
    tellRun(this.#plan.describe(), this.#plan.profile(values, output, batch, 1), batch)
  }

  /**
   * Runs a batch on another thread. The input is copied before this returns; it may be changed at once.
   *
   * @param input as for `run`
   * @param output batch × values per output, written just before the promise resolves; default: a new array
   * @returns `output`, or the new array
   * @throws (by rejection) KerneletError as `run`; `ERR_BUSY` when an earlier call into memory that overlaps
   *   `output` has not finished; `ERR_ABORTED` when the signal has fired
   * @example
   * const model = new LeNet5().compile({ inputShape: [1, 28, 28] })
   * const scores = await model.runAsync(new Float32Array(784))
   * scores.length // → 10
   */
  async runAsync(input: Input, output?: Float32Array, options: RunAsyncOptions = {}): Promise<Float32Array> {
    checkOptions('runAsync', options, ['signal'])
    if (this.#sizes) return this.#sized(input).runAsync(input, output, options)
    const values = this.#checkInput(input)
    const batch = lengthOf(values) / this.#inputLength
    const signal = signalOf(options.signal, 'runAsync: signal')
    if (signal?.aborted) {
      throw new KerneletError('ERR_ABORTED', 'runAsync: aborted before it started', {
        cause: signal.reason,
      })
    }
    if (this.#verbose) this.#tell(values, batch)
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
   * @example
   * new LeNet5().compile({ inputShape: [1, 28, 28] }).profile(new Float32Array(784), { iterations: 9 }).length > 0 // → true
   */
  profile(input: Input, options: { iterations?: number } = {}): StepProfile[] {
    checkOptions('profile', options, ['iterations'])
    if (this.#sizes) return this.#sized(input).profile(input, options)
    const iterations = size(options.iterations ?? 100, 'profile: iterations', 1)
    const values = this.#checkInput(input)
    const batch = lengthOf(values) / this.#inputLength
    const output = new Float32Array(batch * this.#outputLength)
    const times = this.#plan.profile(values, output, batch, iterations)
    return this.#plan.describe().map((step, i) => {
      const ns = times[i] ?? 0
      return { ...step, ns, gflops: ns > 0 ? (2 * step.macs * batch) / ns : 0 }
    })
  }

  /**
   * What the plan does, step by step, and what it takes; where sizes are free, the plan of the last one.
   * @example
   * new LeNet5().compile({ inputShape: [1, 28, 28] }).describe().macs // → 281640
   */
  describe(): ModelDescription {
    this.#checkAlive()
    if (this.#sizes) {
      const { last } = this.#sizes
      if (last) return last.describe()
      throw new KerneletError(
        'ERR_ARGUMENT',
        `describe: no size of ${formatPattern(this.inputShape)} is planned yet: at([…]).describe()`,
      )
    }
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
      tuning: this.#tuned,
      steps: this.#plan.describe(),
    })
  }

  /**
   * What tuning found, as plain JSON for `compile({ tuned })`; undefined where nothing was tuned. Where sizes are free:
   * for the last one.
   * @example
   * const tuned = new Linear(8, 4).compile({ inputShape: [8], tune: true }).tuning()
   * new Linear(8, 4).compile({ inputShape: [8], tuned }).outputShape // → [4]
   */
  tuning(): Tuning | undefined {
    this.#checkAlive()
    if (this.#sizes) return this.#sizes.last?.tuning()
    return structuredClone(this.#tuning)
  }

  /** Frees the native memory; every later call throws `ERR_DISPOSED`, except this one. */
  dispose(): void {
    this.#disposed = true
    this.#source = undefined
    this.#input = noData
    this.#output = noData
    this.#inputView = noData
    this.#outputView = noData
    this.#sizes?.dispose()
    this.#plan?.dispose()
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
        : Tensor.is(input)
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
        this.inputShape.length === 3 && looksLikeNhwc(image, this.inputShape[0] ?? 0)
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
disposable(CompiledModel)
