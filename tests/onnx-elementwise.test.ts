/** What goes element by element, reductions and losses, from ONNX: against their formulas, and onnxruntime where it is. */
import { describe, test } from 'vitest'
import { type Case, checkCase, title } from './onnx-cases.ts'
import { elementwise } from './onnx-elementwise-cases.ts'
import { onnxruntime } from './onnx-models.ts'

const named = (cases: readonly Case[]) => cases.map((one): [string, Case] => [title(one), one])

describe('by their formulas', () => {
  describe.each(Object.entries(elementwise))('%s', (_, cases) => {
    test.each(named(cases))('%s', (_name, one) => checkCase(one))
  })
})

const ort = onnxruntime()
describe.skipIf(!ort)('as onnxruntime', () => {
  describe.each(Object.entries(elementwise))('%s', (_, cases) => {
    test.each(named(cases.filter(({ ownOnly }) => !ownOnly)))('%s', (_name, one) => checkCase(one, ort))
  })
})
