/** ONNX models as modules. */

import { dirname } from 'node:path'
import { type CompiledModel, compile } from '../../compile/compiled-model.ts'
import { namedModel } from '../../compile/make-named.ts'
import type { NamedCompileOptions, NamedModel, NamedShapes } from '../../compile/named-model.ts'
import type { CompileOptions } from '../../compile/options.ts'
import type { Summary } from '../../graph/summary.ts'
import { Module } from '../../nn/module.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { checkOptions, objectOf } from '../../util/check.ts'
import { KerneletError } from '../../util/errors.ts'
import { bytesOf, checkFilePath, type FileSource, pathOf } from '../../util/source.ts'
import { readSource } from '../source.ts'
import type { Evaluator } from './evaluator.ts'
import type { OnnxValueInfo } from './info.ts'
import type { OnnxInput, OnnxResult } from './onnx-array.ts'
import type { ModelProto } from './proto.ts'
import { decodeFile, decodeModel, evaluatorOf, patternOf } from './reader.ts'

/** Options of `OnnxModel.compileNamed`. */
export interface NamedOnnxOptions extends NamedCompileOptions {
  /** Shapes of one image, by the name of an input. */
  inputShapes?: NamedShapes | undefined
}

/** Options of `loadOnnx`. */
export interface LoadOnnxOptions {
  /** The output that is the result of forward(), by name; needed where the model has several. */
  output?: string | undefined
  /** Where the files of weights lie that a model in bytes refers to; default: beside the model, when it is a file. */
  dataFolder?: string | undefined
}

/**
 * Reads an ONNX model: a CNN of opset 7 to 28, exported by PyTorch or others. float16, bfloat16 and double weights
 * of layers become float32, in which layers compute; a double beyond float32 is refused.
 *
 * What a model makes one compute is bounded, since a few bytes of a file can ask for any size. Loading and tracing
 * (`compile`, `summary`): 128 MB of values and 2²⁵ steps (less than a second), and 16 bytes and 8 steps more for each
 * byte of weights that it brings. One run: 1 GB of values and 2³¹ steps, and 256 bytes and 2¹⁴ steps more for each
 * byte of weights and inputs.
 *
 * Large float32 weights stay in the file until a plan packs them or somebody asks for their `data`; the file is open as
 * long (not on Windows). It may be replaced or deleted, but when it is written to, those calls throw `ERR_IO`.
 *
 * @param source the path of a file, or its bytes
 * @throws KerneletError `ERR_FORMAT` when the file is damaged, or of another kind, which the error names;
 *   `ERR_UNSUPPORTED` for operators and attributes that there are none of here, all of them, by node, operator and
 *   opset, and for a node that goes beyond those bounds; `ERR_IO` when the file, or one it refers to, cannot be read
 * @example
 * saveOnnx(new LeNet5(), 'lenet.onnx', { inputShape: [1, 28, 28] })
 * const model = loadOnnx('lenet.onnx').compile()
 * model.run(new Float32Array(784)).length // → 10
 */
export function loadOnnx(source: FileSource, options: LoadOnnxOptions = {}): OnnxModel {
  checkOptions('loadOnnx', options, ['output', 'dataFolder'])
  const file = bytesOf(source) ? undefined : pathOf(source)
  const folder = options.dataFolder
  const path = folder === undefined ? file && dirname(file) : checkFilePath(folder, 'loadOnnx: dataFolder')
  const [model, name] = file === undefined ? ofBytes(source) : [decodeFile(file), file]
  return new OnnxModel(model, name, { path }, options.output)
}

function ofBytes(source: FileSource): [ModelProto, string] {
  const { bytes, name } = readSource('loadOnnx', source, 'ONNX')
  return [decodeModel(bytes, name), name]
}

/**
 * A model read from ONNX: `compile`, `summary`, `stateDict` and, where its operations have gradients, training are
 * those of any Module. What a node makes of type float16 or bfloat16 is rounded here; a compiled model
 * computes such values as float32.
 * A result whose batch is not its first dimension, [steps, n, classes], comes out of a compiled model image after image.
 * Dropout drops nothing and batch norms keep their statistics, also in training. Made by `loadOnnx`; not to be
 * constructed.
 *
 * A parameter is what a layer reads, in PyTorch's layout: the matrix of a Gemm or MatMul is [out, in], with Gemm's
 * `alpha` and `beta` in it, its bias [out]. Where nodes make it of weights (Transpose, Reshape, Mul by a scale …) that
 * is done once, when the model is loaded. It goes by the name of the weight it is made of, an initializer or the output
 * of a Constant node; by the name of what the layer reads, where it is made of several, or several are made of one.
 * Parameters are
 *
 * - weights, biases, scales and slopes of Conv, Gemm, MatMul, BatchNormalization and PRelu;
 * - initializers that Add, Sub, Mul, Div, Sum or Concat put beside what comes from the image, if they have a dimension:
 *   a scalar, as in x + 3, is part of the network. In a model whose weights all are in Constant nodes, these count too.
 *
 * Layers that read the same numbers in the same form share a parameter. Where they read them in different forms (one
 * turned, one scaled) each has its own, and as training would part them a Trainer refuses them by name, unless they are
 * frozen. Buffers are the means and variances of BatchNormalization.
 * @example
 * const net = loadOnnx(saveOnnx(new LeNet5(), { inputShape: [1, 28, 28] }))
 * net instanceof OnnxModel // → true
 * net.opset // → 17
 * net.outputs[0].dtype // → 'float32'
 */
export class OnnxModel extends Module {
  readonly #evaluator: Evaluator

  /** @internal its types are pbf’s, which is no dependency of the package */
  constructor(model: ModelProto, file: string, folder: { path: string | undefined }, output?: string) {
    super()
    this.#evaluator = evaluatorOf(model, file, folder, output)
    for (const [name, value] of this.#evaluator.model.state) {
      let property = name
      while (property in this) property += '_'
      Object.defineProperty(this, property, { value, enumerable: true })
    }
  }

  /** Version of the operator set the model was written for. */
  get opset(): number {
    return this.#evaluator.model.opset
  }

  /** What the file says of itself (`metadata_props`), by key. */
  get metadata(): ReadonlyMap<string, string> {
    return this.#evaluator.metadata
  }

  /** What the model must be given. */
  get inputs(): readonly OnnxValueInfo[] {
    return this.#evaluator.model.inputs
  }

  get outputs(): readonly OnnxValueInfo[] {
    return this.#evaluator.model.outputs
  }

  /** Shape of one image, where the model fixes it. */
  get inputShape(): readonly number[] | undefined {
    const image = this.inputs[0]?.shape?.slice(1)
    return image?.length && image.every((size) => typeof size === 'number') ? (image as number[]) : undefined
  }

  /**
   * The result for a batch, as float32 whatever its type in the model.
   *
   * @param inputs one tensor for each of `inputs`, in order: [n, channels, height, width] for an image
   * @throws KerneletError `ERR_SHAPE` when a shape is not what the model declares; `ERR_UNSUPPORTED`, when the model
   *   is compiled, for a node that needs values
   */
  forward(...inputs: Tensor[]): Tensor {
    return this.#evaluator.forward(inputs)
  }

  /**
   * Every output for the inputs, by name, operator by operator: for models with several inputs or outputs, and for
   * what cannot be compiled. Integers and doubles are computed in their own type but where a layer takes doubles.
   *
   * @param inputs by name: Tensors, or `{ data, shape }` with any numbers, which must be of the input's type
   * @returns a Tensor for an output of float32 or narrower floats, else an OnnxArray: see `outputs[i].dtype`. The type
   *   parameter says which to TypeScript: `run<OnnxArray>(…)`, `run<OnnxResult>(…)`; `OnnxResult[]` for a sequence
   * @throws KerneletError `ERR_ARGUMENT` for names or numbers that do not fit; otherwise as `forward`
   * @example
   * const net = loadOnnx(saveOnnx(new LeNet5(), { inputShape: [1, 28, 28] }))
   * net.run({ input: new Tensor(new Float32Array(784), [1, 1, 28, 28]) }).output.shape // → [1, 10]
   */
  run<Result extends OnnxResult | OnnxResult[] = Tensor>(
    inputs: Readonly<Record<string, OnnxInput>>,
  ): Record<string, Result> {
    return this.#evaluator.run(inputs) as Record<string, Result>
  }

  /**
   * `compile`; without `inputShape` the sizes that the model leaves open, such as height and width, are free: `run` takes
   * Tensors of any.
   *
   * A model that fixes a batch of several and does more than compute image by image, as a sum over all of them, compiles
   * for whole batches: then `inputShape` and `outputShape` begin with the batch.
   */
  override compile(options: CompileOptions = {}): CompiledModel {
    objectOf(options, 'compile: options')
    const pattern = patternOf(this.inputs[0])
    const inputShape = options.inputShape ?? (pattern?.length ? pattern : undefined)
    const whole = this.#evaluator.wholeShape(inputShape)
    if (!whole) return super.compile({ ...options, inputShape })
    return orWhole(
      () => super.compile({ ...options, inputShape }),
      () => compile(new WholeBatch(this.#evaluator), { ...options, inputShape: whole }),
    )
  }

  /**
   * A native plan of all inputs and outputs, by name: for models that have several. Inputs and results are float32, a
   * batch first. Whole batches, where they must be, as with `compile`.
   *
   * @param given options: those of `compile`; `inputShapes`: shapes of one image. Without them the sizes that the model leaves open
   *   are free: `run` takes Tensors of any
   * @throws KerneletError `ERR_SHAPE` when a shape is needed and not given, or not what the model declares;
   *   `ERR_UNSUPPORTED` for an input that is no float, a result that is the same for every image, and as `compile`
   * @example
   * const net = loadOnnx(saveOnnx(new LeNet5(), { inputShape: [1, 28, 28] }))
   * const model = net.compileNamed()
   * model.run({ input: new Float32Array(784) }).output.length // → 10
   */
  compileNamed(given: NamedOnnxOptions = {}): NamedModel {
    checkOptions('compileNamed', given, [
      'inputShapes',
      'isa',
      'algorithm',
      'threads',
      'maxBatch',
      'fuse',
      'numerics',
      'tune',
      'tuned',
    ])
    const { inputShapes, ...options } = given
    const make = ({ shapes, joined }: ReturnType<Evaluator['named']>) => namedModel(joined, shapes, options)
    const whole = this.#evaluator.wholeNamed(inputShapes)
    const usual = () => make(this.#evaluator.named(inputShapes))
    return whole ? orWhole(usual, () => make(whole)) : usual()
  }

  /** `summary`; `inputShape` is only needed where the model does not fix it. */
  override summary(inputShape: readonly number[] | undefined = this.inputShape): Summary {
    return super.summary(inputShape as readonly number[])
  }
}

/** A model of a fixed batch, to which that batch is one image. */
class WholeBatch extends Module {
  readonly #evaluator: Evaluator

  constructor(evaluator: Evaluator) {
    super()
    this.#evaluator = evaluator
  }

  forward(batch: Tensor): Tensor {
    return this.#evaluator.forward([batch], true)
  }
}

/** What is made image by image; where that is refused, of a whole batch, if it can be. */
function orWhole<T>(usual: () => T, whole: () => T): T {
  try {
    return usual()
  } catch (error) {
    const isRefused =
      error instanceof KerneletError && (error.code === 'ERR_UNSUPPORTED' || error.code === 'ERR_SHAPE')
    if (!isRefused) throw error
    try {
      return whole()
    } catch (other) {
      throw other instanceof KerneletError ? error : other
    }
  }
}
