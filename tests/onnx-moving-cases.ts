/** Cases of the operators that move and choose elements, for onnx-operators.test.ts. */
import { type OperatorCase as Case, type Numbers, of } from './onnx-models.ts'

const ints = (...data: number[]): Numbers => ({ type: 'int64', shape: [data.length], data })
const index = (value: number): Numbers => ({ type: 'int64', shape: [], data: [value] })
const image = [2, 3, 7, 6]

/** Small numbers, many of them equal. */
const few = (...shape: number[]): Numbers => {
  const length = shape.reduce((product, size) => product * size, 1)
  return { shape, data: Array.from({ length }, (_, i) => ((i * 7 + 3) % 5) - 2) }
}
const fewInts = (...shape: number[]): Numbers => ({ ...few(...shape), type: 'int64' })

export const arranging: Case[] = [
  ...['DCR', 'CRD'].flatMap((mode): Case[] => [
    { op: 'DepthToSpace', inputs: [[2, 12, 3, 4]], attributes: { blocksize: 2, mode }, opset: 13 },
    { op: 'DepthToSpace', inputs: [[1, 9, 2, 5]], attributes: { blocksize: 3, mode }, opset: 11 },
  ]),
  { op: 'DepthToSpace', inputs: [[2, 8, 2, 3]], attributes: { blocksize: 2 }, opset: 7 },
  { op: 'SpaceToDepth', inputs: [[2, 3, 6, 4]], attributes: { blocksize: 2 } },
  { op: 'SpaceToDepth', inputs: [[1, 2, 6, 9]], attributes: { blocksize: 3 }, opset: 7 },
  { op: 'Expand', inputs: [[2, 1, 3], ints(1, 4, 3)] },
  { op: 'Expand', inputs: [[2, 3, 1, 1], ints(5, 6)] },
  { op: 'Expand', inputs: [fewInts(2, 1), ints(3, 2, 4)], runOnly: true },
  { op: 'Tile', inputs: [[2, 3, 4], ints(1, 2, 3)] },
  { op: 'Tile', inputs: [[2, 3, 2, 2], ints(1, 1, 2, 1)] },
  { op: 'Tile', inputs: [fewInts(2, 3), ints(2, 0)], runOnly: true },
  { op: 'Tile', inputs: [[3], ints(4)], runOnly: true },
  ...[0, 1].flatMap((upper) =>
    [undefined, 0, 1, -1, 3, -9, 9].map(
      (k): Case => ({
        op: 'Trilu',
        inputs: k === undefined ? [[2, 4, 5]] : [[2, 4, 5], index(k)],
        attributes: { upper },
        // all zeros, whatever the image is
        runOnly: k === (upper ? 9 : -9),
      }),
    ),
  ),
  { op: 'Trilu', inputs: [fewInts(3, 3)], runOnly: true },
  { op: 'ReverseSequence', inputs: [[4, 3, 2], ints(1, 4, 2)], runOnly: true },
  {
    op: 'ReverseSequence',
    inputs: [[3, 4], ints(4, 1, 3)],
    attributes: { time_axis: 1, batch_axis: 0 },
    runOnly: true,
  },
  { op: 'CenterCropPad', inputs: [[2, 3, 7, 6], ints(4, 9)], attributes: { axes: [2, 3] }, opset: 18 },
  { op: 'CenterCropPad', inputs: [[2, 3, 7, 6], ints(6, 3)], attributes: { axes: [-1, 1] }, opset: 18 },
  { op: 'CenterCropPad', inputs: [fewInts(3, 4), ints(5, 3)], opset: 18, runOnly: true },
  { op: 'EyeLike', inputs: [[3, 4]], runOnly: true },
  { op: 'EyeLike', inputs: [[4, 3]], attributes: { k: -1, dtype: 7 }, runOnly: true },
  { op: 'EyeLike', inputs: [fewInts(2, 5)], attributes: { k: 3 }, runOnly: true },
  { op: 'Slice', inputs: [image, ints(-1), ints(-100), ints(3), ints(-1)] },
  { op: 'Slice', inputs: [image, ints(5, 2), ints(0, -100), ints(2, 1), ints(-2, -1)] },
]

export const gathering: Case[] = [
  { op: 'Gather', inputs: [image, ints(5, 4, 3, 1, 3, 5)], attributes: { axis: 3 } },
  { op: 'Gather', inputs: [image, ints(0, 2, 4, 1, 1, 6)], attributes: { axis: -2 } },
  {
    op: 'Gather',
    inputs: [image, { type: 'int32', shape: [2, 2], data: [0, 2, -1, 1] }],
    attributes: { axis: 1 },
  },
  {
    op: 'Gather',
    inputs: [[2, 3], { type: 'int64', shape: [1, 2, 1], data: [0, 2] }],
    attributes: { axis: 1 },
  },
  {
    op: 'GatherElements',
    inputs: [[3, 3], of('int64', [2, 3], 1, 2, 0, 2, -3, 0)],
    attributes: { axis: 0 },
    runOnly: true,
  },
  {
    op: 'GatherElements',
    inputs: [[2, 3, 2], of('int32', [2, 1, 2], 1, 2, -1, 0)],
    attributes: { axis: 1 },
    runOnly: true,
  },
  { op: 'GatherND', inputs: [[2, 3, 4], of('int64', [2, 2], 0, 1, 1, -1)], runOnly: true },
  { op: 'GatherND', inputs: [fewInts(2, 3), of('int64', [2, 1, 2], 0, 1, 1, 2)], runOnly: true },
  {
    op: 'GatherND',
    inputs: [[2, 3, 4], of('int64', [2, 1], 2, 0)],
    attributes: { batch_dims: 1 },
    runOnly: true,
  },
  {
    op: 'GatherND',
    inputs: [[2, 2, 3, 2], of('int64', [2, 2, 2, 1], 2, 0, 1, 1, 0, 2, -1, -2)],
    attributes: { batch_dims: 2 },
    runOnly: true,
  },
  { op: 'Scatter', inputs: [[3, 3], of('int64', [1, 2], 2, 0), [1, 2]], opset: 9, runOnly: true },
  ...['none', 'add', 'mul', 'max', 'min'].flatMap((reduction): Case[] => [
    {
      op: 'ScatterElements',
      inputs: [[3, 4], of('int64', [2, 3], 1, 3, -4, 0, 1, 2), [2, 3]],
      attributes: { axis: 1, reduction },
      opset: 18,
      runOnly: true,
    },
    {
      op: 'ScatterElements',
      inputs: [
        fewInts(3, 3),
        of('int64', [3, 2], ...(reduction === 'none' ? [0, 1, 1, 0, 2, 2] : [1, 1, 1, 0, 1, 2])),
        fewInts(3, 2),
      ],
      attributes: { reduction },
      opset: 18,
      runOnly: true,
    },
    {
      op: 'ScatterND',
      inputs: [
        [3, 4],
        of('int64', [3, 2], ...(reduction === 'none' ? [0, 1, 2, -1, 1, 1] : [0, 1, 2, -1, 0, 1])),
        [3],
      ],
      attributes: { reduction },
      opset: 18,
      runOnly: true,
    },
    {
      op: 'ScatterND',
      inputs: [[4, 2, 2], of('int64', [2, 1], 3, 1), [2, 2, 2]],
      attributes: { reduction },
      opset: 18,
      runOnly: true,
    },
  ]),
]

export const choosing: Case[] = [
  ...[1, 0].flatMap((largest): Case[] => [
    { op: 'TopK', inputs: [[2, 7], ints(3)], attributes: { largest }, outputs: 2 },
    {
      op: 'TopK',
      inputs: [few(3, 5, 2), ints(4)],
      attributes: { largest, axis: 1 },
      outputs: 2,
    },
    {
      op: 'TopK',
      inputs: [fewInts(4, 3), ints(2)],
      attributes: { largest, axis: 0 },
      outputs: 2,
      runOnly: true,
    },
    { op: 'TopK', inputs: [fewInts(2, 4), ints(0)], attributes: { largest }, outputs: 2, runOnly: true },
  ]),
  { op: 'TopK', inputs: [[2, 7]], attributes: { k: 2 }, opset: 9, outputs: 2 },
  { op: 'TopK', inputs: [[2, 7], ints(7)], opset: 10, outputs: 2 },
  { op: 'NonZero', inputs: [few(3, 4, 2)], runOnly: true },
  { op: 'NonZero', inputs: [fewInts(7)], runOnly: true },
  { op: 'NonZero', inputs: [{ type: 'bool', shape: [2, 2], data: [0, 1, 1, 0] }], runOnly: true },
  { op: 'Compress', inputs: [[3, 4], of('bool', [3], 0, 1, 1)], attributes: { axis: 0 }, runOnly: true },
  { op: 'Compress', inputs: [[3, 4], of('bool', [2], 0, 1)], attributes: { axis: -1 } },
  { op: 'Compress', inputs: [[3, 5, 2], of('bool', [5], 1, 0, 1, 1, 0)], attributes: { axis: 1 } },
  { op: 'Compress', inputs: [[3, 4], of('bool', [5], 1, 0, 0, 0, 1)], runOnly: true },
  ...[0, 1].flatMap((sorted): Case[] => [
    { op: 'Unique', inputs: [few(9)], attributes: { sorted }, outputs: 4, runOnly: true },
    { op: 'Unique', inputs: [fewInts(3, 4)], attributes: { sorted }, outputs: 4, runOnly: true },
    {
      op: 'Unique',
      inputs: [{ shape: [4, 2], data: [3, 1, 0, 2, 3, 1, 0, 1] }],
      attributes: { sorted, axis: 0 },
      outputs: 4,
      runOnly: true,
    },
    {
      op: 'Unique',
      inputs: [{ shape: [2, 4, 1], data: [1, 0, 1, 0, 2, 3, 2, 2] }],
      attributes: { sorted, axis: -2 },
      outputs: 4,
      runOnly: true,
    },
  ]),
  ...[0, 1, 2, -1].map(
    (axis): Case => ({
      op: 'OneHot',
      inputs: [
        { shape: [2, 3], data: [0, 2, -1, 3, -3, 1] },
        { shape: [], data: [3] },
        { shape: [2], data: [0.5, 2] },
      ],
      attributes: { axis },
      runOnly: axis === 0,
    }),
  ),
  { op: 'OneHot', inputs: [ints(0, 2, -1, 5, -4), index(3), { shape: [2], data: [0.5, 2] }], runOnly: true },
  {
    op: 'OneHot',
    inputs: [fewInts(2, 3), ints(2), { type: 'int64', shape: [2], data: [1, 7] }],
    attributes: { axis: 1 },
    runOnly: true,
  },
  {
    op: 'OneHot',
    inputs: [
      { shape: [2], data: [1, 0] },
      { shape: [], data: [2] },
      { shape: [2], data: [0, 1] },
    ],
    attributes: { axis: 0 },
    runOnly: true,
  },
]
