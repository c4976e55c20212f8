/** Memory that a caller asks for by a size. */
import { KerneletError } from '../util/errors.ts'
import { elements, formatShape } from './shape.ts'

/** Numbers of one weight, a gibibyte: the largest of the classifiers people train, VGG's, has 103 million. */
const largestWeight = 2 ** 28

/**
 * Zeros for a tensor of this shape.
 *
 * @param what it is for, for errors
 * @throws KerneletError `ERR_UNSUPPORTED` for more than `most` numbers, a gibibyte, or more than there is
 */
export function zeros(shape: readonly number[], what: string, most: number = largestWeight): Float32Array {
  const count = elements(shape)
  let cause: unknown
  if (count <= most) {
    try {
      return new Float32Array(count)
    } catch (error) {
      cause = error
    }
  }
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `${what}: ${formatShape(shape)} are ${count} numbers, ${((4 * count) / 2 ** 30).toPrecision(3)} GiB; ` +
      (cause === undefined ? `at most ${most} are made` : 'there is not so much memory'),
    { cause },
  )
}
