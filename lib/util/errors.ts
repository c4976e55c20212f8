/**
 * What went wrong, as a word a program can switch on.
 *
 * - `ERR_ARGUMENT`    an argument or option has the wrong type or value
 * - `ERR_SHAPE`       a shape or length does not fit
 * - `ERR_DTYPE`       a file or buffer holds another element type than was asked for
 * - `ERR_STATE_DICT`  missing, unexpected or misshapen keys when loading weights
 * - `ERR_FORMAT`      a file is damaged or not of the kind its name says
 * - `ERR_IO`          a file could not be read or written
 * - `ERR_UNSUPPORTED` a legal request that this version or this machine cannot serve
 * - `ERR_ISA`         an unknown instruction set, or one this CPU lacks
 * - `ERR_BUSY`        the output buffer belongs to a call still in flight
 * - `ERR_DISPOSED`    the compiled model was disposed
 * - `ERR_ABORTED`     an AbortSignal fired before the work started
 * - `ERR_DIVERGED`    training met a NaN or an infinite value
 * - `ERR_NATIVE_LOAD` the native addon could not be loaded
 * - `ERR_INTERNAL`    a fault of kernelet's own; please report it
 */
export type KerneletErrorCode =
  | 'ERR_ARGUMENT'
  | 'ERR_SHAPE'
  | 'ERR_DTYPE'
  | 'ERR_STATE_DICT'
  | 'ERR_FORMAT'
  | 'ERR_IO'
  | 'ERR_UNSUPPORTED'
  | 'ERR_ISA'
  | 'ERR_BUSY'
  | 'ERR_DISPOSED'
  | 'ERR_ABORTED'
  | 'ERR_DIVERGED'
  | 'ERR_NATIVE_LOAD'
  | 'ERR_INTERNAL'

/**
 * The one error kernelet throws: a `code` for programs and a sentence for people that
 * names the layer or argument, what was expected and what came.
 * @example
 * try {
 *   new Conv2d(1, 2, { kernelSize: 0 })
 * } catch (error) {
 *   error instanceof KerneletError // → true
 *   error.code // → 'ERR_ARGUMENT'
 * }
 */
export class KerneletError extends Error {
  override readonly name = 'KerneletError'
  readonly code: KerneletErrorCode

  constructor(code: KerneletErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** What was caught, in words: anything can be thrown. */
export function messageOf(cause: unknown): string {
  const { message } = (cause ?? {}) as { message?: unknown }
  return typeof message === 'string' ? message : String(cause)
}
