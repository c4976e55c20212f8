/** NamedModel: a plan of several named inputs or outputs. */

import type { Model } from '../graph/model.ts'
import { elements, formatShape, sameShape } from '../tensor/shape.ts'
import { received, Tensor } from '../tensor/tensor.ts'
import { objectOf } from '../util/check.ts'
import { disposable } from '../util/dispose.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { lengthOf } from '../util/typed-array.ts'
import { checkFloats } from './buffers.ts'
import { type CompiledModel, compile, type RunAsyncOptions, type StepProfile } from './compiled-model.ts'
import type { ModelDescription } from './description.ts'
import type { CompileOptions } from './options.ts'
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
  /** Shapes of one image. */
  readonly inputShapes: NamedShapes
  /** Shapes of one image. */
  readonly outputShapes: NamedShapes
  readonly #plan: CompiledModel
  readonly #inputs: readonly Part[]
  readonly #outputs: readonly Part[]
  readonly #inputLength: number
  readonly #outputLength: number
  #side: Float32Array = new Float32Array(0)

  /**
   * @param joined takes the values of all inputs side by side, [n, values], and gives those of all outputs likewise
   * @internal
   */
  constructor(joined: Model, inputs: NamedShapes, outputs: () => NamedShapes, options: NamedCompileOptions) {
    this.#inputs = partsOf(inputs)
    this.#inputLength = lengthOfAll(this.#inputs)
    this.#plan = compile(joined, { ...options, inputShape: [this.#inputLength] })
    this.#outputs = partsOf(outputs())
    this.#outputLength = lengthOfAll(this.#outputs)
    this.inputShapes = inputs
    this.outputShapes = outputs()
  }

  /**
   * Runs a batch, synchronously.
   *
   * @param inputs by name, each batch × values per image, or a Tensor of its shape with or without a batch in front
   * @returns by name, each batch × values per image; the **next call overwrites** them
   * @throws KerneletError `ERR_ARGUMENT` for names or types that do not fit; `ERR_SHAPE` for lengths; `ERR_DISPOSED`
   */
  run(inputs: Readonly<Record<string, Float32Array | Tensor>>): Record<string, Float32Array> {
    const batch = this.#join(inputs)
    return this.#apart(this.#plan.run(this.#side), batch)
  }

  /**
   * Runs a batch on another thread. The inputs are copied before this returns.
   *
   * @returns new arrays
   * @throws (by rejection) KerneletError as `run`; `ERR_ABORTED` when the signal has fired
   */
  async runAsync(
    inputs: Readonly<Record<string, Float32Array | Tensor>>,
    options: RunAsyncOptions = {},
  ): Promise<Record<string, Float32Array>> {
    const batch = this.#join(inputs)
    return this.#apart(await this.#plan.runAsync(this.#side, undefined, options), batch)
  }

  /** Measures every step on its own, as `CompiledModel.profile` does. */
  profile(
    inputs: Readonly<Record<string, Float32Array | Tensor>>,
    options: { iterations?: number } = {},
  ): StepProfile[] {
    this.#join(inputs)
    return this.#plan.profile(this.#side, options)
  }

  /** What the plan does, step by step, and what it takes. */
  describe(): ModelDescription {
    return this.#plan.describe()
  }

  /** What tuning found, as `CompiledModel.tuning` gives it. */
  tuning(): Tuning | undefined {
    return this.#plan.tuning()
  }

  /** Frees the native memory; every later call throws `ERR_DISPOSED`, except this one. */
  dispose(): void {
    this.#plan.dispose()
  }

  /** Copies all inputs side by side, image after image; returns how many images. */
  #join(inputs: Readonly<Record<string, Float32Array | Tensor>>): number {
    objectOf(inputs, 'run: inputs')
    for (const name of Object.keys(inputs)) {
      if (Object.hasOwn(this.inputShapes, name)) continue
      throw new KerneletError(
        'ERR_ARGUMENT',
        `run: there is no input ${show(name)}; there are ${Object.keys(this.inputShapes).join(', ')}`,
      )
    }
    const values = this.#inputs.map((part) => {
      if (Object.hasOwn(inputs, part.name)) return valuesOf(inputs[part.name], part)
      throw new KerneletError('ERR_ARGUMENT', `run: the input ${show(part.name)} is missing`)
    })
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
