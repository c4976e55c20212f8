/** The end of a job: its parts, one behind the other, are the result. */
import { KerneletError } from 'kernelet'
import { errorLine } from './chunk.ts'
import { messageOf } from './errors.ts'
import { rowOf } from './manifest.ts'
import {
  BOUNDS,
  type Chunk,
  chunkOf,
  MANIFEST,
  partOf,
  partsOf,
  REPORT,
  RESULTS,
  type Report,
  type Spec,
} from './spec.ts'
import { put, type Store } from './store/store.ts'

/** Stands in a line outside of strings only: quotes in these have a backslash. */
const ERROR = Buffer.from(',"error":{"code":')

/**
 * Puts the result together and writes the report; parts go once nothing is to be done again.
 *
 * @param failures why chunks were set aside, by their numbers
 * @throws StorageError; KerneletError ERR_FORMAT where a part is missing or has lost rows
 */
export async function merge(
  spec: Spec,
  store: Store,
  failures: ReadonlyMap<number, string>,
  signal: AbortSignal,
): Promise<Report> {
  const before = await reportIn(store)
  if (before?.key === spec.key && before.setAside.length === 0 && (await store.has(RESULTS))) return before
  const bounds = await boundsIn(store, spec)
  const report: Report = {
    key: spec.key,
    library: spec.library,
    model: spec.model.hash,
    rows: spec.rows,
    errors: 0,
    setAside: [],
  }
  const writer = await store.write(RESULTS)
  try {
    for (let n = 0; n < spec.chunks; n++) {
      if (signal.aborted) throw new KerneletError('ERR_ABORTED', 'The merge was given up')
      const chunk = chunkOf(spec, 0, n, bounds)
      const part = await store.read(partOf(spec, n))
      if (part) {
        await checkPart(part, chunk, spec, store)
        report.errors += count(part, ERROR)
        await writer.write(part)
        continue
      }
      const message = failures.get(n)
      if (message === undefined) {
        throw new KerneletError(
          'ERR_FORMAT',
          `${store.url}/${partOf(spec, n)} is not there: kernelet jobs retry ${spec.id} makes it again`,
        )
      }
      report.setAside.push({ chunk: n, first: chunk.first, rows: chunk.rows, message })
      report.errors += chunk.rows
      await writer.write(Buffer.from(await setAside(chunk, store, message)))
    }
    await writer.commit()
  } catch (error) {
    await writer.abort()
    throw error
  }
  await put(store, REPORT, `${JSON.stringify(report, null, 2)}\n`)
  if (report.setAside.length === 0) await store.remove(partsOf(spec))
  return report
}

async function checkPart(part: Buffer, chunk: Chunk, spec: Spec, store: Store): Promise<void> {
  const rows = count(part, Buffer.from('\n'))
  if (rows === chunk.rows && part.at(-1) === 10) return
  const name = partOf(spec, chunk.n)
  await store.remove(name)
  throw new KerneletError(
    'ERR_FORMAT',
    `${store.url}/${name} has ${rows} rows instead of ${chunk.rows} and was removed: ` +
      `kernelet jobs retry ${spec.id} makes it again`,
  )
}

function count(bytes: Buffer, what: Buffer): number {
  let found = 0
  for (let at = bytes.indexOf(what); at >= 0; at = bytes.indexOf(what, at + what.length)) found++
  return found
}

/** The rows of a chunk that could not be done, each with the reason. */
async function setAside(chunk: Chunk, store: Store, message: string): Promise<string> {
  const bytes = await store.read(MANIFEST, chunk.from, chunk.to)
  const lines = bytes?.toString('utf8').split('\n') ?? []
  return Array.from({ length: chunk.rows }, (_, i) =>
    errorLine(rowOf(lines[i] ?? '') ?? {}, 'ERR_SET_ASIDE', `Chunk ${chunk.n} was set aside: ${message}`),
  ).join('')
}

/** @throws StorageError; KerneletError ERR_FORMAT */
export async function boundsIn(store: Store, spec: Spec): Promise<number[]> {
  const bytes = await store.read(BOUNDS)
  try {
    const bounds: unknown = JSON.parse(bytes?.toString('utf8') ?? 'null')
    if (Array.isArray(bounds) && bounds.length === spec.chunks + 1 && bounds.every(Number.isSafeInteger)) {
      return bounds as number[]
    }
  } catch (cause) {
    throw new KerneletError('ERR_FORMAT', `${store.url}/${BOUNDS} is damaged: ${messageOf(cause)}`, { cause })
  }
  throw new KerneletError('ERR_FORMAT', `${store.url}/${BOUNDS} is not there, or of another job`)
}

export async function reportIn(store: Store): Promise<Report | undefined> {
  const bytes = await store.read(REPORT)
  try {
    return bytes && (JSON.parse(bytes.toString('utf8')) as Report)
  } catch {
    return undefined
  }
}
