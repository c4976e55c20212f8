/**
 * Code that is loaded when it is first used, in one CommonJS file of its own: `module.exports = (core) => its exports`.
 * What it takes of the library is handed to it, not imported, so that there is one copy of every class, also where a
 * test runner loads modules in its own way. Node loads the file by `require` when `later.ts` is first called; bundlers,
 * which would not follow that, take the package's condition "module": dist/bundler.js, which imports the file.
 */
import { writeFileSync } from 'node:fs'
import { basename, relative } from 'node:path'
import { rolldown } from 'rolldown'

/**
 * Bundles `entry` without what is in `core`, a set of files.
 *
 * @returns the plugin that puts the loading of it into the place of the module `later`
 */
export async function buildLater({ lib, later, entry, core, file, name, options, comments, plugins }) {
  const outside = {
    name: 'outside',
    async resolveId(source, importer) {
      const resolved = await this.resolve(source, importer, { skipSelf: true })
      if (importer && resolved && core.has(resolved.id)) return { id: `core:${resolved.id}`, external: true }
    },
  }
  const bundle = await rolldown({ ...options, input: entry, plugins: [outside, ...plugins] })
  const { output } = await bundle.generate({ format: 'esm', comments })
  /** What is taken of the library: names by module, or all of a module. */
  const taken = new Map()
  const whole = new Set()
  const body = output[0].code
    .replace(/^import \* as (\S+) from "core:([^"]+)";$/gm, (_, local, id) => {
      whole.add(id)
      return `const ${local} = core[${JSON.stringify(key(id))}];`
    })
    .replace(/^import \{([^}]*)\} from "core:([^"]+)";$/gm, (_, list, id) => {
      const names = bindings(list)
      taken.set(id, [...new Set([...(taken.get(id) ?? []), ...names.map(([outer]) => outer)])])
      return `const { ${names.map((pair) => pair.join(': ')).join(', ')} } = core[${JSON.stringify(key(id))}];`
    })
    .replace(/^export \{([^}]*)\};?$/m, (_, list) => {
      return `return { ${bindings(list)
        .map(([inner, outer]) => `${outer}: ${inner}`)
        .join(', ')} };`
    })
  const left = /^(import|export) .*$/m.exec(body)
  if (left) throw new Error(`build-later: in ${basename(file)}: ${left[0]}`)
  // Where a test runner gives a file a realm of its own, `require` does not: the classes of the library's realm are used.
  const classes = builtinClasses.filter((one) => new RegExp(`\\b${one}\\b`).test(body))
  // in parentheses: V8 then compiles it at once, where it would skim it first and read it again when it is called
  writeFileSync(
    file,
    `module.exports = (function (core) {\nconst { ${classes.join(', ')} } = core;\n${body}});\n`,
  )

  function key(id) {
    return relative(lib, id).replaceAll('\\', '/').replace(/\.ts$/, '')
  }

  const all = [...whole].map((id, m) => ({ id, imported: `* as all${m}`, given: `all${m}` }))
  const some = [...taken]
    .filter(([id]) => !whole.has(id))
    .map(([id, names], m) => ({
      id,
      imported: `{ ${names.map((one) => `${one} as m${m}_${one}`).join(', ')} }`,
      given: `{ ${names.map((one) => `${one}: m${m}_${one}`).join(', ')} }`,
    }))
  const code = [
    `import { createRequire } from 'node:module'`,
    ...[...all, ...some].map(({ id, imported }) => `import ${imported} from ${JSON.stringify(id)}`),
    `const core = () => ({ ${classes.join(', ')}, ${[...all, ...some]
      .map(({ id, given }) => `${JSON.stringify(key(id))}: ${given}`)
      .join(', ')} })`,
    'let make, made',
    `export const ${name} = () => made ??= (make ?? createRequire(import.meta.url)('./${basename(file)}'))(core())`,
    'export const provide = (factory) => { make = factory }',
  ].join('\n')
  return { name: 'later', load: (id) => (id === later ? { code, moduleType: 'js' } : undefined) }
}

/** Classes that code asks values for, by `instanceof`. */
const builtinClasses = [
  ...[
    'Int8',
    'Uint8',
    'Uint8Clamped',
    'Int16',
    'Uint16',
    'Int32',
    'Uint32',
    'Float32',
    'Float64',
    'BigInt64',
    'BigUint64',
  ].map((one) => `${one}Array`),
  ...[
    'ArrayBuffer',
    'SharedArrayBuffer',
    'DataView',
    'Map',
    'Set',
    'WeakMap',
    'WeakSet',
    'Error',
    'TypeError',
    'RangeError',
  ],
]

/** `a, b as c` as [['a', 'a'], ['b', 'c']]. */
function bindings(list) {
  return list
    .split(',')
    .map((one) => one.trim().split(' as '))
    .filter(([one]) => one !== '')
    .map(([one, as = one]) => [one, as])
}
