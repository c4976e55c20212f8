/** Operators of opsets 24 to 28: gates, states of causal convolutions, caches, bits as numbers of another type. */
import { cat, conv1d, mul, sigmoid, silu, slice } from '../../../ops/index.ts'
import { elements, formatShape, sameShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import * as nd from '../array.ts'
import { spend } from '../budget.ts'
import { type ElementType, elementTypeOf, float32, type Values } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import { arrayOf, axisOf, isSymbolic, type Read, required, tensorOf } from '../value.ts'

const SwiGLU: Read = (node) => {
  const alpha = node.float('alpha', 1)
  return (inputs) => {
    const [gate, value] = [0, 1].map((i) => tensorOf(required(node, inputs, i), node)) as [Tensor, Tensor]
    if (!sameShape(gate.shape, value.shape)) {
      throw node.error(
        'ERR_SHAPE',
        `its inputs are ${formatShape(gate.shape)} and ${formatShape(value.shape)}, which should be alike`,
      )
    }
    return mul(alpha === 1 ? silu(gate) : mul(gate, sigmoid(mul(gate, alpha))), value)
  }
}

/** Each channel by its own kernel over the values up to each place; the last ones are the state of the next call. */
const CausalConvWithState: Read = (node) => {
  const activation = node.text('activation', 'none')
  if (!['none', 'silu', 'swish'].includes(activation)) {
    throw node.unsupported(`attribute activation=${activation} is not supported`)
  }
  return (inputs) => {
    const x = tensorOf(required(node, inputs, 0), node)
    const weight = tensorOf(required(node, inputs, 1), node)
    const bias = inputs[2] && tensorOf(inputs[2], node)
    const [n = 1, channels = 1, length = 1] = x.shape
    const taps = weight.shape[2] ?? 1
    const state = [n, channels, taps - 1]
    const past = inputs[3] && taps > 1 ? tensorOf(inputs[3], node) : undefined
    if (x.shape.length !== 3 || !sameShape(weight.shape, [channels, 1, taps])) {
      throw node.error(
        'ERR_SHAPE',
        `a weight of ${formatShape(weight.shape)} does not go with ${formatShape(x.shape)}`,
      )
    }
    if (past && !sameShape(past.shape, state)) {
      throw node.error(
        'ERR_SHAPE',
        `past_state should be ${formatShape(state)} but is ${formatShape(past.shape)}`,
      )
    }
    if (taps === 1) {
      const y = conv1d(x, weight, bias, { groups: channels })
      return [activation === 'none' ? y : silu(y), nd.allocate(float32, state)]
    }
    const all = cat([past ?? new Tensor(new Float32Array(elements(state)), state), x], 2)
    const y = conv1d(all, weight, bias, { groups: channels })
    const present = slice(all, 2, length, length + taps - 1)
    return [activation === 'none' ? y : silu(y), present]
  }
}

/** A cache with rows put in, from a place of its own in each sample on. */
const TensorScatter: Read = (node) => {
  const given = node.int('axis', -2)
  const mode = node.text('mode', 'linear')
  if (mode !== 'linear' && mode !== 'circular')
    throw node.unsupported(`attribute mode=${mode} is not supported`)
  return (inputs) => {
    const past = arrayOf(node, required(node, inputs, 0), 'the cache')
    const update = arrayOf(node, required(node, inputs, 1), 'the update')
    const { shape } = past
    const axis = axisOf(node, given, shape.length)
    const [size, count] = [shape[axis] ?? 0, update.shape[axis] ?? 0]
    const fits =
      update.type === past.type && sameShape(update.shape, shape.with(axis, count)) && count <= size
    if (axis === 0 || !fits) {
      throw node.error(
        'ERR_SHAPE',
        `an update of ${formatShape(update.shape)} does not go in ${formatShape(shape)} along dimension ${axis}`,
      )
    }
    const starts = inputs[2] && arrayOf(node, inputs[2], 'write_indices')
    const images = shape[0] ?? 0
    if (starts && starts.values.length !== images) {
      throw node.error('ERR_SHAPE', `write_indices are ${starts.values.length} numbers, not ${images}`)
    }
    const result = nd.allocate(past.type, shape)
    nd.copy(past.values, 0, result.values, 0, past.values.length)
    const inner = elements(shape.slice(axis + 1))
    const rows = elements(shape.slice(0, axis))
    spend(rows * count * (inner + 4))
    for (let row = 0; row < rows; row++) {
      const start = Number(starts?.values[Math.floor((row * images) / rows)] ?? 0)
      for (let i = 0; i < count; i++) {
        const at = mode === 'circular' ? (((start + i) % size) + size) % size : start + i
        if (!(at >= 0 && at < size))
          throw node.error('ERR_SHAPE', `place ${at} is outside a cache of ${size}`)
        nd.copy(update.values, (row * count + i) * inner, result.values, (row * size + at) * inner, inner)
      }
    }
    return result
  }
}

const bitTypes = new Set(
  'float double uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 bfloat16 bool'.split(' '),
)

function bitTypeOf(node: OnnxNode): ElementType {
  const code = node.int('to', 0)
  const type = elementTypeOf(code)
  if (type && bitTypes.has(type.name)) return type
  throw node.unsupported(`attribute to=${code} is not supported`)
}

/** The same bits as numbers of another type. */
const BitCast: Read = (node) => {
  const to = bitTypeOf(node)
  return (inputs, run) => {
    const value = required(node, inputs, 0)
    if (isSymbolic(value)) throw node.unsupported('bits as other numbers are for run() only')
    const { type, values, shape } = arrayOf(node, value)
    const from = run.types.get(node.inputs[0] ?? '') ?? type
    spend(4 * values.length, 8 * values.length)
    const bytes = bytesOfBits(from, values)
    const width = bytes.length / Math.max(values.length, 1)
    if (!bitTypes.has(from.name) || (values.length > 0 && width !== widthOf(to))) {
      throw node.error('ERR_FORMAT', `${from.name} and ${to.name} have not as many bits`)
    }
    return { type: to, shape, values: valuesOfBits(to, bytes, values.length) }
  }
}

/** Bytes of an element. */
function widthOf({ name, make }: ElementType): number {
  return name === 'float16' || name === 'bfloat16' ? 2 : make(0).BYTES_PER_ELEMENT
}

function bytesOfBits({ name }: ElementType, values: Values): Uint8Array {
  if (name !== 'float16' && name !== 'bfloat16') {
    return new Uint8Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength))
  }
  const encode = name === 'float16' ? halfBits : (x: number) => floatBits(x) >>> 16
  return new Uint8Array(Uint16Array.from(values as Float32Array, encode).buffer)
}

function valuesOfBits({ name, make }: ElementType, bytes: Uint8Array, length: number): Values {
  if (name === 'float16' || name === 'bfloat16') {
    const decode = name === 'float16' ? halfOf : (bits: number) => floatOf(bits << 16)
    return Float32Array.from(new Uint16Array(bytes.buffer, 0, length), decode)
  }
  const values = make(length)
  new Uint8Array(values.buffer).set(bytes)
  return values
}

const word = new DataView(new ArrayBuffer(4))

function floatBits(value: number): number {
  word.setFloat32(0, value)
  return word.getUint32(0)
}

function floatOf(bits: number): number {
  word.setUint32(0, bits)
  return word.getFloat32(0)
}

/** Of a number that a half can hold. */
function halfBits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  if (Number.isNaN(value)) return 0x7e00
  const size = Math.abs(value)
  if (size === Number.POSITIVE_INFINITY) return sign | 0x7c00
  if (size < 2 ** -14) return sign | (size * 2 ** 24)
  const exponent = Math.floor(Math.log2(size))
  return sign | ((exponent + 15) << 10) | ((size / 2 ** exponent - 1) * 1024)
}

function halfOf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023]
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

export const newer: Family = {
  operators: {
    BitCast: { read: BitCast, type: bitTypeOf },
    CausalConvWithState: { read: CausalConvWithState, isKernel: true },
    SwiGLU: { read: SwiGLU, isKernel: true },
    TensorScatter,
  },
}
