/** Histograms for Prometheus that cost little to feed: they stand on every request's way, several times. */
import type { Metric, MetricObject, Registry } from 'prom-client'

interface Counts {
  /** Of each bucket by itself; the last is of what lies above all bounds. */
  readonly buckets: Float64Array
  sum: number
}

interface Value {
  labels: Record<string, string | number>
  value: number
  metricName: string
}

/** A histogram by model. prom-client's own looks its labels up again for every value. */
export class HistogramByModel {
  readonly name: string
  readonly help: string
  readonly type = 'histogram'
  readonly aggregator = 'sum'
  readonly #bounds: readonly number[]
  readonly #models = new Map<string, Counts>()

  constructor(name: string, help: string, bounds: readonly number[], registry: Registry) {
    this.name = name
    this.help = help
    this.#bounds = bounds
    // all that a registry asks of a metric is here
    registry.registerMetric(this as unknown as Metric)
  }

  /** What takes a model's values. */
  of(model: string): (value: number) => void {
    const counts: Counts = { buckets: new Float64Array(this.#bounds.length + 1), sum: 0 }
    this.#models.set(model, counts)
    const bounds = this.#bounds
    const { buckets } = counts
    return (value) => {
      let k = 0
      while (k < bounds.length && value > (bounds[k] as number)) k++
      buckets[k] = (buckets[k] as number) + 1
      counts.sum += value
    }
  }

  /** For the registry. */
  async get(): Promise<MetricObject & { values: Value[] }> {
    const { name, help, type, aggregator } = this
    return { name, help, type, aggregator, values: this.#values() } as unknown as MetricObject & {
      values: Value[]
    }
  }

  #values(): Value[] {
    const values: Value[] = []
    for (const [model, { buckets, sum }] of this.#models) {
      let count = 0
      for (const [k, own] of buckets.entries()) {
        count += own
        const labels = { le: this.#bounds[k] ?? '+Inf', model }
        values.push({ labels, value: count, metricName: `${this.name}_bucket` })
      }
      values.push({ labels: { model }, value: sum, metricName: `${this.name}_sum` })
      values.push({ labels: { model }, value: count, metricName: `${this.name}_count` })
    }
    return values
  }
}
