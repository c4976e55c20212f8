/** A worker: takes chunks from the queue for as long as it is wanted. */
import { setMaxListeners } from 'node:events'
import { hostname } from 'node:os'
import { type Job, Worker as QueueWorker, UnrecoverableError, WaitingError } from 'bullmq'
import { type Classifier, KerneletError, setPictureThreads, version } from 'kernelet'
import { Board } from './board.ts'
import { runChunk } from './chunk.ts'
import { messageOf, Refusal, StorageError } from './errors.ts'
import { QUEUE, queueOf } from './flow.ts'
import { merge } from './merge.ts'
import { type ModelFile, modelFor, readModel } from './model.ts'
import { connectForever, inWords, isFinal, placeOf, type RedisPlace } from './redis.ts'
import type { Limits } from './sources.ts'
import type { Chunk, Merge, Spec } from './spec.ts'
import { openStore } from './store/open.ts'
import type { Store } from './store/store.ts'

export interface WorkerOptions extends RedisPlace, Limits {
  prefix: string
  /** Chunks at once: with two, threads have work while a part is written. */
  concurrency: number
  /** Threads that decode pictures; undefined: one a core. */
  threads?: number | undefined
  /** Model files that are used, and no others; undefined: what jobs bring. */
  models: readonly string[] | undefined
  /** Milliseconds without a sign of a worker until its chunks are others'. */
  lease: number
  /** Workers that may die at a chunk until it is set aside. */
  crashes: number
  /** Milliseconds that chunks in work may take at the end. */
  grace: number
  /** Whether to end once the queue is empty. */
  untilDone: boolean
  log: (level: 'info' | 'warn', message: string) => void
}

/** Milliseconds of the first wait and the longest, after what is no fault of a chunk. */
const PATIENCE = [500, 30_000] as const

/** What Redis did not do, is asked of it again. */
const AGAIN = '; trying again'

/** BullMQ's words for a chunk whose workers were gone each time. */
const STALLED = /job stalled more than/

function reasonOf(message: string): string {
  return STALLED.test(message) ? 'each worker that took it died at it, or lost Redis (--crashes)' : message
}

/** What a worker keeps of a job between two chunks. */
interface Open {
  spec: Spec
  store: Store
  classifier: Classifier
}

/** Jobs that a worker keeps open: people rarely run more side by side. */
const MOST_OPEN = 4

export class JobWorker {
  readonly #options: WorkerOptions
  readonly #own: ModelFile[] | undefined
  readonly #board: Board
  readonly #worker: QueueWorker
  readonly #name: string = `${hostname()}:${process.pid}`
  readonly #open = new Map<string, Promise<Open>>()
  readonly #aborts = new Set<AbortController>()
  #said = ''
  #failures = 0
  #rest: NodeJS.Timeout | undefined
  #ending = false
  #end: (code: number) => void = () => undefined
  /** Resolves to the exit code. */
  readonly ended: Promise<number>

  /** @throws KerneletError for options that cannot be */
  constructor(options: WorkerOptions) {
    this.#options = options
    this.#own = options.models?.map(readModel)
    if (options.threads !== undefined) setPictureThreads(options.threads)
    const shared = connectForever(options, false)
    this.#board = new Board(shared, options.prefix)
    shared.on('error', (error) => this.#trouble(error))
    this.#worker = new QueueWorker(QUEUE, (job, token) => this.#process(job, token), {
      connection: connectForever(options, true),
      prefix: options.prefix,
      autorun: false,
      concurrency: options.concurrency,
      lockDuration: options.lease,
      stalledInterval: options.lease,
      maxStalledCount: options.crashes - 1,
      drainDelay: 5,
      // Redis that is away is asked again after a while, not at once
      runRetryDelay: 2000,
    })
    this.#worker.on('error', (error) => this.#trouble(error))
    this.#worker.on('failed', (job, error) => {
      // the others are told of where they fail
      if (!job || !STALLED.test(error.message)) return
      const { id, n } = job.data as Chunk
      options.log('warn', `job ${id}: chunk ${n}: ${reasonOf(error.message)}; given up`)
    })
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  /** Begins to take chunks, as soon as Redis answers. */
  start(): void {
    const { concurrency, log } = this.#options
    log('info', `worker ${this.#name}: ${concurrency} chunks at once, Redis at ${placeOf(this.#options)}`)
    this.#board.redis.on('ready', () => this.#say('info', `Redis at ${placeOf(this.#options)} answers`))
    // what goes wrong comes as an event too
    this.#board.redis.connect().catch(() => undefined)
    this.#worker.run().catch((error: unknown) => this.#trouble(error))
    if (this.#options.untilDone) void this.#watch()
  }

  /** Takes no more chunks; those in work are finished, or given back when `grace` is over. */
  async stop(code = 0): Promise<void> {
    if (this.#ending) return
    this.#ending = true
    clearTimeout(this.#rest)
    const timer = setTimeout(() => {
      for (const abort of this.#aborts) abort.abort()
    }, this.#options.grace)
    // Without Redis there is nobody to say farewell to.
    const patience = new Promise<void>((resolve) => {
      setTimeout(resolve, code === 0 ? this.#options.grace + 5000 : 500).unref()
    })
    await Promise.race([this.#worker.close().catch(() => undefined), patience])
    clearTimeout(timer)
    this.#board.redis.disconnect()
    for (const open of this.#open.values())
      open.then(({ classifier }) => classifier.dispose()).catch(() => undefined)
    this.#end(code)
  }

  async #watch(): Promise<void> {
    const queue = queueOf(this.#board.redis, this.#options.prefix)
    while (!this.#ending) {
      await new Promise((resolve) => setTimeout(resolve, 300))
      try {
        const counts = await queue.getJobCounts('wait', 'active', 'waiting-children', 'prioritized')
        if (Object.values(counts).every((one) => one === 0)) return await this.stop()
      } catch (error) {
        this.#trouble(error)
      }
    }
  }

  /** Redis: waited for, or, where that does not help, the end. */
  #trouble(error: unknown): void {
    if (this.#ending) return
    if (isFinal(error)) {
      this.#options.log('warn', inWords(this.#options, error))
      void this.stop(1)
      return
    }
    // Others come from Redis too, as a lock that was lost while this process slept.
    const message = messageOf(error)
    if (/lock|Missing key/i.test(message)) this.#options.log('warn', message)
    // what follows from a trouble that was told of is no other
    else if (!(message.startsWith('Connection is closed') && this.#said.endsWith(AGAIN)))
      this.#say('warn', `${inWords(this.#options, error)}${AGAIN}`)
  }

  /** Says a thing once, until there is another to say. */
  #say(level: 'info' | 'warn', message: string): void {
    if (message === this.#said) return
    this.#said = message
    this.#options.log(level, message)
  }

  async #process(job: Job, token: string | undefined): Promise<unknown> {
    const { id, run } = job.data as Chunk | Merge
    if (!(await this.#board.wants(id, run))) return 'dropped'
    const abort = new AbortController()
    // each picture on its way hears of the end
    setMaxListeners(0, abort.signal)
    this.#aborts.add(abort)
    const timer = setInterval(() => {
      this.#board.wants(id, run).then(
        (wanted) => wanted || abort.abort(),
        () => undefined,
      )
    }, 1000)
    try {
      const open = await this.#openJob(id)
      const done =
        job.name === 'merge'
          ? await this.#merge(job, open, abort.signal)
          : await this.#chunk(job.data as Chunk, open, abort.signal)
      if (this.#failures > 0) {
        this.#failures = 0
        await this.#board.note(id, this.#name, '')
      }
      return done
    } catch (error) {
      return await this.#failed(job, token, error, abort.signal.aborted)
    } finally {
      clearInterval(timer)
      this.#aborts.delete(abort)
    }
  }

  async #chunk(chunk: Chunk, { spec, store, classifier }: Open, signal: AbortSignal): Promise<unknown> {
    await runChunk(chunk, spec, store, classifier, this.#options, signal)
    return 0
  }

  async #merge(job: Job, { spec, store }: Open, signal: AbortSignal): Promise<unknown> {
    const failures = new Map<number, string>()
    for (const [key, message] of Object.entries(await job.getIgnoredChildrenFailures())) {
      failures.set(Number(key.slice(key.lastIndexOf('.') + 1)), reasonOf(message))
    }
    const report = await merge(spec, store, failures, signal)
    await this.#board.set(spec.id, report.setAside.length > 0 ? 'incomplete' : 'done')
    const aside = report.setAside.length > 0 ? `, ${report.setAside.length} chunks set aside` : ''
    this.#options.log('info', `job ${spec.id}: ${report.rows} rows, ${report.errors} with an error${aside}`)
    return 0
  }

  /** @throws Refusal, StorageError, KerneletError */
  async #openJob(id: string): Promise<Open> {
    const known = this.#open.get(id)
    if (known) return known
    const opening = this.#openAnew(id)
    this.#open.set(id, opening)
    // what could not be opened is opened again next time
    opening.catch(() => this.#open.delete(id))
    for (const [other, old] of this.#open) {
      if (this.#open.size <= MOST_OPEN) break
      this.#open.delete(other)
      // chunks of it may still be in work: memory goes with the last of them
      old.catch(() => undefined)
    }
    return opening
  }

  async #openAnew(id: string): Promise<Open> {
    const { spec } = await this.#board.need(id)
    if (spec.library !== version) {
      throw new Refusal(`job ${id} wants kernelet ${spec.library}, but this worker has ${version}`)
    }
    const store = await openStore(spec.out, this.#options.storage).catch((error: unknown) => {
      throw error instanceof KerneletError ? new Refusal(`job ${id}: ${error.message}`) : error
    })
    return { spec, store, classifier: await modelFor(spec, store, this.#own) }
  }

  /** Gives a chunk back where it is not to blame; else it has one attempt less. */
  async #failed(
    job: Job,
    token: string | undefined,
    error: unknown,
    aborted: boolean,
  ): Promise<never | unknown> {
    const { id, run } = job.data as Chunk | Merge
    if (aborted && !this.#ending) return 'dropped'
    const mine = error instanceof Refusal || error instanceof StorageError
    if (aborted || mine) {
      if (mine) await this.#patience(id, messageOf(error))
      await job.moveToWait(token)
      throw new WaitingError()
    }
    const message = messageOf(error)
    const last = job.attemptsMade + 1 >= (job.opts.attempts ?? 1)
    const what = job.name === 'merge' ? 'the merge' : `chunk ${(job.data as Chunk).n}`
    this.#options.log('warn', `job ${id}: ${what}: ${message}${last ? '; given up' : '; trying again'}`)
    if (job.name === 'merge' && last && (await this.#board.wants(id, run))) {
      await this.#board.set(id, 'failed', message)
    }
    if (last) throw new UnrecoverableError(message)
    throw error
  }

  /** Takes nothing more for a while, a longer one each time. Measured without the clock, which may jump. */
  async #patience(id: string, message: string): Promise<void> {
    const [first, longest] = PATIENCE
    const wait = Math.min(first * 2 ** this.#failures, longest)
    this.#failures++
    this.#say('warn', `${message}; trying again, less and less often`)
    await this.#board.note(id, this.#name, message).catch(() => undefined)
    if (this.#ending) return
    await this.#worker.pause(true)
    clearTimeout(this.#rest)
    this.#rest = setTimeout(() => this.#worker.resume(), wait)
  }
}
