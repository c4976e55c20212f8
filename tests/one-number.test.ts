/** Networks that give one number an image, [n]: compiled, in batches, trained, as they run eagerly. */
import { describe, expect, test } from 'vitest'
import {
  activations,
  add,
  Conv2d,
  cat,
  Dataset,
  Flatten,
  flatten,
  Linear,
  loadOnnx,
  mean,
  mul,
  pad,
  permute,
  relu,
  reshape,
  Sequential,
  SGD,
  saveOnnx,
  sigmoid,
  slice,
  softmax,
  sub,
  summary,
  Tensor,
  Trainer,
} from '../lib/index.ts'
import { Inline, noise } from './helpers.ts'
import { type Numbers, onnxModel, type TestNode } from './onnx-models.ts'

const images = (n: number) => new Tensor(noise(n * 36, 3), [n, 1, 6, 6])
const net = new Sequential(new Flatten(), new Linear(36, 4))
const one = new Sequential(new Flatten(), new Linear(36, 1))

const forms: Record<string, (x: Tensor) => Tensor> = {
  'view(-1)': (x) => reshape(one.forward(x), [-1]),
  'squeeze(1)': (x) => reshape(one.forward(x), [x.shape[0] as number]),
  '[:, 2]': (x) => reshape(slice(net.forward(x), 1, 2, 3), [x.shape[0] as number]),
  'mean over all but the batch': (x) => mean(new Conv2dOfOnes().forward(x), [1, 2, 3]),
  'arithmetic on it': (x) =>
    mul(sigmoid(sub(add(reshape(one.forward(x), [-1]), new Tensor(Float32Array.of(2), [1])), 1)), 3),
  'two of them': (x) => add(mean(x, [1, 2, 3]), relu(reshape(one.forward(x), [-1]))),
  'flatten of it all': (x) => flatten(one.forward(x)),
  'what leaves it alone': (x) => pad(permute(flatten(one.forward(x)), [0]), [0, 0]),
  'a gate for each image': (x) =>
    mean(mul(x, reshape(sigmoid(mean(x, [1, 2, 3])), [x.shape[0] as number, 1, 1, 1])), [1, 2, 3]),
  'back to two dimensions': (x) => {
    const rows = reshape(one.forward(x), [-1])
    return reshape(mul(rows, 2), [x.shape[0] as number, 1])
  },
}

class Conv2dOfOnes extends Conv2d {
  constructor() {
    super(1, 2, { kernelSize: 3 })
    this.weight.data.fill(0.25)
    this.bias?.data.fill(-0.5)
  }
}

describe.each(Object.entries(forms))('%s', (_, forward) => {
  const model = new Inline(forward)

  test.each([1, 3, 40])('of a batch of %i', (n) => {
    const x = images(n)
    const eager = model.forward(x)
    expect(eager.shape[0]).toBe(n)
    const compiled = model.compile({ inputShape: [1, 6, 6] })
    expect(compiled.outputShape).toEqual([1])
    expect([...compiled.run(x)]).toEqual([...eager.data])
    const steps = [...activations(model, x).values()]
    expect(steps.at(-1)?.shape).toEqual(eager.shape)
  })

  test('as ONNX and back', () => {
    const x = images(3)
    const again = loadOnnx(saveOnnx(model, { inputShape: [1, 6, 6] }))
    expect(again.outputs[0]?.shape?.length).toBe(model.forward(x).shape.length)
    expect(again.forward(x)).toEqual(model.forward(x))
    expect([...again.compile().run(x)]).toEqual([...model.forward(x).data])
  })
})

test('what would mix images is refused as before', () => {
  for (const forward of [
    (x: Tensor) => reshape(net.forward(x), [-1]),
    (x: Tensor) => reshape(x, [36]),
    (x: Tensor) => mean(reshape(one.forward(x), [-1]), 0),
    (x: Tensor) => flatten(net.forward(x)),
    (x: Tensor) => softmax(reshape(one.forward(x), [-1]), -1),
    (x: Tensor) => new Linear(1, 2).forward(reshape(one.forward(x), [-1])),
    (x: Tensor) => slice(reshape(one.forward(x), [-1]), 0, 0, 1),
    (x: Tensor) => pad(reshape(one.forward(x), [-1]), [1, 0]),
    (x: Tensor) => cat([reshape(one.forward(x), [-1]), reshape(one.forward(x), [-1])]),
    (x: Tensor) => add(reshape(one.forward(x), [-1]), one.forward(x)),
    (x: Tensor) => add(reshape(one.forward(x), [-1]), new Tensor(new Float32Array(3), [3])),
    (x: Tensor) => reshape(reshape(one.forward(x), [-1]), [1, 1, 1, 1, 1, 1, 1, 1]),
  ]) {
    expect(() => new Inline(forward).compile({ inputShape: [1, 6, 6] })).toThrow(
      expect.objectContaining({ name: 'KerneletError', code: expect.not.stringMatching('ERR_INTERNAL') }),
    )
  }
})

test('it is summed up, and trained as one with [n, 1] is, to the bit', () => {
  const make = (last: (x: Tensor) => Tensor) => {
    const fc = new Linear(36, 1)
    fc.weight.data.set(noise(36, 5))
    fc.bias?.data.fill(0.1)
    return Object.assign(new Inline((x) => last(fc.forward(reshape(x, [x.shape[0] as number, 36])))), { fc })
  }
  const [flat, column] = [make((x) => reshape(x, [-1])), make((x) => x)]
  expect(summary(flat, [1, 6, 6]).parameters).toBe(37)
  const [x, y] = [images(8), [0, 1, 1, 0, 1, 0, 0, 1]]
  const losses = [flat, column].map((model) => {
    const options = {
      loss: 'binaryCrossEntropyWithLogits',
      optimizer: new SGD({ lr: 0.1 }),
      seed: 1,
    } as const
    const trainer = new Trainer(model, options)
    return Array.from({ length: 5 }, () => trainer.step(x, y).loss)
  })
  expect(losses[0]).toEqual(losses[1])
  expect(flat.fc.weight.data).toEqual(column.fc.weight.data)
})

test('two classes by one output: fit, evaluate, dispose', async () => {
  const labels = Uint8Array.from({ length: 80 }, (_, i) => i % 2)
  // Bright above or below.
  const pixels = Uint8Array.from({ length: 80 * 36 }, (_, i) =>
    Math.floor((i % 36) / 18) === labels[Math.floor(i / 36)] ? 200 : (i * 37) % 60,
  )
  const data = new Dataset({ images: pixels, labels, shape: [1, 6, 6], classes: ['above', 'below'] })
  const fc = new Linear(36, 1)
  fc.weight.data.fill(0)
  fc.bias?.data.fill(0)
  const model = Object.assign(new Inline((x) => flatten(fc.forward(flatten(x, 1)))), { fc })
  const trainer = new Trainer(model, { loss: 'binaryCrossEntropyWithLogits', seed: 1 })
  for await (const report of trainer.fit(data, { epochs: 20, batchSize: 16, validation: data })) {
    expect(report.validation?.count).toBe(80)
  }
  expect((await trainer.evaluate(data)).accuracy).toBe(1)
  trainer.dispose()
})

describe('from ONNX', () => {
  const gemm: TestNode = { op: 'Gemm', inputs: ['f', 'w'], outputs: ['k'], attributes: { transB: 1 } }
  const start: TestNode[] = [{ op: 'Flatten', inputs: ['x'], outputs: ['f'] }, gemm]
  const ints = (...data: number[]): Numbers => ({ type: 'int64', shape: [data.length], data })
  const ends: Record<string, TestNode[]> = {
    'Squeeze by axes': [{ op: 'Squeeze', inputs: ['k', 'one'] }],
    Squeeze: [{ op: 'Squeeze', inputs: ['k'] }],
    'Reshape to [-1]': [{ op: 'Reshape', inputs: ['k', 'minus'] }],
    'Reshape to the batch': [
      { op: 'Shape', inputs: ['k'], outputs: ['s'] },
      { op: 'Gather', inputs: ['s', 'zero'], outputs: ['n'] },
      { op: 'Reshape', inputs: ['k', 'n'] },
    ],
    'a column by Gather': [{ op: 'Gather', inputs: ['k', 'scalar'], attributes: { axis: 1 } }],
    'ReduceMean, arithmetic': [
      { op: 'ReduceMean', inputs: ['x'], outputs: ['m'], attributes: { axes: [1, 2, 3], keepdims: 0 } },
      { op: 'Mul', inputs: ['m', 'half'], outputs: ['h'] },
      { op: 'Sigmoid', inputs: ['h'] },
    ],
    'MatMul by a vector': [{ op: 'MatMul', inputs: ['f', 'row'] }],
    'PRelu of it': [
      { op: 'Squeeze', inputs: ['k', 'one'], outputs: ['q'] },
      { op: 'PRelu', inputs: ['q', 'half'] },
    ],
  }
  test.each(Object.entries(ends))('%s', (title, last) => {
    const model = loadOnnx(
      onnxModel({
        opset: 13,
        nodes: [...start, ...last],
        inputs: { x: { shape: ['N', 1, 6, 6] } },
        outputs: ['y'],
        initializers: {
          ...{ one: ints(1), minus: ints(-1), zero: ints(0), scalar: { ...ints(0), shape: [] } },
          half: { shape: [1], data: [0.5] },
          w: { shape: [1, 36], data: noise(36) },
          row: { shape: [36], data: noise(36) },
        },
      }),
    )
    for (const n of [1, 4]) {
      const { y } = model.run({ x: images(n) })
      // Without axes it squeezes a batch of one too.
      expect(y?.shape).toEqual(title === 'Squeeze' && n === 1 ? [] : [n])
      expect([...model.compile().run(images(n))]).toEqual([...(y?.data ?? [])])
    }
    const again = loadOnnx(saveOnnx(model, { inputShape: [1, 6, 6] }))
    expect(again.forward(images(4))).toEqual(model.forward(images(4)))
  })
})
