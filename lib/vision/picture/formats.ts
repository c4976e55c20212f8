/** What a file is, by its first bytes. */
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { bytesOf } from '../../util/source.ts'

/** A kind of picture. */
export interface Format {
  name: string
  /** Read here, by sharp as it is installed from npm, or by neither. */
  by: 'kernelet' | 'sharp' | 'none'
}

/** By the bytes files begin with; `.` stands for any byte. */
const starts: readonly (readonly [name: string, by: Format['by'], start: string])[] = [
  ['PNG', 'kernelet', '\x89PNG\r\n\x1a\n'],
  ['JPEG', 'sharp', '\xff\xd8\xff'],
  ['BMP', 'kernelet', 'BM'],
  ['WebP', 'sharp', 'RIFF....WEBP'],
  ['GIF', 'sharp', 'GIF8'],
  ['AVIF', 'sharp', '....ftypavif'],
  ['AVIF', 'sharp', '....ftypavis'],
  ['HEIC', 'none', '....ftyphei'],
  ['HEIC', 'none', '....ftyphev'],
  ['HEIC', 'none', '....ftypmif1'],
  ['HEIC', 'none', '....ftypmsf1'],
  ['TIFF', 'sharp', 'II*\0'],
  ['TIFF', 'sharp', 'MM\0*'],
  ['JPEG XL', 'none', '\xff\x0a'],
  ['JPEG XL', 'none', '\0\0\0\x0cJXL '],
  ['JPEG 2000', 'none', '\0\0\0\x0cjP  '],
  ['ICO', 'none', '\0\0\x01\0'],
  ['PDF', 'none', '%PDF-'],
  ['PSD', 'none', '8BPS'],
]

/** What may come before the first element of an SVG, which is text: a declaration, comments, a document type. */
const preface = /\s+|<\?[^>]*>|<!--[\s\S]*?-->|<!DOCTYPE[^>[]*(?:\[[^\]]*\][^>]*)?>/iy

/** As much is looked at for an SVG's first element. */
const looked = 4096

/** Piece by piece: as one expression it could take forever over a file that is made for it. */
function isSvg(text: string): boolean {
  preface.lastIndex = text.startsWith('\xef\xbb\xbf') ? 3 : 0
  let at = preface.lastIndex
  while (preface.test(text)) at = preface.lastIndex
  return /^<(?:\w{1,32}:)?svg[\s>/]/i.test(text.slice(at, at + 64))
}

/**
 * What the bytes are, and the bytes themselves.
 *
 * @param name what to call them in errors
 * @throws KerneletError ERR_FORMAT for bytes that are no picture
 */
export function formatOf(given: Uint8Array, name: string): { format: Format; content: Uint8Array } {
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
  const text = (bytes: number) => Buffer.from(buffer, byteOffset, Math.min(length, bytes)).toString('latin1')
  const start = text(24)
  const known = starts.find(([, , magic]) => [...magic].every((c, i) => c === '.' || c === start[i]))
  if (known) return { format: { name: known[0], by: known[1] }, content }
  if (isSvg(text(looked))) return { format: { name: 'SVG', by: 'sharp' }, content }
  throw new KerneletError('ERR_FORMAT', `${name} is not a picture: it begins with ${show(start)}`)
}

/** With its article: an SVG. */
export function aFormat({ name }: Format): string {
  return `${/^[AHIS]/.test(name) && name !== 'HEIC' ? 'an' : 'a'} ${name}`
}
