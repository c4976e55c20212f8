/**
 * What may go wrong, for as long as it takes; short forms are in `npm test`.
 *
 * `node packages/server/bench/faults.mjs kills 1000 300`: worker processes killed under load, one every 300 ms
 * `node packages/server/bench/faults.mjs terms 50`: SIGTERM under load
 * `node packages/server/bench/faults.mjs overload 60`: twice the load that it can take, for so many seconds
 * `node packages/server/bench/faults.mjs malformed 100000`: requests that are wrong
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { saveOnnx } from 'kernelet'
import { Heavy } from './heavy.mjs'
import { clients, oneImage, send, start, workersOf } from './load.mjs'
import { malform } from './malformed.mjs'

const infer = (address) => `${address}/v2/models/digits/infer`

/** Resident memory of a process, in megabytes. */
function memory(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

/** One that has died already is as good. */
function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

/**
 * Milliseconds in which no worker listened: how often, their sum, and the longest. The socket is closed in these, and a
 * connection that comes at that very moment may be lost: the client's TCP asks again after a second.
 */
function outages(log) {
  const events = log
    .flatMap(({ msg, time, pid, worker }) => {
      if (msg === 'listening') return [{ time, pid, up: true }]
      return worker === undefined ? [] : [{ time, pid: worker, up: false }]
    })
    .sort((a, b) => a.time - b.time)
  const up = new Set()
  const lengths = []
  let since
  for (const { time, pid, up: starts } of events) {
    if (starts) up.add(pid)
    else up.delete(pid)
    if (up.size === 0) since ??= time
    else if (since !== undefined) {
      lengths.push(time - since)
      since = undefined
    }
  }
  lengths.sort((a, b) => b - a)
  return { count: lengths.length, sum: lengths.reduce((sum, n) => sum + n, 0), longest: lengths.slice(0, 5) }
}

async function kills(count, every = 300) {
  const { child, address, log, ended } = await start('--workers', '4')
  const { stop } = clients(infer(address), 16)
  for (let i = 0; i < count; i++) {
    await pause(every)
    const workers = workersOf(log)
    const victim = workers[Math.floor(Math.random() * workers.length)]
    if (victim !== undefined) kill(victim)
  }
  const { came, longest } = await stop()
  child.kill('SIGTERM')
  console.log({ kills: count, came, longest: Math.round(longest), outages: outages(log), exit: await ended })
}

async function terms(count) {
  const lost = {}
  let answered = 0
  for (let i = 0; i < count; i++) {
    const { child, address, ended } = await start('--workers', String(1 + (i % 2)))
    const { stop } = clients(infer(address), 8)
    await pause(300)
    child.kill('SIGTERM')
    const code = await ended
    const { came } = await stop()
    answered += came[200] ?? 0
    for (const [status, n] of Object.entries(came)) {
      if (status !== '200' && status !== 'ECONNREFUSED') lost[status] = (lost[status] ?? 0) + n
    }
    if (code !== 0) lost[`exit ${code}`] = (lost[`exit ${code}`] ?? 0) + 1
  }
  console.log({ terms: count, answered, lost })
}

/** Milliseconds that a batch may wait for more, by default. */
const DELAY = 0.2

async function overload(seconds) {
  const folder = mkdtempSync(join(tmpdir(), 'kernelet-faults-'))
  const file = join(folder, 'heavy.onnx')
  saveOnnx(new Heavy().eval(), file, { inputShape: [3, 96, 96] })
  const call = oneImage('input', 'UINT8', [1, 3, 96, 96])
  const agent = new Agent({ keepAlive: true, maxSockets: 512 })
  const serve = (...more) => start('--model', `heavy=${file}`, '--max-batch', '8', '--queue', '8', ...more)
  const quiet = await serve()
  const alone = []
  for (let i = 0; i < 500; i++) {
    const begin = performance.now()
    await send(`${quiet.address}/v2/models/heavy/infer`, agent, call)
    alone.push(performance.now() - begin)
  }
  const warm = clients(`${quiet.address}/v2/models/heavy/infer`, 8, call)
  await pause(3000)
  const capacity = ((await warm.stop()).came[200] ?? 0) / 3
  quiet.child.kill('SIGTERM')
  await quiet.ended
  const at = (list, q) =>
    Number((list.sort((a, b) => a - b)[Math.floor(q * list.length)] ?? Number.NaN).toFixed(2))
  // an answer may take twice what it takes where nobody else asks
  const maxWait = `${(2 * at(alone, 0.5)).toFixed(1)}ms`
  const { child, address, ended } = await serve('--max-wait', maxWait)
  const url = `${address}/v2/models/heavy/infer`
  const rate = 2 * capacity
  const accepted = []
  const refused = []
  const others = {}
  const before = memory(child.pid)
  let most = before
  let sent = 0
  const open = new Set()
  const begin = performance.now()
  while (performance.now() - begin < 1000 * seconds) {
    const due = ((performance.now() - begin) / 1000) * rate
    for (; sent < due; sent++) {
      const at = performance.now()
      const one = send(url, agent, call).then((status) => {
        open.delete(one)
        if (status === 200) accepted.push(performance.now() - at)
        else if (status === 503) refused.push(performance.now() - at)
        else others[status] = (others[status] ?? 0) + 1
      })
      open.add(one)
    }
    most = Math.max(most, memory(child.pid))
    await pause(1)
  }
  await Promise.all(open)
  child.kill('SIGTERM')
  console.log({
    capacity: Math.round(capacity),
    maxWait,
    sent: Math.round(sent / seconds),
    alone: { p50: at(alone, 0.5), p99: at(alone, 0.99) },
    accepted: { count: accepted.length, p50: at(accepted, 0.5), p99: at(accepted, 0.99) },
    /** Of what is accepted and of one alone, the delay of batches aside; the goal is 3 at most. */
    ratio: Number(((at(accepted, 0.99) - DELAY) / at(alone, 0.99)).toFixed(2)),
    refused: { count: refused.length, p50: at(refused, 0.5), p99: at(refused, 0.99) },
    others,
    megabytes: { before: Math.round(before), most: Math.round(most) },
    exit: await ended,
  })
  agent.destroy()
  rmSync(folder, { recursive: true })
}

async function malformed(count) {
  const picture = readFileSync(new URL('../../../examples/digits/5-dotted-pen.png', import.meta.url))
  const { child, address, ended } = await start()
  for (let seed = 1; seed <= 10; seed++) {
    const { statuses, hung } = await malform(address, { count: count / 10, seed, picture, clients: 32 })
    console.log(statuses, { hung, megabytes: Math.round(memory(child.pid)) })
  }
  child.kill('SIGTERM')
  console.log({ exit: await ended })
}

const faults = {
  kills: [kills, 1000],
  terms: [terms, 50],
  overload: [overload, 60],
  malformed: [malformed, 100_000],
}
const [name = '', count, every] = process.argv.slice(2)
const fault = Object.hasOwn(faults, name) ? faults[name] : undefined
if (fault) await fault[0](Number(count ?? fault[1]), every === undefined ? undefined : Number(every))
else {
  console.error(`one of ${Object.keys(faults).join(', ')}`)
  process.exitCode = 2
}
