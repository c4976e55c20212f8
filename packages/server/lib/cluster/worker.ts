/** One of several processes that act as one server. */
import type { Control } from '../core.ts'
import { messageOf, type Reason, RequestError, refusalOf } from '../errors.ts'
import { RemoteTraining } from '../playground/train/remote.ts'
import { type Serving, serveHere } from '../process.ts'
import { type Act, type FromPrimary, type FromWorker, START, type Start } from './messages.ts'

const { settings, except } = JSON.parse(process.env[START] ?? '{}') as Start
const asked = new Map<number, (answer: FromPrimary & { kind: 'answer' }) => void>()
let next = 0
let allReady = false
let serving: Serving | undefined

function tell(message: FromWorker): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined)
}

/** Asks the primary for what all workers must do. */
async function ask(what: Act | { verb: 'metrics' }): Promise<string> {
  const id = next++
  const answer = await new Promise<FromPrimary & { kind: 'answer' }>((resolve) => {
    asked.set(id, resolve)
    tell({ kind: 'ask', id, ...what })
  })
  asked.delete(id)
  if (answer.error) throw new RequestError(answer.error.reason as Reason, answer.error.message)
  return answer.text ?? ''
}

const training = new RemoteTraining(tell)

const control: Control = {
  ready: () => allReady && serving?.core.ready === true,
  load: async (name) => void (await ask({ verb: 'load', name })),
  unload: async (name) => void (await ask({ verb: 'unload', name })),
  metrics: () => ask({ verb: 'metrics' }),
}

async function act({ verb, name, id }: Act & { id: number }): Promise<void> {
  try {
    await serving?.core.registry[verb](name)
    tell({ kind: 'done', id })
  } catch (error) {
    const { reason, message } = refusalOf(error)
    tell({ kind: 'done', id, error: { reason, message } })
  }
}

async function collect(id: number): Promise<void> {
  const metrics = (await serving?.core.metrics.registry.getMetricsAsJSON()) ?? []
  tell({ kind: 'collected', id, metrics })
}

async function end(): Promise<void> {
  const whole = (await serving?.drain()) ?? true
  tell({ kind: 'drained', whole })
  process.exit(0)
}

process.on('message', (message: FromPrimary) => {
  switch (message.kind) {
    case 'act':
      void act(message)
      break
    case 'collect':
      void collect(message.id)
      break
    case 'answer':
      asked.get(message.id)?.(message)
      break
    case 'ready':
      allReady = message.ready
      break
    case 'trained':
    case 'report':
      training.hear(message)
      break
    case 'drain':
      void end()
      break
  }
})
// The primary is gone: nobody would hear of the others.
process.on('disconnect', () => void end())
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end())

try {
  serving = await serveHere(settings, { control, except, training })
  tell({ kind: 'state', ready: true, address: serving.address, grpcPort: serving.grpcPort })
} catch (error) {
  tell({ kind: 'failed', message: messageOf(error) })
  setTimeout(() => process.exit(1), 100)
}
