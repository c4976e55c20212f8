/** Is the machine quiet? Looked at before and after a run. */
import { readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { quantile, sorted } from './statistics.ts'

export interface Snapshot {
  at: number
  /** Runnable processes, averaged over 1, 5 and 15 minutes. */
  load: number[]
  /** How much longer than its best a fixed loop takes in one of ten runs: 0.05 = 5 %. */
  jitter: number
  /** The best time of that loop: it rises when the clock falls. */
  spinNs: number
  /** Times this process was taken off a CPU. */
  preempted: number
  /** Ticks the hypervisor gave to others, and all ticks. */
  steal: number
  ticks: number
}

export function look(): Snapshot {
  const spins = new Float64Array(96)
  for (let i = 0; i < spins.length; i++) spins[i] = spin()
  const order = sorted(spins.subarray(32))
  return {
    at: performance.now(),
    load: loadavg(),
    jitter: quantile(order, 0.9) / (order[0] ?? 0) - 1,
    spinNs: order[0] ?? 0,
    preempted: process.resourceUsage().involuntaryContextSwitches,
    ...stolen(),
  }
}

/** What made the run noisy, a sentence each; none on a quiet machine. */
export function complaints(before: Snapshot, after: Snapshot, cpus: number): string[] {
  const percent = (share: number): string => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`
  const found: string[] = []
  const [load] = before.load
  if (load! > 0.3 * cpus) {
    found.push(`load average ${load!.toFixed(2)} on ${cpus} CPUs before the run: other processes compete`)
  }
  const jitter = Math.max(before.jitter, after.jitter)
  if (jitter > 0.1) found.push(`a fixed loop takes ${percent(jitter)} longer in one run of ten`)
  const drift = Math.abs(after.spinNs / before.spinNs - 1)
  if (drift > 0.05) found.push(`the same loop runs ${percent(drift)} different at the end: the clock changed`)
  const seconds = Math.max((after.at - before.at) / 1000, 0.1)
  const rate = (after.preempted - before.preempted) / seconds
  if (rate > 50) found.push(`taken off the CPU ${Math.round(rate)} times a second`)
  const steal = (after.steal - before.steal) / Math.max(1, after.ticks - before.ticks)
  if (steal > 0.01) found.push(`the hypervisor gave ${percent(steal)} of the time to others`)
  return found
}

/** Nanoseconds of a loop that touches no memory. */
function spin(): number {
  const begin = performance.now()
  let x = 1
  for (let i = 0; i < 50_000; i++) x = (Math.imul(x, 1664525) + 1013904223) | 0
  // The result has to be used, or the loop may go.
  return (performance.now() - begin) * 1e6 + (x === 0 ? 1 : 0)
}

function stolen(): { steal: number; ticks: number } {
  try {
    const ticks = readFileSync('/proc/stat', 'latin1')
      .split('\n')[0]!
      .trim()
      .split(/\s+/)
      .slice(1)
      .map(Number)
    // user nice system idle iowait irq softirq steal; guest time is part of user
    return { steal: ticks[7] ?? 0, ticks: ticks.slice(0, 8).reduce((a, b) => a + b, 0) }
  } catch {
    return { steal: 0, ticks: 0 }
  }
}
