/** How bytes become the numbers a model is trained on. */

import { finite } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'

/** For images of bytes: a pixel becomes (byte / 255 − mean) / std, as torchvision's ToTensor and Normalize. */
export interface Pixels {
  /** Default 0. */
  mean?: number | undefined
  /** Default 1. */
  std?: number | undefined
}

/** The same as a factor and a summand of a byte. */
export function pixelsOf(who: string, { mean = 0, std = 1 }: Pixels): { scale: number; shift: number } {
  finite(mean, `${who}: mean`)
  if (!(finite(std, `${who}: std`) > 0)) {
    throw new KerneletError('ERR_ARGUMENT', `${who}: std must be a number above 0 but is ${show(std)}`)
  }
  return { scale: 1 / (255 * std), shift: -mean / std }
}
