/** That a node of a graph from outside has what its operation needs, and the shape that follows. */
import { formatShape, sameShape } from '../tensor/shape.ts'
import { KerneletError } from '../util/errors.ts'
import { definitionOf } from './definition.ts'
import type { GraphNode } from './graph.ts'
import { inferShape } from './operation.ts'

/**
 * A node of a graph with everything it needs, and the shape that follows from the nodes `before` it.
 *
 * @param node read from outside: types are right, nothing else is known
 * @throws KerneletError `ERR_ARGUMENT`, `ERR_SHAPE` that name the node
 */
export function checkNode(node: GraphNode, before: readonly GraphNode[]): GraphNode {
  const { inputs = 1, needs = [], defaults, derived, check } = definitionOf(node.op)
  const name = `Graph: node ${before.length} (${node.name})`
  const refuse = (sentence: string): never => {
    throw new KerneletError('ERR_ARGUMENT', `${name}: ${sentence}`)
  }
  const count = node.inputs.length
  const any = inputs === Number.POSITIVE_INFINITY
  if (any ? count === 0 : count !== inputs) {
    refuse(`${node.op} has ${any ? 'one or more' : inputs} inputs but there are ${count}`)
  }
  const sources = node.inputs.map((input) => before[input] as GraphNode)
  const shapes = sources.map(({ shape }) => shape)
  const [input = []] = shapes
  const whole: GraphNode = { ...defaults, ...derived?.(node, input, node.shape), ...node }
  const missing = needs.find((key) => whole[key] === undefined)
  if (missing !== undefined) refuse(`${node.op} needs ${missing}`)
  if (whole.shape.length === 0) misfit(name, 'shape must have one or more dimensions')
  const wrong = check?.(whole, input)
  if (wrong !== undefined) refuse(wrong)
  checkTensors(whole, input, name)
  const origin = (i: number) => `${formatShape(shapes[i] ?? [])} from ${sources[i]?.name}`
  const expected = inputs === 0 ? whole.shape : inferShape(whole, shapes, { name, origin })
  if (!sameShape(expected, whole.shape)) {
    const [wanted, given] = [formatShape(expected), formatShape(whole.shape)]
    misfit(name, `shape must be ${wanted}, which follows from ${node.op} and its inputs, but is ${given}`)
  }
  if (whole.flat && !sameShape(whole.shape, [1])) {
    misfit(name, `flat goes with the shape 1 but the shape is ${formatShape(whole.shape)}`)
  }
  return whole
}

function checkTensors(node: GraphNode, input: readonly number[], name: string): void {
  const forms = definitionOf(node.op).forms?.(node, input, node.shape) ?? {}
  for (const key of ['weight', 'bias', 'mean', 'variance'] as const) {
    const [tensor, allowed] = [node[key], forms[key]]
    if (!tensor || !allowed || allowed.some((one) => sameShape(tensor.shape, one))) continue
    const wanted = allowed.map(formatShape).join(' or ')
    misfit(name, `${key} must have the shape ${wanted} but has ${formatShape(tensor.shape)}`)
  }
}

function misfit(name: string, sentence: string): never {
  throw new KerneletError('ERR_SHAPE', `${name}: ${sentence}`)
}
