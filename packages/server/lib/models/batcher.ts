/**
 * Dynamic batching: requests that wait run as one batch. A model that is free begins at once; what comes while it
 * works waits, and runs together. Short batches run on the event loop, where starting them costs nothing; longer ones
 * on another thread.
 */
import { availableParallelism } from 'node:os'
import { lateOrGone, overloaded, tooMany } from '../errors.ts'
import { valuesOf } from '../protocol/datatypes.ts'
import type { Measures } from './measures.ts'
import { Pace } from './pace.ts'

/** Numbers in the form that a plan takes. */
export type PlanValues = Float32Array | Uint8Array

/** A compiled model, for whole batches. */
export interface Plan {
  /** Element type of its inputs. */
  readonly type: 'FP32' | 'UINT8'
  /** Bytes of one image, by input. */
  readonly inputBytes: readonly number[]
  /** Values of one image, by output. */
  readonly outputLengths: readonly number[]
  /** Runs a batch; the next call may overwrite the results. */
  run(inputs: readonly PlanValues[]): readonly Float32Array[]
  /** The same on another thread; inputs are copied before this returns, results are new. */
  runAsync(inputs: readonly PlanValues[]): Promise<readonly Float32Array[]>
}

/** Microseconds a request took. */
export interface Times {
  /** From its arrival to the start of the batch it ended in. */
  queue: number
  /** Of that batch. */
  compute: number
}

/** A request on its way through a batcher. */
export interface Job {
  /** Little-endian numbers of all its images, by input. */
  readonly inputs: readonly Uint8Array[]
  readonly images: number
  /** `performance.now()` beyond which nobody waits. */
  readonly deadline: number
  /** Whether somebody still waits. */
  alive(): boolean
  /** Called once: with a refusal, or with the results by output. */
  done(error: Error | undefined, outputs: readonly Float32Array[], times: Times): void
}

export interface BatcherOptions {
  /** Images of a batch at most. */
  maxBatch: number
  /** Milliseconds that a batch may wait for more where one before it was shared. */
  maxDelay: number
  /** Images that may wait. */
  queue: number
  /** Milliseconds that an answer may be expected to take, where others are ahead of it; 0: any. */
  maxWait: number
  /** Processors that the process may use; by default as many as the system says. */
  processors?: number
}

interface Waiting {
  readonly job: Job
  readonly since: number
  /** Images that have run. */
  ran: number
  /** Filled piece by piece where the job is larger than a batch. */
  outputs: Float32Array[] | undefined
}

/** Batches expected to take longer, in microseconds, leave the event loop. */
const ON_LOOP = 200
/**
 * The same where there is one processor: the thread that they go to takes it from the event loop all the same, and going to
 * and fro costs more than half as much as 64 digits.
 */
const ON_LOOP_OF_ONE = 1000
/** Of so many batches that leave the event loop one stays, if it is not much too long. */
const AGAIN = 64
/** Milliseconds of batches in one turn of the event loop: after these, sockets have theirs. */
const TURN = 1
/** Milliseconds between looks at who still waits while a batch is away. */
const LOOK = 10
/** A request alone in its batch is not copied beyond so many bytes. */
const COPY = 16384

const nothing: readonly Float32Array[] = []
const noTimes: Times = { queue: 0, compute: 0 }

export class Batcher {
  readonly #plan: Plan
  readonly #options: BatcherOptions
  readonly #onLoop: number
  readonly #measures: Measures
  #waiting: Waiting[] = []
  /** Images among these that have not run. */
  #images = 0
  #scheduled = false
  #away = false
  /** When the last batch that several requests shared ended. */
  #shared = Number.NEGATIVE_INFINITY
  #look: NodeJS.Timeout | undefined
  #idle: (() => void)[] = []
  readonly #stage: readonly Uint8Array[]
  /** Views of the stage for batches of so many images: a plan is quickest on the arrays it knows. */
  readonly #views = new Map<number, readonly PlanValues[]>()
  /** Batches that left the event loop since one was measured on it. */
  #sentAway = 0
  /** Microseconds of a batch of 2ⁱ images, smoothed. */
  readonly #costs: number[] = []
  readonly #pace: Pace
  readonly #turn = (): void => this.#run()

  constructor(plan: Plan, options: BatcherOptions, measures: Measures) {
    this.#plan = plan
    this.#options = options
    this.#onLoop = (options.processors ?? availableParallelism()) > 1 ? ON_LOOP : ON_LOOP_OF_ONE
    this.#measures = measures
    this.#stage = plan.inputBytes.map((bytes) => {
      const all = new ArrayBuffer(bytes * options.maxBatch)
      return new Uint8Array(all)
    })
    this.#warmUp()
    const last = this.#costs.length - 1
    this.#pace = new Pace((this.#costs[last] as number) / 1000 / Math.min(2 ** last, options.maxBatch))
  }

  /** Images that wait. */
  get waiting(): number {
    return this.#images
  }

  /**
   * Takes a job, or throws why not.
   *
   * @throws RequestError too_large for a job that no queue would hold, overloaded when it is full
   */
  submit(job: Job): void {
    const { queue } = this.#options
    if (job.images > queue) throw tooMany(job.images, queue)
    if (this.#images + job.images > queue) {
      this.#dropDead()
      if (this.#images + job.images > queue) {
        throw overloaded(this.#images, queue)
      }
    }
    const since = performance.now()
    this.#checkWait(job.images, since)
    this.#waiting.push({ job, since, ran: 0, outputs: undefined })
    this.#images += job.images
    this.#wake()
  }

  /** Refuses images that are expected to be late; a model that is free takes any. */
  #checkWait(images: number, now: number): void {
    const { maxWait } = this.#options
    if (maxWait === 0 || (this.#images === 0 && !this.#away)) return
    try {
      this.#pace.check(this.#images + images, maxWait, now)
    } catch {
      this.#dropDead()
      this.#pace.check(this.#images + images, maxWait, now)
    }
  }

  /** Resolves when nothing waits or runs. */
  async drained(): Promise<void> {
    if (this.#waiting.length === 0 && !this.#away) return
    await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** The first runs: memory is touched, and what batches cost is known before the first request. */
  #warmUp(): void {
    const { maxBatch } = this.#options
    for (let size = 1; size < 2 * maxBatch; size *= 2) {
      const images = Math.min(size, maxBatch)
      const inputs = this.#staged(images)
      let best = Number.POSITIVE_INFINITY
      // The first runs are slow, and few are enough where each is long.
      for (let i = 0; i < 30 && (i < 1 || i * best < 20_000); i++) {
        const begin = performance.now()
        this.#plan.run(inputs)
        best = Math.min(best, 1000 * (performance.now() - begin))
      }
      this.#costs.push(best)
      // Longer ones only leave the loop the more surely.
      if (best > 4 * this.#onLoop) break
    }
  }

  #expected(images: number): number {
    const i = Math.ceil(Math.log2(images))
    return this.#costs[Math.min(i, this.#costs.length - 1)] as number
  }

  /** Follows the quicker batches: what lasts longer was mostly interrupted, and says nothing of the next one. */
  #learn(images: number, cost: number): void {
    const i = Math.ceil(Math.log2(images))
    const old = this.#costs[i]
    if (old !== undefined) this.#costs[i] = old + (Math.min(cost, 2 * old) - old) / (cost < old ? 4 : 64)
  }

  /** Whether a batch runs on the event loop; one that seems a little too long does now and then, to be measured. */
  #staysHere(images: number): boolean {
    const expected = this.#expected(images)
    if (expected <= this.#onLoop) return true
    if (expected > 2 * this.#onLoop) return false
    this.#sentAway = (this.#sentAway + 1) % AGAIN
    return this.#sentAway === 0
  }

  #wake(): void {
    if (this.#scheduled || this.#away) return
    this.#scheduled = true
    // After all sockets that are readable now: their requests share the batch. Run one by one they would take half as
    // long again, since HTTP and the kernels would take turns in the caches.
    setImmediate(this.#turn)
  }

  #run(): void {
    this.#scheduled = false
    const end = performance.now() + TURN
    while (this.#waiting.length > 0 && !this.#away) {
      const begin = performance.now()
      if (begin > end || this.#waitsForMore(begin)) break
      const batch = this.#take(begin)
      if (batch.length > 0) this.#start(batch, begin)
    }
    this.#next()
  }

  /** Answers just given to several bring their next requests at once; timers are too coarse to wait for these. */
  #waitsForMore(now: number): boolean {
    const { maxBatch, maxDelay } = this.#options
    const since = this.#waiting[0]?.since ?? now
    return (
      this.#images < maxBatch &&
      now - since < maxDelay &&
      now - this.#shared < 1 &&
      this.#expected(this.#images) > this.#onLoop
    )
  }

  #start(batch: readonly Piece[], begin: number): void {
    const images = batch.reduce((sum, { count }) => sum + count, 0)
    const inputs = this.#gather(batch, images)
    this.#pace.begin(images, begin)
    if (this.#staysHere(images)) {
      let outputs: readonly Float32Array[] | undefined
      try {
        outputs = this.#plan.run(inputs)
      } catch (error) {
        this.#fail(batch, error)
      }
      if (outputs) this.#finish(batch, images, outputs, begin, true)
      return
    }
    this.#away = true
    this.#look ??= setInterval(() => this.#dropDead(), LOOK).unref()
    this.#plan
      .runAsync(inputs)
      .then(
        (outputs) => this.#finish(batch, images, outputs, begin, false),
        (error) => this.#fail(batch, error),
      )
      .finally(() => {
        this.#away = false
        this.#next()
      })
  }

  #next(): void {
    if (this.#away) return
    if (this.#waiting.length > 0) {
      this.#wake()
      return
    }
    clearInterval(this.#look)
    this.#look = undefined
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** The next batch: whole requests, or the next part of one that is larger. */
  #take(now: number): Piece[] {
    const batch: Piece[] = []
    let room = this.#options.maxBatch
    let gone = 0
    for (const waiting of this.#waiting) {
      const { job } = waiting
      if (now > job.deadline || !job.alive()) {
        this.#drop(waiting, now)
        gone++
        continue
      }
      const left = job.images - waiting.ran
      if (left > room && batch.length > 0) break
      const count = Math.min(left, room)
      batch.push({ waiting, from: waiting.ran, count })
      waiting.ran += count
      this.#images -= count
      room -= count
      if (count < left) break
      gone++
      if (room === 0) break
    }
    this.#waiting.splice(0, gone)
    return batch
  }

  #dropDead(): void {
    const now = performance.now()
    this.#waiting = this.#waiting.filter((waiting) => {
      const keep = now <= waiting.job.deadline && waiting.job.alive()
      if (!keep) this.#drop(waiting, now)
      return keep
    })
  }

  #drop({ job, ran }: Waiting, now: number): void {
    this.#images -= job.images - ran
    job.done(lateOrGone(now > job.deadline), nothing, noTimes)
  }

  /** The images of a batch, side by side. */
  #gather(batch: readonly Piece[], images: number): readonly PlanValues[] {
    const { inputBytes, type } = this.#plan
    const [only] = batch
    if (batch.length === 1 && only && images * (inputBytes[0] as number) > COPY) {
      return inputBytes.map((bytes, k) => {
        const all = only.waiting.job.inputs[k] as Uint8Array
        const part = all.subarray(only.from * bytes, (only.from + images) * bytes)
        return type === 'UINT8' ? part : (valuesOf(part, 'FP32') as Float32Array)
      })
    }
    for (let k = 0; k < inputBytes.length; k++) {
      const bytes = inputBytes[k] as number
      const stage = this.#stage[k] as Uint8Array
      let at = 0
      for (const { waiting, from, count } of batch) {
        const all = waiting.job.inputs[k] as Uint8Array
        const whole = all.length === count * bytes
        stage.set(whole ? all : all.subarray(from * bytes, (from + count) * bytes), at)
        at += count * bytes
      }
    }
    return this.#staged(images)
  }

  #staged(images: number): readonly PlanValues[] {
    let views = this.#views.get(images)
    if (!views) {
      const { inputBytes, type } = this.#plan
      views = inputBytes.map((bytes, k) => {
        const { buffer } = this.#stage[k] as Uint8Array
        return type === 'UINT8'
          ? new Uint8Array(buffer, 0, images * bytes)
          : new Float32Array(buffer, 0, (images * bytes) / 4)
      })
      this.#views.set(images, views)
    }
    return views
  }

  #finish(
    batch: readonly Piece[],
    images: number,
    outputs: readonly Float32Array[],
    begin: number,
    onLoop: boolean,
  ): void {
    const end = performance.now()
    const compute = 1000 * (end - begin)
    this.#pace.end(images, end - begin)
    if (onLoop) this.#learn(images, compute)
    if (batch.length > 1) this.#shared = end
    this.#measures.batch(images, compute)
    let at = 0
    for (const { waiting, from, count } of batch) {
      const { job } = waiting
      if (count === job.images) {
        const own = outputs.map((values, k) => {
          const length = this.#plan.outputLengths[k] as number
          return values.slice(at * length, (at + count) * length)
        })
        job.done(undefined, own, { queue: 1000 * (begin - waiting.since), compute })
      } else {
        waiting.outputs ??= this.#plan.outputLengths.map((length) => new Float32Array(job.images * length))
        for (const [k, values] of outputs.entries()) {
          const length = this.#plan.outputLengths[k] as number
          waiting.outputs[k]?.set(values.subarray(at * length, (at + count) * length), from * length)
        }
        if (from + count === job.images) {
          job.done(undefined, waiting.outputs, { queue: 1000 * (begin - waiting.since), compute })
        }
      }
      at += count
    }
  }

  #fail(batch: readonly Piece[], error: unknown): void {
    for (const { waiting } of batch) {
      if (waiting.ran < waiting.job.images) {
        // Nobody gets half an answer: its other parts need not run.
        this.#images -= waiting.job.images - waiting.ran
        this.#waiting = this.#waiting.filter((one) => one !== waiting)
      }
      waiting.job.done(error instanceof Error ? error : new Error(String(error)), nothing, noTimes)
    }
  }
}

/** Part of a request in a batch. */
interface Piece {
  readonly waiting: Waiting
  readonly from: number
  readonly count: number
}
