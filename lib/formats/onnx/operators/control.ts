/** Operators that run graphs of their own: If, Loop and Scan. A compiled model has them unrolled. */
import type { SymbolicTensor } from '../../../graph/graph.ts'
import { reshape, where } from '../../../ops/index.ts'
import { elements, formatShape, sameShape } from '../../../tensor/shape.ts'
import * as nd from '../array.ts'
import { capturedOf, NodeBody } from '../body.ts'
import { spend } from '../budget.ts'
import { bool, type ElementType, elementTypeOf, float32, int64 } from '../element.ts'
import { imagesOf, settled } from '../loose-results.ts'
import type { OnnxNode } from '../node.ts'
import type { Family, Operator } from '../operator.ts'
import { cut, tracedSteps } from '../pieces.ts'
import type { GraphProto } from '../proto.ts'
import {
  arrayOf,
  axisOf,
  isSymbolic,
  type Read,
  required,
  Sequence,
  tensorOf,
  typeOf,
  type Value,
} from '../value.ts'
import { joined, reshaped } from './shape.ts'

/** One number of a value that must be known; undefined where the value is left out. */
function numberOf(node: OnnxNode, value: Value | undefined, what: string): number | undefined {
  if (value === undefined) return undefined
  const array = arrayOf(node, value, what)
  if (array.values.length === 1) return Number(array.values[0])
  throw node.error('ERR_SHAPE', `${what} must be one number but is ${array.values.length}`)
}

const If: Read = (node) => {
  const [then, otherwise] = [new NodeBody(node, 'then_branch'), new NodeBody(node, 'else_branch')]
  for (const { graph } of [then, otherwise]) {
    if (graph.input.length > 0) throw node.error('ERR_FORMAT', 'a branch has inputs')
    if (graph.output.length !== node.outputs.length) {
      throw node.error(
        'ERR_FORMAT',
        `a branch has ${graph.output.length} outputs, but the node ${node.outputs.length}`,
      )
    }
  }
  return (inputs, run) => {
    const given = required(node, inputs, 0)
    const results = (body: NodeBody) => body.run([], capturedOf(node, inputs), body.within(run, []))
    // of a model of one image both branches are computed, and one of them taken
    if (isSymbolic(given) && run.declaredBatch === 1) {
      const others = results(otherwise)
      return results(then).map((value, i) => chosen(node, given, value, others[i] as Value))
    }
    return results(numberOf(node, given, 'the condition') === 0 ? otherwise : then)
  }
}

/** A result of one branch or the other, by a condition that is computed from the image. */
function chosen(node: OnnxNode, condition: SymbolicTensor, then: Value, otherwise: Value): Value {
  if (then instanceof Sequence || otherwise instanceof Sequence) {
    throw node.unsupported('it chooses between sequences by what is computed from the image; run() can')
  }
  const alike = sameShape(then.shape, otherwise.shape) && typeOf(then) === typeOf(otherwise)
  if (!alike || elements(condition.shape) !== 1) {
    throw node.unsupported(
      `its branches give ${formatShape(then.shape)} and ${formatShape(otherwise.shape)}: a compiled model can only ` +
        'choose between values of one shape; run() takes any',
    )
  }
  const whole = (value: Value) => imagesOf(isSymbolic(value) ? value : tensorOf(value, node), 0)
  const [a, b] = [whole(then), whole(otherwise)]
  return settled(
    where(
      reshape(
        condition,
        a.shape.map(() => 1),
      ),
      a,
      b,
    ),
  )
}

/** The type of a result of a graph, as it follows from what is inside, else as the graph says. */
export function resultType(
  body: NodeBody,
  index: number,
  formal: readonly (ElementType | undefined)[],
  input: (i: number) => ElementType | undefined,
): ElementType | undefined {
  const output = body.graph.output[index]
  if (!output) return undefined
  return body.types(formal, input).get(output.name) ?? elementTypeOf(output.type?.tensor_type?.elem_type ?? 0)
}

const ifOperator: Operator = {
  read: If,
  sequences: true,
  type: (node, output, input) =>
    resultType(new NodeBody(node, 'then_branch'), output, [], input) ??
    resultType(new NodeBody(node, 'else_branch'), output, [], input),
}

/** What rounds of a loop gave, joined along a new dimension. */
function stacked(
  node: OnnxNode,
  rounds: readonly Value[],
  axis: number,
  { output }: GraphProto,
  index: number,
  backwards = false,
): Value {
  const [first] = rounds
  if (first === undefined) {
    const type = output[index]?.type?.tensor_type
    const shape = type?.shape?.dim.map(({ dim_value: size }) => size) ?? []
    const rank = shape.length + 1
    const at = axis < 0 ? axis + rank : axis
    return nd.allocate(elementTypeOf(type?.elem_type ?? 1) ?? float32, [
      ...shape.slice(0, at),
      0,
      ...shape.slice(at),
    ])
  }
  if (rounds.some((one) => one instanceof Sequence))
    throw node.error('ERR_FORMAT', 'its rounds give sequences')
  const rank = first.shape.length + 1
  const at = axisOf(node, axis, rank)
  if (at === 0 && rounds.some(isSymbolic)) {
    throw node.unsupported(
      'its rounds give rows of dimension 0, the batch, which a compiled model keeps as it is; run() can',
    )
  }
  const rows = rounds.map((value) =>
    reshaped(node, value, [...value.shape.slice(0, at), 1, ...value.shape.slice(at)]),
  )
  if (backwards) rows.reverse()
  return joined(node, rows, at)
}

const Loop: Read = (node) => {
  const body = new NodeBody(node, 'body')
  const { graph } = body
  const carried = graph.input.length - 2
  const scanned = graph.output.length - 1 - carried
  const own = node.inputs.length - node.captured
  if (carried < 0 || scanned < 0 || own - 2 !== carried || node.outputs.length > carried + scanned) {
    throw node.error(
      'ERR_FORMAT',
      `its body has ${graph.input.length} inputs and ${graph.output.length} outputs, which do not go with the node's ` +
        `${own} and ${node.outputs.length}`,
    )
  }
  return (inputs, run) => {
    const most = numberOf(node, inputs[0], 'the trip count') ?? Number.POSITIVE_INFINITY
    let goOn = numberOf(node, inputs[1], 'the condition') !== 0
    let values = Array.from({ length: carried }, (_, i) => required(node, inputs, i + 2))
    const around = capturedOf(node, inputs)
    const within = body.within(
      run,
      loopTypes(node, (i) => run.types.get(node.inputs[i] ?? '')),
    )
    const rounds = Array.from({ length: scanned }, (): Value[] => [])
    for (let i = 0; i < most && goOn; i++) {
      if (values.some(isSymbolic)) spend(tracedSteps)
      const counter = nd.filled(int64, [], BigInt(i))
      const results = body.run([counter, nd.filled(bool, [], 1), ...values], around, within)
      goOn = numberOf(node, results[0], 'the condition') !== 0
      values = results.slice(1, carried + 1)
      for (const [k, list] of rounds.entries()) list.push(results[carried + 1 + k] as Value)
    }
    return [
      ...values,
      ...rounds.map((list, k) =>
        (node.outputs[carried + k] ?? '') === ''
          ? nd.allocate(float32, [0])
          : stacked(node, list, 0, graph, carried + 1 + k),
      ),
    ]
  }
}

/** Types of the inputs of a loop's body. */
function loopTypes(
  node: OnnxNode,
  input: (i: number) => ElementType | undefined,
): (ElementType | undefined)[] {
  const own = node.inputs.length - node.captured
  return [int64, bool, ...Array.from({ length: Math.max(own - 2, 0) }, (_, i) => input(i + 2))]
}

const loopOperator: Operator = {
  read: Loop,
  sequences: true,
  type: (node, output, input) =>
    resultType(new NodeBody(node, 'body'), output + 1, loopTypes(node, input), input),
}

const Scan: Read = (node) => {
  if (node.opset < 9) throw node.unsupported('it is read as opset 9 and later have it')
  const body = new NodeBody(node, 'body')
  const { graph } = body
  const sequences = node.int('num_scan_inputs', 0)
  const own = node.inputs.length - node.captured
  const states = own - sequences
  const scanned = graph.output.length - states
  if (
    sequences < 1 ||
    states < 0 ||
    scanned < 0 ||
    graph.input.length !== own ||
    node.outputs.length > graph.output.length
  ) {
    throw node.error(
      'ERR_FORMAT',
      `its body has ${graph.input.length} inputs and ${graph.output.length} outputs, which do not go with the node's ` +
        `${own} and ${node.outputs.length}, ${sequences} of them scanned`,
    )
  }
  const list = (name: string, count: number) => {
    const given = node.ints(name) ?? new Array<number>(count).fill(0)
    if (given.length === count) return given
    throw node.error('ERR_FORMAT', `${name} has ${given.length} numbers, not ${count}`)
  }
  const inAxes = list('scan_input_axes', sequences)
  const inBackwards = list('scan_input_directions', sequences)
  const outAxes = list('scan_output_axes', scanned)
  const outBackwards = list('scan_output_directions', scanned)
  return (inputs, run) => {
    let values = Array.from({ length: states }, (_, i) => required(node, inputs, i))
    const given = inAxes.map((axis, i) => {
      const value = required(node, inputs, states + i)
      const at = axisOf(node, axis, value.shape.length)
      if (at === 0 && isSymbolic(value)) {
        throw node.unsupported('it goes along dimension 0, the batch, which is for run() only')
      }
      return { value, at, size: value.shape[at] ?? 0, backwards: inBackwards[i] === 1 }
    })
    const [{ size }] = given as [(typeof given)[0]]
    const odd = given.find((one) => one.size !== size)
    if (odd) throw node.error('ERR_SHAPE', `it goes along sequences of ${size} and ${odd.size}`)
    const around = capturedOf(node, inputs)
    const formal = Array.from({ length: own }, (_, i) => run.types.get(node.inputs[i] ?? ''))
    const within = body.within(run, formal)
    const rounds = Array.from({ length: scanned }, (): Value[] => [])
    for (let i = 0; i < size; i++) {
      const rows = given.map(({ value, at, backwards }) => {
        if (isSymbolic(value)) spend(tracedSteps)
        const row = cut(node, value, at, backwards ? size - 1 - i : i, 1, 1)
        return reshaped(
          node,
          row,
          value.shape.filter((_, d) => d !== at),
        )
      })
      const results = body.run([...values, ...rows], around, within)
      values = results.slice(0, states)
      for (const [k, one] of rounds.entries()) one.push(results[states + k] as Value)
    }
    return [
      ...values,
      ...rounds.map((one, k) =>
        stacked(node, one, outAxes[k] ?? 0, graph, states + k, outBackwards[k] === 1),
      ),
    ]
  }
}

const scanOperator: Operator = {
  read: Scan,
  sequences: true,
  type: (node, output, input) => {
    const own = node.inputs.length - node.captured
    const formal = Array.from({ length: own }, (_, i) => input(i))
    return resultType(new NodeBody(node, 'body'), output, formal, input)
  },
}

export const control: Family = {
  operators: { If: ifOperator, Loop: loopOperator, Scan: scanOperator },
}
