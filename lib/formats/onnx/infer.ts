/** What type each value of a model has, as ONNX infers it from the model alone. */
import { type ElementType, float64 } from './element.ts'
import type { PreparedNode } from './prepared-node.ts'

/** Adds the types of what nodes make, in their order, to those that are known. */
export function inferTypes(nodes: readonly PreparedNode[], types: Map<string, ElementType>): void {
  for (const { node, operator } of nodes) {
    const input = (i: number) => types.get(node.inputs[i] ?? '')
    for (let i = 0; i < node.outputs.length; i++) {
      const output = node.outputs[i] as string
      if (output === '' || types.has(output)) continue
      const type = operator.type ? operator.type(node, i, input) : input(0)
      if (type) types.set(output, type)
    }
  }
}

/**
 * The values that are held as doubles, where `doubles` are: what operators make of them that are no kernels. What a
 * kernel makes, and what is computed beside that, is float32.
 */
export function heldAsDoubles(doubles: Set<string>, nodes: readonly PreparedNode[]): Set<string> {
  for (const { node, operator } of nodes) {
    if (operator.isKernel) continue
    const input = (i: number) => (doubles.has(node.inputs[i] ?? '') ? float64 : undefined)
    const type = operator.type ? operator.type(node, 0, input) : input(0)
    if (type === float64) for (const name of node.outputs) doubles.add(name)
  }
  return doubles
}
