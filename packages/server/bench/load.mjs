/** Requests of one image over HTTP, until it is told to stop, or at a rate. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** A binary request of one image of zeros. */
export function oneImage(input, datatype, shape) {
  const size = shape.reduce((product, n) => product * n, datatype === 'UINT8' ? 1 : 4)
  const head = Buffer.from(
    JSON.stringify({ inputs: [{ name: input, datatype, shape, parameters: { binary_data_size: size } }] }),
  )
  return {
    body: Buffer.concat([head, Buffer.alloc(size)]),
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(head.length),
    },
  }
}

export const digit = oneImage('image', 'UINT8', [1, 1, 28, 28])

/** Sends a request; the status of its answer, or what broke. */
export function send(url, agent, { body, headers }) {
  return new Promise((resolve) => {
    const broken = (error) => resolve(error.code ?? error.message)
    const sent = request(url, { agent, method: 'POST', headers }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
      response.on('error', broken)
    })
    sent.on('error', broken)
    sent.end(body)
  })
}

/** So many clients that ask again as soon as they are answered, until `stop` is called or nothing listens any more. */
export function clients(url, count, call = digit) {
  const agent = new Agent({ keepAlive: true, maxSockets: count })
  const came = new Map()
  let running = true
  let longest = 0
  const all = Promise.all(
    Array.from({ length: count }, async () => {
      while (running) {
        const begin = performance.now()
        const status = await send(url, agent, call)
        longest = Math.max(longest, performance.now() - begin)
        came.set(status, (came.get(status) ?? 0) + 1)
        if (status === 'ECONNREFUSED') await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }),
  )
  return {
    /** How many have been answered. */
    answered: () => came.get(200) ?? 0,
    async stop() {
      running = false
      await all
      agent.destroy()
      /** Answers by status, and the longest wait in milliseconds. */
      return { came: Object.fromEntries(came), longest }
    },
  }
}

/** Processes that serve, as the log tells. */
export function workersOf(log) {
  const dead = new Set(log.map(({ worker }) => worker))
  return log.flatMap(({ msg, pid }) => (msg === 'listening' && !dead.has(pid) ? [Number(pid)] : []))
}

/** Starts `kernelet serve` on any port; resolves when it serves. */
export async function start(...args) {
  const child = spawn(process.execPath, [`${root}bin/kernelet.js`, 'serve', '--port', '0', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log = []
  let rest = ''
  let errors = ''
  const ended = once(child, 'close').then(([code]) => code)
  child.stderr.on('data', (bytes) => {
    errors += bytes
  })
  const address = await new Promise((resolve, reject) => {
    child.stdout.on('data', (bytes) => {
      const lines = (rest + bytes).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const entry = JSON.parse(line)
        log.push(entry)
        if (entry.msg === 'serving') resolve(String(entry.address))
      }
    })
    ended.then((code) => reject(new Error(`ended with ${code}: ${errors}`)))
  })
  return { child, address, log, ended }
}
