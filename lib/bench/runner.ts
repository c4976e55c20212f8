/** A runtime in a process of its own that answers one request after the other; see contender.ts. */
import type { Replies, Request } from './contender.ts'

export interface Runner {
  /** Of the contender, for messages. */
  readonly name: string
  /** @throws (by rejection) KerneletError `ERR_UNSUPPORTED` with what the process said */
  ask<R extends Request>(request: R): Promise<Replies[R['do']]>
  stop(): void
}
