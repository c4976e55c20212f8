/** What a shape leaves of the peak: outputs over those that registers as full as their tiles have them would hold. */

import type { Problem } from './problem.ts'

const roundedUp = (n: number, to: number) => n / (Math.ceil(n / to) * to)

/**
 * The share of the peak that no kernel of this kind can exceed at a shape, where a core's units are as wide as registers:
 * on a Zen 4 half a register of channels takes half the time.
 * @param algorithm as `describe()` names it
 * @param lanes floats of a register
 */
export function shapeBound(p: Problem, algorithm: string, lanes: number): number {
  switch (algorithm) {
    case 'blocked':
    case 'direct-channels':
    case 'winograd':
      // channels in the lanes, whole registers of them; one a group side by side
      return p.g === p.oc ? roundedUp(p.oc, lanes) : roundedUp(p.oc / p.g, lanes)
    case 'direct-pixels':
      return roundedUp(p.ow, lanes)
    case 'im2col':
      return roundedUp(p.oh * p.ow, 4 * lanes)
    case 'lanes':
      return roundedUp(p.mb, lanes)
    default:
      return 1
  }
}

/** Floats of a register. */
export function lanesOf(isa: string): number {
  return isa === 'avx512' ? 16 : isa === 'avx2' ? 8 : isa === 'scalar' ? 1 : 4
}
