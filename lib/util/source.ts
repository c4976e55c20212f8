/**
 * Files as callers give them. Arrays, buffers and URLs may be of another realm (a vm context of Jest, Node-RED or
 * n8n): they are told by what they are, never by `instanceof`.
 */

import { fileURLToPath } from 'node:url'
import { types } from 'node:util'
import { KerneletError, messageOf } from './errors.ts'
import { addressed } from './file.ts'
import { show } from './show.ts'
import { bufferOf, byteOffsetOf, lengthOf } from './typed-array.ts'

/** The path of a file, or its `file:` URL. */
export type FilePath = string | URL

/** A file by its path or `file:` URL, or its bytes. */
export type FileSource = FilePath | Uint8Array | ArrayBuffer

/**
 * The bytes of a Uint8Array (a Buffer is one) or an ArrayBuffer, not copied; undefined for anything else. The view is a
 * new one: a Buffer's slice() is no copy, and a caller's array may say that it is longer than it is.
 */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (types.isUint8Array(value)) {
    const length = lengthOf(value)
    return length === 0 ? new Uint8Array(0) : new Uint8Array(bufferOf(value), byteOffsetOf(value), length)
  }
  return types.isAnyArrayBuffer(value) ? new Uint8Array(value) : undefined
}

/**
 * The path that a string or URL names; undefined for anything else.
 *
 * @throws KerneletError `ERR_ARGUMENT` for a URL that is not of a file here
 */
export function pathOf(value: unknown): string | undefined {
  const url = typeof value === 'string' ? (value.startsWith('file://') ? value : undefined) : hrefOf(value)
  if (url === undefined) return typeof value === 'string' ? value : undefined
  try {
    return fileURLToPath(url)
  } catch (cause) {
    const why = addressed(url) ?? messageOf(cause)
    throw new KerneletError('ERR_ARGUMENT', `${show(url)} is not the URL of a file: ${why}`, {
      cause,
    })
  }
}

/** The text of a URL object. */
export function hrefOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { href, protocol } = value as { href?: unknown; protocol?: unknown }
  return typeof href === 'string' && typeof protocol === 'string' ? href : undefined
}

/**
 * `value` as a path.
 *
 * @param what it, or the function that wants it, for errors
 * @throws KerneletError `ERR_ARGUMENT` for what is no path
 */
export function checkFilePath(value: unknown, what: string): string {
  const path = pathOf(value)
  if (path !== undefined && path !== '') return path
  throw new KerneletError('ERR_ARGUMENT', `${what} must be a path or file: URL but is ${show(value)}`)
}
