/**
 * Builds and runs the native tests (native/tests, no Node inside):
 *
 *   node scripts/native-tests.mjs [host]     this machine's compiler, every tier this CPU runs
 *   node scripts/native-tests.mjs sanitize   AddressSanitizer and UndefinedBehaviorSanitizer, clang where there is one;
 *                                            then the addon, under Node, with arguments that change while it reads them
 *   node scripts/native-tests.mjs threads    ThreadSanitizer over whatever starts threads
 *   node scripts/native-tests.mjs arm64      cross compiled, under qemu-aarch64
 *   node scripts/native-tests.mjs windows    cross compiled by mingw, under wine; leaves the addon for Windows, too, which
 *                                            check-consumers.mjs runs
 *   node scripts/native-tests.mjs avx512     the avx512 tier's source on AVX2 (see native/tests/emulate)
 *   node scripts/native-tests.mjs bochs      the avx512 tier's own instructions, on a PC emulated by bochs; takes
 *                                            WORDs to run other cases than its digest
 *   node scripts/native-tests.mjs old-cpus   the host build under qemu: Nehalem (no AVX), Haswell (no AVX-512)
 *
 * What a machine lacks for a mode is named and the mode skipped. KERNELET_WERROR=1 makes warnings errors.
 * The last line is `N passed, N failed`.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { boot, missing } from './bochs.mjs'
import {
  capture,
  counts,
  die,
  dropForeignBuild,
  jobs,
  requireToolchain,
  root,
  run,
  tee,
  which,
  windows,
} from './util.mjs'
import { windowsBuild, windowsNeeds, wine } from './windows.mjs'

function skip(reason) {
  console.log(`native tests skipped: ${reason}`)
  process.exit(0)
}

function need(program, debian) {
  const path = which(program)
  if (!path) skip(`${program} is not installed (Debian: apt install ${debian})`)
  return path
}

const options = ['-DKERNELET_TESTS=ON', '-DKERNELET_BENCH=ON']
if (process.env.KERNELET_WERROR) options.push('-DKERNELET_WERROR=ON')
const targets = ['kernelet_tests', 'kernelet_bench']

function compile(path, configure, build = []) {
  console.log(`building the native tests in ${relative(root, path)}`)
  run('cmake', ['-S', root, '-B', path, ...options, ...configure], { quiet: true })
  run('cmake', ['--build', path, '--config', 'Release', '--parallel', jobs, ...build], { quiet: true })
  return (name) => join(path, windows ? `Release/${name}.exe` : name)
}

function build(folder, more = []) {
  const path = join(root, folder)
  dropForeignBuild(path)
  return compile(path, ['-DCMAKE_BUILD_TYPE=Release', ...more])
}

/** Where the addon is built, of the very objects that it is linked of. */
function buildBesideAddon() {
  run(process.execPath, [join(root, 'scripts/build-native.mjs')])
  return compile(join(root, 'build'), [], ['--target', ...targets])
}

/** Can this compiler link a sanitized program? Debian's clang comes without the libraries for it. */
function sanitizes(compiler, sanitizer = 'address,undefined') {
  const path = compiler && which(compiler)
  if (!path) return false
  const args = [`-fsanitize=${sanitizer}`, '-x', 'c++', '/dev/null', '-shared', '-fPIC', '-o', '/dev/null']
  return capture(path, args).status === 0
}

const total = { passed: 0, failed: 0 }
function tally(what, { status, signal, output }) {
  const result = counts(output)
  if (result) {
    total.passed += result.passed
    total.failed += result.failed
  }
  if (status !== 0 && !(result?.failed > 0)) {
    console.log(`FAIL ${what} ended with ${signal ?? `exit code ${status}`}`)
    total.failed++
  } else if (!result) {
    console.log(`FAIL ${what} printed no "N passed, N failed" line`)
    total.failed++
  }
}

async function test(command, args = [], env = {}) {
  tally([command, ...args].join(' '), await tee(command, args, { env }))
}

/** What the tests program can test here one by one: the tiers, the widest last, and "core". */
function tiersOf(command, args = []) {
  const { status, stdout, stderr } = capture(command, [...args, '--tiers'])
  if (status !== 0) die(`${[command, ...args].join(' ')} --tiers: exit code ${status}\n${stderr}`)
  return stdout.trim().split(/\s+/)
}

/** All tiers of the tests program, as many at once as there are processors; each prints when it has ended. */
async function testTiers(command, args = [], env = {}) {
  const tiers = tiersOf(command, args)
  const work = async () => {
    for (let tier = tiers.pop(); tier; tier = tiers.pop()) {
      const words = [...args, '--tier', tier]
      const result = await tee(command, words, { env, whole: true })
      tally([command, ...words].join(' '), result)
    }
  }
  await Promise.all(Array.from({ length: Math.min(tiers.length, availableParallelism()) }, work))
}

/** The addon with AddressSanitizer, by GCC, whose library can be loaded before Node that has none. */
function sanitizeAddon() {
  const library = capture('g++', ['-print-file-name=libasan.so']).stdout?.trim()
  if (process.platform !== 'linux' || !library?.startsWith('/')) {
    console.log('the addon is not sanitized: that takes Linux and g++ with libasan')
    return
  }
  const folder = 'build-addon-sanitize'
  console.log(`building the addon in ${folder}`)
  dropForeignBuild(join(root, folder))
  run(process.execPath, [
    join(root, 'node_modules/cmake-js/bin/cmake-js'),
    'compile',
    ...['--log-level', 'warn', '--parallel', jobs, '--out', join(root, folder)],
    ...['--CDKERNELET_SANITIZE=address', '--CDCMAKE_CXX_COMPILER=g++'],
  ])
  const env = {
    ...process.env,
    LD_PRELOAD: library,
    // Node itself frees little at its end.
    ASAN_OPTIONS: 'detect_leaks=0',
  }
  const addon = join(root, folder, 'Release/kernelet.node')
  const { status, stdout, stderr } = capture(
    process.execPath,
    [join(root, 'tests/ends/arguments.mjs'), addon],
    { env },
  )
  process.stdout.write(stdout)
  process.stderr.write(stderr)
  total.passed += stdout.match(/^right /gm)?.length ?? 0
  total.failed += stdout.match(/^WRONG /gm)?.length ?? 0
  if (status !== 0) total.failed++
}

const mode = process.argv[2] ?? 'host'
requireToolchain()

if (mode === 'host') {
  await testTiers(buildBesideAddon()('kernelet_tests'))
} else if (mode === 'sanitize') {
  const CXX = [process.env.CXX, 'clang++', 'g++', 'c++'].find((one) => sanitizes(one))
  if (!CXX) skip('no compiler here links -fsanitize=address,undefined')
  console.log(`with ${CXX}`)
  const program = build('build-sanitize', ['-DKERNELET_SANITIZE=address', `-DCMAKE_CXX_COMPILER=${CXX}`])
  await testTiers(program('kernelet_tests'), [], {
    ASAN_OPTIONS: 'detect_leaks=1:strict_string_checks=1',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  })
  sanitizeAddon()
} else if (mode === 'threads') {
  // GCC first: clang links its sanitizer statically, whose operator new collides with that of the tests.
  const CXX = [process.env.CXX, 'g++', 'c++'].find((one) => sanitizes(one, 'thread'))
  if (!CXX) skip('no compiler here links -fsanitize=thread')
  console.log(`with ${CXX}`)
  const program = build('build-threads', ['-DKERNELET_SANITIZE=thread', `-DCMAKE_CXX_COMPILER=${CXX}`])
  // In the best tier: the others run the same code around other arithmetic.
  const tier = tiersOf(program('kernelet_tests')).at(-2)
  for (const words of [
    ['parallel_for'],
    ['task_team'],
    ['core', 'concurrent_plans'],
    ['core', 'divided_images'],
    [tier, 'batches'],
    [tier, 'train'],
  ]) {
    await test(program('kernelet_tests'), words, { TSAN_OPTIONS: 'halt_on_error=1:second_deadlock_stack=1' })
  }
} else if (mode === 'arm64') {
  const CXX = need('aarch64-linux-gnu-g++', 'g++-aarch64-linux-gnu')
  const qemu = which('qemu-aarch64-static') ?? need('qemu-aarch64', 'qemu-user-static')
  const program = build('build-arm64', [
    '-DCMAKE_SYSTEM_NAME=Linux',
    '-DCMAKE_SYSTEM_PROCESSOR=aarch64',
    `-DCMAKE_CXX_COMPILER=${CXX}`,
    '-DCMAKE_EXE_LINKER_FLAGS=-static',
  ])
  await testTiers(qemu, [program('kernelet_tests')])
} else if (mode === 'windows') {
  const lacking = windowsNeeds()
  if (lacking) skip(lacking)
  const program = build('build-windows', windowsBuild())
  const { command, args, env } = wine([`${program('kernelet_tests')}.exe`])
  await test(command, args, env)
} else if (mode === 'avx512') {
  if (process.arch !== 'x64') skip('emulating AVX-512 takes an x64 machine')
  const cpu = process.platform === 'linux' ? readFileSync('/proc/cpuinfo', 'utf8') : 'avx2 fma'
  if (!/\bavx2\b/.test(cpu) || !/\bfma\b/.test(cpu)) skip('emulating AVX-512 takes a CPU with AVX2 and FMA')
  const program = build('build-emulated', ['-DKERNELET_EMULATE_AVX512=ON'])
  await test(program('kernelet_emulation_check'))
  await test(program('kernelet_tests'), [], { KERNELET_ISA: 'avx512' })
} else if (mode === 'bochs') {
  if (process.platform !== 'linux' || process.arch !== 'x64') skip('the emulated PC wants Linux on x64')
  const lacking = missing()
  if (lacking) skip(lacking)
  const program = build('build-static', ['-DCMAKE_EXE_LINKER_FLAGS=-static'])
  const compiler = ['c++', '-std=c++17', '-O2', '-static', '-ffp-contract=off', '-DNDEBUG']
  const folder = join(root, 'build-bochs')
  mkdirSync(folder, { recursive: true })
  const compile = (source, out, ...flags) =>
    run(compiler[0], [
      ...compiler.slice(1),
      ...flags,
      join(root, 'native/tests/emulate', source),
      '-o',
      join(folder, out),
    ])
  compile('init.cc', 'init')
  compile('check.cc', 'check', '-mavx512f', '-mavx512vl', '-mavx512dq', '-mavx512bw', '-mfma')
  // the whole tier takes a quarter of an hour there; its digest covers every kernel in seconds
  const words = process.argv.slice(3)
  const cases = words.length > 0 ? [words] : ['digest', 'forced_tier'].map((suite) => ['avx512', suite])
  const commands = [[join(folder, 'check')], ...cases.map((words) => [program('kernelet_tests'), ...words])]
  const results = boot(folder, join(folder, 'init'), commands, 3600)
  if (!results) skip("Debian's kernel package linux-image-cloud-amd64 cannot be downloaded here")
  for (const [i, result] of results.entries()) {
    process.stdout.write(result.output)
    tally(`${commands[i].join(' ')} on bochs`, result)
  }
} else if (mode === 'old-cpus') {
  if (process.arch !== 'x64') skip('the older CPUs are x64 ones')
  const qemu = which('qemu-x86_64-static') ?? need('qemu-x86_64', 'qemu-user-static')
  const program = buildBesideAddon()
  // The digest covers every kernel; the whole tests take ten minutes. qemu 7.2 loads the masked lanes of vmaskmovps too, which
  // a CPU does not: buffers leave room for a register before the page that may not be read.
  for (const [cpu, best] of Object.entries({ Nehalem: 'sse', Haswell: 'avx2' })) {
    for (const word of ['digest', 'isa', 'forced_tier']) {
      const command = ['-cpu', cpu, '-E', 'KERNELET_TESTS_ROOM=64', program('kernelet_tests'), word]
      const result = capture(qemu, command)
      process.stdout.write(result.stdout)
      tally(`kernelet_tests ${word} on ${cpu}`, { ...result, output: result.stdout })
      const tiers = [...result.stdout.matchAll(/^(scalar|sse|avx2|avx512): /gm)].map((match) => match[1])
      if (tiers.at(-1) === best) total.passed++
      else {
        total.failed++
        console.log(`FAIL on ${cpu} the best tier is ${best}, but it took ${tiers.join(', ') || 'none'}`)
      }
    }
  }
} else {
  die(
    `native tests: no mode '${mode}': host, sanitize, threads, arm64, windows, avx512, bochs or old-cpus`,
    2,
  )
}

console.log(`${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed === 0 ? 0 : 1
