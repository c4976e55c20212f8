/** IDX, as it is and gzipped. */
import { gzipSync } from 'node:zlib'
import { integer, mutateBytes } from './mutate.mjs'

export const extension = 'idx'

export function prepare(kernelet) {
  const seeds = [
    idx([2, 3, 4], 24),
    idx([7], 7),
    idx([1, 1, 1, 1, 5], 5),
    idx([0, 3], 0),
    idx([300, 28], 8400),
  ]
  return { kernelet, seeds, zipped: seeds.map((seed) => gzipSync(seed)) }
}

function idx(shape, count, type = 8) {
  const bytes = Buffer.alloc(4 + 4 * shape.length + count, 7)
  bytes.set([0, 0, type, shape.length & 255])
  for (const [i, size] of shape.entries()) bytes.writeUInt32BE(size, 4 + 4 * i)
  return bytes
}

export function make({ seeds, zipped }, random) {
  switch (random.below(8)) {
    case 0:
    case 1:
    case 2:
      return mutateBytes(random, random.pick(seeds), seeds)
    case 3:
      return mutateBytes(random, random.pick(zipped), zipped)
    case 4:
      return gzipSync(mutateBytes(random, random.pick(seeds), seeds), { level: random.pick([0, 1]) })
    default: {
      const shape = Array.from({ length: random.pick([1, 2, 3, 3, 64, 65, 255]) }, () =>
        random.oneIn(3) ? integer(random) >>> 0 : random.below(4),
      )
      const bytes = idx(shape, random.below(64), random.oneIn(8) ? random.below(20) : 8)
      return random.oneIn(3) ? gzipSync(bytes, { level: 1 }) : bytes
    }
  }
}

export function read({ kernelet }, bytes) {
  kernelet.loadIdx(bytes)
}
