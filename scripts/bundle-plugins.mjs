/** What build-ts.mjs does to the code besides putting it into few files: all of it spares `import 'kernelet'` work. */

const nodes = '20.19, 22.12 or newer'
const imports = /^import \{([^}]*)\} from "(node:[^"]+)";$/gm

/** Node's own modules that take time and memory to load and that few programs need. */
const slow = new Set(['node:fs/promises', 'node:module', 'node:zlib'])

/**
 * `import { readFileSync } from 'node:fs'` as `const { readFileSync } = process.getBuiltinModule('node:fs')`. For an
 * import Node makes a module with every export of fs; reading those loads streams, file handles and more besides.
 * Functions of slow modules load theirs when they are called.
 */
export const builtins = {
  name: 'builtins',
  renderChunk: (code) =>
    tooOld(code).replace(imports, (_, names, id) => {
      const module = `process.getBuiltinModule("${id}")`
      if (!slow.has(id)) return `const {${names.replaceAll(' as ', ': ')}} = ${module};`
      return names
        .split(',')
        .map((one) => one.trim().split(' as '))
        .map(([name, local = name]) => `const ${local} = (...args) => ${module}.${name}(...args);`)
        .join('\n')
    }),
}

/** A Node that cannot run the package says so, before the first line that it would not understand. */
function tooOld(code) {
  if (!imports.test(code)) return code
  imports.lastIndex = 0
  return `if (!process.getBuiltinModule) throw new Error('kernelet needs Node.js ${nodes}; this is ' + process.version);\n${code}`
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
