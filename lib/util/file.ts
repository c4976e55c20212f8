/**
 * Files read whole or in part. Only regular files: a named pipe would keep whoever opens it waiting, a device may
 * never end, and opening one may do something.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { KerneletError, messageOf } from './errors.ts'

/** Should a named pipe take the file's place after it was looked at, opening it does not wait. Not on Windows. */
const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/** More is not asked of the system at once: its limit is 2³¹ − 1. */
const largestRead = 2 ** 30

/**
 * The bytes of a file.
 *
 * @param most bytes it may have
 * @throws KerneletError `ERR_IO` when it cannot be read or is no regular file; `ERR_UNSUPPORTED` above `most`
 */
export function readWhole(path: string, most: number = Number.POSITIVE_INFINITY): Uint8Array {
  try {
    checkRegular(statSync(path))
    const file = openSync(path, flags)
    try {
      return fill(file, 0, checkedSize(path, fstatSync(file), most))
    } finally {
      closeSync(file)
    }
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

/** `readWhole` off the event loop. */
export async function readWholeAsync(
  path: string,
  most: number = Number.POSITIVE_INFINITY,
): Promise<Uint8Array> {
  let file: FileHandle | undefined
  try {
    checkRegular(await stat(path))
    file = await open(path, flags)
    const bytes = new Uint8Array(checkedSize(path, await file.stat(), most))
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, done, Math.min(largestRead, bytes.length - done), done)
      done += checkedRead(bytesRead)
    }
    return bytes
  } catch (cause) {
    throw unreadable(path, cause)
  } finally {
    await file?.close()
  }
}

/** Closes files that nobody holds any more, and counts those that are open. */
let forgotten: FinalizationRegistry<number> | undefined
let openFiles = 0

/**
 * A file of which parts are read. It stays open as long as anybody holds it, or until it is closed. All of it throws
 * `ERR_IO` as `readWhole` does.
 */
export class PartReader {
  /** Bytes of the file. */
  readonly size: number
  readonly #path: string
  readonly #file: number
  readonly #written: number

  constructor(path: string) {
    this.#path = path
    try {
      checkRegular(statSync(path))
      this.#file = openSync(path, flags)
    } catch (cause) {
      throw unreadable(path, cause)
    }
    // counted and known to be open before anything else can fail
    openFiles++
    forgotten ??= new FinalizationRegistry(shut)
    forgotten.register(this, this.#file, this)
    const found = fstatSync(this.#file)
    this.size = found.size
    this.#written = found.mtimeMs
    try {
      checkRegular(found)
    } catch (cause) {
      this.close()
      throw unreadable(path, cause)
    }
  }

  /** Files that are open. */
  static get open(): number {
    return openFiles
  }

  /** What the system calls the file, while it is open. */
  get descriptor(): number {
    return this.#file
  }

  /** @throws KerneletError when the file had no such bytes when it was opened */
  checkPart(offset: number, length: number): void {
    if (offset + length <= this.size) return
    const reason = `bytes ${offset} to ${offset + length} are wanted of a file of ${this.size}`
    throw unreadable(this.#path, new Error(reason))
  }

  /** @throws KerneletError when the file was written to since it was opened */
  checkUnchanged(): void {
    const { size, mtimeMs } = fstatSync(this.#file)
    if (size === this.size && mtimeMs === this.#written) return
    throw unreadable(this.#path, new Error('it was written to after the model was loaded; load it again'))
  }

  /** `length` bytes from `offset` on. */
  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    this.checkPart(offset, length)
    try {
      return fill(this.#file, offset, length)
    } catch (cause) {
      throw unreadable(this.#path, cause)
    }
  }

  close(): void {
    if (forgotten?.unregister(this)) shut(this.#file)
  }
}

function shut(file: number): void {
  openFiles--
  closeSync(file)
}

function checkRegular(found: Stats): void {
  if (found.isFile()) return
  if (found.isDirectory()) throw new Error('it is a folder')
  throw new Error(`it is ${found.isFIFO() ? 'a named pipe' : found.isSocket() ? 'a socket' : 'a device'}`)
}

function checkedSize(path: string, found: Stats, most: number): number {
  checkRegular(found)
  if (found.size <= most) return found.size
  throw new KerneletError('ERR_UNSUPPORTED', `${path} has ${found.size} bytes; at most ${most} are read`)
}

/** So many bytes of an open file: no more should it grow, an error should it shrink. */
function fill(file: number, offset: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  for (let done = 0; done < length; ) {
    done += checkedRead(readSync(file, bytes, done, Math.min(largestRead, length - done), offset + done))
  }
  return bytes
}

function checkedRead(count: number): number {
  if (count === 0) throw new Error('it became shorter while it was read')
  return count
}

/** Why a file or folder cannot be read, in words a user understands. */
export function unreadable(path: string, cause: unknown, kind: 'file' | 'folder' = 'file'): KerneletError {
  if (cause instanceof KerneletError) return cause
  const { code } = cause as NodeJS.ErrnoException
  const reason =
    code === 'ENOENT'
      ? (addressed(path) ?? `there is no such ${kind}`)
      : code === 'EACCES' || code === 'EPERM'
        ? 'permission denied'
        : code === 'ERR_ACCESS_DENIED'
          ? `Node’s permission model does not allow it: run node with --allow-fs-read=${path}${kind === 'folder' ? '/*' : ''}`
          : code === 'EISDIR'
            ? 'it is a folder'
            : code === 'ENOTDIR'
              ? kind === 'folder'
                ? 'it is no folder'
                : 'there is no such file'
              : messageOf(cause)
  return new KerneletError('ERR_IO', `${path} cannot be read: ${reason}`, { cause })
}

/** What to do about an address on the network in the place of a path; undefined for a path. */
export function addressed(path: string): string | undefined {
  if (!/^[a-z][a-z\d+.-]+:\/\//i.test(path) || path.startsWith('file:')) return undefined
  const how = /^https?:/i.test(path) ? `, such as by curl -LO '${path.replaceAll("'", '%27')}'` : ''
  return `it is a URL, and kernelet reads files only; download it first${how}`
}
