/**
 * Code that is loaded when it is first used, in one CommonJS file of its own: `module.exports = (core) => its exports`.
 * What it takes of the library is handed to it, not imported, so that there is one copy of every class, also where a
 * test runner loads modules in its own way. Node loads the file by `require` when one of its functions is first called;
 * bundlers, which would not follow that, take the package's condition "module": dist/bundler.js, which imports the file.
 * What only a later file needs may lie in a later file of its own, which takes of the library and of that one.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { rolldown } from 'rolldown'

/** What hands over to the file `name`, beside its functions' stand-ins, and what finds the file, in the library. */
const loader = (name) => `later:${name}`
const finder = (name) => `find:${name}`

/**
 * The functions that a module exports.
 *
 * @throws Error where it exports anything else that has a value: that could not be loaded later
 */
function functionsOf(file) {
  const source = readFileSync(file, 'utf8')
  const others = /^export (?!(async )?function|type |interface |\{|declare ).*/m.exec(source)
  if (others) throw new Error(`build-later: ${basename(file)} exports more than functions: ${others[0]}`)
  const own = [...source.matchAll(/^export (?:async )?function\*? (\w+)/gm)].map(([, name]) => name)
  const passed = [...source.matchAll(/^export \{([^}]*)\} from/gm)].flatMap(([, list]) =>
    bindings(list).map(([, outer]) => outer),
  )
  return [...new Set([...own, ...passed.filter((name) => !name.startsWith('type '))])]
}

/** Puts something else into the place of modules that are loaded later. */
export function standIns(files) {
  const known = new Set(files)
  return {
    name: 'stand-ins',
    load: (id) =>
      known.has(id)
        ? functionsOf(id)
            .map((name) => `export const ${name} = 0`)
            .join('\n')
        : undefined,
  }
}

/**
 * Bundles modules, whose functions are to be loaded later, without what is in `core`.
 *
 * @param files the modules
 * @param core files that are loaded with the library, or with the later file that this one is part of; modules of other
 *   later files are among them
 * @returns the plugin by which these functions load the file `name`.cjs
 */
export async function buildLater({ lib, files, core, folder, name, options, output: how, plugins }) {
  const file = join(folder, `${name}.cjs`)
  const entry = `entry:${name}`
  const own = new Set(files)
  const exported = new Map(files.map((id, m) => [id, functionsOf(id).map((one) => [one, `m${m}_${one}`])]))
  const outside = {
    name: 'outside',
    async resolveId(source, importer) {
      if (source === entry) return entry
      const resolved = await this.resolve(source, importer, { skipSelf: true })
      if (!importer || !resolved || own.has(resolved.id)) return
      if (core.has(resolved.id) || resolved.id.startsWith('find:')) {
        return { id: `core:${resolved.id}`, external: true }
      }
    },
    load(id) {
      if (id !== entry) return
      return [...exported]
        .map(
          ([id, names]) =>
            `export { ${names.map((pair) => pair.join(' as ')).join(', ')} } from ${JSON.stringify(id)}`,
        )
        .join('\n')
    },
  }
  const bundle = await rolldown({ ...options, input: entry, plugins: [outside, ...plugins] })
  const { output } = await bundle.generate({ format: 'esm', ...how })
  /** What is taken of the library: names by module. */
  const taken = new Map()
  const take = (id, names) => taken.set(id, [...new Set([...(taken.get(id) ?? []), ...names])])
  const { code } = output[0]
  const statements = code.replace(/^(import .*|\/\/ .*)$/gm, '')
  const body = code
    // of `import * as ops` just what is read of it: an object of all operations would cost every program memory
    .replace(/^import \* as (\S+) from "core:([^"]+)";$/gm, (_, local, id) => {
      const word = local.replace('$', '\\$')
      const uses = statements.matchAll(new RegExp(`(?<![\\w$.'"])${word}(?:\\.(\\w+)|(?![\\w$]))`, 'g'))
      const names = [...uses].map(([, name]) => name)
      if (names.includes(undefined))
        throw new Error(`build-later: ${local} is used as a whole in ${basename(file)}`)
      take(id, names)
      return `const ${local} = core[${JSON.stringify(key(id))}];`
    })
    .replace(/^import \{([^}]*)\} from "core:([^"]+)";$/gm, (_, list, id) => {
      const names = bindings(list)
      take(
        id,
        names.map(([outer]) => outer),
      )
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
    if (id.startsWith('find:')) return id
    return relative(lib, id).replaceAll('\\', '/').replace(/\.ts$/, '')
  }

  const some = [...taken].map(([id, names], m) => ({
    id,
    imported: `{ ${names.map((one) => `${one} as m${m}_${one}`).join(', ')} }`,
    given: `{ ${names.map((one) => `${one}: m${m}_${one}`).join(', ')} }`,
  }))
  const source = [
    `import { find } from '${finder(name)}'`,
    ...some.map(({ id, imported }) => `import ${imported} from ${JSON.stringify(id)}`),
    `const handedOver = () => ({ ${classes.join(', ')}, ${some
      .map(({ id, given }) => `${JSON.stringify(key(id))}: ${given}`)
      .join(', ')} })`,
    'let made',
    `export const loaded = () => made ??= find()(handedOver())`,
  ].join('\n')
  const finding = [
    `import { createRequire } from 'node:module'`,
    'let make',
    `export const find = () => make ?? createRequire(import.meta.url)('./${basename(file)}')`,
    'export const provide = (factory) => { make = factory }',
  ].join('\n')
  return {
    name: `later ${name}`,
    resolveId: (id) => (id === loader(name) || id === finder(name) ? id : undefined),
    load(id) {
      if (id === loader(name)) return { code: source, moduleType: 'js' }
      if (id === finder(name)) return { code: finding, moduleType: 'js' }
      const names = exported.get(id)
      if (names === undefined) return
      const stubs = names.map(
        ([outer, inner]) => `export const ${outer} = (...args) => loaded().${inner}(...args)`,
      )
      return { code: [`import { loaded } from '${loader(name)}'`, ...stubs].join('\n'), moduleType: 'js' }
    },
  }
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
