import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import fastify from 'fastify'
import { describe, expect, test } from 'vitest'
import { createServer } from '../lib/index.ts'
import { readSettings } from '../lib/settings.ts'
import { atEnd, folder, saveSmall, serverOf, writeToken } from './helpers.ts'

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

describe('the page', () => {
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
