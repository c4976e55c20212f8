/** Parts of the built package that are loaded when they are first needed; scripts/build-ts.mjs has the list. */
import { fileURLToPath } from 'node:url'
import { moduleUrl } from './files.ts'

/** The module of dist/ of that path, loaded synchronously. */
export function load(path: string): unknown {
  const url = moduleUrl(path)
  return process.getBuiltinModule('node:module').createRequire(url)(fileURLToPath(url))
}
