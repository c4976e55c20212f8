/** Around all tests: one that leaves a folder behind, and perhaps a server that works in it, fails the run. */
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { prefix } from './at-end.ts'

export function setup(): void {
  process.env.KERNELET_TEST_RUN = String(process.pid)
}

export function teardown(): void {
  const left = readdirSync(tmpdir()).filter((name) => name.startsWith(prefix()))
  if (left.length === 0) return
  console.error(`tests left folders behind in ${tmpdir()}: ${left.join(', ')}`)
  process.exitCode = 1 // (an error that is thrown here is told of, and no more)
}
