/** Stores by their names. */
import { isAbsolute, resolve } from 'node:path'
import { wrong } from '../errors.ts'
import { Folder, liesIn } from './folder.ts'
import { openBucket } from './s3.ts'
import type { Store } from './store.ts'

/** A name as it is put into a job: s3://bucket/prefix as it is, a folder as an absolute path. */
export function storeUrl(name: string): string {
  if (name.startsWith('s3://')) return name.replace(/\/+$/, '')
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(name)) throw wrong(`${name}: expected a folder or s3://bucket/prefix`)
  return resolve(name)
}

/**
 * @param allowed the folders and buckets that may be used; undefined: any
 * @throws KerneletError ERR_ARGUMENT for one that is not among them; ERR_UNSUPPORTED where the S3 client is missing
 */
export async function openStore(url: string, allowed?: readonly string[]): Promise<Store> {
  if (url.startsWith('s3://')) {
    const inside = (one: string): boolean => url === one || url.startsWith(`${one}/`)
    if (allowed && !allowed.some(inside)) throw wrong(`${url} is not among the --storage of this worker`)
    return openBucket(url)
  }
  if (!isAbsolute(url)) throw wrong(`${url}: expected an absolute path`)
  if (allowed && !(await liesIn(url, allowed.filter(isAbsolute)))) {
    throw wrong(`${url} is not among the --storage of this worker`)
  }
  return new Folder(url)
}
