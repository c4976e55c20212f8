/** Servers as processes of their own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { root } from './helpers.ts'

export interface Program {
  child: ChildProcess
  /** http://127.0.0.1:PORT */
  address: string
  /** Lines of the log, as they come. */
  log: Record<string, unknown>[]
  errors(): string
  /** Resolves to the exit code. */
  ended: Promise<number | null>
}

/** Starts `kernelet serve`; resolves when it serves. */
export async function start(...args: string[]): Promise<Program> {
  const child = spawn(process.execPath, [join(root, 'bin/kernelet.js'), 'serve', '--port', '0', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  afterAll(() => void child.kill('SIGKILL'))
  const log: Record<string, unknown>[] = []
  let rest = ''
  let errors = ''
  const ended = once(child, 'close').then(([code]) => code as number | null)
  child.stderr.on('data', (bytes) => {
    errors += bytes
  })
  const address = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (bytes) => {
      const lines = (rest + bytes).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const entry = JSON.parse(line) as Record<string, unknown>
        log.push(entry)
        if (entry.msg === 'serving') resolve(String(entry.address))
      }
    })
    ended.then((code) => reject(new Error(`ended with ${code}: ${errors}`)))
  })
  return { child, address, log, errors: () => errors, ended }
}
