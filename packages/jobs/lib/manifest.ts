/** The list of pictures: NDJSON, a picture a line, in an order that all results keep. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { KerneletError } from 'kernelet'
import { codeOf, messageOf } from './errors.ts'
import { MANIFEST } from './spec.ts'
import type { Store } from './store/store.ts'

/** What a folder is searched for: the names that `kernelet classify` takes. */
const PICTURE = /\.(?:png|bmp|dib|jpe?g|webp|gif|avif|tiff?|svg|heic|jxl)$/i

/** Bytes of a line at most: a name, not a picture. */
const LONGEST = 16_384

/** Chunks at most: a job of any size is at most so much for Redis. */
const MOST_CHUNKS = 10_000

/** A picture to classify: a path below the job's root or an absolute one, an http(s):// or s3:// URL. */
export interface Row {
  file: string
  /** The caller's own name for it, which comes back with the result. */
  id?: string | number
}

export interface Manifest {
  rows: number
  hash: string
  chunk: number
  /** The first byte of each chunk, and the manifest's length. */
  bounds: number[]
}

/** The pictures below a store's folder, by their names there. @throws StorageError */
export async function* rowsIn(store: Store): AsyncGenerator<Row> {
  for await (const file of store.list('')) if (PICTURE.test(file)) yield { file }
}

/**
 * The rows of a file: `{ "file": … , "id": … }` or "…" a line.
 *
 * @throws KerneletError ERR_FORMAT with the number of a line that is none; ERR_IO
 */
export async function* rowsOf(path: string): AsyncGenerator<Row> {
  let number = 0
  for await (const line of linesOf(path)) {
    number++
    if (line.trim() === '') continue
    const row = rowOf(line)
    if (row === undefined) {
      throw new KerneletError(
        'ERR_FORMAT',
        `${path}, line ${number}: expected { "file": "NAME" } but found ${JSON.stringify(line.slice(0, 80))}`,
      )
    }
    yield row
  }
}

async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = ''
  try {
    for await (const text of createReadStream(path, 'utf8') as AsyncIterable<string>) {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > LONGEST) {
        throw new KerneletError('ERR_FORMAT', `${path} has a line of more than ${LONGEST} characters`)
      }
      yield* lines
    }
  } catch (cause) {
    if (cause instanceof KerneletError) throw cause
    throw new KerneletError('ERR_IO', `${path} cannot be read: ${messageOf(cause)}`, { cause })
  }
  yield rest
}

/** undefined for a line that is no row. */
export function rowOf(line: string): Row | undefined {
  if (line.length > LONGEST) return undefined
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    if (codeOf(cause) === undefined) return undefined
    throw cause
  }
  const { file, id } = (typeof value === 'string' ? { file: value } : (value ?? {})) as Partial<Row>
  if (typeof file !== 'string' || file === '' || file.includes('\0')) return undefined
  return typeof id === 'string' || typeof id === 'number' ? { file, id } : { file }
}

/**
 * Writes the manifest into a store, a piece at a time: memory does not grow with it.
 *
 * @param size rows of a chunk; more where there would be too many chunks
 * @param accept hears of the manifest before it takes the place of one that is there, and may throw
 * @throws StorageError, KerneletError of `rows`
 */
export async function writeManifest(
  store: Store,
  rows: AsyncIterable<Row>,
  size: number,
  {
    count = () => undefined,
    accept = () => undefined,
  }: { count?: ((rows: number) => void) | undefined; accept?: (manifest: Manifest) => void } = {},
): Promise<Manifest> {
  const writer = await store.write(MANIFEST)
  const hash = createHash('sha256')
  const bounds: number[] = []
  let [total, length, text] = [0, 0, '']
  const flush = async (): Promise<void> => {
    const bytes = Buffer.from(text)
    text = ''
    length += bytes.length
    hash.update(bytes)
    await writer.write(bytes)
    count(total)
  }
  try {
    for await (const row of rows) {
      if (total % size === 0) {
        await flush()
        bounds.push(length)
      } else if (text.length > 65_536) await flush()
      text += `${JSON.stringify(row)}\n`
      total++
    }
    await flush()
    // fewer, larger chunks, where there are very many
    const step = Math.ceil(bounds.length / MOST_CHUNKS) || 1
    const kept = bounds.filter((_, i) => i % step === 0)
    const manifest = {
      ...{ rows: total, hash: hash.digest('hex') },
      ...{ chunk: size * step, bounds: [...kept, length] },
    }
    accept(manifest)
    await writer.commit()
    return manifest
  } catch (error) {
    await writer.abort()
    throw error
  }
}
