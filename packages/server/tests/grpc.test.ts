import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { credentials, loadPackageDefinition, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import fastify from 'fastify'
import { beforeAll, describe, expect, test } from 'vitest'
import { serveGrpc } from '../lib/grpc/server.ts'
import { bytesOf } from '../lib/protocol/datatypes.ts'
import { partsOf } from '../lib/server.ts'
import { type ServerOptions, settingsOf } from '../lib/settings.ts'
import { atEnd, folder, noise, root, saveSmall, writeToken } from './helpers.ts'

type Answer = Record<string, unknown> & {
  outputs: { name: string; shape: number[]; datatype: string }[]
  raw_output_contents: Buffer[]
}
type Method = (
  request: object,
  metadata: Metadata,
  options: object,
  done: (error: ServiceError | null, answer: Answer) => void,
) => void

const proto = join(root, 'packages/server/proto/inference.proto')
const { inference } = loadPackageDefinition(
  loadSync(proto, { keepCase: true, longs: Number, defaults: true }),
) as unknown as {
  inference: {
    GRPCInferenceService: new (
      address: string,
      credentials: object,
    ) => Record<string, Method> & { close(): void }
  }
}

async function clientOf(options: ServerOptions) {
  const settings = settingsOf({ ...options, grpcPort: 0 })
  const { core, plugin } = partsOf(settings)
  const app = fastify()
  await app.register(plugin)
  await app.ready()
  const server = await serveGrpc(core, settings)
  const client = new inference.GRPCInferenceService(`127.0.0.1:${server.port}`, credentials.createInsecure())
  atEnd(async () => {
    client.close()
    await server.drain()
    await app.close()
  })
  return (name: string, request: object = {}, token?: string, deadline = 120_000): Promise<Answer> => {
    const metadata = new Metadata()
    if (token !== undefined) metadata.set('authorization', `Bearer ${token}`)
    return new Promise((resolve, reject) => {
      client[name]!.call(client, request, metadata, { deadline: Date.now() + deadline }, (error, answer) =>
        error ? reject(error) : resolve(answer),
      )
    })
  }
}

describe('gRPC', () => {
  const path = join(folder(), 'small.onnx')
  const network = saveSmall(path)
  const model = network.compile({ inputShape: [1, 8, 8] })
  let call: Awaited<ReturnType<typeof clientOf>>
  beforeAll(async () => {
    call = await clientOf({ model: { small: path, digits: join(root, 'models/lenet5-mnist.safetensors') } })
  })
  const images = noise(128)
  const input = { name: 'input', datatype: 'FP32', shape: [2, 1, 8, 8] }

  test('health and metadata', async () => {
    expect(await call('ServerLive')).toEqual({ live: true })
    expect(await call('ServerReady')).toEqual({ ready: true })
    expect(await call('ModelReady', { name: 'small' })).toEqual({ ready: true })
    expect(await call('ServerMetadata')).toMatchObject({ name: 'kernelet' })
    expect(await call('ModelMetadata', { name: 'small' })).toEqual({
      name: 'small',
      versions: ['1'],
      platform: 'kernelet',
      properties: {},
      inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 1, 8, 8] }],
      outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, 3] }],
    })
  })

  test('inference: the bits of run, from raw bytes and from typed contents', async () => {
    const requests = [
      { inputs: [input], raw_input_contents: [bytesOf(images)] },
      { inputs: [{ ...input, contents: { fp32_contents: Array.from(images) } }] },
    ]
    for (const request of requests) {
      const answer = await call('ModelInfer', { model_name: 'small', id: 'q', ...request })
      expect(answer).toMatchObject({ model_name: 'small', model_version: '1', id: 'q' })
      expect(answer.outputs).toMatchObject([{ name: 'output', datatype: 'FP32', shape: [2, 3] }])
      const bytes = Uint8Array.from(answer.raw_output_contents[0]!)
      expect(new Float32Array(bytes.buffer)).toEqual(model.run(images))
    }
  })

  test('pictures as BYTES', async () => {
    const picture = readFileSync(join(root, 'examples/digits/5-dotted-pen.png'))
    const answer = await call('ModelInfer', {
      model_name: 'digits',
      inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], contents: { bytes_contents: [picture] } }],
      outputs: [{ name: 'label' }],
    })
    expect(answer.raw_output_contents[0]!.subarray(4).toString()).toBe('5')
  })

  test.each([
    ['another model', { model_name: 'none', inputs: [input] }, status.NOT_FOUND, /There is no model "none"/],
    ['no inputs', { model_name: 'small' }, status.INVALID_ARGUMENT, /has no inputs/],
    [
      'too few bytes',
      { model_name: 'small', inputs: [input], raw_input_contents: [Buffer.alloc(8)] },
      status.INVALID_ARGUMENT,
      /512 bytes, but 8 came/,
    ],
    [
      'contents of another type',
      { model_name: 'small', inputs: [{ ...input, contents: { int_contents: [1] } }] },
      status.INVALID_ARGUMENT,
      /its numbers are int_contents, not fp32_contents/,
    ],
    [
      'a number of raw contents',
      { model_name: 'small', inputs: [input], raw_input_contents: [Buffer.alloc(1), Buffer.alloc(1)] },
      status.INVALID_ARGUMENT,
      /1 inputs but 2 raw/,
    ],
    [
      'a huge shape',
      { model_name: 'small', inputs: [{ ...input, shape: [2 ** 40, 2 ** 40] }] },
      status.INVALID_ARGUMENT,
      /would take/,
    ],
  ])('refuses %s', async (_, request, code, details) => {
    await expect(call('ModelInfer', request)).rejects.toMatchObject({
      code,
      details: expect.stringMatching(details),
    })
  })

  test('the repository wants a token, and so does all else where there is one', async () => {
    await expect(call('RepositoryIndex')).rejects.toMatchObject({ code: status.PERMISSION_DENIED })
    const guarded = await clientOf({
      model: { small: path },
      tokenFile: writeToken(join(folder(), 'token'), 'secret'),
    })
    expect(await guarded('ServerLive')).toEqual({ live: true })
    await expect(guarded('ServerMetadata')).rejects.toMatchObject({ code: status.UNAUTHENTICATED })
    await guarded('RepositoryModelUnload', { model_name: 'small' }, 'secret')
    await expect(guarded('ModelReady', { name: 'small' }, 'secret')).rejects.toMatchObject({
      code: status.NOT_FOUND,
    })
    await guarded('RepositoryModelLoad', { model_name: 'small' }, 'secret')
    expect(await guarded('RepositoryIndex', {}, 'secret')).toMatchObject({
      models: [{ name: 'small', state: 'READY' }],
    })
  })
})
