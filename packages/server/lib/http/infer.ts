/** POST …/infer: a call out of a body, and the answer into one. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Core } from '../core.ts'
import { badRequest, RequestError as Refusal, type RequestError, refusalOf } from '../errors.ts'
import { type AnswerHead, writeAnswer } from '../protocol/answer.ts'
import type { AnswerTensor, InferCall } from '../protocol/call.ts'
import { readBinaryCall, readJsonCall } from '../protocol/read.ts'

export interface ModelParams {
  model: string
  version?: string
}

const LENGTH = 'inference-header-content-length'

export function infer(core: Core, request: FastifyRequest, reply: FastifyReply): void {
  const { model, version } = request.params as ModelParams
  const served = core.registry.get(model, version)
  request.model = served.name
  const call = callOf(request)
  const { raw } = reply
  core.infer(
    served,
    call,
    () => !raw.destroyed,
    (error: RequestError | undefined, outputs: readonly AnswerTensor[] | undefined) => {
      if (error) return refuse(core, request, reply, error)
      const head: AnswerHead = { model_name: served.name, model_version: served.version }
      if (call.id !== undefined) head.id = call.id
      try {
        const { body, jsonLength } = writeAnswer(head, outputs ?? [])
        if (jsonLength === undefined) reply.header('content-type', 'application/json')
        else reply.header(LENGTH, jsonLength).header('content-type', 'application/octet-stream')
        reply.send(body)
      } catch (fault) {
        refuse(core, request, reply, refusalOf(fault))
      }
    },
  )
}

function callOf(request: FastifyRequest): InferCall {
  const length = request.headers[LENGTH]
  const { body } = request
  if (!(body instanceof Uint8Array)) throw badRequest('The request has no body')
  if (length !== undefined) return readBinaryCall(body, String(length))
  const type = request.headers['content-type'] ?? ''
  if (/^application\/(json|.*\+json)/i.test(type) || type === '') return readJsonCall(body)
  if (/^application\/octet-stream/i.test(type)) {
    throw badRequest(
      'Binary tensors come with the header Inference-Header-Content-Length: the bytes of JSON before them',
    )
  }
  throw new Refusal(
    'unsupported_media',
    `Tensors come as application/json or application/octet-stream, not ${type}`,
  )
}

/** Answers a refusal, and counts it. */
export function refuse(core: Core, request: FastifyRequest, reply: FastifyReply, error: RequestError): void {
  const { reason, statusCode, message } = error
  core.metrics.failed(request.model ?? '', reason)
  if (reason === 'internal') request.log.error({ err: error.cause ?? error }, 'request failed')
  if (reason === 'hung_up') {
    reply.hijack()
    reply.raw.destroy()
    return
  }
  if (statusCode === 503) reply.header('retry-after', '1')
  if (statusCode === 401) reply.header('www-authenticate', 'Bearer')
  reply
    .code(statusCode)
    .header('content-type', 'application/json')
    .send(JSON.stringify({ error: message }))
}
