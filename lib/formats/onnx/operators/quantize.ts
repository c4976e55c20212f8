/** Numbers of 8 bits and others for floats, and back: a quantized q stands for (q − zero point) · scale. */
import { add, clamp, div, mul, sub } from '../../../ops/index.ts'
import { elements, formatShape } from '../../../tensor/shape.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { type ElementType, elementTypeNamed, elementTypeOf, float32, type Scalar } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { arrayOf, axisOf, isSymbolic, type Read, required, tensorOf, type Value } from '../value.ts'

export const uint8: ElementType = elementTypeNamed('uint8') as ElementType
export const int32: ElementType = elementTypeNamed('int32') as ElementType

/** To the nearest integer, on a tie to the even one. */
export function roundToEven(x: number): number {
  const magic = 1.5 * 2 ** 52
  return Math.abs(x) < 2 ** 51 ? x + magic - magic : x
}

/** Added to a float32 below 2²² it leaves no bits behind the point. */
const toInteger = 1.5 * 2 ** 23

/** The same of a float32 in a trace. */
function roundTensor(x: Tensor): Tensor {
  return sub(add(clamp(x, -(2 ** 22), 2 ** 22), toInteger), toInteger)
}

/** Numbers that are quantized, or stand for 0: integers of at most 32 bits, or floats of 8. */
export function quantizedOf(node: OnnxNode, value: Value, what: string): nd.NdArray {
  const array = arrayOf(node, value, what)
  const { kind, wide, single, round, name } = array.type
  if (kind === 'int' ? !wide : kind === 'float' && single && round) return array
  throw node.error('ERR_FORMAT', `${what} must be integers of at most 32 bits but is ${name}`)
}

/** Floats, or integers that are taken as such. */
function floatsOf(node: OnnxNode, value: Value, what: string, integersToo = false): nd.NdArray {
  const array = arrayOf(node, value, what)
  if (array.type.kind === 'float' || (integersToo && array.type.kind === 'int' && !array.type.wide))
    return array
  throw node.error('ERR_FORMAT', `${what} must be floating-point numbers but is ${array.type.name}`)
}

/**
 * Scales or zero points as they broadcast to a value of `shape`: one, one for each index of `axis`, or one for each
 * block of so many along it.
 */
function spread(
  node: OnnxNode,
  array: nd.NdArray,
  shape: readonly number[],
  axis: number,
  block: number,
): nd.NdArray {
  if (elements(array.shape) === 1 && array.shape.length < 2) return { ...array, shape: [] }
  const at = shape.length === 0 ? -1 : axisOf(node, axis, shape.length)
  const size = shape[at] ?? 0
  if (block <= 0) {
    if (at >= 0 && array.shape.length === 1 && array.shape[0] === size) {
      return { ...array, shape: [size, ...Array<number>(shape.length - 1 - at).fill(1)] }
    }
  } else if (array.shape.every((one, d) => one === (d === at ? Math.ceil(size / block) : shape[d]))) {
    const index = nd.allocate(int32, [size])
    for (let i = 0; i < size; i++) (index.values as Int32Array)[i] = Math.floor(i / block)
    return nd.gather(array, index, at)
  }
  throw node.error(
    'ERR_SHAPE',
    `${formatShape(array.shape)} scales or zero points do not fit ${formatShape(shape)}`,
  )
}

/** A constant beside a value of a trace, whose images it is the same for. */
function constantOf(node: OnnxNode, array: nd.NdArray, value: Tensor): Tensor {
  if (array.shape.length === value.shape.length && array.shape[0] !== 1) {
    throw node.unsupported('scales that differ from image to image are for run() only')
  }
  return nd.toTensor({ ...array, type: float32, values: Float32Array.from<number>(array.values as never) })
}

function isZero(array: nd.NdArray | undefined): boolean {
  return array === undefined || (array.values as Int8Array).every((one) => Number(one) === 0)
}

const QuantizeLinear: Read = (node) => {
  const [axis, block] = [node.int('axis', 1), node.int('block_size', 0)]
  const saturate = node.flag('saturate', true)
  const wanted = typeAsked(node, false)
  // Division is float32's in any case.
  node.ignore('precision')
  return (inputs) => {
    const value = required(node, inputs, 0)
    const scale = spread(node, floatsOf(node, required(node, inputs, 1), 'a scale'), value.shape, axis, block)
    const zero =
      inputs[2] && spread(node, quantizedOf(node, inputs[2], 'a zero point'), value.shape, axis, block)
    const type = zero?.type ?? wanted ?? uint8
    if (isSymbolic(value)) {
      if (type.kind !== 'int') throw node.unsupported(`it makes ${type.name}, which is for run() only`)
      return requantized(
        div(value, constantOf(node, scale, value)),
        zero && constantOf(node, zero, value),
        type,
      )
    }
    const array = floatsOf(node, value, 'its input', true)
    if (type.kind === 'float') {
      const narrow = (x: number, s: number) => type.round?.(Math.fround(Math.fround(x) / s), saturate) ?? x
      return { ...nd.combine<number>(float32, [array, scale], narrow), type }
    }
    return nd.combine<number>(type, [array, scale, zero ?? scale], (x, s, z) =>
      stored(Math.fround(Math.fround(x) / s), zero ? z : 0, type),
    )
  }
}

/** The type that the attribute output_dtype asks for. */
function typeAsked(node: OnnxNode, floats: boolean): ElementType | undefined {
  const code = node.int('output_dtype', 0)
  if (code === 0) return undefined
  const type = elementTypeOf(code)
  const narrow = type?.single && type.round
  if (type && (floats ? type.kind === 'float' : (type.kind === 'int' && !type.wide) || narrow)) return type
  throw node.unsupported(`attribute output_dtype=${code} is not supported`)
}

/** A number in units of the scale, as it is stored. */
export function stored(x: number, zero: Scalar, { lowest, highest }: ElementType): number {
  const q = roundToEven(x) + Number(zero)
  return q > Number(highest) ? Number(highest) : q < Number(lowest) ? Number(lowest) : q
}

/** The same of a tensor in a trace, where what is stored are floats too. */
export function requantized(x: Tensor, zero: Tensor | undefined, { lowest, highest }: ElementType): Tensor {
  const [first = 0] = zero?.data ?? []
  const [low, high] = [Number(lowest) - first, Number(highest) - first]
  // between integers it is the same to clip before: then one number is left to add, and one to take away
  if (zero?.data.every((one) => one === first) !== false && Math.max(-low, high) < 2 ** 20) {
    return sub(add(clamp(x, low, high), toInteger), toInteger - first)
  }
  const rounded = roundTensor(x)
  return clamp(zero ? add(rounded, zero) : rounded, Number(lowest), Number(highest))
}

const DequantizeLinear: Read = (node) => {
  const [axis, block] = [node.int('axis', 1), node.int('block_size', 0)]
  const wanted = typeAsked(node, true)
  return (inputs) => {
    const value = required(node, inputs, 0)
    const scale = spread(node, floatsOf(node, required(node, inputs, 1), 'a scale'), value.shape, axis, block)
    const given =
      inputs[2] && spread(node, quantizedOf(node, inputs[2], 'a zero point'), value.shape, axis, block)
    const zero = isZero(given) ? undefined : given
    const type = wanted ?? scale.type
    if (isSymbolic(value)) {
      const apart = zero ? sub(value, constantOf(node, zero, value)) : value
      return mul(apart, constantOf(node, scale, value))
    }
    const array = quantizedOf(node, value, 'its input')
    return nd.combine<number>(type, [array, scale, zero ?? scale], (q, s, z) =>
      Math.fround(Math.fround(zero ? q - z : q) * s),
    )
  }
}

const DynamicQuantizeLinear: Read = (node) => (inputs) => {
  const { shape, values } = floatsOf(node, required(node, inputs, 0), 'its input')
  let [low, high] = [0, 0]
  for (const x of values as Float32Array) {
    if (x < low) low = x
    if (x > high) high = x
  }
  const scale = low === high ? 1 : Math.fround(Math.fround(high - low) / 255)
  const zero = Math.min(Math.max(roundToEven(Math.fround(0 - Math.fround(low / scale))), 0), 255)
  const y = nd.combine<number>(uint8, [{ type: float32, shape, values }], (x) =>
    stored(Math.fround(x / scale), zero, uint8),
  )
  return [y, nd.filled(float32, [], scale), nd.filled(uint8, [], zero)]
}

/** Numbers less their zero point, as floats: [] or [n] zero points, of dimension `axis`. */
export function centred(node: OnnxNode, value: Value, zero: Value | undefined, axis: number): Tensor {
  const z = zero && spread(node, quantizedOf(node, zero, 'a zero point'), value.shape, axis, 0)
  if (isSymbolic(value)) return z && !isZero(z) ? sub(value, constantOf(node, z, value)) : value
  const array = quantizedOf(node, value, 'an input')
  return nd.toTensor(
    nd.combine<number>(float32, [array, z ?? nd.filled(float32, [], 0)], (q, o) => q - Number(o)),
  )
}

/** Scales as float32 numbers. */
export function scalesOf(node: OnnxNode, value: Value): Float32Array {
  return tensorOf(value.shape.length === 0 ? { ...arrayOf(node, value, 'a scale'), shape: [1] } : value, node)
    .data
}

/** Output 0 is of the zero point's type. */
const quantizedType = (node: OnnxNode, _output: number, input: (i: number) => ElementType | undefined) =>
  input(2) ?? elementTypeOf(node.int('output_dtype', 0)) ?? uint8

export const quantization: Family = {
  operators: {
    DequantizeLinear: {
      read: DequantizeLinear,
      type: (node, _output, input) => elementTypeOf(node.int('output_dtype', 0)) ?? input(1),
    },
    DynamicQuantizeLinear: {
      read: DynamicQuantizeLinear,
      type: (_node, output) => (output === 1 ? float32 : uint8),
    },
    QuantizeLinear: { read: QuantizeLinear, type: quantizedType },
  },
}
