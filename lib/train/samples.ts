/** What `Trainer.step` is given: images and what is to come out for them. */
import { types } from 'node:util'
import { Dataset } from '../data/dataset.ts'
import { attached } from '../graph/operation.ts'
import { elements, formatShape } from '../tensor/shape.ts'
import { Tensor } from '../tensor/tensor.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { lengthOf } from '../util/typed-array.ts'
import { checkClasses, type Loss, targetsOf } from './losses.ts'

/** The values of a batch, and the shape of one image: that of a tensor, or the one that is known. */
export function samplesOf(
  x: unknown,
  known: readonly number[] | undefined,
): { images: Float32Array | Uint8Array; shape: readonly number[] } {
  if (Tensor.is(x)) {
    const shape = x.shape.slice(1)
    if (shape.length > 0) return { images: attached(x, 'step: x'), shape }
    throw new KerneletError(
      'ERR_SHAPE',
      `step: expected a tensor of shape [n, …] but received ${formatShape(x.shape)}`,
    )
  }
  if (!types.isFloat32Array(x) && !types.isUint8Array(x)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `step: expected a Tensor, Float32Array or Uint8Array for x but received ${show(x)}`,
    )
  }
  if (!known) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      'step: the shape of an image is not known yet: give a Tensor, or inputShape to the Trainer',
    )
  }
  const perImage = elements(known)
  const length = lengthOf(x)
  if (length === 0 || length % perImage !== 0) {
    throw new KerneletError(
      'ERR_SHAPE',
      `step: expected ${perImage} values per image (${formatShape(known)}) for x but received ${length}`,
    )
  }
  return { images: x, shape: known }
}

/** Classes of `count` images as the loss takes them, or targets as long as the outputs. */
export function targetsGiven(
  y: unknown,
  count: number,
  outputShape: readonly number[],
  loss: Loss,
): Int32Array | Float32Array {
  const outputs = elements(outputShape)
  const values = Tensor.is(y) ? attached(y, 'step: y') : y
  if (types.isFloat32Array(values) && lengthOf(values) === count * outputs) {
    checkTargets(values, outputShape, loss)
    return values
  }
  if (Array.isArray(values) || ArrayBuffer.isView(values)) {
    const labels = values as unknown as ArrayLike<number>
    if (labels.length === count) {
      const classes = outputShape.length === 1 ? (outputs === 1 ? 2 : outputs) : 0
      checkClasses(loss, outputShape, classes, 'step')
      const data = { images: new Uint8Array(count), labels: Array.from(labels), shape: [1] }
      const names = Array.from({ length: classes }, (_, i) => String(i))
      return targetsOf(loss, new Dataset({ ...data, classes: names }).labels, outputs)
    }
    throw new KerneletError(
      'ERR_SHAPE',
      `step: expected ${count} classes, or a Float32Array of ${count * outputs} targets ` +
        `(${count} × ${formatShape(outputShape)}), for y but received ${labels.length} values`,
    )
  }
  throw new KerneletError('ERR_ARGUMENT', `step: expected classes or targets for y but received ${show(y)}`)
}

/** What PyTorch refuses, and what no step could learn from. */
function checkTargets(targets: Float32Array, outputShape: readonly number[], loss: Loss): void {
  if (loss === 'crossEntropy' && outputShape[0] === 1) checkClasses(loss, [1], 1, 'step')
  if (loss !== 'binaryCrossEntropy') return
  const wrong = targets.findIndex((target) => !(target >= 0 && target <= 1))
  if (wrong < 0) return
  throw new KerneletError(
    'ERR_ARGUMENT',
    `step: binaryCrossEntropy expects targets from 0 to 1 for y but target ${wrong} is ${targets[wrong]}`,
  )
}
