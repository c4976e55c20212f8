/** Cases of the norms of each image by itself, with their formulas in double. */
import { type Case, f } from './onnx-cases.ts'
import type { Numbers } from './onnx-models.ts'

const image = [2, 6, 5, 7]

/** Each row of `length` neighbours, made by `row`. */
const byRow =
  (length: number, row: (values: number[], first: number) => number[]) =>
  (x: Numbers): number[] =>
    Array.from({ length: x.data.length / length }, (_, i) =>
      row(
        Array.from({ length }, (_unused, j) => Number(x.data[i * length + j])),
        i * length,
      ),
    ).flat()

const normed = (values: number[], epsilon: number, centred = true) => {
  const mean = centred ? values.reduce((a, b) => a + b, 0) / values.length : 0
  const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length
  return { mean, factor: 1 / Math.sqrt(variance + epsilon) }
}

/** Scales and shifts by the index of a value in its tensor. */
const want =
  (length: number, epsilon: number, scaleOf: (at: number) => number, centred = true) =>
  (x: Numbers, scale?: Numbers, bias?: Numbers) => {
    const data = byRow(length, (values, first) => {
      const { mean, factor } = normed(values, epsilon, centred)
      return values.map((value, i) => {
        const k = scaleOf(first + i)
        return (value - mean) * factor * Number(scale?.data[k] ?? 1) + Number(bias?.data[k] ?? 0)
      })
    })(x)
    return [{ shape: x.shape, data }]
  }

export const norms: Case[] = [
  { op: 'LayerNormalization', inputs: [image, [7], [7]], want: want(7, 1e-5, (i) => i % 7) },
  {
    op: 'LayerNormalization',
    inputs: [image, [7]],
    attributes: { axis: 3, epsilon: f(0.1) },
    want: want(7, 0.1, (i) => i % 7),
  },
  {
    op: 'LayerNormalization',
    inputs: [image, [5, 7], [5, 7]],
    attributes: { axis: 2 },
    want: want(35, 1e-5, (i) => i % 35),
  },
  {
    op: 'LayerNormalization',
    inputs: [image, [6, 5, 7], [6, 5, 7]],
    attributes: { axis: -3 },
    want: want(210, 1e-5, (i) => i % 210),
  },
  // a scale and a shift that broadcast
  {
    op: 'LayerNormalization',
    inputs: [image, [5, 1], [7]],
    attributes: { axis: 2 },
    want: (x, scale, bias) => {
      const [plain] = want(35, 1e-5, () => 0)(x)
      const data = plain!.data.map(
        (y, i) => y * Number(scale!.data[Math.floor((i % 35) / 7)]) + Number(bias!.data[i % 7]),
      )
      return [{ shape: x.shape, data }]
    },
  },
  {
    op: 'LayerNormalization',
    inputs: [[3, 40], [40], [40]],
    attributes: { axis: 1 },
    outputs: 3,
    runOnly: true,
    want: (x, scale, bias) => {
      const of = (key: 'mean' | 'factor') => byRow(40, (values) => [normed(values, 1e-5)[key]])(x)
      return [
        ...want(40, 1e-5, (i) => i % 40)(x, scale, bias),
        { shape: [3, 1], data: of('mean') },
        { shape: [3, 1], data: of('factor') },
      ]
    },
  },
  {
    op: 'InstanceNormalization',
    inputs: [image, [6], [6]],
    want: want(35, 1e-5, (i) => Math.floor(i / 35) % 6),
  },
  {
    op: 'InstanceNormalization',
    inputs: [[2, 3, 50], [3], [3]],
    attributes: { epsilon: f(0.01) },
    want: want(50, 0.01, (i) => Math.floor(i / 50) % 3),
  },
  {
    op: 'GroupNormalization',
    inputs: [image, [6], [6]],
    attributes: { num_groups: 2 },
    opset: 21,
    want: want(105, 1e-5, (i) => Math.floor(i / 35) % 6),
  },
  {
    op: 'GroupNormalization',
    inputs: [image, [3], [3]],
    attributes: { num_groups: 3, epsilon: f(0.5) },
    opset: 18,
    want: want(70, 0.5, (i) => Math.floor(i / 70) % 3),
  },
  {
    op: 'RMSNormalization',
    inputs: [image, [7]],
    opset: 23,
    want: want(7, 1e-5, (i) => i % 7, false),
  },
  {
    op: 'RMSNormalization',
    inputs: [image, [5, 7]],
    attributes: { axis: 2, epsilon: f(0.25) },
    opset: 23,
    want: want(35, 0.25, (i) => i % 35, false),
  },
  {
    op: 'MeanVarianceNormalization',
    inputs: [image],
    attributes: { axes: [2, 3] },
    want: want(35, 0, () => 0),
  },
  {
    op: 'MeanVarianceNormalization',
    inputs: [image],
    attributes: { axes: [1, 2, 3] },
    want: want(210, 0, () => 0),
  },
  {
    op: 'MeanVarianceNormalization',
    inputs: [image],
    runOnly: true,
    want: (x) => {
      const at = (c: number) => (_: number, i: number) => Math.floor(i / 35) % 6 === c
      const all = Array.from(x.data, Number)
      const by = Array.from({ length: 6 }, (_, c) => normed(all.filter(at(c)), 0))
      return [
        {
          shape: x.shape,
          data: all.map((value, i) => {
            const { mean, factor } = by[Math.floor(i / 35) % 6]!
            return (value - mean) * factor
          }),
        },
      ]
    },
  },
  ...[1, 2].flatMap((p): Case[] => {
    const divided = (values: number[]) => {
      const norm = p === 1 ? values.reduce((a, b) => a + Math.abs(b), 0) : Math.hypot(...values)
      return values.map((value) => (norm === 0 ? 0 : value / norm))
    }
    return [
      {
        op: 'LpNormalization',
        inputs: [image],
        attributes: { p },
        want: (x) => [{ shape: x.shape, data: byRow(7, divided)(x) }],
      },
      {
        op: 'LpNormalization',
        inputs: [{ shape: [2, 3], data: [0, 0, 0, 3, -4, 0] }],
        attributes: { p, axis: 1 },
        want: (x) => [{ shape: x.shape, data: byRow(3, divided)(x) }],
      },
    ]
  }),
  {
    op: 'LpNormalization',
    inputs: [{ type: 'double', shape: [1, 2], data: [3, -4] }],
    runOnly: true,
    want: () => [{ shape: [1, 2], data: [0.6, -0.8] }],
    tolerance: 1e-15,
  },
]
