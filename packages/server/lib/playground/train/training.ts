/** Training for the page: one run at a time, in a thread of its own, as long as somebody watches. */
import { Worker } from 'node:worker_threads'
import { RequestError } from '../../errors.ts'
import { Asked, threadFile } from '../inspect/inspector.ts'
import type { Answer, Question } from '../inspect/questions.ts'
import type { TrainingReport } from './report.ts'
import type { TaskRequest } from './tasks.ts'
import type { TrainingOrder } from './thread.ts'

/** Milliseconds that a run may take before somebody asks for more. */
export const LONGEST = 60_000
/** Milliseconds that a run which was stopped can be resumed. */
const KEPT = 10 * 60_000

/** Who watches a run. */
export interface Watcher {
  report(report: TrainingReport): void
}

/** What trains: here, or in the process that all others ask. */
export interface Trains {
  /** Whether there is a network that can be looked into. */
  hasNetwork(): Promise<boolean>
  /**
   * Begins a run; one that was stopped is given up.
   *
   * @returns what it can be resumed by
   * @throws RequestError overloaded while another trains
   */
  start(request: TaskRequest, watcher: Watcher): Promise<number>
  /** @throws RequestError not_found for a run that is gone; overloaded while one trains */
  resume(id: number, watcher: Watcher): Promise<void>
  /** Ends the run that somebody watched after the step under way; it can be resumed. Nobody is told any more. */
  stop(watcher: Watcher): void
  /** @throws as `Asked.ask`; RequestError not_found where nothing was trained */
  ask(question: Question): Promise<Answer>
  /** Ends what there is, and tells who watches. */
  close(): Promise<void>
}

interface Run {
  id: number
  thread: Worker
  asked: Asked
  /** While it trains. */
  watcher: Watcher | undefined
  /** Told to stop, and nobody watches. */
  stopping: boolean
  /** Whether it can be looked into. */
  pictures: boolean
  forget: NodeJS.Timeout | undefined
}

export class Training implements Trains {
  #run: Run | undefined
  #next = 1
  readonly #begun = new WeakSet<Run>()

  async hasNetwork(): Promise<boolean> {
    return this.#run?.pictures === true && this.#begun.has(this.#run)
  }

  async start(request: TaskRequest, watcher: Watcher): Promise<number> {
    if (!this.#run?.stopping) this.#checkFree()
    void this.close()
    const thread = new Worker(threadFile('train/thread.js'), { workerData: request })
    thread.unref()
    const pictures = request.task === 'drawings' || request.task === 'mnist'
    const run: Run = {
      id: this.#next++,
      thread,
      asked: new Asked(thread),
      watcher,
      stopping: false,
      pictures,
      forget: undefined,
    }
    this.#run = run
    thread.on('message', ({ report }: { report?: TrainingReport }) => {
      if (!report) return
      if (report.kind === 'begin') this.#begun.add(run)
      run.watcher?.report(report)
      if (report.kind === 'end') this.#ended(run)
    })
    const died = (cause: unknown): void => {
      const message = cause instanceof Error ? cause.message : 'the thread ended'
      run.watcher?.report({ kind: 'end', why: 'failed', message })
      run.watcher = undefined
      if (this.#run === run) this.#run = undefined
    }
    thread.on('error', died)
    thread.on('exit', died)
    order(run, { kind: 'go', milliseconds: LONGEST })
    return run.id
  }

  async resume(id: number, watcher: Watcher): Promise<void> {
    const run = this.#run
    if (run?.id !== id) throw new RequestError('not_found', 'That run is gone; begin another')
    this.#checkFree()
    clearTimeout(run.forget)
    run.watcher = watcher
    order(run, { kind: 'go', milliseconds: LONGEST })
  }

  stop(watcher: Watcher): void {
    if (this.#run?.watcher !== watcher) return
    this.#run.watcher = { report: () => undefined }
    this.#run.stopping = true
    order(this.#run, { kind: 'stop' })
  }

  async ask(question: Question): Promise<Answer> {
    if (this.#run) return this.#run.asked.ask(question)
    throw new RequestError('not_found', 'Nothing has been trained yet')
  }

  async close(): Promise<void> {
    const run = this.#run
    this.#run = undefined
    run?.watcher?.report({ kind: 'end', why: 'failed', message: 'The server ends' })
    if (run) run.watcher = undefined
    clearTimeout(run?.forget)
    await run?.thread.terminate()
  }

  #ended(run: Run): void {
    run.watcher = undefined
    run.stopping = false
    run.forget = setTimeout(() => {
      if (this.#run === run) void this.close()
    }, KEPT).unref()
  }

  #checkFree(): void {
    if (this.#run?.watcher) {
      throw new RequestError(
        'overloaded',
        'Somebody trains already: one run at a time; try again in a minute',
      )
    }
  }
}

function order({ thread }: Run, message: TrainingOrder): void {
  thread.postMessage(message)
}
