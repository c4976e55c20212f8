/**
 * Ends workers and processes at work: every kind of tests/ends/end.mjs, a thousand times unless told otherwise.
 *
 *   npm run test:ends [-- COUNT [WORD]]      only kinds with WORD in their name
 *
 * Takes some twenty minutes on two cores. Exit code 1 where a process did not outlive it.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { root } from './util.mjs'

const program = join(root, 'tests/ends/end.mjs')
const [count = '1000', word = ''] = process.argv.slice(2)
const { stdout } = spawnSync(process.execPath, [program, 'list'], { encoding: 'utf8' })
const kinds = stdout
  .trim()
  .split('\n')
  .filter((kind) => kind.includes(word))
let failed = 0
for (const kind of kinds) {
  const start = performance.now()
  // A process of its own costs thirty times as much as a worker.
  const times = /\/(process|beside)$/.test(kind) ? String(Math.ceil(Number(count) / 10)) : count
  const seed = String(Date.now() % 2 ** 31)
  const { status, signal, stderr } = spawnSync(process.execPath, [program, kind, times, seed], {
    encoding: 'utf8',
  })
  const seconds = ((performance.now() - start) / 1000).toFixed(0)
  if (status === 0) {
    console.log(`${kind}: ${times} times, ${seconds} s`)
  } else {
    failed++
    console.log(`FAIL ${kind} ended with ${signal ?? `exit code ${status}`} (seed ${seed})\n${stderr}`)
  }
}
console.log(`${kinds.length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
