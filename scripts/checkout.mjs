/**
 * npm runs this after `npm ci` in a checkout, and after an `npm install` that changed a package, as the script
 * "dependencies", which is the root project's alone. "prepare" would do too, but npm warns whoever installs a tarball
 * that has it of scripts to be allowed.
 */
import { join } from 'node:path'
import { root, run } from './util.mjs'

run(process.execPath, [join(root, 'scripts/build-native.mjs')])
run(process.execPath, [join(root, 'scripts/build-ts.mjs')])
