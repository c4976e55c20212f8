/** A process that serves: sockets, limits against slow clients, and an end that loses no request. */
import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { Server, type Socket } from 'node:net'
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import fastify, { type FastifyInstance, LogController } from 'fastify'
import type { Core, Log } from './core.ts'
import { partsOf, type Surroundings } from './server.ts'
import type { Settings } from './settings.ts'

/** Milliseconds that a client may take to send its headers, and a whole request. */
const HEADERS = 10_000
const REQUEST = 30_000
/** Milliseconds that an end is announced before it begins, and without any request before idle connections are closed. */
const FAREWELL = 150
const IDLE = 2000
/** They are counted by so many looks: where the machine is too busy for these, clients come late as well. */
const LOOKS = 20

/** Without what HTTP's own does: close idle connections at once. */
const stopListening = Server.prototype.close

export interface Serving {
  core: Core
  app: FastifyInstance
  log: Log
  /** http://127.0.0.1:8080, or the path of a socket. */
  address: string
  grpcPort: number | undefined
  /** Ends: no more requests are taken, those that came are answered. Resolves to whether all were within `grace`. */
  drain(): Promise<boolean>
}

export async function serveHere(settings: Settings, options: Surroundings = {}): Promise<Serving> {
  const app = fastify({
    logger: settings.logLevel === 'silent' ? false : { level: settings.logLevel },
    logController: new LogController({ disableRequestLogging: true }),
    trustProxy: settings.trustProxy,
    bodyLimit: settings.maxBody,
    connectionTimeout: 0,
    requestTimeout: REQUEST,
    keepAliveTimeout: 72_000,
    forceCloseConnections: false,
    return503OnClosing: false,
    requestIdHeader: 'x-request-id',
    genReqId: requestIds(),
    routerOptions: { maxParamLength: 256 },
    http: { headersTimeout: HEADERS, connectionsCheckingInterval: 1000 },
    clientErrorHandler: (error, socket) => answerBrokenRequest(error.code, socket),
  })
  let farewell = false
  let asked = false
  const { core, plugin } = partsOf(settings, { ...options, alone: true })
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (farewell) {
      reply.header('connection', 'close')
      asked = true
    }
    done(null, payload)
  })
  await app.register(plugin)
  const { host, port, socket } = settings
  // loaded before anybody can connect
  const serveGrpc = settings.grpcPort === undefined ? undefined : (await import('./grpc/server.ts')).serveGrpc
  const address = await app.listen(
    socket === undefined
      ? { host, port, listenTextResolver: quiet }
      : { path: socket, listenTextResolver: quiet },
  )
  const grpc = await serveGrpc?.(core, settings).catch(async (error: unknown) => {
    // what listens by now would keep the process alive
    await app.close()
    throw error
  })

  let ending: Promise<boolean> | undefined
  const drain = async (): Promise<boolean> => {
    core.draining = true
    const begin = performance.now()
    // Who asks whether it is ready hears that it is not, before anybody is refused.
    await pause(Math.min(FAREWELL, settings.grace / 4))
    // Just after those that wait have been accepted: no more connections, in all processes; then those there are, are
    // told to close in an answer: nobody is sent away to come back at a closing door. One closed while its next request
    // is on the way would lose that, so idle ones stay until no more requests come.
    await turn()
    const closed = new Promise<void>((resolve) => stopListening.call(app.server, () => resolve()))
    await pause(Math.min(FAREWELL, settings.grace / 4))
    farewell = true
    const look = Math.min(IDLE, settings.grace / 4) / LOOKS
    let open = true
    void closed.then(() => (open = false))
    for (let left = LOOKS; open && left > 0 && performance.now() - begin < settings.grace / 2; left--) {
      asked = false
      await Promise.race([closed, pause(look)])
      if (asked) left = LOOKS
    }
    app.server.closeIdleConnections()
    let whole = true
    const timer = setTimeout(
      () => {
        whole = false
        app.server.closeAllConnections()
        grpc?.stop()
      },
      Math.max(0, settings.grace - (performance.now() - begin)),
    )
    await Promise.all([closed, grpc?.drain()])
    clearTimeout(timer)
    await app.close()
    if (socket !== undefined) await rm(socket, { force: true })
    return whole
  }
  return {
    core,
    app,
    log: app.log,
    address: socket ?? address,
    grpcPort: grpc?.port,
    drain: () => (ending ??= drain()),
  }
}

const quiet = (): string => 'listening'

/** Ids that no other process gives: a name of this one, and a number. */
function requestIds(): () => string {
  const process = randomUUID()
  let next = 0
  return () => `${process}-${(next++).toString(36)}`
}

/** Answers what was no request of HTTP, or did not come in time. */
function answerBrokenRequest(code: string, socket: Socket): void {
  if (code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, message] =
    code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', 'The headers of the request are too large']
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'The request did not come in time']
        : ['400 Bad Request', 'The request is not HTTP']
  const body = JSON.stringify({ error: message })
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}
