/** Timing: calls one by one, so that there are percentiles and not only a mean. */

/** One repetition of a measurement. */
export interface Repetition {
  /** Calls that were made. */
  iterations: number
  /** Nanoseconds of each call, or one median of them all. */
  samples: Float64Array
  /** Nanoseconds of CPU time a call, of all threads of this process. */
  cpu: number
}

/** Measures for about `ms` milliseconds. */
export type Sampler = (ms: number) => Repetition | Promise<Repetition>

const MOST_CALLS = 1_000_000
const FEWEST_CALLS = 2
/** Repetitions' lengths spent before the first one: for V8 to optimize the way in, for caches and the clock. */
const WARM_UP = 2

/** Times a synchronous call with `performance.now()`, whose own cost (some 40 ns) is part of every sample. */
export function timeCalls(call: () => void): Sampler {
  let ns = 0
  return (ms) => {
    if (ns === 0) ns = warmUp(ms, call)
    return measured(callsIn(ms, ns), (samples) => {
      let before = performance.now()
      for (let i = 0; i < samples.length; i++) {
        call()
        const after = performance.now()
        samples[i] = (after - before) * 1e6
        before = after
      }
    })
  }
}

/** Times a call and the wait for its promise. */
export function timePromises(call: () => Promise<unknown>): Sampler {
  let ns = 0
  return async (ms) => {
    if (ns === 0) {
      let calls = 0
      const begin = performance.now()
      while (calls < 3 || performance.now() - begin < WARM_UP * ms) {
        await call()
        calls++
      }
      ns = ((performance.now() - begin) * 1e6) / calls
    }
    const samples = new Float64Array(callsIn(ms, ns))
    const cpu = process.cpuUsage()
    let before = performance.now()
    for (let i = 0; i < samples.length; i++) {
      await call()
      const after = performance.now()
      samples[i] = (after - before) * 1e6
      before = after
    }
    return repetition(samples, cpu)
  }
}

/** Times through `time(n)`, which makes n calls and returns the nanoseconds of each. */
export function timeNatively(time: (iterations: number) => Float64Array): Sampler {
  let ns = 0
  return (ms) => {
    if (ns === 0) ns = warmUp(ms, () => void time(1))
    const cpu = process.cpuUsage()
    return repetition(time(callsIn(ms, ns)), cpu)
  }
}

const MOST_PROFILES = 100_000

/**
 * Times all steps of a plan at once through `profile(n)`, which makes n runs and returns each step's median.
 *
 * @returns for about `ms` milliseconds: a repetition of each step
 */
export function timeSteps(
  profile: (iterations: number) => readonly { ns: number }[],
): (ms: number) => Repetition[] {
  let iterations = 0
  return (ms) => {
    if (iterations === 0) {
      const ns = warmUp(ms / WARM_UP, () => void profile(1))
      iterations = Math.max(3, Math.min(MOST_PROFILES, callsIn(ms, ns)))
    }
    return profile(iterations).map(({ ns }) => ({ iterations, samples: Float64Array.of(ns), cpu: ns }))
  }
}

/** Calls for a while; returns the nanoseconds that a call takes. */
function warmUp(ms: number, call: () => void): number {
  let calls = 0
  let fastest = Number.POSITIVE_INFINITY
  const begin = performance.now()
  while (calls < 3 || performance.now() - begin < WARM_UP * ms) {
    const before = performance.now()
    call()
    fastest = Math.min(fastest, performance.now() - before)
    calls++
  }
  return Math.max(fastest * 1e6, 1)
}

function callsIn(ms: number, ns: number): number {
  return Math.min(MOST_CALLS, Math.max(FEWEST_CALLS, Math.ceil((ms * 1e6) / ns)))
}

function measured(calls: number, run: (samples: Float64Array) => void): Repetition {
  const samples = new Float64Array(calls)
  const cpu = process.cpuUsage()
  run(samples)
  return repetition(samples, cpu)
}

function repetition(samples: Float64Array, since: NodeJS.CpuUsage): Repetition {
  const { user, system } = process.cpuUsage(since)
  return { iterations: samples.length, samples, cpu: ((user + system) * 1000) / samples.length }
}
