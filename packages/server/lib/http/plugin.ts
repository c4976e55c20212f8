/** All routes, as a plugin of Fastify. */
import multipart from '@fastify/multipart'
import swagger from '@fastify/swagger'
import type {
  FastifyBaseLogger,
  FastifyError,
  FastifyInstance,
  FastifyPluginAsync,
  FastifyReply,
  FastifyRequest,
} from 'fastify'
import { version } from 'kernelet'

import type { Core } from '../core.ts'
import { RequestError, refusalOf } from '../errors.ts'
import { playground } from '../playground/plugin.ts'
import type { Trains } from '../playground/train/training.ts'
import { securityHeaders } from '../security.ts'
import { isLocal } from '../settings.ts'
import type { Tokens } from '../tokens.ts'
import { type Tracing, traced } from '../tracing.ts'
import { classifyRequest } from './classify.ts'
import { infer, type ModelParams, refuse } from './infer.ts'
import { page } from './page.ts'
import * as schemas from './schemas.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The model that the request is for, once it is known to exist. */
    model: string | undefined
  }
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Anybody may ask the route, without a token. */
    open?: boolean
  }
}

export const extensions = ['binary_tensor_data', 'classification', 'model_repository']

/**
 * @param alone whether there are no other routes: what is not found is answered too
 * @param training what trains for the playground; default: this process
 */
export function routes(
  core: Core,
  tokens: Tokens | undefined,
  tracing: Tracing | undefined,
  alone: boolean,
  training?: Trains,
): FastifyPluginAsync {
  return async (app) => {
    const { settings } = core
    const headers = securityHeaders({
      contentSecurityPolicy: { directives: { defaultSrc: ["'none'"], styleSrc: ["'unsafe-inline'"] } },
    })
    app.addHook('onRequest', (_request, reply, done) => {
      reply.headers(headers)
      done()
    })
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'kernelet',
          version,
          description: 'The Open Inference Protocol v2, pictures of digits and other classes.',
        },
        ...(tokens && {
          components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
          security: [{ token: [] }],
        }),
      },
    })
    app.decorateRequest('model', undefined)
    app.removeAllContentTypeParsers()
    for (const type of ['application/json', '*']) {
      app.addContentTypeParser(
        type,
        { parseAs: 'buffer', bodyLimit: settings.maxBody },
        (request, body, done) => {
          const encoding = request.headers['content-encoding']
          if (encoding === undefined || encoding === 'identity') return done(null, body)
          done(
            new RequestError(
              'unsupported_media',
              `Bodies are not taken compressed, but this one is ${encoding}`,
            ),
          )
        },
      )
    }
    app.setErrorHandler((error: FastifyError, request, reply) => {
      refuse(core, request, reply, refusalOf(error))
    })
    if (alone) {
      app.setNotFoundHandler((request, reply) => {
        const path = request.url.split('?', 1)[0]
        refuse(core, request, reply, new RequestError('not_found', `There is no ${request.method} ${path}`))
      })
    }
    if (tokens) {
      app.addHook('onRequest', (request, _reply, done) => {
        if (request.routeOptions.config.open || tokens.accept(request.headers.authorization)) return done()
        done(new RequestError('unauthorized', 'The request needs the header Authorization: Bearer TOKEN'))
      })
    }
    app.addHook('onResponse', (request, reply, done) => {
      log(request, reply.statusCode, reply.elapsedTime)
      done()
    })

    health(app, core)
    models(app, core, tracing)
    repository(app, core, tokens !== undefined)
    // what forms take is done for each request of its context
    await app.register(async (below) => {
      await below.register(multipart)
      pictures(below, core, tracing)
    })
    app.get(
      '/metrics',
      { schema: { summary: 'For Prometheus', tags: ['server'] } },
      async (_request, reply) => {
        reply.header('content-type', core.metrics.registry.contentType)
        return core.control.metrics()
      },
    )
    app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
    const described = ['/routes']
    if (settings.playground ?? (alone && isLocal(settings))) await playground(app, core, training)
    else described.push('/')
    for (const path of described) {
      app.get(path, { schema: { hide: true } }, async (_request, reply) => {
        reply.header('content-type', 'text/html; charset=utf-8')
        return page(app.swagger())
      })
    }
  }
}

type Level = 'error' | 'info' | 'debug'

function log(request: FastifyRequest, status: number, milliseconds: number): void {
  const level = status >= 500 && status !== 503 ? 'error' : status >= 400 ? 'info' : 'debug'
  if (!isOn(request.log, level)) return
  const { method, url, model, headers } = request
  request.log[level](
    {
      method,
      // without the query, which may hold what is not for logs
      path: url.split('?', 1)[0],
      status,
      ms: Math.round(milliseconds * 1000) / 1000,
      ...(model !== undefined && { model }),
      ...(headers.traceparent !== undefined && { traceparent: headers.traceparent }),
    },
    'request',
  )
}

/** Whether a log takes what is told of it: pino says so, others take all that they have a method for. */
function isOn(
  log: FastifyBaseLogger & { isLevelEnabled?: (level: string) => boolean },
  level: Level,
): boolean {
  return log.isLevelEnabled ? log.isLevelEnabled(level) : log[level] !== undefined
}

function health(app: FastifyInstance, core: Core): void {
  const tags = ['health']
  app.get(
    '/v2/health/live',
    { config: { open: true }, schema: { summary: 'The server runs', tags, response: { 200: schemas.Live } } },
    async () => ({
      live: true,
    }),
  )
  app.get(
    '/v2/health/ready',
    {
      config: { open: true },
      schema: { summary: 'All models are ready', tags, response: { 200: schemas.Ready, 503: schemas.Ready } },
    },
    async (_request, reply) => {
      const ready = core.control.ready()
      if (!ready) reply.code(503).header('retry-after', '1')
      return { ready }
    },
  )
  // The protocol's description has it with the slash, its clients ask without.
  for (const path of ['/v2', '/v2/']) {
    app.get(
      path,
      { schema: { summary: 'The server', tags, hide: path !== '/v2', response: { 200: schemas.Server } } },
      async () => ({ name: 'kernelet', version, extensions }),
    )
  }
}

function models(app: FastifyInstance, core: Core, tracing: Tracing | undefined): void {
  const tags = ['inference']
  const get = (request: FastifyRequest) => {
    const { model, version: wanted } = request.params as ModelParams
    return core.registry.get(model, wanted)
  }
  for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
    const params = path.endsWith(':version') ? schemas.ModelVersion : schemas.Model
    app.get(
      path,
      {
        schema: {
          summary: 'Inputs and outputs of a model',
          tags,
          params,
          response: schemas.answers(schemas.Metadata),
        },
      },
      async (request) => {
        const { name, engine } = get(request)
        const { inputs, outputs } = engine
        return { name, versions: core.registry.versions(name), platform: 'kernelet', inputs, outputs }
      },
    )
    app.get(
      `${path}/ready`,
      {
        schema: {
          summary: 'The model is ready',
          tags,
          params,
          response: schemas.answers(schemas.ModelReady),
        },
      },
      async (request) => {
        const { name } = get(request)
        return { name, ready: true }
      },
    )
    app.post(
      `${path}/infer`,
      {
        bodyLimit: core.settings.maxBody,
        schema: {
          summary: 'Inference',
          tags,
          params,
          body: schemas.Infer,
          consumes: ['application/json', 'application/octet-stream'],
        },
        // The protocol's own reader says in a sentence what does not fit; answers are written by hand.
        validatorCompiler: () => () => true,
      },
      (request, reply) => traced(tracing, request, () => infer(core, request, reply), reply),
    )
  }
}

function repository(app: FastifyInstance, core: Core, allowed: boolean): void {
  const tags = ['repository']
  const off = new RequestError('forbidden', 'The model repository is off: it needs --token-file')
  const guard = allowed
    ? {}
    : { onRequest: (_request: unknown, _reply: unknown, done: (error?: Error) => void) => done(off) }
  app.post(
    '/v2/repository/index',
    { ...guard, schema: { summary: 'All models there are', tags, response: schemas.answers(schemas.Index) } },
    async (request) => {
      const { body } = request
      const ready = body instanceof Uint8Array && /"ready"\s*:\s*true/.test(Buffer.from(body).toString())
      return core.registry.index(ready)
    },
  )
  const act = (verb: 'load' | 'unload') =>
    app.post(
      `/v2/repository/models/:model/${verb}`,
      { ...guard, schema: { summary: `${verb} a model`, tags, params: schemas.Model } },
      async (request, reply) => {
        const { model } = request.params as ModelParams
        await core.control[verb](model)
        request.log.info({ model }, `${verb} done`)
        reply.header('content-type', 'application/json')
        return '{}'
      },
    )
  act('load')
  act('unload')
}

function pictures(app: FastifyInstance, core: Core, tracing: Tracing | undefined): void {
  const tags = ['pictures']
  const consumes = ['image/*', 'multipart/form-data', 'application/json']
  const bodyLimit = core.settings.maxBody
  const validatorCompiler = () => () => true
  const answer = async (model: string, request: FastifyRequest, reply: FastifyReply, digits: boolean) => {
    const served = core.registry.get(model)
    request.model = served.name
    return classifyRequest(core, served, request, reply, digits)
  }
  app.post(
    '/v1/digits',
    {
      bodyLimit,
      validatorCompiler,
      schema: {
        summary: 'Pictures to digits, by the model called digits',
        tags,
        consumes,
        body: schemas.Pictures,
      },
    },
    (request, reply) => traced(tracing, request, () => answer('digits', request, reply, true), reply),
  )
  app.post(
    '/v1/models/:model/classify',
    {
      bodyLimit,
      validatorCompiler,
      schema: {
        summary: 'Pictures to classes',
        tags,
        consumes,
        params: schemas.Model,
        body: schemas.Pictures,
      },
    },
    (request, reply) =>
      traced(
        tracing,
        request,
        () => answer((request.params as ModelParams).model, request, reply, false),
        reply,
      ),
  )
}
