/** Numbers to compute with: the same in every run and every process. */

/** Uniform in [low, high), from a 32-bit generator (Marsaglia's xorshift). */
export function uniform(length: number, low: number, high: number, seed: number): Float32Array {
  const values = new Float32Array(length)
  let state = (seed * 0x9e3779b1) | 1
  for (let i = 0; i < length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    values[i] = low + ((high - low) * (state >>> 0)) / 2 ** 32
  }
  return values
}

/** Images of grey levels 0 … 1, as digits have them. */
export function images(batch: number, pixels: number): Float32Array {
  return uniform(batch * pixels, 0, 1, 7)
}
