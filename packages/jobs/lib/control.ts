/** Jobs from outside: how they stand, their end before time, another try. */
import type { Redis } from 'ioredis'
import { KerneletError } from 'kernelet'
import { Board, type State } from './board.ts'
import { addFlow, mergeName, queueOf } from './flow.ts'
import { reportIn } from './merge.ts'
import type { Report, Spec } from './spec.ts'
import { openStore } from './store/open.ts'
import { missingAt } from './submit.ts'

export interface Status {
  id: string
  /** `lost`: Redis knows of the job, but no longer has its chunks; `retry` goes on. */
  state: State | 'lost'
  message: string
  out: string
  rows: number
  rowsDone: number
  chunks: number
  chunksDone: number
  /** Chunks that were given up after their attempts. */
  chunksSetAside: number
  /** Workers that Redis sees. */
  workers: number
  /** Why workers do not get on. */
  notes: { worker: string; message: string }[]
  report: Report | null
}

/** @throws KerneletError ERR_ARGUMENT for a job that there is not */
export async function statusOf(redis: Redis, prefix: string, id: string): Promise<Status> {
  const board = new Board(redis, prefix)
  const { spec, state, run, message } = await board.need(id)
  const queue = queueOf(redis, prefix)
  const job = state === 'running' ? await queue.getJob(mergeName(id, run)) : undefined
  const counts = await job?.getDependenciesCount({ unprocessed: true, ignored: true })
  const left = counts?.unprocessed ?? 0
  const report = state === 'done' || state === 'incomplete' ? await reportOf(spec) : null
  const setAside = report?.setAside.length ?? counts?.ignored ?? 0
  // Chunks whose parts were there before are not in the queue.
  const open = left + setAside
  const ended = state === 'done' || report !== null
  const done = job || ended ? spec.chunks - open : await partsThere(spec, run)
  const workers = await queue.getWorkersCount().catch(() => 0)
  return {
    id,
    state: state === 'running' && !job && !(await isBack(board, id)) ? 'lost' : state,
    message,
    out: spec.out,
    rows: spec.rows,
    rowsDone: Math.min(spec.rows, done * spec.chunk),
    chunks: spec.chunks,
    chunksDone: done,
    chunksSetAside: setAside,
    workers,
    notes: await board.notes(id),
    report,
  }
}

/** Chunks that are done of a job that is not in the queue. */
async function partsThere(spec: Spec, run: number): Promise<number> {
  try {
    return spec.chunks - (await missingAt(spec, await openStore(spec.out), run)).length
  } catch {
    return 0
  }
}

/** Whether a job that had no merge has ended just now. */
async function isBack(board: Board, id: string): Promise<boolean> {
  return (await board.need(id)).state !== 'running'
}

async function reportOf({ out, key }: Spec): Promise<Report | null> {
  try {
    const report = await reportIn(await openStore(out))
    return report?.key === key ? report : null
  } catch {
    // asked from a machine that does not see the folder
    return null
  }
}

/** @throws KerneletError ERR_ARGUMENT */
export async function cancel(redis: Redis, prefix: string, id: string): Promise<void> {
  const board = new Board(redis, prefix)
  const { state, run } = await board.need(id)
  if (state === 'done' || state === 'incomplete') {
    throw new KerneletError('ERR_ARGUMENT', `Job ${id} has ended: there is nothing to cancel`)
  }
  await board.set(id, 'cancelled')
  // Workers drop its chunks when their turn comes; what nobody works on goes at once.
  const job = await queueOf(redis, prefix).getJob(mergeName(id, run))
  await job?.removeUnprocessedChildren()
  await job?.remove().catch(() => undefined)
}

/**
 * Begins again what was cancelled, failed, was set aside or lost; parts that are there stay.
 *
 * @throws KerneletError, StorageError
 */
export async function retry(redis: Redis, prefix: string, id: string): Promise<Spec> {
  const board = new Board(redis, prefix)
  const { spec } = await board.need(id)
  const status = await statusOf(redis, prefix, id)
  if (status.state === 'running') {
    throw new KerneletError('ERR_ARGUMENT', `Job ${id} is running: there is nothing to try again`)
  }
  const store = await openStore(spec.out)
  const run = await board.again(id)
  await addFlow(redis, prefix, spec, run, await missingAt(spec, store, run))
  return spec
}
