/**
 * Packs the package and uses it as a stranger would:
 *
 *   - the tarball: only what is meant to be in it; what it weighs, and would with the binaries of all platforms; publint
 *     and attw find nothing
 *   - npm pack without this machine's binary, npm publish without all: refused
 *   - installed from it into an empty folder, with an empty cache and without a compiler on PATH: npm says nothing but
 *     what it added; the CLI reads a digit, `import` and `require` work, TypeScript checks it strictly
 *   - with --source also compiled there by `npm run build:source`
 *
 * It takes the npm registry, for the one dependency, and the binaries of `npm run prebuilds`.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { capture, die, manifest, root, run, which } from './util.mjs'

/** With the binaries for Linux, and with all. */
const limits = {
  some: { packed: 2_050_000, unpacked: 5_200_000 },
  all: { packed: 5_000_000, unpacked: 12_000_000 },
}
/** Of a binary: where one is not here, it is taken to be as large as it may be (check-binary.mjs). */
const largest = { x64: 900_000, arm64: 650_000 }
const platforms = ['linux', 'darwin', 'win32'].flatMap((system) =>
  Object.keys(largest).map((arch) => `${system}-${arch}`),
)
const allowed = [
  /^man\/kernelet\.1$/,
  /^package\.json$/,
  /^(README|CHANGELOG)\.md$/,
  /^LICENSE$/,
  /^dist\/(.*\.(js|cjs|d\.ts)|licenses\/\w+\.txt)$/,
  /^bin\/kernelet\.js$/,
  /^prebuilds\/(linux|darwin|win32)-(x64|arm64)\/kernelet\.node$/,
  /^models\/[\w.-]+\.(safetensors|md)$/,
  /^bench\/(models\/[\w.-]+\.txt|peers\/(version|adapters\/[\w-]+)\.js)$/,
  /^native\/(?!tests\/|bench\/).*\.(cc|h|inc|gypi|map|txt)$/,
  /^native\/README\.md$/,
  /^scripts\/build-source\.mjs$/,
]
const required = [
  'man/kernelet.1',
  'package.json',
  'README.md',
  'CHANGELOG.md',
  'LICENSE',
  'dist/index.js',
  'dist/index.d.ts',
  'dist/index.cjs',
  'dist/bundler.js',
  'dist/vision/classifier/worker.js',
  'bin/kernelet.js',
  `prebuilds/${process.platform}-${process.arch}/kernelet.node`,
  'models/lenet5-mnist.safetensors',
  'bench/models/resnet18.txt',
  'bench/peers/adapters/onnxruntime-node.js',
  'native/sources.gypi',
  'native/kernelet.gypi',
  'native/compat/exports.map',
  'native/compat/exports.txt',
  'scripts/build-source.mjs',
]
const npm = process.env.npm_execpath?.endsWith('.js')
  ? [process.execPath, process.env.npm_execpath]
  : [which('npm') ?? die('check-package: npm was not found')]
const node = process.execPath
const bin = (name, file) => join(root, 'node_modules', name, file)

const scratch = mkdtempSync(join(tmpdir(), 'kernelet-package-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))

function step(name, action) {
  const start = performance.now()
  const note = action()
  console.log(`ok  ${name}${note ? `: ${note}` : ''} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
  return note
}

/** Runs a program, checks its exit code and, where given, what it printed. */
function expect(command, args, options, pattern) {
  const { status, stdout, stderr } = capture(command, args, options)
  if (status !== 0 || (pattern && !pattern.test(stdout)))
    die(`check-package: ${[command, ...args].join(' ')}: exit code ${status}\n${stdout}${stderr}`)
  return stdout
}

// ---------------------------------------------------------------- the tarball
run(node, [join(root, 'scripts/build-ts.mjs')])
const packed = JSON.parse(
  run(npm[0], [...npm.slice(1), 'pack', '--json', '--pack-destination', scratch, '--ignore-scripts'], {
    quiet: true,
  }),
)[0]
const tarball = join(scratch, packed.filename)

step('tarball', () => {
  const files = packed.files.map(({ path }) => path)
  const stray = files.filter((file) => !allowed.some((pattern) => pattern.test(file)))
  if (stray.length > 0) die(`check-package: not meant to be in the package: ${stray.join(', ')}`)
  const absent = required.filter((file) => !files.includes(file))
  if (absent.length > 0) die(`check-package: missing from the package: ${absent.join(', ')}`)
  const binaries = files
    .filter((file) => file.startsWith('prebuilds/'))
    .map((file) => basename(dirname(file)))
  const limit = binaries.length > 2 ? limits.all : limits.some
  if (packed.size > limit.packed) die(`check-package: ${packed.size} bytes, over ${limit.packed}`)
  if (packed.unpackedSize > limit.unpacked) die(`check-package: ${packed.unpackedSize} bytes unpacked`)
  weigh()
  return `${files.length} files, ${packed.size} bytes, ${packed.unpackedSize} unpacked, binaries for ${binaries.join(', ')}`
})

/**
 * What a platform's binary takes of the tarball and of a disk, and what the package takes with all of them: a table. Of
 * binaries that are not in prebuilds/ those that were built here for a look are weighed, else the most there may be.
 */
function weigh() {
  const packedSize = (bytes) => gzipSync(bytes, { level: 9 }).length
  const measured = (file) => {
    const bytes = readFileSync(file)
    return { packed: packedSize(bytes), unpacked: bytes.length }
  }
  const own = measured(join(root, `prebuilds/${process.platform}-${process.arch}/kernelet.node`))
  const rest = { packed: packed.size, unpacked: packed.unpackedSize }
  const rows = platforms.map((platform) => {
    // what zig links for Windows has zig's C++ library in it
    const crossBuilt = platform.startsWith('win32-') ? [] : [`build-cross/${platform}`]
    const places = [`prebuilds/${platform}`, ...crossBuilt]
    const place = places.find((folder) => existsSync(join(root, folder, 'kernelet.node')))
    const unpacked = largest[platform.split('-')[1]]
    const size = place
      ? measured(join(root, place, 'kernelet.node'))
      : { packed: Math.round((unpacked * own.packed) / own.unpacked), unpacked }
    if (place?.startsWith('prebuilds/')) for (const key of ['packed', 'unpacked']) rest[key] -= size[key]
    return { platform, ...size, from: place ?? 'at most' }
  })
  const total = { platform: 'all', packed: rest.packed, unpacked: rest.unpacked, from: '' }
  for (const row of rows) for (const key of ['packed', 'unpacked']) total[key] += row[key]
  for (const row of [{ platform: 'code, weights', ...rest, from: '' }, ...rows, total])
    console.log(
      `    ${row.platform.padEnd(14)}${String(row.packed).padStart(9)} packed${String(row.unpacked).padStart(10)} unpacked  ${row.from}`,
    )
  for (const key of ['packed', 'unpacked'])
    if (total[key] > limits.all[key])
      die(`check-package: ${total[key]} bytes ${key} with all binaries, over ${limits.all[key]}`)
}

step('npm pack and npm publish refuse a package without binaries', () => {
  const bareCopy = join(scratch, 'no-binaries')
  cpSync(join(root, 'package.json'), join(bareCopy, 'package.json'))
  cpSync(join(root, 'scripts'), join(bareCopy, 'scripts'), { recursive: true })
  const refuses = (command, targets) => {
    const { status, stderr } = capture(npm[0], [...npm.slice(1), command, '--dry-run'], { cwd: bareCopy })
    if (status === 0 || !stderr.includes(`no binary for ${targets.join(', ')}: `))
      die(`check-package: npm ${command} without binaries: exit code ${status}\n${stderr}`)
  }
  const own = `${process.platform}-${process.arch}`
  refuses('pack', [own])
  mkdirSync(join(bareCopy, 'prebuilds', own), { recursive: true })
  cpSync(join(root, 'prebuilds', own, 'kernelet.node'), join(bareCopy, 'prebuilds', own, 'kernelet.node'))
  refuses(
    'publish',
    platforms.filter((platform) => platform !== own),
  )
})
// nor "prepare", which npm warns of where the tarball is installed
for (const script of ['preinstall', 'install', 'postinstall', 'prepare'])
  if (manifest.scripts[script]) die(`check-package: a consumer's machine runs nothing: no ${script} script`)

/** The condition "require" is for what cannot load modules so, as Jest before Node 24.9, and reads no types: it may be CommonJS. */
const meant = ['EXPORTS_TYPES_INVALID_FORMAT']
{
  const bytes = readFileSync(tarball)
  // without pkgDir: it is found in the tarball
  const { messages } = await publint({
    pack: { tarball: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) },
    strict: true,
  })
  const said = messages.filter(({ code }) => !meant.includes(code))
  if (said.length > 0)
    die(`check-package: publint: ${said.map((one) => formatMessage(one, manifest)).join('\n')}`)
  console.log('ok  publint')
}
step(
  'are the types wrong?',
  () =>
    void run(
      node,
      [
        bin('@arethetypeswrong/cli', 'dist/index.js'),
        tarball,
        '--profile',
        'esm-only',
        '--ignore-rules',
        'false-esm',
      ],
      {
        quiet: true,
      },
    ),
)

// ---------------------------------------------------------------- a consumer
const home = join(scratch, 'consumer')
const path = join(scratch, 'path')
mkdirSync(home)
mkdirSync(path)
// node and nothing else: no compiler, no cmake, no python
symlinkSync(node, join(path, 'node'))
const bare = { PATH: path, HOME: scratch, TMPDIR: scratch, PREBUILDS_ONLY: '1', NO_COLOR: '1' }
for (const [name, value] of Object.entries(process.env))
  if (/^(https?_proxy|no_proxy|node_extra_ca_certs|npm_config_registry|ssl_cert_file)$/i.test(name))
    bare[name] = value

step('install', () => {
  writeFileSync(join(home, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }\n')
  const npmCli = npm[1] ?? join(dirname(node), '../lib/node_modules/npm/bin/npm-cli.js')
  const install = [existsSync(npmCli) ? npmCli : npm[0], 'install', '--no-audit', '--no-fund', tarball]
  const { status, stdout, stderr } = capture(node, [...install, '--cache', join(scratch, 'cache')], {
    cwd: home,
    env: bare,
  })
  // all that npm says is what it added
  const said = `${stdout}${stderr}`.replace(/^npm notice.*$/gm, '').trim()
  if (status !== 0 || !/^(added|up to date)[^\n]*$/.test(said))
    die(`check-package: npm install: exit code ${status}\n${said}`)
  const installed = readdirSync(join(home, 'node_modules')).filter((name) => !name.startsWith('.'))
  return installed.join(', ')
})

step('the CLI reads digits', () => {
  const cli = join(home, 'node_modules/.bin/kernelet')
  const digits = join(root, 'examples/digits')
  const pictures = readdirSync(digits).filter((file) => /^\d.*\.png$/.test(file))
  if (pictures.length === 0) die('check-package: examples/digits holds no picture named after its digit')
  const picture = pictures[0]
  cpSync(join(digits, picture), join(home, 'picture.png'))
  const [answer] = [
    JSON.parse(expect(cli, ['classify', '--json', 'picture.png'], { cwd: home, env: bare })),
  ].flat()
  if (String(answer.digit) !== picture[0])
    die(`check-package: ${picture} was read as ${JSON.stringify(answer)}`)
  expect(cli, ['info'], { cwd: home, env: bare }, new RegExp(manifest.version.replaceAll('.', '\\.')))
  return `${picture} is a ${answer.digit}`
})

const use = `
const model = new kernelet.Sequential(new kernelet.Conv2d(1, 2, { kernelSize: 3 }), new kernelet.ReLU())
const { length } = model.compile({ inputShape: [1, 5, 5] }).run(new Float32Array(25))
if (length !== 18) throw new Error('18 values expected, received ' + length)
console.log('works')
`
step('import', () => {
  writeFileSync(join(home, 'import.mjs'), `import * as kernelet from 'kernelet'\n${use}`)
  expect(node, ['import.mjs'], { cwd: home, env: bare }, /^works$/m)
})
step('require', () => {
  writeFileSync(join(home, 'require.cjs'), `const kernelet = require('kernelet')\n${use}`)
  expect(node, ['--no-warnings', 'require.cjs'], { cwd: home, env: bare }, /^works$/m)
})
step('pictures are read on threads', () => {
  const program = `import { DigitClassifier } from 'kernelet'
process.on('warning', (warning) => { throw warning })
const { digit } = await DigitClassifier.load().classifyFile('picture.png')
setImmediate(() => console.log(digit === null ? 'none' : 'works'))
`
  writeFileSync(join(home, 'pictures.mjs'), program)
  expect(node, ['pictures.mjs'], { cwd: home, env: bare }, /^works$/m)
})
step('TypeScript, strict, nodenext, skipLibCheck off', () => {
  cpSync(bin('@types/node', '.'), join(home, 'node_modules/@types/node'), { recursive: true })
  cpSync(bin('undici-types', '.'), join(home, 'node_modules/undici-types'), { recursive: true })
  writeFileSync(
    join(home, 'use.ts'),
    `import { compile, Conv2d, KerneletError, LeNet5, Module, Tensor, maxPool2d, relu } from 'kernelet'
class Net extends Module {
  readonly conv = new Conv2d(1, 6, { kernelSize: 5 })
  override forward(x: Tensor): Tensor {
    return maxPool2d(relu(this.conv.forward(x)), 2)
  }
}
const net = compile(new Net(), { inputShape: [1, 28, 28] })
const output: Float32Array = net.run(new Float32Array(784))
const later: Promise<Float32Array> = net.runAsync(new Float32Array(784))
const model: LeNet5 = LeNet5.pretrained()
export { KerneletError, later, model, output }
// @ts-expect-error: a string is no kernel size
new Conv2d(1, 6, { kernelSize: 'five' })
`,
  )
  const options = { target: 'es2022', module: 'nodenext', strict: true, exactOptionalPropertyTypes: true }
  writeFileSync(
    join(home, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: { ...options, skipLibCheck: false, noEmit: true, types: ['node'] },
      files: ['use.ts'],
    }),
  )
  expect(node, [bin('typescript', 'bin/tsc'), '-p', home], { cwd: home })
})

if (process.argv.includes('--source')) {
  const installed = join(home, 'node_modules/kernelet')
  step('build:source says what it needs', () => {
    const { status, stderr } = capture(npm[0], [...npm.slice(1), 'run', 'build:source'], { cwd: installed })
    if (status !== 1 || !stderr.includes('npm install --no-save node-addon-api'))
      die(`check-package: build:source without node-addon-api: exit code ${status}\n${stderr}`)
  })
  step('build:source', () => {
    cpSync(bin('node-addon-api', '.'), join(home, 'node_modules/node-addon-api'), { recursive: true })
    rmSync(join(installed, 'prebuilds'), { recursive: true })
    expect(npm[0], [...npm.slice(1), 'run', 'build:source'], { cwd: installed }, /was built/)
    if (existsSync(join(installed, 'binding.gyp'))) die('check-package: build:source left binding.gyp behind')
    expect(node, ['import.mjs'], { cwd: home }, /^works$/m)
  })
}
console.log('check-package: nothing found')
