/** Compiles lib/ to dist/, which it empties first: a file of yesterday must not get into the package. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from './util.mjs'

rmSync(join(root, 'dist'), { recursive: true, force: true })
run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'])
