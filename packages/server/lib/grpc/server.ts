/** The protocol over gRPC: the same calls, answers and refusals as over HTTP. */
import { fileURLToPath } from 'node:url'
import {
  loadPackageDefinition,
  type Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { version } from 'kernelet'
import type { Core } from '../core.ts'
import { type Reason, RequestError as Refusal, type RequestError, refusalOf } from '../errors.ts'
import { extensions } from '../http/plugin.ts'
import type { AnswerTensor } from '../protocol/call.ts'
import type { Settings } from '../settings.ts'
import { Tokens } from '../tokens.ts'
import { type InferRequest, readRequest, writeResponse } from './convert.ts'

export interface GrpcServing {
  port: number
  /** Takes no more calls; resolves when those that came are answered. */
  drain(): Promise<void>
  stop(): void
}

const codes: Readonly<Record<Reason, status>> = {
  bad_request: status.INVALID_ARGUMENT,
  unauthorized: status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
  not_found: status.NOT_FOUND,
  timeout: status.DEADLINE_EXCEEDED,
  too_large: status.RESOURCE_EXHAUSTED,
  unsupported_media: status.INVALID_ARGUMENT,
  overloaded: status.UNAVAILABLE,
  draining: status.UNAVAILABLE,
  hung_up: status.CANCELLED,
  internal: status.INTERNAL,
}

/** The part of a unary call that is used. */
interface Call {
  request: Readonly<Record<string, unknown>>
  metadata: Metadata
  cancelled: boolean
  getDeadline(): Date | number
}
type Reply = sendUnaryData<object>

export async function serveGrpc(core: Core, settings: Settings): Promise<GrpcServing> {
  const file = fileURLToPath(new URL('../../proto/inference.proto', import.meta.url))
  const definition = loadSync(file, { keepCase: true, longs: Number, defaults: true, oneofs: true })
  const { inference } = loadPackageDefinition(definition) as unknown as {
    inference: { GRPCInferenceService: { service: ServiceDefinition } }
  }
  const tokens = settings.tokenFile === undefined ? undefined : Tokens.read(settings.tokenFile)
  const server = new Server({ 'grpc.max_receive_message_length': settings.maxBody })
  server.addService(inference.GRPCInferenceService.service, handlers(core, tokens))
  const port = await new Promise<number>((resolve, reject) => {
    const address = `${settings.host.includes(':') ? `[${settings.host}]` : settings.host}:${settings.grpcPort}`
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(new Error(`--grpc-port: ${reasonOf(error)}`, { cause: error })) : resolve(bound),
    )
  })
  return {
    port,
    drain: () => new Promise((resolve) => server.tryShutdown(() => resolve())),
    stop: () => server.forceShutdown(),
  }
}

/** What the system says, out of grpc-js's sentence about all addresses of a name. */
function reasonOf({ message }: Error): string {
  return /\[(.*)\]$/.exec(message)?.[1] ?? message
}

function handlers(core: Core, tokens: Tokens | undefined) {
  const fail = (reply: Reply, error: RequestError, model = ''): void => {
    core.metrics.failed(model, error.reason)
    if (error.reason === 'internal') core.log.error({ err: error.cause ?? error }, 'gRPC call failed')
    reply({ code: codes[error.reason], details: error.message })
  }
  /** A method, its refusals answered. */
  const method =
    (work: (call: Call, reply: Reply) => unknown, isOpen = false) =>
    (call: Call, reply: Reply): void => {
      const answer = async (): Promise<void> => {
        const [token] = call.metadata.get('authorization')
        if (tokens && !isOpen && !tokens.accept(token === undefined ? undefined : String(token))) {
          throw new Refusal('unauthorized', 'The call needs the metadata authorization: Bearer TOKEN')
        }
        const result = await work(call, reply)
        if (result !== undefined) reply(null, result as object)
      }
      answer().catch((error) => fail(reply, refusalOf(error)))
    }
  const repository = (work: (call: Call) => unknown) =>
    method((call) => {
      if (!tokens) throw new Refusal('forbidden', 'The model repository is off: it needs --token-file')
      return work(call)
    })
  const text = (value: unknown): string => String(value ?? '')
  return {
    ServerLive: method(() => ({ live: true }), true),
    ServerReady: method(() => ({ ready: core.control.ready() }), true),
    ServerMetadata: method(() => ({ name: 'kernelet', version, extensions })),
    ModelReady: method(({ request }) => {
      core.registry.get(text(request.name), text(request.version))
      return { ready: true }
    }),
    ModelMetadata: method(({ request }) => {
      const { name, engine } = core.registry.get(text(request.name), text(request.version))
      const { inputs, outputs } = engine
      return { name, versions: core.registry.versions(name), platform: 'kernelet', inputs, outputs }
    }),
    ModelInfer: method((call, reply) => {
      const request = call.request as unknown as InferRequest
      const served = core.registry.get(request.model_name, request.model_version)
      const read = readRequest(request)
      const left = Number(call.getDeadline()) - Date.now()
      const timeout = Number.isFinite(left) ? Math.min(left, read.timeout ?? left) : read.timeout
      core.infer(
        served,
        { ...read, timeout },
        () => !call.cancelled,
        (error: RequestError | undefined, outputs: readonly AnswerTensor[] | undefined) => {
          if (error) return fail(reply, error, served.name)
          reply(null, {
            model_name: served.name,
            model_version: served.version,
            id: read.id ?? '',
            ...writeResponse(outputs ?? []),
          })
        },
      )
      return undefined
    }),
    RepositoryIndex: repository(async ({ request }) => ({
      models: await core.registry.index(request.ready === true),
    })),
    RepositoryModelLoad: repository(async ({ request }) => {
      await core.control.load(text(request.model_name))
      return {}
    }),
    RepositoryModelUnload: repository(async ({ request }) => {
      await core.control.unload(text(request.model_name))
      return {}
    }),
  }
}
