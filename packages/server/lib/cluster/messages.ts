/** What the primary process and its workers say to each other. */
import type { FromTrainer, ToTrainer } from '../playground/train/remote.ts'
import type { Settings } from '../settings.ts'

/** The variable by which a worker is told what to do: a Start, as JSON. */
export const START = 'KERNELET_SERVER_WORKER'

export interface Start {
  settings: Settings
  /** Models that were unloaded. */
  except: readonly string[]
}

/** What can be asked for everywhere. */
export interface Act {
  verb: 'load' | 'unload'
  name: string
}

export type FromPrimary =
  | ({ kind: 'act'; id: number } & Act)
  /** For metrics of one process, to be summed. */
  | { kind: 'collect'; id: number }
  /** The answer to an `ask`. */
  | { kind: 'answer'; id: number; error?: Fault | undefined; text?: string | undefined }
  /** Whether all workers are ready. */
  | { kind: 'ready'; ready: boolean }
  | FromTrainer
  | { kind: 'drain' }

export type FromWorker =
  /** The worker listens, and all its models are ready; or they no longer are. */
  | { kind: 'state'; ready: boolean; address: string; grpcPort: number | undefined }
  /** Could not start. */
  | { kind: 'failed'; message: string }
  | { kind: 'done'; id: number; error?: Fault | undefined }
  | { kind: 'collected'; id: number; metrics: unknown }
  /** For something that all workers must do. */
  | ({ kind: 'ask'; id: number } & (Act | { verb: 'metrics'; name?: undefined }))
  | ToTrainer
  | { kind: 'drained'; whole: boolean }

/** A RequestError between processes. */
export interface Fault {
  reason: string
  message: string
}
