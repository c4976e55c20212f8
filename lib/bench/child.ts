/** The parent's side of a contender: a process that answers requests one after the other. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { KerneletError } from '../util/errors.ts'
import { moduleUrl } from '../util/package-files.ts'
import type { Replies, Request } from './contender.ts'
import type { Runner } from './runner.ts'

const program = fileURLToPath(moduleUrl('bench/contender'))

export class Child implements Runner {
  readonly name: string
  readonly #process: ChildProcess
  /** What it wrote to stderr, for the message when it dies. */
  #said = ''
  #waiting: { resolve: (reply: never) => void; reject: (error: Error) => void } | undefined

  /** @param name of the contender, for messages */
  constructor(name: string) {
    this.name = name
    this.#process = fork(program, [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-2000)
    })
    this.#process.on('message', (reply: { error?: string }) => {
      const waiting = this.#waiting
      this.#waiting = undefined
      if (reply.error === undefined) waiting?.resolve(reply as never)
      else waiting?.reject(this.#fault(reply.error))
    })
    this.#process.on('exit', (code, signal) => {
      const last = this.#said.trim().split('\n').at(-1) ?? ''
      this.#waiting?.reject(this.#fault(`ended with ${signal ?? `exit code ${code}`}. ${last}`))
    })
  }

  ask<R extends Request>(request: R): Promise<Replies[R['do']]> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      this.#process.send(request)
    })
  }

  stop(): void {
    this.#process.removeAllListeners('exit')
    this.#process.kill()
  }

  #fault(what: string): KerneletError {
    return new KerneletError('ERR_UNSUPPORTED', `${this.name}: ${what}`)
  }
}
