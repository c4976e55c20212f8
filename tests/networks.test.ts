/** Networks beyond LeNet-5: blocks of channels between layers, what is fused behind a convolution, shared images. */
import { describe, expect, test } from 'vitest'
import {
  add,
  BatchNorm2d,
  Conv2d,
  compile,
  flatten,
  Hardswish,
  isa,
  Linear,
  MaxPool2d,
  Module,
  ReLU6,
  relu,
  Sequential,
  type Tensor,
} from '../lib/index.ts'
import { noise } from './helpers.ts'

/** A stem, a residual block with batch norms, an inverted residual, pools and a head. */
class Small extends Module {
  readonly stem = new Conv2d(3, 32, { kernelSize: 3, stride: 2, padding: 1 })
  readonly norm = new BatchNorm2d(32)
  readonly first = new Conv2d(32, 32, { kernelSize: 3, padding: 1, bias: false })
  readonly second = new Conv2d(32, 32, { kernelSize: 3, padding: 1 })
  readonly wide = new Conv2d(32, 96, { kernelSize: 1 })
  readonly depth = new Conv2d(96, 96, { kernelSize: 3, padding: 1, groups: 96 })
  readonly narrow = new Conv2d(96, 32, { kernelSize: 1 })
  readonly act = new Hardswish()
  readonly pool = new MaxPool2d(2)
  readonly head = new Linear(32 * 8 * 8, 10)

  forward(x: Tensor): Tensor {
    const a = relu(this.norm.forward(this.stem.forward(x)))
    const b = relu(add(this.second.forward(relu(this.first.forward(a))), a))
    const c = this.act.forward(this.depth.forward(this.act.forward(this.wide.forward(b))))
    const d = this.pool.forward(relu(add(this.narrow.forward(c), b)))
    return this.head.forward(flatten(d, 1))
  }
}

const net = new Small().eval()
const inputShape = [3, 32, 32]
const x = noise(5 * 3 * 32 * 32)
const wanted = compile(net, { inputShape, algorithm: 'im2col', isa: isa().chosen }).run(x).slice()

describe('a network in blocks of channels', () => {
  const lanes = isa().chosen !== 'scalar'

  test.skipIf(!lanes)('what follows a convolution is the end of its tile', () => {
    // (which layout the first convolution has depends on the machine)
    const { steps } = compile(net, { inputShape, algorithm: 'blocked', threads: 1 }).describe()
    expect(steps.map((step) => step.ops.join('+'))).toEqual([
      'conv2d+batchNorm+relu',
      'conv2d+relu',
      'conv2d+add+relu',
      'conv2d+hardswish',
      'conv2d+hardswish',
      'conv2d+add+relu+maxPool2d',
      'reorder',
      'linear',
    ])
    expect(steps.map((step) => step.layout)).toEqual([...Array(6).fill('blocked'), 'planes', 'planes'])
    expect(steps.every((step) => step.parts === 1)).toBe(true)
  })

  test.each(isa().supported)('%s: the same bits by batch, threads and algorithm as their class', (tier) => {
    const options = { inputShape, isa: tier } as const
    const expected = compile(net, { ...options, algorithm: 'im2col' })
      .run(x)
      .slice()
    for (const algorithm of ['auto', 'blocked', 'direct', 'lanes']) {
      for (const threads of [1, 2, 3]) {
        const model = compile(net, { ...options, algorithm, threads })
        expect(model.run(x), `${algorithm}, ${threads} threads`).toEqual(expected)
        const alone = [0, 1, 2, 3, 4].flatMap((i) => [...model.run(x.subarray(i * 3072, (i + 1) * 3072))])
        expect(Float32Array.from(alone)).toEqual(expected)
      }
    }
  })

  test('as eager', () => {
    const model = compile(net, { inputShape })
    expect(model.run(x)).toEqual(wanted)
  })

  test('profile times every step, of one image and of many', () => {
    const model = compile(net, { inputShape, threads: 1 })
    for (const batch of [1, 40]) {
      const steps = model.profile(noise(batch * 3072), { iterations: 2 })
      expect(steps.length).toBe(model.describe().steps.length)
      expect(steps.filter((step) => step.macs > 0).every((step) => step.ns > 0)).toBe(true)
    }
  })
})

/** Another value is added before a maximum of 2x2 windows. */
class AddedAndPooled extends Module {
  readonly first = new Conv2d(32, 32, { kernelSize: 3, padding: 1 })
  readonly second = new Conv2d(32, 32, { kernelSize: 3, padding: 1 })
  readonly pool = new MaxPool2d(2)

  forward(x: Tensor): Tensor {
    const a = relu(this.first.forward(x))
    return this.pool.forward(relu(add(this.second.forward(a), a)))
  }
}

describe('an odd last row or column that a maximum leaves out', () => {
  test.each([
    [14, 14],
    [15, 14],
    [14, 15],
    [15, 15],
    [33, 33],
  ])('%i x %i, behind a value added', (height, width) => {
    const odd = new AddedAndPooled().eval()
    const options = { inputShape: [32, height, width] }
    const images = noise(2 * 32 * height * width)
    const expected = compile(odd, { ...options, algorithm: 'im2col' })
      .run(images)
      .slice()
    for (const algorithm of ['auto', 'blocked'] as const) {
      for (const threads of [1, 3]) {
        expect(compile(odd, { ...options, algorithm, threads }).run(images)).toEqual(expected)
      }
    }
  })
})

test.runIf(isa().supported.includes('avx2'))(
  'many channels of few pixels are reordered before a convolution that writes blocks, few channels are not',
  () => {
    const opsOf = (channels: number, shape: number[]) => {
      const conv = new Conv2d(channels, 64, { kernelSize: 3, stride: 2, padding: 1 }).eval()
      return compile(conv, { inputShape: shape, isa: 'avx2', algorithm: 'blocked' })
        .describe()
        .steps.map(({ ops }) => ops[0])
    }
    expect(opsOf(128, [128, 14, 14])).toEqual(['reorder', 'conv2d', 'reorder'])
    expect(opsOf(3, [3, 112, 112])).toEqual(['conv2d', 'reorder'])
  },
)

describe('a wide value between a 1×1 and a depthwise convolution', () => {
  const expand = new Conv2d(16, 96, { kernelSize: 1 })
  const depthwise = new Conv2d(96, 96, { kernelSize: 3, stride: 2, padding: 1, groups: 96 })
  const model = new Sequential(
    new Conv2d(3, 16, { kernelSize: 3, padding: 1 }),
    expand,
    new ReLU6(),
    depthwise,
  ).eval()
  const options = { inputShape: [3, 112, 112] }
  const image = noise(3 * 112 * 112)
  const lanes = isa().chosen !== 'scalar'

  test.skipIf(!lanes)('is one step, some rows at a time, and counts as both', () => {
    using plan = compile(model, { ...options, threads: 1 })
    const step = plan.describe().steps.find(({ strip }) => strip)
    expect(step).toMatchObject({ ops: ['conv2d', 'clip', 'conv2d'], inputShape: [16, 112, 112], parts: 1 })
    expect(step?.macs).toBe(96 * 112 * 112 * 16 + 96 * 56 * 56 * 9)
    expect(step?.problem).toMatch(/^ic16.*\+g96ic96/)
    expect(step?.epilogue).toBe('bias+clip+conv2d+bias')
    expect(step?.strip).toBeLessThan(56)
    expect(String(plan.describe())).toContain(`${step?.strip} rows at a time`)
    const { arenaBytes } = plan.describe()
    expect(arenaBytes).toBeLessThan(compile(model, { ...options, fuse: false }).describe().arenaBytes / 2)
  })

  test('the same bits', () => {
    const expected = compile(model, { ...options, fuse: false }).run(image)
    for (const threads of [1, 3]) expect(compile(model, { ...options, threads }).run(image)).toEqual(expected)
  })
})
