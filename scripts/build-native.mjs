/**
 * Builds the addon into build/Release/kernelet.node with cmake-js. Arguments go to cmake-js:
 *   npm run build:native -- --debug      npm run build:native -- --CDKERNELET_WERROR=ON
 * --profile: with symbols and line numbers, for perf; --release, or any other, makes it without again.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { die, dropForeignBuild, jobs, requireToolchain, root, run } from './util.mjs'

requireToolchain()
const cmakeJs = join(root, 'node_modules/cmake-js/bin/cmake-js')
if (!existsSync(cmakeJs)) die('kernelet: cmake-js is not installed: run `npm ci` first (without --omit=dev).')
dropForeignBuild(join(root, 'build'))

const options = process.argv
  .slice(2)
  .map((option) => (option === '--profile' ? '--CDKERNELET_PROFILE=ON' : option))
// cmake-js's `compile` never configures again by itself: options would be lost in a configured folder
const command = options.length > 0 ? 'rebuild' : 'compile'
if (process.env.KERNELET_WERROR) options.push('--CDKERNELET_WERROR=ON')
// native-tests.mjs builds in the same folder: here only what is asked for
const target = ['--target', 'kernelet']
run(process.execPath, [cmakeJs, command, '--log-level', 'warn', '--parallel', jobs, ...target, ...options])
