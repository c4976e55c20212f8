/** A model that is served: what a request must bring, and how it is run. */
import { badRequest, lateOrGone, overloaded } from '../errors.ts'
import type { InferCall, InputTensor, OutputTensor, TensorInfo } from '../protocol/call.ts'
import {
  bytesOf,
  floatsFromHalves,
  isNumberType,
  type NumberType,
  type Values,
  valuesOf,
} from '../protocol/datatypes.ts'
import { Batcher, type BatcherOptions, type Plan, type Times } from './batcher.ts'
import type { Measures } from './measures.ts'
import { Pace } from './pace.ts'

/** Who waits for a call. */
export interface Waiter {
  /** `performance.now()` beyond which nobody waits. */
  readonly deadline: number
  alive(): boolean
  done(error: Error | undefined, outputs: readonly OutputTensor[], times: Times): void
}

/** What runs requests of one model. */
export interface Engine {
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  /** Images that wait. */
  readonly waiting: number
  /** Checks a call and runs it; `waiter.done` is called once, unless this throws. */
  infer(call: InferCall, waiter: Waiter): void
  /** Resolves when nothing waits or runs. */
  drained(): Promise<void>
  dispose(): void
}

/** How bytes become the numbers of an input: byte · scale + shift, one for all channels or one for each. */
export interface Pixels {
  readonly scale: readonly number[]
  readonly shift: readonly number[]
}

/** The input of a call that goes by that name, its shape checked but for the batch. */
export function inputNamed(call: InferCall, info: TensorInfo): InputTensor {
  const input = call.inputs.find(({ name }) => name === info.name)
  if (!input) throw badRequest(`The input ${info.name} (${describe(info)}) is missing`)
  const { shape } = input
  const fits =
    shape.length === info.shape.length && info.shape.every((size, d) => size < 0 || size === shape[d])
  if (fits) return input
  throw badRequest(`The input ${info.name} is ${describe(info)} but the request's shape is [${shape}]`)
}

/** `FP32 [-1,1,28,28]`. */
export function describe({ datatype, shape }: TensorInfo): string {
  return `${datatype} [${shape}]`
}

/** Refuses inputs that the model does not have, and two of one name. */
export function checkNames(call: InferCall, inputs: readonly TensorInfo[]): void {
  const seen = new Set<string>()
  for (const { name } of call.inputs) {
    if (seen.has(name)) throw badRequest(`The input ${name} comes twice`)
    seen.add(name)
    if (!inputs.some((info) => info.name === name)) {
      throw badRequest(
        `There is no input ${JSON.stringify(name)}; there are ${inputs.map((info) => info.name).join(', ')}`,
      )
    }
  }
}

/** The numbers of an input as float32, in bytes. */
function floatBytes({ name, datatype, bytes, shape }: InputTensor, pixels: Pixels): Uint8Array {
  if (datatype === 'FP32') return bytes
  if (datatype === 'FP16') return bytesOf(floatsFromHalves(valuesOf(bytes, 'FP16') as Uint16Array))
  if (datatype !== 'UINT8') {
    throw badRequest(`The input ${name} takes FP32, FP16 or UINT8 but the request brings ${datatype}`)
  }
  const { scale, shift } = pixels
  const plane = shape.slice(2).reduce((product, size) => product * size, 1)
  const floats = new Float32Array(bytes.length)
  for (let i = 0; i < bytes.length; i++) {
    const c = scale.length === 1 ? 0 : Math.floor(i / plane) % scale.length
    floats[i] = (bytes[i] as number) * (scale[c] as number) + (shift[c] as number)
  }
  return bytesOf(floats)
}

/** A model whose requests share batches. */
export class BatchedEngine implements Engine {
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  readonly #floats: Batcher
  readonly #bytes: Batcher | undefined
  readonly #pixels: Pixels
  readonly #dispose: () => void

  constructor(
    model: {
      inputs: readonly TensorInfo[]
      outputs: readonly TensorInfo[]
      floats: Plan
      /** The same model for bytes, if there is such a plan. */
      bytes?: Plan | undefined
      pixels: Pixels
      dispose(): void
    },
    options: BatcherOptions,
    measures: Measures,
  ) {
    this.inputs = model.inputs
    this.outputs = model.outputs
    this.#pixels = model.pixels
    this.#floats = new Batcher(model.floats, options, measures)
    this.#bytes = model.bytes && new Batcher(model.bytes, options, measures)
    this.#dispose = model.dispose
  }

  get waiting(): number {
    return this.#floats.waiting + (this.#bytes?.waiting ?? 0)
  }

  infer(call: InferCall, waiter: Waiter): void {
    checkNames(call, this.inputs)
    const given = this.inputs.map((info) => inputNamed(call, info))
    const images = given[0]?.shape[0] ?? 0
    const other = given.find(({ shape }) => shape[0] !== images)
    if (other) {
      throw badRequest(
        `The inputs must have as many images, but ${given[0]?.name} has ${images} and ${other.name} ${other.shape[0]}`,
      )
    }
    if (images === 0) throw badRequest('The request has no images: the first dimension of its shape is 0')
    const asBytes = this.#bytes !== undefined && given.every(({ datatype }) => datatype === 'UINT8')
    const batcher = asBytes && this.#bytes ? this.#bytes : this.#floats
    const { outputs } = this
    batcher.submit({
      inputs: asBytes
        ? given.map(({ bytes }) => bytes)
        : given.map((input) => floatBytes(input, this.#pixels)),
      images,
      deadline: waiter.deadline,
      alive: () => waiter.alive(),
      done(error, results, times) {
        if (error) return waiter.done(error, [], times)
        const tensors = results.map((values, k): OutputTensor => {
          const { name, shape } = outputs[k] as TensorInfo
          return { name, datatype: 'FP32', shape: [images, ...shape.slice(1)], values }
        })
        waiter.done(undefined, tensors, times)
      },
    })
  }

  async drained(): Promise<void> {
    await Promise.all([this.#floats.drained(), this.#bytes?.drained()])
  }

  dispose(): void {
    this.#dispose()
  }
}

/** Numbers with their shape, of a type. */
export interface Whole {
  datatype: NumberType
  values: Values
  shape: readonly number[]
}

/** A model that takes requests one by one, on the event loop: of integers, or what cannot be compiled. */
export class WholeEngine implements Engine {
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  readonly #run: (inputs: Readonly<Record<string, Whole>>) => Readonly<Record<string, Whole>>
  readonly #measures: Measures
  readonly #options: BatcherOptions
  readonly #pace = new Pace()
  #calls: (() => void)[] = []
  #idle: (() => void)[] = []

  constructor(
    model: {
      inputs: readonly TensorInfo[]
      outputs: readonly TensorInfo[]
      run(inputs: Readonly<Record<string, Whole>>): Readonly<Record<string, Whole>>
    },
    options: BatcherOptions,
    measures: Measures,
  ) {
    this.inputs = model.inputs
    this.outputs = model.outputs
    this.#run = model.run
    this.#options = options
    this.#measures = measures
  }

  get waiting(): number {
    return this.#calls.length
  }

  infer(call: InferCall, waiter: Waiter): void {
    checkNames(call, this.inputs)
    const inputs: Record<string, Whole> = {}
    for (const info of this.inputs) {
      const { datatype, bytes, shape } = inputNamed(call, info)
      const halves = datatype === 'FP16' && info.datatype === 'FP32'
      if (!isNumberType(datatype) || (datatype !== info.datatype && !halves)) {
        throw badRequest(`The input ${info.name} is ${describe(info)} but the request brings ${datatype}`)
      }
      const values = valuesOf(bytes, datatype)
      inputs[info.name] = {
        datatype: halves ? 'FP32' : datatype,
        values: halves ? floatsFromHalves(values as Uint16Array) : values,
        shape,
      }
    }
    const { queue, maxWait } = this.#options
    if (this.#calls.length >= queue) throw overloaded(this.#calls.length, queue)
    const since = performance.now()
    if (maxWait > 0 && this.#calls.length > 0) this.#pace.check(this.#calls.length + 1, maxWait, since)
    this.#calls.push(() => this.#answer(inputs, since, waiter))
    if (this.#calls.length === 1) setImmediate(this.#turn)
  }

  /** One a turn of the event loop. */
  readonly #turn = (): void => {
    this.#calls[0]?.()
    this.#calls.shift()
    if (this.#calls.length > 0) setImmediate(this.#turn)
    else for (const resolve of this.#idle.splice(0)) resolve()
  }

  #answer(inputs: Readonly<Record<string, Whole>>, since: number, waiter: Waiter): void {
    const begin = performance.now()
    const times = { queue: 1000 * (begin - since), compute: 0 }
    if (begin > waiter.deadline || !waiter.alive()) {
      waiter.done(lateOrGone(begin > waiter.deadline), [], times)
      return
    }
    try {
      const results = this.#run(inputs)
      times.compute = 1000 * (performance.now() - begin)
      this.#pace.end(1, times.compute / 1000)
      this.#measures.batch(1, times.compute)
      waiter.done(
        undefined,
        this.outputs.map(({ name }) => ({ name, ...(results[name] as Whole) })),
        times,
      )
    } catch (error) {
      waiter.done(error instanceof Error ? error : new Error(String(error)), [], times)
    }
  }

  async drained(): Promise<void> {
    if (this.#calls.length === 0) return
    await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  dispose(): void {}
}
