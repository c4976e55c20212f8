import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Classifier } from 'kernelet'
import { describe, expect, test } from 'vitest'
import { smallPictures } from '../bench/pictures.mjs'
import { fetchPicture, isAllowed, isPublic, type WebLimits } from '../lib/http.ts'
import { rowOf } from '../lib/manifest.ts'
import { classifyRow } from '../lib/sources.ts'
import { openStore } from '../lib/store/open.ts'
import { put } from '../lib/store/store.ts'
import { atEnd, folder, namesIn } from './helpers.ts'

async function listen(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server: Server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  atEnd(() => {
    server.closeAllConnections()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

const picture = smallPictures()[0] ?? Buffer.alloc(0)
const never = new AbortController().signal

describe('pictures of the web', async () => {
  const inside = await listen((_, response) => response.end('a secret of this machine'))
  const host = await listen(({ url }, response) => {
    if (url === '/picture') response.end(picture)
    else if (url === '/moved') response.writeHead(302, { location: '/picture' }).end()
    else if (url === '/away') response.writeHead(302, { location: `http://${inside}/` }).end()
    else if (url === '/file') response.writeHead(302, { location: 'file:///etc/passwd' }).end()
    else if (url === '/round') response.writeHead(302, { location: '/round' }).end()
    else if (url === '/large') response.end(Buffer.alloc(5000))
    else if (url === '/endless') {
      // without a length, and without an end
      const timer = setInterval(() => response.write(Buffer.alloc(1000)), 5)
      response.on('close', () => clearInterval(timer))
    } else if (url === '/broken') {
      response.writeHead(200, { 'content-length': '100' }).write('abc')
      setTimeout(() => response.destroy(), 20)
    } else if (url !== '/slow') response.writeHead(404).end()
  })
  const limits: WebLimits = { hosts: [host], allowPrivate: true, maxBytes: 4000, timeout: 60_000 }
  const get = (path: string, more: Partial<WebLimits> = {}) =>
    fetchPicture(`http://${host}${path}`, { ...limits, ...more }, never)

  test('come whole, through redirects', async () => {
    expect(Buffer.from(await get('/picture'))).toEqual(picture)
    expect(Buffer.from(await get('/moved'))).toEqual(picture)
  })

  test.each([
    ['/none', {}, 'ERR_IO', /HTTP 404/],
    ['/away', {}, 'ERR_UNSUPPORTED', /is not among the hosts/],
    ['/file', {}, 'ERR_UNSUPPORTED', /expected http:\/\/ or https:\/\//],
    ['/round', {}, 'ERR_IO', /more than 5 redirects/],
    ['/large', {}, 'ERR_UNSUPPORTED', /more than 4000 bytes/],
    ['/endless', {}, 'ERR_UNSUPPORTED', /more than 4000 bytes/],
    ['/slow', { timeout: 400 }, 'ERR_IO', /took longer than 0\.4 s/],
    ['/broken', {}, 'ERR_IO', /cannot be read/],
    ['/picture', { hosts: [] }, 'ERR_UNSUPPORTED', /is not among the hosts/],
    ['/picture', { allowPrivate: false }, 'ERR_UNSUPPORTED', /private network/],
  ] as const)('%s %o is refused', async (path, more, code, message) => {
    await expect(get(path, more)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  test('a name that leads into a private network is refused when it is resolved', async () => {
    const port = host.split(':')[1]
    await expect(
      fetchPicture(
        `http://localhost:${port}/picture`,
        { ...limits, hosts: [`localhost:${port}`], allowPrivate: false },
        never,
      ),
    ).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED', message: expect.stringMatching(/private network/) })
  })

  test('hosts and addresses', () => {
    const allowed = (url: string, ...hosts: string[]): boolean => isAllowed(new URL(url), hosts)
    expect(allowed('https://a.example.com/x', 'a.example.com')).toBe(true)
    expect(allowed('https://A.example.com./x', '*.example.com')).toBe(true)
    expect(allowed('https://example.com/x', '*.example.com')).toBe(false)
    expect(allowed('https://badexample.com/x', '*.example.com')).toBe(false)
    expect(allowed('https://a.example.com:8443/x', 'a.example.com')).toBe(false)
    expect(allowed('https://a.example.com:8443/x', 'a.example.com:8443')).toBe(true)
    expect(allowed('https://a.example.com@evil.org/x', 'a.example.com')).toBe(false)
    const inside = [
      '127.0.0.1',
      '10.1.2.3',
      '172.31.0.1',
      '192.168.1.1',
      '169.254.169.254',
      '100.64.0.1',
      '0.0.0.0',
    ]
    const tunnels = [
      '::1',
      '::ffff:10.0.0.1',
      'fe80::1',
      'fd00::1',
      '64:ff9b::a00:1',
      '2002:a00:1::1',
      'ff02::1',
    ]
    for (const address of [...inside, ...tunnels])
      expect([address, isPublic(address)]).toEqual([address, false])
    for (const address of ['8.8.8.8', '172.32.0.1', '2606:4700::1111']) expect(isPublic(address)).toBe(true)
  })
})

test('a worker keeps to its --storage, links and dots followed', async () => {
  const [mine, other] = [folder(), folder()]
  mkdirSync(join(mine, 'in'))
  for (const place of [join(mine, 'in/a.png'), join(other, 'a.png')]) writeFileSync(place, picture)
  symlinkSync(join(other, 'a.png'), join(mine, 'in/link.png'))
  using classifier = Classifier.load()
  const web = { hosts: [], allowPrivate: false, maxBytes: 1e6, timeout: 1000 }
  const read = (file: string, storage?: string[]) =>
    classifyRow(classifier, file, join(mine, 'in'), { ...web, storage }, never)
  expect((await read('a.png', [mine])).status).toBe('class')
  expect((await read('link.png')).status).toBe('class')
  for (const file of [
    'link.png',
    join(other, 'a.png'),
    `../../${other.split('/').at(-1)}/a.png`,
    '/etc/passwd',
  ]) {
    await expect(read(file, [mine])).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: expect.stringMatching(/is not among the --storage/),
    })
  }
  await expect(read('ftp://host/a.png')).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' })
  await expect(openStore(other, [mine])).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
  await expect(openStore(join(mine, 'new/folder'), [mine])).resolves.toBeDefined()
})

test('lines of a manifest', () => {
  expect(rowOf('"a.png"')).toEqual({ file: 'a.png' })
  expect(rowOf('{"file":"a.png","id":3,"more":{}}')).toEqual({ file: 'a.png', id: 3 })
  for (const line of [
    '',
    '{',
    'null',
    '[]',
    '3',
    '""',
    '{"file":3}',
    '"a\\u0000b"',
    `"${'a'.repeat(20_000)}"`,
  ]) {
    expect([line.slice(0, 20), rowOf(line)]).toEqual([line.slice(0, 20), undefined])
  }
})

test('a file in a folder is there whole or not at all', async () => {
  const store = await openStore(folder())
  const writer = await store.write('a/b.txt')
  await writer.write(Buffer.from('half'))
  expect(await store.has('a/b.txt')).toBe(false)
  await writer.abort()
  await put(store, 'a/b.txt', 'whole')
  await put(store, 'c.txt', 'c')
  expect(await namesIn(store)).toEqual(['a/b.txt', 'c.txt'])
  expect((await store.read('a/b.txt', 1, 3))?.toString()).toBe('ho')
  expect((await store.read('a/b.txt', 3, 99))?.toString()).toBe('le')
  expect(await store.read('none')).toBeUndefined()
  await expect(store.write('c.txt/d')).rejects.toMatchObject({ name: 'StorageError' })
  await store.remove('a')
  expect(await store.has('a/b.txt')).toBe(false)
})
