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

const files = 'The form has more files or fields than are taken (--max-files)'
/** What Fastify and its parser of forms refuse, by their codes: their own words name no setting. */
const sentences: ReadonlyMap<unknown, string> = new Map([
  ['FST_ERR_CTP_BODY_TOO_LARGE', 'The body of the request is larger than is taken (--max-body)'],
  ['FST_ERR_CTP_INVALID_CONTENT_LENGTH', 'The body of the request is not as long as its Content-Length says'],
  ['FST_ERR_BAD_URL', 'The address of the request is not written as addresses are'],
  ['FST_REQ_FILE_TOO_LARGE', 'A file of the form is larger than is taken (--max-body)'],
  ['FST_FILES_LIMIT', files],
  ['FST_PARTS_LIMIT', files],
  ['FST_FIELDS_LIMIT', files],
  ['FST_PROTO_VIOLATION', 'A field of the form has a name that no field may have'],
  ['FST_MP_PREMATURE_CLOSE', 'The form ends early'],
])

/** Anything thrown, as a refusal: what is nobody's fault but ours says no more than that. */
export function refusalOf(error: unknown): RequestError {
  if (error instanceof RequestError) return error
  if (error instanceof KerneletError) {
    const reason = callers[error.code]
    if (reason !== undefined) return new RequestError(reason, error.message, { cause: error })
  }
  const { statusCode, code } = (error ?? {}) as { statusCode?: unknown; code?: unknown }
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    const reason = (Object.keys(statusOf) as Reason[]).find((one) => statusOf[one] === statusCode)
    const message = sentences.get(code) ?? messageOf(error)
    return new RequestError(reason ?? 'bad_request', message, { cause: error })
  }
  return new RequestError('internal', 'The server failed; its log says why', { cause: error })
}

/** Why a file or folder could not be read, without what the system calls it. */
export function unreadableFor(cause: unknown): string {
  switch ((cause as NodeJS.ErrnoException | undefined)?.code) {
    case 'ENOENT':
      return 'it is not there'
    case 'EISDIR':
      return 'it is a folder'
    case 'ENOTDIR':
      return 'it is no folder'
    case 'EACCES':
    case 'EPERM':
      return 'permission denied'
    default:
      return messageOf(cause)
  }
}

/** What was caught, in words: anything can be thrown. */
export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
