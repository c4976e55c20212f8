/** evaluate, the losses in JavaScript, contact sheets, and the commands that show data and errors. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decode, encode } from 'fast-png'
import { afterAll, describe, expect, test } from 'vitest'
import { brailleChart, smooth } from '../lib/cli/charts/braille.ts'
import { contactSheet } from '../lib/cli/charts/contact-sheet.ts'
import { Dataset, evaluate, Flatten, LeNet5, Linear, Module, Sequential, type Tensor } from '../lib/index.ts'
import { predict, targetsOf } from '../lib/train/losses.ts'
import { root } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-eval-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Its scores are the pixels themselves. */
class Pixels extends Module {
  forward(x: Tensor): Tensor {
    return new Flatten().forward(x)
  }
}

describe('evaluate', () => {
  // Scores of three classes; the last two images are misread.
  const data = new Dataset({
    images: Float32Array.of(2, 0, 0, 0, 3, 0, 0, 1, 0, 1, 0, 0),
    labels: [0, 1, 2, 2],
    shape: [1, 1, 3],
    names: ['a', 'b', 'c', 'd'],
  })
  const nll = (scores: number[], label: number) =>
    Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0)) - scores[label]!

  test('accuracy, loss, confusion, order of examples', async () => {
    const result = await evaluate(new Pixels(), data)
    expect(result).toMatchObject({ count: 4, correct: 2, accuracy: 0.5, errorRate: 0.5 })
    const losses = [nll([2, 0, 0], 0), nll([0, 3, 0], 1), nll([0, 1, 0], 2), nll([1, 0, 0], 2)]
    expect(result.loss).toBeCloseTo(losses.reduce((sum, loss) => sum + loss, 0) / 4, 6)
    expect(result.confusion).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [1, 1, 0],
    ])
    expect(result.misread.map(({ name, predicted }) => [name, predicted])).toEqual([
      ['c', 1],
      ['d', 0],
    ])
    expect(result.worst(3).map(({ index }) => index)).toEqual([2, 3, 0])
    expect(String(result)).toBe(
      ['   0  1  2     right', '0  1  ·  ·  100.00 %', '1  ·  1  ·  100.00 %', '2  1  1  ·    0.00 %'].join(
        '\n',
      ),
    )
    expect(JSON.parse(JSON.stringify(result))).toMatchObject({
      count: 4,
      errorRate: 0.5,
      classes: ['0', '1', '2'],
    })
  })

  test('calibration error: confidence against accuracy, by bins', async () => {
    const result = await evaluate(new Pixels(), data)
    const confidence = (scores: number[]) => Math.exp(-nll(scores, scores.indexOf(Math.max(...scores))))
    // 0.79 and 0.91 are right and alone in their bins; 0.58 twice, both wrong, in one.
    const [a, b, c] = [confidence([2, 0, 0]), confidence([0, 3, 0]), confidence([0, 1, 0])]
    expect(result.ece).toBeCloseTo((1 - a + (1 - b) + 2 * c) / 4, 6)
    const cool = await evaluate(new Pixels(), data, { temperature: 2 })
    expect(cool.worst(1)[0]!.confidence).toBeCloseTo(confidence([0, 0.5, 0]), 6)
    expect(cool.correct).toBe(2)
  })

  test('batches change nothing, and bytes are scaled', async () => {
    const bytes = new Dataset({
      images: Uint8Array.from({ length: 784 * 33 }, (_, i) => (i * 7919) % 256),
      labels: Array.from({ length: 33 }, (_, i) => i % 10),
      shape: [1, 28, 28],
    })
    const floats = new Dataset({
      images: Float32Array.from(bytes.images, (byte) => (byte / 255 - 0.1) / 0.3),
      labels: bytes.labels,
      shape: [1, 28, 28],
    })
    const model = LeNet5.pretrained()
    const one = await evaluate(model, bytes, { batchSize: 7, mean: 0.1, std: 0.3 })
    expect(await evaluate(model, bytes, { mean: 0.1, std: 0.3 })).toEqual(one)
    expect((await evaluate(model, floats)).loss).toBeCloseTo(one.loss, 4)
  })

  test('one output tells two classes apart', async () => {
    const two = new Dataset({ images: Float32Array.of(-1, 2, 0.5), labels: [0, 1, 0], shape: [1] })
    const result = await evaluate(new Pixels(), two, { loss: 'binaryCrossEntropyWithLogits' })
    expect(result.confusion).toEqual([
      [1, 1],
      [0, 1],
    ])
    const expected = [-1, 2, 0.5].map((x, i) => Math.log1p(Math.exp(i === 1 ? -x : x)))
    expect(result.loss).toBeCloseTo(expected.reduce((sum, loss) => sum + loss) / 3, 6)
  })

  test('what does not fit is said', async () => {
    const rejects = async (promise: Promise<unknown>, code: string, message: RegExp) =>
      expect(promise).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    const abort = new AbortController()
    abort.abort()
    await rejects(evaluate(new Pixels(), data, { signal: abort.signal }), 'ERR_ABORTED', /aborted/)
    await rejects(
      evaluate(new Linear(3, 2), data),
      'ERR_SHAPE',
      /one row of outputs an image but it gives 1×1×2/,
    )
    await rejects(
      evaluate(new Sequential(new Flatten(), new Linear(3, 2)), data),
      'ERR_ARGUMENT',
      /3 classes but the model tells 2 apart/,
    )
    await rejects(evaluate(new LeNet5(), data), 'ERR_SHAPE', /conv1/)
    await rejects(
      evaluate(new Pixels(), {} as never),
      'ERR_ARGUMENT',
      /expected a Dataset but received an Object/,
    )
    await rejects(evaluate(new Pixels(), data, { loss: 'nll' as never }), 'ERR_ARGUMENT', /crossEntropy, mse/)
    await rejects(evaluate(new Pixels(), data, { temperature: 0 }), 'ERR_ARGUMENT', /temperature/)
    await rejects(evaluate(new Pixels(), data, { std: 0 }), 'ERR_ARGUMENT', /std must be a number above 0/)
  })
})

describe('losses of one image', () => {
  test('targets', () => {
    const labels = Int32Array.of(1, 0)
    expect(targetsOf('crossEntropy', labels, 2)).toBe(labels)
    expect([...targetsOf('mse', labels, 3)]).toEqual([0, 1, 0, 1, 0, 0])
    expect([...targetsOf('binaryCrossEntropy', labels, 1)]).toEqual([1, 0])
  })

  test('extremes stay finite', () => {
    expect(predict('crossEntropy', Float32Array.of(1000, -1000), 1).loss).toBe(2000)
    expect(predict('binaryCrossEntropy', Float32Array.of(0), 1).loss).toBe(100)
    expect(predict('binaryCrossEntropyWithLogits', Float32Array.of(-500), 1).loss).toBe(500)
    expect(predict('mse', Float32Array.of(0, 0.5), 1)).toEqual({ predicted: 1, confidence: 0.5, loss: 0.125 })
  })
})

describe('pictures in text and PNG', () => {
  test('a falling line, a flat one, nothing', () => {
    const chart = (points: [number, number][]) =>
      brailleChart(points, { width: 4, height: 2, format: String })
    expect(
      chart([
        [0, 7],
        [1, 0],
      ]),
    ).toBe('7 ┤⠑⢄⠀⠀\n0 ┤⠀⠀⠑⢄')
    expect(
      chart([
        [0, 1],
        [1, 1],
      ]),
    ).toBe('1 ┤⠀⠀⠀⠀\n1 ┤⣀⣀⣀⣀')
    expect(chart([])).toBe('')
    expect(chart([[0, Number.NaN]])).toBe('')
  })

  test('stretches of values', () => {
    expect(smooth([1, 3, 5, 7], 2)).toEqual([
      [1, 2],
      [3, 6],
    ])
    expect(smooth([1, 3], 5)).toEqual([
      [0.5, 1],
      [1.5, 3],
    ])
    expect(smooth([], 5)).toEqual([])
  })

  test('a contact sheet is a PNG that shows the image and letters', () => {
    const data = new Dataset({ images: new Uint8Array(784).fill(200), labels: [3], shape: [1, 28, 28] })
    const example = { index: 0, label: 3, predicted: 8, confidence: 0.75, loss: 1 }
    const {
      width,
      height,
      channels,
      data: pixels,
    } = decode(contactSheet(data, [example], ['0', '1', '2', '3']))
    expect([channels, width > 84, height > 98]).toEqual([3, true, true])
    const at = (x: number, y: number) => [...pixels.subarray(3 * (y * width + x), 3 * (y * width + x) + 3)]
    expect([at(0, 0), at(6, 6), at(89, 89), at(90, 6)]).toEqual([
      [24, 26, 30],
      [200, 200, 200],
      [200, 200, 200],
      [24, 26, 30],
    ])
    const green = Array.from({ length: width * height }, (_, i) => pixels[3 * i] === 86).filter(Boolean)
    expect(green.length).toBeGreaterThan(30)
    expect(decode(contactSheet(data, [], [])).width).toBeGreaterThan(0)
  })
})

describe('commands', () => {
  const run = (...args: string[]) => {
    const options = { encoding: 'utf8', cwd: folder, env: { ...process.env, KERNELET_MNIST: '' } } as const
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(root, 'bin/kernelet.js'), ...args],
      options,
    )
    return { status, stdout, stderr }
  }
  const photos = join(folder, 'photos')
  for (const name of ['3-blue-pen-on-yellow-paper', '7-large-1600x1200', '8-tiny-16x16']) {
    mkdirSync(join(photos, name[0]!), { recursive: true })
    writeFileSync(join(photos, name[0]!, 'x.png'), readFileSync(join(root, `examples/digits/${name}.png`)))
  }
  // A three that somebody filed under four.
  mkdirSync(join(photos, '4'))
  writeFileSync(join(photos, '4/wrong.png'), readFileSync(join(photos, '3/x.png')))

  test('eval of a folder of pictures: figures, misread files, a sheet', () => {
    const { status, stdout, stderr } = run('eval', '--data', photos, '--sheet', 'sheet.png')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^25\.00 % error: 1 of 4 labelled images are misread; loss [\d.]+, ECE [\d.]+ %\n/)
    expect(stdout).toMatch(/photos\/4\/wrong\.png: 4 read as 3, [\d.]+ % sure\n/)
    expect(decode(readFileSync(join(folder, 'sheet.png'))).channels).toBe(3)
    const json = JSON.parse(run('eval', '--data', photos, '--json').stdout)
    expect(json).toMatchObject({
      model: 'lenet5',
      count: 4,
      correct: 3,
      misread: [{ label: 4, predicted: 3 }],
    })
  })

  test('data of a folder of pictures, with what cannot be used', () => {
    mkdirSync(join(photos, '9'), { recursive: true })
    writeFileSync(
      join(photos, '9/blank.png'),
      encode({ width: 30, height: 30, channels: 1, depth: 8, data: new Uint8Array(900).fill(255) }),
    )
    const { status, stdout, stderr } = run('data', '--data', photos)
    expect(status).toBe(0)
    expect(stderr).toMatch(/left out: .*blank\.png: no digit\n/)
    expect(stdout).toMatch(
      /photos: 4 images of 1×28×28 \(pictures\)\n\nclass {2}all\n3 +1\n4 +1\n7 +1\n8 +1\n9 +0\n/,
    )
    rmSync(join(photos, '9'), { recursive: true })
  })

  test('--sheet shows images and what training makes of them', () => {
    const sheet = join(folder, 'varied.png')
    expect(run('data', '--data', photos, '--sheet', sheet).status).toBe(0)
    const { data, width, height, channels } = decode(readFileSync(sheet))
    // 4 images and 15 variations of each, twice as large, a line between them
    expect([width, height, channels]).toEqual([16 * 57, 4 * 57, 1])
    const cell = (column: number): number[] =>
      Array.from({ length: 56 * 56 }, (_, i) => data[Math.floor(i / 56) * width + 57 * column + (i % 56)]!)
    expect(new Set([0, 1, 2, 15].map((column) => cell(column).join())).size).toBe(4)
    run('data', '--data', photos, '--sheet', join(folder, 'other.png'), '--seed', '1')
    expect(readFileSync(join(folder, 'other.png')).equals(readFileSync(sheet))).toBe(false)
    expect(run('data', '--data', photos, '--sheet', sheet, '--seed', 'x').status).toBe(2)
  })

  test('--raw: pictures as they are', () => {
    const raw = join(folder, 'raw')
    for (const [name, width] of [
      ['1', 28],
      ['2', 28],
    ] as const) {
      mkdirSync(join(raw, name), { recursive: true })
      const data = new Uint8Array(width * 28).fill(7)
      writeFileSync(join(raw, name, 'a.png'), encode({ width, height: 28, channels: 1, depth: 8, data }))
    }
    expect(run('data', '--data', raw)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/has no pictures/),
    })
    expect(run('data', '--data', raw, '--raw').stdout).toMatch(/2 images of 1×28×28/)
    expect(run('eval', '--data', raw, '--raw').stdout).toMatch(/of 2 labelled images are misread/)
  })

  test('no data, wrong data, wrong options: one line', () => {
    expect(run('eval')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/No training data: name a folder/),
    })
    expect(run('eval', '--data', 'none')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/none cannot be read/),
    })
    expect(run('eval', '--data', photos, '--part', 'x')).toMatchObject({ status: 2 })
    expect(run('eval', '--data', photos, '--most', '0')).toMatchObject({ status: 2 })
    expect(run('eval', '--data', photos, '--model', 'lenet')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/unknown model lenet; did you mean lenet5\?/),
    })
    expect(run('data', 'mnist', '--mirror', 'x')).toMatchObject({ status: 2 })
    expect(existsSync(join(folder, 'data'))).toBe(false)
  })
})
