/** Operators that make tensors of shapes and numbers. */
import { formatShape } from '../../../tensor/shape.ts'
import { show } from '../../../util/show.ts'
import * as nd from '../array.ts'
import { type ElementType, elementTypeOf, float32, type Scalar } from '../element.ts'
import type { OnnxNode } from '../node.ts'
import type { Family } from '../operator.ts'
import {
  arrayOf,
  commonType,
  integersOf,
  isSymbolic,
  type Read,
  required,
  typeOf,
  type Value,
} from '../value.ts'

const ConstantOfShape: Read = (node) => {
  const { type, values } = node.tensor('value') ?? nd.filled(float32, [1], 0)
  if (values.length !== 1) throw node.error('ERR_FORMAT', 'its value is not one number')
  return (inputs) => {
    const shape = sizesOf(node, required(node, inputs, 0), 'the shape')
    return nd.filled(type, shape, values[0] as Scalar)
  }
}

/** A list of sizes, none below 0. */
export function sizesOf(node: OnnxNode, value: Value, what: string): number[] {
  const sizes = integersOf(node, value, what) as number[]
  if (sizes.every((size) => size >= 0)) return sizes
  throw node.error('ERR_SHAPE', `${what} ${show(sizes)} has a number below 0`)
}

const Range: Read = (node) => (inputs) => {
  const arrays = [0, 1, 2].map((i) => arrayOf(node, required(node, inputs, i))) as [
    nd.NdArray,
    nd.NdArray,
    nd.NdArray,
  ]
  const type = commonType(node, arrays)
  const [start, limit, delta] = arrays.map(({ values }) => values[0]) as [Scalar?, Scalar?, Scalar?]
  if (start === undefined || limit === undefined || delta === undefined) {
    throw node.error('ERR_SHAPE', 'start, limit and delta must each be one number')
  }
  const exact = [start, limit, delta].every((one) => typeof one === 'bigint')
  const count = exact
    ? steps(start as bigint, limit as bigint, delta as bigint)
    : Math.max(Math.ceil((Number(limit) - Number(start)) / Number(delta)), 0)
  if (!Number.isFinite(count)) {
    throw node.error('ERR_SHAPE', `there is no range from ${start} to ${limit} in steps of ${delta}`)
  }
  const range = nd.allocate(type, [count])
  if (exact) {
    const values = range.values as BigInt64Array
    for (let i = 0, one = start as bigint; i < count; i++, one += delta as bigint) values[i] = one
  } else {
    const values = range.values as Float64Array
    for (let i = 0; i < count; i++) values[i] = Number(start) + i * Number(delta)
  }
  return range
}

/** How many integers there are from `start` to `limit`, which is none of them. */
function steps(start: bigint, limit: bigint, delta: bigint): number {
  if (delta === 0n) return Number.POSITIVE_INFINITY
  const [way, step] = delta > 0n ? [limit - start, delta] : [start - limit, -delta]
  return way <= 0n ? 0 : Number((way + step - 1n) / step)
}

/** Ones on a diagonal of a matrix of the input's shape. */
const EyeLike: Read = (node) => {
  const k = node.int('k', 0)
  const own = eyeType(node)
  return (inputs) => {
    const value = required(node, inputs, 0)
    const { shape } = value
    if (isSymbolic(value)) throw node.unsupported('it mixes the images of a batch; run() can')
    if (shape.length !== 2) throw node.error('ERR_SHAPE', `${formatShape(shape)} is no matrix`)
    const type = own ?? typeOf(value)
    const result = nd.allocate(type, shape)
    const [rows = 0, columns = 0] = shape
    const values = result.values as Float64Array
    for (let i = Math.max(0, -k); i < rows && i + k < columns; i++) {
      values[i * columns + i + k] = (type.wide ? 1n : 1) as number
    }
    return result
  }
}

function eyeType(node: OnnxNode): ElementType | undefined {
  if (!node.has('dtype')) return undefined
  const code = node.int('dtype', 1)
  const type = elementTypeOf(code)
  if (type) return type
  throw node.unsupported(`attribute dtype=${code} is not supported`)
}

export const generating: Family = {
  operators: {
    ConstantOfShape: { read: ConstantOfShape, type: (node) => node.tensor('value')?.type ?? float32 },
    EyeLike: { read: EyeLike, type: (node, _output, input) => eyeType(node) ?? input(0) },
    Range,
  },
}
