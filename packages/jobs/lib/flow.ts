/** A job in the queue: chunks, and the merge that follows when all of them have ended. */
import { FlowProducer, Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { type Chunk, chunkOf, type Merge, partsOf, type Spec } from './spec.ts'
import type { Store } from './store/store.ts'

/** Of BullMQ, below the prefix. */
export const QUEUE = 'jobs'

/** BullMQ's names. A chunk of a run has one name, so that it is in the queue once. */
export function chunkName(id: string, run: number, n: number): string {
  return `${id}.${run}.${n}`
}

export function mergeName(id: string, run: number): string {
  return `${id}.${run}.merge`
}

export function queueOf(redis: Redis, prefix: string): Queue {
  const queue = new Queue(QUEUE, { connection: redis, prefix })
  // a command hears of it by its own call
  queue.on('error', () => undefined)
  return queue
}

/** Puts chunks into the queue, and the merge behind them: all in one transaction, or nothing. */
export async function addFlow(
  redis: Redis,
  prefix: string,
  spec: Spec,
  run: number,
  chunks: readonly Chunk[],
): Promise<void> {
  const producer = new FlowProducer({ connection: redis, prefix })
  producer.on('error', () => undefined)
  const data: Merge = { id: spec.id, run }
  await producer.add({
    name: 'merge',
    queueName: QUEUE,
    data,
    opts: {
      jobId: mergeName(spec.id, run),
      attempts: spec.attempts,
      removeOnComplete: true,
      removeOnFail: true,
    },
    children: chunks.map((chunk) => ({
      name: 'chunk',
      queueName: QUEUE,
      data: chunk,
      opts: {
        jobId: chunkName(spec.id, run, chunk.n),
        attempts: spec.attempts,
        removeOnComplete: true,
        removeOnFail: true,
        ignoreDependencyOnFailure: true,
        stackTraceLimit: 1,
      },
    })),
  })
}

/** The chunks of a job whose parts are not there yet. @throws StorageError */
export async function missingChunks(
  spec: Spec,
  store: Store,
  run: number,
  bounds: readonly number[],
): Promise<Chunk[]> {
  const there = new Set<number>()
  for await (const name of store.list(partsOf(spec))) {
    const [, n] = /(\d+)\.ndjson$/.exec(name) ?? []
    if (n !== undefined) there.add(Number(n))
  }
  const chunks: Chunk[] = []
  for (let n = 0; n < spec.chunks; n++) if (!there.has(n)) chunks.push(chunkOf(spec, run, n, bounds))
  return chunks
}
