import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import fastify from 'fastify'
import {
  activations,
  avgPool2d,
  cumsum,
  DigitClassifier,
  flatten,
  LeNet5,
  Linear,
  manualSeed,
  saveOnnx,
  softmax,
  Tensor,
  tanh,
} from 'kernelet'
import { describe, expect, test } from 'vitest'
import { createServer } from '../lib/index.ts'
import { readSettings } from '../lib/settings.ts'
import { atEnd, folder, root, Small, saveSmall, serverOf, writeToken } from './helpers.ts'

const files = folder()
saveSmall(join(files, 'small.onnx'))
const model = { small: join(files, 'small.onnx') }

describe('where there is a playground', () => {
  const shown = async (options: object): Promise<boolean> =>
    (await (await serverOf({ model, ...options })).inject('/')).body.includes('id="page"')

  test('on this machine alone, unless it is said', async () => {
    expect(await shown({})).toBe(true)
    expect(await shown({ host: '::1' })).toBe(true)
    expect(await shown({ host: '0.0.0.0' })).toBe(false)
    expect(await shown({ host: '127.0.0.1.example.org' })).toBe(false)
    expect(await shown({ host: '0.0.0.0', playground: true })).toBe(true)
    expect(await shown({ playground: false })).toBe(false)
  })

  test('without it / has the routes', async () => {
    const app = await serverOf({ model, playground: false })
    expect((await app.inject('/')).body).toContain('POST /v2/models/{model}/infer')
    expect((await app.inject('/train')).statusCode).toBe(404)
  })

  test('on the command line: --playground, --no-playground', () => {
    expect(readSettings([], {})?.playground).toBeUndefined()
    expect(readSettings(['--playground'], {})?.playground).toBe(true)
    expect(readSettings(['--no-playground'], {})?.playground).toBe(false)
    expect(readSettings([], { KERNELET_SERVE_PLAYGROUND: 'no' })?.playground).toBe(false)
  })

  test('in an application only where it asks, below its prefix', async () => {
    const app = fastify()
    app.register(createServer({ model }), { prefix: '/plain' })
    app.register(createServer({ model, playground: true }), { prefix: '/ai' })
    await app.ready()
    atEnd(() => app.close())
    expect((await app.inject('/plain/')).body).toContain('POST')
    const away = await app.inject('/ai')
    expect([away.statusCode, away.headers.location]).toEqual([302, '/ai/'])
    expect((await app.inject('/ai/')).body).toContain('id="page"')
    expect((await app.inject('/ai/train')).statusCode).toBe(200)
  })
})

/** A drawing: a bar from top to bottom. */
function bar(side = 140): Uint8Array {
  const data = new Uint8Array(side * side)
  for (let y = 0.2 * side; y < 0.8 * side; y++) data.fill(255, y * side + 0.46 * side, y * side + 0.54 * side)
  return data
}

/** The header and the arrays of a body of numbers. */
function numbersOf(body: Buffer): { head: Record<string, unknown>; arrays: Float32Array[] } {
  const length = body.readUInt32LE(0)
  const head = JSON.parse(body.toString('utf8', 4, 4 + length)) as { lengths: number[] }
  const numbers = new Float32Array(new Uint8Array(body.subarray(4 + length)).buffer)
  let at = 0
  return { head: { ...head }, arrays: head.lengths.map((count) => numbers.subarray(at, (at += count))) }
}

/** A body of drawings to train on. */
function samples(head: object, images: Float32Array): Buffer {
  const json = Buffer.from(JSON.stringify(head))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(json.length)
  return Buffer.concat([length, json, Buffer.from(images.buffer)])
}

const octets = { 'content-type': 'application/octet-stream' }

describe('looking into networks', () => {
  const post = async (query: string, payload: Uint8Array, app?: Awaited<ReturnType<typeof serverOf>>) =>
    (app ?? (await serverOf({ model }))).inject({
      method: 'POST',
      url: `/playground/activations?${query}`,
      headers: octets,
      payload: Buffer.from(payload),
    })

  test('gives the values of activations and of run, to the bit', async () => {
    const app = await serverOf({ model })
    const { steps } = (await app.inject('/playground/model')).json()
    const { head, arrays } = numbersOf(
      (await post('width=140&height=140&heat=occlusion', bar(), app)).rawPayload,
    )
    const network = LeNet5.pretrained()
    const [probabilities, input] = arrays as [Float32Array, Float32Array]
    const expected = activations(network, new Tensor(input.slice(), [1, 1, 28, 28]))
    for (const [k, { name }] of steps.entries()) expect(arrays[k + 1]).toEqual(expected.get(name)?.data)
    const digits = DigitClassifier.load()
    const classified = digits.classify({ data: bar(), width: 140, height: 140, channels: 1 })
    expect(probabilities.indexOf(Math.max(...probabilities))).toBe(classified.digit)
    expect(Math.max(...probabilities)).toBeCloseTo(classified.confidence, 5)
    const heat = arrays.at(-1) as Float32Array
    expect(head.heat).toEqual({ kind: 'occlusion', rows: 28, columns: 28 })
    // what lies beside the bar does not matter
    expect(Math.abs(heat[0] ?? 1)).toBeLessThan(1e-3)
    expect(Math.max(...heat)).toBeGreaterThan(0.01)
  })

  test.each([
    ['scores', false],
    ['probabilities', true],
  ] as const)('what mattered by gradient, of %s: the slopes that differences have', async (name, soft) => {
    // smooth, so that differences tell the slope
    class Smooth extends Small {
      override forward(x: Tensor): Tensor {
        const scores = this.fc.forward(flatten(avgPool2d(tanh(this.conv.forward(x)), 2), 1))
        return soft ? softmax(scores, 1) : scores
      }
    }
    manualSeed(3)
    const network = new Smooth()
    const path = join(files, `${name}.onnx`)
    saveOnnx(network, path, { inputShape: [1, 8, 8] })
    const app = await serverOf({ model: { [name]: path } })
    const pixels = Uint8Array.from({ length: 64 }, (_, i) => (i * 37) % 256)
    const query = `model=${name}&width=8&height=8&heat=gradient`
    const { head, arrays } = numbersOf((await post(query, pixels, app)).rawPayload)
    expect(head.heat).toEqual({ kind: 'gradient', rows: 8, columns: 8 })
    const [, input] = arrays as [Float32Array, Float32Array]
    const heat = arrays.at(-1) as Float32Array
    const winner = (x: Float32Array): number => {
      const values = [...network.forward(new Tensor(x, [1, 1, 8, 8])).data].map(Number)
      return values[top] ?? Number.NaN
    }
    const outputs = [...network.forward(new Tensor(input.slice(), [1, 1, 8, 8])).data]
    const top = outputs.indexOf(Math.max(...outputs))
    const slopes = Float32Array.from(input, (value, i) => {
      const [above, below] = [input.slice(), input.slice()]
      above[i] = value + 0.05
      below[i] = value - 0.05
      return ((winner(above) - winner(below)) / 0.1) * (value - 0.5)
    })
    const size = Math.max(...slopes.map(Math.abs))
    for (const [i, slope] of slopes.entries())
      expect(Math.abs((heat[i] ?? 0) - slope)).toBeLessThan(size / 100)
    // and again: nothing has learnt meanwhile
    expect(numbersOf((await post(query, pixels, app)).rawPayload).arrays.at(-1)).toEqual(heat)
  })

  test('what mattered by gradient: a digit, signs that differ; operations without a gradient say so', async () => {
    const app = await serverOf({ model })
    const { head, arrays } = numbersOf(
      (await post('width=140&height=140&heat=gradient', bar(), app)).rawPayload,
    )
    expect(head.heat).toEqual({ kind: 'gradient', rows: 28, columns: 28 })
    const heat = arrays.at(-1) as Float32Array
    const [, input] = arrays as [Float32Array, Float32Array]
    const paper = Math.min(...input)
    for (const [i, value] of input.entries())
      if (value === paper) expect(Math.abs(heat[i] ?? 1)).toBeLessThan(1e-4)
    expect(heat.reduce((sum, value) => sum + value)).toBeGreaterThan(1)
    class Summed extends Small {
      override forward(x: Tensor): Tensor {
        return super.forward(cumsum(x, 3))
      }
    }
    const path = join(files, 'summed.onnx')
    saveOnnx(new Summed(), path, { inputShape: [1, 8, 8] })
    const other = await serverOf({ model: { summed: path } })
    const answer = await post('model=summed&width=8&height=8&heat=gradient', new Uint8Array(64), other)
    expect(numbersOf(answer.rawPayload).head.heat).toEqual({
      kind: 'gradient',
      problem: expect.stringContaining('has no backward'),
    })
  })

  test('of the server: a small model, whose drawing is made smaller, and its weights', async () => {
    const app = await serverOf({ model })
    expect((await app.inject('/playground/models')).json().map(({ id }: { id: string }) => id)).toEqual([
      '@lenet5',
      '@lenet5-1998',
      'small',
    ])
    const network = saveSmall(join(files, 'again.onnx'))
    const { arrays } = numbersOf((await post('model=small&width=16&height=16', bar(16), app)).rawPayload)
    const [, input, conv] = arrays
    expect(input).toHaveLength(64)
    const x = new Tensor((input as Float32Array).slice(), [1, 1, 8, 8])
    expect(conv).toEqual(activations(network, x).get('conv')?.data)
    const weights = numbersOf((await app.inject('/playground/weights?model=small')).rawPayload)
    expect(weights.arrays[0]).toEqual(network.conv.weight.data)
  })

  test('nothing, several signs, three colours', async () => {
    const app = await serverOf({ model })
    const status = async (data: Uint8Array): Promise<unknown> =>
      numbersOf((await post('width=140&height=140', data, app)).rawPayload).head.status
    expect(await status(new Uint8Array(140 * 140))).toBe('nothing')
    const two = bar().map((value, i) => Math.max(value, bar()[(i + 50) % 19_600] ?? 0))
    expect(await status(two)).toBe('several')
    expect(
      await status(
        Uint8Array.from({ length: 3 * 140 * 140 }, (_, i) => 255 - (bar()[Math.floor(i / 3)] ?? 0)),
      ),
    ).toBe('ready')
  })

  test.each([
    ['width=0&height=4', 400, /width and height are from 1 to 1024/],
    ['width=1e9&height=1e9', 400, /width and height/],
    ['width=1&height=1&heat=guess', 400, /heat is one of occlusion, gradient, but is guess/],
    ['width=4&height=4', 400, /has 16 bytes, or 3 for each pixel, but 3 came/],
    ['model=none&width=1&height=1', 404, /There is no model/],
    ['model=@trained&width=1&height=1', 404, /Nothing has been trained yet/],
    ['model=toString&width=1&height=1', 404, /There is no model/],
  ] as const)('%s is refused', async (query, status, error) => {
    const answer = await post(query, new Uint8Array(3))
    expect([answer.statusCode, answer.json().error]).toEqual([status, expect.stringMatching(error)])
  })

  test('a model that takes no picture says so', async () => {
    const path = join(files, 'vector.onnx')
    saveOnnx(new Linear(4, 2), path, { inputShape: [4] })
    const app = await serverOf({ model: { vector: path } })
    const answer = await app.inject('/playground/model?model=vector')
    expect([answer.statusCode, answer.json().error]).toEqual([
      415,
      expect.stringContaining('Only networks of one picture'),
    ])
  })

  test('a page of another site cannot ask', async () => {
    const app = await serverOf({ model })
    for (const site of ['cross-site', 'same-site']) {
      const answer = await app.inject({ url: '/playground/models', headers: { 'sec-fetch-site': site } })
      expect(answer.statusCode).toBe(403)
    }
    const own = await app.inject({ url: '/playground/models', headers: { 'sec-fetch-site': 'same-origin' } })
    expect(own.statusCode).toBe(200)
  })
})

describe('training', () => {
  const train = (
    app: Awaited<ReturnType<typeof serverOf>>,
    query: string,
    payload: Buffer = Buffer.alloc(0),
  ) => app.inject({ method: 'POST', url: `/playground/train?${query}`, headers: octets, payload })
  const two = { labels: [0, 1], classes: ['a', 'b'] }

  test('on MNIST where its folder is named', async () => {
    const folderOf = join(files, 'mnist')
    mkdirSync(folderOf)
    const idx = (shape: number[], data: Uint8Array): Buffer => {
      const head = Buffer.alloc(4 + 4 * shape.length)
      head.writeUInt32BE(0x0800 + shape.length)
      for (const [k, size] of shape.entries()) head.writeUInt32BE(size, 4 + 4 * k)
      return Buffer.concat([head, data])
    }
    for (const part of ['train', 't10k']) {
      const images = Uint8Array.from({ length: 70 * 784 }, (_, i) => (Math.floor(i / 784) % 10) * 25)
      writeFileSync(join(folderOf, `${part}-images-idx3-ubyte`), idx([70, 28, 28], images))
      writeFileSync(
        join(folderOf, `${part}-labels-idx1-ubyte`),
        idx(
          [70],
          Uint8Array.from({ length: 70 }, (_, i) => i % 10),
        ),
      )
    }
    const app = fastify()
    await app.register(createServer({ model, playground: true, mnist: folderOf }))
    const address = await app.listen({ port: 0 })
    atEnd(() => app.close())
    expect(await (await fetch(`${address}/playground/training`)).json()).toMatchObject({
      mnist: true,
    })
    const controller = new AbortController()
    const response = await fetch(`${address}/playground/train?task=mnist`, {
      method: 'POST',
      signal: controller.signal,
    })
    let text = ''
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString()
      if (text.includes('"unseen","step"')) break
    }
    controller.abort()
    expect(text).toContain('"images":70')
    // a run whose watcher is gone can be taken up again
    const { id } = JSON.parse(text.split('\n')[0] ?? '') as { id: number }
    const resume = (): Promise<Response> =>
      fetch(`${address}/playground/train/resume?id=${id}`, { method: 'POST' })
    let again = await resume()
    // the step under way was not done yet
    while (again.status === 503) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      again = await resume()
    }
    expect(again.status).toBe(200)
    // and does not keep the server from ending
    const [rest] = await Promise.all([again.text(), app.close()])
    expect(rest).toContain('The server ends')
  })

  test.each([
    ['task=nothing', Buffer.alloc(0), /task is one of/],
    ['task=mnist', Buffer.alloc(0), /--mnist DIR/],
    ['task=drawings', Buffer.alloc(0), /begins with the length of a header/],
    ['task=drawings', Buffer.from([255, 255, 255, 255, 1]), /begins with the length/],
    ['task=drawings', samples({ ...two, classes: ['a'] }, new Float32Array(2 * 784)), /classes are/],
    ['task=drawings', samples({ ...two, labels: [0, 2] }, new Float32Array(2 * 784)), /labels are/],
    ['task=drawings', samples(two, new Float32Array(784)), /2 drawings have 6272 bytes, but 3136 came/],
    ['task=drawings', samples(two, new Float32Array(2 * 784).fill(Number.NaN)), /no numbers/],
  ] as const)('%s, badly asked for, is refused', async (query, payload, error) => {
    const answer = await train(await serverOf({ model }), query, payload)
    expect([answer.statusCode, answer.json().error]).toEqual([400, expect.stringMatching(error)])
  })

  test('a run that is gone, a folder without MNIST', async () => {
    const app = await serverOf({ model, mnist: join(files, 'nowhere') })
    const gone = await app.inject({ method: 'POST', url: '/playground/train/resume?id=7' })
    expect([gone.statusCode, gone.json().error]).toEqual([404, 'That run is gone; begin another'])
    const lines = (await train(app, 'task=mnist')).body.trim().split('\n')
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({
      kind: 'end',
      why: 'failed',
      message: expect.stringContaining('nowhere'),
    })
  })

  test('wants the token where there is one', async () => {
    const app = await serverOf({ model, tokenFile: writeToken(join(files, 'tokens'), 'secret') })
    expect((await train(app, 'task=vanishing')).statusCode).toBe(401)
  })
})

describe('the page', () => {
  test('comes in less than 200 kB, compressed, all of it', async () => {
    const app = await serverOf({ model })
    const folderOf = join(root, 'packages/server/dist/playground/page')
    let bytes = 0
    for (const entry of readdirSync(folderOf, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name).slice(folderOf.length).replaceAll('\\', '/')
      const answer = await app.inject({
        url: path === '/index.html' ? '/' : path,
        headers: { 'accept-encoding': 'br' },
      })
      expect([path, answer.statusCode]).toEqual([path, 200])
      bytes += answer.rawPayload.length
    }
    expect(bytes).toBeGreaterThan(20_000)
    expect(bytes).toBeLessThan(200_000)
  })

  test('loads nothing from elsewhere, and no script of its own text', async () => {
    const app = await serverOf({ model })
    const { body, headers } = await app.inject('/')
    const policy = String(headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("script-src 'self'")
    expect(policy).not.toContain('unsafe')
    expect(body).not.toMatch(/(src|href)="(https?:)?\/\//)
    for (const [, path] of body.matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)) {
      const asset = await app.inject(`/${path}`)
      expect(asset.statusCode).toBe(200)
      expect(asset.headers['content-type']).toMatch(/^text\/(javascript|css)/)
      expect(asset.headers['cache-control']).toContain('immutable')
    }
  })

  test('is compressed as the client takes it', async () => {
    const app = await serverOf({ model })
    const plain = (await app.inject('/')).rawPayload
    const get = (encoding: string) => app.inject({ url: '/', headers: { 'accept-encoding': encoding } })
    const brotli = await get('gzip, deflate, br')
    expect(brotli.headers['content-encoding']).toBe('br')
    expect(brotliDecompressSync(brotli.rawPayload)).toEqual(plain)
    const zipped = await get('gzip, br;q=0')
    expect(zipped.headers['content-encoding']).toBe('gzip')
    expect(gunzipSync(zipped.rawPayload)).toEqual(plain)
    expect((await get('identity')).rawPayload).toEqual(plain)
  })

  test('with tokens is open, but nothing that it asks', async () => {
    const app = await serverOf({ model, tokenFile: writeToken(join(files, 'tokens'), 'secret') })
    expect((await app.inject('/')).statusCode).toBe(200)
    expect((await app.inject('/train')).statusCode).toBe(200)
    expect((await app.inject('/metrics')).statusCode).toBe(401)
    expect((await app.inject('/routes')).statusCode).toBe(401)
  })
})
