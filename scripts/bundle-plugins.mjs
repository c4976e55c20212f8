/** What build-ts.mjs does to the code besides putting it into few files: both spare `import 'kernelet'` work. */
import { readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

/**
 * `import { readFileSync } from 'node:fs'` as `const { readFileSync } = process.getBuiltinModule('node:fs')`. For an
 * import Node makes a module with every export of fs; reading those loads streams, file handles and more besides.
 */
export const builtins = {
  name: 'builtins',
  renderChunk: (code) =>
    code.replace(
      /^import \{([^}]*)\} from "(node:[\w/]+)";$/gm,
      (_, names, id) => `const {${names.replaceAll(' as ', ': ')}} = process.getBuiltinModule("${id}");`,
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
 * Modules that the face has functions of but few programs call: in their place it gets functions of the same names
 * that load them, synchronously, when one is called. What is no function the face cannot import from them.
 *
 * @param lib the folder of the sources
 * @param late by file of dist/late: the modules in it, as paths in lib/ without extension ('io/torch')
 * @param isFace whether a source belongs to the face: all others import such a module as it is
 * @returns the plugin, with `input`: the files of dist/late as entries
 */
export function deferred(lib, late, isFace) {
  const file = (path) => JSON.stringify(join(lib, `${path}.ts`))
  const [stub, entry] = ['\0late-stub:', '\0late:']
  const nameOf = new Map(Object.entries(late).flatMap(([name, paths]) => paths.map((path) => [path, name])))
  return {
    name: 'deferred',
    input: Object.fromEntries(Object.keys(late).map((name) => [`late/${name}`, entry + name])),
    resolveId: {
      order: 'pre',
      async handler(source, importer) {
        if (source.startsWith(entry)) return source
        if (importer === undefined || !isFace(importer) || !source.startsWith('.')) return null
        const path = pathOf(lib, (await this.resolve(source, importer, { skipSelf: true }))?.id)
        return nameOf.has(path) ? stub + path : null
      },
    },
    load(id) {
      if (id.startsWith(entry)) {
        return late[id.slice(entry.length)].map((path) => `export * from ${file(path)}`).join('\n')
      }
      if (!id.startsWith(stub)) return null
      const path = id.slice(stub.length)
      const name = JSON.stringify(nameOf.get(path))
      return [
        `import { load } from ${file('late')}`,
        ...functionsOf(readFileSync(join(lib, `${path}.ts`), 'utf8')).map(
          (f) => `export function ${f}(...args) { return load(${name}).${f}(...args) }`,
        ),
      ].join('\n')
    },
  }
}

function functionsOf(code) {
  return [...new Set([...code.matchAll(/^export (?:async )?function (\w+)/gm)].map(([, name]) => name))]
}

/** A source's path in lib/ without extension. */
export function pathOf(lib, id) {
  return id && relative(lib, id).slice(0, -3).replaceAll('\\', '/')
}
