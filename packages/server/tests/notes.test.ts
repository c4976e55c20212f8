/** What the notes' page asks of the server. */

import type { FastifyInstance } from 'fastify'
import { beforeAll, describe, expect, test } from 'vitest'
import { json, serverOf } from './helpers.ts'

let app: FastifyInstance
beforeAll(async () => {
  app = await serverOf()
})

async function ask(name: string, question: unknown) {
  const payload = typeof question === 'string' ? question : JSON.stringify(question)
  const { statusCode, body } = await app.inject({
    method: 'POST',
    url: `/playground/notes/${name}`,
    payload,
    headers: json,
  })
  return { statusCode, ...JSON.parse(body) }
}

const image = [
  [1, 2, 0, 1],
  [0, 3, 1, 0],
  [2, 1, 0, 2],
  [1, 0, 2, 3],
]
const filter = [
  [1, 0, -1],
  [1, 0, -1],
  [1, 0, -1],
]
const convolution = { image, filter, padding: 0, stride: 1, pool: 2 }
const conv = { kind: 'conv', filters: 6, size: 5, stride: 1, padding: 0 }
const pool = { kind: 'max', size: 2, stride: 2, padding: 0 }

describe('a convolution', () => {
  test('the map, and the products that each number is the sum of', async () => {
    const { map, products } = await ask('convolution', { ...convolution, stride: 1 })
    expect(map).toEqual([
      [2, 3],
      [0, -1],
    ])
    for (const [i, terms] of products.entries()) {
      expect(terms.reduce((a: number, b: number) => a + b)).toBe(map.flat()[i])
    }
  })

  test('products of a stride and a filter that is not square', async () => {
    const { map, products } = await ask('convolution', {
      ...convolution,
      filter: [[1, 2]],
      padding: 1,
      stride: 2,
      pool: 1,
    })
    expect(map.length * map[0].length).toBe(products.length)
    for (const [i, terms] of products.entries()) {
      expect(terms.reduce((a: number, b: number) => a + b)).toBe(map.flat()[i])
    }
  })

  test('pools say where a number came from, or that the window does not fit', async () => {
    const { relu, pools } = await ask('convolution', { ...convolution, padding: 1 })
    for (const [i, [row, column]] of pools.from.entries()) {
      expect(relu[row][column]).toBe(pools.reluMax.flat()[i])
    }
    expect(pools.maxRelu).toEqual(pools.reluMax)
    expect(pools.meanRelu).not.toEqual(pools.reluMean)
    const { pools: none, refusal } = await ask('convolution', { ...convolution, pool: 3 })
    expect(none).toBeUndefined()
    expect(refusal).toMatch(/window of 3×3, larger than the 2×2/)
  })
})

test('what kernelet refuses is an answer too', async () => {
  const six = Array(6).fill(Array(6).fill(1))
  const { statusCode, refused } = await ask('convolution', { ...convolution, filter: six })
  expect(statusCode).toBe(200)
  expect(refused).toContain('Conv2d has a window of 6×6, larger than the 4×4 image')
  const far = { weights: [1e6], inputs: [1e6], bias: 0, answer: 0, rate: 1e6 }
  expect((await ask('neuron', far)).statusCode).toBe(200)
})

test('sizes, up to the layer that does not fit', async () => {
  const flat = { kind: 'flatten' }
  const layers = [conv, pool, { ...conv, filters: 16 }, pool, flat, { kind: 'linear', units: 120 }]
  const { rows } = await ask('sizes', { input: [3, 128, 128], layers })
  expect(rows.map(({ shape }: { shape: number[] }) => shape.join('×'))).toEqual([
    '6×124×124',
    '6×62×62',
    '16×58×58',
    '16×29×29',
    '13456',
    '120',
  ])
  expect(rows.at(-1).parameters).toBe(1_614_840)
  const small = await ask('sizes', { input: [3, 8, 8], layers })
  expect(small.rows).toHaveLength(2)
  expect(small.refusal).toMatch(/window of 5×5, larger than the 2×2/)
})

test('a neuron, before and after a step', async () => {
  const { statusCode, ...answer } = await ask('neuron', {
    weights: [2, -1],
    inputs: [1, 3],
    bias: 0.5,
    answer: 1,
    rate: 0.1,
  })
  expect(answer).toMatchObject({ products: [2, -3], sum: -0.5 })
  expect(answer.output).toBeCloseTo(1 / (1 + Math.exp(0.5)), 6)
  expect(answer.loss).toBeCloseTo(Math.log(1 + Math.exp(0.5)), 6)
  expect(answer.error).toBeCloseTo(answer.output - 1, 6)
  expect(answer.next.weights[1]).toBeCloseTo(-1 - 0.1 * answer.error * 3, 6)
  expect(answer.next.output).toBeGreaterThan(answer.output)
})

test('gradients: slopes are those of the activations', async () => {
  const left = async (activation: string, sum: number, weight = 1) =>
    (await ask('gradients', { activation, sum, weight, layers: 3 })).left
  expect(await left('sigmoid', 0)).toEqual([1, 0.25, 0.0625])
  expect(await left('tanh', 0, 2)).toEqual([1, 2, 4])
  expect(await left('relu', 1, -3)).toEqual([1, -3, 9])
  expect(await left('relu', -1)).toEqual([1, 0, 0])
  const slope = 1 - Math.tanh(1.5) ** 2
  expect((await left('tanh', 1.5))[1]).toBeCloseTo(slope, 6)
})

test('both networks, and the curve of σ', async () => {
  const { tutorial, original, table } = (await app.inject('/playground/notes/lenet5')).json()
  expect([tutorial.parameters, original.parameters, original.connections]).toEqual([44_426, 60_000, 340_908])
  expect(original.rows.map(({ name }: { name: string }) => name)).toEqual([
    'c1',
    's2',
    'c3',
    's4',
    'c5',
    'f6',
    'output',
  ])
  expect(table.flat()).toHaveLength(60)
  const curve = (await app.inject('/playground/notes/sigmoid')).json()
  expect(curve[32]).toEqual({ sum: 0, output: 0.5 })
})

test.each([
  ['convolution', '', 'The body must be a JSON object'],
  ['convolution', [], 'The body must be a JSON object'],
  ['convolution', {}, 'image must be an array of 1 to 10 rows'],
  ['convolution', { ...convolution, image: [[1], [1, 2]] }, 'The rows of image must have the same length'],
  ['convolution', { ...convolution, image: [[1e9]] }, 'image[0][0] must be a number'],
  [
    'convolution',
    { ...convolution, padding: 1e9 },
    'padding must be an integer from 0 to 3 but is 1000000000',
  ],
  ['convolution', { ...convolution, stride: 0 }, 'stride must be an integer from 1 to 5 but is 0'],
  ['sizes', { input: [3, 128, 128], layers: Array(17).fill(pool) }, 'layers must be an array of up to 16'],
  ['sizes', { input: [3, 128, 128], layers: [null] }, 'layers[0] must be an object'],
  ['sizes', { input: [3, 128, 128], layers: [{ kind: 'toString' }] }, 'layers[0].kind must be one of conv'],
  ['sizes', { input: [4096, 9, 9], layers: [{ ...conv, filters: 4096 }] }, 'A layer of 419430400 weights'],
  ['sizes', { input: [], layers: [] }, 'input must be an array of 1 to 3 numbers'],
  ['neuron', { weights: [1], inputs: ['1'], bias: 0, answer: 1, rate: 1 }, 'inputs[0] must be a number'],
  [
    'neuron',
    { weights: [1], inputs: [1], bias: 0, answer: 2, rate: 1 },
    'answer must be an integer from 0 to 1',
  ],
  [
    'gradients',
    { activation: 'relu', sum: 0, weight: 1, layers: 51 },
    'layers must be an integer from 1 to 50',
  ],
])('%s refuses %j', async (name, question, sentence) => {
  const { statusCode, error } = await ask(name, question)
  expect(statusCode).toBe(400)
  expect(error).toContain(sentence)
})
