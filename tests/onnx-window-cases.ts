/** Cases of sampling, of windows over three dimensions and of fused operators, for onnx-operators.test.ts. */
import { type OperatorCase as Case, type Numbers, of } from './onnx-models.ts'

const ints = (...data: number[]): Numbers => ({ type: 'int64', shape: [data.length], data })
const scalar = (type: 'float' | 'int64', value: number): Numbers => ({ type, shape: [], data: [value] })
const f = (value: number) => ({ float: value })

/** Places from outside to outside, the corners among them. */
const grid = (n: number, ...sides: number[]): Numbers => {
  const length = n * sides.reduce((a, b) => a * b, 1) * sides.length
  const corners = [-1, -1, 1, 1, -1, 1, 0, 0]
  const data = Array.from({ length }, (_, i) => corners[i] ?? Math.sin(i * 12.9898) * 2.3)
  return { shape: [n, ...sides, sides.length], data }
}

const grids: Case[] = [0, 1].flatMap((align_corners) =>
  ['zeros', 'border', 'reflection'].flatMap((padding_mode) => [
    ...['bilinear', 'nearest', 'bicubic'].map(
      (mode): Case => ({
        op: 'GridSample',
        inputs: [[2, 3, 5, 4], grid(2, 4, 6)],
        attributes: { mode, padding_mode, align_corners },
        runOnly: true,
        tolerance: 1e-5,
      }),
    ),
    ...['linear', 'nearest', 'cubic'].map(
      (mode): Case => ({
        op: 'GridSample',
        inputs: [[1, 2, 6, 7], grid(1, 5, 5)],
        attributes: { mode, padding_mode, align_corners },
        opset: 20,
        runOnly: true,
        tolerance: 1e-5,
      }),
    ),
    ...['linear', 'nearest'].map(
      (mode): Case => ({
        op: 'GridSample',
        inputs: [[2, 2, 3, 4, 5], grid(2, 2, 3, 3)],
        attributes: { mode, padding_mode, align_corners },
        opset: 20,
        runOnly: true,
        tolerance: 1e-5,
      }),
    ),
  ]),
)

const rois: Numbers = {
  shape: [4, 4],
  data: [0, 0, 9, 9, 2.5, 1, 7, 8.25, -3, -2, 4, 30, 6, 6, 6.5, 6.5],
}

const boxes = [0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, -0.1, 1, 0.9, 0, 10, 1, 11, 1, 11.1, 0, 10.1, 0, 100, 1, 101]
const scores = [0.9, 0.75, 0.6, 0.95, 0.5, 0.3]

export const sampling: Case[] = [
  ...grids,
  ...['avg', 'max'].flatMap((mode) =>
    [0, 2].flatMap((sampling_ratio): Case[] => [
      {
        op: 'RoiAlign',
        inputs: [[2, 3, 10, 10], rois, ints(0, 1, 1, 0)],
        attributes: { mode, sampling_ratio, output_height: 3, output_width: 2, spatial_scale: f(0.75) },
        opset: 16,
        runOnly: true,
        tolerance: 1e-5,
      },
      {
        op: 'RoiAlign',
        inputs: [[2, 3, 10, 10], rois, ints(0, 1, 1, 0)],
        attributes: { mode, sampling_ratio, output_height: 2, output_width: 2 },
        opset: 10,
        runOnly: true,
        tolerance: 1e-5,
      },
      {
        op: 'RoiAlign',
        inputs: [[2, 3, 10, 10], rois, ints(0, 1, 1, 0)],
        attributes: { mode, sampling_ratio, coordinate_transformation_mode: 'output_half_pixel' },
        opset: 16,
        runOnly: true,
        tolerance: 1e-5,
      },
    ]),
  ),
  ...[0, 1].flatMap((align_corners): Case[] => [
    {
      op: 'AffineGrid',
      inputs: [[2, 2, 3], ints(2, 3, 4, 5)],
      attributes: { align_corners },
      opset: 20,
      runOnly: true,
    },
    {
      op: 'AffineGrid',
      inputs: [[1, 3, 4], ints(1, 1, 2, 3, 4)],
      attributes: { align_corners },
      opset: 20,
      runOnly: true,
    },
  ]),
  ...[0, 1].flatMap((center_point_box) =>
    [
      [ints(3), scalar('float', 0.5), scalar('float', 0)],
      [ints(3), scalar('float', 0.5), scalar('float', 0.4)],
      [ints(1), scalar('float', 0.3)],
      [ints(9)],
      [],
    ].map(
      (more): Case => ({
        op: 'NonMaxSuppression',
        inputs: [
          of('float', [2, 6, 4], ...boxes, ...boxes.map((one) => one * 2)),
          of('float', [2, 2, 6], ...scores, ...[...scores].reverse(), ...scores, ...scores),
          ...more,
        ],
        attributes: { center_point_box },
        runOnly: true,
      }),
    ),
  ),
]

const volume = [2, 3, 5, 6, 4]

export const volumes: Case[] = [
  { op: 'Conv', inputs: [volume, [4, 3, 3, 3, 2]] },
  {
    op: 'Conv',
    inputs: [volume, [4, 3, 3, 3, 3], [4]],
    attributes: { pads: [1, 0, 1, 1, 2, 1], strides: [2, 1, 2] },
  },
  {
    op: 'Conv',
    inputs: [[2, 4, 5, 5, 5], [6, 2, 2, 2, 2], [6]],
    attributes: { group: 2, dilations: [2, 1, 3] },
  },
  { op: 'Conv', inputs: [volume, [3, 1, 3, 1, 1]], attributes: { group: 3, auto_pad: 'SAME_UPPER' } },
  { op: 'Conv', inputs: [volume, [2, 3, 5, 6, 4]] },
  {
    op: 'ConvTranspose',
    inputs: [
      [2, 3, 3, 4, 5],
      [3, 2, 2, 3, 2],
    ],
  },
  {
    op: 'ConvTranspose',
    inputs: [[2, 3, 3, 4, 5], [3, 2, 3, 3, 3], [2]],
    attributes: { strides: [2, 1, 2], pads: [1, 0, 1, 1, 1, 1], output_padding: [1, 0, 1] },
  },
  {
    op: 'ConvTranspose',
    inputs: [[2, 4, 3, 2, 2], [4, 3, 2, 2, 2], [6]],
    attributes: { group: 2, dilations: [2, 1, 1], strides: [3, 2, 1] },
  },
  {
    op: 'ConvTranspose',
    inputs: [[1, 2, 3, 2, 2], [2, 2, 1, 2, 2], [2]],
    attributes: { strides: [3, 1, 1] },
  },
  {
    op: 'ConvTranspose',
    inputs: [
      [1, 2, 3, 3, 3],
      [2, 1, 3, 3, 3],
    ],
    attributes: { strides: [2, 2, 2], output_shape: [7, 6, 8] },
  },
  { op: 'MaxPool', inputs: [volume], attributes: { kernel_shape: [2, 3, 2], strides: [2, 1, 2] } },
  {
    op: 'MaxPool',
    inputs: [volume],
    attributes: { kernel_shape: [3, 3, 3], pads: [1, 1, 1, 1, 1, 1], strides: [2, 2, 2], ceil_mode: 1 },
  },
  { op: 'MaxPool', inputs: [volume], attributes: { kernel_shape: [2, 2, 2], dilations: [2, 3, 1] } },
  { op: 'AveragePool', inputs: [volume], attributes: { kernel_shape: [2, 3, 2], strides: [2, 1, 2] } },
  ...[0, 1].flatMap((count_include_pad): Case[] => [
    {
      op: 'AveragePool',
      inputs: [volume],
      attributes: {
        kernel_shape: [3, 3, 3],
        pads: [1, 1, 1, 0, 1, 1],
        strides: [2, 1, 1],
        count_include_pad,
      },
    },
    {
      op: 'AveragePool',
      inputs: [volume],
      attributes: { kernel_shape: [1, 3, 1], pads: [0, 1, 0, 0, 1, 0], count_include_pad },
    },
  ]),
  { op: 'AveragePool', inputs: [volume], attributes: { kernel_shape: [2, 1, 1] } },
  ...[1, 2, 3].flatMap((p): Case[] => [
    {
      op: 'LpPool',
      inputs: [[2, 3, 7, 6]],
      attributes: { kernel_shape: [3, 2], p, strides: [2, 1] },
      runOnly: true,
    },
    {
      op: 'LpPool',
      inputs: [[2, 3, 7]],
      attributes: { kernel_shape: [3], p, pads: [1, 1], strides: [2] },
      opset: 18,
      runOnly: true,
    },
    { op: 'GlobalLpPool', inputs: [[2, 3, 7, 6]], attributes: { p }, runOnly: true },
  ]),
  {
    op: 'LpPool',
    inputs: [[1, 2, 4, 4]],
    attributes: { kernel_shape: [2, 2], auto_pad: 'SAME_LOWER' },
    runOnly: true,
  },
  {
    op: 'MaxUnpool',
    inputs: [of('float', [1, 1, 2, 2], 5, 6, 7, 8), of('int64', [1, 1, 2, 2], 5, 7, 13, 15)],
    attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    runOnly: true,
  },
  { op: 'Col2Im', inputs: [[2, 12, 12], ints(5, 4), ints(2, 2)], opset: 18, runOnly: true },
  {
    op: 'Col2Im',
    inputs: [[1, 12, 6], ints(5, 5), ints(2, 3)],
    attributes: { strides: [2, 2], pads: [0, 1, 1, 0], dilations: [1, 1] },
    opset: 18,
    runOnly: true,
  },
  {
    op: 'Col2Im',
    inputs: [[1, 6, 8], ints(6, 6), ints(2, 3)],
    attributes: { dilations: [2, 2] },
    opset: 18,
    runOnly: true,
  },
]

const microsoft = 'com.microsoft'

export const fused: Case[] = [
  ...(
    [
      ['Relu', undefined],
      ['Tanh', undefined],
      ['Sigmoid', undefined],
      ['LeakyRelu', [0.3]],
      ['Clip', [-0.2, 0.5]],
      ['HardSigmoid', [0.3, 0.4]],
    ] as const
  ).map(
    ([activation, floats]): Case => ({
      op: 'FusedConv',
      domain: microsoft,
      inputs: [[2, 3, 7, 6], [4, 3, 3, 3], [4]],
      attributes: {
        activation,
        pads: [1, 1, 1, 1],
        ...(floats && { activation_params: { floats: [...floats] } }),
      },
    }),
  ),
  {
    op: 'FusedConv',
    domain: microsoft,
    inputs: [[2, 3, 7, 6], [4, 3, 3, 3], [4], [2, 4, 5, 4]],
    attributes: { activation: 'Relu' },
    runOnly: true,
  },
  {
    op: 'FusedGemm',
    domain: microsoft,
    inputs: [[3, 5], [4, 5], [4]],
    attributes: { transB: 1, activation: 'LeakyRelu', activation_alpha: f(0.2) },
  },
  ...['Gelu', 'BiasGelu', 'FastGelu', 'QuickGelu'].map(
    (op): Case => ({
      op,
      domain: microsoft,
      inputs: op === 'Gelu' || op === 'QuickGelu' ? [[2, 3, 8]] : [[2, 3, 8], [8]],
      tolerance: 1e-5,
    }),
  ),
  { op: 'FastGelu', domain: microsoft, inputs: [[2, 3, 8]], tolerance: 1e-5 },
  { op: 'QuickGelu', domain: microsoft, inputs: [[2, 3, 8]], attributes: { alpha: 0.5 }, tolerance: 1e-5 },
  {
    op: 'Scaler',
    domain: 'ai.onnx.ml',
    inputs: [[4, 3]],
    attributes: { offset: { floats: [1, 2, 3] }, scale: { floats: [0.5, 2, 3] } },
  },
  {
    op: 'Scaler',
    domain: 'ai.onnx.ml',
    inputs: [[4, 3]],
    attributes: { offset: { floats: [0.5] }, scale: { floats: [2] } },
  },
  {
    op: 'FusedMatMul',
    domain: microsoft,
    inputs: [
      [3, 5],
      [5, 4],
    ],
    attributes: { alpha: f(0.5) },
  },
  {
    op: 'FusedMatMul',
    domain: microsoft,
    inputs: [
      [2, 3, 5],
      [4, 5],
    ],
    attributes: { transB: 1 },
  },
  {
    op: 'FusedMatMul',
    domain: microsoft,
    inputs: [
      [2, 5, 3],
      [2, 4, 5],
    ],
    attributes: { transA: 1, transB: 1, alpha: f(2) },
    runOnly: true,
  },
]
