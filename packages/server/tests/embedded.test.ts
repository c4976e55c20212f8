import { context, type Span, type SpanContext, TraceFlags, trace } from '@opentelemetry/api'
import fastify from 'fastify'
import { expect, test } from 'vitest'
import { createServer } from '../lib/server.ts'
import { settingsOf } from '../lib/settings.ts'
import { atEnd, binary, json } from './helpers.ts'

const call = binary(
  {
    inputs: [
      { name: 'image', datatype: 'UINT8', shape: [1, 1, 28, 28], parameters: { binary_data_size: 784 } },
    ],
  },
  new Uint8Array(784),
)

test('a plugin below a prefix leaves the other routes as they are', async () => {
  const app = fastify()
  app.get('/mine', async () => ({ mine: true }))
  app.post('/echo', async (request) => request.body)
  app.register(createServer(), { prefix: '/ai' })
  await app.ready()
  atEnd(() => app.close())
  expect((await app.inject('/mine')).headers['x-frame-options']).toBeUndefined()
  expect(
    (await app.inject({ method: 'POST', url: '/echo', headers: json, payload: '{"a":1}' })).json(),
  ).toEqual({ a: 1 })
  expect((await app.inject('/elsewhere')).json()).toMatchObject({ statusCode: 404 })
  expect((await app.inject('/ai/v2/health/ready')).json()).toEqual({ ready: true })
  const answer = await app.inject({ method: 'POST', url: '/ai/v2/models/digits/infer', ...call })
  expect(answer.json()).toMatchObject({ model_name: 'digits', outputs: [{ shape: [1, 10] }] })
})

test('wrong options are told at once', () => {
  expect(() => createServer({ maxBatch: 0 })).toThrow(/maxBatch: must be >= 1, but is 0/)
  expect(() => settingsOf({ model: { 'a/b': 'x' } })).toThrow(/a model's name has letters/)
})

test('an inference is a span of OpenTelemetry, where that is there', async () => {
  const spans: { name: string; attributes: object; ended: boolean }[] = []
  const spanContext: SpanContext = {
    traceId: '1'.repeat(32),
    spanId: '1'.repeat(16),
    traceFlags: TraceFlags.SAMPLED,
  }
  trace.setGlobalTracerProvider({
    getTracer: () => ({
      startSpan(name: string): Span {
        const record = { name, attributes: {}, ended: false }
        spans.push(record)
        const span = {
          isRecording: () => true,
          spanContext: () => spanContext,
          setAttributes(attributes: object) {
            Object.assign(record.attributes, attributes)
            return span
          },
          setStatus: () => span,
          end() {
            record.ended = true
          },
        }
        return span as unknown as Span
      },
      startActiveSpan: () => {
        throw new Error('not used')
      },
    }),
  })
  atEnd(() => trace.disable())
  expect(context.active()).toBeDefined()
  const app = fastify()
  app.register(createServer())
  const address = await app.listen({ port: 0 })
  atEnd(() => app.close())
  const response = await fetch(`${address}/v2/models/digits/infer`, {
    method: 'POST',
    headers: { ...call.headers, connection: 'close' },
    body: new Uint8Array(call.payload),
  })
  await response.text()
  const none = await fetch(`${address}/v1/digits`, {
    method: 'POST',
    headers: { 'content-type': 'image/png', connection: 'close' },
    body: 'no picture',
  })
  await none.text()
  await expect
    .poll(() => spans)
    .toEqual([
      {
        name: 'infer',
        ended: true,
        attributes: {
          'http.request.method': 'POST',
          'http.response.status_code': 200,
          'kernelet.model': 'digits',
        },
      },
      {
        name: 'infer',
        ended: true,
        attributes: {
          'http.request.method': 'POST',
          'http.response.status_code': 400,
          'kernelet.model': 'digits',
        },
      },
    ])
})
