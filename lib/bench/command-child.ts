/**
 * A contender outside npm: a command that reads requests as lines of JSON and answers each with a line.
 *
 *   {"do":"open","onnx":"FILE","threads":1}                → {"version":"PyTorch 2.9"}
 *   {"do":"prepare","key":"8","input":"FILE","shape":[…]}  → {"output":[…]}
 *   {"do":"sample","key":"8","ms":50}                      → {"ns":[…]}
 *
 * The input is a file of little-endian float32. `prepare` runs it once: the first output of the model, all of it.
 * `sample` makes calls for about that many milliseconds and tells the nanoseconds of each. {"error":"…"} answers
 * what it cannot do; the end of its input ends it. What it writes to stderr is shown when it fails.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { KerneletError } from '../util/errors.ts'
import type { Replies, Request } from './contender.ts'
import { peakBytes } from './peak-bytes.ts'
import type { Runner } from './runner.ts'

/** Of silence, after which it has hung. */
const PATIENCE_MS = 300_000

type Answer = Readonly<Record<string, unknown>>

export class CommandChild implements Runner {
  readonly name: string
  readonly #process: ChildProcess
  readonly #scratch: string
  readonly #lines: AsyncIterator<string>
  readonly #closed: Promise<number | null>
  #said = ''

  /**
   * @param name for messages
   * @param command a line for the shell
   * @param scratch a folder for inputs
   */
  constructor(name: string, command: string, scratch: string) {
    this.name = name
    this.#scratch = scratch
    this.#process = spawn(command, { shell: true, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-2000)
    })
    this.#closed = new Promise((resolve) => this.#process.once('close', resolve))
    // a command that ended takes no requests: its answer, none, says so
    this.#process.stdin!.on('error', () => {})
    this.#lines = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]()
  }

  async ask<R extends Request>(request: R): Promise<Replies[R['do']]> {
    return (await this.#answer(request)) as Replies[R['do']]
  }

  async #answer(request: Request): Promise<Replies[keyof Replies]> {
    switch (request.do) {
      case 'open': {
        const begin = performance.now()
        const { onnx, threads } = request.task
        const { version } = await this.#exchange({ do: 'open', onnx, threads })
        await this.#prepare('first', request.input, request.shape)
        const ms = performance.now() - begin
        return { version: typeof version === 'string' ? version : '', ms, ...this.#memory() }
      }
      case 'prepare':
        return { output: await this.#prepare(request.key, request.input, request.shape) }
      case 'sample': {
        const { ns } = await this.#exchange({ do: 'sample', key: request.key, ms: request.ms })
        const samples = Float64Array.from(this.#numbers(ns, 'ns'))
        if (samples.length === 0 || !samples.every((one) => one > 0)) throw this.#fault('ns has no times')
        return { iterations: samples.length, samples, cpu: 0 }
      }
    }
  }

  async #prepare(key: string, input: Float32Array, shape: readonly number[]): Promise<Float32Array> {
    const file = join(this.#scratch, `input-${this.#process.pid}-${key.replace(/\W/g, '-')}.f32`)
    writeFileSync(file, new Uint8Array(input.buffer, input.byteOffset, input.byteLength))
    try {
      const { output } = await this.#exchange({ do: 'prepare', key, input: file, shape })
      return Float32Array.from(this.#numbers(output, 'output'))
    } finally {
      rmSync(file, { force: true })
    }
  }

  #numbers(value: unknown, what: string): readonly number[] {
    if (Array.isArray(value) && value.every((one) => typeof one === 'number')) return value
    throw this.#fault(`expected ${what} to be a list of numbers`)
  }

  async #exchange(request: object): Promise<Answer> {
    this.#process.stdin!.write(`${JSON.stringify(request)}\n`)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.#fault('has not answered')), PATIENCE_MS)
    })
    try {
      const { value, done } = await Promise.race([this.#lines.next(), late])
      if (done) throw this.#fault(await this.#end())
      const answer = parsed(value)
      if (answer === undefined)
        throw this.#fault(`expected a line of JSON but received ${value.slice(0, 80)}`)
      if (answer.error !== undefined) throw this.#fault(String(answer.error))
      return answer
    } finally {
      clearTimeout(timer)
    }
  }

  /** How it ended, and the last that it said, once all of that has come. */
  async #end(): Promise<string> {
    const code = await Promise.race([this.#closed, pause(1000, null)])
    const said = this.#said.trim().split('\n').at(-1)
    return `ended${code === null ? '' : ` with exit code ${code}`}${said ? `: ${said}` : ''}`
  }

  /** The shell, and its child where it has one; as Linux tells. */
  #processes(): number[] {
    const { pid } = this.#process
    if (pid === undefined) return []
    try {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
      return [pid, ...children.filter((id) => id !== '').map(Number)]
    } catch {
      return []
    }
  }

  /** Bytes of the largest process, now and at the most; 0 where it cannot be told. */
  #memory(): { rss: number; peak: number } {
    const ids = this.#processes()
    return { rss: Math.max(0, ...ids.map(residentBytes)), peak: Math.max(0, ...ids.map(peakBytes)) }
  }

  stop(): void {
    this.#process.stdin!.end()
    const { pid } = this.#process
    if (pid !== undefined) setTimeout(() => this.#process.kill(), 1000).unref()
  }

  #fault(what: string): KerneletError {
    return new KerneletError('ERR_UNSUPPORTED', `${this.name}: ${what}`)
  }
}

function residentBytes(pid: number): number {
  try {
    const [, pages = '0'] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')
    return 4096 * Number(pages)
  } catch {
    return 0
  }
}

function parsed(line: string): Answer | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Answer) : undefined
  } catch {
    return undefined
  }
}
