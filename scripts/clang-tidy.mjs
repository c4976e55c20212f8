/** Runs .clang-tidy's checks over native/, in which the tests and benchmarks are left out: their bugs fail loudly. */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { die, jobs, root, which } from './util.mjs'

const program = process.env.CLANG_TIDY ?? 'clang-tidy'
if (!which(program)) {
  console.log('clang-tidy is not installed (Debian: apt install clang-tidy): native/ stays unchecked by it')
  process.exit(0)
}

const flags = ['-std=c++17', '-Inative', '-ffp-contract=off']
const headers = ['node-addon-api', 'node-api-headers/include'].flatMap((folder) => [
  '-isystem',
  `node_modules/${folder}`,
])
const napi = ['-DNAPI_VERSION=8', '-DNAPI_CPP_EXCEPTIONS', ...headers]
// the tier that has nothing of its own stands for all: one source
const tier = ['-DKERNELET_ISA=scalar', '-DKERNELET_ISA_SCALAR=1', '-Wno-unused-function']
const core = ['-DKERNELET_TIER_0=scalar']

function extra(file) {
  if (file.includes('/tier/')) return tier
  return /^native\/(addon\.cc|bindings)/.test(file) ? napi : core
}

const files = readdirSync(join(root, 'native'), { recursive: true })
  .map((file) => join('native', file).replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.cc') && !/^native\/(tests|bench|fuzz|compat)\//.test(file))
  .sort()

function check(file) {
  return new Promise((resolve) => {
    const child = spawn(program, ['--quiet', file, '--', ...flags, ...extra(file)], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let output = ''
    child.stdout.on('data', (data) => {
      output += data
    })
    child.on('close', (code) => resolve({ file, code, output }))
  })
}

let wrong = 0
async function work(queue) {
  for (let file = queue.shift(); file; file = queue.shift()) {
    const { code, output } = await check(file)
    if (code === 0) continue
    wrong++
    console.log(output || `${file}: clang-tidy ended with ${code}`)
  }
}
const queue = [...files]
await Promise.all(Array.from({ length: Number(jobs) }, () => work(queue)))
if (wrong > 0) die(`clang-tidy: findings in ${wrong} file(s)`)
console.log(`${files.length} files checked with clang-tidy`)
