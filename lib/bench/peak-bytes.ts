/** The most memory that a process has held. */
import { readFileSync } from 'node:fs'

/**
 * Bytes that were resident at the most. On Linux by what the kernel keeps of this program alone: getrusage counts
 * what the parent held at the fork too. Elsewhere of this process only, and 0 for another.
 */
export function peakBytes(pid?: number): number {
  try {
    const status = readFileSync(`/proc/${pid ?? 'self'}/status`, 'latin1')
    const [, kib] = /^VmHWM:\s+(\d+) kB/m.exec(status) ?? []
    return 1024 * Number(kib ?? 0)
  } catch {
    return pid === undefined ? 1024 * process.resourceUsage().maxRSS : 0
  }
}
