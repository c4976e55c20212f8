/** Curves in a terminal, drawn in Braille: two dots a letter across, four down. */

/** Bits of the dots of a Braille letter, by row and column (Unicode 15, chapter 21.1). */
const dots = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const

/**
 * A curve with its highest and lowest value at the left.
 *
 * @param points from left to right
 * @param width in letters, without the margin
 * @param format writes a value at the margin
 */
export function brailleChart(
  points: readonly (readonly [x: number, y: number])[],
  { width, height, format }: { width: number; height: number; format: (value: number) => string },
): string {
  const finite = points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y))
  if (finite.length === 0) return ''
  const [xs, ys] = [finite.map(([x]) => x), finite.map(([, y]) => y)]
  const [left, right] = [Math.min(...xs), Math.max(...xs)]
  const [low, high] = [Math.min(...ys), Math.max(...ys)]
  const [columns, rows] = [2 * width, 4 * height]
  const at = (value: number, from: number, to: number, places: number): number =>
    to === from ? 0 : Math.round(((value - from) / (to - from)) * (places - 1))
  const letters = Array.from({ length: height }, () => new Uint8Array(width))
  const set = (x: number, y: number): void => {
    const row = letters[Math.floor(y / 4)] as Uint8Array
    const column = Math.floor(x / 2)
    row[column] = (row[column] as number) | (dots[y % 4]?.[x % 2] as number)
  }
  const places = finite.map(([x, y]): [number, number] => [
    at(x, left, right, columns),
    rows - 1 - at(y, low, high, rows),
  ])
  for (const [i, [x, y]] of places.entries()) {
    const [fromX, fromY] = places[Math.max(0, i - 1)] as [number, number]
    const steps = Math.max(1, Math.abs(x - fromX), Math.abs(y - fromY))
    for (let k = 0; k <= steps; k++) {
      set(Math.round(fromX + ((x - fromX) * k) / steps), Math.round(fromY + ((y - fromY) * k) / steps))
    }
  }
  const marks = letters.map((_, i) => (i === 0 ? format(high) : i === height - 1 ? format(low) : ''))
  const margin = Math.max(...marks.map((mark) => mark.length))
  return letters
    .map((row, i) => {
      const line = [...row].map((bits) => String.fromCodePoint(0x2800 + bits)).join('')
      return `${(marks[i] as string).padStart(margin)} ┤${line}`
    })
    .join('\n')
}

/** The mean of every stretch of values, so many of them: noise of single steps evens out. */
export function smooth(values: ArrayLike<number>, count: number): [x: number, y: number][] {
  const stretches = Math.min(count, values.length)
  return Array.from({ length: stretches }, (_, i) => {
    const [from, to] = [i, i + 1].map((k) => Math.floor((k * values.length) / stretches)) as [number, number]
    let sum = 0
    for (let k = from; k < to; k++) sum += values[k] as number
    return [(from + to) / 2, sum / (to - from)]
  })
}
