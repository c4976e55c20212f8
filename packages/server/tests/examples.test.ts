/** The clients of examples/, against a server on this machine. */
import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { serveHere } from '../lib/process.ts'
import { settingsOf } from '../lib/settings.ts'
import { atEnd, root } from './helpers.ts'

const examples = join(root, 'packages/server/examples')

test.each([
  ['sh', 'curl.sh', /"digit":5[\s\S]*"name":"probabilities"/, 'curl'],
  [process.execPath, 'fetch.mjs', /^5 \(\d+\.\d %\)\n.*is not a picture[\s\S]*probabilities \[ 2, 10 \]/],
  ['python3', 'client.py', /^5 0\.\d+\nprobabilities \((?:[\d.e-]+(?:, )?){10}\)/],
] as const)('%s %s', async (program, name, said, needs: string = program) => {
  // not where the program is missing
  if (spawnSync(needs, ['--version']).status !== 0) return
  const serving = await serveHere(settingsOf({ port: 0, logLevel: 'silent', grace: 1000 }))
  atEnd(() => serving.drain())
  const { stdout } = await promisify(execFile)(program, [join(examples, name), serving.address])
  expect(stdout).toMatch(said)
})
