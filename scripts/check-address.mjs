/**
 * Before `npm publish` of any package here: its package.json says where the repository is, and which folder of it the
 * package has. npm resolves the README's links and pictures by that, which were dead without it.
 */
import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { die, root } from './util.mjs'

const { name, repository } = JSON.parse(readFileSync('package.json', 'utf8'))
const folder = relative(root, process.cwd()).replaceAll('\\', '/')
if (!repository?.url || (repository.directory ?? '') !== folder) {
  const wanted = folder ? `, with "directory": "${folder}"` : ''
  die(
    `${name}: package.json needs a repository with a url${wanted}: npm resolves the README's links by it, which are dead without it`,
  )
}
