/** What a PicturePool and its threads send each other. */
import type { KerneletErrorCode } from '../../util/errors.ts'
import type { Prepared } from './prepare.ts'
import type { Work } from './work.ts'

/** What a thread is started with. */
export interface ThreadData {
  /** See `Permits`. */
  permits: Int32Array
}

/** Of the pool; several are sent at a time. */
export interface Question {
  id: number
  work: Work
}

/** Of a thread, to all that was asked in a message; the first message, without any, says that it is there. */
export interface Answer {
  id: number
  /** What it took. */
  milliseconds: number
  prepared?: Prepared
  error?: { code: KerneletErrorCode; message: string }
}
