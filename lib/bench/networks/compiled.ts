/** An ONNX model as it is measured: compiled, one input in, the first of its outputs out. */
import type { StepProfile } from '../../compile/compiled-model.ts'
import type { ModelDescription } from '../../compile/description.ts'
import type { CompileOptions } from '../../compile/options.ts'
import type { OnnxModel } from '../../formats/onnx/load.ts'
import { KerneletError } from '../../util/errors.ts'

/**
 * Shape of one image.
 *
 * @param given where the file leaves it open
 * @throws KerneletError `ERR_UNSUPPORTED` for a model of several inputs, `ERR_SHAPE` where the shape is unknown
 */
export function imageShapeOf(model: OnnxModel, given?: readonly number[]): readonly number[] {
  if (model.inputs.length !== 1) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `the model has ${model.inputs.length} inputs (${model.inputs.map(({ name }) => name).join(', ')}); one is expected`,
    )
  }
  const shape = given ?? model.inputShape
  if (shape) return shape
  throw new KerneletError(
    'ERR_SHAPE',
    'the file leaves the shape of an image open; say --input 3x224x224 or the like',
  )
}

export interface Compiled {
  run(input: Float32Array): Float32Array
  profile(input: Float32Array, iterations: number): StepProfile[]
  describe(): ModelDescription
  dispose(): void
}

/** Of several outputs all are computed, and the first is given. */
export function compiled(model: OnnxModel, options: CompileOptions): Compiled {
  const [input] = model.inputs
  const [output] = model.outputs
  if (model.outputs.length === 1 || !input || !output) {
    const net = model.compile(options)
    return {
      run: (x) => net.run(x),
      profile: (x, iterations) => net.profile(x, { iterations }),
      describe: () => net.describe(),
      dispose: () => net.dispose(),
    }
  }
  const { inputShape, isa, threads, numerics, tune } = options
  const shapes = inputShape && { [input.name]: inputShape }
  const net = model.compileNamed({ isa, threads, numerics, tune, ...(shapes && { inputShapes: shapes }) })
  return {
    run: (x) => net.run({ [input.name]: x })[output.name]!,
    profile: (x, iterations) => net.profile({ [input.name]: x }, { iterations }),
    describe: () => net.describe(),
    dispose: () => net.dispose(),
  }
}

/** What an adapter prepares: a plan for all batches, an array of its own for each. */
export function runnerOf(
  model: OnnxModel,
  options: CompileOptions,
): (input: Float32Array) => () => Float32Array {
  const net = compiled(model, options)
  return (input) => () => net.run(input)
}
