import { type ChildProcess, execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { Classifier } from 'kernelet'
import { describe, expect, test } from 'vitest'
import { freePort } from '../../../tests/free-port.ts'
import { command, startRedis } from '../bench/redis.mjs'
import { runChunk } from '../lib/chunk.ts'
import type { Status } from '../lib/control.ts'
import type { Limits } from '../lib/sources.ts'
import { MANIFEST, partOf, type Spec } from '../lib/spec.ts'
import { Folder } from '../lib/store/folder.ts'
import {
  atEnd,
  classified,
  folder,
  linesOf,
  noRedis,
  pictures,
  redis,
  stopped,
  stopping,
  until,
  work,
} from './helpers.ts'

const hash = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')
const path = noRedis ? '' : pictures(400)

async function submit(url: string, ...args: string[]): Promise<Spec> {
  const { stdout, stderr } = await command(url, ['submit', ...args, '--json'])
  expect(stderr).toBe('')
  return JSON.parse(stdout) as Spec
}

async function statusOf(url: string, id: string): Promise<Status> {
  return JSON.parse((await command(url, ['status', id, '--json'])).stdout) as Status
}

/** Seconds of processor time that a process has used. */
function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Until a process has hardly worked for two seconds: one that asks without a pause never does. */
async function rests({ pid = 0 }: ChildProcess): Promise<void> {
  await until('it rests', async () => {
    const before = processorTime(pid)
    await new Promise((resolve) => setTimeout(resolve, 2000))
    return processorTime(pid) - before < 0.2
  })
}

describe.skipIf(noRedis)('troubles', () => {
  test('workers killed, Redis restarted: every picture once, in order', async () => {
    const server = await redis(['--appendfsync', 'always'])
    const out = folder()
    const { id } = await submit(server.url, path, '--out', out, '--chunk', '10')
    const workers = [work(server.url), work(server.url)]
    const done = command(server.url, ['status', id, '--watch'])
    for (let kills = 0; kills < 3; kills++) {
      await until('chunks done', async () => (await statusOf(server.url, id)).chunksDone >= 4 * (kills + 1))
      workers.shift()?.child.kill('SIGKILL')
      workers.push(work(server.url))
      if (kills === 1) {
        await server.stop('SIGKILL')
        await server.start()
      }
    }
    await done
    // asked again: the watch itself may have lost Redis
    await until('the end', async () => (await statusOf(server.url, id)).state === 'done')
    expect(linesOf(out)).toEqual(classified(path))
  })

  test('a Redis that has lost everything: the same submit goes on from what is there', async () => {
    const server = await redis()
    const out = folder()
    await submit(server.url, path, '--out', out, '--chunk', '2', '--id', 'again')
    const worker = work(server.url, ['--concurrency', '1'], stopping)
    await stopped(worker.child)
    worker.child.kill('SIGKILL')
    const client = server.client()
    await client.flushall()
    client.disconnect()
    await submit(server.url, path, '--out', out, '--chunk', '2', '--id', 'again')
    expect((await statusOf(server.url, 'again')).chunksDone).toBe(8)
    await once(work(server.url, ['--until-done']).child, 'close')
    expect(linesOf(out)).toEqual(classified(path))
  })

  test('chunks that Redis has lost are told of, and begun again', async () => {
    const server = await redis()
    const { id } = await submit(server.url, path, '--out', folder())
    const client = server.client()
    for (const key of await client.keys('kernelet:jobs:*')) await client.del(key)
    client.disconnect()
    expect((await statusOf(server.url, id)).state).toBe('lost')
    const worker = work(server.url)
    expect((await command(server.url, ['retry', id, '--wait'])).status).toBe(0)
    worker.child.kill('SIGTERM')
  })

  test('without Redis: a command says so and ends, a worker waits without haste', async () => {
    const nowhere = `unix://${join(folder(), 'none.sock')}`
    expect(await command(nowhere, ['status'])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/Redis at .*none\.sock does not answer: .*ENOENT/),
    })
    const { child, output } = work(nowhere)
    await until('a word', () => output.stderr.includes('does not answer'))
    await rests(child)
    expect(output.stderr.trimEnd().split('\n').length).toBeLessThan(6)
    child.kill('SIGTERM')
    await once(child, 'close')
    expect(child.exitCode).toBe(0)
  })

  test('a Redis that takes connections and says nothing: a command ends in words, a worker waits, and has it later', async () => {
    const place = folder()
    const socket = join(place, 'redis.sock')
    const taken = new Set<Socket>()
    const silent = createServer((connection) => {
      taken.add(connection.on('error', () => undefined).resume())
    }).listen(socket)
    await once(silent, 'listening')
    const url = `unix://${socket}`
    const begin = performance.now()
    const { child, output } = work(url)
    const answers = await Promise.all([
      command(url, ['status']),
      command(url, ['submit', path, '--out', folder()]),
    ])
    for (const answer of answers) {
      expect(answer).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(
          /Redis at .*redis\.sock does not answer: it took the connection, but was not ready in 10 seconds/,
        ),
      })
    }
    expect(performance.now() - begin).toBeGreaterThan(9000)
    await until('a word', () => output.stderr.includes('takes connections, but says nothing on them'))
    await rests(child)
    expect(output.stderr.trimEnd().split('\n').length).toBeLessThan(6)
    // in its place a Redis that speaks
    silent.close()
    for (const connection of taken) connection.destroy()
    const server = await startRedis(place)
    atEnd(() => server.stop('SIGKILL'))
    await until('its answer', () => output.stderr.includes('redis.sock answers'))
    child.kill('SIGKILL')
  })

  test('a chunk at which every worker dies is set aside; the others are done', async () => {
    const server = await redis()
    const out = folder()
    const { id } = await submit(server.url, path, '--out', out, '--chunk', '40')
    const crash = ['--import', new URL('crash.mjs', import.meta.url).pathname]
    const args = ['--lease', '3', '--crashes', '2', '--concurrency', '1']
    const begin = performance.now()
    let [deaths, said, ended] = [0, '', false]
    // as systemd or Kubernetes would, but at once
    const supervised = (async () => {
      while (!ended) {
        const { child, output } = work(server.url, args, { node: crash })
        const watch = setInterval(() => ended && child.kill('SIGTERM'), 100)
        await once(child, 'close')
        clearInterval(watch)
        said += output.stderr
        if (child.signalCode === 'SIGKILL') deaths++
      }
    })()
    expect((await command(server.url, ['status', id, '--watch'])).status).toBe(1)
    ended = true
    await supervised
    expect(deaths).toBe(2)
    // not before the lease was over each time
    expect(performance.now() - begin).toBeGreaterThan(6000)
    expect(said).toMatch(
      /chunk 3: each worker that took it died at it, or lost Redis \(--crashes\); given up/,
    )
    expect(await statusOf(server.url, id)).toMatchObject({ state: 'incomplete', chunksSetAside: 1 })
    const expected = classified(path)
    const rows = linesOf(out)
    expect(rows).toHaveLength(expected.length)
    expect(rows.filter((row, i) => row === expected[i])).toHaveLength(expected.length - 40)
    expect(rows[125]).toMatch(
      /"code":"ERR_SET_ASIDE","message":"Chunk 3 was set aside: each worker that took it died/,
    )
    // when it is mended, the rest is done
    const worker = work(server.url)
    expect((await command(server.url, ['retry', id, '--wait'])).status).toBe(0)
    expect(linesOf(out)).toEqual(expected)
    worker.child.kill('SIGTERM')
  })

  test('a worker with another model, or another library, refuses the job and says why; the right one does it', async () => {
    const server = await redis()
    const out = folder()
    const model = join(folder(), 'other.safetensors')
    const bytes = readFileSync(new URL('../../../models/lenet5-mnist.safetensors', import.meta.url))
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1
    writeFileSync(model, bytes)
    const { id } = await submit(server.url, path, '--out', out, '--chunk', '10')
    const wrong = work(server.url, ['--model', model])
    await until('a note', async () => (await statusOf(server.url, id)).notes.length > 0)
    const { notes, state } = await statusOf(server.url, id)
    expect(notes[0]?.message).toMatch(
      /wants the model [0-9a-f]{12} \(the shipped digits\), but --model is [0-9a-f]{12}/,
    )
    expect(state).toBe('running')
    await rests(wrong.child)
    const right = work(server.url)
    expect((await command(server.url, ['status', id, '--watch'])).status).toBe(0)
    expect(linesOf(out)).toEqual(classified(path))
    for (const { child } of [wrong, right]) child.kill('SIGKILL')

    const next = await submit(server.url, path, '--out', folder(), '--model', model, '--id', 'changed')
    const client = server.client()
    const record = `kernelet:record:${next.id}`
    await client.hset(record, 'spec', JSON.stringify({ ...next, library: '9.9.9' }))
    work(server.url)
    await until('a note', async () => (await statusOf(server.url, 'changed')).notes.length > 0)
    expect((await statusOf(server.url, 'changed')).notes[0]?.message).toMatch(
      /wants kernelet 9\.9\.9, but this worker has \d/,
    )
    client.disconnect()
  })

  const mountable = spawnSync('unshare', ['--mount', 'true']).status === 0
  if (!mountable) console.warn('skipped: no right to mount a small disk')
  test.skipIf(!mountable)('a full disk costs no attempt: when there is room again, it goes on', async () => {
    const server = await redis()
    const out = folder()
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'none', out])
    atEnd(() => spawnSync('umount', ['-l', out]))
    const { id } = await submit(server.url, path, '--out', out, '--chunk', '50', '--attempts', '1')
    const filler = join(out, 'filler')
    writeFileSync(filler, new Uint8Array(420 * 1024))
    const worker = work(server.url)
    await until('a word', () => worker.output.stderr.includes('no space is left there'))
    await until('a note', async () => (await statusOf(server.url, id)).notes.length > 0)
    const status = await statusOf(server.url, id)
    expect(status).toMatchObject({ state: 'running', chunksSetAside: 0 })
    expect(status.notes[0]?.message).toMatch(/cannot be written: no space is left there/)
    execFileSync('mount', ['-o', 'remount,size=64m', out])
    rmSync(filler)
    expect((await command(server.url, ['status', id, '--watch'])).status).toBe(0)
    expect(linesOf(out)).toEqual(classified(path))
  })

  test('a share that is gone is no fault of its pictures', async () => {
    const server = await redis()
    const [share, out] = [join(folder(), 'share'), folder()]
    mkdirSync(share)
    execFileSync('cp', ['-r', join(path, '0000'), share])
    const { id } = await submit(server.url, share, '--out', out, '--chunk', '100')
    renameSync(share, `${share}-away`)
    const worker = work(server.url)
    await until('a word', () => worker.output.stderr.includes(`${share} cannot be read`))
    renameSync(`${share}-away`, share)
    expect((await command(server.url, ['status', id, '--watch'])).status).toBe(0)
    expect(JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'))).toMatchObject({ errors: 1 })
  })

  test("a share that comes back between a picture's error and the look at it", async () => {
    const [share, store] = [join(folder(), 'share'), new Folder(folder())]
    mkdirSync(share)
    execFileSync('cp', [join(path, '0000/bad.png'), share])
    const manifest = '{"file":"bad.png"}\n{"file":"missing.png"}\n'
    const writer = await store.write(MANIFEST)
    await writer.write(Buffer.from(manifest))
    await writer.commit()
    const classifier = await Classifier.load()
    let reads = 0
    // what a picture's first read finds while the share is away; it is back before anyone looks
    const flickering = Object.assign(Object.create(classifier), {
      classifyFile: (file: string) =>
        classifier.classifyFile(++reads > 2 ? file : `${share}-away/picture.png`),
    }) as Classifier
    const spec = { root: share, key: '0', chunks: 1, chunk: 2, rows: 2 } as Spec
    const chunk = { id: 'one', run: 0, n: 0, first: 0, rows: 2, from: 0, to: manifest.length }
    const limits: Limits = { storage: undefined, hosts: [], allowPrivate: false, maxBytes: 1, timeout: 1 }
    await runChunk(chunk, spec, store, flickering, limits, new AbortController().signal)
    const rows = (await store.read(partOf(spec, 0)))?.toString().trimEnd().split('\n') ?? []
    expect(rows.map((row) => JSON.parse(row).error.code)).toEqual(['ERR_FORMAT', 'ERR_IO'])
    expect(reads).toBe(4)
  })

  test('a clock that jumps', async () => {
    const server = await redis()
    const [out, calm] = [folder(), folder()]
    const { id } = await submit(server.url, path, '--out', out, '--chunk', '20')
    const clock = new URL('clock.mjs', import.meta.url).pathname
    work(server.url, [], { node: ['--import', clock] })
    expect((await command(server.url, ['status', id, '--watch'])).status).toBe(0)
    await submit(server.url, path, '--out', calm, '--chunk', '20')
    await once(work(server.url, ['--until-done']).child, 'close')
    expect(hash(join(out, 'results.ndjson'))).toBe(hash(join(calm, 'results.ndjson')))
  })

  test('a password, a user with few rights, TLS; and what is said without them', async () => {
    const rights = ['~kernelet:*', '&*', '+@all', '-@dangerous', '+info', '+client|list']
    const tls = folder()
    const key = [
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      join(tls, 'key.pem'),
      '-out',
      join(tls, 'cert.pem'),
    ]
    const made = spawnSync('openssl', [
      ...[
        'req',
        '-x509',
        ...key,
        '-days',
        '2',
        '-subj',
        '/CN=localhost',
        '-addext',
        'subjectAltName=DNS:localhost',
      ],
    ])
    const port = await freePort()
    const secure = ['--tls-port', String(port), '--tls-cert-file', join(tls, 'cert.pem')]
    const server = await startRedis(folder(), [
      ...['--user', 'default', 'off', '--user', 'jobs', 'on', '>secret', ...rights],
      ...(made.status === 0
        ? [...secure, '--tls-key-file', join(tls, 'key.pem'), '--tls-auth-clients', 'no']
        : []),
    ])
    atEnd(() => server.stop('SIGKILL'))
    expect((await command(server.url, ['status'])).stderr).toMatch(/asks for a password/)
    const wrong = work(server.url.replace('unix://', 'unix://jobs:false@localhost'))
    await once(wrong.child, 'close')
    expect(wrong.child.exitCode).toBe(1)
    expect(wrong.output.stderr).toMatch(/does not take this user and password/)
    const url = server.url.replace('unix://', 'unix://jobs:secret@localhost')
    const { id } = await submit(url, path, '--out', folder())
    const worker = work(url)
    expect((await command(url, ['status', id, '--watch'])).status).toBe(0)
    expect(worker.output.stderr).not.toMatch(/NOPERM|secret/)
    if (made.status !== 0) return
    const safe = `rediss://jobs:secret@localhost:${port}`
    expect((await command(safe, ['status', '--redis-ca', join(tls, 'cert.pem')])).stdout).toMatch(
      `${id}  done`,
    )
    expect((await command(safe, ['status'])).stderr).toMatch(/does not answer: .*self-signed/)
  })
})
