/**
 * npm run fuzz:native [-- --seconds 600] [--jobs N] [--runs N] [libFuzzer's own options]: builds native/fuzz with clang's
 * libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, and runs it from the inputs in native/fuzz/corpus. What
 * it learns stays in build-fuzz/corpus, what fails is written to fuzz-failures/: put that into native/fuzz/corpus with
 * the change that mends it. `--runs N` with a `-seed=` takes the same N inputs every time, on a machine of any speed.
 * `--merge` adds to native/fuzz/corpus what reaches code that nothing in it does.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { capture, die, dropForeignBuild, jobs, requireToolchain, root, run, which } from './util.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '600' },
    jobs: { type: 'string', default: '1' },
    runs: { type: 'string' },
    merge: { type: 'boolean', default: false },
  },
})
const runs = values.runs === undefined ? undefined : Number(values.runs)
if (runs !== undefined && !(Number.isSafeInteger(runs) && runs > 0))
  die(`--runs must be a whole number above 0 but is ${values.runs}`, 2)
const seconds = Number(values.seconds)
if (!(seconds > 0)) die(`--seconds must be a number above 0 but is ${values.seconds}`, 2)

const compiler = [process.env.CXX, 'clang++'].find((name) => name && which(name) && links(name))
if (!compiler) {
  console.log(
    'native fuzzing skipped: no clang++ here links -fsanitize=fuzzer (Debian: clang, libclang-rt-dev)',
  )
  process.exit(0)
}
requireToolchain()
const build = join(root, 'build-fuzz')
dropForeignBuild(build)
console.log(`building native/fuzz in build-fuzz with ${compiler}`)
const options = ['-DCMAKE_BUILD_TYPE=Release', '-DKERNELET_FUZZ=ON', `-DCMAKE_CXX_COMPILER=${compiler}`]
run('cmake', ['-S', root, '-B', build, ...options], { quiet: true })
run('cmake', ['--build', build, '--target', 'kernelet_fuzz', '--parallel', jobs], { quiet: true })

const kept = join(root, 'native/fuzz/corpus')
const learnt = join(build, 'corpus')
const failures = join(root, 'fuzz-failures')
for (const folder of [kept, learnt, failures]) mkdirSync(folder, { recursive: true })
const limits = ['-timeout=60', '-rss_limit_mb=512', '-max_len=400', `-artifact_prefix=${failures}/`]
const empty = join(build, 'empty')
// What it learns must not depend on the time or on addresses.
const steady = ['-reload=0', '-use_cmp=0']
const work = values.merge
  ? ['-set_cover_merge=1', '-use_counters=0', kept, learnt]
  : runs !== undefined
    ? [
        `-runs=${runs}`,
        ...steady,
        '-len_control=0',
        '-print_final_stats=1',
        '-verbosity=0',
        fresh(empty),
        kept,
      ]
    : [
        ...[`-max_total_time=${seconds}`, '-len_control=0', '-print_final_stats=1', '-verbosity=0'],
        ...[`-fork=${values.jobs}`, learnt, kept],
      ]
const target = join(build, 'kernelet_fuzz')
const still = runs !== undefined && which('setarch') && capture('setarch', ['-R', 'true']).status === 0
const [program, ...prefix] = still ? ['setarch', '-R', target] : [target]
run(program, [...prefix, ...limits, ...work, ...positionals], {
  // graphs may ask for more memory than there is: that is bad_alloc, which plans pass on
  env: { ASAN_OPTIONS: 'allocator_may_return_null=1', UBSAN_OPTIONS: 'print_stacktrace=1' },
})
console.log(values.merge ? 'native/fuzz/corpus is complete' : 'nothing failed')

/** What was learnt before would change what comes next. */
function fresh(folder) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  return folder
}

/** Debian's clang comes without the libraries for it. */
function links(name) {
  const args = ['-fsanitize=fuzzer,address,undefined', '-x', 'c++', '-', '-o', '/dev/null']
  const target = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }'
  return capture('sh', ['-c', `printf '%s' '${target}' | "$0" "$@"`, which(name), ...args]).status === 0
}
