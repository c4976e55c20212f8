/**
 * Gates on the binaries:
 *
 * of each in prebuilds/ and build-cross/    no exports but Node-API's two, no larger than `largest`
 * of those for Linux                        no symbol newer than glibc 2.28 and GCC 8's libstdc++ (RHEL 8), no
 *                                           executable stack
 * of those for macOS and Windows            no libraries but the system's; macOS 11, signed
 * of the kernels' object files (on Linux)   no weak symbol in Debug or Release, and no global one outside
 *                                           kernelet::<isa>. Else the linker may keep one tier's copy of a
 *                                           shared inline function for all, and an older CPU meets AVX-512.
 *
 * With --kernels only the latter.
 */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from './binary-format.mjs'
import { capture, die, dropForeignBuild, jobs, requireToolchain, root, run, which } from './util.mjs'

const limits = { GLIBC: '2.28', GLIBCXX: '3.4.25', CXXABI: '1.3.11', GCC: '7.0.0' }
/** What every system has beside Node. On Linux what glibc and musl both have; no C library is named, see prebuilds.mjs. */
const libraries = {
  linux: /^(libgcc_s\.so\.1|libstdc\+\+\.so\.6)$/,
  darwin: /^\/usr\/lib\/lib(System\.B|c\+\+\.1)\.dylib$/,
  win32: /^(kernel32|ntdll|msvcrt|api-ms-win-crt-[\w-]+)\.dll$|^node\.exe$/i,
}
// arm64 grows in steps of 64 kB: the part that is read-only after relocation ends on a page, and pages may be so large
const largest = { x64: 900_000, arm64: 650_000 }
const exported = ['napi_register_module_v1', 'node_api_module_get_api_version_v1']

const oldestMacos = '11.0'
const linux = process.platform === 'linux'

if (linux) {
  for (const tool of ['readelf', 'nm'])
    if (!which(tool)) die(`check-binary: ${tool} is not installed (binutils)`)
  requireToolchain()
}

let wrong = 0
function fail(message) {
  console.log(`  FAIL ${message}`)
  wrong++
}

const newer = (a, b) => a.localeCompare(b, 'en', { numeric: true }) > 0
const lines = (command, args) => {
  const { status, stdout, stderr } = capture(command, args)
  if (status !== 0) die(`check-binary: ${command} ${args.join(' ')}: ${stderr}`)
  return stdout.split('\n')
}

function checkAddon(file) {
  checkSize(file)
  const highest = {}
  const symbols = lines('readelf', ['-W', '--dyn-syms', file])
  for (const line of symbols) {
    const [, symbol, family, version] = /\sUND\s(\S+)@+([A-Z]+)_([\d.]+)/.exec(line) ?? []
    if (!symbol) continue
    if (!(family in limits) || newer(version, limits[family])) fail(`${symbol} needs ${family}_${version}`)
    if (!highest[family] || newer(version, highest[family])) highest[family] = version
  }
  for (const line of symbols) {
    const [, section, symbol] = /\s(?:GLOBAL|WEAK|UNIQUE)\s+DEFAULT\s+(\d+|ABS)\s(\S+)/.exec(line) ?? []
    if (section && !exported.includes(symbol)) fail(`exports ${symbol}`)
  }
  for (const symbol of exported)
    if (!symbols.some((line) => line.includes(` ${symbol}`))) fail(`no ${symbol}`)
  for (const line of lines('readelf', ['-W', '-d', file])) {
    const library = /\(NEEDED\).*\[(.*)\]/.exec(line)?.[1]
    if (library && !libraries.linux.test(library)) fail(`needs ${library}`)
    if (/\((RPATH|RUNPATH|TEXTREL)\)/.test(line)) fail(line.trim())
  }
  const stack = lines('readelf', ['-W', '-l', file]).find((line) => line.includes('GNU_STACK'))
  if (!stack || / RWE /.test(stack)) fail('the stack is executable')
  const versions = Object.entries(highest).map(([family, version]) => `${family}_${version}`)
  console.log(`  ${versions.sort().join(' ')}`)
}

/**
 * zig links its own C++ library and unwinder into what it builds for Windows, and shows the unwinder's functions;
 * Microsoft's compiler does not. Of such a file only the rest can be judged.
 */
const byZig = (file) => file.startsWith(join(root, 'build-cross/win32-'))
const ofUnwinder = /^_?(unw|Unwind|GCC_specific_handler)/

function checkSize(file) {
  const { size } = statSync(file)
  console.log(`${file.slice(root.length + 1)}  ${size} bytes`)
  if (byZig(file)) return
  const limit = file.includes('arm64') ? largest.arm64 : largest.x64
  if (size > limit) fail(`${size} bytes, over ${limit}`)
}

/** One for macOS or Windows, by what stands in its tables. */
function checkForeign(file, folder) {
  checkSize(file)
  const { system, arch, exports, libraries: needed, oldest, signed } = inspect(file)
  if (`${system}-${arch}` !== folder) fail(`is for ${system}-${arch}`)
  for (const symbol of exports)
    if (!exported.includes(symbol) && !(byZig(file) && ofUnwinder.test(symbol))) fail(`exports ${symbol}`)
  for (const symbol of exported) if (!exports.includes(symbol)) fail(`no ${symbol}`)
  for (const library of needed) if (!libraries[system].test(library)) fail(`needs ${library}`)
  if (system === 'darwin' && oldest !== oldestMacos) fail(`is for macOS ${oldest}, not ${oldestMacos}`)
  if (system === 'darwin' && arch === 'arm64' && !signed) fail('has no signature')
  console.log(`  ${[oldest && `macOS ${oldest}`, ...needed].filter(Boolean).join(' ')}`)
}

function checkKernels(folder, options) {
  const path = join(root, folder)
  dropForeignBuild(path)
  run('cmake', ['-S', root, '-B', path, ...options], { quiet: true })
  const targets = lines('cmake', ['--build', path, '--target', 'help'])
    .map((line) => /\b(kernelet_kernels_\w+)/.exec(line)?.[1])
    .filter((target, i, all) => target && all.indexOf(target) === i)
  if (targets.length < 2) die(`check-binary: no kernel targets in ${folder}`)
  run('cmake', ['--build', path, '--parallel', jobs, '--target', ...targets], { quiet: true })
  let symbols = 0
  for (const target of targets) {
    const isa = target.replace('kernelet_kernels_', '')
    const objects = readdirSync(join(path, 'CMakeFiles', `${target}.dir`), { recursive: true })
      .filter((file) => file.endsWith('.o'))
      .map((file) => join(path, 'CMakeFiles', `${target}.dir`, file))
    if (objects.length === 0) die(`check-binary: ${target} left no object file`)
    for (const line of objects.flatMap((object) => lines('nm', ['-C', object]))) {
      const [, kind, symbol] = /^[0-9a-f]* +(\w) (.*)$/.exec(line) ?? []
      if (!kind) continue
      symbols++
      if ('WVu'.includes(kind)) fail(`${folder}, ${isa}: weak ${symbol}`)
      else if (kind >= 'A' && kind <= 'Z' && kind !== 'U' && !symbol.startsWith(`kernelet::${isa}::`))
        fail(`${folder}, ${isa}: global ${symbol}`)
    }
  }
  const tiers = targets.map((target) => target.replace('kernelet_kernels_', '')).join(', ')
  console.log(`${folder}: kernels of ${tiers}: ${symbols} symbols`)
}

const kernelsOnly = process.argv.includes('--kernels')
const addons = ['prebuilds', 'build-cross'].flatMap((place) =>
  existsSync(join(root, place))
    ? readdirSync(join(root, place))
        .map((folder) => ({ folder, file: join(root, place, folder, 'kernelet.node') }))
        .filter(({ file }) => existsSync(file))
    : [],
)
if (!kernelsOnly) {
  if (!addons.some(({ folder }) => folder.startsWith(process.platform)))
    die('check-binary: prebuilds/ has no binary of this system: run `npm run prebuilds` first')
  for (const { folder, file } of addons) {
    if (!folder.startsWith('linux-')) checkForeign(file, folder)
    else if (linux) checkAddon(file)
  }
}

for (const type of linux ? ['Debug', 'Release'] : []) {
  const options = [`-DCMAKE_BUILD_TYPE=${type}`]
  checkKernels(`build-gate/${type}`, options)
  if (which('clang++')) checkKernels(`build-gate/${type}-clang`, [...options, '-DCMAKE_CXX_COMPILER=clang++'])
  if (which('aarch64-linux-gnu-g++') && process.arch === 'x64')
    checkKernels(`build-gate/${type}-arm64`, [
      ...options,
      '-DCMAKE_SYSTEM_NAME=Linux',
      '-DCMAKE_SYSTEM_PROCESSOR=aarch64',
      '-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++',
    ])
}
if (wrong > 0) die(`check-binary: ${wrong} finding(s)`)
console.log('check-binary: nothing found')
