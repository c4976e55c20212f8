/**
 * Where a job's files lie: its manifest, its model, the parts of its results. A folder that all machines share, or a
 * bucket.
 */

/** A file being written. It is there under its name, whole, once `commit` is done, and not before. */
export interface Writer {
  /** @throws StorageError */
  write(bytes: Uint8Array): Promise<void>
  /** @throws StorageError */
  commit(): Promise<void>
  /** Leaves nothing behind. Never throws. */
  abort(): Promise<void>
}

/** Names are relative, with / between folders. */
export interface Store {
  /** An absolute path, or s3://bucket/prefix. */
  readonly url: string
  /**
   * A file, or its bytes `from` … `to` (exclusive).
   *
   * @returns undefined where there is no such file
   * @throws StorageError
   */
  read(name: string, from?: number, to?: number): Promise<Buffer | undefined>
  /** @throws StorageError */
  write(name: string): Promise<Writer>
  /**
   * The files below a folder, in the order of their names, folder by folder; in the first form names only.
   *
   * @throws StorageError
   */
  list(folder: string): AsyncIterable<string>
  /** Whether a file is there. @throws StorageError */
  has(name: string): Promise<boolean>
  /** Removes a file if there is one. @throws StorageError */
  remove(name: string): Promise<void>
  /** Throws where it cannot be read at all. @throws StorageError */
  check(): Promise<void>
}

/** Writes a whole file. @throws StorageError */
export async function put(store: Store, name: string, content: string | Uint8Array): Promise<void> {
  const writer = await store.write(name)
  try {
    await writer.write(typeof content === 'string' ? Buffer.from(content) : content)
    await writer.commit()
  } catch (error) {
    await writer.abort()
    throw error
  }
}
