/** Parts of the built package that are loaded when they are first needed: scripts/build-ts.mjs makes dist/late. */
import { fileURLToPath } from 'node:url'
import { moduleUrl } from './files.ts'

const loaded = new Map<string, unknown>()

/** The module dist/late/`name`.js, loaded synchronously. */
export function load(name: string): unknown {
  if (!loaded.has(name)) {
    const url = moduleUrl(`late/${name}`)
    loaded.set(name, process.getBuiltinModule('node:module').createRequire(url)(fileURLToPath(url)))
  }
  return loaded.get(name)
}
