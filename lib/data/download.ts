/** MNIST from a mirror, checked against the contents everybody knows. Runs only when asked to. */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { writeAtomically } from '../formats/atomic-write.ts'
import { callbackOf, checkOptions } from '../util/check.ts'
import { KerneletError, messageOf } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { checkFilePath, hrefOf } from '../util/source.ts'
import { unpackIdx } from './idx.ts'
import { defaultFolder, mirrors } from './places.ts'

/**
 * SHA-256 of the unpacked files: mirrors packed them differently, what is inside is the same everywhere.
 */
const contents: Readonly<Record<string, string>> = {
  'train-images-idx3-ubyte': 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
  'train-labels-idx1-ubyte': '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
  't10k-images-idx3-ubyte': '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
  't10k-labels-idx1-ubyte': 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
}

/** No file of a mirror is nearly as large. */
const largest = 64e6

/** Milliseconds without a byte after which a mirror counts as dead. */
const patience = 30_000

/** Options of `downloadMnist`. */
export interface DownloadOptions {
  /** Where the files go; default ./data/mnist. */
  folder?: string | undefined
  /** Address of a folder with the four .gz files; default: public mirrors. */
  mirror?: string | URL | undefined
  /** Told of what is going on: a file begun, bytes received, a file done. */
  onProgress?: ((event: DownloadProgress) => void) | undefined
}

/** What `downloadMnist` tells while it works. */
export interface DownloadProgress {
  file: string
  /** Where it comes from. */
  mirror: string
  /** Bytes so far. */
  received: number
  /** Bytes in all, where the server says. */
  total: number | undefined
  /** 'kept': the file was there already, and right. */
  state: 'receiving' | 'done' | 'kept' | 'failed'
  /** Why, when failed; the next mirror is tried. */
  reason?: string
}

/**
 * Downloads MNIST's four files. Those already there and right are kept; nothing is written under its name before
 * its contents are checked.
 *
 * @returns the folder
 * @throws KerneletError (by rejection) `ERR_IO` when no mirror gives a file, with what each of them said, or the
 *   folder cannot be written; `ERR_ARGUMENT` for a mirror that is no address
 * @example
 * try {
 *   await downloadMnist({ folder: 'data/mnist', mirror: 'http://127.0.0.1:1/' })   // without mirror: where MNIST is kept
 * } catch (error) {
 *   error.code // → 'ERR_IO'
 * }
 */
export async function downloadMnist(options: DownloadOptions = {}): Promise<string> {
  checkOptions('downloadMnist', options, ['folder', 'mirror', 'onProgress'])
  const { mirror } = options
  const onProgress = callbackOf(options.onProgress, 'downloadMnist: onProgress') ?? (() => {})
  const folder = checkFilePath(
    options.folder === undefined ? defaultFolder : options.folder,
    'downloadMnist: folder',
  )
  const sources = (mirror === undefined ? mirrors : [mirror]).map(address)
  try {
    mkdirSync(folder, { recursive: true })
  } catch (cause) {
    throw new KerneletError('ERR_IO', `${folder} cannot be made: ${messageOf(cause)}`, { cause })
  }
  for (const name of Object.keys(contents)) {
    const kept = [`${name}.gz`, name].find((file) => isRight(join(folder, file), name))
    if (kept !== undefined) {
      onProgress({ file: kept, mirror: '', received: 0, total: undefined, state: 'kept' })
      continue
    }
    await fetchFile(name, folder, sources, onProgress)
  }
  return folder
}

async function fetchFile(
  name: string,
  folder: string,
  sources: readonly URL[],
  onProgress: (event: DownloadProgress) => void,
): Promise<void> {
  const failures: string[] = []
  for (const source of sources) {
    const event = { file: `${name}.gz`, mirror: source.href, received: 0, total: undefined }
    try {
      const bytes = await receive(new URL(`${name}.gz`, source), (received, total) =>
        onProgress({ ...event, received, total, state: 'receiving' }),
      )
      const found = sha256(unpackIdx(bytes, `${name}.gz`))
      if (found !== contents[name]) {
        throw new Error(`its contents have SHA-256 ${found} instead of ${contents[name]}`)
      }
      // A server may unpack on the way.
      const file = bytes[0] === 0x1f ? `${name}.gz` : name
      writeAtomically(join(folder, file), [bytes])
      onProgress({ ...event, file, received: bytes.length, total: bytes.length, state: 'done' })
      return
    } catch (error) {
      if (error instanceof KerneletError && error.code === 'ERR_IO') throw error
      const reason = reasonOf(error)
      failures.push(`${source.href}: ${reason}`)
      onProgress({ ...event, state: 'failed', reason })
    }
  }
  throw new KerneletError('ERR_IO', `${name}.gz could not be downloaded. ${failures.join('; ')}`)
}

async function receive(
  url: URL,
  report: (received: number, total: number | undefined) => void,
): Promise<Uint8Array> {
  const control = new AbortController()
  const stalled = (): void => control.abort(new Error(`nothing came for ${patience / 1000} s`))
  let timer = setTimeout(stalled, patience)
  try {
    // A connection a file: one that is kept may be closed by the server while the file before is unpacked.
    const response = await fetch(url, { signal: control.signal, headers: { connection: 'close' } })
    if (!response.ok || !response.body) throw new Error(`${response.status} ${response.statusText}`.trim())
    const length = Number(response.headers.get('content-length'))
    const total = length > 0 ? length : undefined
    const parts: Uint8Array[] = []
    let received = 0
    for await (const part of response.body) {
      clearTimeout(timer)
      timer = setTimeout(stalled, patience)
      parts.push(part)
      received += part.length
      if (received > largest) throw new Error(`it is larger than ${largest / 1e6} MB`)
      report(received, total)
    }
    return Buffer.concat(parts)
  } finally {
    clearTimeout(timer)
    control.abort()
  }
}

function address(mirror: unknown): URL {
  const text = typeof mirror === 'string' ? mirror : hrefOf(mirror)
  const url = text !== undefined && URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `mirror must be an http or https address of a folder but is ${show(mirror)}`,
    )
  }
  // Without the last slash a relative address would replace the folder.
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url
}

function isRight(path: string, name: string): boolean {
  if (!existsSync(path)) return false
  try {
    return sha256(unpackIdx(path)) === contents[name]
  } catch {
    return false
  }
}

function sha256(bytes: Uint8Array): string {
  return process.getBuiltinModule('node:crypto').createHash('sha256').update(bytes).digest('hex')
}

/** fetch says no more than "fetch failed"; its cause knows. */
function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error
  if (name !== 'TypeError' || !(cause instanceof Error)) return message
  return cause.message || String((cause as NodeJS.ErrnoException).code)
}
