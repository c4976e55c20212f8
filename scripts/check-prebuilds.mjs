/**
 * Before `npm pack`: the binary of this machine is there. Before `npm publish` (--all): that of every machine. Without it
 * a package would install and not run.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { die, root } from './util.mjs'

const every = ['linux', 'darwin', 'win32'].flatMap((platform) =>
  ['x64', 'arm64'].map((arch) => `${platform}-${arch}`),
)
const wanted = process.argv.includes('--all') ? every : [`${process.platform}-${process.arch}`]
const missing = wanted.filter((target) => !existsSync(join(root, 'prebuilds', target, 'kernelet.node')))
if (missing.length > 0) {
  die(
    `no binary for ${missing.join(', ')}: npm run prebuilds makes this machine's, .github/workflows/prebuild.yml all`,
  )
}
