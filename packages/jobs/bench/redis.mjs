/** A redis-server of one's own, and processes of `kernelet jobs` on it. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { root } from './pictures.mjs'

const program = join(root, 'bin/kernelet.js')

/** Whether there is a redis-server on this machine. */
export const installed = spawnSync('redis-server', ['--version']).status === 0

/** Whether a Redis there has its data, or asks for a password first. */
function answers(socket) {
  return new Promise((resolve) => {
    const connection = connect(socket, () => connection.write('PING\r\n'))
    connection.on('data', (bytes) => {
      resolve(!String(bytes).includes('LOADING'))
      connection.destroy()
    })
    connection.on('error', () => undefined)
    connection.on('close', () => resolve(false))
  })
}

/** @param {string} folder @param {string[]} settings of redis-server */
export async function startRedis(folder, settings = []) {
  const socket = join(folder, 'redis.sock')
  const url = `unix://${socket}`
  const log = join(folder, 'redis.log')
  let child
  const start = async () => {
    const own = ['--port', '0', '--unixsocket', socket, '--dir', folder, '--logfile', log, '--save', '']
    rmSync(socket, { force: true })
    child = spawn('redis-server', [...own, '--appendonly', 'yes', ...settings], { stdio: 'ignore' })
    while (!(await answers(socket))) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`redis-server did not start: see ${log}`)
      await pause(25)
    }
  }
  const stop = async (signal = 'SIGTERM') => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }
  await start()
  // one that outlives its server is of no interest
  const client = () => new Redis(socket).on('error', () => undefined)
  return { url, socket, start, stop, client }
}

/** Runs a command of `kernelet jobs` to its end. */
export async function command(url, args, options = {}) {
  const { child, output } = begin(url, args, options)
  await once(child, 'close')
  return { status: child.exitCode, ...output }
}

/** Starts one. */
export function begin(url, args, { node = [], env = {}, wrapper = [], ...options } = {}) {
  const [file, ...words] = [...wrapper, process.execPath, ...node, program, 'jobs', ...args]
  const child = spawn(file, words, {
    ...options,
    env: { ...process.env, KERNELET_JOBS_REDIS: url, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => {
      output[name] += text
    })
  }
  return { child, output }
}

/** Memory of a process in MB, resident now and at most. */
export function memoryOf(pid) {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  const of = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(text)?.[1] ?? 0) / 1024
  return { now: of('VmRSS'), most: of('VmHWM') }
}
