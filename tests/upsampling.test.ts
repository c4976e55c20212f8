/** Transposed convolutions and resizing: against their definitions, eager, compiled and in batches; what is refused. */
import { describe, expect, test } from 'vitest'
import * as k from '../lib/index.ts'
import { type Module, Tensor } from '../lib/index.ts'
import { bitsOf, Inline, largestError, noise } from './helpers.ts'

const values = (...shape: number[]) =>
  new Tensor(
    noise(
      shape.reduce((a, b) => a * b, 1),
      3,
    ),
    shape,
  )
const code = (code: string, message?: RegExp) =>
  expect.objectContaining({ code, ...(message && { message: expect.stringMatching(message) }) })

interface Window {
  stride?: [number, number]
  padding?: [number, number, number, number]
  outputPadding?: [number, number]
  dilation?: [number, number]
  groups?: number
}

/** What PyTorch says it is: every pixel of the input adds the window, times its value, to the output. */
function scattered(x: Tensor, weight: Tensor, bias: Tensor | undefined, options: Window): Tensor {
  const {
    stride: [sh, sw] = [1, 1],
    padding: [top, left, bottom, right] = [0, 0, 0, 0],
    outputPadding: [oph, opw] = [0, 0],
    dilation: [dh, dw] = [1, 1],
    groups = 1,
  } = options
  const [n, ic, h, w] = x.shape as [number, number, number, number]
  const [, features, kh, kw] = weight.shape as [number, number, number, number]
  const oc = features * groups
  const oh = (h - 1) * sh - top - bottom + dh * (kh - 1) + oph + 1
  const ow = (w - 1) * sw - left - right + dw * (kw - 1) + opw + 1
  const out = new Float64Array(n * oc * oh * ow)
  for (let i = 0; i < n * oc * oh * ow; i++) out[i] = bias?.data[Math.floor(i / (oh * ow)) % oc] ?? 0
  for (let image = 0; image < n; image++)
    for (let c = 0; c < ic; c++)
      for (let y = 0; y < h; y++)
        for (let z = 0; z < w; z++)
          for (let f = 0; f < features; f++)
            for (let r = 0; r < kh; r++)
              for (let t = 0; t < kw; t++) {
                const [a, b] = [y * sh - top + r * dh, z * sw - left + t * dw]
                if (a < 0 || a >= oh || b < 0 || b >= ow) continue
                const o = Math.floor(c / (ic / groups)) * features + f
                out[((image * oc + o) * oh + a) * ow + b]! +=
                  x.data[((image * ic + c) * h + y) * w + z]! *
                  weight.data[((c * features + f) * kh + r) * kw + t]!
              }
  return new Tensor(Float32Array.from(out), [n, oc, oh, ow])
}

/** Compiled, alone and in batches, on every instruction set: the bits of the eager result. */
function checkCompiled(model: Module, x: Tensor): void {
  const y = model.forward(x)
  const fused = k.compile(model, { inputShape: x.shape.slice(1) }).describe().steps[0]!.isa
  for (const isa of k.isa().supported) {
    const alike = (isa === 'scalar' || isa === 'sse') === (fused === 'scalar' || fused === 'sse')
    for (const algorithm of ['auto', 'lanes'] as const) {
      const compiled = k.compile(model, { inputShape: x.shape.slice(1), isa, algorithm })
      const got = compiled.run(x.data).slice()
      if (alike) expect(bitsOf(got)).toEqual(bitsOf(y.data))
      else expect(largestError(got, y.data)).toBeLessThan(1e-5)
      const length = x.data.length / x.shape[0]!
      const one = compiled.run(x.data.slice(-length)).slice()
      expect(bitsOf(one)).toEqual(bitsOf(got.slice(-one.length)))
    }
  }
}

describe('convTranspose2d', () => {
  const cases: [string, number[], number[], Window][] = [
    ['a window of one', [1, 1, 1, 1], [1, 1, 1, 1], {}],
    ['twice as large', [2, 4, 5, 6], [4, 7, 2, 2], { stride: [2, 2] }],
    [
      'windows that overlap',
      [2, 3, 4, 5],
      [3, 2, 3, 3],
      { stride: [2, 2], padding: [1, 1, 1, 1], outputPadding: [1, 1] },
    ],
    ['holes between windows', [1, 2, 3, 4], [2, 3, 2, 1], { stride: [3, 4] }],
    [
      'groups, dilation, odd sides',
      [2, 4, 3, 5],
      [4, 3, 2, 3],
      { groups: 2, dilation: [2, 3], stride: [1, 2], padding: [1, 0, 0, 3], outputPadding: [1, 2] },
    ],
    ['depthwise', [17, 6, 5, 5], [6, 1, 4, 4], { groups: 6, stride: [2, 2], padding: [1, 1, 1, 1] }],
  ]
  test.each(cases)('%s', (_, shape, filter, options) => {
    const [x, weight] = [values(...shape), values(...filter)]
    const bias = values(filter[1]! * (options.groups ?? 1))
    const want = scattered(x, weight, bias, options)
    const got = k.convTranspose2d(x, weight, bias, options)
    expect(got.shape).toEqual(want.shape)
    expect(largestError(got.data, want.data)).toBeLessThan(1e-5)
    const alone = new Tensor(x.data.slice(0, x.data.length / shape[0]!), shape.slice(1))
    const one = k.convTranspose2d(alone, weight, bias, options)
    expect(one.shape).toEqual(want.shape.slice(1))
    expect(bitsOf(one.data)).toEqual(bitsOf(got.data.slice(0, one.data.length)))
    checkCompiled(new Inline((x) => k.relu(k.convTranspose2d(x, weight, bias, options))), x)
  })

  test('is the way back of conv2d', () => {
    // <conv(x), y> = <x, transposed(y)> for the same weights
    const [x, w] = [values(1, 3, 9, 8), values(4, 3, 3, 2)]
    const options = { stride: [2, 3] as [number, number], padding: [1, 0] as [number, number] }
    const conv = k.conv2d(x, w, null, options)
    const y = new Tensor(noise(conv.data.length, 5), conv.shape)
    const back = k.convTranspose2d(y, w, null, { ...options, outputPadding: [0, 0] })
    const dot = (a: Tensor, b: Tensor) => a.data.reduce((sum, one, i) => sum + one * b.data[i]!, 0)
    expect(back.shape).toEqual([1, 3, 9, 8])
    expect(dot(conv, y)).toBeCloseTo(dot(x, back), 4)
  })

  test('of one dimension it is the same in a row', () => {
    const [x, w, b] = [values(2, 3, 7), values(3, 2, 4), values(4)]
    const options = { stride: 3, padding: 2, outputPadding: 1, dilation: 2 }
    const got = k.convTranspose1d(x, k.reshape(w, [3, 2, 4]), values(2), options)
    const two = k.convTranspose2d(k.reshape(x, [2, 3, 1, 7]), k.reshape(w, [3, 2, 1, 4]), values(2), {
      stride: [1, 3],
      padding: [0, 2],
      outputPadding: [0, 1],
      dilation: [1, 2],
    })
    expect(got.shape).toEqual([2, 2, (7 - 1) * 3 - 4 + 2 * 3 + 1 + 1])
    expect(bitsOf(got.data)).toEqual(bitsOf(two.data))
    expect(() => k.convTranspose1d(x, w, b, options)).toThrow(code('ERR_SHAPE', /bias must have the shape 2/))
  })

  test('layers: parameters as PyTorch has them, counts, state dicts', () => {
    const layer = new k.ConvTranspose2d(6, 4, { kernelSize: [3, 2], stride: 2, groups: 2, padding: 1 })
    expect(layer.weight.shape).toEqual([6, 2, 3, 2])
    expect(layer.bias!.shape).toEqual([4])
    // kaiming_uniform_ goes by the second dimension: 2 · 3 · 2
    expect(Math.max(...layer.weight.data.map(Math.abs))).toBeLessThan(1 / Math.sqrt(12))
    expect(Math.max(...layer.weight.data.map(Math.abs))).toBeGreaterThan(0.9 / Math.sqrt(12))
    const { layers } = k.summary(layer, [6, 5, 4])
    const [first] = layers.filter(({ parameters }) => parameters > 0)
    expect(first).toMatchObject({
      type: 'ConvTranspose2d',
      outputShape: [4, 9, 6],
      parameters: 6 * 2 * 3 * 2 + 4,
      macs: 5 * 4 * 6 * 2 * 3 * 2,
      connections: 5 * 4 * 6 * 2 * 3 * 2 + 4 * 9 * 6,
    })
    const other = new k.ConvTranspose2d(6, 4, { kernelSize: [3, 2], stride: 2, groups: 2, padding: 1 })
    other.loadStateDict(layer.stateDict())
    const x = values(2, 6, 5, 4)
    expect(bitsOf(other.forward(x).data)).toEqual(bitsOf(layer.forward(x).data))
    const line = new k.ConvTranspose1d(3, 5, { kernelSize: 4, stride: 2, padding: [1, 2], bias: false })
    expect(line.weight.shape).toEqual([3, 5, 4])
    expect(line.forward(values(2, 3, 6)).shape).toEqual([2, 5, 11])
  })

  test('what does not fit is refused by name', () => {
    const [x, w] = [values(1, 3, 4, 5), values(3, 2, 3, 3)]
    const refused: [() => unknown, string, RegExp][] = [
      [
        () => k.convTranspose2d(values(1, 2, 4, 5), w),
        'ERR_SHAPE',
        /expects 3 input channels but receives 2/,
      ],
      [() => k.convTranspose2d(x, values(3, 2, 3)), 'ERR_SHAPE', /\[in, out \/ groups, height, width\]/],
      [() => k.convTranspose2d(x, w, null, { groups: 2 }), 'ERR_ARGUMENT', /cannot be split into 2 groups/],
      [() => k.convTranspose2d(x, w, values(3)), 'ERR_SHAPE', /bias must have the shape 2/],
      [
        () => k.convTranspose2d(x, w, null, { outputPadding: 1 }),
        'ERR_ARGUMENT',
        /less than stride or dilation/,
      ],
      [() => k.convTranspose2d(x, w, null, { stride: 2, outputPadding: [1, 2] }), 'ERR_ARGUMENT', /\[1, 2\]/],
      [
        () => k.convTranspose2d(x, w, null, { padding: 3 }),
        'ERR_SHAPE',
        /6×6 in all, which leaves nothing of the 6×7/,
      ],
      [() => k.convTranspose2d(values(3, 20), w), 'ERR_SHAPE', /expects \[channels, height, width\]/],
      [() => new k.ConvTranspose2d(3, 4, { kernelSize: 3, groups: 2 }), 'ERR_ARGUMENT', /groups must divide/],
      [
        () => new k.ConvTranspose2d(3, 4, { kernelSize: 3, outputPadding: 1 }),
        'ERR_ARGUMENT',
        /outputPadding/,
      ],
      [
        () => new k.ConvTranspose2d(3, 4, { kernelSize: 3, output_padding: 1 } as never),
        'ERR_ARGUMENT',
        /outputPadding/,
      ],
    ]
    for (const [call, name, message] of refused) expect(call).toThrow(code(name, message))
  })
})

describe('interpolate', () => {
  const image = new Tensor(Float32Array.of(0, 1, 2, 3, 4, 5), [1, 1, 2, 3])
  const numbers = ({ data }: Tensor) => [...data]

  test('nearest, as PyTorch has it', () => {
    expect(numbers(k.interpolate(image, { scaleFactor: 2 }))).toEqual([
      0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 3, 3, 4, 4, 5, 5,
    ])
    expect(k.interpolate(image, { scaleFactor: [1.5, 0.7] }).shape).toEqual([1, 1, 3, 2])
    // floor(x / 0.7): columns 0 and 1; floor(y / 1.5): rows 0, 0, 1
    expect(numbers(k.interpolate(image, { scaleFactor: [1.5, 0.7] }))).toEqual([0, 1, 0, 1, 3, 4])
    // without the factor, from the sizes: 3 / 2 a column
    expect(numbers(k.interpolate(image, { size: [3, 2] }))).toEqual([0, 1, 0, 1, 3, 4])
    // PyTorch's product of floats: 41 · (2 / 82) is less than 1
    const two = k.interpolate(new Tensor(Float32Array.of(0, 1), [1, 1, 2]), { size: 82 })
    expect(numbers(two).indexOf(1)).toBe(42)
  })

  test('bilinear, as PyTorch has it', () => {
    const square = new Tensor(Float32Array.of(0, 4, 8, 12), [1, 1, 2, 2])
    expect(numbers(k.interpolate(square, { scaleFactor: 2, mode: 'bilinear' }))).toEqual([
      0, 1, 3, 4, 2, 3, 5, 6, 6, 7, 9, 10, 8, 9, 11, 12,
    ])
    expect(numbers(k.interpolate(square, { size: 3, mode: 'bilinear', alignCorners: true }))).toEqual([
      0, 2, 4, 4, 6, 8, 8, 10, 12,
    ])
    // by the factor, not by the sizes: (0 + ½) / 1.9 − ½ is before the first pixel, (2 + ½) / 1.9 − ½ near the second
    const line = new Tensor(Float32Array.of(0, 1), [1, 1, 2])
    const by = k.interpolate(line, { scaleFactor: 1.9, mode: 'linear' }).data
    expect([...by].map((one) => one.toFixed(4))).toEqual(['0.0000', '0.2895', '0.8158'])
    expect(numbers(k.interpolate(line, { size: 1, mode: 'linear' }))).toEqual([0.5])
    expect(numbers(k.interpolate(line, { size: 1, mode: 'linear', alignCorners: true }))).toEqual([0])
  })

  test("sums of neighbours, with PyTorch's numbers", () => {
    const x = new Tensor(Float32Array.of(3, -1, 4, 1, 5, -9, 2, 6, 5, -3, 5, 8), [1, 1, 3, 4])
    const cases: [k.InterpolateOptions, number[]][] = [
      [{ mode: 'bicubic', size: [2, 3] }, [2.41138, -0.26892, 2.37263, 3.52226, -1.43127, 7.37861]],
      [
        { mode: 'bicubic', scaleFactor: 1.5 },
        [
          3.09826, 0.84049, 0.12805, 3.78956, 2.78971, 0.25281, 4.83008, -1.55762, -5.21437, 1.31268, 3.79199,
          3.36404, 6.38949, -2.86957, -8.53506, 0.0346, 5.52872, 7.10857, 5.81899, -0.28277, -3.61606,
          2.86956, 6.96738, 8.08319,
        ],
      ],
      [
        { mode: 'bicubic', size: [4, 5], alignCorners: true },
        [
          3, -0.62109, 1.40625, 3.84766, 1, 4.37037, -5.53458, -3.68461, 3.72454, 4.2037, 5.22222, -6.1352,
          -4.29688, 4.86422, 7.18518, 5, -2.03125, -0.03125, 6.52344, 8,
        ],
      ],
      [{ mode: 'bilinear', size: 2, antialias: true }, [0.35714, 2.05357, 0.44643, 4.01786]],
      [{ mode: 'bicubic', size: 2, antialias: true }, [0.12569, 2.06111, 0.02872, 4.37702]],
    ]
    for (const [options, want] of cases) {
      expect(largestError(k.interpolate(x, options).data, Float32Array.from(want))).toBeLessThan(1e-5)
    }
  })

  test.each([
    ['nearest, twice', { scaleFactor: 2 }],
    ['bicubic, twice', { scaleFactor: 2, mode: 'bicubic' }],
    ['bicubic, smaller', { size: [3, 4], mode: 'bicubic', antialias: true }],
    ['bilinear, smoothed', { scaleFactor: 0.6, mode: 'bilinear', antialias: true }],
    ['nearest, smaller and larger', { size: [3, 11] }],
    ['bilinear, twice', { scaleFactor: 2, mode: 'bilinear' }],
    ['bilinear, to a size', { size: [4, 13], mode: 'bilinear' }],
    ['bilinear, by corners', { size: [9, 2], mode: 'bilinear', alignCorners: true }],
  ] as [string, k.InterpolateOptions][])('compiled: %s', (_, options) => {
    checkCompiled(new k.Upsample(options), values(19, 3, 5, 6))
    const generator = new k.Generator(3)
    const conv = new k.Conv2d(3, 8, { kernelSize: 3, padding: 1, generator })
    const last = new k.ConvTranspose2d(8, 2, { kernelSize: 2, stride: 2, generator })
    checkCompiled(new k.Sequential(conv, new k.ReLU(), new k.Upsample(options), last), values(2, 3, 5, 6))
  })

  test('sequences, one image, layers', () => {
    expect(k.interpolate(values(2, 3, 5), { scaleFactor: 2 }).shape).toEqual([2, 3, 10])
    expect(k.interpolate(values(3, 5), { size: 7, mode: 'linear' }).shape).toEqual([3, 7])
    expect(k.interpolate(values(3, 5, 6), { size: [7, 2] }).shape).toEqual([3, 7, 2])
    expect(k.interpolate(values(3, 5, 6), { scaleFactor: 2, mode: 'bilinear' }).shape).toEqual([3, 10, 12])
    const model = new k.Sequential(new k.Upsample({ scaleFactor: 3, mode: 'bilinear' }))
    expect(k.summary(model, [2, 3, 4]).layers.map(({ type, outputShape }) => [type, outputShape])).toEqual(
      expect.arrayContaining([['Upsample', [2, 9, 12]]]),
    )
    checkCompiled(new k.Upsample({ size: [4], mode: 'linear' }), values(17, 3, 9))
  })

  test('what does not fit is refused by name', () => {
    const x = values(1, 3, 4, 5)
    const refused: [k.InterpolateOptions, RegExp, Tensor?][] = [
      [{}, /either size or scaleFactor/],
      [{ size: 2, scaleFactor: 2 }, /either size or scaleFactor/],
      [{ scaleFactor: 0 }, /above 0/],
      [{ scaleFactor: Number.NaN }, /above 0/],
      [{ scaleFactor: 0.1 }, /a side of 4 times scaleFactor 0.1 must be an integer of at least 1/],
      [{ size: 2.5 }, /size must be an integer/],
      [{ size: [1, 2, 3] }, /one or two/],
      [{ size: [2] }, /with 1 side does not go with the shape 1×3×4×5/],
      [{ size: 2, mode: 'linear' }, /'linear' takes \[n, c, l\]/],
      [{ size: 2, mode: 'lanczos' as never }, /mode must be 'nearest', 'linear', 'bilinear' or 'bicubic'/],
      [{ size: 2, alignCorners: true }, /alignCorners goes with/],
      [{ size: 2, antialias: true }, /antialias goes with 'bilinear' and 'bicubic'/],
      [{ size: 2, mode: 'bicubic', antialias: 1 as never }, /antialias must be/],
      [{ size: 2, smooth: true } as never, /unknown option/],
      [{ size: 2 }, /does not go with the shape 5/, values(5)],
      [{ size: [2, 2], mode: 'bilinear' }, /does not go with/, values(2, 3, 4, 5, 6)],
    ]
    for (const [options, message, input] of refused) {
      expect(() => k.interpolate(input ?? x, options), JSON.stringify(options)).toThrow(
        code('ERR_ARGUMENT', message),
      )
    }
    expect(() => k.interpolate(x, { scaleFactor: 1e9 })).toThrow(k.KerneletError)
    const large = { size: [1, 2 ** 25], mode: 'bicubic' } as const
    expect(() => k.interpolate(x, large)).toThrow(code('ERR_UNSUPPORTED', /sums of neighbours/))
    expect(() => new k.Upsample({ size: 0 })).toThrow(code('ERR_ARGUMENT'))
  })
})

test('graphs by hand: attributes are checked, and what is left out follows', () => {
  const input = { op: 'input', name: 'x', inputs: [], shape: [1, 2, 2] }
  const node = {
    op: 'upsampleBilinear2d',
    name: 'up',
    inputs: [0],
    shape: [1, 4, 4],
    coordinates: 'half_pixel',
  }
  const graph = (more: object) => ({ nodes: [input, { ...node, ...more }], output: 1 }) as never
  expect([...k.compile(graph({})).run(new Float32Array([0, 4, 8, 12]))]).toEqual([
    0, 1, 3, 4, 2, 3, 5, 6, 6, 7, 9, 10, 8, 9, 11, 12,
  ])
  const refused: [object, RegExp][] = [
    [{ coordinates: 'tf_crop_and_resize' }, /coordinates must be one of asymmetric/],
    [{ coordinates: 1 }, /coordinates must be one of/],
    [{ rounding: 'floor' }, /takes no rounding/],
    [{ scales: [2] }, /scales must be two numbers above 0/],
    [{ scales: [2, Number.POSITIVE_INFINITY] }, /scales must be two numbers above 0/],
    [{ scales: [0, 1] }, /scales must be two numbers above 0/],
    [{ scales: [1e300, 1] }, /scales above 0/],
  ]
  for (const [more, message] of refused) {
    expect(() => k.compile(graph(more)), JSON.stringify(more)).toThrow(code('ERR_ARGUMENT', message))
  }
})
