/** Nodes made ready, with the graphs inside them; what cannot be is told all at once. */
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { giveBody, hasBody, shared } from './body.ts'
import { Constants } from './constants.ts'
import { inferTypes } from './infer.ts'
import { initializersOf } from './initializers.ts'
import { inOrder, needed } from './order.ts'
import type { PlacedNode } from './placed-node.ts'
import { isStandard, operatorOf, type PreparedNode, prepareNode, runNode } from './prepared-node.ts'
import type { GraphProto } from './proto.ts'
import type { DataFolder } from './tensor.ts'
import { typeOf } from './value.ts'

/** Makes the nodes of one model ready. */
export class Preparer {
  readonly opset: number
  readonly folder: DataFolder
  readonly #file: string
  readonly #refused: { proto: PlacedNode; error: KerneletError }[] = []

  constructor(opset: number, folder: DataFolder, file: string) {
    this.opset = opset
    this.folder = folder
    this.#file = file
  }

  /** A node made ready; undefined where something about it is not supported: `check` says what. */
  prepare(proto: PlacedNode): PreparedNode | undefined {
    for (const { g } of proto.attribute) if (g && !hasBody(g) && operatorOf(proto)) this.#body(g)
    try {
      return prepareNode(proto, this.opset, this.folder)
    } catch (error) {
      if (!(error instanceof KerneletError) || error.code !== 'ERR_UNSUPPORTED') throw error
      this.#refused.push({ proto, error })
      return undefined
    }
  }

  /** A graph inside a node: what in it depends on nothing around it is computed now. */
  #body(graph: GraphProto): void {
    const initializers = initializersOf(graph)
    const own = new Set([
      ...initializers.keys(),
      ...graph.input.map(({ name }) => name),
      ...graph.node.flatMap((node) => node.output),
    ])
    const given = new Set([...initializers.keys(), ...graph.input.map(({ name }) => name)])
    for (const name of graph.node.flatMap((node) => node.input)) if (!own.has(name)) given.add(name)
    for (const { name } of graph.output) if (!own.has(name)) given.add(name)
    const results = graph.output.map(({ name }) => name)
    const protos = needed(inOrder(graph, given, this.#file), results)
    const constants = new Constants({
      batch: 1,
      declaredBatch: undefined,
      held: new Map(),
      types: new Map(),
    })
    for (const [, get] of initializers) constants.read(get(this.folder), this.folder)
    const nodes = protos
      .flatMap((proto) => this.prepare(proto) ?? [])
      .filter((prepared) => !constants.fold(prepared))
    const known = new Map([...constants.keep(nodes, results)].map(([name, value]) => [name, shared(value)]))
    giveBody({
      graph,
      nodes: nodes.length,
      known,
      compute: (values, run) => {
        for (const prepared of nodes) runNode(prepared, values, run)
      },
      infer: (types) => {
        for (const [name, value] of known) types.set(name, typeOf(value))
        inferTypes(nodes, types)
      },
    })
  }

  /** @throws KerneletError `ERR_UNSUPPORTED` that names every node that could not be made ready, and why */
  check(): void {
    const [first] = this.#refused
    if (!first) return
    const advice = adviceFor(this.#refused.map(({ proto }) => proto))
    if (this.#refused.length === 1) {
      const { code, message } = first.error
      throw advice === '' ? first.error : new KerneletError(code, `${message}. ${advice}`)
    }
    const missing = this.#refused.filter(({ proto }) => !operatorOf(proto))
    const byOperator = new Map<string, string[]>()
    for (const { proto } of missing) {
      const { domain, op_type: op } = proto
      const name = isStandard(domain) ? op : `${op} of ${show(domain)}`
      byOperator.set(name, [...(byOperator.get(name) ?? []), show(proto.name || proto.output[0] || op)])
    }
    const lines = [
      ...[...byOperator].map(([name, nodes]) => `the operator ${name}: ${listed(nodes, 'node')}`),
      ...listedErrors(
        this.#refused.filter(({ proto }) => operatorOf(proto)).map(({ error }) => error.message),
      ),
    ]
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${this.#file}, of opset ${this.opset}, has what is not supported:\n${lines.join('\n')}${advice && `\n${advice}`}`,
    )
  }
}

const mostListed = 5

function listed(names: readonly string[], what: string): string {
  const more = names.length - mostListed
  const first = names.slice(0, mostListed).join(', ')
  return `${what}${names.length > 1 ? 's' : ''} ${first}${more > 0 ? ` and ${more} more` : ''}`
}

/** The same said of many nodes is said often enough. */
function listedErrors(messages: readonly string[]): string[] {
  const more = messages.length - 4 * mostListed
  return more > 0 ? [...messages.slice(0, 4 * mostListed), `and ${more} nodes more`] : [...messages]
}

/** What whoever made the file can do. */
function adviceFor(protos: readonly PlacedNode[]): string {
  const missing = protos.filter((proto) => !operatorOf(proto))
  const domains = new Set(missing.map(({ domain }) => domain).filter((domain) => !isStandard(domain)))
  const optimised = [...domains].some((domain) => domain.startsWith('com.microsoft'))
  const aten = domains.has('org.pytorch.aten') || missing.some(({ op_type: op }) => op === 'ATen')
  const others = [...domains].some(
    (domain) => !domain.startsWith('com.microsoft') && domain !== 'org.pytorch.aten',
  )
  return [
    aten &&
      "Export it with standard operators: torch.onnx.export's operator_export_type=OperatorExportTypes.ONNX.",
    optimised && "Where onnxruntime's optimiser wrote them, use the model from before.",
    others &&
      'Operators of other domains are known where the model brings their definition, as functions of its own.',
  ]
    .filter((one) => typeof one === 'string')
    .join(' ')
}
