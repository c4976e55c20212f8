/** What is done with a picture before the network sees it, here or on another thread. */
import { KerneletError } from '../../util/errors.ts'
import { readWhole } from '../../util/file.ts'
import { decodeReduced, decodeReducedAsync } from '../picture/decode.ts'
import type { Permits } from '../picture/permits.ts'
import { checkPixels, checkSize, type Pixels } from '../picture/pixels.ts'
import { reduce } from '../picture/reduce.ts'
import type { Preparation } from './preparation.ts'
import { type Prepared, prepare, reductionFor } from './prepare.ts'

/** A picture as it comes: the path of a file, the bytes of one, or pixels. */
export type Picture = string | Uint8Array | Pixels

/** What is to be done with a picture; can be sent to another thread. */
export interface Work {
  picture: Picture
  preparation: Preparation
  limits: Limits
}

/** More is refused before anything is decoded. */
export interface Limits {
  pixels: number
  /** Of a file. */
  bytes: number
}

/** Decodes and prepares, at once. @throws KerneletError as `Classifier.classify` */
export function prepareNow({ picture, preparation, limits }: Work): Prepared {
  if (isPixels(picture)) return preparePixels(picture, preparation, limits)
  const [bytes, name] = fileOf(picture, limits)
  const how = { reduction: reductionFor(preparation), maxPixels: limits.pixels }
  return prepare(decodeReduced(bytes, name, how), preparation)
}

/**
 * Decodes, by sharp too, and prepares.
 *
 * @param permits for sharp
 * @throws KerneletError (by rejection) as `Classifier.classifyFile`
 */
export async function prepareAsync(
  { picture, preparation, limits }: Work,
  permits?: Permits,
): Promise<Prepared> {
  if (isPixels(picture)) return preparePixels(picture, preparation, limits)
  const [bytes, name] = fileOf(picture, limits)
  const how = { reduction: reductionFor(preparation), maxPixels: limits.pixels, permits }
  return prepare(await decodeReducedAsync(bytes, name, how), preparation)
}

function isPixels(picture: Picture): picture is Pixels {
  return typeof picture === 'object' && 'data' in picture
}

function preparePixels(given: Pixels, preparation: Preparation, limits: Limits): Prepared {
  const pixels = { ...given, channels: given.channels ?? 4 }
  checkPixels(pixels)
  checkSize('the picture', pixels.width, pixels.height, limits.pixels)
  return prepare(reduce(pixels, reductionFor(preparation)), preparation)
}

function fileOf(picture: string | Uint8Array, limits: Limits): [bytes: Uint8Array, name: string] {
  if (typeof picture === 'string') return [readWhole(picture, limits.bytes), picture]
  if (picture.length <= limits.bytes) return [picture, 'the picture']
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `the picture has ${picture.length} bytes; at most ${limits.bytes} are read`,
  )
}
