/** man/kernelet.1 and docs/command-line.md say what the commands say: `npm run manual` writes them. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { environment, exitCodes, optionRows } from '../lib/cli/help.ts'
import { allCommands } from '../lib/cli/registry.ts'
import { version } from '../lib/index.ts'
import { root } from './helpers.ts'

interface Manual {
  manPage(program: object): string
  commandReference(program: object): string
}

const { manPage, commandReference } = (await import(join(root, 'scripts/manual.mjs'))) as Manual
const program = {
  version,
  environment,
  exitCodes,
  commands: (await allCommands()).map(([name, command]) => [
    name,
    { ...command, options: optionRows(command) },
  ]),
}
const page = join(root, 'man/kernelet.1')

test('the man page is current', async () => {
  await expect(manPage(program)).toMatchFileSnapshot(page)
})

test('the reference of commands is current', async () => {
  await expect(commandReference(program)).toMatchFileSnapshot('../docs/command-line.md')
})

test.skipIf(spawnSync('groff', ['--version']).error)(
  'the man page is one that groff reads without a word',
  () => {
    const { status, stdout, stderr } = spawnSync('groff', ['-k', '-man', '-Tutf8', '-ww', page], {
      encoding: 'utf8',
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    for (const line of ['algorithms × instruction sets', 'stderr, with its time'])
      expect(stdout).toMatch(new RegExp(line))
  },
)
