import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LeNet5, saveOnnx, type Tensor } from 'kernelet'
import { beforeAll, describe, expect, test } from 'vitest'
import { onnxModel } from '../../../tests/onnx-models.ts'
import { floatsFromHalves, halvesFromFloats } from '../lib/protocol/datatypes.ts'
import { binary, folder, json, noise, root, saveSmall, serverOf, writeToken } from './helpers.ts'

type App = Awaited<ReturnType<typeof serverOf>>

const files = folder()
let app: App
let expected: (images: Float32Array) => Float32Array

beforeAll(async () => {
  const network = saveSmall(join(files, 'small.onnx'))
  const model = network.compile({ inputShape: [1, 8, 8] })
  expected = (images) => model.run(images).slice()
  app = await serverOf({ model: { small: join(files, 'small.onnx') }, maxFiles: 3, maxPixels: 100_000 })
})

const names = { name: 'input', datatype: 'FP32' }

describe('the server and its models', () => {
  test('health, metadata and readiness', async () => {
    const get = async (url: string) => (await app.inject(url)).json()
    expect(await get('/v2/health/live')).toEqual({ live: true })
    expect(await get('/v2/health/ready')).toEqual({ ready: true })
    expect(await get('/v2/')).toEqual(await get('/v2'))
    expect(await get('/v2')).toMatchObject({
      name: 'kernelet',
      extensions: ['binary_tensor_data', 'classification', 'model_repository'],
    })
    const metadata = {
      name: 'small',
      versions: ['1'],
      platform: 'kernelet',
      inputs: [{ name: 'input', datatype: 'FP32', shape: [-1, 1, 8, 8] }],
      outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, 3] }],
    }
    expect(await get('/v2/models/small')).toEqual(metadata)
    expect(await get('/v2/models/small/versions/1')).toEqual(metadata)
    expect(await get('/v2/models/small/ready')).toEqual({ name: 'small', ready: true })
  })

  test.each([
    ['GET', '/v2/models/none', 'There is no model "none"; there are small'],
    ['GET', '/v2/models/small/versions/2', 'small has no version "2"; it has 1'],
    ['POST', '/v2/models/none/infer', 'There is no model "none"; there are small'],
    ['GET', '/v2/models/..%2f..%2fetc', 'There is no model "../../etc"; there are small'],
    ['GET', '/v3', 'There is no GET /v3'],
    ['POST', '/v1/digits', 'There is no model "digits"; there are small'],
  ] as const)('%s %s is not found', async (method, url, error) => {
    const response = await app.inject({ method, url })
    expect([response.statusCode, response.json()]).toEqual([404, { error }])
  })

  test('says what it has in OpenAPI, and as a page', async () => {
    const { openapi, paths } = (await app.inject('/openapi.json')).json()
    expect(openapi).toBe('3.1.0')
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/v2/health/live', '/v2/models/{model}/infer', '/v1/digits', '/metrics']),
    )
    const page = await app.inject('/routes')
    expect(page.headers['content-type']).toMatch('text/html')
    expect(page.body).toContain('POST /v2/models/{model}/infer')
  })

  test('has security headers, and none for other origins', async () => {
    const { headers } = await app.inject({ url: '/v2', headers: { origin: 'http://elsewhere' } })
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'x-frame-options': 'SAMEORIGIN' })
    expect(headers['access-control-allow-origin']).toBeUndefined()
  })
})

describe('inference', () => {
  const post = (call: object, url = '/v2/models/small/infer') =>
    app.inject({ method: 'POST', url, headers: json, payload: JSON.stringify(call) })

  test('in JSON: the bits of run, with id and version', async () => {
    const images = noise(128)
    const response = await post({
      id: 'a',
      inputs: [{ ...names, shape: [2, 1, 8, 8], data: Array.from(images) }],
    })
    const { outputs, ...head } = response.json()
    expect(head).toEqual({ model_name: 'small', model_version: '1', id: 'a' })
    expect(outputs).toEqual([
      { name: 'output', datatype: 'FP32', shape: [2, 3], data: Array.from(expected(images)) },
    ])
  })

  test('in binary: the same bits', async () => {
    const images = noise(192)
    const response = await app.inject({
      method: 'POST',
      url: '/v2/models/small/versions/1/infer',
      ...binary(
        {
          inputs: [{ ...names, shape: [3, 1, 8, 8], parameters: { binary_data_size: images.byteLength } }],
          outputs: [{ name: 'output', parameters: { binary_data: true } }],
        },
        images,
      ),
    })
    const length = Number(response.headers['inference-header-content-length'])
    const head = JSON.parse(response.rawPayload.subarray(0, length).toString())
    expect(head.outputs).toEqual([
      { name: 'output', datatype: 'FP32', shape: [3, 3], parameters: { binary_data_size: 36 } },
    ])
    const bytes = Uint8Array.from(response.rawPayload.subarray(length))
    expect(new Float32Array(bytes.buffer)).toEqual(expected(images))
  })

  test("a body without a type, as Triton's client for Python sends it", async () => {
    const { payload, headers } = binary(
      {
        inputs: [{ ...names, shape: [1, 1, 8, 8], parameters: { binary_data_size: 256 } }],
        outputs: [{ name: 'output', parameters: { binary_data: false } }],
      },
      noise(64),
    )
    const { 'content-type': _, ...rest } = headers
    const response = await app.inject({
      method: 'POST',
      url: '/v2/models/small/infer',
      payload,
      headers: rest,
    })
    expect(response.json().outputs[0].data).toEqual(Array.from(expected(noise(64))))
  })

  test('FP16 and UINT8 are brought to the floats of the model', async () => {
    const halves = halvesFromFloats(noise(64))
    const pixels = Uint8Array.from({ length: 64 }, (_, i) => (i * 37) % 256)
    for (const [datatype, data, floats] of [
      ['FP16', halves, floatsFromHalves(halves)],
      ['UINT8', pixels, Float32Array.from(pixels, (pixel) => pixel / 255)],
    ] as const) {
      const call = {
        inputs: [
          { name: 'input', datatype, shape: [1, 1, 8, 8], parameters: { binary_data_size: data.byteLength } },
        ],
      }
      const response = await app.inject({
        method: 'POST',
        url: '/v2/models/small/infer',
        ...binary(call, data),
      })
      const [output] = response.json().outputs
      for (const [i, value] of expected(floats).entries()) expect(output.data[i]).toBeCloseTo(value, 5)
    }
  })

  test('concurrent requests share batches and keep apart', async () => {
    const all = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const images = noise(64 * (1 + (i % 3)), i + 1)
        const response = await post({
          inputs: [{ ...names, shape: [1 + (i % 3), 1, 8, 8], data: Array.from(images) }],
        })
        return [response.json().outputs[0].data, Array.from(expected(images))]
      }),
    )
    for (const [came, wanted] of all) expect(came).toEqual(wanted)
    const metrics = (await app.inject('/metrics')).body
    expect(metrics).toMatch(/kernelet_batch_images_bucket\{le="64",model="small"\} \d+/)
    expect(metrics).toMatch(/kernelet_requests_total\{model="small"\} [1-9]/)
    expect(metrics).toMatch(/nodejs_eventloop_lag_p99_seconds/)
  })

  test('classification: the highest classes as strings', async () => {
    const images = noise(64)
    const response = await post({
      inputs: [{ ...names, shape: [1, 1, 8, 8], data: Array.from(images) }],
      outputs: [{ name: 'output', parameters: { classification: 2 } }],
    })
    const scores = Array.from(expected(images))
    const order = [0, 1, 2].sort((a, b) => scores[b]! - scores[a]!)
    const [output] = response.json().outputs
    expect(output).toMatchObject({ datatype: 'BYTES', shape: [1, 2] })
    expect(output.data.map((one: string) => one.split(':').slice(0, 2))).toEqual(
      order.slice(0, 2).map((i) => [String(scores[i]), String(i)]),
    )
  })

  const data = Array.from({ length: 64 }, () => 0)
  test.each([
    [
      'another input',
      { inputs: [{ ...names, name: 'x', shape: [1, 1, 8, 8], data }] },
      'There is no input "x"; there are input',
    ],
    [
      'another shape',
      { inputs: [{ ...names, shape: [1, 64], data }] },
      "The input input is FP32 [-1,1,8,8] but the request's shape is [1,64]",
    ],
    [
      'another type',
      { inputs: [{ ...names, datatype: 'INT32', shape: [1, 1, 8, 8], data }] },
      'The input input takes FP32, FP16 or UINT8 but the request brings INT32',
    ],
    [
      'another output',
      { inputs: [{ ...names, shape: [1, 1, 8, 8], data }], outputs: [{ name: 'z' }] },
      'There is no output "z"; there are output',
    ],
    [
      'no image',
      { inputs: [{ ...names, shape: [0, 1, 8, 8], data: [] }] },
      'The request has no images: the first dimension of its shape is 0',
    ],
  ])('refuses %s', async (_, call, error) => {
    const response = await post(call)
    expect([response.statusCode, response.json()]).toEqual([400, { error }])
  })

  test.each([
    [400, 'no JSON', json, '{"inputs":'],
    [400, 'no body', {}, undefined],
    [400, 'binary data without the length of its JSON', { 'content-type': 'application/octet-stream' }, 'x'],
    [415, 'a form', { 'content-type': 'application/x-www-form-urlencoded' }, 'a=b'],
    [415, 'a compressed body', { ...json, 'content-encoding': 'gzip' }, 'x'],
    [
      413,
      'more images than may wait',
      json,
      JSON.stringify({ inputs: [{ ...names, shape: [2000, 1, 8, 8], data: Array(128000).fill(0) }] }),
    ],
  ] as const)('%i for %s', async (status, _, headers, payload) => {
    const response = await app.inject({
      method: 'POST',
      url: '/v2/models/small/infer',
      headers,
      ...(payload !== undefined && { payload }),
    })
    expect(response.statusCode).toBe(status)
    expect(Object.keys(response.json())).toEqual(['error'])
  })

  test('413 for a body beyond --max-body', async () => {
    const small = await serverOf({ maxBody: 100 })
    const response = await small.inject({
      method: 'POST',
      url: '/v2/models/digits/infer',
      headers: json,
      payload: 'x'.repeat(101),
    })
    expect([response.statusCode, response.json()]).toEqual([
      413,
      { error: 'The body of the request is larger than is taken (--max-body)' },
    ])
  })

  test('504 for a timeout of no time', async () => {
    const response = await post({
      inputs: [{ ...names, shape: [1, 1, 8, 8], data }],
      parameters: { timeout: 0 },
    })
    expect(response.statusCode).toBe(504)
    expect((await app.inject('/metrics')).body).toContain(
      'kernelet_failures_total{model="small",reason="timeout"} 1',
    )
  })
})

describe('models of other kinds', () => {
  const ask = async (file: Uint8Array, call: object) => {
    const path = join(files, 'other.onnx')
    writeFileSync(path, file)
    const server = await serverOf({ model: { other: path } })
    const response = await server.inject({
      method: 'POST',
      url: '/v2/models/other/infer',
      headers: json,
      payload: JSON.stringify(call),
    })
    return { status: response.statusCode, ...response.json() }
  }

  test('several inputs and outputs', async () => {
    const model = onnxModel({
      nodes: [
        { op: 'Add', inputs: ['a', 'b'], outputs: ['sum'] },
        { op: 'Mul', inputs: ['a', 'b'], outputs: ['product'] },
      ],
      inputs: { a: { shape: ['n', 2] }, b: { shape: ['n', 2] } },
      outputs: ['sum', 'product'],
    })
    const inputs = [
      { name: 'b', datatype: 'FP32', shape: [2, 2], data: [5, 6, 7, 8] },
      { name: 'a', datatype: 'FP32', shape: [2, 2], data: [1, 2, 3, 4] },
    ]
    const { outputs } = await ask(model, { inputs })
    expect(outputs).toEqual([
      { name: 'sum', datatype: 'FP32', shape: [2, 2], data: [6, 8, 10, 12] },
      { name: 'product', datatype: 'FP32', shape: [2, 2], data: [5, 12, 21, 32] },
    ])
    const short = [inputs[0], { ...inputs[1], shape: [1, 2], data: [1, 2] }]
    expect(await ask(model, { inputs: short })).toMatchObject({
      status: 400,
      error: expect.stringMatching(/as many images/),
    })
    expect(await ask(model, { inputs: inputs.slice(1) })).toMatchObject({
      status: 400,
      error: 'The input b (FP32 [-1,2]) is missing',
    })
  })

  test('integers', async () => {
    const model = onnxModel({
      nodes: [{ op: 'Add', inputs: ['a', 'a'], outputs: ['sum'] }],
      inputs: { a: { type: 'int64', shape: ['n', 2] } },
      outputs: ['sum'],
    })
    const input = { name: 'a', datatype: 'INT64', shape: [1, 2], data: [2 ** 52, -3] }
    expect((await ask(model, { inputs: [input] })).outputs).toEqual([
      { name: 'sum', datatype: 'INT64', shape: [1, 2], data: [2 ** 53, -6] },
    ])
    expect(await ask(model, { inputs: [{ ...input, datatype: 'INT32', data: [1, 2] }] })).toMatchObject({
      status: 400,
    })
  })

  test('the shipped digits take bytes and floats of the same picture', async () => {
    const server = await serverOf()
    const pixels = Uint8Array.from({ length: 784 }, (_, i) => (i * 31) % 256)
    const floats = Float32Array.from(pixels, (pixel) => pixel / 255)
    const answers = await Promise.all(
      (
        [
          ['UINT8', pixels],
          ['FP32', floats],
        ] as const
      ).map(async ([datatype, values]) => {
        const call = {
          inputs: [
            {
              name: 'image',
              datatype,
              shape: [1, 1, 28, 28],
              parameters: { binary_data_size: values.byteLength },
            },
          ],
        }
        const response = await server.inject({
          method: 'POST',
          url: '/v2/models/digits/infer',
          ...binary(call, values),
        })
        return response.json().outputs[0].data as number[]
      }),
    )
    for (let i = 0; i < 10; i++) expect(answers[0]![i]).toBeCloseTo(answers[1]![i]!, 5)
    expect(answers[0]!.reduce((a, b) => a + b)).toBeCloseTo(1, 5)
  })
})

describe('pictures', () => {
  const picture = (name: string) => readFileSync(join(root, 'examples/digits', name))
  const five = picture('5-dotted-pen.png')
  let digits: App
  beforeAll(async () => {
    digits = await serverOf({ maxPixels: 200_000, maxFiles: 3 })
  })
  const form = (...parts: Buffer[]) => {
    const boundary = 'x-x-x'
    const payload = Buffer.concat([
      ...parts.flatMap((bytes, i) => [
        Buffer.from(
          `--${boundary}\r\nContent-Disposition: form-data; name="f${i}"; filename="${i}.png"\r\nContent-Type: image/png\r\n\r\n`,
        ),
        bytes,
        Buffer.from('\r\n'),
      ]),
      Buffer.from(`--${boundary}--\r\n`),
    ])
    return { payload, headers: { 'content-type': `multipart/form-data; boundary=${boundary}` } }
  }

  test('a raw body', async () => {
    const response = await digits.inject({
      method: 'POST',
      url: '/v1/digits',
      headers: { 'content-type': 'image/png' },
      payload: five,
    })
    expect(response.json()).toMatchObject({ digit: 5, status: 'digit' })
    expect(response.json().probabilities).toHaveLength(10)
    const label = await digits.inject({
      method: 'POST',
      url: '/v1/models/digits/classify',
      headers: { 'content-type': 'application/octet-stream' },
      payload: five,
    })
    expect(label.json()).toMatchObject({ label: '5', index: 5, status: 'class' })
  })

  test('several files in order, each with its own fault', async () => {
    const response = await digits.inject({
      method: 'POST',
      url: '/v1/digits',
      ...form(five, Buffer.from('no picture'), picture('1-pencil.png')),
    })
    const { results } = response.json()
    expect(results.map((one: { digit?: number; code?: number }) => one.digit ?? one.code)).toEqual([
      5, 400, 1,
    ])
  })

  test('base64 in JSON, one or several', async () => {
    const post = (body: object) =>
      digits.inject({ method: 'POST', url: '/v1/digits', headers: json, payload: JSON.stringify(body) })
    const image = five.toString('base64')
    expect((await post({ image })).json()).toMatchObject({ digit: 5 })
    expect((await post({ images: [image, `data:image/png;base64,${image}`] })).json().results).toMatchObject([
      { digit: 5 },
      { digit: 5 },
    ])
    expect((await post({})).statusCode).toBe(400)
    expect((await post({ images: [1] })).statusCode).toBe(400)
    expect((await post({ images: [image, image, image, image] })).statusCode).toBe(413)
  })

  test('BYTES, by the protocol', async () => {
    const call = {
      inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], data: [five.toString('base64')] }],
      outputs: [{ name: 'label' }, { name: 'confidence' }],
    }
    const response = await digits.inject({
      method: 'POST',
      url: '/v2/models/digits/infer',
      headers: json,
      payload: JSON.stringify(call),
    })
    expect(response.json().outputs).toMatchObject([
      { name: 'label', datatype: 'BYTES', data: ['5'] },
      { datatype: 'FP32' },
    ])
    const classes = await digits.inject({
      method: 'POST',
      url: '/v2/models/digits/infer',
      headers: json,
      payload: JSON.stringify({
        ...call,
        outputs: [{ name: 'probabilities', parameters: { classification: 2 } }],
      }),
    })
    expect(classes.json().outputs).toMatchObject([
      {
        name: 'probabilities',
        datatype: 'BYTES',
        shape: [1, 2],
        data: [expect.stringMatching(/:5:5$/), expect.stringMatching(/^[\d.e-]+:\d:\d$/)],
      },
    ])
  })

  test('504 for pictures whose timeout is over; batches are counted, but no queue', async () => {
    const call = {
      inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], data: [five.toString('base64')] }],
      parameters: { timeout: 0 },
    }
    const app = await serverOf()
    const post = (url: string, payload: string | Buffer, type: string) =>
      app.inject({ method: 'POST', url, headers: { 'content-type': type }, payload })
    const late = await post('/v2/models/digits/infer', JSON.stringify(call), 'application/json')
    expect([late.statusCode, late.json()]).toEqual([
      504,
      { error: 'The request waited longer than its timeout allows' },
    ])
    expect((await post('/v1/digits', five, 'image/png')).statusCode).toBe(200)
    const { body } = await app.inject('/metrics')
    expect(body).toContain('kernelet_batch_images_count{model="digits"} 1')
    expect(body).toContain('kernelet_request_seconds_count{model="digits"} 1')
    expect(body).not.toContain('kernelet_queue_seconds_count{model="digits"} 1')
  })

  test.each([
    [413, 'a picture that says it is huge', bomb()],
    [400, 'what is no picture', Buffer.from('hello')],
    [400, 'a damaged picture', five.subarray(0, 100)],
  ])('%i for %s', async (status, _, payload) => {
    const response = await digits.inject({
      method: 'POST',
      url: '/v1/digits',
      headers: { 'content-type': 'image/png' },
      payload,
    })
    expect([response.statusCode, Object.keys(response.json())]).toEqual([status, ['error']])
  })

  test('400 for a form that ends early, or has no file; 413 for too many files', async () => {
    const whole = form(five)
    const post = (request: { payload: Buffer; headers: Record<string, string> }) =>
      digits.inject({ method: 'POST', url: '/v1/digits', ...request })
    expect((await post({ ...whole, payload: whole.payload.subarray(0, 300) })).statusCode).toBe(400)
    expect((await post(form())).statusCode).toBe(400)
    const many = await post(form(five, five, five, five))
    expect([many.statusCode, many.json()]).toEqual([
      413,
      { error: 'The form has more files or fields than are taken (--max-files)' },
    ])
    expect((await post({ ...whole, headers: { 'content-type': 'multipart/form-data' } })).statusCode).toBe(
      400,
    )
  })

  test('400 for a model that is no classifier of pictures', async () => {
    const path = join(files, 'pair.onnx')
    saveOnnx(new Pair(), path, { inputShape: [1, 28, 28] })
    const server = await serverOf({ model: { pair: path } })
    const response = await server.inject({ method: 'POST', url: '/v1/models/pair/classify', payload: five })
    expect(response.statusCode).toBe(400)
  })
})

/** Gives a picture for a picture. */
class Pair extends LeNet5 {
  override forward(x: Tensor): Tensor {
    return this.conv1.forward(x)
  }
}

/** A PNG that says it has 50,000 × 50,000 pixels. */
function bomb(): Buffer {
  const bytes = Buffer.from(readFileSync(join(root, 'examples/digits/5-dotted-pen.png')))
  bytes.writeUInt32BE(50_000, 16)
  bytes.writeUInt32BE(50_000, 20)
  return bytes
}

describe('tokens', () => {
  test('every route but live and ready wants one', async () => {
    const server = await serverOf({ tokenFile: writeToken(join(files, 'token'), 'secret') })
    const status = async (url: string, authorization?: string) =>
      (await server.inject({ url, headers: authorization === undefined ? {} : { authorization } })).statusCode
    expect(await status('/v2/health/live')).toBe(200)
    expect(await status('/v2/health/ready')).toBe(200)
    for (const url of ['/v2', '/metrics', '/routes', '/openapi.json', '/v2/models/digits', '/elsewhere']) {
      expect(await status(url)).toBe(401)
      expect(await status(url, 'Bearer secrets')).toBe(401)
      expect(await status(url, 'Basic secret')).toBe(401)
    }
    expect(await status('/v2', 'Bearer secret')).toBe(200)
  })

  test('the repository is off without one', async () => {
    for (const url of [
      '/v2/repository/index',
      '/v2/repository/models/small/load',
      '/v2/repository/models/small/unload',
    ]) {
      expect((await app.inject({ method: 'POST', url })).statusCode).toBe(403)
    }
  })
})
