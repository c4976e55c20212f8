/** The operations of both languages are the same. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { native } from '../lib/backend/node-addon.ts'
import { allWriters } from '../lib/formats/onnx/operators/index.ts'
import { definitionOf, operationNames } from '../lib/graph/definition.ts'
import '../lib/index.ts'

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
  expect(Object.keys(allWriters()).filter((op) => !core.includes(op))).toEqual([])
})

test('there is no definition of another name', () => {
  expect(() => definitionOf('toString')).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
})

test('the core is asked for shapes: whatever comes, it answers or refuses', () => {
  const ask = (node: object, ...shapes: unknown[]) =>
    native().inferShape({ name: 'n', inputs: [0], ...node } as never, shapes as number[][])
  expect(ask({ op: 'add' }, [3, 1], [4])).toEqual([3, 4])
  expect(ask({ op: 'permute', axes: [1, 0] }, [3, 4])).toEqual([4, 3])
  expect(ask({ op: 'maxPool2d', kernelSize: [2, 2], stride: [2, 2], ceilMode: true }, [1, 5, 4])).toEqual([
    1, 3, 2,
  ])
  const refused: [string, object, ...unknown[]][] = [
    ['ERR_ARGUMENT', { op: 'add' }, [3]],
    ['ERR_ARGUMENT', { op: 'relu' }],
    ['ERR_ARGUMENT', { op: 'relu' }, [3], [3]],
    ['ERR_ARGUMENT', { op: 'concat' }],
    ['ERR_ARGUMENT', { op: 'nothing' }, [3]],
    ['ERR_SHAPE', { op: 'reshape' }, [1]],
    ['ERR_SHAPE', { op: 'relu' }, []],
    ['ERR_SHAPE', { op: 'linear', shape: [2], weight: new Float32Array(5) }, [3]],
    ['ERR_ARGUMENT', { op: 'linear', shape: [2], weight: [1, 2, 3] }, [3]],
    ['ERR_ARGUMENT', { op: 'relu' }, 7],
  ]
  for (const [code, node, ...shapes] of refused) {
    expect(() => ask(node, ...shapes), JSON.stringify([node, shapes])).toThrow(
      expect.objectContaining({ code }),
    )
  }
})
