/** Pictures of a manifest, wherever they lie. */
import { isAbsolute, join } from 'node:path'
import { type Classifier, type ClassifierResult, KerneletError } from 'kernelet'
import { fetchPicture, type WebLimits } from './http.ts'
import { liesIn } from './store/folder.ts'
import { readObject } from './store/s3.ts'

/** What a worker may read. */
export interface Limits extends WebLimits {
  /** Folders and buckets; undefined: any. */
  storage: readonly string[] | undefined
}

/**
 * @param file as in the manifest
 * @param root of the job
 * @throws KerneletError for a picture that cannot be read or is none
 */
export async function classifyRow(
  classifier: Classifier,
  file: string,
  root: string,
  limits: Limits,
  signal: AbortSignal,
): Promise<ClassifierResult> {
  if (/^https?:\/\//i.test(file)) {
    return classifier.classifyAsync(await fetchPicture(file, limits, signal), { signal, transfer: true })
  }
  const place = placeOf(file, root)
  const { storage } = limits
  if (place.startsWith('s3://')) {
    if (storage && !storage.some((one) => place.startsWith(`${one}/`))) throw notAllowed(place)
    return classifier.classifyAsync(await readObject(place, limits.maxBytes, signal), { signal })
  }
  if (storage && !(await liesIn(place, storage.filter(isAbsolute)))) throw notAllowed(place)
  // An end is waited for instead: a listener a picture would cost more than the few there are on their way.
  return classifier.classifyFile(place)
}

/** @throws KerneletError ERR_UNSUPPORTED for another kind of URL, ERR_ARGUMENT for a way out of a bucket's prefix */
function placeOf(file: string, root: string): string {
  if (file.startsWith('s3://') || isAbsolute(file)) return file
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(file)) {
    throw new KerneletError('ERR_UNSUPPORTED', `${file}: expected a file, http(s):// or s3://`)
  }
  return root.startsWith('s3://') ? `${root}/${file}` : join(root, file)
}

function notAllowed(place: string): KerneletError {
  return new KerneletError('ERR_UNSUPPORTED', `${place} is not among the --storage of this worker`)
}
