/** A folder of pictures, one folder a class: `seven/photo.png`, as torchvision's ImageFolder reads them. */
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { callbackOf, checkOptions, flag, itemsOf } from '../util/check.ts'
import { KerneletError, messageOf } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { checkFilePath, type FilePath } from '../util/source.ts'
import { normalizeDigit } from '../vision/digits/normalize.ts'
import { readPicture } from '../vision/picture/decode.ts'
import { toLuma } from '../vision/picture/luma.ts'
import { pictureName } from '../vision/picture/names.ts'
import type { Pixels } from '../vision/picture/pixels.ts'
import { Dataset, mostClasses } from './dataset.ts'

/** Options of `loadPictures`. */
export interface LoadPicturesOptions {
  /**
   * true (default): every picture is brought to the 28×28 form of MNIST, as DigitClassifier does. false: grey
   * levels as they are, 0 black and 255 white; all pictures must have one size.
   */
  normalize?: boolean | undefined
  /** Names of the classes in the order of a model's outputs; default: the folders, sorted. */
  classes?: readonly string[] | undefined
  /**
   * Called for a picture that cannot be used: no digit, several, not a picture. It is left out then; without
   * this function it is an error.
   */
  onSkip?: ((file: string, reason: string) => void) | undefined
}

/**
 * Reads pictures from folders that are named after their classes. PNG is decoded here, other formats by the
 * package sharp where it is installed.
 *
 * @throws KerneletError (by rejection) `ERR_IO` for a folder that cannot be read; `ERR_FORMAT` when there is
 *   no picture in it or one cannot be used; `ERR_ARGUMENT` for a folder that is none of `classes`; otherwise as
 *   `decodePictureAsync`
 */
export async function loadPictures(from: FilePath, options: LoadPicturesOptions = {}): Promise<Dataset> {
  const folder = checkFilePath(from, 'loadPictures: folder')
  checkOptions('loadPictures', options, ['normalize', 'classes', 'onSkip'])
  const normalize = flag(options.normalize ?? true, 'loadPictures: normalize')
  const onSkip = callbackOf(options.onSkip, 'loadPictures: onSkip')
  const given = options.classes === undefined ? undefined : namesOf(options.classes)
  if (options.classes !== undefined && !given) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `loadPictures: classes must be names but is ${show(options.classes)}`,
    )
  }
  const folders = list(folder).filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
  // Numbers in the order of numbers: 10 after 9.
  const found = folders.map(({ name }) => name).sort(new Intl.Collator('en', { numeric: true }).compare)
  const classes = given ?? found
  const stray = found.find((name) => !classes.includes(name))
  if (stray !== undefined) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${join(folder, stray)}: the folders must be named after the classes ${classes.join(', ')}`,
    )
  }
  const images: Uint8Array[] = []
  const labels: number[] = []
  const names: string[] = []
  let size: { width: number; height: number } | undefined
  for (const name of found) {
    const files = list(join(folder, name)).filter((entry) => entry.isFile() && pictureName.test(entry.name))
    for (const { name: file } of files.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(folder, name, file)
      try {
        const image = await loadPicture(path, normalize)
        size ??= image
        if (image.width !== size.width || image.height !== size.height) {
          throw new KerneletError(
            'ERR_FORMAT',
            `${path} is ${image.width}×${image.height} but ${names[0]} is ${size.width}×${size.height}; ` +
              'all pictures must have one size, or be normalized',
          )
        }
        images.push(image.data)
        labels.push(classes.indexOf(name))
        names.push(path)
      } catch (error) {
        if (!(error instanceof KerneletError) || !onSkip) throw error
        onSkip(path, error.message)
      }
    }
  }
  if (!size) {
    throw new KerneletError(
      'ERR_FORMAT',
      `${folder} has no pictures: expected a folder a class with pictures in it, such as ` +
        `${join(basename(folder), '7', 'photo.png')}`,
    )
  }
  const pixels = new Uint8Array(images.length * size.width * size.height)
  for (const [i, image] of images.entries()) pixels.set(image, i * image.length)
  return new Dataset({ images: pixels, labels, shape: [1, size.height, size.width], classes, names })
}

function namesOf(value: unknown): string[] | undefined {
  const names = itemsOf(value, mostClasses)
  return names?.every((one): one is string => typeof one === 'string') ? names : undefined
}

function list(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (cause) {
    throw new KerneletError('ERR_IO', `${folder} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

async function loadPicture(
  path: string,
  normalize: boolean,
): Promise<{ data: Uint8Array; width: number; height: number }> {
  const picture: Pixels = await readPicture(path)
  if (!normalize) return toLuma({ ...picture, channels: picture.channels ?? 4 })
  const { status, image } = normalizeDigit(picture)
  if (!image) throw new KerneletError('ERR_FORMAT', `${path}: ${status}`)
  return { data: Uint8Array.from(image, (value) => Math.round(255 * value)), width: 28, height: 28 }
}
