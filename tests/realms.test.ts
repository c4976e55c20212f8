/** Arrays, buffers and URLs of another realm: a vm context, as Jest, Node-RED and n8n run programs in. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import vm from 'node:vm'
import { afterAll, expect, test } from 'vitest'
import * as k from '../lib/index.ts'
import { root } from './helpers.ts'

const folder = mkdtempSync(join(tmpdir(), 'kernelet-'))
afterAll(() => rmSync(folder, { recursive: true }))

const context = vm.createContext({})
const foreign = <T>(name: string): T => vm.runInContext(name, context) as T
const Floats = foreign<typeof Float32Array>('Float32Array')
const Bytes = foreign<typeof Uint8Array>('Uint8Array')
const Clamped = foreign<typeof Uint8ClampedArray>('Uint8ClampedArray')
const Integers = foreign<typeof Int32Array>('Int32Array')
const List = foreign<typeof Array>('Array')
const Dictionary = foreign<typeof Map>('Map')
const Plain = foreign<typeof ArrayBuffer>('ArrayBuffer')
const bytes = (of: Uint8Array): Uint8Array<ArrayBuffer> => {
  const copy = new Bytes(of.length)
  copy.set(of)
  return copy
}
const buffer = (of: Uint8Array): ArrayBuffer => {
  const copy = new Plain(of.length)
  new Bytes(copy).set(of)
  return copy
}
/** As a URL of another realm looks: not an instance of ours. */
const foreignUrl = (path: string): URL => {
  const { href, protocol } = pathToFileURL(path)
  return Object.assign(Object.create(null), { href, protocol }) as URL
}

const weights = join(root, 'models/lenet5-mnist.safetensors')
const picture = join(root, 'examples/digits/1-pencil.png')
const onnx = join(folder, 'net.onnx')
const small = () => new k.Sequential(new k.Flatten(), new k.Linear(4, 2))
k.saveOnnx(small(), onnx, { inputShape: [1, 2, 2] })

test('values: tensors, plans, training, data', () => {
  const x = new k.Tensor(new Floats(4).fill(1), List.of(1, 1, 2, 2))
  const model = small()
  expect(model.forward(x).shape).toEqual([1, 2])
  expect(model.compile({ inputShape: List.of(1, 2, 2) }).run(new Floats(8)).length).toBe(4)
  const onBytes = model.compile({ inputShape: [1, 2, 2], inputType: 'uint8' })
  expect(onBytes.run(new Clamped(4)).length).toBe(2)
  const trainer = new k.Trainer(model, { inputShape: [1, 2, 2], seed: 1 })
  for (const [images, labels] of [
    [new Floats(8), new Integers([1, 0])],
    [new Bytes(8), List.of(1, 0)],
  ] as const) {
    expect(trainer.step(images, labels).loss).toBeGreaterThan(0)
  }
  const data = new k.Dataset({
    images: new Bytes(8),
    labels: new Integers([1, 0]),
    shape: List.of(1, 2, 2),
    classes: List.of('a', 'b'),
  })
  expect(data.subset(new Uint32Array([1])).labels).toEqual(Int32Array.of(0))
  const state = new Dictionary([...model.stateDict()])
  expect(model.loadStateDict(state)).toEqual({ missingKeys: [], unexpectedKeys: [] })
  expect(k.augment(new Bytes(784), [1, 28, 28], k.handwriting, { seed: 1 })).toHaveLength(784)
  expect(k.cat(List.of(x, x), 0).shape).toEqual([2, 1, 2, 2])
  expect(k.normalizeDigit({ data: new Bytes(784), width: 28, height: 28, channels: 1 }).status).toBe(
    'no digit',
  )
})

test.each([
  ['a path', (path: string) => path],
  ['a file: URL', (path: string) => pathToFileURL(path)],
  ['a file: URL as text', (path: string) => pathToFileURL(path).href],
  ['a URL of another realm', foreignUrl],
  ['bytes', (path: string) => new Uint8Array(readFileSync(path))],
  ['a Buffer', (path: string) => readFileSync(path)],
  ['an ArrayBuffer', (path: string) => buffer(readFileSync(path))],
  ['bytes of another realm', (path: string) => bytes(readFileSync(path))],
] as const)('files as %s', (_, form) => {
  expect(k.loadSafetensors(form(weights)).size).toBe(10)
  expect(k.readSafetensors(form(weights)).tensors.size).toBe(10)
  expect(k.loadOnnx(form(onnx)).compile().outputShape).toEqual([2])
  expect(k.DigitClassifier.load({ weights: form(weights) })).toBeInstanceOf(k.DigitClassifier)
  const torch = join(root, 'tests/fixtures/torch/bn_depthwise.state_dict.pt')
  expect(k.loadTorch(form(torch)).size).toBeGreaterThan(0)
})

test('pictures as bytes of any kind, and by URL', async () => {
  const digits = k.DigitClassifier.load()
  for (const form of [bytes, buffer]) {
    expect(digits.classify(form(readFileSync(picture))).digit).toBe(1)
    expect((await digits.classifyAsync(form(readFileSync(picture)))).digit).toBe(1)
  }
  for (const form of [pathToFileURL(picture), pathToFileURL(picture).href, foreignUrl(picture)]) {
    expect((await digits.classifyFile(form)).digit).toBe(1)
  }
})

test('files are written to URLs too', () => {
  const model = small()
  const at = (name: string) => pathToFileURL(join(folder, name))
  k.saveSafetensors(at('a.safetensors'), model.stateDict())
  expect(k.loadSafetensors(at('a.safetensors')).size).toBe(2)
  k.saveOnnx(model, at('b.onnx'), { inputShape: [1, 2, 2] })
  expect(k.loadOnnx(at('b.onnx')).inputShape).toEqual([1, 2, 2])
  const trainer = new k.Trainer(model, { inputShape: [1, 2, 2], seed: 1 })
  trainer.saveCheckpoint(foreignUrl(join(folder, 'c.safetensors')), { note: 'x' })
  expect(trainer.loadCheckpoint(at('c.safetensors')).get('note')).toBe('x')
})

test('a URL of something else than a file, and what is no file at all', () => {
  for (const source of [
    'file://elsewhere/x',
    new URL('https://example.org/x'),
    {},
    null,
    7,
    new DataView(new ArrayBuffer(8)),
  ]) {
    expect(() => k.loadSafetensors(source as never)).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT' }),
    )
    expect(() => k.saveSafetensors(source as never, small().stateDict())).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT' }),
    )
  }
})
