/** What one input may cost. */

/** Milliseconds. */
export const patience = 5000

/** Megabytes of the whole process. */
export const tooLarge = 512

/** The most that this process has had in memory, in megabytes. */
export function megabytes() {
  return process.resourceUsage().maxRSS / 1024
}
