/** A target that does what an input says, right or wrong: the test of the fuzzer itself. */

export const extension = 'txt'

export function prepare() {
  return {}
}

const kinds = ['right', 'error', 'hang', 'memory', 'crash']

export function make(_state, random) {
  return Buffer.from(random.pick(kinds))
}

export function read(_state, bytes) {
  switch (Buffer.from(bytes).toString()) {
    case 'error':
      throw new TypeError('an error from inside')
    case 'hang':
      for (;;);
    case 'memory':
      new Uint8Array(600 * 2 ** 20).fill(1)
      break
    case 'crash':
      process.abort()
  }
}
