/** compile and what a CompiledModel accepts, refuses and says. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { native } from '../lib/backend/node-addon.ts'
import {
  type CompiledModel,
  Conv2d,
  compile,
  Identity,
  isa,
  LeNet5,
  Linear,
  Module,
  mean,
  ReLU,
  Sequential,
  Tensor,
  trace,
} from '../lib/index.ts'
import { bitsOf, noise } from './helpers.ts'

const inputShape = [1, 28, 28]
const model = new LeNet5()
const lenet = (options = {}) => compile(model, { inputShape, ...options })

/** What LeNet-5 makes of these images, computed op by op. */
const expected = (images: Float32Array) =>
  model.forward(new Tensor(images, [images.length / 784, ...inputShape])).data

const detach = (array: Float32Array) =>
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
const failure = (code: string, sentence: string) =>
  expect.objectContaining({ name: 'KerneletError', code, message: expect.stringContaining(sentence) })

afterEach(() => vi.restoreAllMocks())

describe('options', () => {
  test.each<[string, () => unknown, string, string]>([
    [
      'no input shape',
      () => compile(model),
      'ERR_ARGUMENT',
      'inputShape, the shape of one image such as [1, 28, 28], is needed',
    ],
    [
      'a wrong input shape',
      () => compile(model, { inputShape: [28, 28, 1] }),
      'ERR_SHAPE',
      'conv1: Conv2d expects 1 input channel',
    ],
    [
      'an unknown option',
      () => lenet({ batch: 1 }),
      'ERR_ARGUMENT',
      'unknown option "batch"; the options are { inputShape, isa,',
    ],
    ['an unknown ISA', () => lenet({ isa: 'mmx' }), 'ERR_ISA', isa().supported.at(-1)!],
    ['an unknown algorithm', () => lenet({ algorithm: 'magic' }), 'ERR_ARGUMENT', 'magic'],
    [
      'half a thread',
      () => lenet({ threads: 0.5 }),
      'ERR_ARGUMENT',
      'threads must be an integer of at least 0',
    ],
    ['no batch', () => lenet({ maxBatch: 0 }), 'ERR_ARGUMENT', 'maxBatch must be an integer of at least 1'],
    ['fuse: 1', () => lenet({ fuse: 1 }), 'ERR_ARGUMENT', 'fuse'],
    [
      'no model',
      () => compile(undefined as never),
      'ERR_ARGUMENT',
      'expected a Module or Graph but received undefined',
    ],
    [
      'no graph',
      () => compile({ nodes: [], output: 0 }),
      'ERR_ARGUMENT',
      'A graph must begin with its input',
    ],
    [
      'another shape than the graph’s',
      () => compile(trace(model, inputShape), { inputShape: [1, 32, 32] }),
      'ERR_SHAPE',
      'inputShape is 1×32×32 but the graph was traced with 1×28×28',
    ],
  ])('%s', (_, run, code, sentence) => {
    expect(run).toThrow(failure(code, sentence))
  })

  test('a graph needs no shape, and a model need not compute anything', () => {
    const input = noise(784)
    using fromGraph = compile(trace(model, inputShape))
    expect(fromGraph.run(input)).toEqual(expected(input))
    using same = compile(new Identity(), { inputShape: [3] })
    expect(same.run(Float32Array.of(1, 2, 3, 4, 5, 6))).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6))
  })

  test('the weights are those at the time', () => {
    const linear = new Linear(1, 1, { bias: false })
    linear.weight.data[0] = 2
    using net = linear.compile({ inputShape: [1] })
    linear.weight.data[0] = 3
    expect(net.run(Float32Array.of(5))[0]).toBe(10)
  })

  test('weights that were transferred away are missed by name', () => {
    const broken = new Sequential(new Linear(2, 2))
    detach((broken[0] as Linear).weight.data)
    expect(() => broken.compile({ inputShape: [2] })).toThrow(
      failure('ERR_SHAPE', '0: weight: expected 4 values'),
    )
  })
})

describe('run', () => {
  test('takes arrays and tensors, with and without a batch', () => {
    using net = lenet()
    const images = noise(3 * 784)
    expect(net.run(images)).toEqual(expected(images))
    expect(net.run(images.subarray(0, 784))).toEqual(expected(images.subarray(0, 784)))
    expect(net.run(new Tensor(images, [3, 1, 28, 28]))).toEqual(expected(images))
    expect(net.run(new Tensor(images.subarray(784, 1568), inputShape))).toEqual(
      expected(images.subarray(784, 1568)),
    )
  })

  test('hands back its own array, which the next call overwrites', () => {
    using net = lenet()
    const [a, b] = [noise(784, 1), noise(784, 2)]
    const first = net.run(a)
    const kept = first.slice()
    expect(net.run(b)).toBe(first)
    expect(first).toEqual(expected(b))
    expect(net.run(a)).toEqual(kept)
  })

  test('or writes to the caller’s', () => {
    using net = lenet()
    const input = noise(2 * 784)
    const output = new Float32Array(24).fill(7).subarray(2, 22)
    expect(net.run(input, output)).toBe(output)
    expect(output).toEqual(expected(input))
    expect([...new Float32Array(output.buffer)].filter((value) => value === 7)).toHaveLength(4)
  })

  test('sees what was written to an array it knows', () => {
    using net = lenet()
    const input = noise(784)
    net.run(input)
    input.set(noise(784, 5))
    expect(net.run(input)).toEqual(expected(input))
  })

  test('binds only when the arrays change', () => {
    const addon = native()
    const make = addon.compile
    let bind: ReturnType<typeof vi.spyOn> | undefined
    vi.spyOn(addon, 'compile').mockImplementation((...args) => {
      const plan = make(...args)
      bind = vi.spyOn(plan, 'bind') as never
      return plan
    })
    using net = lenet()
    const [input, output] = [noise(784), new Float32Array(10)]
    for (let i = 0; i < 3; i++) net.run(input)
    expect(bind).toHaveBeenCalledTimes(1)
    const tensor = new Tensor(input, inputShape)
    for (let i = 0; i < 3; i++) net.run(tensor)
    expect(bind).toHaveBeenCalledTimes(1)
    for (let i = 0; i < 3; i++) net.run(input, output)
    expect(bind).toHaveBeenCalledTimes(2)
    net.run(input)
    expect(bind).toHaveBeenCalledTimes(3)
  })

  test('its own output may be the next input', () => {
    using net = compile(new ReLU(), { inputShape: [2] })
    const first = net.run(Float32Array.of(-1, 2))
    const second = net.run(first)
    expect(second).not.toBe(first)
    expect([...second]).toEqual([0, 2])
    expect([...net.run(second)]).toEqual([0, 2])
  })

  test('its own output may be transferred away', () => {
    using net = lenet()
    const input = noise(784)
    const wanted = expected(input)
    for (let i = 0; i < 3; i++) {
      const output = net.run(input)
      expect(output).toEqual(wanted)
      detach(output)
    }
  })

  test('a batch as large as maxBatch and no larger', () => {
    using net = lenet({ maxBatch: 2 })
    const images = noise(3 * 784)
    const small = net.run(images.subarray(0, 784))
    expect(net.run(images.subarray(0, 2 * 784)).buffer).toBe(small.buffer)
    expect(small.buffer.byteLength).toBe(2 * 10 * 4)
    expect(() => net.run(images)).toThrow(
      failure('ERR_ARGUMENT', 'at most 2 images at once (maxBatch) but received 3'),
    )
  })

  test('NaN goes in and comes out; nothing else does', () => {
    using net = lenet()
    const clean = expected(noise(2 * 784))
    const images = noise(2 * 784)
    images[3 * 28 + 3] = Number.NaN
    const output = net.run(images)
    expect([...output.subarray(0, 10)].every(Number.isNaN)).toBe(true)
    expect(output.subarray(10)).toEqual(clean.subarray(10))
    expect(net.run(noise(2 * 784))).toEqual(clean)
  })

  test('shared memory, in and out', () => {
    using net = lenet()
    const input = new Float32Array(new SharedArrayBuffer(784 * 4))
    const output = new Float32Array(new SharedArrayBuffer(10 * 4))
    input.set(noise(784))
    expect(net.run(input, output)).toBe(output)
    expect([...output]).toEqual([...expected(noise(784))])
  })
})

const detached = noise(784)
detach(detached)
const memory = new Float32Array(784 + 10)

describe.each<[string, (net: CompiledModel, input: never, output?: never) => unknown]>([
  ['run', (net, input, output) => net.run(input, output)],
  ['runAsync', (net, input, output) => net.runAsync(input, output)],
])('%s refuses', (_, call) => {
  test.each<[string, unknown, unknown, string, string]>([
    [
      'a short input',
      new Float32Array(1000),
      undefined,
      'ERR_SHAPE',
      'Expected 784 values per image (1×28×28) for input but received 1000',
    ],
    [
      'an empty input',
      new Float32Array(0),
      undefined,
      'ERR_SHAPE',
      'received 0 (an empty or detached buffer)',
    ],
    ['a detached input', detached, undefined, 'ERR_SHAPE', 'received 0 (an empty or detached buffer)'],
    [
      'doubles',
      new Float64Array(784),
      undefined,
      'ERR_ARGUMENT',
      'Expected a Float32Array for input but received a Float64Array; convert it with Float32Array.from(input)',
    ],
    ['numbers', Array(784).fill(0), undefined, 'ERR_ARGUMENT', 'convert it with Float32Array.from(input)'],
    [
      'bytes',
      Buffer.alloc(784),
      undefined,
      'ERR_ARGUMENT',
      "received a Buffer; compile with inputType: 'uint8' to run on bytes, or Float32Array.from(pixels, (p) => p / 255)",
    ],
    ['an ArrayBuffer', new ArrayBuffer(784 * 4), undefined, 'ERR_ARGUMENT', 'received an ArrayBuffer'],
    ['nothing', undefined, undefined, 'ERR_ARGUMENT', 'received undefined'],
    [
      'channels last',
      new Tensor(noise(784), [28, 28, 1]),
      undefined,
      'ERR_SHAPE',
      'received 28×28×1; this looks like NHWC',
    ],
    [
      'a batch of channels last',
      new Tensor(noise(1568), [2, 28, 28, 1]),
      undefined,
      'ERR_SHAPE',
      'received 2×28×28×1; this looks like NHWC',
    ],
    [
      'a flat tensor',
      new Tensor(noise(784), [1, 784]),
      undefined,
      'ERR_SHAPE',
      'Expected a tensor of shape 1×28×28 or batch×1×28×28 for input but received 1×784',
    ],
    [
      'a short output',
      noise(784),
      new Float32Array(9),
      'ERR_SHAPE',
      'Expected 10 values (1 × 10) for output but received 9',
    ],
    [
      'a long output',
      noise(784),
      new Float32Array(11),
      'ERR_SHAPE',
      'Expected 10 values (1 × 10) for output but received 11',
    ],
    ['a detached output', noise(784), detached, 'ERR_SHAPE', 'received 0 (an empty or detached buffer)'],
    [
      'an output of doubles',
      noise(784),
      new Float64Array(10),
      'ERR_ARGUMENT',
      'Expected a Float32Array for output',
    ],
    ['an output that is null', noise(784), null, 'ERR_ARGUMENT', 'for output but received null'],
    [
      'an output inside the input',
      memory.subarray(0, 784),
      memory.subarray(780, 790),
      'ERR_ARGUMENT',
      'output overlaps input',
    ],
  ])('%s', async (_, input, output, code, sentence) => {
    using net = lenet()
    // also after calls that went well, which take the short way
    net.run(noise(784))
    await expect(async () => call(net, input as never, output as never)).rejects.toThrow(
      failure(code, sentence),
    )
    expect(net.run(noise(784))).toEqual(expected(noise(784)))
  })
})

test('an array that is detached between two calls is noticed', () => {
  using net = lenet()
  const [input, output] = [noise(784), new Float32Array(10)]
  for (let i = 0; i < 3; i++) net.run(input, output)
  detach(output)
  expect(() => net.run(input, output)).toThrow(failure('ERR_SHAPE', 'Expected 10 values (1 × 10) for output'))
  net.run(input)
  detach(input)
  expect(() => net.run(input)).toThrow(failure('ERR_SHAPE', 'received 0 (an empty or detached buffer)'))
})

describe('runAsync', () => {
  test('resolves to a new array, or to the caller’s', async () => {
    using net = lenet()
    const input = noise(2 * 784)
    const output = new Float32Array(20)
    const [fresh, another, same] = await Promise.all([
      net.runAsync(input),
      net.runAsync(new Tensor(input, [2, 1, 28, 28])),
      net.runAsync(input, output),
    ])
    expect(fresh).toEqual(expected(input))
    expect(another).toEqual(fresh)
    expect(another).not.toBe(fresh)
    expect(same).toBe(output)
    expect(output).toEqual(fresh)
  })

  test('does not look at the input again after it returned', async () => {
    using net = lenet()
    const input = noise(64 * 784)
    const wanted = expected(input)
    const promise = net.runAsync(input)
    input.fill(Number.NaN)
    detach(input)
    expect(await promise).toEqual(wanted)
  })

  test('one flight at a time into the same memory, of whatever model', async () => {
    using net = lenet()
    using other = lenet()
    const input = noise(784)
    const memory = new Float32Array(24)
    const first = net.runAsync(input, memory.subarray(0, 10))
    const overlapping = new Float32Array(memory.buffer, 9 * 4, 10)
    const beside = new Float32Array(memory.buffer, 10 * 4, 10)
    const busy = failure('ERR_BUSY', 'output belongs to a runAsync call that has not finished')
    await Promise.all([
      expect(net.runAsync(input, overlapping)).rejects.toThrow(busy),
      expect(other.runAsync(input, overlapping)).rejects.toThrow(busy),
      expect(async () => net.run(input, overlapping)).rejects.toThrow(busy),
      expect(other.runAsync(input, beside)).resolves.toBe(beside),
      first,
    ])
    expect(await net.runAsync(input, overlapping)).toBe(overlapping)
  })

  test('the short way is closed too while a flight is on', async () => {
    using net = lenet()
    const [input, output] = [noise(784), new Float32Array(10)]
    net.run(input, output)
    const flight = net.runAsync(input, output)
    expect(() => net.run(input, output)).toThrow(failure('ERR_BUSY', 'runAsync call that has not finished'))
    await flight
    expect(net.run(input, output)).toBe(output)
  })

  test('a failed flight frees its memory again', async () => {
    using net = lenet()
    const output = new Float32Array(10)
    await expect(net.runAsync(new Float32Array(3), output)).rejects.toThrow()
    await expect(net.runAsync(noise(784), output)).resolves.toBe(output)
  })

  test('an output detached in flight is an error, not a crash', async () => {
    using net = lenet()
    const output = new Float32Array(10)
    const promise = net.runAsync(noise(784), output)
    detach(output)
    await expect(promise).rejects.toThrow(failure('ERR_ARGUMENT', 'detached'))
  })

  test('a signal that has fired', async () => {
    using net = lenet()
    const signal = AbortSignal.abort('enough')
    await expect(net.runAsync(noise(784), undefined, { signal })).rejects.toMatchObject({
      code: 'ERR_ABORTED',
      cause: 'enough',
    })
    await net.runAsync(noise(784), undefined, { signal: new AbortController().signal })
    await expect(net.runAsync(noise(784), undefined, { signl: signal } as never)).rejects.toThrow(
      'unknown option "signl"',
    )
  })

  test('disposing in flight lets the flight land', async () => {
    const net = lenet()
    const input = noise(64 * 784)
    const promise = net.runAsync(input)
    net.dispose()
    expect(await promise).toEqual(expected(input))
  })
})

describe('dispose', () => {
  test('ends everything but itself', async () => {
    const net = lenet()
    const input = noise(784)
    net.run(input)
    net.run(input)
    net.dispose()
    net.dispose()
    net[Symbol.dispose]()
    const disposed = failure('ERR_DISPOSED', 'disposed')
    expect(() => net.run(input)).toThrow(disposed)
    expect(() => net.describe()).toThrow(disposed)
    expect(() => net.profile(input)).toThrow(disposed)
    await expect(net.runAsync(input)).rejects.toThrow(disposed)
  })
})

describe('describe and profile', () => {
  test('profile times every step of describe', () => {
    using net = lenet()
    const before = net.run(noise(784)).slice()
    const steps = net.profile(noise(2 * 784), { iterations: 5 })
    expect(steps.map(({ ns, gflops, ...step }) => step)).toEqual(net.describe().steps)
    for (const { ns, gflops, macs } of steps) {
      expect(ns).toBeGreaterThan(0)
      expect(gflops).toBeCloseTo((2 * 2 * macs) / ns, 6)
    }
    expect(net.run(noise(784))).toEqual(before)
    expect(() => net.profile(noise(784), { iterations: 0 })).toThrow(
      'iterations must be an integer of at least 1',
    )
  })

  test('unfused, every operation is a step', () => {
    using net = lenet({ fuse: false })
    expect(net.describe().steps.every((step) => step.ops.length === 1)).toBe(true)
  })

  test('a large linear layer runs during the convolution before it', () => {
    using net = compile(LeNet5.pretrained(), { inputShape, algorithm: 'direct-pixels' })
    const scalar = net.describe().isa === 'scalar'
    const during = net.describe().steps.map((step) => step.during)
    expect(during).toEqual([undefined, undefined, scalar ? undefined : 'conv2', undefined, undefined])
    expect(String(net.describe()).includes(', during conv2')).toBe(!scalar)
    using im2col = compile(LeNet5.pretrained(), { inputShape, algorithm: 'im2col' })
    expect(im2col.describe().steps.some((step) => step.during)).toBe(false)
  })

  test('a mean of planes reads blocks where they lie', () => {
    class Means extends Module {
      conv = new Conv2d(16, 32, { kernelSize: 3 })
      forward(x: Tensor) {
        return mean(this.conv.forward(x), [2, 3])
      }
    }
    const net = new Means()
    using compiled = compile(net, { inputShape: [16, 18, 18] })
    const [conv, pool] = compiled.describe().steps
    expect(pool?.problem).toBe('32x16x16o32x1x1')
    expect(pool?.layout).toBe(conv?.layout)
    const images = noise(2 * 16 * 18 * 18)
    const eager = net.forward(new Tensor(images, [2, 16, 18, 18])).data
    expect(bitsOf(compiled.run(images))).toEqual(bitsOf(eager))
  })

  test('the text has a line for the whole and one a step', () => {
    using net = compile(new Sequential(new Conv2d(1, 6, { kernelSize: 5 }), new ReLU()), {
      inputShape,
      threads: 1,
    })
    const lines = String(net.describe()).split('\n')
    expect(lines[0]).toMatch(
      /^1×28×28 → 6×24×24, \w+, 1 thread, 156 parameters, 86,400 MACs, weights [\d,]+ bytes, arena/,
    )
    expect(lines[2]).toMatch(/^0 \+ 1 .*ic1ih28iw28oc6oh24ow24kh5kw5 +86,400$/)
    expect(lines).toHaveLength(3)
  })
})

test('bits of a run are the bits of the eager functions', () => {
  using net = lenet()
  expect(bitsOf(net.run(noise(784)))).toEqual(bitsOf(expected(noise(784))))
})
