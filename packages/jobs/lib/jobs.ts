/** The program behind `kernelet jobs`. */
import { resolve } from 'node:path'
import { KerneletError } from 'kernelet'
import { Board } from './board.ts'
import { cancel, retry, type Status, statusOf } from './control.ts'
import { messageOf, wrong } from './errors.ts'
import { Bar, count } from './progress.ts'
import { connect, type RedisPlace } from './redis.ts'
import { commands, help, type Name, Values } from './settings.ts'
import { storeUrl } from './store/open.ts'
import { submit } from './submit.ts'
import { JobWorker } from './worker.ts'

/**
 * Runs a command of `kernelet jobs`.
 *
 * @param args the command line behind `jobs`
 * @returns the exit code: 0 all well, 1 it failed, or a job did not come to its end, 2 a wrong command line
 */
export async function jobs(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args
  try {
    if (name === '--help' || name === '-h') {
      print(help())
      return 0
    }
    if (name === undefined || !Object.hasOwn(commands, name)) {
      throw wrong(`expected ${Object.keys(commands).join(', ')} but found ${name ?? 'nothing'}`)
    }
    if (rest.includes('--help') || rest.includes('-h')) {
      print(help(name as Name))
      return 0
    }
    return await programs[name as Name](new Values(name as Name, rest))
  } catch (error) {
    const usage = error instanceof KerneletError && error.code === 'ERR_ARGUMENT'
    const hint = usage
      ? ` (see kernelet jobs ${name !== undefined && name in commands ? `${name} ` : ''}--help)`
      : ''
    process.stderr.write(`kernelet: jobs: ${messageOf(error)}${hint}\n`)
    return usage ? 2 : 1
  }
}

const programs: Record<Name, (values: Values) => Promise<number>> = {
  async submit(values) {
    const input = one(values, 'the pictures: a folder or a manifest')
    const out = values.text('out')
    if (out === undefined) throw wrong('submit: --out is needed')
    const bar = new Bar()
    const spec = await submit({
      ...placeOf(values),
      ...{ input, out, root: values.text('root'), model: values.text('model') },
      threshold: values.share('threshold'),
      chunk: values.number('chunk'),
      attempts: values.number('attempts'),
      id: values.text('id'),
      listed: (rows) => bar.show(rows, rows, ' listed'),
    })
    bar.clear()
    if (values.flag('wait')) return follow(values, spec.id)
    if (values.flag('json')) print(JSON.stringify(spec, null, 2))
    else print(`${spec.id}  ${count(spec.rows)} pictures in ${count(spec.chunks)} chunks, to ${spec.out}`)
    return 0
  },

  async work(values) {
    if (values.words.length > 0) throw wrong(`work: unexpected ${values.words[0]}`)
    const json = values.flag('json')
    const worker = new JobWorker({
      ...placeOf(values),
      concurrency: values.number('concurrency'),
      threads: values.maybe('threads'),
      models: values.texts('model')?.map((file) => resolve(file)),
      storage: values.texts('storage')?.map(storeUrl),
      hosts: values.texts('allow-host') ?? [],
      allowPrivate: values.flag('allow-private'),
      maxBytes: values.number('max-bytes'),
      timeout: 1000 * values.number('timeout'),
      lease: 1000 * values.number('lease'),
      crashes: values.number('crashes'),
      grace: 1000 * values.number('grace'),
      untilDone: values.flag('until-done'),
      log: (level, message) => {
        const time = new Date().toISOString()
        process.stderr.write(
          json
            ? `${JSON.stringify({ time, level, message })}\n`
            : `${time}  ${level === 'warn' ? '! ' : ''}${message}\n`,
        )
      },
    })
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void worker.stop())
    worker.start()
    // what BullMQ still waits for does not keep an ended worker alive
    const code = await worker.ended
    process.exit(code)
  },

  async status(values) {
    if (values.words.length === 0) return list(values)
    const id = one(values, 'the job')
    if (values.flag('watch')) return follow(values, id)
    const status = await asked(values, (redis, prefix) => statusOf(redis, prefix, id))
    tell(values, status)
    return 0
  },

  async cancel(values) {
    const id = one(values, 'the job')
    await asked(values, (redis, prefix) => cancel(redis, prefix, id))
    if (values.flag('json')) print(JSON.stringify({ id, state: 'cancelled' }))
    else print(`${id}  cancelled; kernelet jobs retry ${id} goes on`)
    return 0
  },

  async retry(values) {
    const id = one(values, 'the job')
    await asked(values, (redis, prefix) => retry(redis, prefix, id))
    if (values.flag('wait')) return follow(values, id)
    if (values.flag('json')) print(JSON.stringify({ id, state: 'running' }))
    else print(`${id}  begun again`)
    return 0
  },
}

function placeOf(values: Values): RedisPlace & { prefix: string } {
  const url = values.text('redis') ?? process.env.KERNELET_JOBS_REDIS ?? 'redis://127.0.0.1:6379'
  const prefix = values.text('prefix') ?? 'kernelet'
  if (prefix === '' || prefix.includes(':')) throw wrong('--prefix: expected a name without colons')
  return { url, ca: values.text('redis-ca'), prefix }
}

function one({ words }: Values, what: string): string {
  if (words.length === 1 && words[0] !== undefined) return words[0]
  throw wrong(words.length === 0 ? `expected ${what}` : `unexpected ${words[1]}`)
}

async function asked<T>(
  values: Values,
  act: (redis: Awaited<ReturnType<typeof connect>>, prefix: string) => Promise<T>,
): Promise<T> {
  const place = placeOf(values)
  const redis = await connect(place)
  try {
    return await act(redis, place.prefix)
  } finally {
    redis.disconnect()
  }
}

async function list(values: Values): Promise<number> {
  const all = await asked(values, async (redis, prefix) => {
    const statuses: Status[] = []
    for (const id of await new Board(redis, prefix).all()) statuses.push(await statusOf(redis, prefix, id))
    return statuses
  })
  if (values.flag('json')) print(JSON.stringify(all, null, 2))
  else for (const status of all) print(lineOf(status))
  return 0
}

/** Until the job has ended. @returns the exit code */
async function follow(values: Values, id: string): Promise<number> {
  const bar = new Bar()
  const status = await asked(values, async (redis, prefix) => {
    for (;;) {
      const now = await statusOf(redis, prefix, id)
      if (now.state !== 'running') return now
      const [note] = now.notes
      bar.show(
        now.rowsDone,
        now.rows,
        note ? `; ${note.worker}: ${note.message}` : now.workers === 0 ? '; no worker' : '',
      )
      await new Promise((done) => setTimeout(done, 500))
    }
  })
  bar.clear()
  tell(values, status)
  return status.state === 'done' ? 0 : 1
}

function tell(values: Values, status: Status): void {
  if (values.flag('json')) {
    print(JSON.stringify(status, null, 2))
    return
  }
  print(lineOf(status))
  if (status.message !== '') print(`  ${status.message}`)
  for (const { worker, message } of status.notes) print(`  ${worker}: ${message}`)
  for (const { chunk, first, rows, message } of status.report?.setAside ?? []) {
    print(`  chunk ${chunk}, rows ${first} to ${first + rows - 1}, set aside: ${message}`)
  }
}

function lineOf({ id, state, rows, rowsDone, chunksSetAside, workers, report, out }: Status): string {
  const errors = report ? `, ${count(report.errors)} with an error` : ''
  const aside = chunksSetAside > 0 ? `, ${chunksSetAside} chunks set aside` : ''
  const who = state === 'running' ? `, ${workers} workers` : ''
  return `${id}  ${state}  ${count(rowsDone)} of ${count(rows)} pictures${errors}${aside}${who}  ${out}`
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
