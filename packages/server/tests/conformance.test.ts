/**
 * The Open Inference Protocol from outside: answers have the form that its OpenAPI description asks for, and requests
 * as Triton's client for Python writes them (tritonclient.http, recorded) are answered.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TSchema, Type } from 'typebox'
import { Errors } from 'typebox/value'
import { beforeAll, describe, expect, test } from 'vitest'
import { json, noise, root, serverOf } from './helpers.ts'

let app: Awaited<ReturnType<typeof serverOf>>

beforeAll(async () => {
  app = await serverOf()
})

const strings = Type.Array(Type.String())
const shape = Type.Array(Type.Integer())
const parameters = Type.Optional(Type.Object({}))
const data: TSchema = Type.Cyclic(
  {
    Data: Type.Array(Type.Union([Type.Ref('Data'), Type.Number(), Type.String(), Type.Boolean()])),
  },
  'Data',
)
const tensor = Type.Object({ name: Type.String(), datatype: Type.String(), shape })
/** What the protocol's description (open_inference_rest.yaml) says of answers, by its own names. */
const forms: Record<string, TSchema> = {
  metadata_server_response: Type.Object({
    name: Type.String(),
    version: Type.String(),
    extensions: strings,
  }),
  metadata_model_response: Type.Object({
    name: Type.String(),
    versions: Type.Optional(strings),
    platform: Type.String(),
    inputs: Type.Optional(Type.Array(tensor)),
    outputs: Type.Optional(Type.Array(tensor)),
  }),
  inference_response: Type.Object({
    model_name: Type.String(),
    model_version: Type.Optional(Type.String()),
    id: Type.Optional(Type.String()),
    parameters,
    outputs: Type.Array(
      Type.Object({ name: Type.String(), shape, datatype: Type.String(), parameters, data }),
    ),
  }),
  inference_error_response: Type.Object({ error: Type.String() }),
}

function expectForm(form: string, value: unknown): void {
  expect(Errors(forms[form] as TSchema, value)).toEqual([])
}

const five = readFileSync(join(root, 'examples/digits/5-dotted-pen.png'))

describe("answers have the form of the protocol's description", () => {
  test('paths that it names, with its slashes', async () => {
    for (const url of ['/v2/health/live', '/v2/health/ready', '/v2/models/digits/versions/1/ready']) {
      expect((await app.inject(url)).statusCode).toBe(200)
    }
    expectForm('metadata_server_response', (await app.inject('/v2/')).json())
    expectForm('metadata_model_response', (await app.inject('/v2/models/digits/versions/1')).json())
  })

  const input = { name: 'image', datatype: 'FP32', shape: [1, 1, 28, 28] }
  test.each([
    [200, 'flat data', { id: '42', parameters: { x: 1 }, inputs: [{ ...input, data: Array(784).fill(0) }] }],
    [200, 'nested data', { inputs: [{ ...input, data: [[Array(28).fill(Array(28).fill(0.5))]] }] }],
    [
      200,
      'classification',
      {
        inputs: [{ ...input, data: Array(784).fill(0) }],
        outputs: [{ name: 'probabilities', parameters: { classification: 2 } }],
      },
    ],
    [
      200,
      'a picture',
      { inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], data: [five.toString('base64')] }] },
    ],
    [400, 'data that is short', { inputs: [{ ...input, data: [1] }] }],
    [400, 'inputs that are none', { inputs: 7 }],
    [404, 'a version that there is not', { inputs: [] }, 2],
  ])('%i for %s', async (status, _, call, version = 1) => {
    const response = await app.inject({
      method: 'POST',
      url: `/v2/models/digits/versions/${version}/infer`,
      headers: json,
      payload: JSON.stringify(call),
    })
    expect(response.statusCode).toBe(status)
    expectForm(status === 200 ? 'inference_response' : 'inference_error_response', response.json())
  })
})

describe("requests of Triton's client for Python", () => {
  const floats = noise(1568)
  const all = '"parameters":{"binary_data_output":true}'
  const fp32 =
    '"inputs":[{"name":"image","shape":[2,1,28,28],"datatype":"FP32","parameters":{"binary_data_size":6272}}]'
  const bytes = (length: number) =>
    `"inputs":[{"name":"image","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":${length}}}]`
  const length = Buffer.alloc(4)
  length.writeUInt32LE(five.length)
  const output = { name: 'probabilities', datatype: 'FP32', shape: [2, 10] }
  const binary = { ...output, parameters: { binary_data_size: 80 } }
  test.each([
    ['infer(inputs)', `{${fp32},${all}}`, floats, '', [binary]],
    [
      'infer(inputs, outputs, request_id, model_version, timeout)',
      `{"id":"7",${fp32},"outputs":[{"name":"probabilities","parameters":{"binary_data":true}}],"parameters":{"timeout":20000000}}`,
      floats,
      '/versions/1',
      [binary],
    ],
    [
      'binary_data=False, priority',
      `{${fp32},"outputs":[{"name":"probabilities","parameters":{"binary_data":false}}],"parameters":{"priority":1}}`,
      floats,
      '',
      [{ ...output, data: expect.any(Array) }],
    ],
    [
      'class_count',
      `{${fp32},"outputs":[{"name":"probabilities","parameters":{"classification":3,"binary_data":true}}]}`,
      floats,
      '',
      [{ name: 'probabilities', datatype: 'BYTES', shape: [2, 3] }],
    ],
    [
      'UINT8',
      `{"inputs":[{"name":"image","shape":[1,1,28,28],"datatype":"UINT8","parameters":{"binary_data_size":784}}],${all}}`,
      new Uint8Array(784),
      '',
      [{ ...output, shape: [1, 10], parameters: { binary_data_size: 40 } }],
    ],
    [
      'FP16',
      `{"inputs":[{"name":"image","shape":[2,1,28,28],"datatype":"FP16","parameters":{"binary_data_size":3136}}],${all}}`,
      new Uint16Array(1568),
      '',
      [binary],
    ],
    [
      'BYTES',
      `{${bytes(five.length + 4)},"outputs":[{"name":"label","parameters":{"binary_data":true}},{"name":"probabilities","parameters":{"binary_data":true}}]}`,
      Buffer.concat([length, five]),
      '',
      [
        { name: 'label', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: 5 } },
        { ...output, shape: [1, 10], parameters: { binary_data_size: 40 } },
      ],
    ],
  ])('%s', async (_, head, values, version, outputs) => {
    const { buffer, byteOffset, byteLength } = values
    // no Content-Type: the client sends none
    const response = await app.inject({
      method: 'POST',
      url: `/v2/models/digits${version}/infer`,
      headers: { 'inference-header-content-length': String(head.length) },
      payload: Buffer.concat([Buffer.from(head), Buffer.from(buffer, byteOffset, byteLength)]),
    })
    expect(response.statusCode).toBe(200)
    const said = response.headers['inference-header-content-length']
    const text = response.rawPayload.subarray(0, said === undefined ? undefined : Number(said)).toString()
    const answer = JSON.parse(text) as {
      id?: string
      outputs: { parameters?: { binary_data_size: number } }[]
    }
    expect(answer.id).toBe((JSON.parse(head) as { id?: string }).id)
    expect(answer.outputs).toMatchObject(outputs)
    const binaries = answer.outputs.reduce((sum, one) => sum + (one.parameters?.binary_data_size ?? 0), 0)
    expect(response.rawPayload.length).toBe(Buffer.byteLength(text) + binaries)
  })

  test('is_server_live … get_model_metadata', async () => {
    for (const url of ['/v2/health/live', '/v2/health/ready', '/v2/models/digits/versions/1/ready']) {
      expect((await app.inject(url)).statusCode).toBe(200)
    }
    expect((await app.inject('/v2')).json().name).toBe('kernelet')
    expect((await app.inject('/v2/models/digits')).json().inputs[0].name).toBe('image')
  })
})
