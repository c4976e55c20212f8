import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { command } from '../bench/redis.mjs'
import type { Status } from '../lib/control.ts'
import type { Spec } from '../lib/spec.ts'
import { classified, folder, linesOf, noRedis, pictures, redis, stopped, stopping, work } from './helpers.ts'

const hash = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')

describe.skipIf(noRedis)('a job', async () => {
  const server = noRedis ? undefined : await redis()
  const url = server?.url ?? ''
  const path = noRedis ? '' : pictures(230)
  const submit = async (...args: string[]): Promise<Spec> => {
    const { stdout, stderr } = await command(url, ['submit', ...args, '--json'])
    expect(stderr).toBe('')
    return JSON.parse(stdout) as Spec
  }
  const status = async (id: string): Promise<Status> =>
    JSON.parse((await command(url, ['status', id, '--json'])).stdout) as Status
  const end = (id: string) => command(url, ['status', id, '--watch', '--json'])

  test('says of each picture, in order, what kernelet classify says, and so does the same job again', async () => {
    const outs = [folder(), folder()]
    for (const out of outs) {
      const { id, rows, chunks } = await submit(path, '--out', out, '--chunk', '50')
      expect([rows, chunks]).toEqual([231, 5])
      const { child, output } = work(url, ['--until-done'])
      await once(child, 'close')
      expect(output.stderr).toMatch(`job ${id}: 231 rows, 1 with an error`)
      expect(await status(id)).toMatchObject({ state: 'done', rowsDone: 231, chunksDone: 5 })
      // neither parts nor what was written beside them
      expect(readdirSync(out).sort()).toEqual([
        ...['bounds.json', 'job.json', 'manifest.ndjson', 'report.json', 'results.ndjson'],
      ])
    }
    const [first = '', second = ''] = outs
    expect(linesOf(first)).toEqual(classified(path))
    expect(hash(join(first, 'results.ndjson'))).toBe(hash(join(second, 'results.ndjson')))
  })

  test('a manifest: names, ids, what is not there; a line that is none is named', async () => {
    const list = join(path, 'list.ndjson')
    writeFileSync(
      list,
      '"0000/0000001.png"\n{"file":"none.png","id":7}\n\n{"id":"x","file":"0000/0000000.png"}\n',
    )
    const out = folder()
    const { id } = await submit(list, '--out', out, '--id', 'named')
    expect(id).toBe('named')
    await once(work(url, ['--until-done']).child, 'close')
    const rows = linesOf(out).map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(rows).toMatchObject([
      { file: '0000/0000001.png', status: 'digit' },
      { id: 7, file: 'none.png', error: { code: 'ERR_IO' } },
      { id: 'x', file: '0000/0000000.png', status: 'digit' },
    ])
    writeFileSync(list, '"a.png"\n{"fil":"b.png"}\n')
    expect(await command(url, ['submit', list, '--out', folder()])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/list\.ndjson, line 2: expected \{ "file": "NAME" \} but found/),
    })
    writeFileSync(list, '"0000/0000001.png"\n')
    expect(await command(url, ['submit', list, '--out', out])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/has another job in it \(named: .*choose another --out/),
    })
    // which left the other's list alone
    expect(readFileSync(join(out, 'manifest.ndjson'), 'utf8').split('\n')).toHaveLength(4)
  })

  test('cancelled, then begun again: the same bytes', async () => {
    const [whole, out] = [folder(), folder()]
    await submit(path, '--out', whole, '--chunk', '7')
    await once(work(url, ['--until-done']).child, 'close')
    const { id } = await submit(path, '--out', out, '--chunk', '1')
    const worker = work(url, ['--concurrency', '1'], stopping)
    // so that it does not come to its end before it is cancelled
    await stopped(worker.child)
    expect((await command(url, ['cancel', id])).stdout).toMatch(/cancelled/)
    const { state, chunksDone } = await status(id)
    expect(state).toBe('cancelled')
    expect(chunksDone).toBe(8)
    worker.child.kill('SIGCONT')
    expect(existsSync(join(out, 'results.ndjson'))).toBe(false)
    expect((await command(url, ['retry', id, '--wait'])).status).toBe(0)
    worker.child.kill('SIGTERM')
    await once(worker.child, 'close')
    expect(worker.child.exitCode).toBe(0)
    expect(hash(join(out, 'results.ndjson'))).toBe(hash(join(whole, 'results.ndjson')))
    expect(await command(url, ['cancel', id])).toMatchObject({ status: 2 })
  })

  test('a poisoned chunk is set aside and reported, its rows with the reason; retry mends it', async () => {
    const [whole, out] = [folder(), folder()]
    const { id } = await submit(path, '--out', out, '--chunk', '100')
    const manifest = join(out, 'manifest.ndjson')
    const good = readFileSync(manifest, 'utf8')
    writeFileSync(manifest, good.replace(good.slice(20, 60), 'x'.repeat(40)))
    const { child, output } = work(url, ['--until-done'])
    await once(child, 'close')
    expect(output.stderr.match(/chunk 0: .*has changed/g)).toHaveLength(3)
    expect(await status(id)).toMatchObject({
      state: 'incomplete',
      chunksSetAside: 1,
      report: { rows: 231, errors: 101, setAside: [{ chunk: 0, first: 0, rows: 100 }] },
    })
    expect(linesOf(out)).toHaveLength(231)
    expect(linesOf(out)[99]).toMatch(/"error":\{"code":"ERR_SET_ASIDE","message":"Chunk 0 was set aside: /)
    writeFileSync(manifest, good)
    expect((await command(url, ['retry', id])).status).toBe(0)
    await once(work(url, ['--until-done']).child, 'close')
    expect((await end(id)).status).toBe(0)
    await submit(path, '--out', whole, '--chunk', '100')
    await once(work(url, ['--until-done']).child, 'close')
    expect(hash(join(out, 'results.ndjson'))).toBe(hash(join(whole, 'results.ndjson')))
  })

  test('wrong command lines are told in a line', async () => {
    for (const [args, words] of [
      [[], /expected submit, work, status, cancel, retry but found nothing/],
      [['submit'], /expected the pictures/],
      [['submit', path], /--out is needed/],
      [['submit', path, '--out', 'x', '--chunk', '0'], /--chunk: expected an integer from 1/],
      [['submit', path, '--out', 'x', '--id', 'a:b'], /--id: expected letters/],
      [['work', '--concurrency', 'two'], /--concurrency: expected an integer/],
      [['work', '--redis', 'http://user:secret@host'], /expected redis:\/\/, rediss:\/\/ or unix:\/\//],
      [['status', 'nothing'], /Redis knows of no job "nothing"/],
      [['cancel', 'a', 'b'], /unexpected b/],
      [['work', '--no'], /work: Unknown option '--no'/],
    ] as const) {
      const { status: code, stderr } = await command(url, [...args])
      expect(stderr).toMatch(words)
      expect(stderr).not.toMatch(/secret/)
      expect(code).toBe(2)
    }
    expect((await command(url, ['work', '--help'])).stdout).toMatch(/--lease N .*\(30\)/)
  })
})
