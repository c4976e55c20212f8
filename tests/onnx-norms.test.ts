/** Norms of each image by itself, from ONNX: against their formulas in double, and onnxruntime where it is there. */
import { describe, expect, test } from 'vitest'
import { loadOnnx, Tensor } from '../lib/index.ts'
import { type Case, checkCase, title } from './onnx-cases.ts'
import { onnxModel, onnxruntime } from './onnx-models.ts'
import { norms } from './onnx-norm-cases.ts'

const named = norms.map((one): [string, Case] => [title(one), one])

describe('by their formulas', () => {
  test.each(named)('%s', (_, one) => checkCase(one))
})

const ort = onnxruntime()
describe.skipIf(!ort)('as onnxruntime', () => {
  test.each(named)('%s', (_, one) => checkCase(one, ort))
})

test('what does not fit is refused by name', () => {
  const load = (op: string, shapes: number[][], attributes = {}, opset = 21) => {
    const [x = [], ...others] = shapes
    const initializers = Object.fromEntries(
      others.map((shape, i) => [
        `w${i}`,
        { shape, data: Array<number>(shape.reduce((a, b) => a * b, 1)).fill(1) },
      ]),
    )
    const node = { op, inputs: ['x', ...Object.keys(initializers)], attributes }
    const model = loadOnnx(onnxModel({ opset, nodes: [node], inputs: { x: { shape: x } }, initializers }))
    return model.forward(new Tensor(new Float32Array(x.reduce((a, b) => a * b, 1)), x))
  }
  const refused: [string, number[][], object, string][] = [
    ['LayerNormalization', [[2, 3], [4]], {}, 'ERR_SHAPE'],
    ['LayerNormalization', [[2, 3], [3]], { axis: 2 }, 'ERR_SHAPE'],
    ['LayerNormalization', [[2, 3], [3]], { stash_type: 11 }, 'ERR_UNSUPPORTED'],
    ['GroupNormalization', [[2, 3, 4], [3], [3]], { num_groups: 2 }, 'ERR_SHAPE'],
    ['GroupNormalization', [[2, 3, 4], [3], [3]], {}, 'ERR_FORMAT'],
    ['InstanceNormalization', [[2, 3, 4], [2], [3]], {}, 'ERR_SHAPE'],
    ['LpNormalization', [[2, 3]], { p: 3 }, 'ERR_FORMAT'],
  ]
  for (const [op, shapes, attributes, code] of refused) {
    expect(() => load(op, shapes, attributes), `${op} ${JSON.stringify(attributes)}`).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(`node y (${op}, opset 21)`) }),
    )
  }
})
