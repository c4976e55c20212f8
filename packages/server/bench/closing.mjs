/**
 * `node packages/server/bench/closing.mjs [SECONDS]`: a socket that is closed and opened again, over and over, without
 * anything of ours, and how many connections to it take a second. The kernel drops a SYN that comes while a listening
 * socket is closed, and TCP sends it again after a second: what a client of a server may meet whose last process dies.
 */
import { connect, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { isMainThread, Worker, workerData } from 'node:worker_threads'

/** Milliseconds from which on a connection was asked for twice. */
const LATE = 900

async function closeAndOpen(port) {
  for (;;) {
    const server = createServer((socket) => socket.destroy())
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
    await pause(2)
    await new Promise((resolve) => server.close(resolve))
  }
}

/** Milliseconds until there is a connection, or it is refused or reset. */
function once(port) {
  const begin = performance.now()
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = () => {
      socket.destroy()
      resolve(performance.now() - begin)
    }
    socket.once('connect', end)
    socket.once('error', end)
  })
}

if (isMainThread) {
  const seconds = Number(process.argv[2] ?? 20)
  const port = 18700
  const worker = new Worker(new URL(import.meta.url), { workerData: port })
  const end = performance.now() + 1000 * seconds
  let connections = 0
  let late = 0
  const client = async () => {
    for (; performance.now() < end; connections++) if ((await once(port)) > LATE) late++
  }
  await Promise.all(Array.from({ length: 16 }, client))
  await worker.terminate()
  console.log({ asked: connections, late })
} else await closeAndOpen(workerData)
