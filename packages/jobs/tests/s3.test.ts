/** What the S3 client sends, and what is made of its answers: on a server that knows just enough of the protocol. */

import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { smallPictures } from '../bench/pictures.mjs'
import { command } from '../bench/redis.mjs'
import { openStore } from '../lib/store/open.ts'
import { readObject } from '../lib/store/s3.ts'
import { put, type Store } from '../lib/store/store.ts'
import { atEnd, namesIn, noRedis, redis, work } from './helpers.ts'

const objects = new Map<string, Buffer>()
const uploads = new Map<string, Buffer[]>()
const asked: string[] = []
let failing = false
let store: Store
let environment: Record<string, string>

/** A body as the client sends it: in signed pieces, with a length before each. */
function unpacked(request: IncomingMessage, body: Buffer): Buffer {
  if (!/aws-chunked/.test(String(request.headers['content-encoding']))) return body
  const parts: Buffer[] = []
  for (let at = 0; ; ) {
    const end = body.indexOf('\r\n', at)
    const length = Number.parseInt(body.toString('latin1', at, end), 16)
    if (!(length > 0)) return Buffer.concat(parts)
    parts.push(body.subarray(end + 2, end + 2 + length))
    at = end + 2 + length + 2
  }
}

beforeAll(async () => {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '', 'http://host')
    const key = decodeURIComponent(url.pathname.slice(1)).replace(/\/$/, '')
    const query = url.searchParams
    asked.push(`${request.method} ${key}${query.has('partNumber') ? ` part ${query.get('partNumber')}` : ''}`)
    const pieces: Buffer[] = []
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece)
    const body = unpacked(request, Buffer.concat(pieces))
    const xml = (text: string, status = 200): void => {
      response.writeHead(status, { 'content-type': 'application/xml' }).end(`<?xml version="1.0"?>${text}`)
    }
    if (failing) return xml('<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>', 403)
    if (!/^AWS4-HMAC-SHA256 /.test(request.headers.authorization ?? '')) {
      return xml('<Error><Code>AccessDenied</Code><Message>not signed</Message></Error>', 403)
    }
    if (request.method === 'GET' && query.has('list-type')) {
      const begin = `${key}/${query.get('prefix') ?? ''}`
      const all = [...objects.keys()].filter((one) => one.startsWith(begin)).sort()
      // two a page
      const from = Number(query.get('continuation-token') ?? 0)
      const more = from + 2 < all.length ? `<NextContinuationToken>${from + 2}</NextContinuationToken>` : ''
      const contents = all
        .slice(from, from + 2)
        .map((one) => `<Contents><Key>${one.slice(key.length + 1)}</Key></Contents>`)
      return xml(`<ListBucketResult>${contents.join('')}${more}</ListBucketResult>`)
    }
    if (request.method === 'POST' && query.has('uploads')) {
      uploads.set(key, [])
      return xml(`<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>`)
    }
    if (request.method === 'POST') {
      objects.set(key, Buffer.concat(uploads.get(key) ?? []))
      return xml('<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>')
    }
    if (request.method === 'PUT') {
      if (query.has('partNumber')) (uploads.get(key) ?? [])[Number(query.get('partNumber')) - 1] = body
      else objects.set(key, body)
      return void response.writeHead(200, { etag: '"x"' }).end()
    }
    if (request.method === 'DELETE') {
      if (query.has('uploadId')) uploads.delete(key)
      else objects.delete(key)
      return void response.writeHead(204).end()
    }
    const found = objects.get(key)
    if (!found) return xml('<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>', 404)
    const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? []
    const part = from === undefined ? found : found.subarray(Number(from), to ? Number(to) + 1 : undefined)
    response.writeHead(from === undefined ? 200 : 206, { 'content-length': part.length })
    response.end(request.method === 'HEAD' ? undefined : part)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  environment = {
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ AWS_REGION: 'eu-central-1', AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'secret' },
    KERNELET_JOBS_S3_PATH_STYLE: '1',
  }
  Object.assign(process.env, environment)
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })
  store = await openStore('s3://bucket/some/where')
})

test('files: written, read in part, listed over pages, removed with their folder', async () => {
  for (const name of ['a/1', 'a/2', 'a/3', 'b']) await put(store, name, `this is ${name}`)
  expect(objects.get('bucket/some/where/a/1')?.toString()).toBe('this is a/1')
  expect((await store.read('b', 5, 7))?.toString()).toBe('is')
  expect((await store.read('b'))?.toString()).toBe('this is b')
  expect(await store.read('none')).toBeUndefined()
  expect(await store.has('a/2')).toBe(true)
  expect(await store.has('none')).toBe(false)
  expect(await namesIn(store)).toEqual(['a/1', 'a/2', 'a/3', 'b'])
  await store.remove('a')
  expect(await namesIn(store)).toEqual(['b'])
  await store.check()
})

test('a large file goes in parts, and is not there before its end', async () => {
  const writer = await store.write('large')
  const piece = Buffer.alloc(3 * 2 ** 20, 'x')
  for (let i = 0; i < 7; i++) await writer.write(piece)
  expect(await store.has('large')).toBe(false)
  await writer.commit()
  expect(objects.get('bucket/some/where/large')?.length).toBe(21 * 2 ** 20)
  expect(asked).toContain('PUT bucket/some/where/large part 3')
  const other = await store.write('given up')
  for (let i = 0; i < 3; i++) await other.write(piece)
  await other.abort()
  expect(uploads.has('bucket/some/where/given up')).toBe(false)
  expect(await store.has('given up')).toBe(false)
})

test('what goes wrong is told in words', async () => {
  failing = true
  await expect(store.read('b')).rejects.toMatchObject({
    name: 'StorageError',
    message: expect.stringMatching(/^s3:\/\/bucket\/some\/where\/b cannot be read: Access Denied/),
  })
  await expect(put(store, 'c', 'c')).rejects.toMatchObject({ name: 'StorageError' })
  failing = false
  objects.set('bucket/big.png', Buffer.alloc(1000))
  const never = new AbortController().signal
  await expect(readObject('s3://bucket/big.png', 999, never)).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
  })
  await expect(readObject('s3://bucket/none.png', 999, never)).rejects.toMatchObject({ code: 'ERR_IO' })
  await expect(openStore('s3://bucket/other', ['s3://bucket/mine'])).rejects.toMatchObject({
    code: 'ERR_ARGUMENT',
  })
  await expect(openStore('s3://')).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
})

test.skipIf(noRedis)('a whole job from a bucket to a bucket', async () => {
  for (const [i, bytes] of smallPictures().entries()) objects.set(`bucket/in/${i + 10}.png`, bytes)
  const server = await redis()
  atEnd(() => server.stop('SIGKILL'))
  const worker = work(server.url, [], { env: environment })
  const args = ['submit', 's3://bucket/in', '--out', 's3://bucket/out', '--chunk', '5', '--wait']
  const { status, stderr } = await command(server.url, args, { env: environment })
  expect([stderr, status]).toEqual([expect.not.stringMatching(/kernelet: /), 0])
  const rows = objects.get('bucket/out/results.ndjson')?.toString().trimEnd().split('\n') ?? []
  expect(rows.map((row) => (JSON.parse(row) as { digit: number }).digit).join('')).toBe('0012233455677899')
  expect([...objects.keys()].filter((key) => key.includes('/parts-'))).toEqual([])
  worker.child.kill('SIGTERM')
  await once(worker.child, 'exit')
})
