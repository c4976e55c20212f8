/** "Did you mean …?" */

/** The candidate nearest to `word`, quoted in a question, or '' where none is near. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  let nearest = ''
  let least = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    const edits = distance(word.toLowerCase(), candidate)
    if (edits < least || (candidate.startsWith(word) && nearest === '')) {
      nearest = candidate
      least = edits
    }
  }
  return nearest === '' ? '' : `; did you mean ${nearest}?`
}

/** Letters inserted, left out, replaced, or swapped with their neighbour (optimal string alignment). */
function distance(a: string, b: string): number {
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, k) => k)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let k = 1; k <= b.length; k++) {
      const replaced = (above[k - 1] ?? 0) + (a[i - 1] === b[k - 1] ? 0 : 1)
      let least = Math.min(replaced, (above[k] ?? 0) + 1, (row[k - 1] ?? 0) + 1)
      if (a[i - 1] === b[k - 2] && a[i - 2] === b[k - 1]) least = Math.min(least, (before[k - 2] ?? 0) + 1)
      row.push(least)
    }
    before = above
    above = row
  }
  return above[b.length] ?? 0
}
