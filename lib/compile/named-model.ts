/** NamedModel: a plan of several named inputs or outputs. */

import { type Graph, trace } from '../graph/graph.ts'
import type { Model } from '../graph/model.ts'
import { elements, formatShape, sameShape } from '../tensor/shape.ts'
import { received, Tensor } from '../tensor/tensor.ts'
import { objectOf } from '../util/check.ts'
import { disposable } from '../util/dispose.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { lengthOf } from '../util/typed-array.ts'
import { checkFloats } from './buffers.ts'
import { CompiledModel, type RunAsyncOptions, type StepProfile } from './compiled-model.ts'
import type { ModelDescription } from './description.ts'
import type { CompileOptions } from './options.ts'
import { fitsPattern, formatPattern, isFree, outputPatterns, Sizes, sameWeights, sized } from './sizes.ts'
import type { Tuning } from './tuning.ts'

/** Shapes of one image, by the name of an input or output. */
export type NamedShapes = Readonly<Record<string, readonly number[]>>

/** Options of a plan of several inputs or outputs: those of `compile` that are not about a single one. */
export type NamedCompileOptions = Omit<
  CompileOptions,
  'inputShape' | 'inputType' | 'scale' | 'shift' | 'precision' | 'calibration'
>

/** Where the values of one name lie in those of an image. */
interface Part {
  readonly name: string
  readonly shape: readonly number[]
  readonly offset: number
  readonly length: number
}

/**
 * A model of several named inputs or outputs, ready to run. Made by `OnnxModel.compileNamed`; not to be constructed.
 *
 * It is one plan over the values of all inputs side by side, which gives those of all outputs side by side: the inputs of
 * a run are copied, outputs of one image are not. `dispose()` frees its memory, as the end of a `using` block does.
 */
export class NamedModel {
  /** `dispose`, at the end of a `using` block. */
  declare readonly [Symbol.dispose]: () => void
  /** Shapes of one image; −1 where a size is free. */
  readonly inputShapes: NamedShapes
  /** Shapes of one image; −1 where they follow from a free size. {} where nothing is known of them. */
  readonly outputShapes: NamedShapes
  /** The models for each size, where sizes are free: then there is no plan here. */
  readonly #sizes: Sizes<NamedModel> | undefined
  readonly #plan: CompiledModel | undefined
  readonly #inputs: readonly Part[]
  readonly #outputs: readonly Part[]
  readonly #inputLength: number
  readonly #outputLength: number
  #side: Float32Array = new Float32Array(0)

  /**
   * @param join makes a model that takes the values of all inputs side by side, [n, values], and gives those of all
   *   outputs likewise; it knows their shapes once it is traced
   * @param checked is shown the graph that is planned
   * @internal
   */
  constructor(
    join: (inputs: NamedShapes) => Model & { readonly outputShapes: NamedShapes },
    inputs: NamedShapes,
    options: NamedCompileOptions,
    checked: (graph: Graph) => Graph = (graph) => graph,
  ) {
    this.inputShapes = inputs
    if (Object.values(inputs).some(isFree)) {
      this.#inputs = []
      this.#outputs = []
      this.#inputLength = 0
      this.#outputLength = 0
      this.outputShapes = outputsOf(join, inputs)
      const same = sameWeights()
      this.#sizes = new Sizes((all) => {
        let from = 0
        const shapes = Object.entries(inputs).map(([name, { length }]): [string, readonly number[]] => {
          from += length
          return [name, all.slice(from - length, from)]
        })
        return new NamedModel(join, Object.fromEntries(shapes), options, same)
      })
      return
    }
    const joined = join(inputs)
    this.#inputs = partsOf(inputs)
    this.#inputLength = lengthOfAll(this.#inputs)
    this.#plan = new CompiledModel(checked(trace(joined, [this.#inputLength])), options)
    this.outputShapes = joined.outputShapes
    this.#outputs = partsOf(this.outputShapes)
    this.#outputLength = lengthOfAll(this.#outputs)
  }

  /**
   * Runs a batch, synchronously.
   *
   * @param inputs by name, each batch × values per image, or a Tensor of its shape with or without a batch in front; where
   *   sizes are free: Tensors, which say them
   * @returns by name, each batch × values per image; the **next call overwrites** them
   * @throws KerneletError `ERR_ARGUMENT` for names or types that do not fit; `ERR_SHAPE` for lengths; `ERR_DISPOSED`
   * @example
   * const model = loadOnnx(saveOnnx(new LeNet5(), { inputShape: [1, 28, 28] })).compileNamed()
   * model.run({ input: new Float32Array(784) }).output.length // → 10
   */
  run(inputs: Readonly<Record<string, Float32Array | Tensor>>): Record<string, Float32Array> {
    const batch = this.#join(inputs)
    if (this.#sizes) return this.#sized(this.#sizes, inputs).run(inputs)
    return this.#apart((this.#plan as CompiledModel).run(this.#side), batch)
  }

  /**
   * Runs a batch on another thread. The inputs are copied before this returns.
   *
   * @returns new arrays
   * @throws (by rejection) KerneletError as `run`; `ERR_ABORTED` when the signal has fired
   * @example
   * const model = loadOnnx(saveOnnx(new LeNet5(), { inputShape: [1, 28, 28] })).compileNamed()
   * const { output } = await model.runAsync({ input: new Float32Array(784) })
   * output.length // → 10
   */
  async runAsync(
    inputs: Readonly<Record<string, Float32Array | Tensor>>,
    options: RunAsyncOptions = {},
  ): Promise<Record<string, Float32Array>> {
    const batch = this.#join(inputs)
    if (this.#sizes) return this.#sized(this.#sizes, inputs).runAsync(inputs, options)
    return this.#apart(await (this.#plan as CompiledModel).runAsync(this.#side, undefined, options), batch)
  }

  /**
   * Measures every step on its own, as `CompiledModel.profile` does.
   * @example
   * const model = loadOnnx(saveOnnx(new LeNet5(), { inputShape: [1, 28, 28] })).compileNamed()
   * model.profile({ input: new Float32Array(784) }, { iterations: 9 }).every(({ ns }) => ns >= 0) // → true
   */
  profile(
    inputs: Readonly<Record<string, Float32Array | Tensor>>,
    options: { iterations?: number } = {},
  ): StepProfile[] {
    this.#join(inputs)
    if (this.#sizes) return this.#sized(this.#sizes, inputs).profile(inputs, options)
    return (this.#plan as CompiledModel).profile(this.#side, options)
  }

  /**
   * What the plan does, step by step, and what it takes; where sizes are free, the plan of the last one.
   * @example
   * const model = loadOnnx(saveOnnx(new LeNet5(), { inputShape: [1, 28, 28] })).compileNamed()
   * model.describe().macs // → 281640
   */
  describe(): ModelDescription {
    const model = this.#sizes ? this.#sizes.last : this
    if (model) return (model.#plan as CompiledModel).describe()
    throw new KerneletError('ERR_ARGUMENT', 'describe: no size is planned yet: run it first')
  }

  /**
   * What tuning found, as `CompiledModel.tuning` gives it; where sizes are free, for the last one.
   * @example
   * const model = loadOnnx(saveOnnx(new LeNet5(), { inputShape: [1, 28, 28] })).compileNamed()
   * model.tuning() // → undefined
   */
  tuning(): Tuning | undefined {
    return this.#sizes ? this.#sizes.last?.tuning() : this.#plan?.tuning()
  }

  /** Frees the native memory; every later call throws `ERR_DISPOSED`, except this one. */
  dispose(): void {
    this.#sizes?.dispose()
    this.#plan?.dispose()
  }

  /** The model for the sizes of inputs. */
  #sized(sizes: Sizes<NamedModel>, inputs: Readonly<Record<string, Float32Array | Tensor>>): NamedModel {
    const all = Object.entries(this.inputShapes).flatMap(([name, pattern]) => {
      const value = inputs[name]
      if (!isFree(pattern)) return pattern
      if (!Tensor.is(value)) {
        throw new KerneletError(
          'ERR_ARGUMENT',
          `run: sizes of ${name} are free (${formatPattern(pattern)}): bring a Tensor, which says them`,
        )
      }
      const { shape } = value
      const image = shape.length === pattern.length ? shape : shape.slice(1)
      if (fitsPattern(image, pattern)) return image
      const wanted = formatPattern(pattern)
      throw new KerneletError(
        'ERR_SHAPE',
        `Expected a tensor of shape ${wanted} or batch×${wanted} for ${name} but received ${formatShape(shape)}`,
      )
    })
    return sizes.of(all)
  }

  /** Checks the names of inputs, and copies them side by side, image after image; returns how many images. */
  #join(inputs: Readonly<Record<string, Float32Array | Tensor>>): number {
    objectOf(inputs, 'run: inputs')
    for (const name of Object.keys(inputs)) {
      if (Object.hasOwn(this.inputShapes, name)) continue
      throw new KerneletError(
        'ERR_ARGUMENT',
        `run: there is no input ${show(name)}; there are ${Object.keys(this.inputShapes).join(', ')}`,
      )
    }
    for (const name of Object.keys(this.inputShapes)) {
      if (Object.hasOwn(inputs, name)) continue
      throw new KerneletError('ERR_ARGUMENT', `run: the input ${show(name)} is missing`)
    }
    if (this.#sizes) return 0
    const values = this.#inputs.map((part) => valuesOf(inputs[part.name], part))
    const batches = values.map((array, i) => lengthOf(array) / (this.#inputs[i] as Part).length)
    const batch = batches[0] as number
    const other = batches.findIndex((one) => one !== batch)
    if (other > 0) {
      throw new KerneletError(
        'ERR_SHAPE',
        `run: ${this.#inputs[0]?.name} has ${batch} images but ${this.#inputs[other]?.name} has ${batches[other]}`,
      )
    }
    if (this.#side.length !== batch * this.#inputLength) {
      this.#side = new Float32Array(batch * this.#inputLength)
    }
    for (const [i, { offset, length }] of this.#inputs.entries()) {
      const array = values[i] as Float32Array
      for (let image = 0; image < batch; image++) {
        const from = image * length
        this.#side.set(array.subarray(from, from + length), image * this.#inputLength + offset)
      }
    }
    return batch
  }

  #apart(all: Float32Array, batch: number): Record<string, Float32Array> {
    return Object.fromEntries(
      this.#outputs.map(({ name, offset, length }) => {
        if (batch === 1) return [name, all.subarray(offset, offset + length)]
        const values = new Float32Array(batch * length)
        for (let image = 0; image < batch; image++) {
          const from = image * this.#outputLength + offset
          values.set(all.subarray(from, from + length), image * length)
        }
        return [name, values]
      }),
    )
  }
}
disposable(NamedModel)

/** Shapes of the outputs, as far as they do not follow from free sizes. */
function outputsOf(
  join: (inputs: NamedShapes) => Model & { readonly outputShapes: NamedShapes },
  inputs: NamedShapes,
): NamedShapes {
  let names: string[] = []
  const shapes = outputPatterns((size) => {
    const known = Object.entries(inputs).map(([name, pattern]) => [name, sized(pattern, size)] as const)
    const joined = join(Object.fromEntries(known))
    trace(joined, [known.reduce((sum, [, shape]) => sum + elements(shape), 0)])
    names = Object.keys(joined.outputShapes)
    return Object.values(joined.outputShapes)
  })
  return Object.fromEntries((shapes ?? []).map((shape, i) => [names[i] as string, shape]))
}

function partsOf(shapes: NamedShapes): Part[] {
  let offset = 0
  return Object.entries(shapes).map(([name, shape]) => {
    const length = elements(shape)
    offset += length
    return { name, shape, offset: offset - length, length }
  })
}

function lengthOfAll(parts: readonly Part[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0)
}

/** The values of a whole number of images. */
function valuesOf(value: unknown, { name, shape, length }: Part): Float32Array {
  if (Tensor.is(value)) {
    const image = value.shape.length === shape.length ? value.shape : value.shape.slice(1)
    if (!sameShape(image, shape)) {
      throw new KerneletError(
        'ERR_SHAPE',
        `Expected a tensor of shape ${formatShape(shape)} or batch×${formatShape(shape)} for ${name} but ` +
          `received ${formatShape(value.shape)}`,
      )
    }
    return value.data
  }
  const values = checkFloats(value, name)
  if (lengthOf(values) > 0 && lengthOf(values) % length === 0) return values
  throw new KerneletError(
    'ERR_SHAPE',
    `Expected ${length} values per image (${formatShape(shape)}) for ${name} but received ${received(values)}`,
  )
}
