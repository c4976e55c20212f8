import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { clients, digit, send, start as startProgram, workersOf } from '../bench/load.mjs'
import { malform } from '../bench/malformed.mjs'
import { InferenceClient } from '../lib/client.ts'
import { atEnd, folder, noise, root, saveSmall, writeToken } from './helpers.ts'

/** Starts `kernelet serve`, and sees to its end. */
async function start(...args: string[]) {
  const program = await startProgram(...args)
  atEnd(() => program.child.kill('SIGKILL'))
  return program
}

const infer = (address: string): string => `${address}/v2/models/digits/infer`

/** JSON whose numbers have six digits: the last bits are those of a CPU with fused multiply-add. */
function rounded(text: string): unknown {
  return JSON.parse(text, (_, value) => (typeof value === 'number' ? Number(value.toFixed(6)) : value))
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const curl = spawnSync('curl', ['--version']).status === 0
if (!curl) console.warn('skipped: curl is not installed')

test.skipIf(!curl)('the lines of the README are answered as printed there', async () => {
  const readme = readFileSync(join(root, 'packages/server/README.md'), 'utf8')
  const blocks = [...readme.matchAll(/```sh\n(curl [\s\S]*?)```\n```json\n([\s\S]*?)```/g)]
  expect(blocks.length).toBeGreaterThanOrEqual(4)
  const { address, child, ended } = await start()
  for (const [, command = '', printed = ''] of blocks) {
    const line = command.replaceAll('http://127.0.0.1:8080', address)
    const came = execFileSync('sh', ['-c', line], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    expect(rounded(came)).toEqual(rounded(printed))
  }
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
})

describe('the command', () => {
  const serve = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, 'bin/kernelet.js'), 'serve', ...args], {
      encoding: 'utf8',
      timeout: 120_000,
    })

  test('--help, and settings that are none', () => {
    expect(serve('--help')).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/--max-batch N .*\(64\)/),
    })
    expect(serve('--prot', '1')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/kernelet: serve: .*--prot/),
    })
    expect(serve('--model', 'a=/none.onnx', '--log-level', 'silent')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/none\.onnx/),
    })
    expect(serve('--token-file', join(folder(), 'none'))).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(
        /^kernelet: serve: --token-file: .*none cannot be read: it is not there /,
      ),
    })
    expect(serve('--port', '0', '--models', join(folder(), 'none'))).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^kernelet: --models: .*none cannot be read: it is not there\n$/),
    })
  })

  test.each(['--port', '--grpc-port'])('%s taken by another: told, and the process ends', async (option) => {
    const other = createServer().listen(0, '127.0.0.1')
    atEnd(() => other.close())
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const ports = { '--port': '0', [option]: String(port) }
    expect(serve(...Object.entries(ports).flat(), '--log-level', 'silent')).toMatchObject({
      status: 1,
      signal: null,
      stderr: expect.stringMatching(
        new RegExp(`^kernelet: .*address already in use 127\\.0\\.0\\.1:${port}$`, 'm'),
      ),
    })
  })

  test('a socket that is the owner of its path, and gone at the end', async () => {
    const socket = join(folder(), 'kernelet.sock')
    const { child, ended } = await start('--socket', socket)
    expect(statSync(socket).isSocket()).toBe(true)
    const [response] = await once(
      get({ socketPath: socket, path: '/v2/health/ready', agent: false }),
      'response',
    )
    expect(response.statusCode).toBe(200)
    response.resume()
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    expect(() => statSync(socket)).toThrow()
  })

  test('warns of a server for everybody without a token', async () => {
    const { log, child } = await start('--host', '0.0.0.0')
    expect(log.map(({ msg }) => msg)).toContainEqual(expect.stringMatching(/anybody who reaches 0\.0\.0\.0/))
    child.kill('SIGTERM')
  })
})

test('the client of TypeScript', async () => {
  const path = join(folder(), 'small.onnx')
  const model = saveSmall(path).compile({ inputShape: [1, 8, 8] })
  const tokenFile = writeToken(join(folder(), 'token'), 'secret')
  const { address, child } = await start('--model', `small=${path}`, '--token-file', tokenFile)
  const client = new InferenceClient(address, { token: 'secret' })
  expect(await client.ready()).toBe(true)
  const data = noise(128)
  const { outputs, modelVersion, id } = await client.infer(
    'small',
    { shape: [2, 1, 8, 8], data },
    { id: 'x' },
  )
  expect([modelVersion, id]).toEqual(['1', 'x'])
  expect(outputs).toEqual([{ name: 'output', datatype: 'FP32', shape: [2, 3], data: model.run(data) }])
  await expect(client.infer('small', { shape: [1, 2], data: noise(2) })).rejects.toMatchObject({
    status: 400,
    message: expect.stringMatching(/\[1,2\]/),
  })
  await expect(new InferenceClient(address).metadata('small')).rejects.toMatchObject({ status: 401 })
  child.kill('SIGTERM')
})

test.each([1, 2])('SIGTERM under load with %i processes: no request is lost, exit 0', async (workers) => {
  for (let i = 0; i < 2; i++) {
    const { address, child, ended, log } = await start('--workers', String(workers))
    const { stop, answered } = clients(infer(address), 8)
    await expect.poll(answered).toBeGreaterThan(10)
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    const { came } = await stop()
    expect(Object.keys(came).filter((key) => key !== '200' && key !== 'ECONNREFUSED')).toEqual([])
    expect(log.at(-1)).toMatchObject({ msg: 'all requests answered' })
  }
})

test('several processes act as one: killed ones are replaced, metrics are sums, models change in all', async () => {
  const models = folder()
  saveSmall(join(models, 'small.onnx'), 1)
  const tokenFile = writeToken(join(folder(), 'token'), 'secret')
  const shipped = join(root, 'models/lenet5-mnist.safetensors')
  const { address, child, ended, log } = await start(
    '--workers',
    '2',
    '--models',
    models,
    '--model',
    `digits=${shipped}`,
    '--token-file',
    tokenFile,
  )
  const headers = { authorization: 'Bearer secret' }
  const call = { ...digit, headers: { ...digit.headers, ...headers } }
  const text = async (url: string, method = 'GET') => (await fetch(address + url, { method, headers })).text()
  const { stop, answered } = clients(infer(address), 8, call)
  const allThere = async () => {
    await expect.poll(() => workersOf(log).length).toBe(2)
    await expect
      .poll(async () => (await fetch(`${address}/v2/health/ready`).catch(() => undefined))?.status)
      .toBe(200)
  }
  for (let i = 0; i < 3; i++) {
    await allThere()
    await expect.poll(answered).toBeGreaterThan(10 * (i + 1))
    const workers = workersOf(log)
    process.kill(workers[i % workers.length]!, 'SIGKILL')
    await expect.poll(() => log.filter(({ pid }) => pid === child.pid).length).toBe(i + 2)
  }
  await allThere()
  const { came } = await stop()
  expect(
    Object.keys(came).filter((key) => !['200', 'ECONNRESET', 'EPIPE', 'socket hang up'].includes(key)),
  ).toEqual([])
  expect(log.filter(({ msg }) => String(msg).startsWith('a worker died')).length).toBe(3)

  // asked on many connections, of whichever process
  const states = async (url: string) =>
    new Set(
      await Promise.all(
        Array.from(
          { length: 20 },
          async () => (await fetch(address + url, { headers: { ...headers, connection: 'close' } })).status,
        ),
      ),
    )
  expect(await states('/v2/models/small')).toEqual(new Set([200]))
  expect(await text('/v2/repository/models/small/unload', 'POST')).toBe('{}')
  expect(await states('/v2/models/small')).toEqual(new Set([404]))
  expect(await text('/v2/repository/models/small/load', 'POST')).toBe('{}')
  expect(await states('/v2/models/small')).toEqual(new Set([200]))
  writeFileSync(join(models, 'small.onnx'), 'broken')
  expect(await text('/v2/repository/models/small/load', 'POST')).toMatch(/small\.onnx/)
  expect(await states('/v2/models/small')).toEqual(new Set([200]))

  const count = async () =>
    Number(/kernelet_requests_total\{model="digits"\} (\d+)/.exec(await text('/metrics'))?.[1])
  const before = await count()
  const agent = new Agent()
  const statuses = await Promise.all(Array.from({ length: 30 }, () => send(infer(address), agent, call)))
  expect(new Set(statuses)).toEqual(new Set([200]))
  expect(await count()).toBe(before + 30)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
})

test('several processes at free ports: the same for all, and for those that come when all have died', async () => {
  const { address, child, ended, log } = await start('--workers', '2', '--grpc-port', '0')
  expect(Number(new URL(address).port)).toBeGreaterThan(0)
  const first = log.find(({ msg }) => msg === 'serving') as unknown as { grpcPort: number }
  const ready = async () => (await fetch(`${address}/v2/health/ready`).catch(() => undefined))?.status
  const grpc = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(first.grpcPort, '127.0.0.1', () => resolve(true)).on('error', () =>
        resolve(false),
      )
      socket.once('connect', () => socket.destroy())
    })
  // one after the other, so that any of their sockets is the last; then at once
  for (const together of [false, true]) {
    const old = workersOf(log)
    for (const worker of old) {
      process.kill(worker, 'SIGKILL')
      if (!together) await expect.poll(() => workersOf(log)).not.toContain(worker)
    }
    await expect.poll(() => workersOf(log).filter((worker) => !old.includes(worker))).toHaveLength(2)
    await expect.poll(ready).toBe(200)
    await expect.poll(grpc).toBe(true)
  }
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
})

test.skipIf(process.platform === 'win32')(
  'a process that hangs: metrics come, with what it told last',
  async () => {
    const { address, child, ended, log } = await start('--workers', '2')
    const count = async () => {
      const text = await (await fetch(`${address}/metrics`, { headers: { connection: 'close' } })).text()
      return Number(/kernelet_requests_total\{model="digits"\} (\d+)/.exec(text)?.[1])
    }
    const agent = new Agent()
    await Promise.all(Array.from({ length: 40 }, () => send(infer(address), agent, digit)))
    agent.destroy()
    expect(await count()).toBe(40)
    const [hanging] = workersOf(log)
    process.kill(hanging!, 'SIGSTOP')
    try {
      expect(await count()).toBe(40)
    } finally {
      process.kill(hanging!, 'SIGCONT')
    }
    expect(await count()).toBe(40)
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
  },
)

test('several processes train one network at a time, for all of them, and whoever dies', async () => {
  const { address, child, ended, log } = await start('--workers', '2')
  const head = Buffer.from(JSON.stringify({ labels: [0, 1, 0, 1], classes: ['a', 'b'] }))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(head.length)
  const body = new Uint8Array(Buffer.concat([length, head, Buffer.from(noise(4 * 784).buffer)]))
  const type = { 'content-type': 'application/octet-stream' }
  // a connection of its own reaches any process
  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${address}/playground/${path}`, { ...init, headers: { ...type, connection: 'close' } })
  /** Begins or resumes a run, and reads up to a report. */
  const run = async (path: string, until: RegExp, payload: string | Uint8Array<ArrayBuffer> = '') => {
    const controller = new AbortController()
    let response = await ask(path, { method: 'POST', body: payload, signal: controller.signal })
    // the step under way of one that was left is not done yet
    while (response.status === 503) {
      await pause(100)
      response = await ask(path, { method: 'POST', body: payload, signal: controller.signal })
    }
    expect(response.status).toBe(200)
    let text = ''
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    const read = async (found: RegExp): Promise<string> => {
      while (!found.test(text)) {
        const { value, done } = (await reader?.read()) ?? { value: '', done: true }
        if (done) break
        text += value
      }
      expect(text).toMatch(found)
      return text
    }
    await read(until)
    return { text, read, leave: () => controller.abort() }
  }
  const first = await run('train?task=drawings', /"kind":"steps"/, body)
  const { id } = JSON.parse(first.text.split('\n')[0] ?? '') as { id: number }
  const many = <T>(one: () => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: 8 }, one))
  const busy = await many(() => ask('train?task=vanishing', { method: 'POST', body: '' }))
  expect(new Set(busy.map(({ status }) => status))).toEqual(new Set([503]))
  first.leave()
  const models = await many(async () => (await ask('models')).text())
  expect(models.filter((text) => text.includes('@trained'))).toHaveLength(8)
  const drawing = Buffer.alloc(784)
  for (let y = 5; y < 23; y++) drawing.fill(255, 28 * y + 13, 28 * y + 16)
  const looked = await many(async () => {
    const answer = await ask('activations?model=@trained&width=28&height=28&heat=gradient', {
      method: 'POST',
      body: drawing,
    })
    return (await answer.arrayBuffer()).byteLength
  })
  expect(Math.min(...looked)).toBeGreaterThan(40_000)
  const wrong = await ask('activations?model=@trained&width=28&height=28', { method: 'POST', body: 'x' })
  expect(wrong.status).toBe(400)

  const steps = (text: string): number => Number([...text.matchAll(/"step":(\d+)/g)].at(-1)?.[1])
  const again = await run(`train/resume?id=${id}`, /"kind":"steps"/)
  expect(steps(again.text)).toBeGreaterThan(steps(first.text))
  // who watched is gone with its process; the network is not
  for (const worker of workersOf(log)) process.kill(worker, 'SIGKILL')
  await expect(again.read(/"kind":"end"/)).rejects.toThrow()
  await expect
    .poll(async () => (await fetch(`${address}/v2/health/ready`).catch(() => undefined))?.status)
    .toBe(200)
  const third = await run(`train/resume?id=${id}`, /"kind":"steps"/)
  expect(steps(third.text)).toBeGreaterThan(steps(first.text))
  child.kill('SIGTERM')
  expect(await third.read(/"kind":"end"/)).toContain('The server ends')
  expect(await ended).toBe(0)
})

test('SIGTERM while a worker is starting: all end, none is cut off', async () => {
  const { child, log, ended } = await start('--workers', '2', '--grace', '60s')
  process.kill(workersOf(log)[0]!, 'SIGKILL')
  await expect.poll(() => log.some(({ msg }) => String(msg).startsWith('a worker died'))).toBe(true)
  await pause(80)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
})

test('malformed requests: no crash, nothing of ours among the statuses', async () => {
  const { address, child, ended, log } = await start()
  const { statuses, hung } = await malform(address, {
    count: 400,
    seed: 1,
    picture: readFileSync(join(root, 'examples/digits/5-dotted-pen.png')),
  })
  // nor was the server's own patience with slow clients over
  expect([hung, statuses[408]]).toEqual([0, undefined])
  expect(
    Object.keys(statuses).filter((status) => /^5/.test(status) && status !== '503' && status !== '504'),
  ).toEqual([])
  expect(Number(statuses[400])).toBeGreaterThan(50)
  expect(log.filter(({ level }) => Number(level) >= 50)).toEqual([])
  expect((await fetch(`${address}/v2/health/ready`)).status).toBe(200)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
})

describe('broken HTTP', () => {
  const say = async (address: string, text: string): Promise<string> => {
    const { port } = new URL(address)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(text)
    let came = ''
    for await (const bytes of socket) came += bytes
    return came
  }

  test('is answered in sentences', async () => {
    const { address, child } = await start()
    expect(await say(address, 'hello\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 400 [\s\S]*\{"error":"The request is not HTTP"\}$/,
    )
    const huge = `GET / HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`
    expect(await say(address, huge)).toMatch(
      /^HTTP\/1\.1 431 [\s\S]*\{"error":"The headers of the request are too large"\}$/,
    )
    child.kill('SIGTERM')
  })
})
