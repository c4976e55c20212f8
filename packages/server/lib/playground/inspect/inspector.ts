/** Asks threads that look into networks. */
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
export class Asked {
  readonly #thread: Worker
  #next = 0
  readonly #waiting = new Map<number, { resolve(value: Answer): void; reject(error: Error): void }>()

  constructor(thread: Worker) {
    this.#thread = thread
    thread.on('message', ({ id, value, error }: FromThread) => {
      const asked = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (value !== undefined) asked?.resolve(value)
      else if (error?.code !== undefined) {
        asked?.reject(new KerneletError(error.code as KerneletErrorCode, error.message))
      } else asked?.reject(new Error(error?.message))
    })
    const ended = (cause: unknown): void => {
      const error = cause instanceof Error ? cause : new Error('The thread that looks into networks ended')
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
    }
    thread.on('error', ended)
    thread.on('exit', ended)
  }

  /** @throws KerneletError, Error as what is asked throws; RequestError where too many wait */
  async ask(question: Question): Promise<Answer> {
    if (this.#waiting.size >= MOST) throw overloaded(this.#waiting.size, MOST)
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#thread.postMessage({ id, question })
    })
  }
}

/** The thread for networks that lie in files; it starts with the first question. */
export class Inspector {
  #thread: { worker: Worker; asked: Asked } | undefined

  /** @throws as `Asked.ask` */
  async ask(question: Question): Promise<Answer> {
    this.#thread ??= this.#start()
    return this.#thread.asked.ask(question)
  }

  async close(): Promise<void> {
    await this.#thread?.worker.terminate()
  }

  #start(): { worker: Worker; asked: Asked } {
    const worker = new Worker(threadFile('inspect/thread.js'))
    worker.unref()
    // the next question starts another
    worker.on('exit', () => {
      if (this.#thread?.worker === worker) this.#thread = undefined
    })
    return { worker, asked: new Asked(worker) }
  }
}
