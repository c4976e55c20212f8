/**
 * Runs a target's inputs in a child process, which may crash, hang or fill memory: then another takes over behind the
 * input that did it. Whatever seems to be a failure is tried again alone before it counts.
 */
import { fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { patience, tooLarge } from './limits.mjs'

const child = new URL('child.mjs', import.meta.url)

/** Inputs after which a child makes room for another: what one forgets to free must not look like the next one's. */
const most = 200_000

/**
 * @param {{ target: string, extension: string, seed: number, from?: number, count?: number, milliseconds?: number,
 *   files?: string[], failures: string, report?: (done: number) => void }} job `count` inputs from number `from` on,
 *   or as many as the time allows; or these files
 * @returns {Promise<{ done: number, failed: { kind: string, file: string, message: string, times: number }[] }>} by kind
 *   of failure; the inputs are written to the folder `failures`
 */
export async function supervise(job) {
  const { from = 0, milliseconds = Number.POSITIVE_INFINITY, failures } = job
  const last = job.files ? job.files.length : from + (job.count ?? Number.MAX_SAFE_INTEGER)
  const until = Date.now() + milliseconds
  const found = new Map()
  const add = ({ index, kind, message, input }) => {
    const key = `${kind} ${signature(message)}`
    const known = found.get(key)
    if (known) {
      known.times++
      return
    }
    mkdirSync(failures, { recursive: true })
    const file = job.files
      ? job.files[index]
      : join(failures, `${job.target}-${job.seed}-${index}.${job.extension}`)
    if (!job.files && input) writeFileSync(file, input)
    writeFileSync(join(failures, `${job.target}-${job.seed}-${index}.txt`), `${kind}\n${message}\n`)
    found.set(key, { kind, file, message, times: 1 })
  }
  let next = from
  while (next < last && Date.now() < until) {
    const end = await runChild(job, next, Math.min(last, next + most), until, add)
    next = end.next
    if (end.kind === undefined) continue
    const again = await alone(job, end.next - 1)
    if (again.kind) add({ index: end.next - 1, ...again })
    else if (end.kind === 'crash')
      add({ ...end, index: end.next - 1, message: `${end.message}\n(not when run alone)` })
  }
  return { done: next - from, failed: [...found.values()] }
}

/** Milliseconds of processor time that a process has used; undefined where the system does not tell it as Linux does. */
function processorTime(pid) {
  if (process.platform !== 'linux') return undefined
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
    return 10 * (Number(fields[11]) + Number(fields[12]))
  } catch {
    // it has ended
    return 0
  }
}

/** One input in a child of its own. */
async function alone(job, index) {
  const folder = mkdtempSync(join(tmpdir(), 'kernelet-fuzz-'))
  const inputFile = join(folder, 'input')
  let wrong
  try {
    const end = await runChild({ ...job, inputFile }, index, index + 1, Number.POSITIVE_INFINITY, (one) => {
      wrong = one
    })
    const [input, text] = [inputFile, `${inputFile}.txt`].map((file) => readFileSync(file, { flag: 'a+' }))
    return wrong ?? { kind: end.kind, message: `${end.message}\n${text}`, input }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/**
 * @returns what came next when the child ended, and why it did: no `kind` when all was well, else 'crash', 'hang' or
 *   'memory' of the input before `next`
 */
function runChild(job, from, to, until, add) {
  const folder = mkdtempSync(join(tmpdir(), 'kernelet-fuzz-'))
  const stateFile = join(folder, 'state')
  writeFileSync(stateFile, '')
  const { target, seed, files, inputFile } = job
  const worker = fork(child, [JSON.stringify({ target, seed, from, to, stateFile, inputFile, files })], {
    cwd: folder,
    execArgv: ['--max-old-space-size=256', ...(target === 'arguments' ? ['--expose-gc'] : [])],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  return new Promise((resolve, reject) => {
    let errors = ''
    let hung = false
    let stopped = false
    let finished = false
    let [seen, since, used] = [-1, Date.now(), 0]
    const current = () => {
      const bytes = readFileSync(stateFile)
      return bytes.length === 8 ? bytes.readDoubleLE() : -1
    }
    const timer = setInterval(() => {
      const now = current()
      if (now !== seen) [seen, since, used] = [now, Date.now(), processorTime(worker.pid)]
      const waited = Date.now() - since
      // its own time, not that of others on a busy machine; until the first input it loads what it needs
      const worked = used === undefined ? waited : processorTime(worker.pid) - used
      hung = waited > 12 * patience || (now >= 0 && worked > patience)
      stopped = Date.now() > until
      if (hung || stopped) worker.kill('SIGKILL')
    }, 100)
    worker.stderr.on('data', (data) => {
      errors = (errors + data).slice(-4000)
    })
    worker.on('message', (message) => {
      if (message.finished) finished = true
      if (message.done !== undefined) job.report?.(message.done)
      if (message.failure === undefined) return
      const { index, failure, input } = message
      add({ index, kind: 'error', message: failure, input: Buffer.from(input, 'base64') })
    })
    worker.once('close', (code, signal) => {
      clearInterval(timer)
      const at = current()
      rmSync(folder, { recursive: true, force: true })
      if (finished) resolve({ next: to })
      else if (at < 0 && stopped) resolve({ next: from })
      else if (at < 0) reject(new Error(`the fuzzer's child did not start: ${code ?? signal}\n${errors}`))
      else if (hung) resolve({ next: at + 1, kind: 'hang', message: `more than ${patience / 1000} s` })
      else if (stopped) resolve({ next: at })
      else if (code === 3) resolve({ next: at + 1, kind: 'memory', message: `more than ${tooLarge} MB` })
      else resolve({ next: at + 1, kind: 'crash', message: `exit ${code ?? signal}\n${errors}` })
    })
  })
}

/** What tells failures apart: the error's first line without its numbers and names, and where it was thrown. */
function signature(message) {
  const lines = message.split('\n')
  const place = lines.find((line) => /^\s+at /.test(line))?.trim() ?? ''
  return `${(lines[0] ?? '').replace(/"[^"]*"|\d+/g, '#').slice(0, 120)} ${place}`
}
