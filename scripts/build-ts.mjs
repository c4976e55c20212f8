/**
 * Compiles lib/ to dist/, which it empties first: a file of yesterday must not get into the package.
 *
 * Types file by file (tsc); code in few files (rolldown): loading a hundred small modules takes three times as
 * long as loading one. `import 'kernelet'` is one file; what few programs need lies in others, which Node loads when it is
 * first called; dist/bundler.js imports all of them, for bundlers. What is loaded by its name keeps a file of its own.
 */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { rolldown } from 'rolldown'
import { buildLater, standIns } from './build-later.mjs'
import { ascii, builtins } from './bundle-plugins.mjs'
import { root, run } from './util.mjs'

const lib = join(root, 'lib')
const dist = join(root, 'dist')

rmSync(dist, { recursive: true, force: true })
run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'])

// declarations that index.d.ts never reaches
const declarations = reachedFrom(join(dist, 'index.d.ts'))
for (const file of filesOf(dist, '.d.ts')) {
  if (!declarations.has(join(dist, file))) rmSync(join(dist, file))
}

// what the addon offers is not offered to others: comments on its types would be a tenth of the declarations
withoutComments(join(dist, 'backend/backend.d.ts'), join(dist, 'index.d.ts'))

const sources = filesOf(lib, '.ts')
// what is loaded by its name: `moduleUrl('bench/contender')`, and every command
const named = sources.flatMap((file) =>
  [...readFileSync(join(lib, file), 'utf8').matchAll(/moduleUrl\('([\w/-]+)'\)/g)].map(([, path]) => path),
)
const commands = sources
  .filter((file) => /^cli.commands.[\w-]+\.ts$/.test(file))
  .map((file) => file.slice(0, -3))
const known = new Set(sources.map((file) => file.slice(0, -3).replaceAll('\\', '/')))
const entries = ['index', 'cli/main', ...commands, ...named].map((path) => path.replaceAll('\\', '/'))
// what runs as a thread stands alone: a thread starts with one file
const threads = ['vision/classifier/worker']
const input = Object.fromEntries(
  entries
    .filter((path) => known.has(path) && !threads.includes(path))
    .map((path) => [path, join(lib, `${path}.ts`)]),
)

// Read with the first ONNX model. A package of its own would be loaded with the library, in a millisecond and a half.
const bundled = ['pbf']
// dependencies stay outside: node: itself and what package.json names
const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const names = Object.keys({ ...dependencies, ...peerDependencies })
const external = [/^node:/, ...names.map((name) => new RegExp(`^${name}(/|$)`))]
// they are in the declarations and in lib/, and would be a fifth of the package's code
const comments = { annotation: false, jsdoc: false, legal: true }
/** Short names of what is local to functions: an eighth of what V8 takes to compile the code. Names in stack traces stay. */
const short = {
  compress: false,
  mangle: { toplevel: false, keepNames: true },
  codegen: { removeWhitespace: false },
}
const options = { platform: 'node', transform: { target: 'es2022' }, logLevel: 'warn' }

/**
 * What is loaded when one of its functions is first called, by the file that it is in; `onnx-more` and `onnx-rare` are
 * parts of `onnx`.
 */
const later = Object.entries({
  onnx: ['formats/onnx/reader'],
  'onnx-more': [
    'formats/onnx/operators/more',
    'formats/onnx/operators/computed-places',
    'formats/onnx/operators/volume',
    'formats/onnx/flatten',
    'formats/onnx/io',
    'formats/onnx/loose-results',
    'formats/onnx/sparse',
    'formats/onnx/turned-results',
  ],
  'onnx-rare': [
    'formats/onnx/operators/rare',
    'formats/onnx/encode',
    'formats/onnx/inspect',
    'formats/file-kind',
  ],
  graphs: [
    'compile/calibrate',
    'compile/make-named',
    'compile/tuning',
    'formats/onnx/save',
    'graph/check-graph',
    'graph/intermediates',
    'ops/recurrence',
  ],
  pictures: [
    'vision/picture/decode',
    'vision/digits/normalize',
    'vision/classifier/share',
    'vision/classifier/work',
    'vision/classifier/network',
    'data/pictures',
    'data/csv',
  ],
  train: [
    'train/checkpoint',
    'train/fit',
    'train/losses',
    'train/options',
    'train/samples',
    'train/scaling',
    'train/session',
  ],
  files: ['formats/torch/load', 'data/download', 'data/idx', 'data/mnist'],
}).map(([name, paths]) => ({ name, files: paths.map((path) => join(lib, `${path}.ts`)) }))

const standsIn = standIns(later.flatMap(({ files }) => files))
const partOf = { 'onnx-more': 'onnx', 'onnx-rare': 'onnx' }

/** The modules that are reached from one, without those that are loaded later. */
async function reachedBy(entry, plugins) {
  const found = new Set()
  const seen = {
    name: 'seen',
    moduleParsed({ id }) {
      found.add(id)
    },
  }
  const alone = await rolldown({ ...options, external, input: entry, plugins: [...plugins, seen] })
  await alone.generate({ format: 'esm' })
  return found
}

// everything else that index.ts reaches
const reached = await reachedBy(input.index, [standsIn])

mkdirSync(join(dist, 'chunks'), { recursive: true })
const loadsLater = []
// parts first: what they are part of holds the stand-ins
for (const { name, files } of later.toReversed()) {
  const whole = later.find((one) => one.name === partOf[name])
  const core = new Set(reached)
  if (whole) {
    const others = standIns(later.flatMap((one) => (one === whole ? [] : one.files)))
    for (const id of await reachedBy(whole.files[0], [others])) core.add(id)
  }
  loadsLater.push(
    await buildLater({
      lib,
      files,
      core,
      folder: join(dist, 'chunks'),
      name,
      options: { ...options, external },
      output: { comments, minify: short },
      plugins: [...loadsLater, builtins, ascii],
    }),
  )
}
const laterFiles = later.map(({ name }) => `./chunks/${name}.cjs`)

/** The package for bundlers. */
const forBundlers = {
  name: 'for bundlers',
  resolveId(id) {
    if (id === 'bundler') return id
    if (laterFiles.includes(id)) return { id, external: 'relative' }
  },
  load(id) {
    if (id !== 'bundler') return
    return [
      ...later.flatMap(({ name }, i) => [
        `import factory${i} from '${laterFiles[i]}'`,
        `import { provide as provide${i} } from 'find:${name}'`,
        `provide${i}(factory${i})`,
      ]),
      `export * from ${JSON.stringify(input.index)}`,
    ].join('\n')
  },
}

const build = await rolldown({
  ...options,
  external,
  input: { ...input, bundler: 'bundler' },
  plugins: [...loadsLater, forBundlers, builtins, ascii],
})
await build.write({
  dir: dist,
  format: 'esm',
  comments,
  minify: short,
  entryFileNames: '[name].js',
  chunkFileNames: 'chunks/[name].js',
  codeSplitting: {
    groups: [
      { name: 'kernelet', test: (id) => reached.has(id) || /^(later|find):|rolldown\/runtime/.test(id) },
    ],
  },
})

// For what cannot load modules by `require`, as Jest before Node 24.9: Node itself takes "module-sync", index.js.
const common = await rolldown({
  ...options,
  external,
  input: join(dist, 'bundler.js'),
  plugins: [builtins, ascii],
})
await common.write({
  file: join(dist, 'index.cjs'),
  format: 'cjs',
  comments,
  // it is the second copy of everything: names stay, for stack traces, spaces go
  minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
})

// Read by tools that trace which files a program needs (@vercel/nft), never run. Not in bundler.js: bundlers would take
// them for modules.
const binaries = ['linux', 'darwin', 'win32'].flatMap((platform) =>
  ['x64', 'arm64'].map((arch) => `../prebuilds/${platform}-${arch}/kernelet.node`),
)
const models = readdirSync(join(root, 'models')).map((file) => `../models/${file}`)
const urls = (files) => files.map((file) => `new URL('${file}', import.meta.url)\n`)
appendFileSync(
  join(dist, 'index.js'),
  [
    // one by one: ncc takes the first of a function's
    ...urls(laterFiles).map((url) => `;() => {\n${url}}\n`),
    `;() => {\n${urls([...threads.map((path) => `./${path}.js`), '../package.json', ...binaries, ...models]).join('')}}\n`,
  ].join(''),
)

for (const path of threads) {
  const thread = await rolldown({
    ...options,
    external,
    input: join(lib, `${path}.ts`),
    plugins: [builtins, ascii],
  })
  await thread.write({ file: join(dist, `${path}.js`), format: 'esm', comments, codeSplitting: false })
}

// a package whose code is in ours brings its licence
mkdirSync(join(dist, 'licenses'))
for (const name of bundled) {
  copyFileSync(join(root, 'node_modules', name, 'LICENSE'), join(dist, `licenses/${name}.txt`))
}

// the packages beside the core: they import it by its name, as it has just been built
for (const name of readdirSync(join(root, 'packages'))) {
  const folder = join(root, 'packages', name)
  rmSync(join(folder, 'dist'), { recursive: true, force: true })
  run(process.execPath, [
    join(root, 'node_modules/typescript/bin/tsc'),
    '-p',
    join(folder, 'tsconfig.build.json'),
  ])
  // what is used of a package with hundreds of modules, as one file
  if (existsSync(join(folder, 'lib/typebox.ts'))) {
    const typebox = await rolldown({
      ...options,
      input: join(folder, 'lib/typebox.ts'),
      treeshake: { moduleSideEffects: false },
    })
    await typebox.write({ file: join(folder, 'dist/typebox.js'), format: 'esm', comments, minify: short })
    mkdirSync(join(folder, 'dist/licenses'))
    copyFileSync(join(root, 'node_modules/typebox/license'), join(folder, 'dist/licenses/typebox.txt'))
  }
  const page = join(folder, 'playground/vite.config.ts')
  if (existsSync(page)) {
    const { build } = await import('vite')
    await build({ configFile: page })
  }
}

function filesOf(folder, ending) {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith(ending))
}

/** Takes the comments of those declarations out of a file that `index` does not name. */
function withoutComments(file, index) {
  const [, list = ''] = /\{([^}]*)\} from '\.\/backend\/backend\.ts'/.exec(readFileSync(index, 'utf8')) ?? []
  const named = new Set(list.split(/[\s,]+/))
  const comment = /^ *\/\*\*[\s\S]*?\*\/\n/gm
  // a declaration with the comment before it
  const parts = readFileSync(file, 'utf8').split(/^(?=\/\*\*)|(?<!\*\/\n)^(?=export )/m)
  const kept = parts.map((part) => {
    const [, name] = /^export (?:declare )?\w+ (\w+)/m.exec(part) ?? []
    return name === undefined || named.has(name) ? part : part.replace(comment, '')
  })
  writeFileSync(file, kept.join(''))
}

/** A declaration file and those it names, all the way down. */
function reachedFrom(file, reached = new Set()) {
  if (reached.has(file)) return reached
  reached.add(file)
  for (const [, path] of readFileSync(file, 'utf8').matchAll(/(?:from |import\()['"](\.[^'"]*)\.ts['"]/g)) {
    reachedFrom(join(dirname(file), `${path}.d.ts`), reached)
  }
  return reached
}
