/** A folder as a store: what is written lies beside, under another name, until it is whole and on the disk. */
import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, opendir, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { codeOf, messageOf, StorageError } from '../errors.ts'
import type { Store, Writer } from './store.ts'

/** Names of files that are being written. */
const BESIDE = /\.[0-9a-f-]{36}\.beside$/

export class Folder implements Store {
  readonly url: string

  /** @param path absolute */
  constructor(path: string) {
    this.url = path
  }

  async read(name: string, from = 0, to?: number): Promise<Buffer | undefined> {
    const path = join(this.url, name)
    return told(`${path} cannot be read`, async () => {
      const file = await open(path).catch(unlessThere)
      if (!file) return undefined
      try {
        if (to === undefined && from === 0) return await file.readFile()
        const end = to ?? (await file.stat()).size
        const bytes = Buffer.alloc(Math.max(0, end - from))
        let length = 0
        while (length < bytes.length) {
          const { bytesRead } = await file.read(bytes, length, bytes.length - length, from + length)
          if (bytesRead === 0) break
          length += bytesRead
        }
        return bytes.subarray(0, length)
      } finally {
        await file.close()
      }
    })
  }

  async write(name: string): Promise<Writer> {
    const path = join(this.url, name)
    const beside = `${path}.${randomUUID()}.beside`
    const what = `${path} cannot be written`
    const file = await told(what, async () => {
      await mkdir(dirname(path), { recursive: true })
      return open(beside, 'wx')
    })
    return {
      write: (bytes) => told(what, () => writeAll(file, bytes)),
      commit: () =>
        told(what, async () => {
          await file.sync()
          await file.close()
          await rename(beside, path)
        }),
      abort: async () => {
        await file.close().catch(() => undefined)
        await rm(beside, { force: true }).catch(() => undefined)
      },
    }
  }

  async *list(folder: string): AsyncGenerator<string> {
    const path = join(this.url, folder)
    const entries = await told(`${path} cannot be read`, () => entriesOf(path))
    for (const { name, kind } of entries) {
      const inner = folder === '' ? name : `${folder}/${name}`
      if (kind === 'folder') yield* this.list(inner)
      else if (!BESIDE.test(name) && (kind === 'file' || (await isFile(join(path, name))))) yield inner
    }
  }

  async has(name: string): Promise<boolean> {
    const path = join(this.url, name)
    return told(`${path} cannot be read`, async () => (await stat(path).catch(unlessThere)) !== undefined)
  }

  async remove(name: string): Promise<void> {
    const path = join(this.url, name)
    await told(`${path} cannot be removed`, () => rm(path, { force: true, recursive: true }))
  }

  async check(): Promise<void> {
    const found = await told(`${this.url} cannot be read`, () => stat(this.url))
    if (!found.isDirectory()) throw new StorageError(`${this.url} is not a folder`)
  }
}

interface Entry {
  name: string
  kind: 'file' | 'folder' | 'link'
}

/** In the order of their names. Links to folders are not followed, which could go round. */
async function entriesOf(path: string): Promise<Entry[]> {
  const entries: Entry[] = []
  const handle = await opendir(path, { bufferSize: 1024 }).catch(unlessThere)
  if (!handle) return entries
  try {
    for (let entry = handle.readSync(); entry; entry = handle.readSync()) {
      const kind = entry.isDirectory() ? 'folder' : entry.isFile() ? 'file' : entry.isSymbolicLink() && 'link'
      if (kind) entries.push({ name: entry.name, kind })
    }
  } finally {
    await handle.close()
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await file.write(bytes, at, bytes.length - at)).bytesWritten
  }
}

function unlessThere(cause: unknown): undefined {
  if (codeOf(cause) === 'ENOENT' || codeOf(cause) === 'ENOTDIR') return undefined
  throw cause
}

async function told<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (cause) {
    if (cause instanceof StorageError) throw cause
    throw new StorageError(`${what}: ${inWords(cause)}`, { cause })
  }
}

function inWords(cause: unknown): string {
  switch (codeOf(cause)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'no space is left there'
    case 'EFBIG':
      return 'it would be larger than files may be there'
    case 'EROFS':
      return 'it is read-only'
    default:
      return messageOf(cause)
  }
}

/** Whether a path, with all links followed, lies in one of these folders. */
export async function liesIn(path: string, folders: readonly string[]): Promise<boolean> {
  const real = await nearest(path)
  for (const folder of folders) {
    const way = relative(await nearest(folder), real)
    if (way === '' || !(way === '..' || way.startsWith(`..${sep}`) || way.startsWith(sep))) return true
  }
  return false
}

/** The real path of what there is of it already, and the rest as it stands. */
async function nearest(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (cause) {
    if (codeOf(cause) !== 'ENOENT' || dirname(path) === path) throw cause
    return join(await nearest(dirname(path)), path.slice(dirname(path).length))
  }
}
