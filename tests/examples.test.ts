/** The examples of training, run as users run them; dist/ must be built. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { DigitClassifier } from '../lib/index.ts'
import { root } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-examples-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function run(name: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'examples', name), ...args], {
    encoding: 'utf8',
    cwd: folder,
  })
  return { status, stdout, stderr }
}

test('gradient-health: one vanishes, one explodes, clipping saves it', () => {
  const { status, stdout, stderr } = run('gradient-health.js')
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toMatch(/sigmoid: [\s\S]*warning: hidden\.0 .*the gradient vanishes[\s\S]*ReLU: /)
  expect(stdout.match(/warning/g)).toHaveLength(1)
  expect(stdout).toMatch(/as it is: Training diverged at step \d+: /)
  expect(stdout).toMatch(/clipNorm 1: 300 steps, (100|9\d)\.\d % of unseen points right/)
  const svg = readFileSync(join(folder, 'gradient-health.svg'), 'utf8')
  expect(svg).toMatch(/^<svg [\s\S]*prefers-color-scheme: dark/)
  expect(svg).not.toMatch(/NaN(?!<)|Infinity|undefined/)
})

test('fine-tune: a folder of pictures, before and after, weights for the classifier', () => {
  // A hand whose 1 has a roof, which no 1 of MNIST has.
  const pictures = join(folder, 'hand')
  expect(spawnSync(process.execPath, [join(root, 'scripts/write-hand.mjs'), pictures, '10']).status).toBe(0)
  const { status, stdout, stderr } = run('fine-tune.js', pictures, 'mine.safetensors')
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const [before, after] = [...stdout.matchAll(/: (\d+) of 50 unseen pictures right/g)].map(([, n]) =>
    Number(n),
  )
  expect(after).toBeGreaterThanOrEqual(48)
  expect(after).toBeGreaterThanOrEqual(before!)
  using digits = DigitClassifier.load({ weights: join(folder, 'mine.safetensors') })
  const three = readFileSync(join(root, 'examples/digits/3-blue-pen-on-yellow-paper.png'))
  expect(digits.classify(three).digit).toBe(3)
  expect(run('fine-tune.js')).toMatchObject({ status: 2, stderr: expect.stringMatching(/^Usage: /) })
})

test.each([
  ['classify.js', 'none.png', /^none\.png cannot be read: there is no such file\n$/],
  ['fine-tune.js', 'none', /^none cannot be read: there is no such folder\n$/],
  ['lenet5-1998.js', 'none', /^none cannot be read: there is no such folder\n$/],
  ['folder/train.js', 'none', /^none cannot be read: there is no such folder\n$/],
  ['several/several.js', 'none.onnx', /^none\.onnx cannot be read: there is no such file\n$/],
])('%s: a file that is not there is told in a sentence', (name, file, stderr) => {
  expect(run(name, file)).toMatchObject({ status: 1, stderr: expect.stringMatching(stderr) })
})
