import { size } from '../tensor/shape.ts'
import { KerneletError } from '../util/errors.ts'

/** The groups of a convolution, 1 unless given, checked against its channels. */
export function groupsOf(
  who: string,
  inChannels: number,
  outChannels: number,
  given: number | undefined,
): number {
  const groups = size(given ?? 1, `${who}: groups`, 1)
  if (inChannels % groups === 0 && outChannels % groups === 0) return groups
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${who}: groups must divide ${inChannels} input and ${outChannels} output channels but is ${groups}`,
  )
}
