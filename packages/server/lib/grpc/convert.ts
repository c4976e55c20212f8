/** Calls and answers between the messages of gRPC and the protocol's common form. */
import { badRequest } from '../errors.ts'
import type { AnswerTensor, InferCall, InputTensor } from '../protocol/call.ts'
import {
  bytesOf,
  isNumberType,
  type NumberType,
  shown,
  stringsFromBytes,
  stringsToBytes,
  valuesFromJson,
} from '../protocol/datatypes.ts'
import { checkedBytes, countOf, readClassification, readShape, readTimeout } from '../protocol/read.ts'

interface Parameter {
  parameter_choice?: string
  [choice: string]: unknown
}

interface Tensor {
  name: string
  datatype: string
  shape: number[]
  contents: Readonly<Record<string, unknown[]>> | null
}

/** ModelInferRequest. */
export interface InferRequest {
  model_name: string
  model_version: string
  id: string
  parameters: Readonly<Record<string, Parameter>>
  inputs: Tensor[]
  outputs: { name: string; parameters: Readonly<Record<string, Parameter>> }[]
  raw_input_contents: Uint8Array[]
}

/** Where the numbers of a type lie. */
const fields: Readonly<Record<NumberType | 'BYTES', string>> = {
  BOOL: 'bool_contents',
  INT8: 'int_contents',
  INT16: 'int_contents',
  INT32: 'int_contents',
  INT64: 'int64_contents',
  UINT8: 'uint_contents',
  UINT16: 'uint_contents',
  UINT32: 'uint_contents',
  UINT64: 'uint64_contents',
  FP16: '',
  FP32: 'fp32_contents',
  FP64: 'fp64_contents',
  BYTES: 'bytes_contents',
}

/** @throws RequestError for what is not of the protocol */
export function readRequest(request: InferRequest): InferCall {
  const { inputs, raw_input_contents: raw, id } = request
  if (inputs.length === 0) throw badRequest('The call has no inputs')
  if (raw.length !== 0 && raw.length !== inputs.length) {
    throw badRequest(`The call has ${inputs.length} inputs but ${raw.length} raw_input_contents`)
  }
  return {
    id: id === '' ? undefined : id,
    inputs: inputs.map((input, i) => readInput(input, raw[i])),
    outputs:
      request.outputs.length === 0
        ? undefined
        : request.outputs.map(({ name, parameters }) => ({
            name,
            binary: true,
            classification: readClassification(parameterOf(parameters.classification), name),
          })),
    binary: true,
    timeout: readTimeout(parameterOf(request.parameters.timeout)),
  }
}

function parameterOf(parameter: Parameter | undefined): unknown {
  return parameter?.parameter_choice === undefined ? undefined : parameter[parameter.parameter_choice]
}

function readInput({ name, datatype, shape, contents }: Tensor, raw: Uint8Array | undefined): InputTensor {
  if (!(datatype === 'BYTES' || isNumberType(datatype))) {
    throw badRequest(`The input ${name} is of no type of the protocol but ${shown(datatype)}`)
  }
  const sizes = readShape(shape, `The shape of input ${name}`)
  const count = countOf(sizes, name)
  const given = contents ?? {}
  const filled = Object.keys(given).filter((field) => (given[field]?.length ?? 0) > 0)
  if (raw !== undefined) {
    if (filled.length > 0) throw badRequest(`The input ${name} has both contents and raw_input_contents`)
    if (datatype === 'BYTES') {
      return { name, datatype, shape: sizes, bytes: none, strings: stringsFromBytes(raw, count, name) }
    }
    return { name, datatype, shape: sizes, bytes: checkedBytes(raw, datatype, count, name) }
  }
  const field = fields[datatype]
  const other = filled.find((one) => one !== field)
  if (other !== undefined) {
    throw badRequest(
      `The input ${name} is ${datatype} but its numbers are ${other}${field && `, not ${field}`}`,
    )
  }
  const values = given[field] ?? []
  if (datatype === 'BYTES') {
    if (values.length !== count)
      throw badRequest(`The shape of input ${name} takes ${count} strings but ${values.length} came`)
    return { name, datatype, shape: sizes, bytes: none, strings: values as Uint8Array[] }
  }
  return { name, datatype, shape: sizes, bytes: bytesOf(valuesFromJson(values, datatype, count, name)) }
}

const none = new Uint8Array(0)

/** The outputs of a ModelInferResponse, their numbers raw. */
export function writeResponse(outputs: readonly AnswerTensor[]): {
  outputs: object[]
  raw_output_contents: Uint8Array[]
} {
  return {
    outputs: outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
    raw_output_contents: outputs.map((output) =>
      output.datatype === 'BYTES' ? stringsToBytes(output.strings) : bytesOf(output.values),
    ),
  }
}
