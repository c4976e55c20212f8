import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { binary, folder, noise, saveSmall, serverOf, writeToken } from './helpers.ts'

type App = Awaited<ReturnType<typeof serverOf>>

async function scores(app: App, url: string): Promise<number[]> {
  const images = noise(64)
  const call = {
    inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 1, 8, 8], parameters: { binary_data_size: 256 } }],
  }
  const response = await app.inject({
    method: 'POST',
    url,
    ...binary(call, images),
    headers: { ...binary(call, images).headers, ...bearer },
  })
  return response.json().outputs[0].data
}

const bearer = { authorization: 'Bearer secret' }

/** What the network of a seed says. */
function said(path: string, seed: number): number[] {
  return Array.from(
    saveSmall(path, seed)
      .compile({ inputShape: [1, 8, 8] })
      .run(noise(64)),
  )
}

async function repository(): Promise<{
  app: App
  models: string
  post(url: string): Promise<{ status: number; body: unknown }>
}> {
  const models = folder()
  saveSmall(join(models, 'one.onnx'), 1)
  mkdirSync(join(models, 'two/1'), { recursive: true })
  mkdirSync(join(models, 'two/12'), { recursive: true })
  saveSmall(join(models, 'two/1/model.onnx'), 2)
  saveSmall(join(models, 'two/12/model.onnx'), 3)
  writeFileSync(join(models, 'notes.txt'), 'no model')
  const tokenFile = writeToken(join(folder(), 'token'), 'secret')
  const app = await serverOf({ models, tokenFile })
  const post = async (url: string) => {
    const response = await app.inject({ method: 'POST', url, headers: bearer })
    return { status: response.statusCode, body: response.json() as unknown }
  }
  return { app, models, post }
}

describe('a folder of models', () => {
  test('versions: the highest where none is named', async () => {
    const { app, post } = await repository()
    const other = join(folder(), 'x.onnx')
    expect(await scores(app, '/v2/models/two/infer')).toEqual(said(other, 3))
    expect(await scores(app, '/v2/models/two/versions/1/infer')).toEqual(said(other, 2))
    expect((await post('/v2/repository/index')).body).toEqual([
      { name: 'one', version: '1', state: 'READY', reason: '' },
      { name: 'two', version: '1', state: 'READY', reason: '' },
      { name: 'two', version: '12', state: 'READY', reason: '' },
    ])
  })

  test('unload, load, and what is not there', async () => {
    const { app, post } = await repository()
    expect(await post('/v2/repository/models/one/unload')).toEqual({ status: 200, body: {} })
    expect((await app.inject({ url: '/v2/models/one', headers: bearer })).statusCode).toBe(404)
    expect((await app.inject('/v2/health/ready')).statusCode).toBe(200)
    expect((await post('/v2/repository/index')).body).toContainEqual({
      name: 'one',
      version: '',
      state: 'UNAVAILABLE',
      reason: 'unloaded',
    })
    expect((await post('/v2/repository/models/one/unload')).status).toBe(404)
    expect(await post('/v2/repository/models/one/load')).toEqual({ status: 200, body: {} })
    expect((await app.inject({ url: '/v2/models/one', headers: bearer })).statusCode).toBe(200)
    for (const name of ['none', '..%2Fone', '.', 'two%2F1%2Fmodel']) {
      expect((await post(`/v2/repository/models/${name}/load`)).status).toBe(404)
    }
  })

  test('a replaced file takes its place between two batches', async () => {
    const { app, models, post } = await repository()
    const next = said(join(folder(), 'next.onnx'), 9)
    saveSmall(join(models, 'one.onnx'), 9)
    const during = Array.from({ length: 20 }, () => scores(app, '/v2/models/one/infer'))
    expect((await post('/v2/repository/models/one/load')).status).toBe(200)
    const old = said(join(folder(), 'old.onnx'), 1)
    for (const one of await Promise.all(during)) expect([old, next]).toContainEqual(one)
    expect(await scores(app, '/v2/models/one/infer')).toEqual(next)
  })

  test('a broken file leaves the old one serving and says so', async () => {
    const { app, models, post } = await repository()
    writeFileSync(join(models, 'one.onnx'), 'broken')
    const answer = await post('/v2/repository/models/one/load')
    expect(answer.status).toBe(400)
    expect(JSON.stringify(answer.body)).toMatch(/one\.onnx/)
    expect(await scores(app, '/v2/models/one/infer')).toEqual(said(join(folder(), 'old.onnx'), 1))
    const [entry] = (await post('/v2/repository/index')).body as { state: string; reason: string }[]
    expect(entry).toMatchObject({ state: 'READY', reason: expect.stringMatching(/one\.onnx/) })
    expect((await app.inject({ url: '/metrics', headers: bearer })).body).toContain(
      'kernelet_model_loads_total{model="one",result="failed"} 1',
    )
  })

  test('--watch loads what changes, is new or is mended', async () => {
    const models = folder()
    saveSmall(join(models, 'one.onnx'), 1)
    const app = await serverOf({ models, watch: true })
    const spare = join(folder(), 'spare.onnx')
    const nine = said(spare, 9)
    copyFileSync(spare, join(models, 'one.onnx'))
    copyFileSync(spare, join(models, 'new.onnx'))
    await expect.poll(() => scores(app, '/v2/models/one/infer')).toEqual(nine)
    await expect.poll(async () => (await app.inject('/v2/models/new')).statusCode).toBe(200)
    writeFileSync(join(models, 'one.onnx'), 'broken')
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect(await scores(app, '/v2/models/one/infer')).toEqual(nine)
  })
})

test('a file that cannot be opened is no beginning', async () => {
  const models = folder()
  writeFileSync(join(models, 'one.onnx'), 'broken')
  await expect(serverOf({ models })).rejects.toThrow(/one\.onnx/)
  rmSync(models, { recursive: true })
  await expect(serverOf({ models })).rejects.toThrow()
})
