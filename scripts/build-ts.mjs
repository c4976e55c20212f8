/**
 * Compiles lib/ to dist/, which it empties first: a file of yesterday must not get into the package.
 *
 * Types file by file (tsc); code in few files (rolldown): loading a hundred small modules takes three times as
 * long as loading one. The public face is one file; modules loaded by name keep files of their own.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { root, run } from './util.mjs'

const lib = join(root, 'lib')
rmSync(join(root, 'dist'), { recursive: true, force: true })
run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'])

// declarations that index.d.ts never reaches
for (const folder of ['cli', 'bench']) {
  rmSync(join(root, 'dist', folder), { recursive: true, force: true })
}

const sources = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
// what is loaded by its name: `moduleUrl('bench/contender')`, and every command
const named = sources.flatMap((file) =>
  [...readFileSync(join(lib, file), 'utf8').matchAll(/moduleUrl\('([\w/-]+)'\)/g)].map(([, path]) => path),
)
const commands = sources
  .filter((file) => /^cli.commands.[\w-]+\.ts$/.test(file))
  .map((file) => file.slice(0, -3))
const known = new Set(sources.map((file) => file.slice(0, -3).replaceAll('\\', '/')))
const entries = ['index', 'cli/main', ...commands, ...named].map((path) => path.replaceAll('\\', '/'))
const input = Object.fromEntries(
  entries.filter((path) => known.has(path)).map((path) => [path, join(lib, `${path}.ts`)]),
)

// dependencies stay outside: node: itself and what package.json names
const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const names = Object.keys({ ...dependencies, ...peerDependencies })
const external = [/^node:/, ...names, ...names.map((name) => new RegExp(`^${name}/`))]
const options = { platform: 'node', external, transform: { target: 'es2022' }, logLevel: 'warn' }
const face = await modulesOf({ index: input.index })
const build = await rolldown({ ...options, input })
await build.write({
  dir: join(root, 'dist'),
  format: 'esm',
  // they are in the declarations and in lib/, and would be a fifth of the package's code
  comments: { annotation: false, jsdoc: false, legal: true },
  entryFileNames: '[name].js',
  chunkFileNames: 'chunks/[name].js',
  codeSplitting: { groups: [{ name: 'kernelet', test: (id) => face.has(id) }] },
})

/** The files that some entries need, all the way down. */
async function modulesOf(entry) {
  const bundle = await rolldown({ ...options, input: entry })
  const { output } = await bundle.generate({ format: 'esm' })
  return new Set(output.flatMap((chunk) => chunk.moduleIds ?? []))
}
