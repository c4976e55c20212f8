/** A job as plain data: what travels through Redis. */

/** All that a worker has to know of a job. */
export interface Spec {
  /** Its name in Redis. */
  id: string
  /** Where manifest, model and results lie: an absolute path or s3://bucket/prefix. */
  out: string
  /** What relative names of pictures begin at: likewise. */
  root: string
  rows: number
  /** Rows of a chunk; the last may have fewer. */
  chunk: number
  chunks: number
  /** Attempts at a chunk before it is set aside. */
  attempts: number
  /** SHA-256 of the manifest. */
  manifest: string
  /** The model's file in `out`, null for the shipped digits, and its SHA-256. */
  model: { file: string | null; hash: string }
  threshold: number | null
  /** Version of kernelet. */
  library: string
  /** Of all that the results depend on: parts of one key are parts of the same results. */
  key: string
}

/** A chunk: rows of the manifest, by their place in it. No names, so that it stays small. */
export interface Chunk {
  /** The job. */
  id: string
  run: number
  /** Its number, from 0. */
  n: number
  /** Of its first row. */
  first: number
  rows: number
  /** Bytes of the manifest: from, to (exclusive). */
  from: number
  to: number
}

/** The end of a flow: parts become the result. `bounds` are the chunks' places in the manifest. */
export interface Merge {
  id: string
  run: number
}

export const MANIFEST = 'manifest.ndjson'
export const JOB = 'job.json'
export const BOUNDS = 'bounds.json'
export const RESULTS = 'results.ndjson'
export const REPORT = 'report.json'

/** The folder of parts that are of these results and no others. */
export function partsOf({ key }: Spec): string {
  return `parts-${key}`
}

export function partOf(spec: Spec, n: number): string {
  return `${partsOf(spec)}/${String(n).padStart(8, '0')}.ndjson`
}

/** Where a chunk lies. @param bounds the first byte of each chunk, and the manifest's length */
export function chunkOf(spec: Spec, run: number, n: number, bounds: readonly number[]): Chunk {
  const first = n * spec.chunk
  const rows = Math.min(spec.chunk, spec.rows - first)
  return { id: spec.id, run, n, first, rows, from: bounds[n] ?? 0, to: bounds[n + 1] ?? 0 }
}

/** What became of a job, beside its results. */
export interface Report {
  key: string
  library: string
  model: string
  rows: number
  /** Rows with an error, those set aside among them. */
  errors: number
  setAside: { chunk: number; first: number; rows: number; message: string }[]
}
