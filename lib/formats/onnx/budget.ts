/**
 * What a model may make one compute before, and beside, the work that its kernels do: a few bytes of a file can ask
 * for any size. Arrays that come from a file's own bytes are no part of it.
 */
import { before } from '../../graph/apply.ts'
import type { Operation } from '../../graph/definition.ts'
import { countMacs } from '../../graph/operation.ts'
import { elements } from '../../tensor/shape.ts'
import { KerneletError } from '../../util/errors.ts'

/** Base and growth of a budget: bytes of arrays, and steps, about ten nanoseconds each. */
interface Limits {
  readonly what: string
  readonly bytes: number
  readonly bytesEach: number
  readonly steps: number
  readonly stepsEach: number
}

/** Loading, and tracing for `compile` and `summary`; the model's weights add to it byte by byte. */
const load: Limits = {
  what: 'loading or compiling',
  bytes: 2 ** 27,
  bytesEach: 16,
  steps: 2 ** 25,
  stepsEach: 8,
}

/** One run; the weights and the inputs add to it. */
const run: Limits = { what: 'running', bytes: 2 ** 30, bytesEach: 256, steps: 2 ** 31, stepsEach: 2 ** 14 }

export class Budget {
  readonly #limits: Limits
  #given = 0
  #bytes = 0
  #steps = 0

  constructor(kind: 'load' | 'run', given = 0) {
    this.#limits = kind === 'load' ? load : run
    this.#given = given
  }

  /** Bytes of what the model or the caller brought. */
  get given(): number {
    return this.#given
  }

  give(bytes: number): void {
    this.#given += bytes
  }

  /** @throws KerneletError `ERR_UNSUPPORTED` once it is too much */
  spend(steps: number, bytes: number): void {
    const limits = this.#limits
    const { what } = limits
    this.#steps += steps
    this.#bytes += bytes
    const mostBytes = limits.bytes + limits.bytesEach * this.#given
    const mostSteps = limits.steps + limits.stepsEach * this.#given
    if (!(this.#bytes <= mostBytes)) {
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `it takes ${megabytes(bytes)}, with which ${what} this model computes ${megabytes(this.#bytes)} of values; ` +
          `the most is ${megabytes(mostBytes)}`,
      )
    }
    if (!(this.#steps <= mostSteps)) {
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `it takes ${steps} steps, with which ${what} this model takes ${this.#steps}; the most is ${mostSteps}`,
      )
    }
  }
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MB`
}

let current: Budget | undefined

/** Calls `body`, which is synchronous, with a budget for what it computes, by kernels too. */
export function within<T>(budget: Budget, body: () => T): T {
  const [outer, eager] = [current, before.eager]
  current = budget
  before.eager = (operation, shape, batch) => {
    const values = batch * elements(shape)
    budget.spend(values + kernelSteps(operation, shape) * batch, 4 * values)
  }
  try {
    return body()
  } finally {
    current = outer
    before.eager = eager
  }
}

/** A kernel does many multiply-adds in the time of a step, but looks at every value of a window one by one. */
function kernelSteps(operation: Operation, shape: readonly number[]): number {
  const window = operation.weight === undefined ? elements(operation.kernelSize ?? []) : 0
  return (countMacs(operation, shape) + elements(shape) * window) / 16
}

/** Takes from the budget that there is. */
export function spend(steps: number, bytes = 0): void {
  current?.spend(steps, bytes)
}

/** Adds bytes that came with the model to the budget. */
export function give(bytes: number): void {
  current?.give(bytes)
}
