/** Random choices that a seed repeats. */

export class Random {
  #state

  /** @param {number} seed a whole number from 0 to 2³² − 1 */
  constructor(seed) {
    this.#state = seed >>> 0
    // neighbouring seeds must not begin alike
    for (let i = 0; i < 4; i++) this.bits()
  }

  /** 32 random bits (splitmix32). */
  bits() {
    this.#state = (this.#state + 0x9e3779b9) | 0
    let word = this.#state
    word = Math.imul(word ^ (word >>> 16), 0x21f0aaad)
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97)
    return (word ^ (word >>> 15)) >>> 0
  }

  /** A whole number from 0 to `count` − 1. */
  below(count) {
    return this.bits() % count
  }

  /** From `least` to `most`, both included. */
  between(least, most) {
    return least + this.below(most - least + 1)
  }

  /** True once in `count` times. */
  oneIn(count) {
    return this.below(count) === 0
  }

  /** One of the items of an array. */
  pick(items) {
    return items[this.below(items.length)]
  }

  /** From −1 to 1. */
  number() {
    return this.bits() / 2 ** 31 - 1
  }
}

/** The seed of input number `index` of a run. */
export function seedOf(run, index) {
  return new Random((Math.imul(run, 0x85ebca6b) ^ Math.imul(index, 0xc2b2ae35)) >>> 0).bits()
}
