/** Parts of the built package that are loaded when they are first needed: scripts/build-ts.mjs makes dist/late. */
import { packageRoot } from './files.ts'

/** What a file of dist/late holds: its modules, made from those it shares with the rest, by what it requires. */
type Make = (require: (id: string) => unknown) => unknown

const loaded = new Map<string, unknown>()

/**
 * The modules of dist/late/`name`.cjs, loaded synchronously. They are handed the modules they share rather than import
 * them: a tool that loads this one in its own way (tsx, vitest) would give them others, with other classes.
 *
 * @param shared gives those modules by the names that the file has for them
 */
export function load(name: string, shared: () => Readonly<Record<string, unknown>>): unknown {
  if (!loaded.has(name)) {
    const modules = shared()
    const require = process.getBuiltinModule('node:module').createRequire(packageRoot())
    const make = require(`./dist/late/${name}.cjs`) as Make
    loaded.set(
      name,
      make((id) => modules[id] ?? require(id)),
    )
  }
  return loaded.get(name)
}
