/** Versions of what is installed: here, or, where kernelet itself is installed, beside it. */
import { existsSync, readFileSync } from 'node:fs'

/** The version of a package in the nearest node_modules that has it; undefined where none has. */
export function versionOf(name) {
  let folder = new URL('.', import.meta.url)
  for (;;) {
    const file = new URL(`node_modules/${name}/package.json`, folder)
    if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')).version
    const above = new URL('..', folder)
    if (above.href === folder.href) return undefined
    folder = above
  }
}
