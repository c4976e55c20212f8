/** A client of the Open Inference Protocol over HTTP: tensors go and come as binary data. */

import type { Values } from './protocol/datatypes.ts'

/** Numbers of a tensor; the type of the array is the type of the tensor. */
export type TensorData = Values

export interface InferInput {
  /** Where it is left out, the model's only input. */
  name?: string
  shape: readonly number[]
  data: TensorData
}

export interface InferOutput {
  name: string
  datatype: string
  shape: number[]
  data: TensorData | string[]
}

export interface InferResult {
  modelName: string
  modelVersion: string
  id: string | undefined
  outputs: InferOutput[]
}

export interface ClientOptions {
  /** A token of the server's --token-file. */
  token?: string | undefined
  /** Milliseconds to wait for an answer; default 30,000. */
  timeout?: number | undefined
}

/** A request that the server refused, or that did not reach it (status 0). */
export class InferenceError extends Error {
  override readonly name = 'InferenceError'
  readonly status: number

  constructor(status: number, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.status = status
  }
}

const arrays = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const

type Named = Readonly<Record<string, unknown>>

export class InferenceClient {
  readonly #base: string
  readonly #options: ClientOptions
  /** Inputs of models that were asked for. */
  readonly #inputs = new Map<string, string>()

  /** @param base of the server: http://127.0.0.1:8080 */
  constructor(base: string, options: ClientOptions = {}) {
    this.#base = base.replace(/\/$/, '')
    this.#options = options
  }

  /** Whether the server wants requests. */
  async ready(): Promise<boolean> {
    const response = await this.#fetch('/v2/health/ready')
    await response.arrayBuffer()
    return response.ok
  }

  /** Inputs and outputs of a model. */
  async metadata(model: string): Promise<Named> {
    return (await (await this.#ask(`/v2/models/${encodeURIComponent(model)}`)).json()) as Named
  }

  /**
   * Runs a model.
   *
   * @throws InferenceError (by rejection) for a refusal, with the server's sentence
   */
  async infer(
    model: string,
    inputs: InferInput | readonly InferInput[],
    options: { id?: string; outputs?: readonly string[]; timeout?: number } = {},
  ): Promise<InferResult> {
    const all = [inputs].flat() as InferInput[]
    const tensors = await Promise.all(
      all.map(async ({ name, shape, data }) => ({
        name: name ?? (await this.#onlyInput(model)),
        datatype: datatypeOf(data),
        shape,
        parameters: { binary_data_size: data.byteLength },
      })),
    )
    const { id, outputs, timeout } = options
    const head = new TextEncoder().encode(
      JSON.stringify({
        id,
        parameters: {
          binary_data_output: true,
          ...(timeout !== undefined && { timeout: Math.round(timeout * 1000) }),
        },
        inputs: tensors,
        outputs: outputs?.map((name) => ({ name, parameters: { binary_data: true } })),
      }),
    )
    const body = new Blob([head, ...all.map(({ data }) => data as Uint8Array<ArrayBuffer>)])
    const response = await this.#ask(`/v2/models/${encodeURIComponent(model)}/infer`, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/octet-stream',
        'inference-header-content-length': String(head.length),
      },
    })
    return readResult(response)
  }

  async #onlyInput(model: string): Promise<string> {
    let name = this.#inputs.get(model)
    if (name === undefined) {
      const { inputs } = (await this.metadata(model)) as { inputs: { name: string }[] }
      if (inputs.length !== 1) {
        throw new InferenceError(
          0,
          `${model} has the inputs ${inputs.map((one) => one.name).join(', ')}: name each`,
        )
      }
      name = inputs[0]?.name ?? ''
      this.#inputs.set(model, name)
    }
    return name
  }

  async #ask(path: string, init?: RequestInit): Promise<Response> {
    const response = await this.#fetch(path, init)
    if (response.ok) return response
    const text = await response.text()
    let message = text
    try {
      message = (JSON.parse(text) as { error: string }).error
    } catch {
      // not of this server
    }
    throw new InferenceError(response.status, message)
  }

  async #fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const { token, timeout = 30_000 } = this.#options
    const headers = {
      ...(init.headers as Record<string, string>),
      ...(token && { authorization: `Bearer ${token}` }),
    }
    try {
      return await fetch(this.#base + path, { ...init, headers, signal: AbortSignal.timeout(timeout) })
    } catch (cause) {
      throw new InferenceError(0, `${this.#base}${path}: ${(cause as Error).message}`, { cause })
    }
  }
}

function datatypeOf(data: TensorData): string {
  const found = Object.entries(arrays).find(([name, array]) => name !== 'BOOL' && data instanceof array)
  if (!found) throw new InferenceError(0, 'data must be a typed array of numbers')
  return found[0]
}

async function readResult(response: Response): Promise<InferResult> {
  const bytes = await response.arrayBuffer()
  const length = Number(response.headers.get('inference-header-content-length') ?? bytes.byteLength)
  const head = JSON.parse(new TextDecoder().decode(bytes.slice(0, length))) as {
    model_name: string
    model_version: string
    id?: string
    outputs: {
      name: string
      datatype: string
      shape: number[]
      parameters?: { binary_data_size?: number }
      data?: number[]
    }[]
  }
  let at = length
  const outputs = head.outputs.map(({ name, datatype, shape, parameters, data }): InferOutput => {
    const size = parameters?.binary_data_size
    const own = bytes.slice(at, at + (size ?? 0))
    at += size ?? 0
    if (datatype === 'BYTES')
      return {
        name,
        datatype,
        shape,
        data: size === undefined ? (data as unknown as string[]) : stringsOf(own),
      }
    const array = arrays[datatype as keyof typeof arrays] as unknown as {
      new (buffer: ArrayBuffer): TensorData
      from(values: readonly number[]): TensorData
    }
    return { name, datatype, shape, data: size === undefined ? array.from(data ?? []) : new array(own) }
  })
  return { modelName: head.model_name, modelVersion: head.model_version, id: head.id, outputs }
}

function stringsOf(bytes: ArrayBuffer): string[] {
  const view = new DataView(bytes)
  const strings: string[] = []
  for (let at = 0; at < bytes.byteLength; ) {
    const length = view.getUint32(at, true)
    strings.push(new TextDecoder().decode(bytes.slice(at + 4, at + 4 + length)))
    at += 4 + length
  }
  return strings
}
