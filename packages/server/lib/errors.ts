/** What goes wrong with a request: a status for programs, a sentence for people. */
import { KerneletError, type KerneletErrorCode } from 'kernelet'

/** Why a request failed, as the label of a metric: few, and known beforehand. */
export type Reason =
  | 'bad_request'
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'timeout'
  | 'too_large'
  | 'unsupported_media'
  | 'overloaded'
  | 'draining'
  | 'hung_up'
  | 'internal'

const statusOf: Readonly<Record<Reason, number>> = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  timeout: 504,
  too_large: 413,
  unsupported_media: 415,
  overloaded: 503,
  draining: 503,
  hung_up: 499,
  internal: 500,
}

/** A request that is refused; the message goes to the caller. */
export class RequestError extends Error {
  readonly reason: Reason
  readonly statusCode: number

  constructor(reason: Reason, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.reason = reason
    this.statusCode = statusOf[reason]
  }
}

export function badRequest(message: string): RequestError {
  return new RequestError('bad_request', message)
}

/** For a request that no queue would hold. */
export function tooMany(images: number, queue: number): RequestError {
  return new RequestError(
    'too_large',
    `The request has ${images} images; at most ${queue} may wait (--queue): send it in parts`,
  )
}

export function overloaded(waiting: number, queue: number): RequestError {
  return new RequestError(
    'overloaded',
    `${waiting} images wait already, and ${queue} may (--queue); try again later`,
  )
}

/** For a request whose answer would come too late, in milliseconds. */
export function expectedLate(expected: number, most: number): RequestError {
  return new RequestError(
    'overloaded',
    `The answer is expected in ${expected.toFixed(1)} ms, and may take ${most} (--max-wait); try again later`,
  )
}

/** Why a request that waited is not run. */
export function lateOrGone(late: boolean): RequestError {
  return late
    ? new RequestError('timeout', 'The request waited longer than its timeout allows')
    : new RequestError('hung_up', 'The client hung up')
}

/** The faults of kernelet that are the caller's. */
const callers: Readonly<Partial<Record<KerneletErrorCode, Reason>>> = {
  ERR_ARGUMENT: 'bad_request',
  ERR_SHAPE: 'bad_request',
  ERR_DTYPE: 'bad_request',
  ERR_FORMAT: 'bad_request',
  ERR_UNSUPPORTED: 'unsupported_media',
  ERR_ABORTED: 'timeout',
  ERR_BUSY: 'overloaded',
  ERR_DISPOSED: 'overloaded',
}

/** Anything thrown, as a refusal: what is nobody's fault but ours says no more than that. */
export function refusalOf(error: unknown): RequestError {
  if (error instanceof RequestError) return error
  if (error instanceof KerneletError) {
    const reason = callers[error.code]
    if (reason !== undefined) return new RequestError(reason, error.message, { cause: error })
  }
  const { statusCode } = (error ?? {}) as { statusCode?: unknown }
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    const reason = (Object.keys(statusOf) as Reason[]).find((one) => statusOf[one] === statusCode)
    return new RequestError(reason ?? 'bad_request', messageOf(error), { cause: error })
  }
  return new RequestError('internal', 'The server failed; its log says why', { cause: error })
}

/** What was caught, in words: anything can be thrown. */
export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
