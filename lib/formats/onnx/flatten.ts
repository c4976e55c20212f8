/**
 * A model's graph with its functions in the place of their calls, and with every value that a graph inside a node reads
 * as an input of that node: what follows sees one list of nodes that say all that they need.
 */
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { spend } from './budget.ts'
import { notOnnx } from './decode.ts'
import { identity, type PlacedNode } from './placed-node.ts'
import type { AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto } from './proto.ts'

/** Functions that call each other, and graphs inside nodes, lie in each other so deep at most. */
const mostDepth = 32

/** What a node costs that a function puts in the place of a call. */
const nodeSteps = 600

/** Where nodes stand. */
interface Scope {
  /** What values are called in the whole model; what is not there keeps its name. */
  readonly names: ReadonlyMap<string, string>
  /** In front of names of nodes and values. */
  readonly prefix: string
  readonly opset?: number | undefined
  /** Of the call that a function stands for; undefined outside functions. */
  readonly attributes?: ReadonlyMap<string, AttributeProto> | undefined
  readonly open: readonly FunctionProto[]
  readonly depth: number
}

/** The graph of a model that has functions, or graphs inside nodes: see `flattened`. */
export function withoutFunctions(model: ModelProto, file: string): GraphProto {
  return new Flattener(model, file).flat(model.graph as GraphProto)
}

/** Functions may be told apart by their overload too. */
function keyOf(domain: string, name: string, overload: string): string {
  return JSON.stringify([domain === 'ai.onnx' ? '' : domain, name, overload])
}

class Flattener {
  readonly #file: string
  readonly #functions: ReadonlyMap<string, FunctionProto>
  /** Names of values anywhere in the result. */
  readonly #used: Set<string> = new Set()
  readonly #counts: Map<string, number> = new Map()

  constructor(model: ModelProto, file: string) {
    this.#file = file
    this.#functions = new Map(
      model.functions.map((one) => [keyOf(one.domain, one.name, one.overload), one] as const),
    )
  }

  flat(graph: GraphProto): GraphProto {
    const plain = graph.node.every((node) => !this.#functionOf(node) && node.attribute.every(({ g }) => !g))
    if (plain) return graph
    for (const name of namesOf(graph)) this.#used.add(name)
    return { ...graph, node: this.#nodes(graph.node, { names: new Map(), prefix: '', open: [], depth: 0 }) }
  }

  #functionOf({ domain, op_type: name, overload }: NodeProto): FunctionProto | undefined {
    return this.#functions.size === 0 ? undefined : this.#functions.get(keyOf(domain, name, overload))
  }

  #nodes(nodes: readonly NodeProto[], scope: Scope): NodeProto[] {
    if (scope.depth > mostDepth) {
      throw new KerneletError(
        'ERR_UNSUPPORTED',
        `${this.#file}: its functions and graphs lie in each other more than ${mostDepth} deep`,
      )
    }
    return nodes.flatMap((node) => this.#node(node, scope))
  }

  #node(node: NodeProto, scope: Scope): NodeProto[] {
    const { prefix, names, opset } = scope
    if (scope.depth > 0) spend(nodeSteps, 0)
    const rename = (name: string) => names.get(name) ?? name
    const attribute = node.attribute.flatMap((one) => attributeIn(one, scope))
    const placed: PlacedNode = {
      ...node,
      name: prefix === '' ? node.name : `${prefix}${node.name || node.op_type}`,
      input: node.input.map(rename),
      output: node.output.map(rename),
      attribute,
      ...(opset !== undefined && { opset }),
    }
    const called = this.#functionOf(node)
    if (called) return this.#call(called, placed, scope)
    if (attribute.every(({ g }) => !g)) return [placed]
    const graphs = attribute.map((one) => (one.g ? { ...one, g: this.#graph(one.g, placed, scope) } : one))
    const captured = new Set(graphs.flatMap(({ g }) => (g ? freeNames(g) : [])))
    return [
      {
        ...placed,
        attribute: graphs,
        input: [...placed.input, ...captured],
        captured: captured.size,
      } as PlacedNode,
    ]
  }

  /** The nodes of a function, with what a call gives them. */
  #call(called: FunctionProto, call: PlacedNode, scope: Scope): NodeProto[] {
    if (scope.open.includes(called)) {
      throw notOnnx(this.#file, `the function ${show(called.name)} calls itself`)
    }
    if (call.input.length > called.input.length || call.output.length > called.output.length) {
      throw notOnnx(
        this.#file,
        `node ${show(call.name || call.op_type)} gives the function ${show(called.name)} ${call.input.length} inputs ` +
          `for ${call.output.length} outputs, but it has ${called.input.length} and ${called.output.length}`,
      )
    }
    const prefix = `${call.name || call.op_type}.`
    const names = new Map<string, string>()
    for (const name of called.node.flatMap((node) => node.output)) {
      if (name !== '') names.set(name, this.#fresh(`${prefix}${name}`))
    }
    // an output may be an input, or asked for twice
    const copies: NodeProto[] = []
    const taken = new Map<string, string>()
    for (const [i, name] of called.output.entries()) {
      const wanted = call.output[i] ?? ''
      const at = called.input.indexOf(name)
      const from = at >= 0 ? (call.input[at] ?? '') : taken.get(name)
      if (wanted !== '' && from !== undefined) copies.push(identity(from, wanted))
      if (wanted !== '' && from === undefined) taken.set(name, wanted)
    }
    for (const [name, wanted] of taken) names.set(name, wanted)
    for (const [i, name] of called.input.entries()) names.set(name, call.input[i] ?? '')
    const own = called.opset_import.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version
    const attributes = new Map([...called.attribute_proto, ...call.attribute].map((one) => [one.name, one]))
    const inner = {
      names,
      prefix,
      opset: own ?? scope.opset,
      attributes,
      open: [...scope.open, called],
      depth: scope.depth + 1,
    }
    return [...this.#nodes(called.node, inner), ...copies]
  }

  /** A graph inside a node; its values get names that nothing else in the model has. */
  #graph(graph: GraphProto, node: NodeProto, scope: Scope): GraphProto {
    const prefix = scope.prefix === '' ? '' : `${node.name || node.op_type}.`
    const names = new Map(scope.names)
    spend(names.size, 0)
    for (const name of namesOf(graph)) names.set(name, this.#fresh(`${prefix}${name}`))
    const rename = <T extends { name: string }>(one: T): T => ({
      ...one,
      name: names.get(one.name) ?? one.name,
    })
    return {
      ...graph,
      input: graph.input.map(rename),
      output: graph.output.map(rename),
      initializer: graph.initializer.map(rename),
      sparse_initializer: graph.sparse_initializer.map((one) => ({
        ...one,
        values: one.values && rename(one.values),
      })),
      node: this.#nodes(graph.node, { ...scope, names, depth: scope.depth + 1 }),
    }
  }

  #fresh(wanted: string): string {
    let name = wanted
    for (let count = this.#counts.get(wanted) ?? 1; this.#used.has(name); ) {
      name = `${wanted}_${++count}`
      this.#counts.set(wanted, count)
    }
    this.#used.add(name)
    return name
  }
}

/** An attribute as a call of the function has it; none where neither the call nor the function says what it is. */
function attributeIn(attribute: AttributeProto, { attributes }: Scope): AttributeProto[] {
  const { ref_attr_name: reference, name } = attribute
  if (reference === '' || attributes === undefined) return [attribute]
  const given = attributes.get(reference)
  return given ? [{ ...given, name }] : []
}

/** Names of the values that a graph itself has. */
export function namesOf(graph: GraphProto): Set<string> {
  const names = [
    ...graph.input.map(({ name }) => name),
    ...graph.initializer.map(({ name }) => name),
    ...graph.sparse_initializer.map(({ values }) => values?.name ?? ''),
    ...graph.node.flatMap((node) => node.output),
  ]
  return new Set(names.filter((name) => name !== ''))
}

/** What a graph reads of the values around it; graphs inside its nodes have been asked before. */
function freeNames(graph: GraphProto): string[] {
  const own = namesOf(graph)
  const read = [...graph.node.flatMap((node) => node.input), ...graph.output.map(({ name }) => name)]
  return read.filter((name) => name !== '' && !own.has(name))
}
