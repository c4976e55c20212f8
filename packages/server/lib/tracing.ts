/** Spans of OpenTelemetry, where the application has its API installed. */
import type { Context, Span, SpanKind, SpanStatusCode, Tracer } from '@opentelemetry/api'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { version } from 'kernelet'

/** The part of @opentelemetry/api that is used. */
export interface Tracing {
  tracer: Tracer
  contextOf(headers: FastifyRequest['headers']): Context
  server: SpanKind
  error: SpanStatusCode
}

/** undefined where @opentelemetry/api is not installed. */
export async function loadTracing(): Promise<Tracing | undefined> {
  try {
    const { context, propagation, SpanKind, SpanStatusCode, trace } = await import('@opentelemetry/api')
    return {
      tracer: trace.getTracer('@kernelet/server', version),
      contextOf: (headers) => propagation.extract(context.active(), headers),
      server: SpanKind.SERVER,
      error: SpanStatusCode.ERROR,
    }
  } catch {
    return undefined
  }
}

/** Runs the work of a request within a span that ends with its answer. */
export function traced<T>(
  tracing: Tracing | undefined,
  request: FastifyRequest,
  work: () => T,
  reply: FastifyReply,
): T {
  if (!tracing) return work()
  const { tracer, contextOf, server, error } = tracing
  const span: Span = tracer.startSpan('infer', { kind: server }, contextOf(request.headers))
  if (!span.isRecording()) {
    span.end()
    return work()
  }
  reply.raw.once('close', () => {
    const { statusCode } = reply
    span.setAttributes({
      'http.request.method': request.method,
      'http.response.status_code': statusCode,
      'kernelet.model': request.model ?? '',
    })
    if (statusCode >= 500) span.setStatus({ code: error })
    span.end()
  })
  return work()
}
