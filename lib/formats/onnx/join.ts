/** Nodes of a model that together are one operation of ours. */
import { sameShape } from '../../tensor/shape.ts'
import type { Constants } from './constants.ts'
import type { PlacedNode } from './functions.ts'
import type { PreparedNode } from './prepared-node.ts'

/**
 * Joins what exporters take apart: a MatMul by a matrix of weights with an Add of one number a column is a linear
 * layer, a Mul of x with its own Sigmoid is a Swish.
 */
export function joinNodes(
  nodes: readonly PreparedNode[],
  constants: Constants,
  results: readonly string[],
  ready: (proto: PlacedNode) => PreparedNode,
): PreparedNode[] {
  const protos = nodes.map(({ proto }) => proto)
  // undefined: the node is part of another one
  const joined = new Map<PlacedNode, PlacedNode | undefined>()
  joinBiases(protos, constants, results, joined)
  joinSwish(protos, results, joined)
  return nodes.flatMap((one) => {
    if (!joined.has(one.proto)) return one
    const proto = joined.get(one.proto)
    return proto ? ready(proto) : []
  })
}

function joinBiases(
  protos: readonly PlacedNode[],
  constants: Constants,
  results: readonly string[],
  joined: Map<PlacedNode, PlacedNode | undefined>,
): void {
  const shapeOf = (name: string) => constants.values.get(name)?.shape
  const readers = countReaders(protos, results)
  const makers = makersOf(protos)
  for (const add of protos) {
    if (add.op_type !== 'Add' || add.input.length !== 2) continue
    for (const [product, bias] of [add.input, [...add.input].reverse()] as [string, string][]) {
      const maker = makers.get(product)
      if (maker?.op_type !== 'MatMul' || maker.input.length !== 2) continue
      const matrix = shapeOf(maker.input[1] ?? '')
      const fits = matrix?.length === 2 && sameShape(shapeOf(bias) ?? [], [matrix[1] ?? 0])
      if (!fits || readers.get(product) !== 1) continue
      joined.set(maker, undefined)
      joined.set(add, { ...maker, input: [...maker.input, bias], output: add.output })
      break
    }
  }
}

function joinSwish(
  protos: readonly PlacedNode[],
  results: readonly string[],
  joined: Map<PlacedNode, PlacedNode | undefined>,
): void {
  const readers = countReaders(protos, results)
  const makers = makersOf(protos)
  for (const mul of protos) {
    if (mul.op_type !== 'Mul' || mul.input.length !== 2) continue
    for (const [x, share] of [mul.input, [...mul.input].reverse()] as [string, string][]) {
      const maker = makers.get(share)
      if (maker?.op_type !== 'Sigmoid' || maker.input[0] !== x || readers.get(share) !== 1) continue
      joined.set(maker, undefined)
      joined.set(mul, { ...mul, op_type: 'Swish', input: [x] })
      break
    }
  }
}

/** The node that makes each value. */
function makersOf(nodes: readonly PlacedNode[]): Map<string, PlacedNode> {
  return new Map(nodes.flatMap((node) => node.output.map((output) => [output, node] as const)))
}

/** How many nodes and results read each value. */
function countReaders(nodes: readonly PlacedNode[], results: readonly string[]): Map<string, number> {
  const readers = new Map<string, number>()
  for (const name of [...nodes.flatMap((node) => node.input), ...results]) {
    readers.set(name, (readers.get(name) ?? 0) + 1)
  }
  return readers
}
