/** Dataset: images with their labels, and ways to take a part of them. */

import { types } from 'node:util'
import { type Generator, generatorOf } from '../tensor/random.ts'
import { checkShape, elements, formatShape } from '../tensor/shape.ts'
import { checkOptions, itemsOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { lengthOf, type TypedArray } from '../util/typed-array.ts'

/** What a Dataset is made of. */
export interface DatasetParts {
  /** n × values per image, one after the other: bytes (0 … 255), or floats that are used as they are. */
  images: Uint8Array | Float32Array
  /** n classes, from 0 up. */
  labels: Int32Array | Uint8Array | readonly number[]
  /** Of one image: [1, 28, 28]. */
  shape: readonly number[]
  /** Names of the classes; default: '0', '1', … as far as the labels go. */
  classes?: readonly string[] | undefined
  /** Where each image comes from, such as a file name. */
  names?: readonly string[] | undefined
}

/**
 * Images in memory with the class of each.
 * @example
 * const data = new Dataset({ images: new Uint8Array(3 * 4), labels: [0, 1, 0], shape: [1, 2, 2], classes: ['a', 'b'] })
 * data.length // → 3
 * data.classes // → ['a', 'b']
 */
export class Dataset {
  /** n × values per image. */
  readonly images: Uint8Array | Float32Array
  /** The class of each image. */
  readonly labels: Int32Array
  /** Of one image: [channels, height, width]. */
  readonly shape: readonly number[]
  /** Names of the classes. */
  readonly classes: readonly string[]
  /** Where each image comes from; undefined where nothing is known. */
  readonly names: readonly string[] | undefined

  /**
   * The images are kept, not copied.
   *
   * @throws KerneletError `ERR_ARGUMENT` for parts of the wrong type or a label out of range; `ERR_SHAPE` for
   *   counts that differ
   */
  constructor(parts: DatasetParts) {
    checkOptions('Dataset', parts, ['images', 'labels', 'shape', 'classes', 'names'])
    const { images, labels, names } = parts
    this.shape = Object.freeze(checkShape(parts.shape, 'Dataset: shape'))
    if (!types.isUint8Array(images) && !types.isFloat32Array(images)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `Dataset: images must be a Uint8Array or Float32Array but is ${show(images)}`,
      )
    }
    if (!types.isInt32Array(labels) && !types.isUint8Array(labels) && !Array.isArray(labels)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `Dataset: labels must be an array of classes but is ${show(labels)}`,
      )
    }
    const size = elements(this.shape)
    const count = Array.isArray(labels) ? labels.length : lengthOf(labels as TypedArray)
    const values = lengthOf(images)
    if (values !== count * size) {
      throw new KerneletError(
        'ERR_SHAPE',
        `Dataset: ${count} labels need ${count * size} values of images ` +
          `(${count} × ${formatShape(this.shape)}) but there are ${values}`,
      )
    }
    this.names = names === undefined ? undefined : namesOf(names, count, 'names')
    if (this.names && this.names.length !== count) {
      throw new KerneletError('ERR_SHAPE', `Dataset: ${count} labels but ${this.names.length} names`)
    }
    this.classes = Object.freeze(
      parts.classes === undefined ? numbered(labels) : namesOf(parts.classes, mostClasses, 'classes'),
    )
    checkLabels(labels, this.classes.length, 'Dataset')
    this.images = images
    this.labels = Int32Array.from(labels)
  }

  /** Number of images. */
  get length(): number {
    return this.labels.length
  }

  /** Values of one image. */
  get imageLength(): number {
    return elements(this.shape)
  }

  /**
   * One image: a view of its values.
   * @example
   * const data = new Dataset({ images: new Uint8Array(6 * 4), labels: [0, 1, 0, 1, 0, 1], shape: [1, 2, 2], classes: ['a', 'b'] })
   * data.image(5).length // → 4
   */
  image(index: number): Uint8Array | Float32Array {
    this.#checkIndex('image', index)
    const size = this.imageLength
    return this.images.subarray(index * size, (index + 1) * size)
  }

  #checkIndex(who: string, index: unknown): void {
    if (Number.isInteger(index) && (index as number) >= 0 && (index as number) < this.length) return
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: expected indices from 0 to ${this.length - 1} but received ${show(index)}`,
    )
  }

  /**
   * The images of these indices, copied.
   *
   * @throws KerneletError `ERR_ARGUMENT` for an index that there is none of
   * @example
   * const data = new Dataset({ images: new Uint8Array(6 * 4), labels: [0, 1, 0, 1, 0, 1], shape: [1, 2, 2], classes: ['a', 'b'] })
   * data.subset([0, 2]).labels // → [0, 0]
   */
  subset(indices: ArrayLike<number>): Dataset {
    if (!Array.isArray(indices) && !types.isTypedArray(indices)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `subset: expected an array of indices but received ${show(indices)}`,
      )
    }
    const length = types.isTypedArray(indices) ? lengthOf(indices) : indices.length
    const chosen: number[] = []
    for (let i = 0; i < length; i++) {
      const index = indices[i]
      this.#checkIndex('subset', index)
      chosen.push(index as number)
    }
    const size = this.imageLength
    const images = types.isUint8Array(this.images)
      ? new Uint8Array(chosen.length * size)
      : new Float32Array(chosen.length * size)
    const labels = new Int32Array(chosen.length)
    for (const [i, index] of chosen.entries()) {
      images.set(this.image(index), i * size)
      labels[i] = this.labels[index] as number
    }
    const { names } = this
    return new Dataset({
      images,
      labels,
      shape: this.shape,
      classes: this.classes,
      ...(names && { names: chosen.map((index) => names[index] as string) }),
    })
  }

  /**
   * Two sets, drawn at random: the first without, the second with `share` of every class (rounded), as
   * scikit-learn's `train_test_split(…, stratify=labels)`. Both keep the order the images have here.
   *
   * @param share more than 0 and less than 1
   * @param generator decides which; the same seed gives the same sets
   * @throws KerneletError `ERR_ARGUMENT` for another share, or when one of the sets would be empty
   * @example
   * const data = new Dataset({ images: new Uint8Array(6 * 4), labels: [0, 1, 0, 1, 0, 1], shape: [1, 2, 2], classes: ['a', 'b'] })
   * const [rest, part] = data.split(1 / 3, new Generator(0))
   * rest.length // → 4
   * part.length // → 2
   */
  split(share: number, generator: Generator): [rest: Dataset, part: Dataset] {
    const [rest, part] = splitIndices(this.labels, share, generator)
    return [this.subset(rest), this.subset(part)]
  }
}

/** The indices of the two sets of `Dataset.split`. */
export function splitIndices(
  labels: Int32Array,
  share: number,
  generator: Generator,
): [rest: Uint32Array, part: Uint32Array] {
  if (typeof share !== 'number' || !(share > 0 && share < 1)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `split: expected a share between 0 and 1 but received ${show(share)}`,
    )
  }
  generatorOf(generator, 'split: generator')
  const byLabel = new Map<number, number[]>()
  for (const [i, label] of labels.entries()) {
    const known = byLabel.get(label)
    if (known) known.push(i)
    else byLabel.set(label, [i])
  }
  const chosen = new Uint8Array(labels.length)
  for (const label of [...byLabel.keys()].sort((a, b) => a - b)) {
    const all = byLabel.get(label) as number[]
    const order = shuffled(all.length, generator)
    for (const i of order.subarray(0, Math.round(share * all.length))) chosen[all[i] as number] = 1
  }
  const indices = Uint32Array.from(labels.keys())
  const [rest, part] = [indices.filter((i) => !chosen[i]), indices.filter((i) => chosen[i])]
  if (rest.length === 0 || part.length === 0) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `split: ${show(share)} of ${labels.length} images leaves one of the two sets empty`,
    )
  }
  return [rest, part]
}

/** @throws KerneletError `ERR_ARGUMENT` that names the first label out of range */
export function checkLabels(labels: ArrayLike<number>, classes: number, who: string): void {
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i] as number
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `${who}: label ${i} must be a class from 0 to ${classes - 1} but is ${show(label)}`,
      )
    }
  }
}

function namesOf(value: unknown, most: number, what: string): string[] {
  const names = itemsOf(value, most)
  if (names?.every((one): one is string => typeof one === 'string')) return names
  throw new KerneletError(
    'ERR_ARGUMENT',
    `Dataset: ${what} must be at most ${most} words but is ${show(value)}`,
  )
}

/** More outputs than any model here will have: beyond it a label is a slip. */
export const mostClasses: number = 2 ** 20

function numbered(labels: ArrayLike<number>): string[] {
  let highest = 0
  for (let i = 0; i < labels.length; i++) highest = Math.max(highest, labels[i] as number)
  if (!(highest < mostClasses)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `Dataset: labels must be classes from 0 to ${mostClasses - 1} but the highest is ${show(highest)}`,
    )
  }
  return Array.from({ length: highest + 1 }, (_, i) => String(i))
}

/** The numbers from 0 to `count` − 1 in a random order (Fisher and Yates), without bias. */
export function shuffled(count: number, generator: Generator): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const k = below(i + 1, generator)
    const swapped = order[i] as number
    order[i] = order[k] as number
    order[k] = swapped
  }
  return order
}

/** A random integer from 0 to `limit` − 1: numbers of the last, incomplete round are drawn again. */
function below(limit: number, generator: Generator): number {
  const rounds = 2 ** 32 - (2 ** 32 % limit)
  for (;;) {
    const drawn = generator.random()
    if (drawn < rounds) return drawn % limit
  }
}
