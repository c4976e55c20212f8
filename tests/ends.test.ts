/** Workers and processes that end at work, and arguments that change under the hands of native code; on dist/. */
import { execFile, execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { root } from './helpers.ts'

const program = join(root, 'tests/ends/end.mjs')
const kinds = execFileSync(process.execPath, [program, 'list'], { encoding: 'utf8' }).trim().split('\n')

describe('a process outlives what ends in it', () => {
  // Every kind of work by terminate(), the way that interrupts it anywhere; the others stop between two calls.
  test.each(kinds)('%s', async (kind) => {
    const count = kind.endsWith('/terminate') ? '20' : kind.endsWith('/exit') ? '2' : '1'
    await promisify(execFile)(process.execPath, [program, kind, count, '1'])
  })
})

test('arguments that change while they are read', () => {
  const output = execFileSync(process.execPath, [join(root, 'tests/ends/arguments.mjs')], {
    encoding: 'utf8',
  })
  expect(output.match(/^right /gm)).toHaveLength(17)
})
