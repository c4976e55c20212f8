/** trace and summary: shape arithmetic, so of the native addon nothing is needed but its shape rules. */
import { describe, expect, test, vi } from 'vitest'
import {
  add,
  Conv2d,
  cat,
  crossEntropy,
  Flatten,
  flatten,
  LeNet5,
  Linear,
  linear,
  MaxPool2d,
  Module,
  maxPool2d,
  mean,
  pad,
  permute,
  ReLU,
  relu,
  reshape,
  Sequential,
  slice,
  softmax,
  summary,
  Tensor,
  trace,
} from '../lib/index.ts'
import { Inline } from './helpers.ts'

vi.mock('../lib/backend/node-addon.ts', async (original) => {
  const { native } = await original<typeof import('../lib/backend/node-addon.ts')>()
  return { native: () => ({ inferShape: native().inferShape }) }
})

const names = (model: Module, shape: number[]) => trace(model, shape).nodes.map(({ name }) => name)

/** The class notes' network: LeNet-5's convolutions on a 128 × 128 colour image. */
class Notes extends Module {
  readonly conv1: Conv2d = new Conv2d(3, 6, { kernelSize: 5 })
  readonly pool1: MaxPool2d = new MaxPool2d(2)
  readonly conv2: Conv2d = new Conv2d(6, 16, { kernelSize: 5 })
  readonly pool2: MaxPool2d = new MaxPool2d(2)
  readonly fc1: Linear

  constructor(features: number) {
    super()
    this.fc1 = new Linear(features, 120)
  }

  forward(x: Tensor): Tensor {
    const first = this.pool1.forward(relu(this.conv1.forward(x)))
    const second = this.pool2.forward(relu(this.conv2.forward(first)))
    return this.fc1.forward(flatten(second, 1))
  }
}

describe('names', () => {
  test('layers by path, functions by name and count', () => {
    expect(names(new LeNet5(), [1, 28, 28])).toEqual([
      'input',
      'conv1',
      'relu_1',
      'maxPool2d_1',
      'conv2',
      'relu_2',
      'maxPool2d_2',
      'flatten_1',
      'fc1',
      'relu_3',
      'fc2',
      'relu_4',
      'fc3',
    ])
  })

  test('functions inside a submodule by its path; a layer used twice is counted', () => {
    class Block extends Module {
      readonly conv: Conv2d = new Conv2d(4, 4, { kernelSize: 3, padding: 1 })
      forward(x: Tensor): Tensor {
        return relu(add(x, this.conv.forward(this.conv.forward(x))))
      }
    }
    expect(names(new Sequential(new Block(), new ReLU()), [4, 8, 8])).toEqual([
      'input',
      '0.conv',
      '0.conv_2',
      '0.add_1',
      '0.relu_1',
      '1',
    ])
  })

  test('tracing leaves the module as it was', () => {
    const model = new LeNet5()
    const own = Object.getOwnPropertyNames(model.conv1)
    const arrow = new Inline(relu)
    const forward = (x: Tensor) => relu(relu(x))
    arrow.forward = forward
    expect(names(new Sequential(arrow, model.conv1), [1, 28, 28])).toEqual(['input', '0', '0_2', '1'])
    expect(arrow.forward).toBe(forward)
    expect(() => summary(model, [1, 5, 5])).toThrow()
    expect(Object.getOwnPropertyNames(model.conv1)).toEqual(own)
    expect(names(Object.freeze(new Inline(relu)), [3])).toEqual(['input', 'relu_1'])
  })
})

describe('graphs are not only chains', () => {
  test('residual and joined branches', () => {
    const model = new Inline((x) => {
      const a = relu(x)
      return cat([add(a, x), maxPool2d(x, 3, { stride: 1, padding: 1 }), a], 1)
    })
    const { nodes, output } = trace(model, [2, 4, 4])
    expect(nodes.map(({ op, inputs, shape }) => [op, inputs, shape])).toEqual([
      ['input', [], [2, 4, 4]],
      ['relu', [0], [2, 4, 4]],
      ['add', [1, 0], [2, 4, 4]],
      ['maxPool2d', [0], [2, 4, 4]],
      ['concat', [2, 3, 1], [6, 4, 4]],
    ])
    expect(output).toBe(4)
    expect(nodes[4]?.axis).toBe(0)
  })
})

describe('what a trace cannot record is refused', () => {
  const constant = new Tensor(new Float32Array(4), [1, 4])
  const batch = new Tensor(new Float32Array(8), [2, 4])
  test.each<[string, (x: Tensor) => unknown, string]>([
    ['reading values', (x) => (x.data[0]! > 0 ? relu(x) : x), 'forward() reads tensor values'],
    ['a loss', (x) => crossEntropy(x, [1]), 'forward() reads tensor values'],
    ['softmax over the batch', (x) => softmax(x, 0), 'Softmax: dim 0 would mix the images of a batch'],
    ['the same, counted from the end', (x) => softmax(x, -2), 'would mix the images'],
    ['flatten with the batch', (x) => flatten(x), 'Flatten: startDim 0 would mix'],
    ['cat along the batch', (x) => cat([x, x]), 'cat: dim 0 would mix'],
    [
      'a constant that differs by image',
      (x) => add(x, batch),
      'add_1: a constant of 2×4 would make images of a batch different',
    ],
    [
      'values of two ranks',
      (x) => add(reshape(x, [1, 2, 2]), x),
      'add_1: inputs of 2 and 3 dimensions would mix',
    ],
    ['the batch in another place', (x) => permute(x, [1, 0]), 'permute: dims must begin with 0'],
    ['reshape with the batch', (x) => reshape(x, [4]), 'reshape to [4] would mix'],
    ['a mean over the batch', (x) => mean(x, 0), 'mean: dims 0 would mix'],
    ['padding of the batch', (x) => pad(x, [0, 0, 1, 0]), 'pad: a compiled model cannot add images'],
    ['a slice of the batch', (x) => slice(x, 0, 0, 1), 'slice: dim 0 would mix'],
    [
      'a constant result',
      () => constant,
      'Inline: forward() must return one tensor that is computed from its input',
    ],
    ['no result', () => undefined, 'must return one tensor'],
    ['several results', (x) => [x, x], 'must return one tensor'],
  ])('%s', (_, run, sentence) => {
    expect(() => trace(new Inline(run as never), [4])).toThrow(
      expect.objectContaining({ code: 'ERR_UNSUPPORTED', message: expect.stringContaining(sentence) }),
    )
  })

  test('weights computed from the input', () => {
    const model = new Inline((x) => linear(x, relu(x)))
    expect(() => trace(model, [4])).toThrow("Linear: weight is computed from the model's input")
  })

  test('values kept from another trace', () => {
    let kept: Tensor | undefined
    const model = new Inline((x) => {
      const sum = kept ? add(x, kept) : relu(x)
      kept = x
      return sum
    })
    trace(model, [4])
    expect(() => trace(model, [4])).toThrow('values of another trace')
  })

  test.each([[undefined], [[]], [[0]], [[1, 28.5]], ['28'], [28], [[1, 1, 1, 1, 1, 1, 2]]])(
    'input shape %o',
    (shape) => {
      expect(() => trace(new Flatten(), shape as never)).toThrow(
        expect.objectContaining({ code: 'ERR_SHAPE', message: expect.stringMatching(/^inputShape must/) }),
      )
    },
  )

  test('no module', () => {
    expect(() => trace({} as never, [1])).toThrow('trace: expected a Module but received an Object')
    expect(() => trace(undefined as never, [1])).toThrow('but received undefined')
  })
})

describe('summary', () => {
  test('works the class notes’ example', () => {
    const { layers } = summary(new Notes(13456), [3, 128, 128])
    expect(layers.map(({ type, outputShape }) => [type, outputShape])).toEqual([
      ['Conv2d', [6, 124, 124]],
      ['ReLU', [6, 124, 124]],
      ['MaxPool2d', [6, 62, 62]],
      ['Conv2d', [16, 58, 58]],
      ['ReLU', [16, 58, 58]],
      ['MaxPool2d', [16, 29, 29]],
      ['Flatten', [13456]],
      ['Linear', [120]],
    ])
  })

  test('counts parameters and multiply-adds', () => {
    const result = new LeNet5().summary([1, 28, 28])
    expect(result.layers.filter(({ macs }) => macs > 0)).toEqual([
      {
        name: 'conv1',
        type: 'Conv2d',
        outputShape: [6, 24, 24],
        parameters: 156,
        macs: 86400,
        connections: 89856,
      },
      {
        name: 'conv2',
        type: 'Conv2d',
        outputShape: [16, 8, 8],
        parameters: 2416,
        macs: 153600,
        connections: 154624,
      },
      { name: 'fc1', type: 'Linear', outputShape: [120], parameters: 30840, macs: 30720, connections: 30840 },
      { name: 'fc2', type: 'Linear', outputShape: [84], parameters: 10164, macs: 10080, connections: 10164 },
      { name: 'fc3', type: 'Linear', outputShape: [10], parameters: 850, macs: 840, connections: 850 },
    ])
    expect([result.parameters, result.macs, result.connections]).toEqual([44426, 281640, 286334])
  })

  test('groups, padding and shared layers', () => {
    const conv = new Conv2d(4, 8, { kernelSize: 3, padding: 1, groups: 2, bias: false })
    const shared = new Linear(5, 5)
    const result = summary(new Sequential(conv, shared, shared), [4, 6, 5])
    expect(result.layers.map(({ parameters, macs }) => [parameters, macs])).toEqual([
      [8 * 2 * 9, 8 * 30 * 2 * 9],
      [30, 48 * 25],
      [0, 48 * 25],
    ])
  })

  test('prints an aligned table', () => {
    expect(
      String(summary(new Sequential(new Conv2d(1, 6, { kernelSize: 5 }), new ReLU()), [1, 28, 28])),
    ).toBe(
      [
        'Layer  Type    Output shape  Parameters    MACs  Connections',
        '────────────────────────────────────────────────────────────',
        'input          [1, 28, 28]',
        '0      Conv2d  [6, 24, 24]          156  86,400       89,856',
        '1      ReLU    [6, 24, 24]',
        '────────────────────────────────────────────────────────────',
        'total                               156  86,400       89,856',
      ].join('\n'),
    )
  })

  test('needs no memory for a model that would need a lot', () => {
    const before = process.memoryUsage().arrayBuffers
    const { macs } = summary(new Sequential(new Conv2d(3, 64, { kernelSize: 3 })), [3, 20002, 20002])
    expect(macs).toBe(64 * 20000 * 20000 * 27)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1e6)
  })
})

describe('the layer that does not fit is named, with the reason', () => {
  const single = (layer: Module) => new Sequential(layer)
  test.each<[string, Module, number[], string]>([
    [
      'a linear layer of another image size',
      new Notes(256),
      [3, 128, 128],
      'fc1: Linear expects 256 features but receives 13456 (16×29×29 from pool2 flattened); use new Linear(13456, 120)',
    ],
    [
      'a linear layer on an image',
      single(new Linear(256, 10)),
      [16, 4, 4],
      '0: Linear expects 256 features but receives 4 (16×4×4 from input); flatten it first: flatten(x, 1)',
    ],
    [
      'channels last',
      new LeNet5(),
      [28, 28, 1],
      'conv1: Conv2d expects 1 input channel but receives 28 (28×28×1 from input); this looks like NHWC ' +
        '(height, width, channels): kernelet expects channels first, [1, 28, 28]',
    ],
    [
      'grey for colour',
      new LeNet5(3),
      [1, 28, 28],
      'conv1: Conv2d expects 3 input channels but receives 1 (1×28×28 from input)',
    ],
    [
      'no channel dimension',
      new LeNet5(),
      [28, 28],
      'conv1: Conv2d expects [channels, height, width] per image but receives 28×28 from input; use [1, 28, 28]',
    ],
    [
      'a window larger than the image',
      single(new Conv2d(1, 1, { kernelSize: 5, dilation: 2, padding: 1 })),
      [1, 6, 9],
      '0: Conv2d has a window of 5×5 (9×9 with dilation), larger than the 6×9 image it receives (8×11 with padding, 1×6×9 from input)',
    ],
    [
      'an image pooled away',
      new Sequential(new MaxPool2d(2), new MaxPool2d(2), new MaxPool2d(2)),
      [1, 4, 4],
      '2: MaxPool2d has a window of 2×2, larger than the 1×1 image it receives (1×1×1 from 1)',
    ],
    [
      'a sum of two shapes',
      new Inline((x) => add(x, maxPool2d(x, 2))),
      [1, 4, 4],
      'add_1: add expects shapes that are equal, or 1, in every dimension, aligned at the last, but receives 1×4×4 from input and 1×2×2 from maxPool2d_1',
    ],
    [
      'a join of two shapes',
      new Inline((x) => cat([x, maxPool2d(x, 2)], 1)),
      [1, 4, 4],
      'concat_1: cat expects shapes that agree in all but one dimension but receives 1×4×4 from input and 1×2×2 from maxPool2d_1',
    ],
  ])('%s', (_, model, shape, message) => {
    expect(() => summary(model, shape)).toThrow(expect.objectContaining({ code: 'ERR_SHAPE', message }))
  })
})
