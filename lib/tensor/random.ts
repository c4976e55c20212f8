/** Random numbers, the same as PyTorch's CPU generator gives for the same seed. */
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

const words = 624
const middle = 397

/** A seed from the system's randomness. Its module is large, and loaded by the first who asks. */
function randomSeed(): number {
  return process.getBuiltinModule('node:crypto').randomInt(2 ** 32)
}

/** Whether a value is a Generator: an object that only has the prototype draws nothing. */
let isGenerator: (value: unknown) => value is Generator

/** `value`, if it is a Generator. */
export function generatorOf(value: unknown, what: string): Generator {
  if (isGenerator(value)) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be a Generator but is ${show(value)}`)
}

/**
 * The Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), as `torch.Generator` on the CPU.
 * @example
 * const random = new Generator(0)
 * new Conv2d(1, 2, { kernelSize: 3, generator: random }).weight.shape // → [2, 1, 3, 3]
 */
export class Generator {
  readonly #state: Uint32Array = new Uint32Array(words)
  #next: number = words

  static {
    isGenerator = (value): value is Generator =>
      typeof value === 'object' && value !== null && #state in value
  }

  /**
   * @param seed an integer from 0 to 2⁵³ − 1, of which the low 32 bits count (as in PyTorch); default: one
   *   from the system's randomness
   * @throws KerneletError `ERR_ARGUMENT`
   */
  constructor(seed: number = randomSeed()) {
    this.manualSeed(seed)
  }

  /**
   * Starts again from `seed`.
   * @example
   * new Generator(0).manualSeed(1).random() === new Generator(1).random() // → true
   */
  manualSeed(seed: number): this {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `seed must be an integer from 0 to 2⁵³ − 1 but is ${show(seed)}`,
      )
    }
    const state = this.#state
    state[0] = seed % 2 ** 32
    for (let i = 1; i < words; i++) {
      const previous = state[i - 1] ?? 0
      state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i
    }
    this.#next = words
    return this
  }

  /**
   * 32 random bits as an unsigned integer.
   * @example
   * new Generator(0).random() // → 2357136044
   */
  random(): number {
    if (this.#next === words) this.#refill()
    let y = this.#state[this.#next++] ?? 0
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    y ^= y >>> 18
    return y >>> 0
  }

  /**
   * A float32 from `from` (included) to `to`: 24 random bits, scaled in float32 as `Tensor.uniform_` does.
   * @example
   * new Generator(0).uniform(-1, 1) // → -0.007487
   */
  uniform(from = 0, to = 1): number {
    // an array would be made a number by way of all that is in it
    if (!Number.isFinite(from) || !Number.isFinite(to)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `uniform: expected two numbers but received ${show(from)} and ${show(to)}`,
      )
    }
    const unit = (this.random() & 0xffffff) / 2 ** 24
    const low = Math.fround(from)
    const range = Math.fround(Math.fround(to) - low)
    return Math.fround(Math.fround(unit * range) + low)
  }

  #refill(): void {
    const state = this.#state
    for (let i = 0; i < words; i++) {
      const high = (state[i] ?? 0) & 0x80000000
      const low = (state[(i + 1) % words] ?? 0) & 0x7fffffff
      const y = high | low
      state[i] = (state[(i + middle) % words] ?? 0) ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
    }
    this.#next = 0
  }
}

let shared: Generator | undefined

/** The generator that layers draw their weights from when they are given none. */
export function defaultGenerator(): Generator {
  shared ??= new Generator()
  return shared
}

/**
 * Seeds the default generator, as `torch.manual_seed`: the same seed gives the same weights.
 * @example
 * manualSeed(0)
 * new Linear(2, 1).weight // → [[-0.005294, 0.3793]]
 */
export function manualSeed(seed: number): void {
  defaultGenerator().manualSeed(seed)
}
