/** ONNX models as modules. */

import { dirname } from 'node:path'
import type { CompiledModel } from '../../compile/compiled-model.ts'
import { type NamedCompileOptions, NamedModel, type NamedShapes } from '../../compile/named-model.ts'
import type { CompileOptions } from '../../compile/options.ts'
import { free, isFree } from '../../compile/sizes.ts'
import { SymbolicTensor, type Tracer } from '../../graph/graph.ts'
import type { Summary } from '../../graph/summary.ts'
import { Module } from '../../nn/module.ts'
import { checkShape, elements, formatShape } from '../../tensor/shape.ts'
import { Tensor } from '../../tensor/tensor.ts'
import { checkOptions, objectOf } from '../../util/check.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { checkFilePath, type FileSource } from '../../util/source.ts'
import { readSource } from '../source.ts'
import { Budget, within } from './budget.ts'
import { list, type OnnxValueInfo } from './info.ts'
import { bytesOf, inputValue, resultOf } from './io.ts'
import { Joined } from './joined.ts'
import { onnx } from './later.ts'
import type { OnnxInput, OnnxResult } from './onnx-array.ts'
import type { Prepared } from './prepare.ts'
import type { PreparedNode } from './prepared-node.ts'
import type { ModelProto } from './proto.ts'
import { Turned } from './turned.ts'
import { isSymbolic, type Known, type Run, tensorOf, type Value } from './value.ts'

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
 * @param source the path of a file, or its bytes
 * @throws KerneletError `ERR_FORMAT` when the file is damaged, or of another kind, which the error names;
 *   `ERR_UNSUPPORTED` for operators and attributes that there are none of here, all of them, by node, operator and
 *   opset, and for a node that goes beyond those bounds; `ERR_IO` when the file, or one it refers to, cannot be read
 */
export function loadOnnx(source: FileSource, options: LoadOnnxOptions = {}): OnnxModel {
  checkOptions('loadOnnx', options, ['output', 'dataFolder'])
  const { bytes, name, path: file } = readSource('loadOnnx', source, 'ONNX')
  const folder = options.dataFolder
  const path = folder === undefined ? file && dirname(file) : checkFilePath(folder, 'loadOnnx: dataFolder')
  return new OnnxModel(onnx().decodeModel(bytes, name), name, { path }, options.output)
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
 */
export class OnnxModel extends Module {
  readonly #model: Prepared
  readonly #result: string | undefined
  /** The nodes that the result of forward() takes. */
  readonly #forward: readonly PreparedNode[]
  /** The batch the model was exported with, where it is a number. */
  readonly #declaredBatch: number | undefined
  /** Bytes of the model's weights. */
  readonly #given: number
  readonly #metadata: ReadonlyMap<string, string>

  /** @internal its types are pbf's, which is no dependency of the package */
  constructor(model: ModelProto, file: string, folder: { path: string | undefined }, output?: string) {
    super()
    const budget = new Budget('load')
    this.#model = within(budget, () => onnx().prepare(model, file, folder))
    this.#given = budget.given
    this.#metadata = new Map(model.metadata_props.map(({ key, value }) => [key, value]))
    const { nodes, outputs } = this.#model
    const result = chosen(outputs, output, file)
    this.#result = result
    this.#forward =
      result === undefined || outputs.length === 1
        ? nodes
        : within(budget, () => onnx().nodesFor(this.#model, result, folder))
    const batch = this.#model.inputs[0]?.shape?.[0]
    this.#declaredBatch = typeof batch === 'number' ? batch : undefined
    for (const [name, value] of this.#model.state) {
      let property = name
      while (property in this) property += '_'
      Object.defineProperty(this, property, { value, enumerable: true })
    }
  }

  /** Version of the operator set the model was written for. */
  get opset(): number {
    return this.#model.opset
  }

  /** What the file says of itself (`metadata_props`), by key. */
  get metadata(): ReadonlyMap<string, string> {
    return this.#metadata
  }

  /** What the model must be given. */
  get inputs(): readonly OnnxValueInfo[] {
    return this.#model.inputs
  }

  get outputs(): readonly OnnxValueInfo[] {
    return this.#model.outputs
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
    if (inputs.length !== this.inputs.length) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `The model has ${this.inputs.length} inputs (${list(this.inputs)}) but received ${inputs.length}`,
      )
    }
    if (this.#result === undefined) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `The model has several outputs (${list(this.outputs)}): name one in loadOnnx(…, { output }), or use run()`,
      )
    }
    const values = new Map<string, Value>(
      inputs.map((input, i) => {
        const info = this.inputs[i] as OnnxValueInfo
        return [info.name, isSymbolic(input) ? input : inputValue(input, info)]
      }),
    )
    return this.#imagesOf(this.#run(values, this.#forward).get(this.#result) as Value, this.#result)
  }

  /** A result as it comes out of a compiled model, image after image. */
  #imagesOf(value: Value, name: string): Tensor {
    const result = tensorOf(value)
    if (!(result instanceof Turned)) return result
    if (result.spread === 0) return result.images
    const last = this.#model.nodes.find(({ node }) => node.outputs.includes(name))
    const reason = 'the result holds the images of a batch in one dimension with others; run() computes it'
    throw last?.node.unsupported(reason) ?? new KerneletError('ERR_UNSUPPORTED', reason)
  }

  /**
   * Every output for the inputs, by name, operator by operator: for models with several inputs or outputs, and for
   * what cannot be compiled. Integers and doubles are computed in their own type but where a layer takes doubles.
   *
   * @param inputs by name: Tensors, or `{ data, shape }` with any numbers, which must be of the input's type
   * @returns a Tensor for an output of float32 or narrower floats, else an OnnxArray: see `outputs[i].dtype`. The type
   *   parameter says which to TypeScript: `run<OnnxArray>(…)`, `run<OnnxResult>(…)`
   * @throws KerneletError `ERR_ARGUMENT` for names or numbers that do not fit; otherwise as `forward`
   */
  run<Result extends OnnxResult = Tensor>(
    inputs: Readonly<Record<string, OnnxInput>>,
  ): Record<string, Result> {
    const names = new Set(this.inputs.map(({ name }) => name))
    objectOf(inputs, 'run: inputs')
    for (const name of Object.keys(inputs)) {
      if (names.has(name)) continue
      throw new KerneletError(
        'ERR_ARGUMENT',
        `run: there is no input ${show(name)}; there are ${list(this.inputs)}`,
      )
    }
    const values = new Map<string, Value>()
    for (const info of this.inputs) {
      if (!Object.hasOwn(inputs, info.name)) {
        throw new KerneletError('ERR_ARGUMENT', `run: the input ${show(info.name)} is missing`)
      }
      values.set(info.name, inputValue(inputs[info.name] as OnnxInput, info))
    }
    const results = this.#run(values, this.#model.nodes)
    const { types } = this.#model
    return Object.fromEntries(
      this.outputs.map(({ name }) => [name, resultOf(results.get(name) as Value, types.get(name)) as Result]),
    )
  }

  /**
   * `compile`; without `inputShape` the sizes that the model leaves open, such as height and width, are free: `run` takes
   * Tensors of any.
   */
  override compile(options: CompileOptions = {}): CompiledModel {
    objectOf(options, 'compile: options')
    const pattern = patternOf(this.inputs[0])
    return super.compile({
      ...options,
      inputShape: options.inputShape ?? (pattern?.length ? pattern : undefined),
    })
  }

  /**
   * A native plan of all inputs and outputs, by name: for models that have several. Inputs and results are float32, a
   * batch first.
   *
   * @param options those of `compile`; `inputShapes`: shapes of one image. Without them the sizes that the model leaves open
   *   are free: `run` takes Tensors of any
   * @throws KerneletError `ERR_SHAPE` when a shape is needed and not given, or not what the model declares;
   *   `ERR_UNSUPPORTED` for an input that is no float, a result that is the same for every image, and as `compile`
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
    if (inputShapes !== undefined) objectOf(inputShapes, 'compileNamed: inputShapes')
    const shapes = Object.fromEntries(this.inputs.map((info) => [info.name, imageShape(info, inputShapes)]))
    for (const name of Object.keys(inputShapes ?? {})) {
      if (Object.hasOwn(shapes, name)) continue
      throw new KerneletError(
        'ERR_ARGUMENT',
        `compileNamed: there is no input ${show(name)}; there are ${list(this.inputs)}`,
      )
    }
    const joined = (inputShapes: NamedShapes) =>
      new Joined(inputShapes, (inputs) => {
        const values = this.#run(new Map(Object.entries(inputs)), this.#model.nodes)
        return Object.fromEntries(
          this.outputs.map(({ name }) => {
            const value = values.get(name) as Value
            if (isSymbolic(value)) return [name, this.#imagesOf(value, name)]
            throw new KerneletError(
              'ERR_UNSUPPORTED',
              `compileNamed: the output ${name} is the same for every image; run() gives it`,
            )
          }),
        )
      })
    return new NamedModel(joined, shapes, options)
  }

  /** `summary`; `inputShape` is only needed where the model does not fix it. */
  override summary(inputShape: readonly number[] | undefined = this.inputShape): Summary {
    return super.summary(inputShape as readonly number[])
  }

  #run(inputs: ReadonlyMap<string, Value>, nodes: readonly PreparedNode[]): Map<string, Value> {
    for (const info of this.inputs) checkInput(inputs.get(info.name) as Value, info)
    const first = inputs.values().next().value
    const batch = first?.shape[0] ?? 1
    const { held, types } = this.#model
    const run: Run = { batch, declaredBatch: this.#declaredBatch, held, types }
    const values = new Map([...this.#model.known, ...inputs])
    const tracer = [...inputs.values()].find((value) => value instanceof SymbolicTensor)?.tracer
    const budget = tracer
      ? new Budget('load', this.#given)
      : new Budget('run', this.#given + bytesOf([...inputs.values()]))
    const traced = tracer ? { ...run, ofTwo: once(() => this.#ofTwo(inputs, nodes)) } : run
    return within(budget, () => this.#runNodes(nodes, values, traced, tracer))
  }

  /** What all values are for two images; undefined where they cannot be computed. */
  #ofTwo(
    inputs: ReadonlyMap<string, Value>,
    nodes: readonly PreparedNode[],
  ): ReadonlyMap<string, Known> | undefined {
    const zeros = [...inputs].map(([name, { shape }]): [string, Value] => {
      const two = [2 * (shape[0] ?? 1), ...shape.slice(1)]
      return [name, new Tensor(new Float32Array(elements(two)), two)]
    })
    try {
      const values = this.#run(new Map(zeros), nodes)
      return new Map(
        [...values].map(([name, value]) => [name, Tensor.is(value) ? { shape: value.shape } : value]),
      )
    } catch (error) {
      if (error instanceof KerneletError) return undefined
      throw error
    }
  }

  #runNodes(
    nodes: readonly PreparedNode[],
    values: Map<string, Value>,
    run: Run,
    tracer: Tracer | undefined,
  ): Map<string, Value> {
    const { runNode } = onnx()
    const around = tracer?.scopes.at(-1)?.path ?? ''
    for (const prepared of nodes) {
      const name = prepared.node.name.replace(/^\//, '')
      tracer?.scopes.push({ path: around === '' ? name : `${around}.${name}`, leaf: true })
      try {
        runNode(prepared, values, run)
      } finally {
        tracer?.scopes.pop()
      }
    }
    return values
  }
}

/** Shape of one image, with −1 for sizes that the model leaves open; undefined where it says nothing of it. */
function patternOf(info: OnnxValueInfo | undefined): number[] | undefined {
  return info?.shape?.slice(1).map((size) => (typeof size === 'number' ? size : free))
}

/** Shape of one image of an input: as it was asked for, or as the model fixes it. */
function imageShape(info: OnnxValueInfo, wanted: NamedShapes | undefined): readonly number[] {
  if (info.dtype !== undefined && info.dtype !== 'float32') {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `compileNamed: the input ${list([info])} is not float32; run() takes it`,
    )
  }
  if (wanted !== undefined && Object.hasOwn(wanted, info.name)) {
    const shape = wanted[info.name] as number[]
    return isFree(shape) ? [...shape] : checkShape(shape, `inputShapes.${info.name}`)
  }
  const image = patternOf(info)
  if (image) return image
  throw new KerneletError(
    'ERR_SHAPE',
    `compileNamed: the shape of one image of ${list([info])} is needed: { inputShapes: { ${info.name}: […] } }`,
  )
}

/** What `make` gives, made when it is first asked for. */
function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

/** The output that was asked for, or the only one. */
function chosen(
  outputs: readonly OnnxValueInfo[],
  wanted: string | undefined,
  file: string,
): string | undefined {
  const name = wanted ?? (outputs[0] as OnnxValueInfo).name
  if (wanted === undefined && outputs.length > 1) return undefined
  if (outputs.some((output) => output.name === name)) return name
  throw new KerneletError('ERR_ARGUMENT', `${file} has no output ${show(wanted)}; it has ${list(outputs)}`)
}

/** The batch may be any; what else the model fixes must be so. */
function checkInput(value: Value, info: OnnxValueInfo): void {
  const { shape } = info
  if (shape === undefined) return
  const fits = value.shape.length === shape.length
  if (fits && shape.every((size, d) => d === 0 || typeof size !== 'number' || size === value.shape[d])) return
  throw new KerneletError(
    'ERR_SHAPE',
    `The input ${info.name} is ${list([info])} but received ${formatShape(value.shape)}`,
  )
}
