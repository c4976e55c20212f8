/** What this machine offers: instruction sets and threads. */

import type { NativeIsa, NativeThreads } from './backend.ts'
import { native } from './node-addon.ts'

/**
 * The instruction sets in this binary, those this machine can run, the one chosen and why.
 *
 * @throws KerneletError `ERR_ISA` when `KERNELET_ISA` names an unknown or unsupported one.
 */
export function isa(): NativeIsa {
  return native().isa()
}

/** How many threads there are to use, and how many a model gets when its options do not say. */
export function threads(): NativeThreads {
  return native().threads()
}

/**
 * Sets how many threads models use whose options do not say; 0 leaves it to the amount of work.
 *
 * @throws KerneletError `ERR_ARGUMENT` unless `count` is an integer from 0 up.
 */
export function setThreads(count: number): void {
  native().setThreads(count)
}
