/** Options of compile, and what follows from them. */
import { graphGiven } from '../graph/given.ts'
import { type Graph, graphShapes, trace } from '../graph/graph.ts'
import type { Model } from '../graph/model.ts'
import { checkShape, formatShape, sameShape, size } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { calibrate } from './calibrate.ts'
import type { TuneOptions, Tuning } from './tuning.ts'

/** What a model runs on: floats or a Tensor; bytes where it was compiled with inputType 'uint8'. */
export type Input = Float32Array | Tensor | Uint8Array | Uint8ClampedArray

/** Options of `compile`. */
export interface CompileOptions {
  /**
   * Shape of one image, without the batch: `[1, 28, 28]`. Needed for a Module, known to a Graph. −1 leaves a size free:
   * `[3, -1, -1]`.
   */
  inputShape?: readonly number[] | undefined
  /** Instruction set, by name: one of `isa().supported`. Default: KERNELET_ISA, else the best there is. */
  isa?: string | undefined
  /**
   * Algorithm of the convolutions, by name; default 'auto': chosen per layer. im2col, direct (the better of
   * direct-pixels and direct-channels), blocked (values between layers in blocks of channels) or winograd where it
   * fits, im2col elsewhere; lanes: images side by side.
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
  /**
   * Threads of `run`, which share a batch, or one image where the first calls show that it is sooner ready so; 0: by
   * the amount of work. Default: `setThreads`, KERNELET_THREADS, else 0.
   */
  threads?: number | undefined
  /** Largest batch; a larger one is refused, and the output for one of this size is allocated at once. */
  maxBatch?: number | undefined
  /** false runs every operation on its own; default true. */
  fuse?: boolean | undefined
  /**
   * true: times the best few ways to compute each step on this machine, and keeps the fastest. It takes a second or two,
   * synchronously, and should find the machine idle. The results are the same to the bit; by numerics 'fastest', where
   * Winograd is among those ways, they depend on what is chosen. `tuning()` gives what was found. Of float32, with
   * `algorithm` 'auto'.
   */
  tune?: boolean | TuneOptions | undefined
  /** What `tuning()` gave: used without timing anything. Where it is of another graph or machine, see `Tuning.strict`. */
  tuned?: Tuning | undefined
}

/** The graph of a model, for images of that shape. */
export function graphOf(model: Model | Graph, inputShape: readonly number[] | undefined): Graph {
  if (typeof model !== 'object' || model === null) {
    throw new KerneletError('ERR_ARGUMENT', `compile: expected a Module or Graph but received ${show(model)}`)
  }
  const graph = graphGiven(model)
  if (!graph) {
    if (inputShape !== undefined) return trace(model as Model, inputShape)
    throw new KerneletError(
      'ERR_ARGUMENT',
      'compile: inputShape, the shape of one image such as [1, 28, 28], is needed',
    )
  }
  const known = graphShapes(graph).input
  if (inputShape !== undefined && !sameShape(known, checkShape(inputShape, 'inputShape'))) {
    throw new KerneletError(
      'ERR_SHAPE',
      `compile: inputShape is ${formatShape(inputShape)} but the graph was traced with ${formatShape(known)}`,
    )
  }
  return graph
}

/** The algorithm that is asked for, in native terms. */
export function algorithmOf({ algorithm, numerics }: CompileOptions): string | undefined {
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

/** The batch to tune for; undefined where nothing is to be tuned. */
export function tuneBatchOf({ tune, tuned, algorithm, precision }: CompileOptions): number | undefined {
  const wanted = tune !== undefined && tune !== false
  if (!wanted && tuned === undefined) return undefined
  const refused = (reason: string): KerneletError =>
    new KerneletError('ERR_ARGUMENT', `compile: ${wanted ? 'tune' : 'tuned'} ${reason}`)
  if (wanted && tuned !== undefined) throw refused('and tuned exclude each other')
  if (precision === 'int8') throw refused("goes with precision 'float32'")
  if (algorithm !== undefined && algorithm !== 'auto') {
    throw refused(`chooses the algorithms; algorithm ${show(algorithm)} cannot be asked for too`)
  }
  if (!wanted) return undefined
  if (tune === true) return 1
  checkOptions('compile: tune', tune, ['batch'])
  return size(tune.batch ?? 1, 'compile: tune: batch', 1)
}

/** The ranges of all values, for int8. */
export function rangesOf(graph: Graph, options: CompileOptions): Float32Array | undefined {
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

/** Checks what goes with bytes only. */
export function checkBytes(inputType: string, scale: number | undefined, shift: number | undefined): void {
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
