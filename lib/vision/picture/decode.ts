/** Picture files to pixels: PNG here, everything else through sharp where the user has it. */
import { KerneletError } from '../../util/errors.ts'
import { readWholeAsync } from '../../util/file.ts'
import { show } from '../../util/show.ts'
import { bytesOf, checkFilePath, type FilePath } from '../../util/source.ts'
import { MAX_PIXELS, type Pixels } from './pixels.ts'
import { decodePng } from './png.ts'

/**
 * Decodes a PNG.
 *
 * @param name what to call it in errors
 * @throws KerneletError ERR_FORMAT for what is no picture or a damaged one; ERR_UNSUPPORTED for another format
 *   than PNG, or too large a picture
 */
export function decodePicture(bytes: Uint8Array, name = 'the picture'): Required<Pixels> {
  const { format, content } = formatOf(bytes, name)
  if (format === 'PNG') return decodePng(content, name)
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `${name} is ${article(format)} ${format}; classify reads PNG and pixels, ` +
      'classifyAsync and classifyFile other formats too, through sharp',
  )
}

/**
 * Decodes a picture of any format: PNG itself, others through the optional package `sharp`.
 *
 * @param name what to call it in errors
 * @throws KerneletError (by rejection) as `decodePicture`; ERR_UNSUPPORTED for another format than PNG where
 *   sharp is not installed
 */
export async function decodePictureAsync(bytes: Uint8Array, name = 'the picture'): Promise<Required<Pixels>> {
  const { format, content } = formatOf(bytes, name)
  if (format === 'PNG') return decodePng(content, name)
  const sharp = await loadSharp(name, format)
  try {
    // rotate() without an angle: upright, as the camera says it was held.
    const { data, info } = await sharp(content, { limitInputPixels: MAX_PIXELS })
      .rotate()
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    return { data, width: info.width, height: info.height, channels: info.channels }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new KerneletError('ERR_FORMAT', `${name}: sharp cannot read this ${format}: ${reason}`, { cause })
  }
}

/** More than MAX_PIXELS pixels take with all their channels. */
const largestFile = 2 ** 30

/**
 * Reads a picture file of any format.
 *
 * @throws KerneletError (by rejection) as `decodePictureAsync`; ERR_IO, in words a user understands, for a file that
 *   cannot be read; ERR_UNSUPPORTED above a gigabyte
 */
export async function readPicture(from: FilePath): Promise<Required<Pixels>> {
  const path = checkFilePath(from, 'The picture')
  return decodePictureAsync(await readWholeAsync(path, largestFile), path)
}

/** Formats by the bytes they begin with; `.` stands for any byte. */
const MAGIC: [format: string, start: string][] = [
  ['PNG', '\x89PNG\r\n\x1a\n'],
  ['JPEG', '\xff\xd8\xff'],
  ['WebP', 'RIFF....WEBP'],
  ['GIF', 'GIF8'],
  ['AVIF', '....ftypavif'],
  ['AVIF', '....ftypavis'],
  ['HEIC', '....ftyphei'],
  ['HEIC', '....ftypmif1'],
  ['TIFF', 'II*\0'],
  ['TIFF', 'MM\0*'],
  ['SVG', '<svg'],
]

/** @throws KerneletError ERR_FORMAT for bytes that are no picture */
function formatOf(given: Uint8Array, name: string): { format: string; content: Uint8Array } {
  if (typeof name !== 'string') {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `expected a picture's name as a string but received ${show(name)}`,
    )
  }
  const content = bytesOf(given)
  if (!content) {
    throw new KerneletError('ERR_ARGUMENT', `${show(name)}: expected bytes but received ${show(given)}`)
  }
  if (content.length === 0) throw new KerneletError('ERR_FORMAT', `${name} is empty`)
  const { buffer, byteOffset, length } = content
  const start = Buffer.from(buffer, byteOffset, Math.min(length, 24)).toString('latin1')
  const known = MAGIC.find(([, magic]) => [...magic].every((c, i) => c === '.' || c === start[i]))
  if (known) return { format: known[0], content }
  throw new KerneletError('ERR_FORMAT', `${name} is not a picture: it begins with ${show(start)}`)
}

/** The part of sharp that is used; its types are not there where it is not installed. */
type Sharp = (bytes: Uint8Array, options: { limitInputPixels: number }) => SharpPicture
interface SharpPicture {
  rotate(): SharpPicture
  toColourspace(space: 'srgb'): SharpPicture
  raw(options: { depth: 'uchar' }): SharpPicture
  toBuffer(options: { resolveWithObject: true }): Promise<{
    data: Buffer
    info: { width: number; height: number; channels: number }
  }>
}

async function loadSharp(name: string, format: string): Promise<Sharp> {
  const packageName: string = 'sharp'
  try {
    return ((await import(packageName)) as { default: Sharp }).default
  } catch (cause) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${name} is ${article(format)} ${format}; kernelet reads PNG itself and other formats through sharp: ` +
        'npm install sharp',
      { cause },
    )
  }
}

function article(format: string): string {
  return /^[AS]/.test(format) ? 'an' : 'a'
}
