/** What Redis knows of jobs besides the queue: what they are, how they stand, and why workers do not do them. */
import type { Redis } from 'ioredis'
import { KerneletError } from 'kernelet'
import type { Spec } from './spec.ts'

/**
 * - `running`    its chunks are in the queue
 * - `done`       its results are whole
 * - `incomplete` its results lack chunks that were set aside
 * - `failed`     its results could not be put together
 * - `cancelled`
 */
export type State = 'running' | 'done' | 'incomplete' | 'failed' | 'cancelled'

export interface Record {
  spec: Spec
  state: State
  /** How often it has been begun: chunks of an earlier run are dropped. */
  run: number
  /** Why it failed. */
  message: string
}

/** Seconds that Redis remembers a job that has ended. */
const REMEMBERED = 30 * 24 * 3600

export class Board {
  readonly redis: Redis
  readonly #prefix: string

  constructor(redis: Redis, prefix: string) {
    this.redis = redis
    this.#prefix = prefix
  }

  #key(id: string): string {
    return `${this.#prefix}:record:${id}`
  }

  #notes(id: string): string {
    return `${this.#prefix}:notes:${id}`
  }

  /** @returns false where there is a job of this name already */
  async add(spec: Spec): Promise<boolean> {
    const key = this.#key(spec.id)
    const added = await this.redis.hsetnx(key, 'spec', JSON.stringify(spec))
    if (added === 1) {
      await this.redis
        .multi()
        .hset(key, { state: 'running', run: '0', message: '' })
        .zadd(`${this.#prefix}:records`, Date.now(), spec.id)
        .exec()
    }
    return added === 1
  }

  async get(id: string): Promise<Record | undefined> {
    const { spec, state = 'running', run = '0', message = '' } = await this.redis.hgetall(this.#key(id))
    if (spec === undefined) return undefined
    return { spec: JSON.parse(spec) as Spec, state: state as State, run: Number(run), message }
  }

  /** @throws KerneletError ERR_ARGUMENT */
  async need(id: string): Promise<Record> {
    const record = await this.get(id)
    if (record) return record
    throw new KerneletError(
      'ERR_ARGUMENT',
      `Redis knows of no job ${JSON.stringify(id)} (kernelet jobs status)`,
    )
  }

  /** Whether this run is still wanted. */
  async wants(id: string, run: number): Promise<boolean> {
    const [state, current] = await this.redis.hmget(this.#key(id), 'state', 'run')
    return state === 'running' && Number(current) === run
  }

  async set(id: string, state: State, message = ''): Promise<void> {
    const change = this.redis.multi().hset(this.#key(id), { state, message })
    if (state === 'running') change.persist(this.#key(id))
    else change.expire(this.#key(id), REMEMBERED).del(this.#notes(id))
    await change.exec()
  }

  /** @returns the number of the run that begins */
  async again(id: string): Promise<number> {
    const run = await this.redis.hincrby(this.#key(id), 'run', 1)
    await this.redis.del(this.#notes(id))
    await this.set(id, 'running')
    return run
  }

  /** The names of all jobs, the newest first. */
  async all(): Promise<string[]> {
    const ids = await this.redis.zrevrange(`${this.#prefix}:records`, 0, 999)
    const there = await Promise.all(ids.map((id) => this.redis.exists(this.#key(id))))
    const gone = ids.filter((_, i) => there[i] === 0)
    if (gone.length > 0) await this.redis.zrem(`${this.#prefix}:records`, ...gone)
    return ids.filter((_, i) => there[i] === 1)
  }

  /** Why a worker does not get on with a job; '' where it does again. */
  async note(id: string, worker: string, message: string): Promise<void> {
    if (message === '') await this.redis.hdel(this.#notes(id), worker)
    else {
      // a worker that has ended does not take its note back
      await this.redis.multi().hset(this.#notes(id), worker, message).expire(this.#notes(id), 600).exec()
    }
  }

  async notes(id: string): Promise<{ worker: string; message: string }[]> {
    const notes = await this.redis.hgetall(this.#notes(id))
    return Object.entries(notes).map(([worker, message]) => ({ worker, message }))
  }
}
