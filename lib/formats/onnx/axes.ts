/** The axes of operators, counted from the end. */
import { integers } from './array.ts'
import type { OnnxNode } from './node.ts'
import { integersOf, type Read, type Step, type Value } from './value.ts'

/** Operators of one axis, and which they take where nothing is said. */
const alongOne: Readonly<Record<string, number>> = {
  ...{ ArgMax: 0, ArgMin: 0, Concat: 0, Gather: 0, GatherElements: 0, Split: 0 },
  ...{ LayerNormalization: -1, LogSoftmax: -1, Softmax: -1, LpNormalization: -1, RMSNormalization: -1 },
}

export interface FromTheEnd {
  /** Below 0. */
  readonly axes: readonly number[]
  readonly step: Step
  readonly inputs: readonly (Value | undefined)[]
}

/**
 * An operator with its axes counted from the end, where dimensions in front do not move them; undefined: it has none, or
 * goes by others too.
 *
 * @param placed the axis that the operator gets in place of one, both below 0
 */
export function fromTheEnd(
  node: OnnxNode,
  read: Read,
  step: Step,
  inputs: readonly (Value | undefined)[],
  placed: (axis: number) => number = (axis) => axis,
): FromTheEnd | undefined {
  const rank = inputs[0]?.shape.length ?? 0
  const back = (axis: number) => (axis < 0 ? axis : axis - rank)
  const all = Array.from({ length: rank }, (_, d) => d)
  const otherwise = alongOne[node.op]
  if (otherwise !== undefined) {
    const old = (node.op === 'Softmax' || node.op === 'LogSoftmax') && node.opset < 13
    const axis = back(node.int('axis', old ? 1 : otherwise))
    // before opset 13 everything from the axis on is one
    if (old && axis !== -1) return undefined
    return { axes: [axis], step: read(node.with({ axis: placed(axis) })), inputs }
  }
  if (node.op === 'CumSum') {
    const axes = (integersOf(node, inputs[1], 'the axis') ?? []).map(back)
    return { axes, step, inputs: [inputs[0], integers(axes.map(placed))] }
  }
  if (node.op.startsWith('Reduce')) {
    const byInput = node.op === 'ReduceSum' ? node.opset >= 13 : node.opset >= 18
    const given = byInput ? integersOf(node, inputs[1], 'axes') : node.ints('axes')
    if (!given?.length && node.opset >= 13 && node.flag('noop_with_empty_axes', false)) return undefined
    const axes = (given?.length ? given : all).map(back)
    if (byInput) return { axes, step, inputs: [inputs[0], integers(axes.map(placed))] }
    return { axes, step: read(node.with({ axes: axes.map(placed) })), inputs }
  }
  if (node.op === 'Slice') {
    if (node.opset < 10) {
      const axes = (node.ints('axes') ?? all.slice(0, node.ints('starts')?.length)).map(back)
      return { axes, step: read(node.with({ axes: axes.map(placed) })), inputs }
    }
    const count = inputs[1]?.shape[0] ?? 0
    const axes = (integersOf(node, inputs[3], 'axes') ?? all.slice(0, count)).map(back)
    return { axes, step, inputs: inputs.toSpliced(3, 1, integers(axes.map(placed))) }
  }
  return undefined
}
