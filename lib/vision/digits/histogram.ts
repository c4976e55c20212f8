/** Grey-level histograms and what is read from them: percentiles and Otsu's threshold. */

/** How many pixels have each of the 256 levels. */
export function histogram(data: Uint8Array): Uint32Array {
  // Neighbours are often equal, and counting one level twice in a row waits for memory: hence two tables.
  const counts = new Uint32Array(256)
  const others = new Uint32Array(256)
  count(data, counts, others)
  for (let level = 0; level < 256; level++) counts[level] = (counts[level] ?? 0) + (others[level] ?? 0)
  return counts
}

function count(data: Uint8Array, even: Uint32Array, odd: Uint32Array): void {
  const last = data.length - 1
  for (let i = 0; i < last; i += 2) {
    even[data[i]!]!++
    odd[data[i + 1]!]!++
  }
  if (last % 2 === 0) even[data[last]!]!++
}

/** The smallest level that at least `fraction` (0 to 1) of the pixels do not exceed. */
export function percentile(counts: Uint32Array, fraction: number): number {
  let total = 0
  for (const n of counts) total += n
  const wanted = fraction * total
  let seen = 0
  for (let level = 0; level < 256; level++) {
    seen += counts[level] ?? 0
    if (seen >= wanted && seen > 0) return level
  }
  return 255
}

/** Two classes of levels: those up to `threshold`, and those above it. */
export interface Split {
  threshold: number
  /** Mean level and standard deviation of the lower class, mean of the upper. */
  lowMean: number
  lowDeviation: number
  highMean: number
  /** Share of the variance that the split explains, 0 to 1 (Otsu's eta). */
  separability: number
}

/**
 * Otsu's threshold: the one that makes the variance between the two classes largest. With a gap between the
 * classes every level in it is as good; the middle one is taken. Null where there is but one level.
 *
 * @param from levels below are left out
 */
export function otsu(counts: Uint32Array, from = 0): Split | null {
  let total = 0
  let sum = 0
  let squares = 0
  for (let v = from; v < 256; v++) {
    const n = counts[v] ?? 0
    total += n
    sum += n * v
    squares += n * v * v
  }
  let below = 0
  let belowSum = 0
  let best = 0
  let first = -1
  let last = -1
  for (let v = from; v < 255; v++) {
    below += counts[v] ?? 0
    belowSum += (counts[v] ?? 0) * v
    const above = total - below
    if (below === 0) continue
    if (above === 0) break
    const distance = belowSum / below - (sum - belowSum) / above
    const between = below * above * distance * distance
    if (between > best) {
      best = between
      first = v
      last = v
    } else if (between === best) {
      last = v
    }
  }
  if (first < 0) return null
  const threshold = (first + last) >> 1
  let n = 0
  let s = 0
  let q = 0
  for (let v = from; v <= threshold; v++) {
    n += counts[v] ?? 0
    s += (counts[v] ?? 0) * v
    q += (counts[v] ?? 0) * v * v
  }
  const lowMean = s / n
  const variance = squares - (sum * sum) / total
  return {
    threshold,
    lowMean,
    lowDeviation: Math.sqrt(Math.max(0, q / n - lowMean * lowMean)),
    highMean: (sum - s) / (total - n),
    separability: best / total / variance,
  }
}
