/** PicturePool: threads that decode and prepare pictures, so that the event loop does not. */
import type { Worker } from 'node:worker_threads'
import { KerneletError, messageOf } from '../../util/errors.ts'
import { extension, moduleUrl } from '../../util/package-files.ts'
import { Permits } from '../picture/permits.ts'
import type { Answer, Question, ThreadData } from './messages.ts'
import type { Prepared } from './prepare.ts'
import { shareable } from './share.ts'
import { prepareAsync, type Work } from './work.ts'

/** Threads without work are ended after this time, in milliseconds. */
const PATIENCE = 5000
/** So much work, in milliseconds, is handed to a thread at a time: small pictures by the dozen. */
const PORTION = 8
/** … at most. */
const MOST = 32

/** A picture on its way. */
interface Job {
  work: Work
  handOver: boolean
  resolve: (prepared: Prepared) => void
  reject: (error: unknown) => void
}

interface Thread {
  worker: Worker
  jobs: Map<number, Job>
  /** Whether it has said that it is there. */
  started: boolean
}

/** The threads of this process, or of the Worker that this runs in; they come with work and go without. */
export class PicturePool {
  readonly #threads = new Set<Thread>()
  readonly #waiting = new Set<Job>()
  #most: number | undefined
  #permits: Int32Array | undefined
  #ids = 0
  /** Mean time of a picture, in milliseconds; recent ones count more. */
  #pace = PORTION
  /** Where no threads can be had work is done here. */
  #here = false
  #end: NodeJS.Timeout | undefined

  /** What threads run; to be set for tests. */
  file: URL | undefined

  /** How many threads there are. */
  get threads(): number {
    return this.#threads.size
  }

  /** Ends all threads. */
  end(): void {
    for (const thread of this.#threads) this.#stop(thread)
  }

  /** How many threads there may be. */
  get size(): number {
    this.#most ??= process.getBuiltinModule('node:os').availableParallelism()
    return this.#most
  }

  set size(count: number) {
    this.#most = count
    for (const thread of this.#threads) {
      if (this.#threads.size <= count) break
      if (thread.jobs.size === 0) this.#stop(thread)
    }
  }

  /**
   * Prepares a picture on another thread. Pictures wait in line where all threads are at work.
   *
   * @param handOver whether the picture's memory may be taken away
   * @throws KerneletError (by rejection) as `prepareAsync`; ERR_ABORTED as soon as the signal fires
   */
  prepare(work: Work, signal?: AbortSignal, handOver = false): Promise<Prepared> {
    return new Promise<Prepared>((resolve, reject) => {
      if (signal?.aborted) return reject(aborted(signal))
      const job: Job = { work, handOver, resolve, reject }
      if (signal) {
        const abort = (): void => {
          this.#waiting.delete(job)
          reject(aborted(signal))
        }
        signal.addEventListener('abort', abort, { once: true })
        const settled = (): void => signal.removeEventListener('abort', abort)
        job.resolve = (prepared) => {
          settled()
          resolve(prepared)
        }
        job.reject = (error) => {
          settled()
          reject(error)
        }
      }
      this.#waiting.add(job)
      this.#share()
    })
  }

  /** Hands out what waits, and calls for threads as long as there is more than they take. */
  #share(): void {
    while (this.#waiting.size > 0) {
      if (this.#here) {
        for (const job of this.#take(this.#waiting.size)) prepareAsync(job.work).then(job.resolve, job.reject)
        return
      }
      const portion = Math.min(MOST, Math.max(1, Math.floor(PORTION / this.#pace)))
      const thread = this.#free(portion)
      if (!thread) {
        if (this.#here) continue // none can be started
        return
      }
      // At the start, and at the end, every thread gets its part.
      const fair = Math.ceil(this.#waiting.size / this.size)
      void this.#send(thread, this.#take(Math.min(portion, fair)))
    }
  }

  /** A thread that takes more. Of small pictures it holds a second portion, so that it need not wait for the next. */
  #free(portion: number): Thread | undefined {
    const most = portion === 1 ? 0 : portion
    let best: Thread | undefined
    for (const thread of this.#threads) {
      if (thread.jobs.size <= most && thread.jobs.size < (best?.jobs.size ?? Number.POSITIVE_INFINITY)) {
        best = thread
      }
    }
    if (best?.jobs.size === 0 || this.#threads.size >= this.size) return best
    return this.#start() ?? best
  }

  #take(count: number): Job[] {
    const jobs: Job[] = []
    for (const job of this.#waiting) {
      if (jobs.length === count) break
      this.#waiting.delete(job)
      jobs.push(job)
    }
    return jobs
  }

  async #send(thread: Thread, jobs: Job[]): Promise<void> {
    clearTimeout(this.#end)
    thread.worker.ref()
    const taken = jobs.map((job) => [this.#ids++, job] as const)
    for (const [id, job] of taken) thread.jobs.set(id, job)
    const questions: Question[] = []
    const transferred: ArrayBuffer[] = []
    for (const [id, job] of taken) {
      try {
        const { work, transfer } = await shareable(job.work, job.handOver)
        questions.push({ id, work })
        transferred.push(...transfer)
      } catch (error) {
        thread.jobs.delete(id)
        job.reject(error)
      }
    }
    if (questions.length > 0 && this.#threads.has(thread)) {
      thread.worker.postMessage(questions, transferred)
    }
    this.#rest(thread)
  }

  #start(): Thread | undefined {
    let worker: Worker
    try {
      this.#permits ??= Permits.counter(Math.max(1, uvThreads() - 2))
      const { Worker } = process.getBuiltinModule('node:worker_threads')
      const data: ThreadData = { permits: this.#permits }
      // None of the program's own options, which may load what a thread for pictures must not have.
      worker = new Worker(this.file ?? workerFile(), {
        execArgv: [],
        workerData: data,
        name: 'kernelet pictures',
      })
    } catch (error) {
      this.#without(error)
      return undefined
    }
    const thread: Thread = { worker, jobs: new Map(), started: false }
    this.#threads.add(thread)
    worker.on('message', (answers: Answer[]) => this.#answered(thread, answers))
    worker.on('error', (error) => this.#ended(thread, error))
    worker.on('exit', (code) => this.#ended(thread, new Error(`exit code ${code}`)))
    worker.unref()
    return thread
  }

  #answered(thread: Thread, answers: Answer[]): void {
    thread.started = true
    for (const { id, milliseconds, prepared, error } of answers) {
      const job = thread.jobs.get(id)
      thread.jobs.delete(id)
      this.#pace += (milliseconds - this.#pace) / 8
      if (prepared) job?.resolve(prepared)
      else if (error) job?.reject(new KerneletError(error.code, error.message))
    }
    this.#share()
    this.#rest(thread)
  }

  /** A thread without work keeps no process alive, and none is kept for long. */
  #rest(thread: Thread): void {
    if (thread.jobs.size > 0) return
    thread.worker.unref()
    for (const { jobs } of this.#threads) if (jobs.size > 0) return
    clearTimeout(this.#end)
    this.#end = setTimeout(() => {
      for (const idle of this.#threads) this.#stop(idle)
    }, PATIENCE)
    this.#end.unref()
  }

  #stop(thread: Thread): void {
    this.#threads.delete(thread)
    void thread.worker.terminate()
  }

  /** A thread that ended by itself: out of memory, or it could not be loaded. */
  #ended(thread: Thread, error: unknown): void {
    if (!this.#threads.delete(thread)) return
    const jobs = [...thread.jobs.values()]
    if (thread.started) {
      for (const { reject } of jobs) {
        reject(
          new KerneletError(
            'ERR_UNSUPPORTED',
            `the thread that read the picture ended: ${messageOf(error)}`,
            {
              cause: error,
            },
          ),
        )
      }
    } else {
      for (const job of jobs) this.#waiting.add(job)
      this.#without(error)
    }
    this.#share()
  }

  #without(error: unknown): void {
    if (this.#here) return
    this.#here = true
    const { code } = error as NodeJS.ErrnoException
    const advice =
      code === 'ERR_ACCESS_DENIED'
        ? 'Run node with --allow-worker.'
        : 'Keep kernelet out of bundles (external).'
    process.emitWarning(
      'Pictures are decoded on the thread that asks for it, as no other can be started: ' +
        `${messageOf(error).replace(/\.$/, '')}. ${advice}`,
      { type: 'KerneletWarning', code: 'KERNELET_NO_THREADS' },
    )
  }
}

/** One for all that read pictures. */
export const pictures: PicturePool = new PicturePool()

/** libuv's threads, for which sharp asks. */
function uvThreads(): number {
  const count = Number(process.env.UV_THREADPOOL_SIZE)
  return Number.isInteger(count) && count > 0 ? count : 4
}

function workerFile(): URL {
  // Node runs no TypeScript: beside lib/ there is the built one.
  const { href } = moduleUrl('vision/classifier/worker')
  return new URL(extension === '.ts' ? href.replace(/\/lib\/(.*)\.ts$/, '/dist/$1.js') : href)
}

function aborted(signal: AbortSignal): KerneletError {
  return new KerneletError('ERR_ABORTED', 'classify: aborted before it was done', { cause: signal.reason })
}
