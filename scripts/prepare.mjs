/**
 * npm runs this after `npm ci` in a checkout, and before packing; never for those who install the package.
 * `npx kernelet` in a checkout runs it too, before every first use: then what is built is taken as it is.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from './util.mjs'

const built = ['build/Release/kernelet.node', 'dist/index.js'].every((file) => existsSync(join(root, file)))
if (!(built && process.env.npm_command === 'exec')) {
  run(process.execPath, [join(root, 'scripts/build-native.mjs')])
  run(process.execPath, [join(root, 'scripts/build-ts.mjs')])
}
