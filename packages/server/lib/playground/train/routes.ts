/** What the page that trains asks: a run begun or resumed, told of line by line in JSON; hanging up stops it. */
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Core } from '../../core.ts'
import { badRequest, RequestError } from '../../errors.ts'
import type { TrainingReport } from './report.ts'
import { type TaskName, type TaskRequest, taskNames } from './tasks.ts'
import type { Trains, Watcher } from './training.ts'

/** Drawings of one run, and classes, at most. */
const MOST_DRAWINGS = 2000
const MOST_CLASSES = 36
const SIZE = 28 * 28

export function trainingRoutes(app: FastifyInstance, core: Core, training: Trains): void {
  const { settings } = core
  const schema = { hide: true }
  const check = (): void => {
    if (core.draining) throw new RequestError('draining', 'The server is about to end')
  }
  app.get('/playground/training', { schema }, async () => ({
    mnist: settings.mnist !== undefined,
  }))
  app.post('/playground/train', { schema, bodyLimit: 5 * MOST_DRAWINGS * SIZE }, async (request, reply) => {
    check()
    const wanted = requestOf(request, settings.mnist)
    return stream(core, training, request, reply, (watcher) => training.start(wanted, watcher))
  })
  app.post('/playground/train/resume', { schema }, async (request, reply) => {
    check()
    const id = Number((request.query as Record<string, unknown>).id)
    return stream(core, training, request, reply, async (watcher) => {
      await training.resume(id, watcher)
      return id
    })
  })
}

type Line = TrainingReport | { kind: 'run'; id: number }

async function stream(
  core: Core,
  training: Trains,
  request: FastifyRequest,
  reply: FastifyReply,
  begin: (watcher: Watcher) => Promise<number>,
): Promise<FastifyReply> {
  const lines = new Readable({ read: () => undefined })
  // what is told before the run has its number
  let early: Line[] | undefined = []
  const write = (line: Line): void => {
    if (early) {
      early.push(line)
      return
    }
    // JSON has no NaN and no infinite numbers
    lines.push(`${JSON.stringify(line)}\n`)
    if (line.kind === 'end') lines.push(null)
  }
  const watcher: Watcher = {
    report(report) {
      write(report)
      if (report.kind === 'end' || !core.draining) return
      training.stop(watcher)
      write({ kind: 'end', why: 'failed', message: 'The server ends' })
    },
  }
  const { raw } = reply
  // where it has ended, this does nothing
  raw.on('close', () => training.stop(watcher))
  const id = await begin(watcher)
  if (raw.destroyed) training.stop(watcher)
  const told = [{ kind: 'run', id }, ...early] as Line[]
  early = undefined
  for (const line of told) write(line)
  request.log.info({ run: id }, 'training')
  // a server that ends waits for no connection that a run leaves idle
  return reply
    .headers({ 'content-type': 'application/x-ndjson', 'cache-control': 'no-store', connection: 'close' })
    .send(lines)
}

function requestOf({ query, body }: FastifyRequest, mnist: string | undefined): TaskRequest {
  const { task, cured } = query as Record<string, unknown>
  if (!taskNames.includes(task as TaskName)) {
    throw badRequest(`task is one of ${taskNames.join(', ')}, but is ${task}`)
  }
  const name = task as TaskName
  if (name === 'mnist' && mnist === undefined) {
    throw badRequest('This server has no MNIST: --mnist DIR names its folder')
  }
  const drawings = name === 'drawings' ? drawingsOf(body) : undefined
  return { task: name, cured: cured === '1', mnist, drawings }
}

/** A header as JSON with its length before it, then 28×28 numbers a drawing. */
function drawingsOf(body: unknown): NonNullable<TaskRequest['drawings']> {
  const bytes = body instanceof Uint8Array ? body : new Uint8Array(0)
  const length = bytes.length >= 4 ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) : 0
  let head: { labels?: unknown; classes?: unknown } = {}
  try {
    head = JSON.parse(Buffer.from(bytes.subarray(4, 4 + length)).toString()) as typeof head
  } catch {
    throw badRequest('The body begins with the length of a header in four bytes, and the header in JSON')
  }
  const { labels, classes } = head ?? {}
  const named =
    Array.isArray(classes) &&
    classes.length >= 2 &&
    classes.length <= MOST_CLASSES &&
    classes.every((one): one is string => typeof one === 'string' && one.length >= 1 && one.length <= 40)
  if (!named) throw badRequest(`classes are 2 to ${MOST_CLASSES} names`)
  const labelled =
    Array.isArray(labels) &&
    labels.length >= 2 &&
    labels.length <= MOST_DRAWINGS &&
    labels.every((one): one is number => Number.isInteger(one) && one >= 0 && one < classes.length)
  if (!labelled) throw badRequest(`labels are 2 to ${MOST_DRAWINGS} numbers of classes`)
  const numbers = bytes.subarray(4 + length)
  if (numbers.length !== 4 * SIZE * labels.length) {
    throw badRequest(
      `${labels.length} drawings have ${4 * SIZE * labels.length} bytes, but ${numbers.length} came`,
    )
  }
  const images = new Float32Array(new Uint8Array(numbers).buffer)
  if (!images.every((value) => Number.isFinite(value)))
    throw badRequest('The drawings have values that are no numbers')
  return { images, labels, classes }
}
