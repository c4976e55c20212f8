/** What a test file leaves behind is done away with when its tests have ended, whatever became of them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

const ends: (() => unknown)[] = []
afterAll(async () => {
  for (const end of ends.reverse()) await end()
})

/** Is done when the tests of the file have ended, the last one first. */
export function atEnd(end: () => unknown): void {
  ends.push(end)
}

/** A folder that goes when the tests of the file have ended. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'kernelet-'))
  atEnd(() => rmSync(path, { recursive: true, force: true, maxRetries: 10 }))
  return path
}
