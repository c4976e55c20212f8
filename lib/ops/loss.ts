/** Losses. */
import { types } from 'node:util'
import { checkTensor } from '../graph/apply.ts'
import { attached } from '../graph/operation.ts'
import { formatShape } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { lengthOf } from '../util/typed-array.ts'
import { logSoftmax } from './activations.ts'

/**
 * Mean over the batch of `−log softmax(input)[target]`, `torch.nn.functional.cross_entropy`.
 *
 * @param input scores [n, classes], or [classes] for one image
 * @param target the right class of each image: n integers from 0 to classes − 1
 * @returns a scalar
 * @example crossEntropy(new Tensor(Float32Array.of(2, 1, 0, 3), [2, 2]), [0, 1]) // → 0.1809
 */
export function crossEntropy(input: Tensor, target: Tensor | Int32Array | readonly number[]): Tensor {
  const rank = checkTensor('crossEntropy', input).shape.length
  if (rank !== 1 && rank !== 2) {
    throw new KerneletError(
      'ERR_SHAPE',
      `crossEntropy expects scores of shape [n, classes] but receives ${formatShape(input.shape)}`,
    )
  }
  const [count, classes] = (rank === 2 ? input.shape : [1, ...input.shape]) as [number, number]
  const labels = Tensor.is(target) ? attached(target, 'crossEntropy: target') : target
  const list = types.isTypedArray(labels)
  if (!list && !Array.isArray(labels)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `crossEntropy expects targets as a Tensor, an Int32Array or an array of classes but receives ${show(target)}`,
    )
  }
  const length = list ? lengthOf(labels) : labels.length
  if (length !== count) {
    throw new KerneletError(
      'ERR_SHAPE',
      `crossEntropy expects ${count} targets, one for each row of its input, but receives ${length}`,
    )
  }
  const logProbabilities = logSoftmax(input, -1).data
  let sum = 0
  for (let i = 0; i < count; i++) {
    const label = labels[i] as number
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `crossEntropy: target ${i} must be a class from 0 to ${classes - 1} but is ${show(label)}`,
      )
    }
    sum -= logProbabilities[i * classes + label] as number
  }
  return new Tensor(Float32Array.of(sum / count), [])
}
