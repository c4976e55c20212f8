/** The server without its protocols: models, metrics, and how a call is run, whatever it came by. */
import type { FastifyBaseLogger } from 'fastify'
import { messageOf, type RequestError, refusalOf } from './errors.ts'
import { Metrics } from './metrics.ts'
import type { Open } from './models/open.ts'
import { Registry, type ServedModel } from './models/registry.ts'
import { classifyBytes } from './pictures.ts'
import { checkOutputs, chosenOutputs } from './protocol/answer.ts'
import type { AnswerTensor, InferCall } from './protocol/call.ts'
import type { Settings } from './settings.ts'

/** What acts on the whole server: this process alone, or all that act as one. */
export interface Control {
  /** Whether requests should come: all models of all processes are ready, and none is about to end. */
  ready(): boolean
  /** Ends when it is done everywhere. */
  load(name: string): Promise<void>
  unload(name: string): Promise<void>
  /** In Prometheus's text format, summed over all processes. */
  metrics(): Promise<string>
}

/** What logs: pino, or nothing. */
export type Log = Pick<FastifyBaseLogger, 'info' | 'warn' | 'error' | 'debug'>

const silent = (): void => {}
export const noLog: Log = { info: silent, warn: silent, error: silent, debug: silent }

/** An answer on its way. */
export interface Answer {
  (error: RequestError, outputs: undefined): void
  (error: undefined, outputs: readonly AnswerTensor[]): void
}

export class Core {
  readonly settings: Settings
  readonly registry: Registry
  readonly metrics: Metrics
  readonly control: Control
  log: Log = noLog
  /** Set once the server is about to end. */
  draining = false
  #opened = false

  /**
   * @param control of the whole server; default: this process is all there is
   * @param open opens models; default: kernelet
   */
  constructor(settings: Settings, control?: Control, open?: Open) {
    this.settings = settings
    const { model, models: folder, maxBatch, maxDelay, queue, maxWait, threads } = settings
    const models = new Map<string, string | undefined>(Object.entries(model))
    if (models.size === 0 && folder === undefined) models.set('digits', undefined)
    this.metrics = new Metrics(() => this.registry.waiting())
    this.registry = new Registry({
      maxBatch,
      maxDelay,
      queue,
      maxWait,
      threads,
      models,
      folder,
      open,
      measures: (name) => this.metrics.of(name),
      events: {
        loaded: (name, version, ms) => {
          this.metrics.loaded(name, 'loaded')
          this.log.info({ model: name, version, ms: Math.round(ms) }, 'model loaded')
        },
        failed: (name, version, error) => {
          this.metrics.loaded(name, 'failed')
          this.log.error({ model: name, version, reason: messageOf(error) }, 'model could not be loaded')
        },
        unloaded: (name) => this.log.info({ model: name }, 'model unloaded'),
      },
    })
    this.control = control ?? {
      ready: () => this.ready,
      load: (name) => this.registry.load(name),
      unload: (name) => this.registry.unload(name),
      metrics: () => this.metrics.registry.metrics(),
    }
  }

  /** Opens and warms up all models but those. */
  async open(except: readonly string[] = []): Promise<void> {
    await this.registry.open(except)
    this.#opened = true
  }

  /** Of this process. */
  get ready(): boolean {
    return this.#opened && !this.draining && this.registry.ready
  }

  /**
   * Runs a call.
   *
   * @param alive whether the caller still waits
   * @param answer called once, unless this throws
   * @throws RequestError for a call that does not fit the model, or that there is no room for
   */
  infer(served: ServedModel, call: InferCall, alive: () => boolean, answer: Answer): void {
    const begin = performance.now()
    const metrics = this.metrics.of(served.name)
    const deadline = begin + (call.timeout ?? this.settings.timeout)
    const finish = (queue: number | undefined): void =>
      metrics.succeeded(queue, 1000 * (performance.now() - begin))
    if (call.inputs.length === 1 && call.inputs[0]?.datatype === 'BYTES') {
      classifyBytes(served, call, this.settings, { deadline, alive }, metrics).then(
        (outputs) => {
          finish(undefined)
          answer(undefined, outputs)
        },
        (error) => answer(refusalOf(error), undefined),
      )
      return
    }
    checkOutputs(
      call,
      served.engine.outputs.map(({ name }) => name),
    )
    served.engine.infer(call, {
      deadline,
      alive,
      done: (error, outputs, times) => {
        if (error) return answer(refusalOf(error), undefined)
        let chosen: AnswerTensor[]
        try {
          chosen = chosenOutputs(call, outputs, served.classifier?.labels)
        } catch (fault) {
          return answer(refusalOf(fault), undefined)
        }
        finish(times.queue)
        answer(undefined, chosen)
      },
    })
  }

  /** Loads what has changed on disk, with a word about what could not be. */
  async reloadChanged(): Promise<void> {
    for (const name of await this.registry.changed()) {
      try {
        await this.control.load(name)
      } catch (error) {
        this.log.error({ model: name, reason: messageOf(error) }, 'the changed model stays as it was')
      }
    }
  }
}
