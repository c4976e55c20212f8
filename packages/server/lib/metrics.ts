/** What the server tells Prometheus. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { HistogramByModel } from './histogram.ts'
import type { Measures } from './models/measures.ts'

/** Seconds: from 10 µs, a request of a small network, to 10 s. */
const seconds = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
  0.5, 1, 2.5, 10,
]

/** The metrics of one model, their labels looked up once: they are on every request's way. */
interface ModelMetrics extends Measures {
  /** @param queue microseconds that it waited; undefined where it was not for a batch */
  succeeded(queue: number | undefined, total: number): void
}

export class Metrics {
  readonly registry = new Registry()
  readonly #requests: Counter<'model'>
  readonly #failures: Counter<'model' | 'reason'>
  readonly #queue: HistogramByModel
  readonly #compute: HistogramByModel
  readonly #total: HistogramByModel
  readonly #batches: HistogramByModel
  readonly #loads: Counter<'model' | 'result'>
  readonly #models = new Map<string, ModelMetrics>()

  /** @param waiting images that wait, by model */
  constructor(waiting: () => ReadonlyMap<string, number>) {
    const registers = [this.registry]
    const labelNames = ['model'] as const
    this.#requests = new Counter({
      name: 'kernelet_requests_total',
      help: 'Inference requests that were answered with a result',
      labelNames,
      registers,
    })
    this.#failures = new Counter({
      name: 'kernelet_failures_total',
      help: 'Requests that were refused or failed, by reason',
      labelNames: ['model', 'reason'],
      registers,
    })
    const histogram = (name: string, help: string, bounds: readonly number[] = seconds): HistogramByModel =>
      new HistogramByModel(name, help, bounds, this.registry)
    this.#queue = histogram(
      'kernelet_queue_seconds',
      'From the arrival of a request to the start of its batch',
    )
    this.#compute = histogram(
      'kernelet_compute_seconds',
      'Duration of batches; of pictures, which run one by one, with their decoding',
    )
    this.#total = histogram('kernelet_request_seconds', 'From the arrival of a request to its answer')
    this.#batches = histogram(
      'kernelet_batch_images',
      'Images of a batch',
      [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024],
    )
    this.#loads = new Counter({
      name: 'kernelet_model_loads_total',
      help: 'Model files that were loaded, or could not be',
      labelNames: ['model', 'result'],
      registers,
    })
    new Gauge({
      name: 'kernelet_queue_images',
      help: 'Images that wait',
      labelNames,
      registers,
      collect() {
        this.reset()
        for (const [model, images] of waiting()) this.set({ model }, images)
      },
    })
    // event-loop delay, memory, CPU time, garbage collection
    collectDefaultMetrics({ register: this.registry })
  }

  of(model: string): ModelMetrics {
    let metrics = this.#models.get(model)
    if (!metrics) {
      const labels = { model }
      const requests = this.#requests.labels(labels)
      const queue = this.#queue.of(model)
      const compute = this.#compute.of(model)
      const total = this.#total.of(model)
      const batches = this.#batches.of(model)
      metrics = {
        batch(images, microseconds) {
          batches(images)
          compute(microseconds / 1e6)
        },
        succeeded(waited, microseconds) {
          requests.inc()
          if (waited !== undefined) queue(waited / 1e6)
          total(microseconds / 1e6)
        },
      }
      this.#models.set(model, metrics)
    }
    return metrics
  }

  /** @param model '' where the request was refused before one was found: its name is the caller's, and could be any */
  failed(model: string, reason: string): void {
    this.#failures.inc({ model, reason })
  }

  loaded(model: string, result: 'loaded' | 'failed'): void {
    this.#loads.inc({ model, result })
  }
}
