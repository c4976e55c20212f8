/** Cases of pipelines, signals and moved taps, for onnx-operators.test.ts. */
import { type Case, f, index, ints } from './onnx-cases.ts'
import { list, of } from './onnx-models.ts'

const domain = 'ai.onnx.ml'
const floats = (...values: number[]) => ({ floats: values })
const coefficients = floats(0.5, -1, 2, 0.25, 1, -0.75, -0.5, 0.125, 1.5)

export const pipelines: Case[] = [
  ...['MAX', 'L1', 'L2'].map(
    (norm): Case => ({ op: 'Normalizer', domain, inputs: [[4, 3]], attributes: { norm } }),
  ),
  {
    op: 'Normalizer',
    domain,
    inputs: [of('float', [2, 2], 0, 0, 3, 4)],
    attributes: { norm: 'L2' },
    runOnly: true,
  },
  {
    op: 'LabelEncoder',
    domain,
    inputs: [list('int64', 3, 1, 9, 2)],
    attributes: { keys_int64s: [1, 2, 3], values_floats: floats(0.5, 1.5, 2.5), default_float: f(-7) },
    runOnly: true,
  },
  {
    op: 'LabelEncoder',
    domain,
    inputs: [list('float', 3, 1.5, 9)],
    attributes: { keys_floats: floats(1.5, 3), values_int64s: [10, 20] },
    runOnly: true,
  },
  {
    op: 'LabelEncoder',
    domain,
    inputs: [list('int64', 3, 1, 9)],
    attributes: { keys_int64s: [9, 3], values_int64s: [10, 20], default_int64: 5 },
    runOnly: true,
  },
  ...['NONE', 'SOFTMAX', 'LOGISTIC'].flatMap((post_transform): Case[] => [
    {
      op: 'LinearClassifier',
      domain,
      inputs: [[4, 3]],
      attributes: {
        coefficients,
        intercepts: floats(0.1, 0.2, -0.3),
        classlabels_ints: [0, 1, 2],
        multi_class: 1,
        post_transform,
      },
      outputs: 2,
    },
    {
      op: 'LinearRegressor',
      domain,
      inputs: [[4, 3]],
      attributes: { coefficients, targets: 3, post_transform },
    },
  ]),
  {
    op: 'LinearClassifier',
    domain,
    inputs: [[5, 3]],
    attributes: { coefficients, intercepts: floats(0.1, 0.2, -0.3), classlabels_ints: [7, -1, 4] },
    outputs: 2,
    runOnly: true,
  },
  {
    op: 'LinearRegressor',
    domain,
    inputs: [[4, 3]],
    attributes: { coefficients: floats(1, 2, -0.5), intercepts: floats(3) },
  },
  { op: 'Binarizer', domain, inputs: [[4, 3]], attributes: { threshold: f(0.25) } },
  {
    op: 'Imputer',
    domain,
    inputs: [of('float', [2, 3], 1, 4, 3, 4, 5, 6)],
    attributes: { imputed_value_floats: floats(7, 8, 9), replaced_value_float: f(4) },
    runOnly: true,
  },
  { op: 'ArrayFeatureExtractor', domain, inputs: [[4, 5], ints(3, 0, 1)] },
  {
    op: 'FeatureVectorizer',
    domain,
    inputs: [
      [1, 2],
      [1, 3],
    ],
    attributes: { inputdimensions: [2, 3] },
  },
]

export const signals: Case[] = [
  ...['HannWindow', 'HammingWindow', 'BlackmanWindow'].flatMap((op): Case[] => [
    { op, inputs: [index(10)], runOnly: true },
    { op, inputs: [index(7)], attributes: { periodic: 0 }, runOnly: true },
  ]),
  { op: 'DFT', inputs: [[2, 10, 1]], tolerance: 1e-5, runOnly: true },
  { op: 'DFT', inputs: [[2, 6, 2]], attributes: { inverse: 1 }, tolerance: 1e-5, runOnly: true },
  {
    op: 'DFT',
    inputs: [[2, 7, 5, 1], index(8)],
    attributes: { axis: 2, onesided: 1 },
    tolerance: 1e-5,
    runOnly: true,
  },
  { op: 'DFT', inputs: [[2, 7, 5, 1], null, index(1)], opset: 20, tolerance: 1e-5, runOnly: true },
  { op: 'STFT', inputs: [[2, 20, 1], index(4), null, index(8)], tolerance: 1e-5 },
  { op: 'STFT', inputs: [[1, 20, 1], index(3), [6]], attributes: { onesided: 0 }, tolerance: 1e-5 },
  { op: 'STFT', inputs: [[1, 20, 1], index(3), [6]], tolerance: 1e-5 },
  {
    op: 'MelWeightMatrix',
    inputs: [index(8), index(64), index(8192), of('float', [], 0), of('float', [], 4096)],
    runOnly: true,
  },
  { op: 'Det', inputs: [[4, 4]], tolerance: 1e-5, runOnly: true },
  { op: 'Det', inputs: [[2, 3, 3, 3]], tolerance: 1e-5, runOnly: true },
  { op: 'Det', inputs: [of('float', [2, 2], 1, 2, 2, 4)], runOnly: true },
  {
    op: 'DeformConv',
    inputs: [
      [2, 4, 5, 6],
      [6, 4, 3, 3],
      [2, 18, 5, 6],
    ],
    attributes: { pads: [1, 1, 1, 1] },
    opset: 22,
    tolerance: 1e-5,
    runOnly: true,
  },
  {
    op: 'DeformConv',
    inputs: [[1, 4, 6, 7], [6, 2, 3, 2], [1, 24, 3, 3], [6], [1, 12, 3, 3]],
    attributes: { group: 2, offset_group: 2, strides: [2, 2], pads: [1, 0, 1, 1], dilations: [1, 2] },
    opset: 22,
    tolerance: 1e-5,
    runOnly: true,
  },
  {
    op: 'MaxRoiPool',
    inputs: [[2, 3, 7, 8], of('float', [3, 5], 0, 0, 0, 4, 4, 1, 2, 1, 7, 6, 0, 5, 5, 5, 5)],
    attributes: { pooled_shape: [2, 3], spatial_scale: f(0.9) },
    runOnly: true,
  },
]
