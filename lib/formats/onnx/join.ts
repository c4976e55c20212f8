/** Nodes of a model that together are one operation of ours. */
import { elements, sameShape } from '../../tensor/shape.ts'
import { arrayOfKnown, type Constants } from './constants.ts'
import type { PlacedNode } from './placed-node.ts'
import type { PreparedNode } from './prepared-node.ts'

/**
 * Joins what exporters take apart: a MatMul by a matrix of weights with an Add of one number a column is a linear
 * layer, a Mul of x with its own Sigmoid is a Swish, x / 2 · (1 + erf(x / √2)) is a Gelu.
 */
export function joinNodes(
  nodes: readonly PreparedNode[],
  constants: Constants,
  results: readonly string[],
  ready: (proto: PlacedNode) => PreparedNode,
): PreparedNode[] {
  const protos = nodes.map(({ proto }) => proto)
  const ops = new Set(protos.map(({ op_type: op }) => op))
  // undefined: the node is part of another one
  const joined = new Map<PlacedNode, PlacedNode | undefined>()
  if (ops.has('MatMul') && ops.has('Add')) joinBiases(protos, constants, results, joined)
  if (ops.has('Sigmoid') && ops.has('Mul')) joinSwish(protos, results, joined)
  if (ops.has('Erf')) joinGelu(protos, constants, results, joined)
  if (joined.size === 0) return [...nodes]
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

/** From the Erf on: what is divided and added before and behind it, and multiplied in any order. */
function joinGelu(
  protos: readonly PlacedNode[],
  constants: Constants,
  results: readonly string[],
  joined: Map<PlacedNode, PlacedNode | undefined>,
): void {
  const counts = countReaders(protos, results)
  const makers = makersOf(protos)
  const readers = new Map(protos.flatMap((node) => node.input.map((input) => [input, node] as const)))
  /** The one number that a value is, where it is known. */
  const number = (name: string) => {
    const value = constants.values.get(name)
    return value && elements(value.shape) === 1 ? Number(arrayOfKnown(value).values[0]) : Number.NaN
  }
  const near = (name: string, wanted: number) => Math.abs(number(name) - wanted) < 1e-3
  /** The other input of a node of two, one of which is this number. */
  const besides = (node: PlacedNode | undefined, op: string, wanted: number) =>
    node?.op_type !== op || node.input.length !== 2
      ? undefined
      : near(node.input[1] ?? '', wanted)
        ? node.input[0]
        : op !== 'Div' && near(node.input[0] ?? '', wanted)
          ? node.input[1]
          : undefined
  const only = (name: string) => (counts.get(name) === 1 ? readers.get(name) : undefined)
  for (const erf of protos) {
    if (erf.op_type !== 'Erf') continue
    const inner = makers.get(erf.input[0] ?? '')
    const x = besides(inner, 'Div', Math.SQRT2) ?? besides(inner, 'Mul', Math.SQRT1_2)
    const sum = only(erf.output[0] ?? '')
    if (!inner || x === undefined || !sum || besides(sum, 'Add', 1) !== erf.output[0]) continue
    const product = only(sum.output[0] ?? '')
    if (product?.op_type !== 'Mul' || product.input.length !== 2) continue
    const factor = product.input[0] === sum.output[0] ? product.input[1] : product.input[0]
    // x comes as it is and a half behind, or x / 2 comes
    const half = makers.get(factor ?? '')
    const last = only(product.output[0] ?? '')
    const behind = factor === x && last && besides(last, 'Mul', 0.5) === product.output[0] ? last : undefined
    const before = half && (besides(half, 'Mul', 0.5) ?? besides(half, 'Div', 2)) === x ? half : undefined
    const end = behind ?? (before && product)
    if (!end) continue
    const parts = [inner, erf, sum, product, ...(before && !behind ? [before] : [])]
    for (const part of parts) {
      // what others read too stays
      if (part !== end && counts.get(part.output[0] ?? '') === 1) joined.set(part, undefined)
    }
    joined.set(end, { ...end, op_type: 'Gelu', input: [x], attribute: [] })
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
