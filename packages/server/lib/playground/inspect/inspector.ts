/** Asks the thread that looks into networks; it starts with the first question. */
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { KerneletError, type KerneletErrorCode } from 'kernelet'
import { overloaded } from '../../errors.ts'
import type { Answer, FromThread, Question } from './thread.ts'

/** Questions that may wait. */
const MOST = 32

/** Below lib and dist alike: a thread is started with code that was built. */
const file = fileURLToPath(new URL('../../../dist/playground/inspect/thread.js', import.meta.url))

export class Inspector {
  #thread: Worker | undefined
  #next = 0
  readonly #waiting = new Map<number, { resolve(value: Answer): void; reject(error: Error): void }>()

  /** @throws KerneletError, Error as what is asked throws; RequestError where too many wait */
  async ask(question: Question): Promise<Answer> {
    if (this.#waiting.size >= MOST) throw overloaded(this.#waiting.size, MOST)
    const thread = (this.#thread ??= this.#start())
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      thread.postMessage({ id, question })
    })
  }

  async close(): Promise<void> {
    await this.#thread?.terminate()
  }

  #start(): Worker {
    const thread = new Worker(file)
    thread.unref()
    thread.on('message', ({ id, value, error }: FromThread) => {
      const asked = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (value !== undefined) asked?.resolve(value)
      else if (error?.code !== undefined) {
        asked?.reject(new KerneletError(error.code as KerneletErrorCode, error.message))
      } else asked?.reject(new Error(error?.message))
    })
    // The next question starts another.
    const ended = (cause: Error): void => {
      if (this.#thread === thread) this.#thread = undefined
      for (const { reject } of this.#waiting.values()) reject(cause)
      this.#waiting.clear()
    }
    thread.on('error', (cause) => ended(cause instanceof Error ? cause : new Error(String(cause))))
    thread.on('exit', () => ended(new Error('The thread that looks into networks ended')))
    return thread
  }
}
