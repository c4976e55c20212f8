/**
 * The targets of `npm run fuzz` for some seconds with a fixed seed, and every input that ever failed: each is read, or
 * refused by a KerneletError, within 5 s and 512 MB. On dist/, in processes of their own.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readWeights } from '../lib/formats/weights.ts'
import { KerneletError } from '../lib/index.ts'
import { root } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const corpus = join(root, 'tests/corpus')

function fuzz(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, 'scripts/fuzz.mjs'), '--failures', folder, ...args],
    { encoding: 'utf8' },
  )
  return { status, output: stdout + stderr }
}

test.each([
  ['onnx', 2000],
  ['torch', 4000],
  ['safetensors', 4000],
  ['png', 4000],
  ['bmp', 4000],
  ['idx', 4000],
  ['graphs', 600],
  ['pictures', 600],
  ['arguments', 6000],
  ['nearly', 10_000],
])('random %s', (target, count) => {
  const { status, output } = fuzz('--target', target, '--seed', '1', '--count', String(count))
  expect(output).toContain(`${target}: ${count.toLocaleString('en')} inputs in `)
  expect({ status, output }).toEqual({ status: 0, output: expect.stringMatching(/ 0 kinds of failure\n$/) })
})

describe('inputs that failed once', () => {
  const files = readdirSync(corpus).flatMap((target) =>
    readdirSync(join(corpus, target)).map((name) => join(target, name)),
  )

  test('are read or refused', () => {
    const { status, output } = fuzz('--corpus', corpus)
    expect(output).toContain(`\n${files.length} inputs, `)
    expect({ status, output }).toEqual({ status: 0, output: expect.stringMatching(/ 0 kinds of failure\n$/) })
  })

  test.each(files.filter((name) => !name.endsWith('.json')))('%s as a file of weights', (name) => {
    try {
      readWeights(join(corpus, name))
    } catch (error) {
      expect(error).toBeInstanceOf(KerneletError)
      expect((error as KerneletError).code).not.toBe('ERR_INTERNAL')
    }
  })
})

test('an input that ends in an error from inside, hangs or takes too much memory is told', () => {
  const place = join(folder, 'faults')
  for (const [i, kind] of ['error', 'hang', 'memory', 'crash', 'right'].entries()) {
    rmSync(join(place, 'faults'), { recursive: true, force: true })
    mkdirSync(join(place, 'faults'), { recursive: true })
    writeFileSync(join(place, 'faults', `${i}.txt`), kind)
    const { status, output } = fuzz('--corpus', place, '--target', 'faults')
    expect(status, output).toBe(kind === 'right' ? 0 : 1)
    expect(output).toMatch(kind === 'right' ? /0 kinds of failure\n$/ : new RegExp(`  ${kind}, 1×: `))
  }
})
