/** Several processes that act as one server: starts them, replaces those that die, and does for all what one is asked. */
import cluster, { type Worker } from 'node:cluster'
import { fileURLToPath } from 'node:url'
import { type Logger, pino } from 'pino'
import { AggregatorRegistry, type MetricObject } from 'prom-client'
import type { TrainingHost } from '../playground/train/remote.ts'
import type { Training } from '../playground/train/training.ts'
import type { Settings } from '../settings.ts'
import { type Act, type Fault, type FromPrimary, type FromWorker, START, type Start } from './messages.ts'

/**
 * Milliseconds that all workers have for an act, and for their metrics: Prometheus waits ten seconds for all of it. One
 * that hangs counts with what it told last.
 */
const ACT = 120_000
const COLLECT = 3_000
/** The successor of a worker that never served waits so long, in milliseconds: it may fail as well. */
const FAILED = 1_000
/** That of any other waits so long: where all die at once, the last one's end is known by then, and the port kept. */
const SERVED = 50

export interface ClusterServing {
  log: Logger
  address: string
  grpcPort: number | undefined
  drain(): Promise<boolean>
}

interface Member {
  worker: Worker
  ready: boolean
  /** It has listened: nothing keeps its successor from that. */
  served: boolean
  /** What it told last. Without these the sums would fall, and counters that fall are taken for a new start. */
  metrics: MetricObject[]
}

/** Where clients find the server. */
interface Place {
  address: string
  grpcPort: number | undefined
}

/** @throws Error when the first workers cannot start */
export async function serveWorkers(settings: Settings): Promise<ClusterServing> {
  const primary = new Primary(settings)
  const { address, grpcPort } = await primary.start()
  return { log: primary.log, address, grpcPort, drain: () => primary.drain() }
}

class Primary {
  readonly log: Logger
  #settings: Settings
  readonly #members = new Map<number, Member>()
  /** Answers that are waited for, by id and worker. */
  readonly #pending = new Map<string, (message: FromWorker | undefined) => void>()
  /** Models that the repository's unload took out. */
  readonly #unloaded = new Set<string>()
  /** Acts run one after another, so that all workers see them in one order. */
  #last: Promise<unknown> = Promise.resolve()
  #next = 0
  #watcher = 0
  #training: Promise<{ host: TrainingHost; training: Training }> | undefined
  #ending = false
  #whole = true
  #wasReady = false
  #place: Place | undefined
  #started: ((message: FromWorker) => void) | undefined

  constructor(settings: Settings) {
    this.#settings = settings
    this.log = pino({ level: settings.logLevel })
    // Workers accept connections themselves: one that this process had accepted, and was handing to a worker that is
    // killed just then, would neither be answered nor closed.
    cluster.schedulingPolicy = cluster.SCHED_NONE
    cluster.setupPrimary({
      exec: fileURLToPath(new URL('./worker.js', import.meta.url)),
      args: [],
      // drawings and maps as they lie in memory
      serialization: 'advanced',
    })
    cluster.on('exit', (worker, code, signal) => this.#died(worker, code, signal))
  }

  async start(): Promise<Place> {
    const all = Array.from({ length: this.#settings.workers }, () => this.#fork())
    let place: Place = { address: '', grpcPort: undefined }
    let left = all.length
    await new Promise<void>((resolve, reject) => {
      this.#started = (message) => {
        if (message.kind === 'failed') {
          this.#ending = true
          for (const { worker } of this.#members.values()) worker.process.kill('SIGKILL')
          reject(new Error(message.message))
        }
        if (message.kind === 'state' && --left === 0) {
          place = message
          resolve()
        }
      }
    })
    this.#started = undefined
    this.#place = place
    return place
  }

  async drain(): Promise<boolean> {
    this.#ending = true
    this.#tellReady()
    const { grace } = this.#settings
    const members = [...this.#members.values()]
    for (const { worker } of members) this.#tell(worker, { kind: 'drain' })
    void this.#training?.then(({ training }) => training.close())
    await Promise.all(
      members.map(
        ({ worker }) =>
          new Promise<void>((resolve) => {
            if (worker.isDead()) return resolve()
            const timer = setTimeout(() => {
              this.#whole = false
              worker.process.kill('SIGKILL')
            }, grace + 5000)
            worker.once('exit', () => {
              clearTimeout(timer)
              resolve()
            })
          }),
      ),
    )
    return this.#whole
  }

  #fork(): Worker {
    // One of them looks at the files, and asks for what has changed to be loaded by all.
    const watch = this.#settings.watch && !this.#members.has(this.#watcher)
    const start: Start = {
      settings: { ...this.#settings, watch },
      except: [...this.#unloaded],
    }
    const worker = cluster.fork({ [START]: JSON.stringify(start) })
    if (watch) this.#watcher = worker.id
    this.#members.set(worker.id, { worker, ready: false, served: false, metrics: [] })
    worker.on('message', (message: FromWorker) => this.#hear(worker, message))
    worker.on('error', () => undefined)
    return worker
  }

  #died(worker: Worker, code: number, signal: string): void {
    const member = this.#members.get(worker.id)
    this.#members.delete(worker.id)
    for (const [key, answer] of this.#pending) {
      if (key.startsWith(`${worker.id} `)) {
        this.#pending.delete(key)
        answer(undefined)
      }
    }
    void this.#training?.then(({ host }) => host.forget(worker.id))
    if (this.#ending || !member) return
    if (this.#members.size === 0) this.#keepPlace()
    this.log.error({ worker: worker.process.pid, code, signal }, 'a worker died; another takes its place')
    this.#tellReady()
    setTimeout(() => this.#ending || this.#fork(), member.served ? SERVED : FAILED)
  }

  /**
   * Any free port (0) is bound by this process for the first worker that asks, and all workers share that socket: nobody
   * can take it in between. It is closed when none of them is left; those that come then ask for the same port.
   */
  #keepPlace(): void {
    if (!this.#place) return
    const { address, grpcPort } = this.#place
    const { socket, port, grpcPort: wanted } = this.#settings
    this.#settings = {
      ...this.#settings,
      ...(socket === undefined && port === 0 && { port: Number(new URL(address).port) }),
      ...(wanted === 0 && grpcPort !== undefined && { grpcPort }),
    }
  }

  /** Of a worker that was started before the last of the others had died, and asked for a free port after that. */
  #isElsewhere({ address, grpcPort }: Place): boolean {
    return this.#place !== undefined && (address !== this.#place.address || grpcPort !== this.#place.grpcPort)
  }

  #hear(worker: Worker, message: FromWorker): void {
    const member = this.#members.get(worker.id)
    if (!member) return
    switch (message.kind) {
      case 'state':
        member.served = true
        if (this.#isElsewhere(message)) {
          this.#keepPlace()
          worker.process.kill('SIGKILL')
          break
        }
        member.ready = message.ready
        this.#started?.(message)
        this.#tellReady()
        // what was said to it before it could hear is lost
        if (this.#ending) this.#tell(worker, { kind: 'drain' })
        break
      case 'failed':
        this.log.error({ worker: worker.process.pid, reason: message.message }, 'a worker could not start')
        this.#started?.(message)
        break
      case 'collected':
        member.metrics = message.metrics as MetricObject[]
        this.#pending.get(`${worker.id} ${message.id}`)?.(message)
        break
      case 'done':
        this.#pending.get(`${worker.id} ${message.id}`)?.(message)
        break
      case 'ask':
        void this.#answer(worker, message)
        break
      case 'training':
        void this.#trainer().then(({ host }) => host.answer(worker.id, message))
        break
      case 'drained':
        this.#whole &&= message.whole
        break
    }
  }

  async #answer(worker: Worker, ask: FromWorker & { kind: 'ask' }): Promise<void> {
    if (ask.verb === 'metrics') {
      return this.#tell(worker, { kind: 'answer', id: ask.id, text: await this.#metrics() })
    }
    const error = await this.#act({ verb: ask.verb, name: ask.name })
    this.#tell(worker, { kind: 'answer', id: ask.id, error })
  }

  /**
   * What trains for all, in this process: a page's requests go to any worker, and its run outlives one that dies. Loaded
   * when it is first asked for.
   */
  #trainer(): Promise<{ host: TrainingHost; training: Training }> {
    this.#training ??= Promise.all([
      import('../playground/train/training.ts'),
      import('../playground/train/remote.ts'),
    ]).then(([{ Training }, { TrainingHost }]) => {
      const training = new Training()
      const host = new TrainingHost(training, (id, message) => {
        const member = this.#members.get(id)
        if (member) this.#tell(member.worker, message)
      })
      return { host, training }
    })
    return this.#training
  }

  /** Done by all workers, or why it was not. */
  async #act(act: Act): Promise<Fault | undefined> {
    const turn = this.#last.then(async () => {
      const answers = await this.#everywhere({ kind: 'act', ...act }, ACT)
      const fault = answers
        .map((answer) => (answer?.kind === 'done' ? answer.error : undefined))
        .find(Boolean)
      if (fault) return fault
      if (act.verb === 'unload') this.#unloaded.add(act.name)
      else this.#unloaded.delete(act.name)
      // A worker that was starting meanwhile read the old list.
      const late = [...this.#members.values()].filter(({ ready }) => !ready)
      for (const { worker } of late) {
        worker.once('message', () => this.#tell(worker, { kind: 'act', id: this.#next++, ...act }))
      }
      return undefined
    })
    this.#last = turn.catch(() => undefined)
    return turn
  }

  async #metrics(): Promise<string> {
    await this.#everywhere({ kind: 'collect' }, COLLECT)
    const told = [...this.#members.values()].map(({ metrics }) => metrics).filter(({ length }) => length > 0)
    return AggregatorRegistry.aggregate(told).metrics()
  }

  /** Asks all workers that are up; undefined for one that died or did not answer. */
  #everywhere(
    message: { kind: 'collect' } | ({ kind: 'act' } & Act),
    patience: number,
  ): Promise<(FromWorker | undefined)[]> {
    const id = this.#next++
    const up = [...this.#members.values()].filter(({ ready }) => ready)
    return Promise.all(
      up.map(
        ({ worker }) =>
          new Promise<FromWorker | undefined>((resolve) => {
            const key = `${worker.id} ${id}`
            const timer = setTimeout(() => this.#pending.get(key)?.(undefined), patience)
            this.#pending.set(key, (answer) => {
              clearTimeout(timer)
              this.#pending.delete(key)
              resolve(answer)
            })
            this.#tell(worker, { ...message, id } as FromPrimary)
          }),
      ),
    )
  }

  #tellReady(): void {
    const members = [...this.#members.values()]
    const ready =
      !this.#ending && members.length === this.#settings.workers && members.every((member) => member.ready)
    if (ready === this.#wasReady && !ready) return
    this.#wasReady = ready
    for (const { worker } of members) this.#tell(worker, { kind: 'ready', ready })
  }

  #tell(worker: Worker, message: FromPrimary): void {
    if (worker.isConnected() && !worker.isDead()) worker.send(message, () => undefined)
  }
}
