/** What a test file leaves behind is done away with when its tests have ended, whatever became of them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ends: (() => unknown)[] = []

/** Is done when the tests of the file have ended, the last one first. */
export function atEnd(end: () => unknown): void {
  ends.push(end)
}

/** Of folders of this run: left-behind.ts looks for them. */
export const prefix = (): string => `kernelet-${process.env.KERNELET_TEST_RUN ?? ''}-`

/** A folder that goes when the tests of the file have ended. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), prefix()))
  atEnd(() => rmSync(path, { recursive: true, force: true, maxRetries: 10 }))
  return path
}

/** The end of a file's tests (setup.ts). */
export async function finish(): Promise<void> {
  for (let end = ends.pop(); end; end = ends.pop()) await end()
}
