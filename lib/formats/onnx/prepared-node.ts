/** One node of a model, checked and ready to run. */
import { Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { spend } from './budget.ts'
import type { ElementType } from './element.ts'
import { Loose } from './loose.ts'
import { looseResults } from './loose-results.ts'
import { OnnxNode } from './node.ts'
import type { Operator } from './operator.ts'
import { operatorNamed } from './operators/index.ts'
import type { PlacedNode } from './placed-node.ts'
import type { DataFolder } from './tensor.ts'
import { Turned } from './turned.ts'
import { turnedResults } from './turned-results.ts'
import { isSymbolic, type Run, Sequence, type Step, type Value } from './value.ts'

/** One operator in its place. */
export interface PreparedNode {
  readonly proto: PlacedNode
  readonly node: OnnxNode
  readonly operator: Operator
  readonly step: Step
  /** Weights and what else belongs to the state of the model, by the input that they stand for. */
  readonly weights?: ReadonlyMap<number, Tensor> | undefined
}

export function isStandard(domain: string): boolean {
  return domain === '' || domain === 'ai.onnx'
}

export function prepareNode(proto: PlacedNode, opset: number, folder: DataFolder): PreparedNode {
  const node = new OnnxNode(proto, opset, folder)
  const operator = operatorOf(proto)
  if (!operator) {
    throw node.unsupported(
      isStandard(proto.domain)
        ? `the operator ${proto.op_type} is not supported`
        : `operators of ${show(proto.domain)} are not supported`,
    )
  }
  const step = operator.read(node)
  node.checkAttributes()
  return { proto, node, operator, step }
}

/** What there is to know of a node's operator; undefined: it is not supported. */
export function operatorOf({ domain, op_type: name }: PlacedNode): Operator | undefined {
  return operatorNamed(isStandard(domain) ? name : `${domain}.${name}`)
}

/** Runs a node: takes its inputs from `values`, but for its weights, and puts its outputs there. */
export function runNode(prepared: PreparedNode, values: Map<string, Value>, run: Run): void {
  const { node, operator, weights } = prepared
  const inputs = node.inputs.map(
    (input, i) => weights?.get(i) ?? (input === '' ? undefined : values.get(input)),
  )
  const results = resultsOf(prepared, inputs, run)
  for (let i = 0; i < node.outputs.length; i++) {
    const output = node.outputs[i] as string
    if (output === '') continue
    const value = results[i]
    if (value === undefined) throw node.unsupported(`output ${i}, ${show(output)}, is not supported`)
    values.set(output, operator.moves ? value : narrowed(value, run.types.get(output)))
  }
}

/** What kernels computed as float32, rounded to the narrow floats that it is in the model; in a trace it stays. */
function narrowed(value: Value, type: ElementType | undefined): Value {
  const round = type?.single ? type.round : undefined
  if (!round || !Tensor.is(value) || isSymbolic(value)) return value
  spend(8 * value.data.length, 4 * value.data.length)
  return new Tensor(
    value.data.map((one) => round(one)),
    value.shape,
  )
}

/** What a node makes of these inputs. */
export function resultsOf(
  { node, step, operator }: Pick<PreparedNode, 'node' | 'step' | 'operator'>,
  inputs: readonly (Value | undefined)[],
  run: Run,
): readonly Value[] {
  if (!operator.sequences && inputs.some((one) => one instanceof Sequence)) {
    throw node.error(
      'ERR_FORMAT',
      'it takes tensors but gets a sequence, or an optional value that is not there',
    )
  }
  const tracer = inputs.find(isSymbolic)?.tracer
  const mark = tracer?.nodes.length ?? 0
  const loosely = () => looseResults(node, operator, step, inputs, run)
  try {
    if (inputs.some((one) => one instanceof Loose)) {
      const results = loosely()
      if (results) return listOf(results)
      throw node.unsupported('the batch is not dimension 0 here, where a compiled model has it; run() can')
    }
    try {
      const turned = inputs.some((one) => one instanceof Turned)
      return listOf(turned ? turnedResults(node, operator, step, inputs, run) : step(inputs, run))
    } catch (cause) {
      // In a model of one image all dimensions may be the image's.
      if (!tracer || run.declaredBatch !== 1 || !(cause instanceof KerneletError)) throw cause
      tracer.forget(mark)
      const results = attempt(loosely)
      if (results === undefined) throw cause
      return listOf(results)
    }
  } catch (cause) {
    const { message } = cause as Error
    if (cause instanceof KerneletError) {
      throw message.startsWith(node.place) ? cause : node.error(cause.code, message, cause)
    }
    throw node.error('ERR_INTERNAL', message, cause)
  }
}

function listOf(results: Value | readonly Value[]): readonly Value[] {
  return Array.isArray(results) ? (results as readonly Value[]) : [results as Value]
}

/** What `make` gives; undefined where it is refused. */
function attempt<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch (error) {
    if (error instanceof KerneletError) return undefined
    throw error
  }
}
