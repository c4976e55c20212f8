/** From one element type to another. */
import { abs, add, floor, mul, ne, remainder, sign, sub } from '../../../ops/index.ts'
import { elements } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { show } from '../../../util/show.ts'
import { allocate } from '../array.ts'
import { spend } from '../budget.ts'
import { bool, convert, type ElementType, elementTypeOf, float32, type RoundMode } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { arrayOf, isSymbolic, type Read, type Run, required, typeOf, type Value } from '../value.ts'

const Cast: Read = (node) => {
  const saturate = node.flag('saturate', true)
  const to = castType(node)
  const mode = roundMode(node)
  return (inputs, run) => castTo(node, required(node, inputs, 0), to, saturate, mode, run)
}

/** How numbers become powers of two. */
function roundMode(node: OnnxNode): RoundMode {
  const mode = node.text('round_mode', 'up')
  if (mode === 'up' || mode === 'down' || mode === 'nearest') return mode
  throw node.unsupported(`attribute round_mode=${show(mode)} is not supported`)
}

/** The type that a Cast makes. */
function castType(node: OnnxNode): ElementType {
  const code = node.int('to', 0)
  const type = elementTypeOf(code)
  if (type) return type
  throw node.unsupported(`attribute to=${code} is not supported`)
}

const CastLike: Read = (node) => {
  const saturate = node.flag('saturate', true)
  const mode = roundMode(node)
  return (inputs, run) => {
    const like = required(node, inputs, 1)
    // A tensor may stand for numbers of a narrower or wider type.
    const to = Tensor.is(like) ? (run.types.get(node.inputs[1] ?? '') ?? float32) : like.type
    return castTo(node, required(node, inputs, 0), to, saturate, mode, run)
  }
}

/** Types that kernels compute as float32, also in a model that is compiled. */
const computedAsFloat32 = new Set(['float', 'double', 'float16', 'bfloat16'])

/** The least number of a narrow type of integers, and how many it has; undefined: more than the floats of a trace tell apart. */
const integers: Readonly<Record<string, readonly [least: number, count: number] | undefined>> = {
  ...{ int8: [-128, 256], uint8: [0, 256], int16: [-32768, 65536], uint16: [0, 65536] },
  ...{ int32: undefined, int64: undefined },
}

/** Numbers of a trace without their fractions; beyond a narrow type they go round, as integers do. */
function whole(value: Tensor, to: ElementType, from: ElementType | undefined): Tensor {
  if (from?.kind === 'bool') return value
  const x = from?.kind === 'int' ? value : mul(sign(value), floor(abs(value)))
  const [least, count] = integers[to.name] ?? []
  if (least === undefined || count === undefined) return x
  return add(remainder(sub(x, least), count), least)
}

function castTo(
  node: OnnxNode,
  value: Value,
  to: ElementType,
  saturate: boolean,
  mode: RoundMode,
  run: Run,
): Value {
  if (isSymbolic(value) && computedAsFloat32.has(to.name)) return value
  if (isSymbolic(value) && to === bool) return ne(value, 0)
  if (isSymbolic(value) && Object.hasOwn(integers, to.name)) {
    return whole(value, to, run.types.get(node.inputs[0] ?? ''))
  }
  const from = typeOf(value)
  if (from === to) return value
  const { shape, values } = arrayOf(node, value)
  // narrow floats are float32 numbers already
  if (from.single && to === float32) return { type: to, shape, values }
  if (elements(shape) === 0) return allocate(to, shape)
  spend(values.length, values.length * to.make(0).BYTES_PER_ELEMENT)
  return { type: to, shape, values: convert(values, from, to, saturate, mode) }
}

export const cast: Family = {
  operators: {
    Cast: { read: Cast, type: castType },
    CastLike: { read: CastLike, type: (_node, _output, input) => input(1) },
  },
}
