/** Models by their bytes: a job's results are those of one model and no other. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Classifier, KerneletError } from 'kernelet'
import { messageOf, Refusal } from './errors.ts'
import type { Spec } from './spec.ts'
import type { Store } from './store/store.ts'

export interface ModelFile {
  bytes: Buffer
  hash: string
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The digits that come with kernelet. */
export function shipped(): ModelFile {
  const bytes = readFileSync(new URL('models/lenet5-mnist.safetensors', packageUrl()))
  return { bytes, hash: hashOf(bytes) }
}

/** The folder of kernelet's package. */
function packageUrl(): URL {
  return new URL('.', import.meta.resolve('kernelet/package.json'))
}

/** @throws KerneletError ERR_IO */
export function readModel(file: string): ModelFile {
  try {
    const bytes = readFileSync(file)
    return { bytes, hash: hashOf(bytes) }
  } catch (cause) {
    throw new KerneletError('ERR_IO', `The model ${file} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

/** @throws KerneletError as Classifier.load */
export function classifierOf({ bytes }: ModelFile, threshold: number | null): Classifier {
  return Classifier.load(bytes, threshold === null ? {} : { threshold })
}

/** Whether the classes are the ten digits, which are spoken of as such. */
export function isDigits({ labels, preparation }: Classifier): boolean {
  return (
    preparation.fit === 'digit' && labels.length === 10 && labels.every((label, i) => label === String(i))
  )
}

/**
 * The classifier of a job.
 *
 * @param own what this worker is to use and nothing else; undefined: what the job brings
 * @throws Refusal where it would be another model
 */
export async function modelFor(
  spec: Spec,
  store: Store,
  own: readonly ModelFile[] | undefined,
): Promise<Classifier> {
  const { file, hash } = spec.model
  const found = own
    ? own.find((one) => one.hash === hash)
    : file === null
      ? shipped()
      : await fromStore(store, file)
  if (found?.hash === hash) return classifierOf(found, spec.threshold)
  const wanted = `job ${spec.id} wants the model ${hash.slice(0, 12)}${file === null ? ' (the shipped digits)' : ''}`
  if (own) {
    throw new Refusal(`${wanted}, but --model is ${own.map((one) => one.hash.slice(0, 12)).join(', ')}`)
  }
  throw new Refusal(
    `${wanted}, but ${file === null ? 'those of this kernelet are' : `${store.url}/${file} is`} ${found?.hash.slice(0, 12) ?? 'not there'}`,
  )
}

async function fromStore(store: Store, file: string): Promise<ModelFile | undefined> {
  const bytes = await store.read(file)
  return bytes && { bytes, hash: hashOf(bytes) }
}
