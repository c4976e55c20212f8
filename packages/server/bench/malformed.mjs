/**
 * Requests that are wrong in every way: headers, JSON, sizes of binary data, forms, pictures, bodies that end early.
 * `node packages/server/bench/malformed.mjs URL [COUNT] [SEED]` sends them to a server and tells what came back.
 */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { pathToFileURL } from 'node:url'

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
function random(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * @param {string} address of a server that has the digits
 * @param {{ count: number, seed: number, picture: Uint8Array, clients?: number }} options
 * @returns {Promise<{ statuses: Record<string, number>, hung: number }>} answers by status, `closed` for none;
 *   connections that stayed open without an answer for a minute
 */
export async function malform(address, { count, seed, picture, clients = 8 }) {
  const next = random(seed)
  const statuses = {}
  let hung = 0
  let left = count
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (left-- > 0) {
        const status = await send(address, requestOf(next, picture))
        if (status === 'hung') hung++
        statuses[status] = (statuses[status] ?? 0) + 1
      }
    }),
  )
  return { statuses, hung }
}

/** A request as bytes, wrong in one way or several. */
function requestOf(next, picture) {
  const pick = (list) => list[Math.floor(next() * list.length)]
  const noise = (length) => Buffer.from(Uint8Array.from({ length }, () => next() * 256))
  const value = () =>
    pick([
      null,
      true,
      -1,
      0,
      1,
      1.5,
      2 ** 31,
      2 ** 53,
      1e308,
      '',
      'x',
      [],
      [[]],
      {},
      [1, 'x'],
      [[1, [2, [3]]]],
      '\u0000',
    ])
  const tensor = () => ({
    name: pick(['image', 'image', 'x', '', 7, '__proto__']),
    datatype: pick(['FP32', 'FP32', 'UINT8', 'INT64', 'FP16', 'BYTES', 'BOOL', 'constructor', value()]),
    shape: pick([[1, 1, 28, 28], [1, 784], [0, 1, 28, 28], [1e6, 1e6], [-1, 1, 28, 28], [], value()]),
    data: pick([undefined, [1, 2, 3], Array(784).fill(0), Array(784).fill('x'), value()]),
    parameters: pick([undefined, { binary_data_size: pick([0, 3, 784, 3136, -1, 1e12, value()]) }, value()]),
  })
  const body = () =>
    pick([
      { inputs: [tensor()] },
      {
        inputs: [tensor(), tensor()],
        outputs: pick([[{ name: 'probabilities' }], [{ name: 'x' }], value()]),
      },
      { inputs: [tensor()], parameters: { timeout: value(), binary_data_output: value() }, id: value() },
      { inputs: value() },
      { image: pick([Buffer.from(picture).toString('base64'), 'x', value()]) },
      { images: pick([[Buffer.from(picture).toString('base64'), 'x'], value()]) },
      value(),
    ])
  const broken = (bytes) => {
    const copy = Buffer.from(bytes)
    for (let i = 0; i < 5; i++) copy[Math.floor(next() * copy.length)] = next() * 256
    return next() < 0.5 ? copy : copy.subarray(0, next() * copy.length)
  }
  const form = () => {
    const text = Buffer.concat([
      Buffer.from('--b\r\nContent-Disposition: form-data; name="f"; filename="f.png"\r\n\r\n'),
      pick([picture, broken(picture), noise(50)]),
      Buffer.from('\r\n--b--\r\n'),
    ])
    return next() < 0.5 ? broken(text) : text
  }
  const json = () => {
    const text = Buffer.from(JSON.stringify(body()) ?? '')
    return next() < 0.2 && text.length > 0 ? broken(text) : text
  }
  const path = pick([
    '/v2/models/digits/infer',
    '/v2/models/digits/infer',
    '/v2/models/digits/versions/1/infer',
    '/v1/digits',
    '/v1/digits',
    '/v1/models/digits/classify',
    '/v2/models/%00/infer',
    '/v2/models/..%2F..%2Fetc%2Fpasswd/infer',
    '/v2/models/%E0%A4%A/infer',
    '/v2/repository/index',
    '/v2/repository/models/digits/unload',
    '//',
    '*',
  ])
  const method = pick(['POST', 'POST', 'POST', 'POST', 'GET', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE'])
  const payload = pick([json, json, form, () => picture, () => broken(picture), () => noise(next() * 4000)])()
  const type = pick([
    'application/json',
    'application/json',
    'application/octet-stream',
    'multipart/form-data; boundary=b',
    'multipart/form-data',
    'image/png',
    'text/plain;charset=x',
    '\u00ff',
  ])
  const length = pick([
    payload.length,
    payload.length,
    payload.length,
    payload.length + 10,
    Math.max(0, payload.length - 5),
    'x',
    -1,
    1e15,
  ])
  const headers = [
    `${method} ${path} HTTP/1.1`,
    'Host: x',
    'Connection: close',
    `Content-Type: ${type}`,
    `Content-Length: ${length}`,
    pick(['', `Inference-Header-Content-Length: ${pick([0, 10, payload.length, 1e9, -1, 'x', ''])}`]),
    pick([
      '',
      '',
      'Content-Encoding: gzip',
      'Transfer-Encoding: chunked',
      'Expect: 100-continue',
      `X: ${'x'.repeat(20_000)}`,
    ]),
    pick(['', '', 'Authorization: Bearer x', 'X-Request-Id: \u0001', 'traceparent: x']),
  ].filter((line) => line !== '')
  const head = `${headers.join('\r\n')}\r\n\r\n`
  return Buffer.concat([Buffer.from(next() < 0.03 ? noise(100).toString('latin1') : head, 'latin1'), payload])
}

/** Sends bytes and ends; the status of the answer. */
function send(address, bytes) {
  const { port, hostname } = new URL(address)
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    let came = ''
    const done = (status) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(status)
    }
    const timer = setTimeout(() => done('hung'), 60_000)
    socket.on('data', (part) => {
      came += part.toString('latin1')
      const final = /HTTP\/1\.1 (?!100)(\d{3})/.exec(came)
      if (final) done(final[1])
    })
    socket.on('error', () => done('closed'))
    socket.on('close', () => done('closed'))
    socket.end(bytes)
  })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [address = 'http://127.0.0.1:8080', count = '100000', seed = '1'] = process.argv.slice(2)
  const picture = readFileSync(new URL('../../../examples/digits/5-dotted-pen.png', import.meta.url))
  console.log(await malform(address, { count: Number(count), seed: Number(seed), picture, clients: 32 }))
}
