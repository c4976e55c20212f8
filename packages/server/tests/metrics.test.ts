import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AggregatorRegistry, Histogram, Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import { HistogramByModel } from '../lib/histogram.ts'
import { writeAnswer } from '../lib/protocol/answer.ts'
import { readBinaryCall } from '../lib/protocol/read.ts'
import { root, serverOf } from './helpers.ts'

describe('histograms', () => {
  const bounds = [0.001, 0.01, 1]
  const values = [0, 0.001, 0.0011, 0.5, 1, 1.5, 1e9, 0.01]
  const lines = (text: string): string[] => text.trim().split('\n').sort()

  test('tell what those of prom-client tell, by model', async () => {
    const [own, theirs] = [new Registry(), new Registry()]
    const mine = new HistogramByModel('some_seconds', 'Some "time"', bounds, own)
    const other = new Histogram({
      name: 'some_seconds',
      help: 'Some "time"',
      labelNames: ['model'],
      buckets: bounds,
      registers: [theirs],
    })
    for (const model of ['a', 'quote"d']) {
      const observe = mine.of(model)
      const labelled = other.labels({ model })
      for (const value of values) {
        observe(value)
        labelled.observe(value)
      }
    }
    expect(lines(await own.metrics())).toEqual(lines(await theirs.metrics()))
    // and summed over processes
    const sum = async (registry: Registry): Promise<string[]> => {
      const one = await registry.getMetricsAsJSON()
      return lines(await AggregatorRegistry.aggregate([one, one]).metrics())
    }
    expect(await sum(own)).toEqual(await sum(theirs))
  })
})

describe('what is kept from one request to the next', () => {
  const answer = (name: string, version: string, shape: number[], id?: string) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i)
    const head = { model_name: name, model_version: version, ...(id !== undefined && { id }) }
    const output = { name: 'y', datatype: 'FP32', shape, values, binary: true } as const
    const { body, jsonLength } = writeAnswer(head, [output])
    const bytes = body as Buffer
    return {
      json: JSON.parse(bytes.toString('utf8', 0, jsonLength)) as unknown,
      values: new Float32Array(new Uint8Array(bytes.subarray(jsonLength)).buffer),
    }
  }

  test('no answer says what another one said', () => {
    const shapes = [[1, 3], [1, 3], [2, 3], [1, 3], [3], [1, 3]]
    for (const [k, shape] of shapes.entries()) {
      for (const version of ['1', '2']) {
        for (const id of [undefined, `request ${k}`]) {
          const { json, values } = answer('mädchen', version, shape, id)
          expect(json).toEqual({
            model_name: 'mädchen',
            model_version: version,
            ...(id !== undefined && { id }),
            outputs: [
              {
                name: 'y',
                datatype: 'FP32',
                shape,
                parameters: { binary_data_size: 4 * shape.reduce((a, b) => a * b, 1) },
              },
            ],
          })
          expect(values).toHaveLength(shape.reduce((a, b) => a * b, 1))
        }
      }
    }
  })

  test('no call is read as another one of the same length', () => {
    const call = (datatype: string, size: number, fill: number) => {
      const head = Buffer.from(
        JSON.stringify({
          inputs: [{ name: 'x', datatype, shape: [1, 4], parameters: { binary_data_size: size } }],
        }),
      )
      const body = Buffer.concat([head, Buffer.alloc(size, fill)])
      return readBinaryCall(body, String(head.length)).inputs[0]
    }
    for (let round = 1; round < 4; round++) {
      expect(call('INT8', 4, round)).toMatchObject({ datatype: 'INT8', bytes: Buffer.alloc(4, round) })
      expect(call('BOOL', 4, round)).toMatchObject({ datatype: 'BOOL', bytes: Buffer.alloc(4, round) })
    }
    // the same head over other bytes
    expect(() => call('INT8', 3, 1)).toThrow(/takes 4 values of INT8, 4 bytes, but 3 came/)
    const head =
      '{"inputs":[{"name":"x","datatype":"INT8","shape":[1,4],"parameters":{"binary_data_size":4}}]}'
    expect(() =>
      readBinaryCall(Buffer.concat([Buffer.from(head), Buffer.alloc(5)]), String(head.length)),
    ).toThrow(/add up to 4 bytes but 5 follow/)
  })
})

test('the dashboard asks for metrics that there are', async () => {
  const app = await serverOf()
  const payload = readFileSync(join(root, 'examples/digits/5-dotted-pen.png'))
  const post = { method: 'POST', headers: { 'content-type': 'image/png' }, payload } as const
  await app.inject({ ...post, url: '/v1/digits' })
  await app.inject({ ...post, url: '/v1/models/none/classify' })
  const call = { name: 'image', datatype: 'FP32', shape: [1, 1, 28, 28], data: Array(784).fill(0) }
  await app.inject({ method: 'POST', url: '/v2/models/digits/infer', payload: { inputs: [call] } })
  const there = new Set((await app.inject('/metrics')).body.match(/^[a-z]\w+/gm))
  const asked = readFileSync(join(root, 'packages/server/dashboard.json'), 'utf8').match(
    /\b(?:kernelet|nodejs|process)_\w+/g,
  )
  expect(asked?.length).toBeGreaterThan(8)
  expect(asked?.filter((name) => !there.has(name))).toEqual([])
})
