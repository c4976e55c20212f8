/** A model file as an engine that is ready: read, compiled, warmed up. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import {
  add,
  Classifier,
  type CompiledModel,
  KerneletError,
  LeNet5,
  LeNet5Original,
  loadOnnx,
  loadSafetensors,
  Module,
  mul,
  OnnxArray,
  type OnnxInput,
  type OnnxModel,
  type OnnxResult,
  readSafetensors,
  Sequential,
  Softmax,
  Tensor,
} from 'kernelet'
import { unreadableFor } from '../errors.ts'
import type { TensorInfo } from '../protocol/call.ts'
import {
  datatypeOf,
  floatsFromHalves,
  halvesFromFloats,
  type NumberType,
  type Values,
} from '../protocol/datatypes.ts'
import type { BatcherOptions, Plan } from './batcher.ts'
import type { Measures } from './measures.ts'
import { BatchedEngine, type Engine, type Pixels, type Whole, WholeEngine } from './served.ts'

/** A model, opened. */
export interface Opened {
  engine: Engine
  /** What reads pictures with it, where it can. */
  classifier: Classifier | undefined
}

/** What opens a model: `openModel`, or another runtime's in its place. */
export type Open = (file: string | undefined, options: OpenOptions) => Promise<Opened>

export interface OpenOptions extends BatcherOptions {
  /** Threads that share a batch. */
  threads: number
  measures: Measures
}

/** A plan for bytes holds the weights once more; models that are larger convert bytes to floats. */
const SMALL = 16 * 2 ** 20

/**
 * @param file ONNX, or safetensors of a network of kernelet's; undefined: the shipped digits
 * @throws KerneletError for a file that cannot be read or run
 */
export async function openModel(file: string | undefined, options: OpenOptions): Promise<Opened> {
  const path = file ?? shipped
  const bytes = await readAll(path)
  return isOnnx(bytes) ? openOnnx(path, options) : openOwn(bytes, options)
}

/** The digits that come with kernelet. */
export const shipped = join(
  dirname(createRequire(import.meta.url).resolve('kernelet/package.json')),
  'models/lenet5-mnist.safetensors',
)

async function readAll(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file)
  } catch (cause) {
    throw new KerneletError('ERR_IO', `${file} cannot be read: ${unreadableFor(cause)}`, { cause })
  }
}

/** In safetensors a JSON object follows eight bytes of length. */
export function isOnnx(bytes: Uint8Array): boolean {
  return bytes[8] !== 0x7b
}

function openOnnx(file: string, options: OpenOptions): Opened {
  const model = loadOnnx(file)
  const infos = (list: OnnxModel['inputs']): TensorInfo[] =>
    list.map(({ name, type, dtype, shape }) => {
      const datatype = datatypeOf(dtype === 'bfloat16' ? 'float32' : dtype)
      if (!datatype) {
        throw new KerneletError('ERR_UNSUPPORTED', `${file}: the protocol has no type for ${name}: ${type}`)
      }
      return {
        name,
        datatype,
        // the batch is any, also where the model was exported with one
        shape: (shape ?? []).map((size, d) => (d > 0 && typeof size === 'number' ? size : -1)),
      }
    })
  const inputs = infos(model.inputs)
  const outputs = infos(model.outputs)
  const fixed = inputs.every(
    ({ datatype, shape }) =>
      datatype === 'FP32' && shape.length > 0 && shape.slice(1).every((size) => size > 0),
  )
  const floats = outputs.every(({ datatype }) => datatype === 'FP32' || datatype === 'FP16')
  if (fixed && floats) {
    try {
      return openCompiled(model, file, inputs, outputs, options)
    } catch (error) {
      // What depends on an image's numbers is for `run`.
      if (!(error instanceof KerneletError && error.code === 'ERR_UNSUPPORTED')) throw error
    }
  }
  const engine = new WholeEngine(
    { inputs, outputs, run: (given) => runWhole(model, given, outputs) },
    options,
    options.measures,
  )
  return { engine, classifier: undefined }
}

function openCompiled(
  model: OnnxModel,
  file: string,
  inputs: readonly TensorInfo[],
  declared: readonly TensorInfo[],
  options: OpenOptions,
): Opened {
  const { maxBatch, threads, measures } = options
  const classifier = classifierOf(file, threads)
  const compile = { maxBatch, threads }
  if (inputs.length > 1 || declared.length > 1) {
    const named = model.compileNamed(compile)
    const names = inputs.map(({ name }) => name)
    const outputs = declared.map((info): TensorInfo => shaped(info, named.outputShapes[info.name] ?? []))
    const record = (values: readonly (Float32Array | Uint8Array)[]): Record<string, Float32Array> =>
      Object.fromEntries(names.map((name, k) => [name, values[k] as Float32Array]))
    const list = (results: Record<string, Float32Array>): Float32Array[] =>
      outputs.map(({ name }) => results[name] as Float32Array)
    const plan: Plan = {
      type: 'FP32',
      inputBytes: inputs.map(({ shape }) => 4 * perImage(shape)),
      outputLengths: outputs.map(({ shape }) => perImage(shape)),
      run: (values) => list(named.run(record(values))),
      runAsync: async (values) => list(await named.runAsync(record(values))),
    }
    const dispose = (): void => named.dispose()
    const engine = new BatchedEngine(
      { inputs, outputs, floats: plan, pixels: zeroToOne, dispose },
      options,
      measures,
    )
    return { engine, classifier: undefined }
  }
  const floats = model.compile(compile)
  const pixels = classifier ? pixelsOf(classifier) : zeroToOne
  const uniform = pixels.scale.length === 1
  const bytes =
    uniform && floats.describe().weightBytes <= SMALL
      ? model.compile({ ...compile, inputType: 'uint8', scale: pixels.scale[0], shift: pixels.shift[0] })
      : undefined
  const outputs = declared.map((info) => shaped(info, floats.outputShape))
  return { engine: engineOf(inputs, outputs, floats, bytes, pixels, options), classifier }
}

function shaped({ name, datatype }: TensorInfo, image: readonly number[]): TensorInfo {
  return { name, datatype, shape: [-1, ...image] }
}

function perImage(shape: readonly number[]): number {
  return shape.slice(1).reduce((product, size) => product * size, 1)
}

function engineOf(
  inputs: readonly TensorInfo[],
  outputs: readonly TensorInfo[],
  floats: CompiledModel,
  bytes: CompiledModel | undefined,
  pixels: Pixels,
  options: OpenOptions,
): Engine {
  const dispose = (): void => {
    floats.dispose()
    bytes?.dispose()
  }
  const model = { inputs, outputs, floats: planOf(floats), bytes: bytes && planOf(bytes), pixels, dispose }
  return new BatchedEngine(model, options, options.measures)
}

function planOf(model: CompiledModel): Plan {
  const type = model.inputType === 'uint8' ? 'UINT8' : 'FP32'
  const length = model.inputShape.reduce((product, size) => product * size, 1)
  return {
    type,
    inputBytes: [type === 'UINT8' ? length : 4 * length],
    outputLengths: [model.outputShape.reduce((product, size) => product * size, 1)],
    run: (inputs) => [model.run(inputs[0] as Float32Array)],
    runAsync: async (inputs) => [await model.runAsync(inputs[0] as Float32Array)],
  }
}

/** What reads pictures with the network of a file; undefined where it is for something else. */
function classifierOf(file: string, threads: number): Classifier | undefined {
  try {
    return Classifier.load(file, { threads })
  } catch (error) {
    if (error instanceof KerneletError && error.code !== 'ERR_FORMAT' && error.code !== 'ERR_IO')
      return undefined
    throw error
  }
}

const zeroToOne: Pixels = { scale: [1 / 255], shift: [0] }

/** Bytes as the network was taught to see them. */
function pixelsOf({ preparation: { mean, std } }: Classifier): Pixels {
  const scale = std.map((one) => 1 / 255 / one)
  const shift = mean.map((one, c) => -one / (std[c] as number))
  const same = (list: readonly number[]): boolean => list.every((one) => one === list[0])
  return same(scale) && same(shift)
    ? { scale: scale.slice(0, 1), shift: shift.slice(0, 1) }
    : { scale, shift }
}

/** x · scale + shift. */
class Affine extends Module {
  readonly #scale: number
  readonly #shift: number

  constructor(scale: number, shift: number) {
    super()
    this.#scale = scale
    this.#shift = shift
  }

  forward(x: Tensor): Tensor {
    const scaled = this.#scale === 1 ? x : mul(x, this.#scale)
    return this.#shift === 0 ? scaled : add(scaled, this.#shift)
  }
}

/** A network of this library, with its labels and all that its weights' file says. */
function openOwn(bytes: Uint8Array, options: OpenOptions): Opened {
  const { maxBatch, threads } = options
  const classifier = Classifier.load(bytes, { threads })
  const { labels, inputShape, preparation } = classifier
  const { network, temperature } = ownNetwork(bytes, inputShape[0] ?? 1, labels.length)
  const [std = 1] = preparation.std
  const [mean = 0] = preparation.mean
  const compile = { inputShape, maxBatch, threads }
  const scored =
    temperature === 1
      ? new Sequential(network, new Softmax(1))
      : new Sequential(network, new Affine(1 / temperature, 0), new Softmax(1))
  // Both take the same picture: floats of 0 … 1 and bytes of 0 … 255, light ink on a dark ground.
  const standard = std !== 1 || mean !== 0
  const fromFloats = standard ? new Sequential(new Affine(1 / std, -mean / std), scored) : scored
  const pixels = pixelsOf(classifier)
  const asBytes = { ...compile, inputType: 'uint8', scale: pixels.scale[0], shift: pixels.shift[0] } as const
  const inputs: TensorInfo[] = [{ name: 'image', datatype: 'FP32', shape: [-1, ...inputShape] }]
  const outputs: TensorInfo[] = [{ name: 'probabilities', datatype: 'FP32', shape: [-1, labels.length] }]
  const engine = engineOf(
    inputs,
    outputs,
    fromFloats.compile(compile),
    scored.compile(asBytes),
    zeroToOne,
    options,
  )
  return { engine, classifier }
}

/** A network of this library with the weights of a file, and what its scores are divided by. */
export function ownNetwork(
  bytes: Uint8Array,
  channels: number,
  classes: number,
): { network: Module; temperature: number } {
  const { metadata } = readSafetensors(bytes)
  const weights = loadSafetensors(bytes)
  // checkpoints are weight files with more in them
  for (const key of weights.keys()) if (key.startsWith('@')) weights.delete(key)
  const original = metadata.get('model') === 'lenet5-1998'
  const network = original ? new LeNet5Original() : new LeNet5(channels, classes)
  network.loadStateDict(weights)
  return { network, temperature: Number(metadata.get('temperature') ?? 1) }
}

function runWhole(
  model: OnnxModel,
  given: Readonly<Record<string, Whole>>,
  outputs: readonly TensorInfo[],
): Readonly<Record<string, Whole>> {
  const inputs = Object.fromEntries(
    Object.entries(given).map(([name, { datatype, values, shape }]): [string, OnnxInput] => {
      const data = datatype === 'FP16' ? floatsFromHalves(values as Uint16Array) : values
      return [name, data instanceof Float32Array ? new Tensor(data, shape) : { data, shape }]
    }),
  )
  const results = model.run<OnnxResult>(inputs)
  return Object.fromEntries(
    outputs.map(({ name, datatype }): [string, Whole] => {
      const result = results[name] as OnnxResult
      const values: Values =
        datatype === 'FP16' && result instanceof Tensor
          ? halvesFromFloats(result.data)
          : (result.data as Values)
      const own = result instanceof OnnxArray ? (datatypeOf(result.dtype) ?? datatype) : datatype
      return [name, { datatype: own as NumberType, values, shape: result.shape }]
    }),
  )
}
