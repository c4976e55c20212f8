/** Files that a command is given: by name, in folders, in a list. */
import { type Dirent, opendirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { KerneletError, messageOf } from '../util/errors.ts'
import { readWhole, unreadable } from '../util/file.ts'
import { pictureName } from '../vision/picture/names.ts'

/** What stands for the standard input. */
export const stdin = '-'

/** A file, or why one cannot be had. */
export type Input = string | KerneletError

/**
 * The files themselves, and of folders, down to the last, the pictures in the order of their names. A folder is opened
 * when its turn comes: there may be millions of files. Links to folders are not followed, which could go round.
 */
export function* filesOf(words: Iterable<string>): Generator<Input> {
  for (const word of words) {
    if (word !== stdin && isFolder(word)) yield* inFolder(word)
    else yield word
  }
}

/** Where that cannot be told, reading it as a file says why. */
function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

function* inFolder(folder: string): Generator<Input> {
  let entries: Dirent[]
  try {
    entries = entriesOf(folder)
  } catch (cause) {
    yield unreadable(folder, cause, 'folder')
    return
  }
  let found = 0
  for (const entry of entries) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      found++
      yield* inFolder(path)
    } else if (pictureName.test(entry.name) && isFile(entry, path)) {
      found++
      yield path
    }
  }
  if (found === 0) yield new KerneletError('ERR_IO', `${folder} has no pictures in it`)
}

function entriesOf(folder: string): Dirent[] {
  const entries: Dirent[] = []
  const handle = opendirSync(folder)
  try {
    for (let entry = handle.readSync(); entry; entry = handle.readSync()) entries.push(entry)
  } finally {
    handle.closeSync()
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
}

function isFile(entry: Dirent, path: string): boolean {
  if (!entry.isSymbolicLink()) return entry.isFile()
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

/** The lines of a file of names, or of the standard input; empty ones are none. */
export async function listFrom(file: string): Promise<string[]> {
  const bytes = file === stdin ? await readStdin(largestList) : readWhole(file, largestList)
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
  return text.split(/\r?\n/).filter((line) => line !== '')
}

const largestList = 2 ** 28

/**
 * All of the standard input.
 *
 * @throws KerneletError ERR_IO; ERR_UNSUPPORTED above `most` bytes
 */
export async function readStdin(most: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  try {
    for await (const part of process.stdin as AsyncIterable<Buffer>) {
      parts.push(part)
      length += part.length
      if (length > most) {
        throw new KerneletError('ERR_UNSUPPORTED', `the standard input has more than ${most} bytes`)
      }
    }
  } catch (cause) {
    if (cause instanceof KerneletError) throw cause
    throw new KerneletError('ERR_IO', `the standard input cannot be read: ${messageOf(cause)}`, { cause })
  }
  return Buffer.concat(parts)
}
