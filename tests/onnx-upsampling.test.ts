/** ConvTranspose, Resize and Upsample of ONNX: beside onnxruntime where it is installed, and what is refused. */
import { describe, expect, test } from 'vitest'
import { compile, loadOnnx, type Tensor } from '../lib/index.ts'
import { largestError, noise } from './helpers.ts'
import { type AttributeValue, list, type Numbers, onnxModel, onnxruntime, runOrt } from './onnx-models.ts'

const ort = onnxruntime()
const floats = (...shape: number[]): Numbers => ({
  shape,
  data: noise(
    shape.reduce((a, b) => a * b, 1),
    3,
  ),
})

interface Case {
  x: Numbers
  /** Inputs behind the first; undefined: left out. */
  rest?: (Numbers | undefined)[]
  attributes?: Record<string, AttributeValue>
  opset?: number
  /** Of x in the model; its first dimension is open by default. */
  batch?: number
}

function modelOf(op: string, { x, rest = [], attributes = {}, opset = 18, batch }: Case): Uint8Array {
  const initializers = Object.fromEntries(rest.flatMap((one, i) => (one ? [[`w${i}`, one]] : [])))
  const names = rest.map((one, i) => (one ? `w${i}` : ''))
  const shape = [batch ?? 'N', ...x.shape.slice(1)]
  const nodes = [{ op, inputs: ['x', ...names], outputs: ['y'], attributes }]
  return onnxModel({ opset, nodes, inputs: { x: { shape } }, outputs: ['y'], initializers })
}

/** What run() gives, and the same of a compiled model. */
function ours(op: string, one: Case): Tensor {
  const net = loadOnnx(modelOf(op, one))
  const { x: input } = one
  const y = net.run({ x: input as never }).y as Tensor
  const data = Float32Array.from(input.data as ArrayLike<number>)
  const compiled = compile(net, { inputShape: input.shape.slice(1) })
  expect(largestError(compiled.run(data), y.data)).toBe(0)
  return y
}

async function checkBeside(op: string, one: Case): Promise<void> {
  const y = ours(op, one)
  if (!ort) return
  const { y: want } = await runOrt(ort, modelOf(op, one), { x: one.x })
  expect(y.shape).toEqual(want!.shape)
  expect(largestError(y.data, want!.data)).toBeLessThan(2e-5)
}

const refused = (op: string, one: Case, message: RegExp, code = 'ERR_UNSUPPORTED') => {
  const run = () => loadOnnx(modelOf(op, one)).run({ x: one.x as never })
  expect(run, JSON.stringify(one.attributes)).toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  )
}

describe('ConvTranspose', () => {
  const x = floats(2, 4, 5, 6)
  const w = floats(4, 3, 3, 2)
  test.each<[string, Case]>([
    ['nothing said', { x, rest: [w] }],
    ['a bias, strides', { x, rest: [w, floats(3)], attributes: { strides: [2, 3], kernel_shape: [3, 2] } }],
    [
      'pads, output_padding, dilations',
      {
        x,
        rest: [w],
        attributes: { strides: [2, 2], pads: [1, 0, 2, 1], output_padding: [1, 1], dilations: [2, 1] },
      },
    ],
    ['groups', { x, rest: [w, floats(6)], attributes: { group: 2, strides: [2, 2] } }],
    ['SAME_UPPER', { x, rest: [w], attributes: { auto_pad: 'SAME_UPPER', strides: [2, 1] } }],
    ['SAME_LOWER', { x, rest: [w], attributes: { auto_pad: 'SAME_LOWER', strides: [2, 1] } }],
    [
      'SAME_UPPER of a wide window',
      { x, rest: [floats(4, 2, 4, 5)], attributes: { auto_pad: 'SAME_UPPER', strides: [1, 2] } },
    ],
    [
      'SAME_LOWER of a wide window',
      { x, rest: [floats(4, 2, 4, 5)], attributes: { auto_pad: 'SAME_LOWER', strides: [1, 2] } },
    ],
    ['VALID', { x, rest: [w], attributes: { auto_pad: 'VALID', strides: [2, 2] } }],
    ['output_shape', { x, rest: [w], attributes: { output_shape: [10, 12], strides: [2, 2] } }],
    ['output_shape, odd', { x, rest: [w], attributes: { output_shape: [8, 11], strides: [2, 2] } }],
    [
      'output_shape, SAME_UPPER',
      { x, rest: [w], attributes: { output_shape: [8, 11], strides: [2, 2], auto_pad: 'SAME_UPPER' } },
    ],
    [
      'one dimension',
      {
        x: floats(3, 4, 9),
        rest: [floats(4, 2, 3), floats(2)],
        attributes: { strides: [3], output_padding: [2], pads: [1, 0] },
      },
    ],
    ['opset 1', { x, rest: [w], attributes: { strides: [2, 2] }, opset: 10 }],
  ])('%s', (_, one) => checkBeside('ConvTranspose', one))

  test('is refused by name', () => {
    refused(
      'ConvTranspose',
      { x: floats(1, 2, 3, 3, 3, 3), rest: [floats(2, 1, 2, 2, 2, 2)] },
      /has 4 dimensions, not 1 to 3/,
    )
    refused(
      'ConvTranspose',
      { x, rest: [w], attributes: { pads: [-1, 0, 0, 0] } },
      /pads=\[-1, 0, 0, 0\] is negative/,
    )
    refused(
      'ConvTranspose',
      { x, rest: [w], attributes: { output_padding: [1, 0] } },
      /outputPadding must be less/,
      'ERR_ARGUMENT',
    )
    refused(
      'ConvTranspose',
      { x, rest: [w], attributes: { output_padding: [1] } },
      /output_padding \[1\] does not fit/,
      'ERR_SHAPE',
    )
    refused(
      'ConvTranspose',
      { x, rest: [w], attributes: { output_shape: [30, 30] } },
      /outputPadding must be less/,
      'ERR_ARGUMENT',
    )
    refused(
      'ConvTranspose',
      { x, rest: [w], attributes: { kernel_shape: [2, 2] } },
      /kernel_shape is 2×2/,
      'ERR_SHAPE',
    )
    refused(
      'ConvTranspose',
      { x, rest: [floats(3, 3, 3, 2)] },
      /expects 3 input channels but receives 4/,
      'ERR_SHAPE',
    )
  })
})

describe('Resize', () => {
  const x = floats(2, 3, 5, 6)
  const scales = (...numbers: number[]) => list('float', ...numbers)
  const sizes = (...numbers: number[]) => list('int64', ...numbers)
  const byScales = (...numbers: number[]) => [undefined, scales(...numbers)]
  const bySizes = (...numbers: number[]) => [undefined, undefined, sizes(...numbers)]
  /** Larger and smaller, by factors, of which one pair is `smaller`, and by sizes. */
  async function checkSizes(
    attributes: Record<string, AttributeValue>,
    smaller: readonly [number, number],
  ): Promise<void> {
    for (const factors of [[2, 2], [3, 1.5], smaller, [0.2, 4]] as const) {
      const one = { x, rest: byScales(1, 1, ...factors), attributes }
      // where ONNX's definition and the runtimes differ
      const isWhole = factors.every((factor, d) => Number.isInteger(factor * (x.shape[d + 2] ?? 1)))
      if (isWhole || attributes.coordinate_transformation_mode !== 'align_corners') {
        await checkBeside('Resize', one)
      } else {
        refused('Resize', one, /node y \(Resize.*a scale of 0\.\d+ times \d is no whole number/)
      }
    }
    for (const sides of [
      [10, 3],
      [1, 1],
      [7, 17],
    ] as const) {
      await checkBeside('Resize', { x, rest: bySizes(2, 3, ...sides), attributes, batch: 2 })
    }
  }

  for (const coordinate_transformation_mode of [
    'asymmetric',
    'half_pixel',
    'pytorch_half_pixel',
    'align_corners',
  ]) {
    for (const nearest_mode of ['floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil']) {
      const attributes = { coordinate_transformation_mode, nearest_mode }
      test(`${coordinate_transformation_mode}, ${nearest_mode}`, async () => {
        await checkSizes(attributes, [0.5, 0.75])
      })
    }
    test(`${coordinate_transformation_mode}, linear`, async () => {
      const attributes = { coordinate_transformation_mode, mode: 'linear' }
      await checkSizes(attributes, [0.5, 0.75])
    })
  }

  const sums: [string, Record<string, AttributeValue>][] = [
    ['cubic', { mode: 'cubic' }],
    ['cubic, of another slope', { mode: 'cubic', cubic_coeff_a: { float: -0.5 } }],
    ['cubic, within the image', { mode: 'cubic', exclude_outside: 1 }],
    ['cubic, asymmetric', { mode: 'cubic', coordinate_transformation_mode: 'asymmetric' }],
    ['cubic, aligned corners', { mode: 'cubic', coordinate_transformation_mode: 'align_corners' }],
    ['linear, smoothed', { mode: 'linear', antialias: 1 }],
    ['cubic, smoothed', { mode: 'cubic', antialias: 1 }],
    ['cubic, smoothed within the image', { mode: 'cubic', antialias: 1, exclude_outside: 1 }],
    ['linear, symmetric', { mode: 'linear', coordinate_transformation_mode: 'half_pixel_symmetric' }],
  ]
  test.each(sums)('%s', async (_, attributes) => {
    await checkSizes(attributes, [0.6, 0.75])
  })

  test.each(['nearest', 'linear', 'cubic'])('of a part of the image, %s', async (mode) => {
    const attributes = { mode, coordinate_transformation_mode: 'tf_crop_and_resize' }
    for (const [rows, columns] of [
      [0.2, 0.9],
      [-0.5, 1.5],
    ] as const) {
      const roi = scales(0, 0, rows, 0.1, 1, 1, columns, 0.7)
      for (const extrapolation_value of [0, 7]) {
        const all = { ...attributes, extrapolation_value: { float: extrapolation_value } }
        await checkBeside('Resize', {
          x,
          rest: [roi, undefined, sizes(2, 3, 6, 4)],
          attributes: all,
          batch: 2,
        })
      }
    }
  })

  test.each(['not_larger', 'not_smaller'])('%s', async (keep_aspect_ratio_policy) => {
    for (const mode of ['nearest', 'linear']) {
      const attributes = { keep_aspect_ratio_policy, axes: [2, 3], mode }
      await checkBeside('Resize', { x, rest: bySizes(7, 8), attributes, opset: 18 })
      await checkBeside('Resize', { x, rest: bySizes(3, 9), attributes, opset: 18 })
    }
  })

  test('any dimension', async () => {
    await checkBeside('Resize', { x: floats(1, 2, 3, 4, 5), rest: byScales(1, 1, 2, 1.5, 2) })
    await checkBeside('Resize', {
      x: floats(1, 2, 3, 4, 5),
      rest: byScales(1, 1, 2, 1.5, 2),
      attributes: { mode: 'linear' },
    })
    await checkBeside('Resize', { x, rest: byScales(1, 2, 1, 1) })
    const y = loadOnnx(modelOf('Resize', { x, rest: byScales(2, 1, 1, 1) })).run({ x: x as never }).y
    expect((y as Tensor).shape).toEqual([4, 3, 5, 6])
  })

  test('one dimension', async () => {
    const x = floats(3, 4, 9)
    await checkBeside('Resize', { x, rest: byScales(1, 1, 2.5) })
    await checkBeside('Resize', { x, rest: bySizes(3, 4, 5), batch: 3, attributes: { mode: 'linear' } })
  })

  test.each([10, 11, 13, 18, 19, 21])('opset %i', async (opset) => {
    // before opset 13 the roi must be there, empty as it may be
    const roi = opset < 13 ? scales() : undefined
    const rest = opset < 11 ? [scales(1, 1, 2, 3)] : [roi, scales(1, 1, 2, 3)]
    for (const mode of ['nearest', 'linear']) {
      await checkBeside('Resize', { x, rest, opset, attributes: { mode } })
    }
    if (opset < 18) return
    await checkBeside('Resize', { x, rest: bySizes(7, 4), opset, attributes: { axes: [2, 3] } })
    await checkBeside('Resize', { x, rest: byScales(2, 0.5), opset, attributes: { axes: [-1, 2] } })
  })

  test.each([7, 8, 9])('Upsample, opset %i', async (opset) => {
    for (const mode of ['nearest', 'linear']) {
      const numbers = [1, 1, 2, 3]
      const old = opset < 9 ? { scales: { floats: numbers } } : {}
      const rest = opset < 9 ? [] : [scales(...numbers)]
      await checkBeside('Upsample', { x, rest, opset, attributes: { mode, ...old } })
    }
  })

  test('is refused by name', () => {
    const rest = byScales(1, 1, 2, 2)
    refused('Resize', { x, rest, attributes: { mode: 'lanczos' } }, /opset 18.*mode=lanczos is not supported/)
    refused('Resize', { x, rest, attributes: { coordinate_transformation_mode: 'tf' } }, /mode=tf /)
    refused('Resize', { x, rest, attributes: { nearest_mode: 'simple' } }, /nearest_mode=simple/)
    const policy = { keep_aspect_ratio_policy: 'wide' }
    refused('Resize', { x, rest: bySizes(2, 3, 5, 9), attributes: policy }, /keep_aspect_ratio_policy=wide/)
    const crop = { coordinate_transformation_mode: 'tf_crop_and_resize' }
    refused(
      'Resize',
      { x, rest: [scales(0, 1), scales(1, 1, 2, 2)], attributes: crop },
      /roi is 2 numbers, not 8/,
      'ERR_SHAPE',
    )
    refused(
      'Resize',
      { x: floats(1, 1, 3, 40000), rest: bySizes(1, 1, 3, 40001), attributes: { mode: 'cubic' } },
      /MB of values|may be/,
    )
    const batch = loadOnnx(modelOf('Resize', { x, rest: byScales(2, 1, 1, 1) }))
    expect(() => compile(batch, { inputShape: [3, 5, 6] })).toThrow(/dimension 0, the batch/)
    refused('Resize', { x, rest: [] }, /either scales or sizes/, 'ERR_FORMAT')
    refused(
      'Resize',
      { x, rest: [undefined, scales(1, 1, 2, 2), sizes(2, 3, 10, 12)] },
      /either/,
      'ERR_FORMAT',
    )
    refused('Resize', { x, rest: byScales(1, 1, 2) }, /3 numbers do not fit the axes/, 'ERR_SHAPE')
    refused('Resize', { x, rest: byScales(1, 1, 0, 2) }, /no numbers above 0/, 'ERR_SHAPE')
    refused('Resize', { x, rest: byScales(1, 1, Number.NaN, 2) }, /no numbers above 0/, 'ERR_SHAPE')
    refused('Resize', { x, rest: byScales(1, 1, 0.01, 2) }, /times 5 leaves nothing of axis 2/, 'ERR_SHAPE')
    refused(
      'Resize',
      { x, rest: bySizes(2, 2), attributes: { axes: [2, 2] } },
      /do not fit the axes/,
      'ERR_SHAPE',
    )
    refused('Resize', { x, rest: bySizes(1, 1, 2 ** 40, 2) }, /no numbers above 0/, 'ERR_SHAPE')
    refused('Upsample', { x, rest: [], opset: 8 }, /scales is missing/, 'ERR_FORMAT')
  })
})
