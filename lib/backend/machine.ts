/** What this machine offers: instruction sets and threads. */

import type { NativeIsa, NativeThreads } from './backend.ts'
import { native } from './node-addon.ts'

/**
 * The instruction sets in this binary, those this machine can run, the one chosen and why.
 *
 * @throws KerneletError `ERR_ISA` when `KERNELET_ISA` names an unknown or unsupported one.
 * @example
 * const { chosen, supported } = isa()
 * supported.includes(chosen) // → true
 */
export function isa(): NativeIsa {
  return native().isa()
}

/**
 * How many threads there are to use, and how many a model gets when its options do not say.
 * @example threads().usable >= 1 // → true
 */
export function threads(): NativeThreads {
  return native().threads()
}

/**
 * Sets how many threads models use whose options do not say; 0 leaves it to the amount of work.
 *
 * @throws KerneletError `ERR_ARGUMENT` unless `count` is an integer from 0 up.
 * @example
 * setThreads(1)   // every model that is not told how many
 * threads().default // → 1
 * setThreads(0)   // by the amount of work again
 */
export function setThreads(count: number): void {
  native().setThreads(count)
}
