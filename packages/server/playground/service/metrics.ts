/** The server's own figures, read from what it tells Prometheus. */

/** A line: `name{label="value",…} number`. */
export interface Sample {
  name: string
  labels: Record<string, string>
  value: number
}

export function parseMetrics(text: string): Sample[] {
  return text.split('\n').flatMap((line) => {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line)
    if (!match) return []
    const [, name = '', inside = '', number = ''] = match
    const labels: Record<string, string> = {}
    for (const [, key = '', value = ''] of inside.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[key] = value.replace(/\\(.)/g, (_, one: string) => (one === 'n' ? '\n' : one))
    }
    const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number)
    return Number.isNaN(value) ? [] : [{ name, labels, value }]
  })
}

/** The sum over all that has a name, and labels if any are given. */
export function total(samples: readonly Sample[], name: string, labels: Record<string, string> = {}): number {
  const fits = (sample: Sample): boolean =>
    sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value)
  return samples.reduce((sum, sample) => (fits(sample) ? sum + sample.value : sum), 0)
}

/** How many came into each bucket of a histogram between two looks, with the bucket's upper end. */
function buckets(
  before: readonly Sample[],
  after: readonly Sample[],
  name: string,
): [end: number, count: number][] {
  const ends = new Map<number, number>()
  for (const [samples, sign] of [
    [before, -1],
    [after, 1],
  ] as const) {
    for (const sample of samples) {
      if (sample.name !== `${name}_bucket`) continue
      const end = sample.labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(sample.labels.le)
      ends.set(end, (ends.get(end) ?? 0) + sign * sample.value)
    }
  }
  return [...ends].sort(([a], [b]) => a - b)
}

/**
 * A quantile of what came into a histogram between two looks, spread evenly over its bucket as Prometheus's
 * `histogram_quantile` does; null where nothing came.
 */
export function quantile(
  before: readonly Sample[],
  after: readonly Sample[],
  name: string,
  share: number,
): number | null {
  const counts = buckets(before, after, name)
  const all = counts.at(-1)?.[1] ?? 0
  if (all <= 0) return null
  const rank = share * all
  let [from, below] = [0, 0]
  for (const [end, count] of counts) {
    if (count >= rank) {
      if (end === Number.POSITIVE_INFINITY) return from
      return count === below ? end : from + ((end - from) * (rank - below)) / (count - below)
    }
    ;[from, below] = [end, count]
  }
  return from
}

/** The mean of what came into a histogram between two looks; null where nothing came. */
export function mean(before: readonly Sample[], after: readonly Sample[], name: string): number | null {
  const count = total(after, `${name}_count`) - total(before, `${name}_count`)
  return count > 0 ? (total(after, `${name}_sum`) - total(before, `${name}_sum`)) / count : null
}
