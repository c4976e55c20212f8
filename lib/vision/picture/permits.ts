/**
 * How many threads may be at the same thing, of all that share the counter. sharp decodes on libuv's threads, four a
 * process, which files, DNS and `runAsync` need too: some are left to them.
 */
export class Permits {
  readonly #free: Int32Array

  /** @param free one number in shared memory: how many more may begin */
  constructor(free: Int32Array) {
    this.#free = free
  }

  /** A counter for `count` at a time. */
  static counter(count: number): Int32Array {
    return new Int32Array(new SharedArrayBuffer(4)).fill(count)
  }

  /** Does the work as soon as it may begin; meanwhile this thread waits. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const free = this.#free
    for (;;) {
      const count = Atomics.load(free, 0)
      if (count > 0 && Atomics.compareExchange(free, 0, count, count - 1) === count) break
      // A thread that was ended at work gives nothing back: then it goes on without, after a while.
      if (count <= 0 && Atomics.wait(free, 0, count, 5000) === 'timed-out') return work()
    }
    try {
      return await work()
    } finally {
      Atomics.add(free, 0, 1)
      Atomics.notify(free, 0, 1)
    }
  }
}
