/** Every ONNX operator, attribute by attribute, against onnxruntime: operator by operator, and compiled. */
import { describe, expect, test } from 'vitest'
import { type Case, checkCase, f, index, ints, scalar, title } from './onnx-cases.ts'
import { elementwise } from './onnx-elementwise-cases.ts'
import { onnxruntime } from './onnx-models.ts'
import { arranging, choosing, gathering } from './onnx-moving-cases.ts'
import { norms } from './onnx-norm-cases.ts'
import { pipelines, signals } from './onnx-pipeline-cases.ts'
import { abilitiesOf, quantized, rowsOf, tableOf } from './onnx-table.ts'
import { transformers } from './onnx-transformer-cases.ts'
import { fused, sampling, volumes } from './onnx-window-cases.ts'

const image = [2, 3, 7, 6]

const convs: Case[] = [
  { op: 'Conv', inputs: [image, [4, 3, 3, 3]] },
  { op: 'Conv', inputs: [image, [4, 3, 3, 3], [4]], attributes: { pads: [1, 1, 1, 1], strides: [2, 2] } },
  { op: 'Conv', inputs: [image, [4, 3, 3, 2], [4]], attributes: { pads: [0, 1, 2, 3], strides: [2, 1] } },
  { op: 'Conv', inputs: [[1, 4, 9, 9], [6, 2, 3, 3], [6]], attributes: { group: 2, dilations: [2, 3] } },
  { op: 'Conv', inputs: [[1, 4, 9, 9], [4, 1, 3, 3], [4]], attributes: { group: 4, pads: [1, 1, 1, 1] } },
  {
    op: 'Conv',
    inputs: [[2, 3, 11], [5, 3, 4], [5]],
    attributes: { pads: [2, 1], strides: [2], dilations: [2] },
  },
  {
    op: 'Conv',
    inputs: [
      [2, 3, 11],
      [5, 3, 3],
    ],
    attributes: { auto_pad: 'SAME_UPPER', kernel_shape: [3] },
  },
  ...['SAME_UPPER', 'SAME_LOWER', 'VALID'].flatMap((auto_pad): Case[] => [
    { op: 'Conv', inputs: [image, [4, 3, 3, 2]], attributes: { auto_pad, strides: [2, 3] } },
    { op: 'Conv', inputs: [image, [4, 3, 4, 4], [4]], attributes: { auto_pad, kernel_shape: [4, 4] } },
    { op: 'MaxPool', inputs: [image], attributes: { auto_pad, kernel_shape: [3, 2], strides: [2, 2] } },
    { op: 'AveragePool', inputs: [image], attributes: { auto_pad, kernel_shape: [3, 2], strides: [2, 2] } },
    {
      op: 'AveragePool',
      inputs: [image],
      attributes: { auto_pad, kernel_shape: [3, 2], strides: [2, 2], count_include_pad: 1 },
    },
  ]),
]

const pools: Case[] = [
  { op: 'MaxPool', inputs: [image], attributes: { kernel_shape: [2, 2] } },
  {
    op: 'MaxPool',
    inputs: [image],
    attributes: { kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 2, 1] },
  },
  { op: 'MaxPool', inputs: [image], attributes: { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 } },
  { op: 'MaxPool', inputs: [image], attributes: { kernel_shape: [2, 2], dilations: [2, 3] } },
  { op: 'MaxPool', inputs: [[2, 3, 9]], attributes: { kernel_shape: [3], strides: [2], pads: [1, 1] } },
  { op: 'MaxPool', inputs: [[1, 2, 4, 5, 3]], attributes: { kernel_shape: [2, 2, 2] }, runOnly: true },
  { op: 'MaxPool', inputs: [image], attributes: { kernel_shape: [2, 3] }, outputs: 2, runOnly: true },
  {
    op: 'MaxPool',
    inputs: [image],
    attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], storage_order: 1 },
    outputs: 2,
    runOnly: true,
  },
  {
    op: 'MaxPool',
    inputs: [{ type: 'uint8', shape: [1, 1, 3, 3], data: [1, 2, 3, 4, 255, 6, 7, 8, 9] }],
    attributes: { kernel_shape: [2, 2] },
    runOnly: true,
  },
  { op: 'AveragePool', inputs: [image], attributes: { kernel_shape: [2, 2] } },
  { op: 'AveragePool', inputs: [image], attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] } },
  {
    op: 'AveragePool',
    inputs: [image],
    attributes: { kernel_shape: [3, 3], pads: [1, 2, 0, 1], strides: [2, 2] },
  },
  {
    op: 'AveragePool',
    inputs: [image],
    attributes: { kernel_shape: [3, 3], pads: [1, 2, 0, 1], strides: [2, 2], count_include_pad: 1 },
  },
  { op: 'AveragePool', inputs: [image], attributes: { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 } },
  {
    op: 'AveragePool',
    inputs: [image],
    attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1 },
  },
  {
    op: 'AveragePool',
    inputs: [image],
    attributes: {
      kernel_shape: [3, 3],
      strides: [2, 2],
      pads: [1, 1, 1, 1],
      ceil_mode: 1,
      count_include_pad: 1,
    },
  },
  { op: 'AveragePool', inputs: [image], attributes: { kernel_shape: [2, 2], dilations: [2, 2] }, opset: 19 },
  {
    op: 'AveragePool',
    inputs: [image],
    attributes: { kernel_shape: [2, 3], dilations: [2, 2], pads: [1, 2, 1, 0], count_include_pad: 1 },
    opset: 19,
  },
  { op: 'AveragePool', inputs: [[2, 1, 7, 3, 4]], attributes: { kernel_shape: [5, 1, 1] } },
  { op: 'AveragePool', inputs: [[2, 3, 9]], attributes: { kernel_shape: [4], strides: [3], pads: [1, 0] } },
  {
    op: 'AveragePool',
    inputs: [[1, 2, 4, 5, 3]],
    attributes: { kernel_shape: [2, 2, 2], pads: [1, 0, 1, 0, 1, 0] },
    runOnly: true,
  },
  ...['GlobalAveragePool', 'GlobalMaxPool'].flatMap((op): Case[] => [
    { op, inputs: [image] },
    { op, inputs: [[2, 3, 5]] },
    { op, inputs: [[2, 3, 2, 2, 3]] },
  ]),
]

const matrices: Case[] = [
  {
    op: 'Gemm',
    inputs: [
      [3, 5],
      [5, 4],
    ],
  },
  { op: 'Gemm', inputs: [[3, 5], [4, 5], [4]], attributes: { transB: 1 } },
  { op: 'Gemm', inputs: [[3, 5], [4, 5], [4]], attributes: { transB: 1, alpha: 0.5, beta: 2.5 } },
  {
    op: 'Gemm',
    inputs: [
      [3, 5],
      [5, 4],
      [1, 4],
    ],
    attributes: { alpha: f(2) },
  },
  { op: 'Gemm', inputs: [[3, 5], [5, 4], scalar(1.5)], attributes: { beta: 0.5 } },
  { op: 'Gemm', inputs: [[3, 5], [5, 4], [1]] },
  {
    op: 'Gemm',
    inputs: [
      [3, 5],
      [5, 4],
      [3, 4],
    ],
    attributes: { beta: 0.5 },
    runOnly: true,
  },
  {
    op: 'Gemm',
    inputs: [
      [3, 5],
      [5, 4],
      [3, 1],
    ],
    runOnly: true,
  },
  { op: 'Gemm', inputs: [[5, 3], [5, 4], [4]], attributes: { transA: 1 }, runOnly: true },
  {
    op: 'Gemm',
    inputs: [
      [5, 3],
      [4, 5],
    ],
    attributes: { transA: 1, transB: 1, alpha: 0.25 },
    runOnly: true,
  },
  {
    op: 'MatMul',
    inputs: [
      [3, 5],
      [5, 4],
    ],
  },
  {
    op: 'MatMul',
    inputs: [
      [2, 3, 5],
      [5, 4],
    ],
  },
  { op: 'MatMul', inputs: [[2, 3, 4, 5], [5]] },
  { op: 'MatMul', inputs: [[5], [5, 4]], runOnly: true },
  { op: 'MatMul', inputs: [[5], [5]], runOnly: true },
  { op: 'MatMul', inputs: [[5], [2, 5, 3]], runOnly: true },
  {
    op: 'MatMul',
    inputs: [
      [2, 3, 4],
      [2, 4, 5],
    ],
    runOnly: true,
  },
  {
    op: 'MatMul',
    inputs: [
      [3, 1, 2, 4],
      [2, 4, 5],
    ],
    runOnly: true,
  },
]

const unary: Case[] = [
  ...[
    'Relu',
    'Sigmoid',
    'Tanh',
    'HardSwish',
    'Elu',
    'Selu',
    'LeakyRelu',
    'HardSigmoid',
    'Exp',
    'Abs',
    'Neg',
  ].flatMap((op): Case[] => [
    { op, inputs: [image] },
    { op, inputs: [[5]], runOnly: true },
  ]),
  ...['Floor', 'Ceil', 'Sign', 'Reciprocal'].map(
    (op): Case => ({ op, inputs: [image], runOnly: op !== 'Reciprocal' }),
  ),
  { op: 'Sqrt', inputs: [{ shape: [2, 3], data: [0, 1, 2, 3, 4, 5] }] },
  { op: 'Log', inputs: [{ shape: [2, 3], data: [0.1, 1, 2, 3, 4, 5] }] },
  { op: 'Elu', inputs: [image], attributes: { alpha: 0.3 } },
  { op: 'Selu', inputs: [image], attributes: { alpha: f(2), gamma: f(3) } },
  { op: 'LeakyRelu', inputs: [image], attributes: { alpha: 0.3 } },
  { op: 'HardSigmoid', inputs: [image], attributes: { alpha: 0.5, beta: 0.6 } },
  { op: 'Gelu', inputs: [image], opset: 20, tolerance: 1e-5 },
  { op: 'Clip', inputs: [image], attributes: { min: -0.3, max: 0.4 }, opset: 6 + 1 },
  { op: 'Clip', inputs: [image], attributes: { max: 0.4 }, opset: 10 },
  { op: 'Clip', inputs: [image, scalar(-0.3), scalar(0.4)], opset: 11 },
  { op: 'Clip', inputs: [image, null, scalar(0.4)], opset: 13 },
  { op: 'Clip', inputs: [image, scalar(0.1)], opset: 13 },
  { op: 'Clip', inputs: [image, scalar(0.5), scalar(-0.5)], opset: 13 },
  { op: 'Clip', inputs: [image], opset: 13 },
  { op: 'PRelu', inputs: [image, [3, 1, 1]] },
  { op: 'PRelu', inputs: [image, [1]] },
  { op: 'PRelu', inputs: [image, [6]] },
  { op: 'PRelu', inputs: [image, [3, 7, 6]] },
  { op: 'PRelu', inputs: [image, [1, 3, 1, 1]] },
  { op: 'PRelu', inputs: [[4, 3], [3]] },
  {
    op: 'PRelu',
    inputs: [
      [4, 3, 5],
      [3, 1],
    ],
  },
  { op: 'Pow', inputs: [image, scalar(2)] },
  {
    op: 'Pow',
    inputs: [
      { shape: [2, 2], data: [1, 2, 3, 4] },
      { shape: [2], data: [2, 0.5] },
    ],
    runOnly: true,
  },
]

const binary: Case[] = ['Add', 'Sub', 'Mul', 'Div'].flatMap((op): Case[] => [
  { op, inputs: [image, image], runOnly: true },
  { op, inputs: [image, [3, 1, 1]] },
  { op, inputs: [[3, 1, 1], image], runOnly: true },
  { op, inputs: [image, [1, 3, 1, 1]] },
  { op, inputs: [image, [6]] },
  { op, inputs: [image, [7, 1]] },
  { op, inputs: [image, scalar(0.7)] },
  { op, inputs: [image, [1, 1, 1, 1]] },
  { op, inputs: [[2, 5], [5]] },
  {
    op,
    inputs: [
      [2, 3, 1],
      [1, 3, 4],
    ],
  },
  {
    op,
    inputs: [
      [2, 1, 4],
      [3, 1],
    ],
  },
  { op, inputs: [[4], [3, 1]], runOnly: true },
  { op, inputs: [ints(7, -7, 9), ints(2, 2, -4)], runOnly: true },
])

const several: Case[] = [
  { op: 'Sum', inputs: [image], runOnly: true },
  { op: 'Sum', inputs: [image, [3, 1, 1], image], runOnly: true },
  { op: 'Max', inputs: [image, scalar(0.2)] },
  { op: 'Min', inputs: [image, scalar(0.2)] },
  { op: 'Max', inputs: [image, image, [6]], runOnly: true },
  { op: 'Min', inputs: [image, [3, 1, 1]], runOnly: true },
  { op: 'Equal', inputs: [ints(1, 2, 3), ints(1, 5, 3)], runOnly: true },
  { op: 'Less', inputs: [image, [6]], runOnly: true },
  { op: 'GreaterOrEqual', inputs: [image, [6]], runOnly: true },
  { op: 'Mod', inputs: [ints(-4, 7, 5, 4, -7, 8), ints(2, -3, 8, -2, 3, 5)], runOnly: true },
  {
    op: 'Mod',
    inputs: [ints(-4, 7, 5, 4, -7, 8), ints(2, -3, 8, -2, 3, 5)],
    attributes: { fmod: 1 },
    runOnly: true,
  },
  { op: 'Where', inputs: [{ type: 'bool', shape: [2], data: [1, 0] }, [3, 2], [2]], runOnly: true },
  { op: 'Not', inputs: [{ type: 'bool', shape: [2], data: [1, 0] }], runOnly: true },
  {
    op: 'Concat',
    inputs: [
      [2, 3],
      [4, 3],
    ],
    attributes: { axis: 0 },
    runOnly: true,
  },
  {
    op: 'Concat',
    inputs: [
      [2, 3, 2],
      [2, 1, 2],
      [2, 2, 2],
    ],
    attributes: { axis: -2 },
    runOnly: true,
  },
]

const normalising: Case[] = [
  { op: 'BatchNormalization', inputs: [image, [3], [3], [3], { shape: [3], data: [0.5, 1, 2] }] },
  {
    op: 'BatchNormalization',
    inputs: [image, [3], [3], [3], { shape: [3], data: [0.5, 1, 2] }],
    attributes: { epsilon: 0.1 },
    opset: 9,
  },
  {
    op: 'BatchNormalization',
    inputs: [image, [3], [3], [3], { shape: [3], data: [0.5, 1, 2] }],
    attributes: { spatial: 1, momentum: 0.5 },
    opset: 7,
  },
  { op: 'BatchNormalization', inputs: [[4, 3], [3], [3], [3], { shape: [3], data: [0.5, 1, 2] }] },
  { op: 'BatchNormalization', inputs: [[2, 3, 5], [3], [3], [3], { shape: [3], data: [0.5, 1, 2] }] },
  {
    op: 'BatchNormalization',
    inputs: [image, [3], [3], [3], { shape: [3], data: [0.5, 1, 2] }],
    attributes: { training_mode: 1, momentum: 0.7 },
    opset: 15,
    outputs: 3,
    runOnly: true,
  },
  { op: 'LRN', inputs: [[2, 7, 3, 4]], attributes: { size: 3, alpha: 0.2, beta: 0.5, bias: f(2) } },
  { op: 'LRN', inputs: [[2, 7, 3, 4]], attributes: { size: 5 } },
  ...['Softmax', 'LogSoftmax'].flatMap((op): Case[] => [
    { op, inputs: [[2, 3, 4]] },
    { op, inputs: [[2, 3, 4]], attributes: { axis: 1 } },
    { op, inputs: [[2, 3, 4]], attributes: { axis: 0 }, runOnly: true },
    { op, inputs: [[2, 3, 4]], opset: 11 },
    { op, inputs: [[2, 3, 4, 2]], attributes: { axis: 1 }, opset: 7 },
    { op, inputs: [[2, 3, 4]], attributes: { axis: 2 }, opset: 11 },
    { op, inputs: [[2, 3, 4, 2]], attributes: { axis: -2 }, opset: 11, runOnly: true },
    { op, inputs: [[2, 3, 4]], attributes: { axis: 0 }, opset: 11, runOnly: true },
    { op, inputs: [[5]], runOnly: true },
  ]),
  { op: 'Dropout', inputs: [image], attributes: { ratio: 0.3 }, opset: 7 },
  { op: 'Dropout', inputs: [image, scalar(0.3)], opset: 13 },
  { op: 'Dropout', inputs: [image], opset: 12, outputs: 2, runOnly: true },
  { op: 'ReduceMean', inputs: [image], attributes: { axes: [2, 3] }, opset: 13 },
  { op: 'ReduceMean', inputs: [image], attributes: { axes: [-1], keepdims: 0 }, opset: 11 },
  { op: 'ReduceMean', inputs: [image, ints(1, 3)], opset: 18 },
  { op: 'ReduceMean', inputs: [image], opset: 13, runOnly: true },
  { op: 'ReduceMean', inputs: [image], attributes: { keepdims: 0 }, opset: 13, runOnly: true },
  { op: 'ReduceMean', inputs: [image], attributes: { noop_with_empty_axes: 1 }, opset: 18 },
  { op: 'ReduceMean', inputs: [image, ints(0, 2)], attributes: { keepdims: 0 }, opset: 18, runOnly: true },
  { op: 'ReduceSum', inputs: [image, ints(1)], opset: 13 },
  { op: 'ReduceSum', inputs: [image, ints(3, 2)], attributes: { keepdims: 0 }, opset: 13 },
  { op: 'ReduceMax', inputs: [image], attributes: { axes: [1, 2], keepdims: 0 }, opset: 13 },
  { op: 'ReduceMax', inputs: [image, ints(1, 3)], opset: 18 },
  { op: 'ReduceMax', inputs: [image], opset: 13, runOnly: true },
  { op: 'ReduceMin', inputs: [image, ints(-1)], opset: 18 },
  { op: 'ReduceProd', inputs: [image, ints(-1)], opset: 18, runOnly: true },
]

const shapes: Case[] = [
  { op: 'Flatten', inputs: [image] },
  ...[0, 2, 3, 4, -1].map(
    (axis): Case => ({ op: 'Flatten', inputs: [image], attributes: { axis }, opset: 13, runOnly: true }),
  ),
  { op: 'Reshape', inputs: [image, ints(2, -1)], runOnly: true },
  { op: 'Reshape', inputs: [image, ints(-1, 126)] },
  { op: 'Reshape', inputs: [image, ints(0, 0, 42)] },
  { op: 'Reshape', inputs: [image, ints(0, 6, -1, 3)] },
  { op: 'Reshape', inputs: [image, ints(12, 21)], runOnly: true },
  { op: 'Reshape', inputs: [image, ints(-1)], runOnly: true },
  { op: 'Squeeze', inputs: [[2, 1, 3, 1]], opset: 11 },
  { op: 'Squeeze', inputs: [[2, 1, 3, 1]], attributes: { axes: [3] }, opset: 11 },
  { op: 'Squeeze', inputs: [[2, 1, 3, 1], ints(1, -1)], opset: 13 },
  { op: 'Unsqueeze', inputs: [[2, 3]], attributes: { axes: [1, 3] }, opset: 11 },
  { op: 'Unsqueeze', inputs: [[2, 3], ints(-1, 2)], opset: 13 },
  { op: 'Unsqueeze', inputs: [[2, 3], ints(0)], opset: 13, runOnly: true },
  { op: 'Transpose', inputs: [image], attributes: { perm: [0, 2, 3, 1] } },
  { op: 'Transpose', inputs: [image], attributes: { perm: [0, 1, 3, 2] } },
  { op: 'Transpose', inputs: [image], runOnly: true },
  { op: 'Identity', inputs: [image] },
  { op: 'Shape', inputs: [image], runOnly: true },
  { op: 'Shape', inputs: [image], attributes: { start: 1, end: -1 }, opset: 15, runOnly: true },
  { op: 'Size', inputs: [image], runOnly: true },
  { op: 'Gather', inputs: [image, ints(2, 0, -1)], attributes: { axis: 1 } },
  { op: 'Gather', inputs: [image, index(1)], attributes: { axis: 2 } },
  {
    op: 'Gather',
    inputs: [image, { type: 'int64', shape: [2, 2], data: [0, 1, 1, 0] }],
    attributes: { axis: 0 },
    runOnly: true,
  },
  { op: 'Slice', inputs: [image], attributes: { starts: [1, 0], ends: [3, -1], axes: [1, 3] }, opset: 9 },
  { op: 'Slice', inputs: [image], attributes: { starts: [0, 0, 2], ends: [2 ** 40, 9, 5] }, opset: 7 },
  { op: 'Slice', inputs: [image, ints(1, 0), ints(2 ** 53, -2), ints(-2, 1), ints(2, 1)] },
  { op: 'Slice', inputs: [image, ints(5), ints(-100), ints(2), ints(-2)], runOnly: true },
  { op: 'Slice', inputs: [image, ints(-1), ints(0), ints(3), ints(-1)], runOnly: true },
  { op: 'Slice', inputs: [image, ints(0), ints(1), ints(0)], runOnly: true },
  { op: 'Split', inputs: [[2, 6, 3]], attributes: { axis: 1 }, opset: 11, outputs: 3 },
  { op: 'Split', inputs: [[2, 6, 3]], attributes: { axis: 1, split: [1, 5] }, opset: 11, outputs: 2 },
  { op: 'Split', inputs: [[2, 6, 3], ints(2, 4)], attributes: { axis: 1 }, opset: 13, outputs: 2 },
  { op: 'Split', inputs: [[2, 7, 3]], attributes: { axis: -2, num_outputs: 3 }, opset: 18, outputs: 3 },
  { op: 'Pad', inputs: [image], attributes: { pads: [0, 0, 1, 2, 0, 0, 3, 0], value: 1.5 }, opset: 9 },
  { op: 'Pad', inputs: [image, ints(0, 0, 1, 2, 0, 1, 3, 0), scalar(1.5)], opset: 13 },
  { op: 'Pad', inputs: [image, ints(0, 0, 1, 2, 0, 0, 3, 0)], opset: 13 },
  { op: 'Pad', inputs: [image, ints(0, 0, -1, 2, 0, 0, 3, -2)], opset: 13 },
  { op: 'Pad', inputs: [image, ints(1, 2, 0, 3), null, ints(3, 2)], opset: 18 },
  { op: 'Pad', inputs: [image, ints(1, 0, 0, 0, 0, 2, 0, 0)], opset: 13, runOnly: true },
  {
    op: 'Pad',
    inputs: [image, ints(0, 0, 1, 2, 0, 0, 3, 0)],
    attributes: { mode: 'reflect' },
    opset: 13,
  },
  {
    op: 'Pad',
    inputs: [image, ints(0, 0, 1, 2, 0, 0, 3, 0)],
    attributes: { mode: 'edge' },
    opset: 13,
  },
  {
    op: 'Pad',
    inputs: [image, ints(0, 0, 1, 2, 0, 0, 3, 0)],
    attributes: { mode: 'wrap' },
    opset: 19,
  },
  { op: 'Expand', inputs: [[2, 1, 3], ints(2, 4, 1)], runOnly: true },
  { op: 'Expand', inputs: [[2, 1, 3], ints(1, 3)] },
  { op: 'Tile', inputs: [[2, 3], ints(2, 3)], runOnly: true },
  { op: 'Range', inputs: [index(1), index(10), index(3)], runOnly: true },
  { op: 'Range', inputs: [index(10), index(1), index(-2)], runOnly: true },
  { op: 'ConstantOfShape', inputs: [ints(2, 3)], attributes: { tensor: 0 } as never, runOnly: true },
  { op: 'Cast', inputs: [image], attributes: { to: 7 }, runOnly: true },
  { op: 'Cast', inputs: [image], attributes: { to: 9 }, runOnly: true },
  { op: 'Cast', inputs: [image], attributes: { to: 1 } },
  { op: 'Cast', inputs: [ints(3, 0, -5)], attributes: { to: 1 }, runOnly: true },
].map(
  (one): Case =>
    (one.op === 'ConstantOfShape'
      ? { ...one, attributes: { value: { tensor: { shape: [1], data: [1.5] } } } }
      : one) as Case,
)

const groups = {
  convs,
  pools,
  matrices,
  unary,
  binary,
  several,
  normalising,
  shapes,
  arranging,
  gathering,
  choosing,
  sampling,
  volumes,
  fused,
  transformers,
  pipelines,
  signals,
}

const ort = onnxruntime()

describe.skipIf(!ort)('as onnxruntime', () => {
  describe.each(Object.entries(groups))('%s', (_, cases) => {
    test.each(cases.map((one): [string, Case] => [title(one), one]))('%s', (_name, one) =>
      checkCase(one, ort),
    )
  })
})

test('there is no operator without a case', async () => {
  const { operatorNames } = await import('../lib/formats/onnx/operators/index.ts')
  const tested = new Set(
    Object.values(groups).flatMap((cases) =>
      cases.map(({ op, domain }) => (domain ? `${domain}.${op}` : op)),
    ),
  )
  const elsewhere = ['Constant', 'CastLike', 'And', 'Or', 'Xor', 'Greater', 'LessOrEqual', 'Swish']
  elsewhere.push('If', 'Loop', 'Scan') // onnx-control.test.ts
  elsewhere.push('ImageScaler') // onnx-windows.test.ts
  elsewhere.push('ConvTranspose', 'Resize', 'Upsample') // onnx-upsampling.test.ts
  elsewhere.push('Attention', 'Einsum') // matmul.test.ts
  elsewhere.push('GRU', 'LSTM', 'RNN') // recurrent.test.ts
  // onnx-sequences.test.ts
  elsewhere.push('SequenceConstruct', 'SequenceEmpty', 'SequenceAt', 'SequenceInsert', 'SequenceErase')
  elsewhere.push('SequenceLength', 'SequenceMap', 'SplitToSequence', 'ConcatFromSequence')
  elsewhere.push('Optional', 'OptionalHasElement', 'OptionalGetElement')
  elsewhere.push('DequantizeLinear', 'DynamicQuantizeLinear', 'QuantizeLinear') // onnx-quantized.test.ts
  elsewhere.push('ConvInteger', 'MatMulInteger', 'QLinearConv', 'QLinearMatMul') // onnx-quantized.test.ts
  for (const { op } of quantized) elsewhere.push(op, `com.microsoft.${op}`) // onnx-qoperator.test.ts
  for (const { op } of [norms, ...Object.values(elementwise)].flat()) tested.add(op)
  elsewhere.push('ai.onnx.ml.ZipMap') // onnx-pipelines.test.ts
  elsewhere.push('SimplifiedLayerNormalization') // RMSNormalization
  elsewhere.push('BitCast', 'CausalConvWithState', 'CumProd', 'LinearAttention', 'SwiGLU', 'TensorScatter') // onnx-newer.test.ts
  expect(operatorNames().filter((op) => !tested.has(op) && !elsewhere.includes(op))).toEqual([])
})

test('the table of operators is current', async () => {
  const rows = rowsOf({ ...groups, norms, ...elementwise })
  await expect(tableOf(rows)).toMatchFileSnapshot('../docs/onnx-operators.md')
  await expect(abilitiesOf(rows)).toMatchFileSnapshot('../lib/formats/onnx/abilities.ts')
})
