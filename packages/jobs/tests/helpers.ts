import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { vi } from 'vitest'
import { atEnd, folder } from '../../../tests/at-end.ts'
import { root, writePictures } from '../bench/pictures.mjs'
import { begin, installed, type Options, type OwnRedis, startRedis } from '../bench/redis.mjs'

import type { Store } from '../lib/store/store.ts'

export { atEnd, folder, root }

/** Tests that need a redis-server are skipped, with a message, where there is none. */
export const noRedis = !installed
if (noRedis) console.warn('skipped: redis-server is not installed (Debian: apt install redis-server)')

// they start processes, which starve where the machine is busy
vi.setConfig({ testTimeout: 300_000 })

export async function redis(settings: string[] = []): Promise<OwnRedis> {
  const server = await startRedis(folder(), settings)
  atEnd(() => server.stop('SIGKILL'))
  return server
}

/** Pictures of digits, of which one is none. */
export function pictures(count: number): string {
  const path = folder()
  writePictures(path, count)
  writeFileSync(join(path, '0000/bad.png'), 'no picture')
  return path
}

/** Starts a worker, and sees to its end. */
export function work(url: string, args: string[] = [], options: Options = {}) {
  const worker = begin(url, ['work', '--lease', '2', '--grace', '1', ...args], options)
  atEnd(() => worker.child.kill('SIGKILL'))
  return worker
}

export function linesOf(out: string): string[] {
  return readFileSync(join(out, 'results.ndjson'), 'utf8').trimEnd().split('\n')
}

/** What `kernelet classify` says of the same pictures, with names as a job has them. */
export function classified(path: string): string[] {
  let text: string
  try {
    text = execFileSync(process.execPath, [join(root, 'bin/kernelet.js'), 'classify', '--ndjson', path], {
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    })
  } catch (error) {
    // one of them is no picture
    text = (error as { stdout: string }).stdout
  }
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(`{"file":"${path}/`, '{"file":"'))
}

export async function namesIn(store: Store): Promise<string[]> {
  const names: string[] = []
  for await (const name of store.list('')) names.push(name)
  return names
}

/** Until something holds. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  seconds = 120,
): Promise<void> {
  for (let i = 0; i < seconds * 20; i++) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`not within ${seconds} s: ${what}`)
}
