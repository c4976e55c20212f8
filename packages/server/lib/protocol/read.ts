/** Inference calls out of HTTP bodies: JSON, or JSON with binary data behind it. */
import { badRequest } from '../errors.ts'
import type { InferCall, InputTensor, WantedOutput } from './call.ts'
import {
  bytesOf,
  type Datatype,
  elementOf,
  isNumberType,
  shown,
  stringsFromBytes,
  valuesFromJson,
} from './datatypes.ts'
import { liftNumbers, type NumberList } from './numbers.ts'

type Fields = Readonly<Record<string, unknown>>

/** Largest number of values that a shape may take. */
const MOST = 2 ** 31
/** Most inputs and requested outputs of a call. */
const MOST_TENSORS = 64

/**
 * A call whose body is JSON and, behind its first `jsonLength` bytes, binary data.
 *
 * @throws RequestError for bodies that are not of the protocol
 */
export function readBinaryCall(body: Uint8Array, jsonLength: string): InferCall {
  const length = Number(jsonLength)
  if (!/^\d{1,10}$/.test(jsonLength) || length > body.length) {
    throw badRequest(
      `Inference-Header-Content-Length must be a number of bytes up to the body's ${body.length} but is ${shown(jsonLength)}`,
    )
  }
  const binary = body.subarray(length)
  if (last?.size === binary.length && last.text.length === length && sameBytes(last.text, body)) {
    return callFrom(last, binary)
  }
  if (length > LONGEST) return readCall(parseJson(body.subarray(0, length)), binary)
  const head = Buffer.from(body.buffer, body.byteOffset, length).toString('latin1')
  const known = heads.get(head)
  if (known?.size === binary.length) {
    last = known
    return callFrom(known, binary)
  }
  const call = readCall(parseJson(body.subarray(0, length)), binary)
  remember(head, call, binary.length)
  return call
}

/** A call without its numbers: clients send the same JSON again and again, and reading it is half of the reading. */
interface Head {
  text: Buffer
  call: Omit<InferCall, 'inputs'>
  inputs: readonly (Omit<InputTensor, 'bytes'> & { size: number })[]
  /** Bytes of all inputs. */
  size: number
}

/** That of the last request: mostly the next one's too, which is seen without making a string of it. */
let last: Head | undefined

/** Whether bytes begin with those. */
function sameBytes(text: Buffer, bytes: Uint8Array): boolean {
  return text.compare(bytes, 0, text.length) === 0
}

/** By its text. */
const heads = new Map<string, Head>()
/** Bytes of one, and how many are kept. */
const LONGEST = 1024
const MOST_HEADS = 256

function remember(head: string, call: InferCall, size: number): void {
  const { inputs, ...rest } = call
  const known = inputs.map(({ bytes, ...input }) => ({ ...input, size: bytes.length }))
  const isBinary = known.reduce((sum, input) => sum + input.size, 0) === size
  if (!isBinary || call.id !== undefined || inputs.some(({ datatype }) => datatype === 'BYTES')) return
  if (heads.size >= MOST_HEADS) heads.clear()
  heads.set(head, { text: Buffer.from(head, 'latin1'), call: rest, inputs: known, size })
}

function callFrom({ call, inputs }: Head, bytes: Uint8Array): InferCall {
  const { id, outputs, binary, timeout } = call
  return { id, inputs: inputsFrom(inputs, bytes), outputs, binary, timeout }
}

function inputsFrom(known: Head['inputs'], binary: Uint8Array): InputTensor[] {
  let at = 0
  return known.map(({ size, name, datatype, shape }) => {
    const bytes = binary.subarray(at, at + size)
    at += size
    return { name, datatype, shape, bytes }
  })
}

/** JSON out of bytes. */
export function parseJson(bytes: Uint8Array): unknown {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw badRequest(`The body is not JSON: ${(cause as Error).message}`)
  }
}

/**
 * A call in JSON alone.
 *
 * @throws RequestError for bodies that are not of the protocol
 */
export function readJsonCall(body: Uint8Array): InferCall {
  const lifted = liftNumbers(body)
  if (lifted) {
    try {
      return readCall(lifted.value, none, lifted.lists)
    } catch {
      // read once more below, so that the sentence shows what came and not what stands for it here
    }
  }
  return readCall(parseJson(body), none)
}

const none = new Uint8Array(0)
const noLists: ReadonlyMap<unknown, NumberList> = new Map()

/**
 * A call in JSON, with the bytes that lie behind it, and the lists of numbers that were read apart.
 *
 * @throws RequestError for what is not of the protocol
 */
export function readCall(
  body: unknown,
  binary: Uint8Array,
  lists: ReadonlyMap<unknown, NumberList> = noLists,
): InferCall {
  const call = fieldsOf(body, 'The body')
  const parameters = fieldsOf(call.parameters ?? {}, 'parameters')
  const given = call.inputs
  if (!Array.isArray(given) || given.length === 0 || given.length > MOST_TENSORS) {
    throw badRequest(`inputs must be a list of 1 to ${MOST_TENSORS} tensors but is ${shown(given)}`)
  }
  const rest = { bytes: binary, at: 0 }
  const inputs = given.map((input, i) => readInput(fieldsOf(input, `inputs[${i}]`), i, rest, lists))
  if (rest.at !== binary.length) {
    throw badRequest(
      `The inputs' binary_data_size add up to ${rest.at} bytes but ${binary.length} follow the JSON`,
    )
  }
  const all = flag(parameters.binary_data_output, 'parameters.binary_data_output') ?? false
  return {
    id: optionalString(call.id, 'id'),
    inputs,
    outputs: readOutputs(call.outputs, all),
    binary: all,
    timeout: readTimeout(parameters.timeout),
  }
}

function readInput(
  input: Fields,
  i: number,
  rest: { bytes: Uint8Array; at: number },
  lists: ReadonlyMap<unknown, NumberList>,
): InputTensor {
  const name = string(input.name, `inputs[${i}].name`)
  const { datatype: given } = input
  if (typeof given !== 'string' || !(given === 'BYTES' || isNumberType(given))) {
    throw badRequest(`inputs[${i}].datatype must be a type of the protocol, as FP32, but is ${shown(given)}`)
  }
  const datatype: Datatype = given
  const shape = readShape(input.shape, `inputs[${i}].shape`)
  const count = countOf(shape, name)
  const size = fieldsOf(input.parameters ?? {}, `inputs[${i}].parameters`).binary_data_size
  if (size === undefined) {
    const list = lists.get(input.data)
    const data = list ? numbersOf(list, datatype) : input.data
    return { name, datatype, shape, ...fromJson(data, datatype, count, name) }
  }
  if (input.data !== undefined) throw badRequest(`The input ${name} has both data and binary_data_size`)
  const end = rest.at + Number(size)
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || end > rest.bytes.length) {
    throw badRequest(
      `The input ${name} says binary_data_size ${shown(size)} but ${rest.bytes.length - rest.at} bytes are left`,
    )
  }
  const bytes = rest.bytes.subarray(rest.at, end)
  rest.at = end
  if (!isNumberType(datatype)) {
    return { name, datatype, shape, bytes: none, strings: stringsFromBytes(bytes, count, name) }
  }
  return { name, datatype, shape, bytes: checkedBytes(bytes, datatype, count, name) }
}

function numbersOf({ values, exact, text }: NumberList, datatype: Datatype): unknown {
  return exact || datatype === 'FP32' ? values : parseJson(text)
}

/** Bytes, if they are as many as the shape takes. */
export function checkedBytes(bytes: Uint8Array, datatype: Datatype, count: number, name: string): Uint8Array {
  const expected = isNumberType(datatype) ? count * elementOf(datatype).size : bytes.length
  if (bytes.length === expected) return bytes
  throw badRequest(
    `The shape of input ${name} takes ${count} values of ${datatype}, ${expected} bytes, but ${bytes.length} came`,
  )
}

function fromJson(
  data: unknown,
  datatype: Datatype,
  count: number,
  name: string,
): Pick<InputTensor, 'bytes' | 'strings'> {
  if (data === undefined) throw badRequest(`The input ${name} has neither data nor binary_data_size`)
  if (isNumberType(datatype)) return { bytes: bytesOf(valuesFromJson(data, datatype, count, name)) }
  const strings = (Array.isArray(data) ? data.flat(16) : [data]) as unknown[]
  if (strings.length !== count || !strings.every((one): one is string => typeof one === 'string')) {
    throw badRequest(`The shape of input ${name} takes ${count} strings but its data is ${shown(data)}`)
  }
  return { bytes: none, strings: strings.map((one) => Buffer.from(one, 'base64')) }
}

function readOutputs(given: unknown, all: boolean): WantedOutput[] | undefined {
  if (given === undefined || (Array.isArray(given) && given.length === 0)) return undefined
  if (!Array.isArray(given) || given.length > MOST_TENSORS) {
    throw badRequest(`outputs must be a list of at most ${MOST_TENSORS} outputs but is ${shown(given)}`)
  }
  const seen = new Set<string>()
  return given.map((output, i) => {
    const fields = fieldsOf(output, `outputs[${i}]`)
    const parameters = fieldsOf(fields.parameters ?? {}, `outputs[${i}].parameters`)
    const name = string(fields.name, `outputs[${i}].name`)
    if (seen.has(name)) throw badRequest(`The output ${name} is asked for twice`)
    seen.add(name)
    return {
      name,
      binary: flag(parameters.binary_data, `outputs[${i}].parameters.binary_data`) ?? all,
      classification: readClassification(parameters.classification, name),
    }
  })
}

/** How many of the highest classes an output is asked for; 0 where it is not. */
export function readClassification(given: unknown, name: string): number {
  if (given === undefined) return 0
  if (typeof given === 'number' && Number.isSafeInteger(given) && given >= 1) return given
  throw badRequest(`classification of output ${name} must be a number of classes but is ${shown(given)}`)
}

/** The protocol has microseconds. */
export function readTimeout(given: unknown): number | undefined {
  if (given === undefined) return undefined
  if (typeof given === 'number' && Number.isSafeInteger(given) && given >= 0) return given / 1000
  throw badRequest(`timeout must be a whole number of microseconds but is ${shown(given)}`)
}

/** How many values a shape takes. */
export function countOf(shape: readonly number[], name: string): number {
  const count = shape.reduce((product, size) => product * size, 1)
  if (count <= MOST) return count
  throw badRequest(`The input ${name} would take ${count} values; at most ${MOST} are taken`)
}

export function readShape(given: unknown, what: string): number[] {
  if (Array.isArray(given) && given.length <= 16 && given.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    return given
  }
  throw badRequest(`${what} must be a list of at most 16 sizes but is ${shown(given)}`)
}

export function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw badRequest(`${what} must be an object but is ${shown(value)}`)
}

function string(value: unknown, what: string): string {
  if (typeof value === 'string' && value.length > 0 && value.length <= 1024) return value
  throw badRequest(`${what} must be a string but is ${shown(value)}`)
}

function optionalString(value: unknown, what: string): string | undefined {
  if (value === undefined || value === '') return undefined
  return string(value, what)
}

function flag(value: unknown, what: string): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value
  throw badRequest(`${what} must be true or false but is ${shown(value)}`)
}
