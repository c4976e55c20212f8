/** The operations beside convolution and pooling: each against its definition, eager, compiled and in batches. */
import { describe, expect, test } from 'vitest'
import {
  AdaptiveAvgPool2d,
  AvgPool2d,
  abs,
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  add,
  avgPool1d,
  avgPool2d,
  BatchNorm1d,
  BatchNorm2d,
  Conv1d,
  Conv2d,
  cat,
  clamp,
  compile,
  conv1d,
  conv2d,
  Dropout,
  div,
  ELU,
  elu,
  exp,
  Flatten,
  flatten,
  GELU,
  gelu,
  Hardsigmoid,
  Hardswish,
  Hardtanh,
  hardsigmoid,
  hardswish,
  LeakyReLU,
  Linear,
  LocalResponseNorm,
  LogSoftmax,
  leakyRelu,
  loadTorch,
  localResponseNorm,
  log,
  MaxPool1d,
  Module,
  maxPool1d,
  maxPool2d,
  mean,
  mul,
  PixelShuffle,
  PixelUnshuffle,
  PReLU,
  pad,
  permute,
  pixelShuffle,
  pixelUnshuffle,
  pow,
  prelu,
  ReLU6,
  readSafetensors,
  relu6,
  reshape,
  SELU,
  Sequential,
  SiLU,
  selu,
  silu,
  slice,
  sub,
  summary,
  Tensor,
  Unflatten,
  ZeroPad2d,
} from '../lib/index.ts'
import { bitsOf, fixtures, Inline, largestError, noise, tensorOf } from './helpers.ts'

const tensor = (...shape: number[]) =>
  new Tensor(
    noise(
      shape.reduce((a, b) => a * b, 1),
      shape.length,
    ),
    shape,
  )
const scaled = (x: Tensor, by: number) =>
  new Tensor(
    x.data.map((v) => v * by),
    x.shape,
  )

/** Eager, and compiled by every way to run a batch: the same bits, and shapes. */
function everyWay(model: Module, x: Tensor): Tensor {
  model.eval()
  const eager = model.forward(x)
  for (const options of [{}, { algorithm: 'lanes' }, { fuse: false }] as const) {
    const compiled = compile(model, { inputShape: x.shape.slice(1), ...options } as never)
    expect(bitsOf(new Float32Array(compiled.run(x.data)))).toEqual(bitsOf(eager.data))
    expect([x.shape[0], ...compiled.outputShape]).toEqual(eager.shape)
    compiled.dispose()
  }
  return eager
}

/** Largest error in units of the last place of the larger of 1 and the wanted number. */
function ulps(actual: Float32Array, expected: (i: number) => number): number {
  let worst = 0
  for (const [i, value] of actual.entries()) {
    const want = expected(i)
    worst = Math.max(worst, Math.abs(value - want) / (Math.max(1, Math.abs(want)) * 2 ** -23))
  }
  return worst
}

/** erf by its series: exact enough in double for |x| up to 5. */
function erf(x: number): number {
  let [term, sum] = [x, x]
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n
    sum += term / (2 * n + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * sum
}

describe('activations', () => {
  const cases: [string, (x: Tensor) => Tensor, (x: number) => number, Module?][] = [
    ['relu6', relu6, (x) => Math.min(Math.max(x, 0), 6), new ReLU6()],
    ['leakyRelu', leakyRelu, (x) => (x > 0 ? x : 0.01 * x), new LeakyReLU()],
    ['leakyRelu 0.3', (x) => leakyRelu(x, 0.3), (x) => (x > 0 ? x : 0.3 * x), new LeakyReLU(0.3)],
    ['elu', elu, (x) => (x > 0 ? x : Math.expm1(x)), new ELU()],
    ['elu 0.5', (x) => elu(x, 0.5), (x) => (x > 0 ? x : 0.5 * Math.expm1(x)), new ELU(0.5)],
    ['selu', selu, (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)), new SELU()],
    ['silu', silu, (x) => x / (1 + Math.exp(-x)), new SiLU()],
    ['gelu', gelu, (x) => (x / 2) * (1 + erf(x / Math.SQRT2)), new GELU()],
    ['hardswish', hardswish, (x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6, new Hardswish()],
    ['hardsigmoid', hardsigmoid, (x) => Math.min(Math.max(x + 3, 0), 6) / 6, new Hardsigmoid()],
    [
      "ONNX's hardsigmoid",
      (x) => hardsigmoid(x, { alpha: 0.2, beta: 0.5 }),
      (x) => Math.min(Math.max(0.2 * x + 0.5, 0), 1),
    ],
    ['clamp', (x) => clamp(x, -1, 1), (x) => Math.min(Math.max(x, -1), 1), new Hardtanh()],
    ['clamp from below', (x) => clamp(x, 0.25), (x) => Math.max(x, 0.25)],
    ['clamp from above', (x) => clamp(x, null, 0.25), (x) => Math.min(x, 0.25)],
    ['exp', exp, Math.exp],
    ['log', (x) => log(exp(x)), (x) => x],
    ['abs', abs, Math.abs],
    ['pow 2', (x) => pow(x, 2), (x) => x * x],
    ['pow 3', (x) => pow(x, 3), (x) => x ** 3],
    ['pow -0.75', (x) => pow(exp(x), -0.75), (x) => Math.exp(-0.75 * x)],
  ]
  // beyond 6, where the last of them bends
  const x = scaled(tensor(5, 3, 4, 5), 7)

  test.each(cases)('%s', (_, run, definition, layer) => {
    const y = everyWay(new Inline(run), x)
    expect(y.shape).toEqual(x.shape)
    expect(ulps(y.data, (i) => definition(x.data[i]!))).toBeLessThan(8)
    if (layer) expect(bitsOf(layer.forward(x).data)).toEqual(bitsOf(y.data))
  })

  test('behind a convolution and a linear layer they are fused, with the same bits', () => {
    for (const [, run] of cases) {
      const conv = new Conv2d(3, 4, { kernelSize: 3 })
      const head = new Linear(4 * 2 * 3, 6)
      const model = new Inline((x) => run(head.forward(flatten(run(conv.forward(x)), 1))))
      everyWay(model, x)
    }
  })

  test('NaN stays NaN', () => {
    const nan = new Tensor(Float32Array.of(Number.NaN), [1, 1])
    for (const [name, run] of cases) expect([name, run(nan).data[0]]).toEqual([name, Number.NaN])
  })

  test('prelu, one slope or one a channel', () => {
    for (const slopes of [[0.25], [0.25, -0.5, 2]]) {
      const layer = new PReLU(slopes.length)
      layer.weight.data.set(slopes)
      const y = everyWay(layer, x)
      const slope = (i: number) => slopes[slopes.length === 1 ? 0 : Math.floor(i / 20) % 3]!
      expect(ulps(y.data, (i) => (x.data[i]! > 0 ? 1 : slope(i)) * x.data[i]!)).toBeLessThan(1)
    }
    expect(() => prelu(x, tensor(2))).toThrow('PReLU expects 2 channels but receives 3')
  })
})

describe('arithmetic with broadcasting', () => {
  const x = tensor(17, 3, 4, 5)
  const operations = { add, sub, mul, div }
  const numbers: Record<string, (a: number, b: number) => number> = {
    add: (a, b) => a + b,
    sub: (a, b) => a - b,
    mul: (a, b) => a * b,
    div: (a, b) => a / b,
  }
  /** Index into a tensor of `shape`, aligned at the last dimension, of element `i` of x. */
  const at = (shape: readonly number[], i: number) => {
    let [index, stride] = [0, 1]
    for (let d = 1; d <= 4; d++) {
      const inner = x.shape.slice(5 - d).reduce((a, b) => a * b, 1)
      const place = Math.floor(i / inner) % x.shape[4 - d]!
      const size = shape[shape.length - d] ?? 1
      if (size !== 1) index += place * stride
      stride *= size
    }
    return index
  }

  test.each([[[3, 1, 1]], [[4, 1]], [[5]], [[1]], [[]], [[3, 4, 5]], [[1, 3, 1, 5]], [[1, 1, 4, 1]]])(
    'a constant of %j',
    (shape) => {
      const constant = new Tensor(
        noise(
          shape.reduce((a, b) => a * b, 1),
          3,
        ).map((v) => v + 2),
        shape,
      )
      for (const [name, operation] of Object.entries(operations)) {
        const right = everyWay(new Inline((x) => operation(x, constant)), x)
        const left = everyWay(new Inline((x) => operation(constant, x)), x)
        const c = (i: number) => constant.data[at(shape, i)]!
        expect(bitsOf(right.data)).toEqual(bitsOf(x.data.map((v, i) => Math.fround(numbers[name]!(v, c(i))))))
        expect(bitsOf(left.data)).toEqual(bitsOf(x.data.map((v, i) => Math.fround(numbers[name]!(c(i), v)))))
      }
    },
  )

  test('a number, on either side', () => {
    const y = everyWay(new Inline((x) => sub(1, mul(x, 0.5))), x)
    expect(ulps(y.data, (i) => 1 - 0.5 * x.data[i]!)).toBeLessThan(1)
  })

  test('two values: squeeze and excite', () => {
    const model = new Inline((x) => mul(x, mean(x, [2, 3], { keepdim: true })))
    const y = everyWay(model, x)
    const average = (i: number) => {
      const plane = x.data.subarray(Math.floor(i / 20) * 20, Math.floor(i / 20) * 20 + 20)
      return plane.reduce((sum, v) => sum + v, 0) / 20
    }
    expect(ulps(y.data, (i) => x.data[i]! * average(i))).toBeLessThan(4)
  })

  test('values that grow by broadcasting', () => {
    const column = tensor(6, 2, 1)
    const row = new Tensor(noise(3), [1, 3])
    const y = everyWay(new Inline((x) => add(x, row)), column)
    expect(y.shape).toEqual([6, 2, 3])
    expect(y.data[4]).toBe(Math.fround(column.data[1]! + row.data[1]!))
  })

  test('a constant beside values in cat', () => {
    const constant = tensor(1, 2, 4, 5)
    const model = new Inline((x) => cat([x, constant, x], 1))
    const compiled = compile(model, { inputShape: [3, 4, 5] })
    const y = compiled.run(x.data)
    expect(y.subarray(60, 100)).toEqual(constant.data)
    expect(compiled.outputShape).toEqual([8, 4, 5])
  })

  test('shapes that do not broadcast, and no tensor at all', () => {
    expect(() => add(x, tensor(2, 1, 1))).toThrow('aligned at the last')
    expect(() => mul(1, 2)).toThrow('mul: expected a Tensor but received 1')
  })
})

describe('what arranges values', () => {
  const x = tensor(17, 2, 3, 4)
  const element = (n: number, c: number, h: number, w: number) => x.data[((n * 2 + c) * 3 + h) * 4 + w]!

  test('permute', () => {
    const y = everyWay(new Inline((x) => permute(x, [0, 2, 3, 1])), x)
    expect(y.shape).toEqual([17, 3, 4, 2])
    expect(y.data[(5 * 3 + 2) * 8 + 3 * 2 + 1]).toBe(element(5, 1, 2, 3))
    expect(permute(x, [1, 0, 3, 2]).shape).toEqual([2, 17, 4, 3])
    expect(() => permute(x, [0, 1, 1, 2])).toThrow('permute: dims must name each of the 4 dimensions once')
  })

  test('pixelShuffle and pixelUnshuffle', () => {
    const wide = tensor(17, 12, 2, 3)
    const y = everyWay(new PixelShuffle(2), wide)
    expect(y.shape).toEqual([17, 3, 4, 6])
    for (const [i, value] of y.data.entries()) {
      const [w, h, c, n] = [i % 6, Math.floor(i / 6) % 4, Math.floor(i / 24) % 3, Math.floor(i / 72)]
      const channel = c * 4 + (h % 2) * 2 + (w % 2)
      const at = ((n * 12 + channel) * 2 + Math.floor(h / 2)) * 3 + Math.floor(w / 2)
      expect(value).toBe(wide.data[at])
    }
    expect(everyWay(new PixelUnshuffle(2), y).data).toEqual(wide.data)
    expect(() => pixelShuffle(x, 2)).toThrow('pixelShuffle: 2 channels do not make blocks of 2×2 pixels')
    expect(() => pixelUnshuffle(x, 2)).toThrow('an image of 3×4 has no whole blocks of 2×2 pixels')
    expect(() => pixelShuffle(x, 0)).toThrow('pixelShuffle: upscaleFactor must be 1 or more but is 0')
    expect(() => new PixelUnshuffle(0.5)).toThrow('PixelUnshuffle: downscaleFactor must be')
  })

  test('reshape, Unflatten and Flatten share data', () => {
    const y = reshape(x, [17, -1, 4])
    expect(y.shape).toEqual([17, 6, 4])
    expect(y.data).toBe(x.data)
    const back = everyWay(new Sequential(new Flatten(), new Unflatten(1, [2, -1, 4])), x)
    expect(back.shape).toEqual(x.shape)
    expect(back.data).toEqual(x.data)
    expect(() => reshape(x, [17, 5])).toThrow('do not fill [17, 5]')
    const scalar = new Tensor(Float32Array.of(3), [])
    expect(reshape(scalar, [1]).shape).toEqual([1])
    expect(reshape(scalar, [1, 1]).shape).toEqual([1, 1])
    expect(reshape(reshape(scalar, [1]), []).shape).toEqual([])
    expect(() => reshape(x, [-1, -1])).toThrow('reshape: shape must be')
  })

  test.each<[number, number, number | undefined, number]>([
    [1, 0, 1, 1],
    [2, 1, undefined, 1],
    [3, 0, undefined, 2],
    [3, -1, -4, -1],
    [3, 10, undefined, -2],
    [2, -2, 100, 1],
  ])('slice of dimension %i from %i to %s by %i', (dim, start, end, step) => {
    const y = everyWay(new Inline((x) => slice(x, dim, start, end, step)), x)
    const indices = Array.from({ length: x.shape[dim]! }, (_, i) => i)
    const wanted =
      step > 0
        ? indices.slice(start, end).filter((_, i) => i % step === 0)
        : indices
            .reverse()
            .filter((i) => i <= (start < 0 ? start + indices.length : start))
            .filter((i) => end === undefined || i > (end < 0 ? end + indices.length : end))
            .filter((_, i) => i % -step === 0)
    expect(y.shape).toEqual(x.shape.with(dim, wanted.length))
    const place = [3, 1, 2, 1].with(dim, wanted.length - 1)
    const source = place.with(dim, wanted.at(-1)!) as [number, number, number, number]
    const index = place.reduce((index, one, d) => index * y.shape[d]! + one, 0)
    expect(y.data[index]).toBe(element(...source))
  })

  test('a slice of nothing', () => {
    expect(() => slice(x, 1, 2)).toThrow('nothing lies between 2 and the end of dimension 1 of 17×2×3×4')
    expect(() => slice(x, 1, 0, 1, 0)).toThrow('slice: step')
  })

  test('pad and crop', () => {
    const y = everyWay(new Inline((x) => pad(x, [1, 2, -1, 1], 0.5)), x)
    expect(y.shape).toEqual([17, 2, 3, 7])
    expect(Array.from(y.data.subarray(0, 21))).toEqual(
      [1, 2]
        .flatMap((h) => [0.5, ...[0, 1, 2, 3].map((w) => element(0, 0, h, w)), 0.5, 0.5])
        .concat(Array(7).fill(0.5)),
    )
    expect(new ZeroPad2d([0, 1, 0, 2]).forward(x).shape).toEqual([17, 2, 5, 5])
    expect(() => pad(x, [-2, -2])).toThrow('pad cuts everything off')
    expect(() => pad(x, [1])).toThrow('pad: pads must be')
  })

  test.each([[[2, 3]], [[1]], [[1, 3]], [[-1]], [[1, 2, 3]]])('mean over %j', (dims) => {
    const over = dims.map((dim) => (dim + 4) % 4)
    const y = everyWay(new Inline((x) => mean(x, dims, { keepdim: true })), x)
    expect(y.shape).toEqual(x.shape.map((one, d) => (over.includes(d) ? 1 : one)))
    const sums = new Map<number, number>()
    for (const [i, v] of x.data.entries()) {
      const place = [Math.floor(i / 24), Math.floor(i / 12) % 2, Math.floor(i / 4) % 3, i % 4]
      const key = place.reduce((key, one, d) => key * y.shape[d]! + (over.includes(d) ? 0 : one), 0)
      sums.set(key, (sums.get(key) ?? 0) + v)
    }
    const count = over.reduce((product, d) => product * x.shape[d]!, 1)
    expect(ulps(y.data, (i) => sums.get(i)! / count)).toBeLessThan(4)
    expect(mean(x, dims).shape).toEqual(x.shape.filter((_, d) => !over.includes(d)))
  })
})

describe('one dimension', () => {
  const x = tensor(9, 4, 23)
  const image = reshape(x, [9, 4, 1, 23])

  test('conv1d is a convolution of images one row high', () => {
    const [weight, bias] = [tensor(6, 2, 5), tensor(6)]
    for (const padding of [0, 2, [3, 1], 'same'] as const) {
      const options = { dilation: 2, groups: 2, padding }
      const y = everyWay(new Inline((x) => conv1d(x, weight, bias, options)), x)
      const before = padding === 'same' ? 4 : typeof padding === 'number' ? padding : padding[0]
      const after = padding === 'same' ? 4 : typeof padding === 'number' ? padding : padding[1]
      const wide = conv2d(image, reshape(weight, [6, 2, 1, 5]), bias, {
        dilation: [1, 2],
        groups: 2,
        padding: [0, before, 0, after],
      })
      expect(y.shape).toEqual([9, 6, 23 + before + after - 8])
      expect(y.data).toEqual(wide.data)
    }
    expect(conv1d(slice(x, 0, 0, 1), weight, bias, { groups: 2 }).shape).toEqual([1, 6, 19])
    expect(conv1d(reshape(slice(x, 0, 0, 1), [4, 23]), weight, bias, { groups: 2 }).shape).toEqual([6, 19])
  })

  test('pools', () => {
    const y = everyWay(new Inline((x) => maxPool1d(x, 3, { stride: 2, padding: 1 })), x)
    expect(y.data).toEqual(maxPool2d(image, [1, 3], { stride: [1, 2], padding: [0, 1] }).data)
    const z = everyWay(new Inline((x) => avgPool1d(x, 4, { ceilMode: true })), x)
    expect(z.data).toEqual(avgPool2d(image, [1, 4], { ceilMode: true }).data)
    expect(z.shape).toEqual([9, 4, 6])
    expect(adaptiveAvgPool1d(x, 1).data).toEqual(mean(x, 2).data)
  })

  test('layers, their names and counts', () => {
    const model = new Sequential(
      new Conv1d(4, 8, { kernelSize: 3, padding: 'same' }),
      new BatchNorm1d(8),
      new MaxPool1d(2),
      new Flatten(),
      new Linear(88, 3),
      new BatchNorm1d(3),
    )
    everyWay(model, x)
    const { layers, parameters } = summary(model, [4, 23])
    expect(layers.map(({ type }) => type)).toEqual([
      'Conv1d',
      'BatchNorm1d',
      'MaxPool1d',
      'Flatten',
      'Linear',
      'BatchNorm1d',
    ])
    expect(parameters).toBe(8 * 4 * 3 + 8 + 16 + 88 * 3 + 3 + 6)
    expect(layers[0]!.macs).toBe(8 * 4 * 3 * 23)
  })

  test('a picture is refused by name', () => {
    expect(() => compile(new Conv1d(4, 2, { kernelSize: 3 }), { inputShape: [4, 5, 5] })).toThrow(
      'Conv1d expects [channels, length] per image',
    )
    expect(() => new BatchNorm2d(4).forward(x)).toThrow('BatchNorm2d expects 4 dimensions')
  })
})

describe('pools of another kind', () => {
  const x = tensor(17, 3, 7, 5)

  test('adaptive pools: bins that cover the plane', () => {
    for (const size of [1, [3, 2], [7, null], [10, 4]] as const) {
      const y = everyWay(new Inline((x) => adaptiveAvgPool2d(x, size)), x)
      const z = everyWay(new Inline((x) => adaptiveMaxPool2d(x, size)), x)
      const [oh, ow] = typeof size === 'number' ? [size, size] : [size[0], size[1] ?? 5]
      expect(y.shape).toEqual([17, 3, oh, ow])
      for (const plane of [0, 50]) {
        for (let i = 0; i < oh; i++) {
          for (let j = 0; j < ow; j++) {
            const taps: number[] = []
            for (let h = Math.floor((i * 7) / oh); h < Math.ceil(((i + 1) * 7) / oh); h++) {
              for (let w = Math.floor((j * 5) / ow); w < Math.ceil(((j + 1) * 5) / ow); w++)
                taps.push(x.data[plane * 35 + h * 5 + w]!)
            }
            const index = (plane * oh + i) * ow + j
            expect(y.data[index]).toBeCloseTo(taps.reduce((a, b) => a + b) / taps.length, 6)
            expect(z.data[index]).toBe(Math.max(...taps))
          }
        }
      }
    }
    expect(() => adaptiveAvgPool2d(x, [1, 2, 3] as never)).toThrow('outputSize must have 2 sides')
  })

  test('padding by sides and same', () => {
    const weight = tensor(2, 3, 4, 3)
    const y = everyWay(new Inline((x) => conv2d(x, weight, null, { padding: 'same', dilation: [2, 1] })), x)
    expect(y.shape).toEqual([17, 2, 7, 5])
    const padded = conv2d(pad(x, [1, 1, 3, 3]), weight, null, { dilation: [2, 1] })
    expect(y.data).toEqual(padded.data)
    expect(() => conv2d(x, weight, null, { padding: 'same', stride: 2 })).toThrow("padding 'same' needs")
    const sides = everyWay(new Inline((x) => maxPool2d(x, 3, { padding: [2, 0, 1, 2] })), x)
    expect(sides.data).toEqual(maxPool2d(pad(x, [0, 2, 2, 1], Number.NEGATIVE_INFINITY), 3).data)
    expect(() => maxPool2d(x, 3, { padding: [3, 0, 0, 0] })).toThrow('is not less than the window')
  })

  test('averages with holes', () => {
    const y = everyWay(new Inline((x) => avgPool2d(x, 2, { stride: 1, dilation: [3, 2] })), x)
    expect(y.shape).toEqual([17, 3, 4, 3])
    const [a, b, c, d] = [0, 2, 15, 17].map((i) => x.data[i]!)
    expect(y.data[0]).toBeCloseTo((a! + b! + c! + d!) / 4, 6)
  })
})

describe('normalization', () => {
  test('batchNorm by running statistics', () => {
    const x = tensor(17, 5, 3, 4)
    const layer = new BatchNorm2d(5, { eps: 1e-3 })
    layer.weight!.data.set(noise(5, 2))
    layer.bias!.data.set(noise(5, 3))
    layer.runningMean.data.set(noise(5, 4))
    layer.runningVar.data.set(noise(5, 5).map((v) => v * v + 0.1))
    const y = everyWay(layer, x)
    const c = (i: number) => Math.floor(i / 12) % 5
    const definition = (i: number) =>
      ((x.data[i]! - layer.runningMean.data[c(i)]!) / Math.sqrt(layer.runningVar.data[c(i)]! + 1e-3)) *
        layer.weight!.data[c(i)]! +
      layer.bias!.data[c(i)]!
    expect(ulps(y.data, definition)).toBeLessThan(8)
    expect(() => layer.forward(tensor(1, 4, 3, 4))).toThrow('batchNorm expects a running mean of [4]')
  })

  test('behind a convolution, before an activation: the bits of one after the other', () => {
    const x = tensor(17, 3, 9, 8)
    const bn = new BatchNorm2d(6)
    bn.runningMean.data.set(noise(6, 4))
    bn.runningVar.data.set(noise(6, 5).map((v) => v * v + 0.1))
    bn.weight!.data.set(noise(6, 2))
    for (const activation of [new ReLU6(), new SiLU(), new LeakyReLU(0.1)]) {
      const model = new Sequential(new Conv2d(3, 6, { kernelSize: 3, bias: false }), bn, activation)
      everyWay(model, x)
    }
  })

  test('in training: statistics of the batch, running ones move', () => {
    const x = tensor(6, 3, 4, 2)
    const layer = new BatchNorm2d(3)
    const y = layer.forward(x)
    for (let c = 0; c < 3; c++) {
      const of = (t: Tensor) => Array.from(t.data).filter((_, i) => Math.floor(i / 8) % 3 === c)
      const [values, results] = [of(x), of(y)]
      const average = values.reduce((a, b) => a + b) / 48
      const variance = values.reduce((sum, v) => sum + (v - average) ** 2, 0) / 48
      expect(results.reduce((a, b) => a + b) / 48).toBeCloseTo(0, 5)
      expect(results.reduce((sum, v) => sum + v * v, 0) / 48).toBeCloseTo(variance / (variance + 1e-5), 5)
      expect(layer.runningMean.data[c]).toBeCloseTo(0.1 * average, 6)
      expect(layer.runningVar.data[c]).toBeCloseTo(0.9 + (0.1 * variance * 48) / 47, 6)
    }
    expect(layer.numBatchesTracked.data[0]).toBe(1)
    layer.eval()
    layer.forward(x)
    expect(layer.numBatchesTracked.data[0]).toBe(1)
    expect(() => new BatchNorm1d(3).forward(tensor(1, 3))).toThrow('more than one value a channel')
    const cumulative = new BatchNorm2d(3, { momentum: null })
    cumulative.forward(x)
    cumulative.forward(x)
    const once = new BatchNorm2d(3, { momentum: 1 })
    once.forward(x)
    expect(largestError(cumulative.runningMean.data, once.runningMean.data)).toBeLessThan(1e-7)
  })

  test('localResponseNorm', () => {
    const x = scaled(tensor(3, 7, 4, 2), 3)
    for (const size of [1, 2, 3, 5]) {
      const options = { alpha: 0.5, beta: 0.75, k: 2 }
      const y = everyWay(new LocalResponseNorm(size, options), x)
      const definition = (i: number) => {
        let sum = 0
        const c = Math.floor(i / 8) % 7
        for (let j = c - (size >> 1); j <= c + ((size - 1) >> 1); j++) {
          if (j >= 0 && j < 7) sum += x.data[i + (j - c) * 8]! ** 2
        }
        return x.data[i]! / (2 + (0.5 / size) * sum) ** 0.75
      }
      expect(ulps(y.data, definition)).toBeLessThan(16)
    }
    expect(localResponseNorm(x, 2, { before: 0 }).data).not.toEqual(localResponseNorm(x, 2).data)
  })
})

describe('state dicts with buffers', () => {
  test("PyTorch's names and order", () => {
    const model = new Sequential(new Conv2d(1, 2, { kernelSize: 1, bias: false }), new BatchNorm2d(2))
    expect([...model.stateDict().keys()]).toEqual([
      '0.weight',
      '1.weight',
      '1.bias',
      '1.running_mean',
      '1.running_var',
      '1.num_batches_tracked',
    ])
    expect(model.parameters()).toHaveLength(3)
    expect(model.namedBuffers().map(([name]) => name)).toEqual([
      '1.running_mean',
      '1.running_var',
      '1.num_batches_tracked',
    ])
    const copy = new Sequential(new Conv2d(1, 2, { kernelSize: 1, bias: false }), new BatchNorm2d(2))
    model.forward(tensor(2, 1, 3, 3))
    copy.loadStateDict(model.stateDict())
    expect((copy[1] as BatchNorm2d).numBatchesTracked.data[0]).toBe(1)
    expect((copy[1] as BatchNorm2d).runningVar.data).toEqual((model[1] as BatchNorm2d).runningVar.data)
  })

  test('a count of batches may be missing, or [1]', () => {
    const layer = new BatchNorm2d(1)
    const state = new Map(layer.stateDict())
    state.delete('num_batches_tracked')
    expect(layer.loadStateDict(state).missingKeys).toEqual([])
    state.set('num_batches_tracked', new Tensor(Float32Array.of(7), [1]))
    layer.loadStateDict(state)
    expect(layer.numBatchesTracked.data[0]).toBe(7)
  })

  test('a network of PyTorch with all of it: bn_depthwise', () => {
    class Net extends Module {
      readonly f: Sequential = new Sequential(
        new Conv2d(3, 8, { kernelSize: 3, stride: 2, padding: 1, bias: false }),
        new BatchNorm2d(8),
        new ReLU6(),
        new Conv2d(8, 8, { kernelSize: 3, padding: 1, groups: 8 }),
        new BatchNorm2d(8),
        new LeakyReLU(0.1),
        new Conv2d(8, 16, { kernelSize: 1 }),
        new SiLU(),
        new AvgPool2d(3, { stride: 2, padding: 1, ceilMode: true, countIncludePad: false }),
        new AdaptiveAvgPool2d(1),
        new Flatten(),
        new Dropout(0.3),
        new Linear(16, 7),
        new LogSoftmax(1),
      )

      forward(x: Tensor): Tensor {
        return this.f.forward(x)
      }
    }
    const net = new Net()
    net.loadStateDict(loadTorch(`${fixtures}/torch/bn_depthwise.state_dict.pt`))
    const golden = readSafetensors(`${fixtures}/bn_depthwise.golden.safetensors`)
    const y = everyWay(net, tensorOf(golden, 'input'))
    expect(largestError(y.data, tensorOf(golden, 'output').data)).toBeLessThan(2e-6)
    const steps = compile(net, { inputShape: [3, 33, 31] }).describe()
    expect(`${steps}`).toContain('f.1 + f.2')
  })
})
