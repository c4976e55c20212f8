/** The forge's workflows, which nothing here runs: that they can be read, and that what they run is there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { root } from './helpers.ts'

const folder = join(root, '.github/workflows')
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

describe.each(readdirSync(folder))('%s', (file) => {
  const jobs: Record<string, { steps: { run?: string; uses?: string }[] }> = parse(
    readFileSync(join(folder, file), 'utf8'),
  ).jobs

  test('is YAML whose steps each run or use something', () => {
    expect(Object.keys(jobs).length).toBeGreaterThan(0)
    for (const { steps } of Object.values(jobs))
      for (const step of steps) expect(typeof (step.run ?? step.uses)).toBe('string')
  })

  test('names scripts that package.json has, and files that are there', () => {
    const lines = Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []))
    for (const line of lines) {
      for (const [, name] of line.matchAll(/npm run ([\w:-]+)/g)) expect(scripts).toHaveProperty([name!])
      for (const [path] of line.matchAll(/examples\/[\w./-]+|\.ci\/\w+/g))
        expect(existsSync(join(root, path))).toBe(true)
    }
  })
})
