/** A pen: smooth curves through points, laid onto a picture as ink. */

/** A smooth curve through the points (Catmull-Rom), as many short pieces. */
export function curve(points, pieces = 16) {
  const line = [points[0]]
  for (let i = 0; i + 1 < points.length; i++) {
    const [before, from, to, after] = [
      points[Math.max(0, i - 1)],
      points[i],
      points[i + 1],
      points[Math.min(points.length - 1, i + 2)],
    ]
    for (let step = 1; step <= pieces; step++) {
      const t = step / pieces
      line.push(
        [0, 1].map((k) => {
          const [a, b, c, d] = [before[k], from[k], to[k], after[k]]
          return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
        }),
      )
    }
  }
  return line
}

/** Points along a line, `distance` apart. */
export function spaced(line, distance) {
  const points = [line[0]]
  let rest = distance
  for (let k = 1; k < line.length; k++) {
    rest -= Math.hypot(line[k][0] - line[k - 1][0], line[k][1] - line[k - 1][1])
    if (rest <= 0) {
      points.push(line[k])
      rest += distance
    }
  }
  return points
}

/** Lays a round pen's path from `a` to `b` onto the coverage (0 to 1 a pixel), its edge a pixel soft. */
export function stamp(coverage, width, height, a, b, radius) {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]]
  const length = dx * dx + dy * dy
  const reach = radius + 1
  for (
    let y = Math.max(0, Math.floor(Math.min(a[1], b[1]) - reach));
    y < Math.min(height, Math.max(a[1], b[1]) + reach);
    y++
  ) {
    for (
      let x = Math.max(0, Math.floor(Math.min(a[0], b[0]) - reach));
      x < Math.min(width, Math.max(a[0], b[0]) + reach);
      x++
    ) {
      const [px, py] = [x + 0.5 - a[0], y + 0.5 - a[1]]
      const t = length === 0 ? 0 : Math.min(1, Math.max(0, (px * dx + py * dy) / length))
      const distance = Math.hypot(px - t * dx, py - t * dy)
      // A line thinner than a pixel covers part of it, however close.
      const c = Math.min(1, 2 * radius, Math.max(0, radius + 0.5 - distance))
      coverage[y * width + x] = Math.max(coverage[y * width + x], c)
    }
  }
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function generator(seed) {
  let state = 0
  for (const letter of `${seed}`) state = (Math.imul(state, 31) + letter.codePointAt(0)) | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
