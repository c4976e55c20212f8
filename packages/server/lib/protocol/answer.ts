/** Answers of the Open Inference Protocol: outputs chosen, classified, and written as JSON or binary data. */
import { badRequest } from '../errors.ts'
import type { AnswerTensor, InferCall, OutputTensor } from './call.ts'
import { bytesOf, type Datatype, stringsToBytes, toJson } from './datatypes.ts'

/** The outputs that a call asked for, in its order. */
export function chosenOutputs(
  call: InferCall,
  outputs: readonly OutputTensor[],
  labels: readonly string[] | undefined,
): AnswerTensor[] {
  if (!call.outputs) {
    const { binary } = call
    // written out: a spread costs several times as much
    return outputs.map(({ name, datatype, shape, values }) => ({ name, datatype, shape, values, binary }))
  }
  return call.outputs.map(({ name, binary, classification }) => {
    const output = outputs.find((one) => one.name === name) as OutputTensor
    return classification > 0 ? classified(output, classification, labels, binary) : { ...output, binary }
  })
}

/** Refuses, before anything runs, outputs that the model does not have. */
export function checkOutputs(call: InferCall, names: readonly string[]): void {
  for (const { name } of call.outputs ?? []) {
    if (!names.includes(name)) {
      throw badRequest(`There is no output ${JSON.stringify(name)}; there are ${names.join(', ')}`)
    }
  }
}

/** The highest classes of each image as strings: score:index, and :label where there are labels. */
export function classified(
  { name, values, shape }: OutputTensor,
  wanted: number,
  labels: readonly string[] | undefined,
  binary: boolean,
): AnswerTensor {
  const images = shape[0] ?? 1
  const scores = Array.from(values as ArrayLike<number | bigint>, Number)
  const classes = images === 0 ? 0 : scores.length / images
  const count = Math.min(wanted, classes)
  const strings: Uint8Array[] = []
  for (let image = 0; image < images; image++) {
    const own = scores.slice(image * classes, (image + 1) * classes)
    const order = own.map((_, i) => i).sort((a, b) => (own[b] as number) - (own[a] as number) || a - b)
    for (const i of order.slice(0, count)) {
      const label = labels?.length === classes ? `:${labels[i]}` : ''
      strings.push(Buffer.from(`${own[i]}:${i}${label}`))
    }
  }
  return { name, datatype: 'BYTES', shape: [images, count], strings, binary }
}

export interface AnswerHead {
  model_name: string
  model_version: string
  id?: string
}

/** The body of an answer, and the length of its JSON where binary data follows. */
export interface Body {
  body: string | Buffer
  jsonLength: number | undefined
}

/** The JSON of a model's last answer of binary data, and what it says: the next one mostly says the same. */
interface Said {
  readonly version: string
  readonly outputs: readonly { name: string; datatype: Datatype; shape: readonly number[] }[]
  readonly json: Buffer
}

/** By the model's name, which is one that there is. */
const lately = new Map<string, Said>()

function saysSame(said: Said, version: string, outputs: readonly AnswerTensor[]): boolean {
  if (said.version !== version || said.outputs.length !== outputs.length) return false
  for (let k = 0; k < outputs.length; k++) {
    const output = outputs[k] as AnswerTensor
    const { name, datatype, shape } = said.outputs[k] as Said['outputs'][number]
    // how many bytes numbers have follows from these
    if (!output.binary || output.datatype === 'BYTES' || output.datatype !== datatype) return false
    if (output.name !== name || output.shape.length !== shape.length) return false
    for (let d = 0; d < shape.length; d++) if (output.shape[d] !== shape[d]) return false
  }
  return true
}

/** @param head model_name, model_version and id */
export function writeAnswer(head: AnswerHead, outputs: readonly AnswerTensor[]): Body {
  const said = lately.get(head.model_name)
  if (said && head.id === undefined && saysSame(said, head.model_version, outputs)) {
    return joined(
      said.json,
      outputs.map((output) => bytesOf((output as OutputTensor).values)),
    )
  }
  const binaries: Uint8Array[] = []
  const tensors = outputs.map((output) => {
    const { name, datatype, shape, binary } = output
    const start = `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape}],`
    if (binary) {
      const bytes = output.datatype === 'BYTES' ? stringsToBytes(output.strings) : bytesOf(output.values)
      binaries.push(bytes)
      return `${start}"parameters":{"binary_data_size":${bytes.length}}}`
    }
    return `${start}"data":${jsonOf(output)}}`
  })
  const json = `${JSON.stringify(head).slice(0, -1)},"outputs":[${tensors}]}`
  if (binaries.length === 0) return { body: json, jsonLength: undefined }
  const written = Buffer.from(json)
  if (head.id === undefined && binaries.length === outputs.length) {
    const own = outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: [...shape] }))
    lately.set(head.model_name, { version: head.model_version, outputs: own, json: written })
  }
  return joined(written, binaries)
}

/** JSON, and binary data behind it. */
function joined(json: Buffer, binaries: readonly Uint8Array[]): Body {
  const body = Buffer.allocUnsafe(binaries.reduce((sum, { length }) => sum + length, json.length))
  body.set(json)
  let at = json.length
  for (const bytes of binaries) {
    body.set(bytes, at)
    at += bytes.length
  }
  return { body, jsonLength: json.length }
}

function jsonOf(output: AnswerTensor): string {
  if (output.datatype !== 'BYTES') {
    if (output.datatype === 'FP16')
      throw badRequest(`The output ${output.name} is FP16: ask for it as binary data`)
    return toJson(output.values, output.datatype)
  }
  return JSON.stringify(output.strings.map((string) => Buffer.from(string).toString()))
}
