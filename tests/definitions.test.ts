/** The operations of both languages are the same. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { writers } from '../lib/formats/onnx/operators/index.ts'
import { definitionOf, operationNames } from '../lib/graph/definition.ts'

const rows = (file: string, macro: string) =>
  [...readFileSync(new URL(`../native/${file}`, import.meta.url), 'utf8').matchAll(/^(\w+)\(\w+, "(\w+)"/gm)]
    .filter(([, name]) => name === macro)
    .map(([, , text]) => text)

const core = [
  ...rows('graph/ops.inc', 'KERNELET_OP'),
  ...rows('kernels/activations.inc', 'KERNELET_ACTIVATION'),
]

test('every operation of the core has a definition, and no other', () => {
  expect(core.length).toBeGreaterThan(30)
  expect(operationNames().sort()).toEqual(core.sort())
})

test('what is written as ONNX is an operation', () => {
  expect(Object.keys(writers).filter((op) => !core.includes(op))).toEqual([])
})

test('there is no definition of another name', () => {
  expect(() => definitionOf('toString')).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
})
