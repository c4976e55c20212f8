/** The nodes of a graph in an order they can run in, and those of them that a result needs. */
import { show } from '../../util/show.ts'
import { notOnnx } from './decode.ts'
import type { GraphProto, NodeProto } from './proto.ts'

/**
 * The nodes, every one behind those that make what it reads; in the order of the file where that is so already, as
 * ONNX wants it. Some exporters write them in another.
 *
 * @param given names of what is there before any node: inputs and initializers
 * @throws KerneletError `ERR_FORMAT` when a value is made twice or by nobody, or nodes wait for each other
 */
export function inOrder(graph: GraphProto, given: ReadonlySet<string>, file: string): NodeProto[] {
  if (checkMakers(graph, given, file)) return [...graph.node]
  const there = new Set(given)
  const waiting = new Map<string, NodeProto[]>()
  const missing = new Map<NodeProto, number>()
  const order: NodeProto[] = []
  for (const node of graph.node) {
    const inputs = new Set(node.input.filter((input) => input !== '' && !there.has(input)))
    missing.set(node, inputs.size)
    for (const input of inputs) {
      const readers = waiting.get(input)
      if (readers) readers.push(node)
      else waiting.set(input, [node])
    }
    if (inputs.size > 0) continue
    // What it makes may be all that others waited for, and what they make in turn.
    const ready = [node]
    for (const next of ready) {
      order.push(next)
      for (const output of next.output) {
        there.add(output)
        for (const reader of waiting.get(output) ?? []) {
          const left = (missing.get(reader) as number) - 1
          missing.set(reader, left)
          if (left === 0) ready.push(reader)
        }
      }
    }
  }
  if (order.length === graph.node.length) return order
  throw notOnnx(file, circle(graph.node.filter((node) => missing.get(node) !== 0)))
}

/** Every value must be made, once, and there must be something to make. Says whether the nodes are in order. */
function checkMakers(graph: GraphProto, given: ReadonlySet<string>, file: string): boolean {
  const made = new Set(given)
  let ordered = true
  for (const node of graph.node) {
    ordered &&= node.input.every((input) => input === '' || made.has(input))
    for (const output of node.output) {
      if (output === '') continue
      if (made.has(output)) throw notOnnx(file, `${show(output)} is there twice`)
      made.add(output)
    }
  }
  for (const node of ordered ? [] : graph.node) {
    const input = node.input.find((one) => one !== '' && !made.has(one))
    if (input === undefined) continue
    throw notOnnx(file, `node ${nameOf(node)} reads ${show(input)}, which nothing makes`)
  }
  for (const { name } of graph.output) {
    if (!made.has(name)) throw notOnnx(file, `nothing makes its output ${show(name)}`)
  }
  if (graph.output.length === 0) throw notOnnx(file, 'it has no output')
  return ordered
}

function nameOf(node: NodeProto): string {
  return show(node.name || node.op_type)
}

/** Names nodes that wait for each other, of nodes that wait for one of these. */
function circle(stuck: readonly NodeProto[]): string {
  const makers = new Map(stuck.flatMap((node) => node.output.map((output) => [output, node])))
  const path = new Set<NodeProto>()
  let node = stuck[0] as NodeProto
  while (!path.has(node)) {
    path.add(node)
    const input = node.input.find((one) => one !== '' && makers.has(one)) as string
    node = makers.get(input) as NodeProto
  }
  const members = [...path].slice([...path].indexOf(node))
  const names = members.slice(0, 5).map(nameOf)
  if (members.length > names.length) names.push('…')
  return `its nodes go in a circle: ${[...names, nameOf(node)].join(' reads ')}`
}

/**
 * The nodes that values depend on. Outputs that nobody reads lose their name, '' as ONNX writes one that is left out:
 * exporters name the mask of a dropout too, which need not be there.
 */
export function needed(nodes: readonly NodeProto[], results: readonly string[]): NodeProto[] {
  const wanted = new Set(results)
  const kept: NodeProto[] = []
  for (const node of [...nodes].reverse()) {
    const { output } = node
    if (!output.some((name) => name !== '' && wanted.has(name))) continue
    for (const input of node.input) wanted.add(input)
    const whole = output.every((name) => name === '' || wanted.has(name))
    kept.push(whole ? node : { ...node, output: output.map((name) => (wanted.has(name) ? name : '')) })
  }
  return kept.reverse()
}
