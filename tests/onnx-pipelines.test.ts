/** Pipelines of ai.onnx.ml as converters write them, and what they may not hold. */
import { describe, expect, test } from 'vitest'
import { loadOnnx, type OnnxArray } from '../lib/index.ts'
import { list, of, onnxModel, type TestNode } from './onnx-models.ts'

const domain = 'ai.onnx.ml'

test('a classifier as sklearn-onnx writes it: labels, and the probabilities that ZipMap would name', () => {
  const nodes: TestNode[] = [
    {
      op: 'LinearClassifier',
      domain,
      inputs: ['x'],
      outputs: ['label', 'raw'],
      attributes: {
        coefficients: { floats: [1, -1, -1, 1] },
        intercepts: { floats: [0.5, -0.5] },
        classlabels_ints: [3, 8],
        multi_class: 1,
        post_transform: 'LOGISTIC',
      },
    },
    { op: 'Normalizer', domain, inputs: ['raw'], outputs: ['p'], attributes: { norm: 'L1' } },
    {
      op: 'ZipMap',
      domain,
      inputs: ['p'],
      outputs: ['probabilities'],
      attributes: { classlabels_int64s: [3, 8] },
    },
  ]
  const model = loadOnnx(
    onnxModel({ opset: 15, nodes, inputs: { x: { shape: ['N', 2] } }, outputs: ['label', 'probabilities'] }),
  )
  const { label, probabilities } = model.run<OnnxArray>({ x: of('float', [2, 2], 2, 1, -3, 1) })
  expect(label?.dtype).toBe('int64')
  expect([...(label?.data ?? [])]).toEqual([3n, 8n])
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
  for (const [row, sum] of [1.5, -3.5].entries()) {
    const [a, b] = [sigmoid(sum), sigmoid(-sum)]
    expect(probabilities?.data[2 * row]).toBeCloseTo(a / (a + b), 6)
    expect(probabilities?.data[2 * row + 1]).toBeCloseTo(b / (a + b), 6)
  }
})

test('an Imputer fills in where NaN is, unless it says otherwise', () => {
  const node = {
    op: 'Imputer',
    domain,
    inputs: ['x'],
    attributes: { imputed_value_floats: { floats: [7, 8] } },
  }
  const x = of('float', [2, 2], 1, Number.NaN, Number.NaN, 0)
  const { y } = loadOnnx(onnxModel({ opset: 17, nodes: [node], inputs: { x }, outputs: ['y'] })).run({ x })
  expect([...(y?.data ?? [])]).toEqual([1, 8, 7, 0])
})

describe('is refused by name', () => {
  const run = (op: string, attributes: TestNode['attributes'], x = list('float', 1, 2)) => {
    const node = { op, domain, inputs: ['x'], outputs: ['y'], ...(attributes && { attributes }) }
    return () => loadOnnx(onnxModel({ opset: 17, nodes: [node], inputs: { x } })).run({ x })
  }
  test.each<[string, string, TestNode['attributes'], RegExp]>([
    [
      'words as keys',
      'LabelEncoder',
      { keys_strings: { strings: ['a'] }, values_int64s: [1] },
      /strings are not/,
    ],
    [
      'words as values',
      'LabelEncoder',
      { keys_int64s: [1], values_strings: { strings: ['a'] } },
      /strings are not/,
    ],
    ['words as labels', 'LinearClassifier', { classlabels_strings: { strings: ['a'] } }, /strings are not/],
    [
      'more keys than values',
      'LabelEncoder',
      { keys_floats: { floats: [1, 2] }, values_int64s: [1] },
      /as many keys/,
    ],
    [
      'integers where keys are floats',
      'LabelEncoder',
      { keys_int64s: [1], values_int64s: [1] },
      /its keys are int64/,
    ],
    ['a norm there is none of', 'Normalizer', { norm: 'L3' }, /norm=L3/],
    [
      'coefficients of no layer',
      'LinearRegressor',
      { coefficients: { floats: [1, 2, 3] }, targets: 2 },
      /3 coefficients/,
    ],
    [
      'a transform there is none of',
      'LinearRegressor',
      { coefficients: { floats: [1, 2] }, post_transform: 'PROBIT' },
      /PROBIT/,
    ],
  ])('%s', (_name, op, attributes, words) => {
    expect(run(op, attributes)).toThrow(words)
    expect(run(op, attributes)).toThrow(expect.objectContaining({ name: 'KerneletError' }))
  })
})
