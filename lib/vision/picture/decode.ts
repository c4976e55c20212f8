/** Picture files to pixels: PNG and BMP here, everything else through sharp where the user has it. */
import { types } from 'node:util'
import { KerneletError, messageOf } from '../../util/errors.ts'
import { readWholeAsync } from '../../util/file.ts'
import { checkFilePath, type FilePath } from '../../util/source.ts'
import { decodeBmp } from './bmp.ts'
import { aFormat, type Format, formatOf } from './formats.ts'
import type { Permits } from './permits.ts'
import { checkSize, largestFile, MAX_PIXELS, type Pixels } from './pixels.ts'
import { decodePng } from './png.ts'
import { type Reduced, type Reduction, whole } from './reduce.ts'

/**
 * Decodes a PNG or BMP.
 *
 * @param name what to call it in errors
 * @throws KerneletError ERR_FORMAT for what is no picture or a damaged one; ERR_UNSUPPORTED for another format,
 *   which the error names, or too large a picture
 */
export function decodePicture(bytes: Uint8Array, name = 'the picture'): Required<Pixels> {
  return decodeReduced(bytes, name).pixels
}

/**
 * Decodes a picture of any format: PNG and BMP itself, others through the optional package `sharp`.
 *
 * @param name what to call it in errors
 * @throws KerneletError (by rejection) as `decodePicture`; ERR_UNSUPPORTED for another format where sharp is not
 *   installed, or cannot be loaded, or does not read it either
 */
export async function decodePictureAsync(bytes: Uint8Array, name = 'the picture'): Promise<Required<Pixels>> {
  return (await decodeReducedAsync(bytes, name)).pixels
}

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

/** How a picture is decoded. */
export interface DecodeOptions {
  /** By which factor it is made smaller meanwhile. */
  reduction?: Reduction | undefined
  /** More are refused before anything is decoded. */
  maxPixels?: number | undefined
  /** For sharp, whose threads are not this library's. */
  permits?: Permits | undefined
}

/** `decodePicture`, made smaller meanwhile. */
export function decodeReduced(bytes: Uint8Array, name: string, options: DecodeOptions = {}): Reduced {
  const { format, content } = formatOf(bytes, name)
  const own = decodeOwn(format, content, name, options)
  if (own) return own
  throw new KerneletError(
    'ERR_UNSUPPORTED',
    `${name} is ${aFormat(format)}; ` +
      (format.by === 'sharp'
        ? 'classify reads PNG, BMP and pixels, classifyAsync and classifyFile other formats too, through sharp'
        : advice),
  )
}

/** `decodePictureAsync`, made smaller meanwhile. */
export async function decodeReducedAsync(
  bytes: Uint8Array,
  name: string,
  options: DecodeOptions = {},
): Promise<Reduced> {
  const { format, content } = formatOf(bytes, name)
  const own = decodeOwn(format, content, name, options)
  if (own) return own
  const sharp = await loadSharp(name, format)
  const { permits } = options
  const decode = () => decodeBySharp(sharp, content, name, format, options)
  return permits ? permits.run(decode) : decode()
}

function decodeOwn(
  { name: format }: Format,
  content: Uint8Array,
  name: string,
  { reduction = whole, maxPixels = MAX_PIXELS }: DecodeOptions,
): Reduced | undefined {
  if (format === 'PNG') return decodePng(content, name, reduction, maxPixels)
  return format === 'BMP' ? decodeBmp(content, name, reduction, maxPixels) : undefined
}

const advice = 'neither kernelet nor sharp reads it: save it as PNG or JPEG'

/** The part of sharp that is used; its types are not there where it is not installed. */
type Sharp = (bytes: Uint8Array, options: { limitInputPixels: number | false }) => SharpPicture
interface SharpPicture {
  metadata(): Promise<{ width?: number; height?: number; orientation?: number }>
  rotate(): SharpPicture
  resize(width: number, height: number, options: { fit: 'fill'; kernel: 'linear' }): SharpPicture
  toColourspace(space: 'srgb'): SharpPicture
  raw(options: { depth: 'uchar' }): SharpPicture
  toBuffer(options: { resolveWithObject: true }): Promise<{
    data: Buffer
    info: { width: number; height: number; channels: number }
  }>
}

async function decodeBySharp(
  sharp: Sharp,
  bytes: Uint8Array,
  name: string,
  format: Format,
  { reduction = whole, maxPixels = MAX_PIXELS }: DecodeOptions,
): Promise<Reduced> {
  // sharp takes no memory that threads share.
  const content = types.isSharedArrayBuffer(bytes.buffer) ? new Uint8Array(bytes) : bytes
  try {
    // The size alone, before any of it is decoded; sharp's own limit does not know whose picture it is.
    const {
      width = 0,
      height = 0,
      orientation = 1,
    } = await sharp(content, { limitInputPixels: false }).metadata()
    checkSize(name, width, height, maxPixels)
    // A camera that was held upright says so by a number from 5 on.
    const [across, down] = orientation >= 5 ? [height, width] : [width, height]
    const factor = reduction(across, down)
    // rotate() without an angle: upright, as the camera says it was held.
    let picture = sharp(content, { limitInputPixels: maxPixels }).rotate()
    // JPEG and WebP are decoded at a half, a quarter or an eighth then, in a fraction of the time.
    if (factor > 1) {
      picture = picture.resize(Math.ceil(across / factor), Math.ceil(down / factor), {
        fit: 'fill',
        kernel: 'linear',
      })
    }
    const { data, info } = await picture
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    const pixels = { data, width: info.width, height: info.height, channels: info.channels }
    return { pixels, width: across, height: down, factor }
  } catch (cause) {
    if (cause instanceof KerneletError) throw cause
    if (format.by === 'none') {
      throw new KerneletError('ERR_UNSUPPORTED', `${name} is ${aFormat(format)}; ${advice}`, { cause })
    }
    throw new KerneletError(
      'ERR_FORMAT',
      `${name}: sharp cannot read this ${format.name}: ${messageOf(cause)}`,
      { cause },
    )
  }
}

async function loadSharp(name: string, format: Format): Promise<Sharp> {
  const packageName: string = 'sharp'
  try {
    return ((await import(packageName)) as { default: Sharp }).default
  } catch (cause) {
    const is = `${name} is ${aFormat(format)}`
    if (format.by === 'none') throw new KerneletError('ERR_UNSUPPORTED', `${is}; ${advice}`, { cause })
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      isAbsent(cause)
        ? `${is}; kernelet reads PNG and BMP itself and other formats through sharp: npm install sharp`
        : `${is}, for which sharp is needed; it is installed but cannot be loaded: ` +
            messageOf(cause).split('\n')[0],
      { cause },
    )
  }
}

/** Whether the package is not there, rather than broken. */
function isAbsent(cause: unknown): boolean {
  const { code, message } = cause as NodeJS.ErrnoException
  return /MODULE_NOT_FOUND$/.test(String(code)) && /(package|module) '(.*[\\/])?sharp'/i.test(message)
}
