/** Training for all processes of a server in one of them: what the others ask it, and what it answers. */
import { type Reason, RequestError, refusalOf } from '../../errors.ts'
import type { Answer, Question } from '../inspect/questions.ts'
import type { TrainingReport } from './report.ts'
import type { TaskRequest } from './tasks.ts'
import type { Trains, Watcher } from './training.ts'

/** A question of a process, whose watchers have numbers. */
export type TrainingCall =
  | { verb: 'start'; request: TaskRequest; watcher: number }
  | { verb: 'resume'; run: number; watcher: number }
  | { verb: 'stop'; watcher: number }
  | { verb: 'ask'; question: Question }
  | { verb: 'hasNetwork' }

export type ToTrainer = { kind: 'training'; id: number; call: TrainingCall }
export type FromTrainer =
  | {
      kind: 'trained'
      id: number
      value?: Answer | number | boolean
      error?: { reason: string; message: string }
    }
  | { kind: 'report'; watcher: number; report: TrainingReport }

/** Training in another process. */
export class RemoteTraining implements Trains {
  readonly #send: (message: ToTrainer) => void
  #next = 0
  readonly #asked = new Map<number, (answer: FromTrainer & { kind: 'trained' }) => void>()
  readonly #watchers = new Map<number, Watcher>()

  constructor(send: (message: ToTrainer) => void) {
    this.#send = send
  }

  hear(message: FromTrainer): void {
    if (message.kind === 'trained') {
      const answer = this.#asked.get(message.id)
      this.#asked.delete(message.id)
      answer?.(message)
      return
    }
    const { watcher, report } = message
    const told = this.#watchers.get(watcher)
    if (report.kind === 'end') this.#watchers.delete(watcher)
    told?.report(report)
  }

  async hasNetwork(): Promise<boolean> {
    return (await this.#call({ verb: 'hasNetwork' })) === true
  }

  async start(request: TaskRequest, watcher: Watcher): Promise<number> {
    return this.#watch(watcher, (number) => this.#call({ verb: 'start', request, watcher: number }))
  }

  async resume(run: number, watcher: Watcher): Promise<void> {
    await this.#watch(watcher, (number) => this.#call({ verb: 'resume', run, watcher: number }))
  }

  stop(watcher: Watcher): void {
    for (const [number, one] of this.#watchers) {
      if (one !== watcher) continue
      this.#watchers.delete(number)
      void this.#call({ verb: 'stop', watcher: number })
    }
  }

  async ask(question: Question): Promise<Answer> {
    return (await this.#call({ verb: 'ask', question })) as Answer
  }

  async close(): Promise<void> {
    for (const watcher of this.#watchers.values()) {
      this.stop(watcher)
      watcher.report({ kind: 'end', why: 'failed', message: 'The server ends' })
    }
  }

  async #watch(watcher: Watcher, begin: (number: number) => Promise<unknown>): Promise<number> {
    const number = this.#next++
    this.#watchers.set(number, watcher)
    try {
      return Number(await begin(number))
    } catch (error) {
      this.#watchers.delete(number)
      throw error
    }
  }

  async #call(call: TrainingCall): Promise<unknown> {
    const id = this.#next++
    const { value, error } = await new Promise<FromTrainer & { kind: 'trained' }>((resolve) => {
      this.#asked.set(id, resolve)
      this.#send({ kind: 'training', id, call })
    })
    if (error) throw new RequestError(error.reason as Reason, error.message)
    return value
  }
}

/** Answers other processes. */
export class TrainingHost {
  readonly #training: Trains
  readonly #tell: (process: number, message: FromTrainer) => void
  /** By process and its number. */
  readonly #watchers = new Map<string, Watcher>()

  constructor(training: Trains, tell: (process: number, message: FromTrainer) => void) {
    this.#training = training
    this.#tell = tell
  }

  async answer(process: number, { id, call }: ToTrainer): Promise<void> {
    try {
      const value = await this.#do(process, call)
      this.#tell(process, { kind: 'trained', id, ...(value !== undefined && { value }) })
    } catch (cause) {
      const { reason, message } = refusalOf(cause)
      this.#tell(process, { kind: 'trained', id, error: { reason, message } })
    }
  }

  /** A process is gone: nobody watches what it watched. */
  forget(process: number): void {
    for (const [key, watcher] of this.#watchers) {
      if (!key.startsWith(`${process} `)) continue
      this.#watchers.delete(key)
      this.#training.stop(watcher)
    }
  }

  async #do(process: number, call: TrainingCall): Promise<Answer | number | boolean | undefined> {
    switch (call.verb) {
      case 'start':
        return this.#watch(process, call.watcher, (watcher) => this.#training.start(call.request, watcher))
      case 'resume':
        await this.#watch(process, call.watcher, (watcher) => this.#training.resume(call.run, watcher))
        return call.run
      case 'stop': {
        const watcher = this.#watchers.get(`${process} ${call.watcher}`)
        this.#watchers.delete(`${process} ${call.watcher}`)
        if (watcher) this.#training.stop(watcher)
        return undefined
      }
      case 'ask':
        return this.#training.ask(call.question)
      case 'hasNetwork':
        return this.#training.hasNetwork()
    }
  }

  async #watch<T>(process: number, number: number, begin: (watcher: Watcher) => Promise<T>): Promise<T> {
    const key = `${process} ${number}`
    const watcher: Watcher = {
      report: (report) => {
        if (report.kind === 'end') this.#watchers.delete(key)
        this.#tell(process, { kind: 'report', watcher: number, report })
      },
    }
    this.#watchers.set(key, watcher)
    try {
      return await begin(watcher)
    } catch (error) {
      this.#watchers.delete(key)
      throw error
    }
  }
}
