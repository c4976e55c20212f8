/** Asks threads: those that look into networks, and that of the notes. */
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { KerneletError, type KerneletErrorCode } from 'kernelet'
import { overloaded } from '../../errors.ts'
import type { Answer, FromThread, Question } from './questions.ts'

/** Questions that may wait. */
const MOST = 32

/** A file of lib/playground as it was built: the folders of lib and dist lie alike below the package. */
export function threadFile(path: string): string {
  return fileURLToPath(new URL(`../../../dist/playground/${path}`, import.meta.url))
}

/** A thread's answers, for those who asked. */
export class Asked<Q = Question, A = Answer> {
  readonly #thread: Worker
  #next = 0
  readonly #waiting = new Map<number, { resolve(value: A): void; reject(error: Error): void }>()

  constructor(thread: Worker) {
    this.#thread = thread
    thread.on('message', ({ id, value, error }: FromThread<A>) => {
      const asked = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (value !== undefined) asked?.resolve(value)
      else if (error?.code !== undefined) {
        asked?.reject(new KerneletError(error.code as KerneletErrorCode, error.message))
      } else asked?.reject(new Error(error?.message))
    })
    const ended = (cause: unknown): void => {
      const error = cause instanceof Error ? cause : new Error('The thread that was asked ended')
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
    }
    thread.on('error', ended)
    thread.on('exit', ended)
  }

  /** @throws KerneletError, Error as what is asked throws; RequestError where too many wait */
  async ask(question: Q): Promise<A> {
    if (this.#waiting.size >= MOST) throw overloaded(this.#waiting.size, MOST)
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#thread.postMessage({ id, question })
    })
  }
}

/** A thread that starts with the first question; for networks that lie in files, unless another file is named. */
export class Inspector<Q = Question, A = Answer> {
  readonly #file: string
  #thread: { worker: Worker; asked: Asked<Q, A> } | undefined

  constructor(file = 'inspect/thread.js') {
    this.#file = file
  }

  /** @throws as `Asked.ask` */
  async ask(question: Q): Promise<A> {
    this.#thread ??= this.#start()
    return this.#thread.asked.ask(question)
  }

  async close(): Promise<void> {
    await this.#thread?.worker.terminate()
  }

  #start(): { worker: Worker; asked: Asked<Q, A> } {
    const worker = new Worker(threadFile(this.#file))
    worker.unref()
    // the next question starts another
    worker.on('exit', () => {
      if (this.#thread?.worker === worker) this.#thread = undefined
    })
    return { worker, asked: new Asked<Q, A>(worker) }
  }
}
