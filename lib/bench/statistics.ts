/** Order statistics, and the test that tells a difference from noise. */

/** The values in ascending order. */
export function sorted(values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values).sort()
}

/** The value below which `fraction` of the ascending `values` lie, interpolated (R's and NumPy's default). */
export function quantile(values: Float64Array, fraction: number): number {
  if (values.length === 0) return Number.NaN
  const at = (values.length - 1) * fraction
  const low = Math.floor(at)
  const below = values[low] ?? Number.NaN
  return below + (at - low) * ((values[Math.min(low + 1, values.length - 1)] ?? 0) - below)
}

export function median(values: ArrayLike<number>): number {
  return quantile(sorted(values), 0.5)
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] ?? 0
  return sum / values.length
}

/** Of a sample (n - 1 in the denominator); 0 of one value. */
export function standardDeviation(values: ArrayLike<number>): number {
  if (values.length < 2) return 0
  const middle = mean(values)
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += ((values[i] ?? 0) - middle) ** 2
  return Math.sqrt(sum / (values.length - 1))
}

/** (largest - smallest) / median: how far the repetitions of one measurement lie apart. */
export function spread(values: ArrayLike<number>): number {
  const order = sorted(values)
  return (order.at(-1)! - (order[0] ?? 0)) / quantile(order, 0.5)
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(mean(values.map(Math.log)))
}

export interface MannWhitney {
  /** U of the first sample: pairs in which it is the larger one, ties counting a half. */
  u: number
  /** Two-sided: how often samples of one distribution would differ as much. */
  p: number
  /** `exact` for small samples without ties; else `normal`, with corrections for ties and continuity. */
  method: 'exact' | 'normal'
}

/** Larger samples than this go by the normal distribution. */
const EXACT_UP_TO = 20

/** The Mann-Whitney U test (Wilcoxon's rank sum test): does one sample tend to larger values? */
export function mannWhitney(a: ArrayLike<number>, b: ArrayLike<number>): MannWhitney {
  const [n, m] = [a.length, b.length]
  if (n === 0 || m === 0) return { u: Number.NaN, p: Number.NaN, method: 'normal' }
  const { rankSum, tieTerm } = ranks(a, b)
  const u = rankSum - (n * (n + 1)) / 2
  if (tieTerm === 0 && n <= EXACT_UP_TO && m <= EXACT_UP_TO) {
    return { u, p: exactP(Math.min(u, n * m - u), n, m), method: 'exact' }
  }
  const total = n + m
  const variance = ((n * m) / 12) * (total + 1 - tieTerm / (total * (total - 1)))
  if (variance === 0) return { u, p: 1, method: 'normal' }
  const z = Math.max(0, Math.abs(u - (n * m) / 2) - 0.5) / Math.sqrt(variance)
  return { u, p: Math.min(1, 2 * normalTail(z)), method: 'normal' }
}

/** The sum of a's ranks among both, ties sharing their mean rank, and the sum of t³ - t over ties of t. */
function ranks(a: ArrayLike<number>, b: ArrayLike<number>): { rankSum: number; tieTerm: number } {
  const all = [
    ...Array.from(a, (value) => ({ value, first: true })),
    ...Array.from(b, (value) => ({ value, first: false })),
  ].sort((x, y) => x.value - y.value)
  let rankSum = 0
  let tieTerm = 0
  for (let begin = 0; begin < all.length; ) {
    let end = begin + 1
    while (end < all.length && all[end]!.value === all[begin]!.value) end++
    const count = end - begin
    const rank = (begin + 1 + end) / 2
    for (let i = begin; i < end; i++) if (all[i]!.first) rankSum += rank
    tieTerm += count ** 3 - count
    begin = end
  }
  return { rankSum, tieTerm }
}

/** Twice the share of the arrangements of n and m values whose U is at most `u`. */
function exactP(u: number, n: number, m: number): number {
  // counts[j][k]: arrangements of i firsts and j seconds with U = k, for growing i
  let counts = Array.from({ length: m + 1 }, () => [1])
  for (let i = 1; i <= n; i++) {
    const next = [[1]]
    for (let j = 1; j <= m; j++) {
      // the largest value is a first, above all j seconds, or a second
      const row: number[] = new Array(i * j + 1).fill(0)
      counts[j]!.forEach((count, k) => {
        row[k + j] = (row[k + j] ?? 0) + count
      })
      next[j - 1]!.forEach((count, k) => {
        row[k] = (row[k] ?? 0) + count
      })
      next.push(row)
    }
    counts = next
  }
  const all = counts[m] ?? []
  const sum = (values: number[]): number => values.reduce((x, y) => x + y, 0)
  return Math.min(1, (2 * sum(all.slice(0, Math.floor(u) + 1))) / sum(all))
}

/** P(Z > z) of the standard normal distribution for z ≥ 0, to about 1e-7 (Numerical Recipes' erfc). */
function normalTail(z: number): number {
  const x = z / Math.SQRT2
  const t = 1 / (1 + x / 2)
  const powers = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587,
    -0.82215223, 0.17087277,
  ]
  const polynomial = powers.reduceRight((sum, coefficient) => sum * t + coefficient, 0)
  return (t * Math.exp(-x * x + polynomial)) / 2
}
