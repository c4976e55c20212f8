/**
 * Compiles the addon on a machine for which the package brings no binary:
 *
 *   npm explore kernelet -- npm run build:source
 *
 * Writes binding.gyp, which the package leaves out so that npm does not compile at every install, and runs
 * `node-gyp rebuild`. The result, build/Release/kernelet.node, is preferred over prebuilds/ from then on.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const require = createRequire(import.meta.url)
const windows = process.platform === 'win32'

const works = (command, ...args) => spawnSync(command, args, { stdio: 'ignore', shell: windows }).status === 0
const resolves = (name) => {
  try {
    return require.resolve(name)
  } catch {
    return undefined
  }
}

// npm hands its own node-gyp to the scripts it runs
const nodeGyp = [resolves('node-gyp/bin/node-gyp.js'), process.env.npm_config_node_gyp].find(
  (file) => file && existsSync(file),
)
const missing = []
if (!resolves('node-addon-api')) missing.push('node-addon-api: npm install --no-save node-addon-api@8')
if (!nodeGyp) missing.push('node-gyp: run this through npm (`npm run build:source`), or npm install node-gyp')
if (![process.env.PYTHON, 'python3', 'python', 'py'].some((name) => name && works(name, '--version')))
  missing.push('Python 3, which node-gyp runs on: apt install python3 / brew install python3 / python.org')
if (
  !windows &&
  ![process.env.CXX?.split(' ')[0], 'c++', 'g++', 'clang++'].some((name) => name && works(name, '--version'))
)
  missing.push('a C++17 compiler: apt install g++ make / xcode-select --install')
if (!windows && !works('make', '--version')) missing.push('make: apt install make / xcode-select --install')
if (missing.length > 0) {
  console.error(`kernelet: building from source takes what is not here yet:\n  ${missing.join('\n  ')}`)
  process.exit(1)
}

const checkout = existsSync(join(root, 'binding.gyp'))
if (!checkout) writeFileSync(join(root, 'binding.gyp'), '{"includes": ["native/kernelet.gypi"]}\n')

// Node's headers, where they came with node; else node-gyp downloads them
const prefix = dirname(dirname(process.execPath))
const env = { ...process.env }
if (!env.npm_config_nodedir && existsSync(join(prefix, 'include/node/node_api.h')))
  env.npm_config_nodedir = prefix
const { status } = spawnSync(process.execPath, [nodeGyp, 'rebuild'], { cwd: root, env, stdio: 'inherit' })
// left behind, it would make npm compile again whenever it touches the package
if (!checkout) rmSync(join(root, 'binding.gyp'))
if (status === 0) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  console.log(`kernelet ${version} was built: ${join(root, 'build', 'Release', 'kernelet.node')}`)
}
process.exit(status ?? 1)
