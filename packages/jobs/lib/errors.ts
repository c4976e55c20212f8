/** What a worker does about an error depends on whose fault it is. */
import { KerneletError } from 'kernelet'

/**
 * Storage that does not work at the moment: a full disk, a share that is gone. No fault of the chunk: it goes back and
 * is tried again, however long that takes.
 */
export class StorageError extends Error {
  override readonly name = 'StorageError'
}

/** This worker is not one for that job: it has another version of the library, or another model. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
}

/** What was caught, in words: anything can be thrown. */
export function messageOf(cause: unknown): string {
  const { message } = (cause ?? {}) as { message?: unknown }
  return typeof message === 'string' && message !== '' ? message : String(cause)
}

/** The code of an error of the system: ENOENT. */
export function codeOf(cause: unknown): string | undefined {
  const { code } = (cause ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : undefined
}

/** For a wrong option or argument. */
export function wrong(message: string): KerneletError {
  return new KerneletError('ERR_ARGUMENT', message)
}
