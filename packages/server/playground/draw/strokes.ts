/** Digits as strokes: to begin with, to try, and to train on. */

/** Points of one stroke, 0 … 1 from the top left, x and y in turn. */
export type Stroke = number[]

/** As a hand writes them: a few points, through which a smooth line goes. */
const digits: readonly (readonly string[])[] = [
  ['50 18 33 28 28 50 34 74 50 83 66 73 72 50 67 28 52 18'],
  ['38 32 52 18 52 82'],
  ['31 34 38 20 55 18 66 30 60 46 42 64 30 80 50 79 71 80'],
  ['32 24 48 17 64 26 60 41 46 48 62 54 68 68 56 81 40 81 30 73'],
  ['56 18 42 38 29 59 50 60 74 59', '60 40 60 62 59 84'],
  ['67 20 52 20 38 20 36 34 34 46 48 42 62 47 68 61 61 76 47 82 31 77'],
  ['60 18 45 32 34 52 34 70 47 82 62 77 66 63 54 53 41 58 35 70'],
  ['29 21 48 21 70 20 60 38 50 58 44 82'],
  ['62 26 50 18 38 25 41 38 54 49 65 62 60 77 47 82 35 74 38 60 52 48 62 38 62 26'],
  ['65 30 54 19 40 23 36 37 45 48 58 44 65 31 66 48 62 68 56 83'],
]

/** The strokes of a digit, a little different each time where there is chance. */
export function exampleOf(digit: number, random: () => number = () => 0.5): Stroke[] {
  const spread = (width: number): number => (random() - 0.5) * width
  const [slant, turn] = [spread(0.4), spread(0.3)]
  const [wide, high] = [1 + spread(0.4), 1 + spread(0.3)]
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)]
  return (digits[digit] ?? []).map((text) => {
    const numbers = text.split(' ').map(Number)
    const points: number[] = []
    for (let i = 0; i < numbers.length; i += 2) {
      const y = ((numbers[i + 1] ?? 0) / 100 - 0.5) * high + spread(0.03)
      const x = ((numbers[i] ?? 0) / 100 - 0.5) * wide - slant * y + spread(0.03)
      points.push(0.5 + cos * x - sin * y, 0.5 + sin * x + cos * y)
    }
    return points
  })
}

/** Draws strokes as a round pen would; `width` in pixels. */
export function paintStrokes(
  context: CanvasRenderingContext2D,
  strokes: readonly Stroke[],
  size: number,
  width: number,
): void {
  context.lineWidth = width
  context.lineCap = 'round'
  context.lineJoin = 'round'
  for (const stroke of strokes) {
    const at = (i: number): [number, number] => [size * (stroke[2 * i] ?? 0), size * (stroke[2 * i + 1] ?? 0)]
    const count = stroke.length / 2
    context.beginPath()
    context.moveTo(...at(0))
    if (count === 1) context.lineTo(...at(0))
    // through the middles of what lies between points, so that corners are round
    for (let i = 1; i < count - 1; i++) {
      const [x, y] = at(i)
      const [nextX, nextY] = at(i + 1)
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2)
    }
    if (count > 1) context.lineTo(...at(count - 1))
    context.stroke()
  }
}
