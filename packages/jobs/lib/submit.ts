/** A job is made: its manifest and model are put where all workers find them, its chunks into the queue. */
import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { dirname, extname, resolve } from 'node:path'
import { KerneletError, version } from 'kernelet'
import { Board } from './board.ts'
import { wrong } from './errors.ts'
import { addFlow, missingChunks } from './flow.ts'
import { type Manifest, rowsIn, rowsOf, writeManifest } from './manifest.ts'
import { boundsIn, reportIn } from './merge.ts'
import { classifierOf, hashOf, readModel, shipped } from './model.ts'
import { connect, type RedisPlace } from './redis.ts'
import { BOUNDS, JOB, RESULTS, type Spec } from './spec.ts'
import { openStore, storeUrl } from './store/open.ts'
import { put, type Store } from './store/store.ts'

export interface SubmitOptions extends RedisPlace {
  prefix: string
  /** A folder, a bucket (s3://…) or a manifest (NDJSON). */
  input: string
  out: string
  /** What relative names in a manifest begin at; default: its folder. */
  root?: string | undefined
  model?: string | undefined
  threshold?: number | undefined
  /** Rows of a chunk. */
  chunk: number
  attempts: number
  /** The job's name; default: one drawn at random. */
  id?: string | undefined
  /** Hears how many rows have been listed. */
  listed?: ((rows: number) => void) | undefined
}

/**
 * Submits a job. One that was submitted before into the same folder, with the same pictures and model, goes on where
 * it was.
 *
 * @throws KerneletError, StorageError
 */
export async function submit(options: SubmitOptions): Promise<Spec> {
  const id = options.id ?? randomBytes(5).toString('hex')
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id)) throw wrong('--id: expected letters, digits, _ and -, 64 at most')
  // Redis first: nothing is listed for a queue that is not there
  const redis = await connect(options)
  try {
    const board = new Board(redis, options.prefix)
    const store = await openStore(storeUrl(options.out))
    const spec = await prepare(id, options, store)
    if (!(await board.add(spec))) {
      const { spec: other } = await board.need(id)
      if (other.key === spec.key && other.out === spec.out) return other
      throw wrong(`There is another job ${id} already: choose another --id, or none`)
    }
    await put(store, JOB, `${JSON.stringify(spec, null, 2)}\n`)
    const chunks = await missingAt(spec, store, 0)
    await addFlow(redis, options.prefix, spec, 0, chunks)
    return spec
  } finally {
    redis.disconnect()
  }
}

/** The chunks of a job that are still to be done. @throws StorageError, KerneletError */
export async function missingAt(spec: Spec, store: Store, run: number) {
  const report = await reportIn(store)
  if (report?.key === spec.key && report.setAside.length === 0 && (await store.has(RESULTS))) return []
  return missingChunks(spec, store, run, await boundsIn(store, spec))
}

async function prepare(id: string, options: SubmitOptions, store: Store): Promise<Spec> {
  const { input } = options
  const isFolder = input.startsWith('s3://') || statSync(input, { throwIfNoEntry: false })?.isDirectory()
  const root = isFolder ? storeUrl(input) : storeUrl(options.root ?? dirname(resolve(input)))
  const model = options.model === undefined ? shipped() : readModel(options.model)
  // a model that cannot be used is refused here, not by all workers
  classifierOf(model, options.threshold ?? null).dispose()
  const before = await specIn(store)
  const rows = isFolder ? rowsIn(await openStore(root)) : rowsOf(input)
  const file = options.model === undefined ? null : `model${extname(options.model)}`
  const threshold = options.threshold ?? null
  let key = ''
  const accept = ({ rows, hash, chunk }: Manifest): void => {
    if (rows === 0) throw new KerneletError('ERR_IO', `${input} has no pictures in it`)
    key = hashOf(Buffer.from(JSON.stringify([hash, model.hash, threshold, version, root, chunk]))).slice(
      0,
      16,
    )
    if (before === undefined || before.key === key) return
    throw wrong(
      `${store.url} has another job in it (${before.id}: other pictures, model, version or --chunk): choose another --out`,
    )
  }
  const manifest = await writeManifest(store, rows, options.chunk, { count: options.listed, accept })
  if (file !== null) await put(store, file, model.bytes)
  await put(store, BOUNDS, JSON.stringify(manifest.bounds))
  return {
    ...{ id, out: store.url, root, rows: manifest.rows, chunk: manifest.chunk },
    ...{ chunks: manifest.bounds.length - 1, attempts: options.attempts, manifest: manifest.hash },
    ...{ model: { file, hash: model.hash }, threshold, library: version, key },
  }
}

/** The job that a folder is of. */
async function specIn(store: Store): Promise<Spec | undefined> {
  const bytes = await store.read(JOB)
  try {
    return bytes && (JSON.parse(bytes.toString('utf8')) as Spec)
  } catch (cause) {
    throw new KerneletError('ERR_FORMAT', `${store.url}/${JOB} is damaged`, { cause })
  }
}
