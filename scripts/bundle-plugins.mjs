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

/**
 * Modules that the face has functions of but few programs call: in their place it gets functions of the same names
 * that load the module, synchronously, when one is called. What is no function of it the face cannot import.
 *
 * @param lib the folder of the sources
 * @param paths the modules in it, without extension: 'io/torch'; each has a file of its own in dist/
 * @param isFace whether a file belongs to the face: all others import such a module as it is
 */
export function deferred(lib, paths, isFace) {
  const prefix = '\0deferred:'
  return {
    name: 'deferred',
    resolveId: {
      order: 'pre',
      async handler(source, importer) {
        if (importer === undefined || !isFace(importer) || !source.startsWith('.')) return null
        const resolved = await this.resolve(source, importer, { skipSelf: true })
        const path = pathOf(lib, resolved?.id)
        return paths.includes(path) ? prefix + path : null
      },
    },
    load(id) {
      if (!id.startsWith(prefix)) return null
      const path = id.slice(prefix.length)
      const code = readFileSync(join(lib, `${path}.ts`), 'utf8')
      const functions = new Set(
        [...code.matchAll(/^export (?:async )?function (\w+)/gm)].map(([, name]) => name),
      )
      return [
        `import { load } from ${JSON.stringify(join(lib, 'deferred.ts'))}`,
        'let module',
        ...[...functions].map(
          (name) =>
            `export function ${name}(...args) { return (module ??= load('${path}')).${name}(...args) }`,
        ),
      ].join('\n')
    },
  }
}

/** A source's path in lib/ without extension. */
export function pathOf(lib, id) {
  return id && relative(lib, id).slice(0, -3).replaceAll('\\', '/')
}
