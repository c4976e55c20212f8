/** The order of images: a function of the seed and the epoch, so that nothing but these two need be kept. */
import { shuffled } from '../data/dataset.ts'
import { Generator } from '../tensor/random.ts'

/** A generator of its own for every purpose: streams of one seed do not repeat each other. */
export function stream(seed: number, epoch: number): Generator {
  let mixed = mix(seed % 2 ** 32)
  mixed = mix(mixed ^ mix(Math.floor(seed / 2 ** 32) + 0x9e3779b9))
  return new Generator(mix(mixed ^ mix(epoch + 0x85ebca6b)))
}

/** MurmurHash3's last step: every bit of the number counts for every bit of the result. */
function mix(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** `indices` in the order of an epoch. */
export function epochOrder(indices: Uint32Array, seed: number, epoch: number): Uint32Array {
  return shuffled(indices.length, stream(seed, epoch)).map((i) => indices[i] ?? 0)
}

/** Whatever epoch a run reaches, its order comes from another stream. */
export const validationStream: number = 2 ** 31 - 1
