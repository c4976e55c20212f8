/** MNIST and sets in its form (Fashion-MNIST, EMNIST, KMNIST): four IDX files in a folder. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { formatShape } from '../tensor/shape.ts'
import { KerneletError } from '../util/errors.ts'
import { unreadable } from '../util/file.ts'
import { show } from '../util/show.ts'
import { checkFilePath, type FilePath } from '../util/source.ts'
import { Dataset } from './dataset.ts'
import { loadIdx } from './idx.ts'
import { defaultFolder } from './places.ts'

/** Which part of a set: what is learnt from, or what is only reported on. */
export type Part = 'train' | 'test'

/** In file names: train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-digits-test-images-idx3-ubyte. */
const words: Record<Part, string> = { train: 'train', test: '(?:t10k|test)' }

/**
 * Where MNIST is: `folder`, else the environment variable KERNELET_MNIST, else ./data/mnist if it is there.
 *
 * @throws KerneletError `ERR_ARGUMENT` that says how to get it when nothing is known
 */
export function mnistFolder(folder?: FilePath): string {
  const found =
    folder ?? process.env.KERNELET_MNIST ?? (existsSync(defaultFolder) ? defaultFolder : undefined)
  if (found !== undefined && found !== '') {
    return checkFilePath(found, 'The folder of images')
  }
  throw new KerneletError(
    'ERR_ARGUMENT',
    'No training data: name a folder with --data, set KERNELET_MNIST, or run kernelet data mnist',
  )
}

/** The paths of a part's two files in a folder, or undefined where one of them is missing. */
export function findIdx(folder: string, part: Part): { images: string; labels: string } | undefined {
  let files: string[]
  try {
    files = readdirSync(folder).sort()
  } catch (cause) {
    throw unreadable(folder, cause, 'folder')
  }
  const find = (what: string, rank: number): string | undefined => {
    const form = new RegExp(`(?:^|-)${words[part]}-${what}[-.]idx${rank}-ubyte(?:\\.gz)?$`)
    const name = files.find((file) => form.test(file))
    return name === undefined ? undefined : join(folder, name)
  }
  const [images, labels] = [find('images', 3), find('labels', 1)]
  return images !== undefined && labels !== undefined ? { images, labels } : undefined
}

/**
 * Reads one part of MNIST, or of a set in its form.
 *
 * @param folder where the files are, gzipped or not; default: KERNELET_MNIST, else ./data/mnist
 * @param part 'train' (default) or 'test'
 * @returns images of shape [1, height, width] with values 0 … 255, 0 the ground
 * @throws KerneletError `ERR_ARGUMENT` for another part; `ERR_IO` when files are missing; `ERR_FORMAT` for damaged files, counts that differ or a
 *   label out of range; otherwise as `loadIdx`
 * @example
 * try {
 *   loadMnist('no/such/folder')   // else 60,000 images: kernelet data mnist downloads them to data/mnist
 * } catch (error) {
 *   error.code // → 'ERR_IO'
 * }
 */
export function loadMnist(folder?: FilePath, part: Part = 'train'): Dataset {
  if (part !== 'train' && part !== 'test') {
    throw new KerneletError('ERR_ARGUMENT', `loadMnist: part must be 'train' or 'test' but is ${show(part)}`)
  }
  const place = mnistFolder(folder)
  const files = findIdx(place, part)
  if (!files) {
    const start = part === 'train' ? 'train' : 't10k'
    throw new KerneletError(
      'ERR_IO',
      `${place} has no ${start}-images-idx3-ubyte and ${start}-labels-idx1-ubyte, as they are or with .gz`,
    )
  }
  return loadIdxPair(files.images, files.labels)
}

/**
 * Reads a file of images and a file of labels.
 *
 * @throws KerneletError as `loadMnist`
 */
export function loadIdxPair(images: string, labels: string): Dataset {
  const pixels = loadIdx(images)
  const classes = loadIdx(labels)
  const [count, height, width] = pixels.shape
  if (pixels.shape.length !== 3 || !count || !height || !width) {
    throw new KerneletError(
      'ERR_FORMAT',
      `${images}: expected count × height × width but it holds ${formatShape(pixels.shape)}`,
    )
  }
  if (classes.shape.length !== 1) {
    throw new KerneletError(
      'ERR_FORMAT',
      `${labels}: expected a row of labels but it holds ${formatShape(classes.shape)}`,
    )
  }
  if (classes.shape[0] !== count) {
    throw new KerneletError(
      'ERR_FORMAT',
      `${images} has ${count} images but ${labels} has ${classes.shape[0]} labels`,
    )
  }
  // Ten classes unless the labels say there are more, as those of letters do; far more is a damaged file.
  const highest = classes.data.reduce((most, label) => Math.max(most, label), 9)
  if (highest >= mostClasses) {
    throw new KerneletError(
      'ERR_FORMAT',
      `${labels}: label ${classes.data.findIndex((label) => label >= mostClasses)} is ${highest}; ` +
        `sets of this form have at most ${mostClasses} classes`,
    )
  }
  const names = Array.from({ length: highest + 1 }, (_, i) => String(i))
  return new Dataset({ images: pixels.data, labels: classes.data, shape: [1, height, width], classes: names })
}

/** EMNIST by class: digits, capitals and small letters. */
const mostClasses = 62
