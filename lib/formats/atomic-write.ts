/** Files written all or nothing. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { KerneletError, messageOf } from '../util/errors.ts'
import { addressed } from '../util/file.ts'
import { checkFilePath, type FilePath } from '../util/source.ts'

/**
 * Writes a file beside its place, flushes it to disk and renames it: whoever reads it sees the old file or
 * the new one.
 *
 * @throws KerneletError `ERR_ARGUMENT` for what is no path; `ERR_IO` when it cannot be written; what was there is then untouched
 */
export function writeAtomically(to: FilePath, parts: readonly Uint8Array[]): void {
  const path = checkFilePath(to, 'The file to be written')
  const beside = `${path}.${process.getBuiltinModule('node:crypto').randomUUID()}.tmp`
  let made = false
  try {
    const file = openSync(beside, 'wx')
    made = true
    try {
      for (const part of parts) {
        for (let done = 0; done < part.length; ) done += writeSync(file, part, done)
      }
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(beside, path)
  } catch (cause) {
    if (made) rmSync(beside, { force: true })
    const why = addressed(path) ? 'it is a URL, and kernelet writes files only' : reasonOf(cause, path)
    throw new KerneletError('ERR_IO', `${path} could not be written: ${why}`, { cause })
  }
}

/** Without the name of the file beside it, which nobody asked for. */
function reasonOf(cause: unknown, path: string): string {
  switch ((cause as NodeJS.ErrnoException).code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `there is no folder ${dirname(path)}`
    case 'EISDIR':
      return 'it is a folder'
    case 'EACCES':
    case 'EPERM':
      return 'permission denied'
    case 'ENOSPC':
      return 'no space is left there'
    default:
      return messageOf(cause)
  }
}
