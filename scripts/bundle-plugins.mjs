/** What build-ts.mjs does to the code besides putting it into few files: all of it spares `import 'kernelet'` work. */
import { readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

const imports = /^import \{([^}]*)\} from "([^"]+)";$/gm
const destructured = (names) => names.replaceAll(' as ', ': ')

/**
 * `import { readFileSync } from 'node:fs'` as `const { readFileSync } = process.getBuiltinModule('node:fs')`. For an
 * import Node makes a module with every export of fs; reading those loads streams, file handles and more besides.
 */
export const builtins = {
  name: 'builtins',
  renderChunk: (code) =>
    code.replace(imports, (whole, names, id) =>
      id.startsWith('node:') ? `const {${destructured(names)}} = process.getBuiltinModule("${id}");` : whole,
    ),
}

/** Characters past ASCII as escapes; all are in strings. One past Latin-1 would double what V8 holds of a file. */
export const ascii = {
  name: 'ascii',
  // last of all: rolldown prints what comes from renderChunk once more, and characters for escapes
  generateBundle(_, bundle) {
    for (const chunk of Object.values(bundle)) {
      chunk.code = chunk.code.replace(/[^\0-\x7f]/g, (character) => {
        return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
      })
    }
  },
}

/**
 * Modules that the face has functions of but few programs call: everywhere else they become functions of the same
 * names that load them, synchronously, when one is called. What is no function nobody can import from them.
 *
 * @param lib the folder of the sources
 * @param late by file of dist/late: the modules in it, as paths in lib/ without extension ('io/torch')
 * @param isFace whether a source belongs to the face
 * @returns `lateGroup(name)`: input and plugins for a file of dist/late; when all are written, `deferred()`: the
 *   plugin for the rest
 */
export function splitter(lib, late, isFace) {
  const file = (path) => JSON.stringify(join(lib, `${path}.ts`))
  const groupOf = new Map(Object.entries(late).flatMap(([name, paths]) => paths.map((path) => [path, name])))
  const [entry, stub, table, outside] = ['\0late', '\0late-stub:', '\0late-shared', 'kernelet:']
  /** By path: what the files of dist/late take from it. */
  const shared = new Map()

  async function pathFrom(context, source, importer) {
    if (!importer || !source.startsWith('.')) return undefined
    return pathOf(lib, (await context.resolve(source, importer, { skipSelf: true }))?.id)
  }

  function share(path, names) {
    const all = shared.get(path) ?? new Set()
    for (const name of names.split(',')) all.add(name.trim().split(' as ')[0])
    shared.set(path, all)
  }

  /** A module as a function of its `require`: see lib/late.ts. In brackets, or V8 would parse it twice. */
  function asFunction(code) {
    const body = code
      .replace(imports, (_, names, id) => {
        if (id.startsWith(outside)) share(id.slice(outside.length), names)
        return `const {${destructured(names)}} = require("${id}");`
      })
      .replaceAll('import.meta.url', 'require("node:url").pathToFileURL(__filename).href')
      .replace(/^export \{(.*)\};$/m, (_, names) => `return {${names.replace(/(\S+) as (\w+)/g, '$2: $1')}};`)
    return `"use strict";\nmodule.exports = ((require) => {\n${body}});\n`
  }

  const lateGroup = (name) => ({
    input: { [name]: entry },
    plugins: [
      {
        name: 'late-group',
        resolveId: {
          order: 'pre',
          async handler(source, importer) {
            if (source === entry) return source
            const path = await pathFrom(this, source, importer)
            const group = groupOf.get(path)
            const isOutside = group ? group !== name : path && isFace(join(lib, `${path}.ts`))
            return isOutside ? { id: outside + path, external: true } : null
          },
        },
        load: (id) =>
          id === entry ? late[name].map((path) => `export * from ${file(path)}`).join('\n') : null,
        generateBundle(_, bundle) {
          for (const chunk of Object.values(bundle)) chunk.code = asFunction(chunk.code)
        },
      },
      ascii,
    ],
  })

  const deferred = () => ({
    name: 'deferred',
    resolveId: {
      order: 'pre',
      async handler(source, importer) {
        if (source === table || source.startsWith(stub)) return source
        const path = await pathFrom(this, source, importer)
        return groupOf.has(path) ? stub + path : null
      },
    },
    load(id) {
      if (id === table) return tableCode()
      return id.startsWith(stub) ? stubCode(id.slice(stub.length)) : null
    },
  })

  /** `shared()`: what the files of dist/late take from elsewhere. */
  function tableCode() {
    const parts = [...shared].map(([path, all], i) => {
      const from = groupOf.has(path) ? JSON.stringify(stub + path) : file(path)
      const names = [...all]
      return {
        import: `import { ${names.map((name) => `${name} as ${name}_${i}`).join(', ')} } from ${from}`,
        entry: `'${outside}${path}': { ${names.map((name) => `${name}: ${name}_${i}`).join(', ')} },`,
      }
    })
    return [
      ...parts.map((part) => part.import),
      'export const shared = () => ({',
      ...parts.map((part) => part.entry),
      '})',
    ].join('\n')
  }

  /** The functions of a module that load it. */
  function stubCode(path) {
    const code = readFileSync(join(lib, `${path}.ts`), 'utf8')
    const names = [...code.matchAll(/^export (?:async )?function (\w+)/gm)].map(([, name]) => name)
    const module = `load(${JSON.stringify(groupOf.get(path))}, shared)`
    return [
      `import { load } from ${file('late')}`,
      `import { shared } from ${JSON.stringify(table)}`,
      ...[...new Set(names)].map(
        (name) => `export function ${name}(...args) { return ${module}.${name}(...args) }`,
      ),
    ].join('\n')
  }

  return { lateGroup, deferred }
}

/** A source's path in lib/ without extension. */
export function pathOf(lib, id) {
  return id && relative(lib, id).slice(0, -3).replaceAll('\\', '/')
}
