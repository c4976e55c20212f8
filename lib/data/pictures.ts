/** A folder of pictures, one folder a class: `seven/photo.png`, as torchvision's ImageFolder reads them. */
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { elements, sameShape } from '../tensor/shape.ts'
import { callbackOf, checkOptions, flag, isInteger, itemsOf } from '../util/check.ts'
import { KerneletError, messageOf } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { checkFilePath, type FilePath } from '../util/source.ts'
import { pictures } from '../vision/classifier/pool.ts'
import { type Preparation, preparationFor } from '../vision/classifier/preparation.ts'
import { FIELD } from '../vision/digits/field.ts'
import { readPicture } from '../vision/picture/decode.ts'
import { toLuma } from '../vision/picture/luma.ts'
import { pictureName } from '../vision/picture/names.ts'
import { largestFile, MAX_PIXELS } from '../vision/picture/pixels.ts'
import { Dataset, mostClasses } from './dataset.ts'

/** Options of `loadPictures`. */
export interface LoadPicturesOptions {
  /**
   * true (default): every picture is brought to the 28×28 form of MNIST, as DigitClassifier does. false: grey
   * levels as they are, 0 black and 255 white; all pictures must have one size.
   */
  normalize?: boolean | undefined
  /**
   * How pictures are brought to one size instead: as `fit` of a `ClassifierOptions`; `digit`, as normalize: true, has
   * 28×28 and grey levels only.
   */
  fit?: Preparation['fit'] | undefined
  /** With fit crop, pad or stretch: 'grey' (default), 'rgb' or 'bgr'. */
  colour?: Preparation['colour'] | undefined
  /** With fit crop, pad or stretch: the side of the images, in pixels. Default 28. */
  size?: number | undefined
  /** Names of the classes in the order of a model's outputs; default: the folders, sorted. */
  classes?: readonly string[] | undefined
  /**
   * Called for a picture that cannot be used: no digit, several, not a picture. It is left out then; without
   * this function it is an error.
   */
  onSkip?: ((file: string, reason: string) => void) | undefined
}

/**
 * Reads pictures from folders that are named after their classes, on threads of their own. PNG and BMP are decoded
 * here, other formats by the package sharp where it is installed.
 *
 * @throws KerneletError (by rejection) `ERR_IO` for a folder that cannot be read; `ERR_FORMAT` when there is
 *   no picture in it or one cannot be used; `ERR_ARGUMENT` for a folder that is none of `classes`; otherwise as
 *   `decodePictureAsync`
 */
export async function loadPictures(from: FilePath, options: LoadPicturesOptions = {}): Promise<Dataset> {
  const folder = checkFilePath(from, 'loadPictures: folder')
  checkLoadOptions('loadPictures', options)
  const folders = list(folder).filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
  const found = sortedNames(folders.map(({ name }) => name))
  const classes = options.classes ?? found
  const stray = found.find((name) => !classes.includes(name))
  if (stray !== undefined) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${join(folder, stray)}: the folders must be named after the classes ${classes.join(', ')}`,
    )
  }
  const files = found.flatMap((label) =>
    list(join(folder, label))
      .filter((entry) => entry.isFile() && pictureName.test(entry.name))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((entry) => ({ path: join(folder, label, entry.name), label })),
  )
  return loadLabelled('loadPictures', files, folder, { ...options, classes })
}

/** Numbers in the order of numbers: 10 after 9. */
export function sortedNames(names: Iterable<string>): string[] {
  return [...names].sort(new Intl.Collator('en', { numeric: true }).compare)
}

/** @throws KerneletError ERR_ARGUMENT */
export function checkLoadOptions(who: string, options: LoadPicturesOptions): void {
  checkOptions(who, options, ['normalize', 'fit', 'colour', 'size', 'classes', 'onSkip'])
  if (options.classes === undefined || namesOf(options.classes)) return
  throw new KerneletError('ERR_ARGUMENT', `${who}: classes must be names but is ${show(options.classes)}`)
}

/**
 * The pictures with their labels, in their order.
 *
 * @param place where they were looked for
 * @throws KerneletError (by rejection) as `loadPictures`
 */
export async function loadLabelled(
  who: string,
  files: readonly File[],
  place: string,
  options: LoadPicturesOptions & { classes: readonly string[] },
): Promise<Dataset> {
  checkLoadOptions(who, options)
  const preparation = preparationOf(who, options)
  const onSkip = callbackOf(options.onSkip, `${who}: onSkip`)
  const classes = namesOf(options.classes) as string[]
  const stray = files.find(({ label }) => !classes.includes(label))
  if (stray) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${place}: the label ${show(stray.label)} is none of the classes ${classes.join(', ')}`,
    )
  }
  const images: Uint8Array[] = []
  const labels: number[] = []
  const names: string[] = []
  let shape: Image['shape'] | undefined
  for await (const { path, label, image, error } of loaded(files, preparation)) {
    try {
      if (!image) throw error
      shape ??= image.shape
      if (!sameShape(image.shape, shape)) throw otherSize(path, image.shape, names[0] ?? '', shape)
      images.push(image.data)
      labels.push(classes.indexOf(label))
      names.push(path)
    } catch (reason) {
      if (!(reason instanceof KerneletError) || !onSkip) throw reason
      onSkip(path, reason.message)
    }
  }
  if (!shape) {
    throw new KerneletError(
      'ERR_FORMAT',
      `${place} has no pictures: expected a folder a class with pictures in it, such as ` +
        `${join(basename(place), '7', 'photo.png')}`,
    )
  }
  const pixels = new Uint8Array(images.length * elements(shape))
  for (const [i, image] of images.entries()) pixels.set(image, i * image.length)
  return new Dataset({ images: pixels, labels, shape, classes, names })
}

/** undefined: as they are. @throws KerneletError ERR_ARGUMENT */
function preparationOf(
  who: string,
  { normalize, fit, colour, size }: LoadPicturesOptions,
): Preparation | undefined {
  const asTheyAre = !flag(normalize ?? true, `${who}: normalize`)
  if (asTheyAre && fit === undefined && colour === undefined && size === undefined) return undefined
  if (normalize !== undefined && fit !== undefined) {
    throw new KerneletError('ERR_ARGUMENT', `${who}: normalize and fit do not go together`)
  }
  const side = size ?? FIELD
  if (!isInteger(side) || side < 1 || side > 4096) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: size must be an integer from 1 to 4096 but is ${show(size)}`,
    )
  }
  const channels = colour === undefined || colour === 'grey' ? 1 : 3
  return preparationFor(who, [channels, side, side], { fit: fit ?? 'digit', colour })
}

interface Image {
  data: Uint8Array
  shape: readonly [channels: number, height: number, width: number]
}

/** A picture on its way. */
interface File {
  path: string
  label: string
}

/** So many pictures are on their way at a time. */
const WINDOW = 256

/** The pictures in their order, read on other threads, some ahead. */
async function* loaded(
  files: readonly File[],
  preparation: Preparation | undefined,
): AsyncGenerator<File & { image?: Image; error?: unknown }> {
  const pending: Promise<File & { image?: Image; error?: unknown }>[] = []
  const read = async (file: File) => {
    try {
      return { ...file, image: await loadPicture(file.path, preparation) }
    } catch (error) {
      return { ...file, error }
    }
  }
  for (const file of files) {
    pending.push(read(file))
    // As they are, pictures are decoded on this thread, and one at a time is enough of it.
    if (pending.length >= (preparation ? WINDOW : 1)) yield await (pending.shift() as (typeof pending)[0])
  }
  for (const last of pending) yield await last
}

async function loadPicture(path: string, preparation: Preparation | undefined): Promise<Image> {
  if (!preparation) {
    const { data, width, height } = toLuma(await readPicture(path))
    return { data, shape: [1, height, width] }
  }
  const limits = { pixels: MAX_PIXELS, bytes: largestFile }
  const { found, image } = await pictures.prepare({ picture: path, preparation, limits })
  if (!image) {
    throw new KerneletError('ERR_FORMAT', `${path}: ${found === 'several' ? 'several digits' : 'no digit'}`)
  }
  const { width, height, mean } = preparation
  const data = Uint8Array.from(image, (value) => Math.round(255 * value))
  return { data, shape: [mean.length, height, width] }
}

function otherSize(
  path: string,
  [, height, width]: Image['shape'],
  first: string,
  [, rows, columns]: Image['shape'],
): KerneletError {
  return new KerneletError(
    'ERR_FORMAT',
    `${path} is ${width}×${height} but ${first} is ${columns}×${rows}; ` +
      'all pictures must have one size, or be normalized',
  )
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
