/** A chunk: rows of the manifest become a part of the results, in their order. */
import { type Classifier, type ClassifierResult, KerneletError } from 'kernelet'
import { codeOf, StorageError } from './errors.ts'
import { type Row, rowOf } from './manifest.ts'
import { isDigits } from './model.ts'
import { classifyRow, type Limits } from './sources.ts'
import { type Chunk, MANIFEST, partOf, type Spec } from './spec.ts'
import { Folder } from './store/folder.ts'
import type { Store } from './store/store.ts'

/** Pictures on their way at once: they keep the threads at work, and memory does not grow with a chunk. */
const WINDOW = 128

/**
 * Does a chunk, unless its part is there already.
 *
 * @throws StorageError; KerneletError ERR_FORMAT for a manifest that has changed, ERR_ABORTED
 */
export async function runChunk(
  chunk: Chunk,
  spec: Spec,
  store: Store,
  classifier: Classifier,
  limits: Limits,
  signal: AbortSignal,
): Promise<{ rows: number; done: boolean }> {
  const name = partOf(spec, chunk.n)
  if (await store.has(name)) return { rows: chunk.rows, done: false }
  const rows = await rowsOf(chunk, store)
  const digits = isDigits(classifier)
  const writer = await store.write(name)
  const pending: Promise<string>[] = []
  try {
    let text = ''
    const finish = async (): Promise<void> => {
      text += await (pending.shift() as Promise<string>)
      if (text.length < 65_536) return
      await writer.write(Buffer.from(text))
      text = ''
    }
    for (const row of rows) {
      if (signal.aborted) throw new KerneletError('ERR_ABORTED', 'The chunk was given up')
      const line = lineOf(row, spec.root, classifier, digits, limits, signal)
      // an end of the chunk before its turn must not go unheard
      line.catch(() => undefined)
      pending.push(line)
      if (pending.length >= WINDOW) await finish()
    }
    while (pending.length > 0) await finish()
    await writer.write(Buffer.from(text))
    if (signal.aborted) throw new KerneletError('ERR_ABORTED', 'The chunk was given up')
    await writer.commit()
  } catch (error) {
    await writer.abort()
    throw error
  }
  return { rows: chunk.rows, done: true }
}

/** @throws StorageError; KerneletError ERR_FORMAT */
export async function rowsOf(chunk: Chunk, store: Store): Promise<Row[]> {
  const bytes = await store.read(MANIFEST, chunk.from, chunk.to)
  if (!bytes) throw new StorageError(`${store.url}/${MANIFEST} is not there`)
  const lines = bytes.toString('utf8').split('\n')
  const last = lines.pop()
  const rows = lines.map(rowOf)
  if (last === '' && rows.length === chunk.rows && rows.every((row) => row !== undefined)) return rows
  throw new KerneletError(
    'ERR_FORMAT',
    `${store.url}/${MANIFEST} has changed: expected ${chunk.rows} pictures at bytes ${chunk.from} to ${chunk.to}`,
  )
}

async function lineOf(
  row: Row,
  root: string,
  classifier: Classifier,
  digits: boolean,
  limits: Limits,
  signal: AbortSignal,
): Promise<string> {
  try {
    const result = await withShare(row, root, () => classifyRow(classifier, row.file, root, limits, signal))
    return `${JSON.stringify(reportOf(row, result, digits))}\n`
  } catch (error) {
    // A bad picture is a row with its error; a fault of ours is the chunk's, and so is a share that is gone.
    if (!(error instanceof KerneletError)) throw error
    if (error.code === 'ERR_ABORTED' || error.code === 'ERR_INTERNAL' || error.code === 'ERR_DISPOSED')
      throw error
    return errorLine(row, error.code, error.message)
  }
}

/**
 * A picture may be missing; where all of them are, that is no fault of theirs. A share may also come back between
 * the picture's error and the look at the share: so a picture is at fault where it cannot be read a second time
 * either, with the share there before and after.
 *
 * @throws StorageError where the fault is the machine's or the share's; what `read` throws
 */
async function withShare<T>(row: Row, root: string, read: () => Promise<T>): Promise<T> {
  const share = root.startsWith('s3://') || /^[a-z0-9]+:\/\//i.test(row.file) ? undefined : new Folder(root)
  const looked = async (error: unknown): Promise<void> => {
    if (!(error instanceof KerneletError) || error.code !== 'ERR_IO') throw error
    const code = codeOf(error.cause)
    if (code === 'EMFILE' || code === 'ENFILE' || code === 'ESTALE' || code === 'EIO') {
      throw new StorageError(error.message, { cause: error })
    }
    if (!share) throw error
    await share.check()
  }
  try {
    return await read()
  } catch (error) {
    await looked(error)
  }
  try {
    return await read()
  } catch (error) {
    await looked(error)
    throw error
  }
}

export function errorLine(row: Partial<Row>, code: string, message: string): string {
  const { file = null, id } = row
  return `${JSON.stringify({ ...(id !== undefined && { id }), file, error: { code, message } })}\n`
}

const digitStatus: Readonly<globalThis.Record<string, string>> = {
  class: 'digit',
  nothing: 'no digit',
  several: 'several digits',
}

/** As `kernelet classify --ndjson` prints it. */
function reportOf({ file, id }: Row, result: ClassifierResult, digits: boolean): object {
  const { status, label, index, confidence, boxes } = result
  const probabilities = result.probabilities && Array.from(result.probabilities)
  const said = digits ? { digit: index } : { label, index }
  return {
    ...(id !== undefined && { id }),
    file,
    status: digits ? (digitStatus[status] ?? status) : status,
    ...said,
    confidence,
    probabilities,
    boxes,
  }
}
