/** The projects of examples/, run in short form as users run them; dist/ must be built. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { decodePicture } from '../lib/index.ts'
import { fixtures, root } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-projects-'))
const servers: ChildProcess[] = []
afterAll(() => {
  for (const server of servers) server.kill()
  rmSync(folder, { recursive: true, force: true })
})
const digits = join(root, 'examples/digits')
const three = readFileSync(join(digits, '3-blue-pen-on-yellow-paper.png'))
const projects = readdirSync(join(root, 'examples'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'digits')
  .map(({ name }) => name)

function run(file: string, args: string[] = [], input?: Uint8Array) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'examples', file), ...args], {
    cwd: folder,
    encoding: 'utf8',
    input,
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout
}

async function started(file: string): Promise<{ url: string; server: ChildProcess }> {
  const server = spawn(process.execPath, [join(root, 'examples', file)], {
    env: { ...process.env, PORT: '0' },
  })
  servers.push(server)
  const url = await new Promise<string>((resolve, reject) => {
    let said = ''
    for (const stream of [server.stdout, server.stderr]) {
      stream.on('data', (text) => {
        said += text
        const [found] = /http:\S+/.exec(said) ?? []
        if (found) resolve(found)
      })
    }
    server.once('exit', () => reject(new Error(said)))
  })
  return { url, server }
}

async function ended(server: ChildProcess): Promise<number | null> {
  const exit = new Promise<number | null>((resolve) => server.once('exit', resolve))
  server.kill('SIGTERM')
  return exit
}

test.each(projects)('%s: a project whose start is there, named in the list', (name) => {
  const project = JSON.parse(readFileSync(join(root, 'examples', name, 'package.json'), 'utf8'))
  const [, file = ''] = /^node (\S+)$/.exec(project.scripts.start) ?? []
  expect(existsSync(join(root, 'examples', name, file))).toBe(true)
  const code = readFileSync(join(root, 'examples', name, file), 'utf8')
  const used = [...code.matchAll(/ from '((?:@[\w-]+\/)?[\w-]+)'/g)].map(([, one]) => one)
  expect(Object.keys(project.dependencies).sort()).toEqual(used.sort())
  expect(readFileSync(join(root, 'examples/README.md'), 'utf8')).toContain(`[${name}](${name})`)
})

test('express: a picture, what is none, and what is not sent as one', async () => {
  const { url, server } = await started('express/server.js')
  const post = (body: string | Uint8Array<ArrayBuffer>, type: string) =>
    fetch(url, { method: 'POST', body, headers: { 'Content-Type': type } })
  const answer = await post(three, 'image/png')
  expect(await answer.json()).toMatchObject({ status: 'digit', digit: 3 })
  const text = await post('Dear reader', 'image/png')
  expect(text.status).toBe(422)
  expect(await text.json()).toMatchObject({ error: expect.stringContaining('not a picture') })
  expect((await post('{}', 'application/json')).status).toBe(415)
  expect((await post(new Uint8Array(11 * 2 ** 20), 'image/png')).status).toBe(413)
  expect(await ended(server)).toBe(0)
})

test('fastify: a form of pictures, one of which is none', async () => {
  const { url, server } = await started('fastify/server.js')
  const body = new FormData()
  body.append('picture', new Blob([three]), 'three.png')
  body.append('picture', new Blob(['Dear reader']), 'letter.png')
  const answer = await fetch(url, { method: 'POST', body })
  expect(await answer.json()).toEqual([
    { file: 'three.png', status: 'digit', digit: 3, confidence: expect.any(Number) },
    { file: 'letter.png', error: expect.stringContaining('not a picture') },
  ])
  expect(await ended(server)).toBe(0)
})

test('folder: it learns, and draws the curve', () => {
  expect(
    spawnSync(process.execPath, [join(root, 'scripts/write-hand.mjs'), join(folder, 'hand'), '12']).status,
  ).toBe(0)
  const said = run('folder/train.js', ['hand', '12'])
  expect(said).toMatch(/^120 pictures of 0, 1, 2/)
  const [, share = 0] = /of unseen pictures (\S+) %\n(?!epoch)/.exec(said) ?? []
  expect(Number(share)).toBeGreaterThan(60)
  const svg = readFileSync(join(folder, 'curve.svg'), 'utf8')
  expect(svg).toMatch(/^<svg [\s\S]*validation<\/text><\/svg>\n$/)
  expect(svg).not.toMatch(/NaN|undefined|Infinity/)
})

test('residual: it learns, and ONNX gives the same numbers', () => {
  const said = run('residual/residual.js')
  expect(said).toMatch(/epoch 4: loss 0\.\d+, (100|9\d)\.\d % of unseen bars/)
  expect(said).toMatch(/read again it differs by less than 0\.0001\n$/)
})

test('several: each with its own shapes, beside the digits', () => {
  const said = run('several/several.js', [join(fixtures, 'residual.torchscript.onnx')])
  expect(said).toMatch(/the paper' .* 10 /)
  expect(said).toMatch(/onnx' .* 5 /)
  expect(said).toMatch(/and the digits: no digit on a blank page\n$/)
})

test('camera: frames from a pipe, those left out counted', () => {
  const { data, width, height, channels } = decodePicture(readFileSync(join(digits, '4-off-centre.png')))
  const frame = new Uint8Array(160 * 120)
  for (let y = 0; y < 120; y++) {
    for (let x = 0; x < 160; x++) {
      const [px, py] = [Math.floor((x * width) / 160), Math.floor((y * height) / 120)]
      frame[160 * y + x] = data[(py * width + px) * channels]!
    }
  }
  const frames = new Uint8Array(20 * frame.length)
  for (let i = 0; i < 20; i++) frames.set(frame, i * frame.length)
  const said = run('camera/camera.js', ['-'], frames)
  expect(said).toMatch(/^frame \d+: 4 {2}[\d.]+ %\n/)
  const [, all, answered, left] = /(\d+) frames, (\d+) answered, (\d+) left out\n$/.exec(said) ?? []
  expect(Number(all)).toBe(20)
  expect(Number(answered) + Number(left)).toBe(20)
})
