/** From one element type to another. */
import { ne } from '../../../ops/index.ts'
import { elements } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { allocate } from '../array.ts'
import { spend } from '../budget.ts'
import { bool, convert, type ElementType, elementTypeOf, float32 } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { arrayOf, isSymbolic, type Read, required, typeOf, type Value } from '../value.ts'

const Cast: Read = (node) => {
  const saturate = node.flag('saturate', true)
  const to = castType(node)
  return (inputs) => castTo(node, required(node, inputs, 0), to, saturate)
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
  return (inputs, run) => {
    const like = required(node, inputs, 1)
    // A tensor may stand for numbers of a narrower or wider type.
    const to = Tensor.is(like) ? (run.types.get(node.inputs[1] ?? '') ?? float32) : like.type
    return castTo(node, required(node, inputs, 0), to, saturate)
  }
}

/** Types that kernels compute as float32, also in a model that is compiled. */
const computedAsFloat32 = new Set(['float', 'double', 'float16', 'bfloat16'])

function castTo(node: OnnxNode, value: Value, to: ElementType, saturate: boolean): Value {
  if (isSymbolic(value) && computedAsFloat32.has(to.name)) return value
  if (isSymbolic(value) && to === bool) return ne(value, 0)
  const from = typeOf(value)
  if (from === to) return value
  const { shape, values } = arrayOf(node, value)
  // narrow floats are float32 numbers already
  if (from.single && to === float32) return { type: to, shape, values }
  if (elements(shape) === 0) return allocate(to, shape)
  spend(values.length, values.length * to.make(0).BYTES_PER_ELEMENT)
  return { type: to, shape, values: convert(values, from, to, saturate) }
}

export const cast: Family = {
  operators: {
    Cast: { read: Cast, type: castType },
    CastLike: { read: CastLike, type: (_node, _output, input) => input(1) },
  },
}
