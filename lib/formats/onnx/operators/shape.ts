/** Operators that move elements, or tell where they are. */
import { cat, flatten, reshape } from '../../../ops/index.ts'
import { elements, formatShape, sameShape } from '../../../tensor/shape.ts'
import { Tensor } from '../../../tensor/tensor.ts'
import { KerneletError } from '../../../util/errors.ts'
import { show } from '../../../util/show.ts'
import * as nd from '../array.ts'
import { type ElementType, float32, int64 } from '../element.ts'
import type { Write } from '../graph-writer.ts'
import type { OnnxNode } from '../node.ts'
import { axisAttribute, type Family, same } from '../operator.ts'
import { cut } from '../pieces.ts'
import { anywhere } from '../slots.ts'
import { batchAt, regrouped, transposed } from '../turned.ts'
import {
  arrayOf,
  axisOf,
  commonType,
  dimensionOf,
  integersOf,
  isSymbolic,
  keepBatch,
  type Read,
  type Run,
  required,
  tensorOf,
  type Value,
} from '../value.ts'

/** The same elements in another shape, which has as many. */
export function reshaped(node: OnnxNode, value: Value, shape: readonly number[]): Value {
  if (sameShape(value.shape, shape)) return value
  if (elements(shape) !== elements(value.shape)) {
    throw node.error(
      'ERR_SHAPE',
      `${formatShape(value.shape)} has not as many elements as ${formatShape(shape)}`,
    )
  }
  nd.checkRank(shape.length)
  if (isSymbolic(value)) return (shape[0] !== 1 && regrouped(value, shape)) || reshape(value, shape)
  return Tensor.is(value) ? new Tensor(value.data, shape) : { ...value, shape }
}

/** The shape a Reshape asks for, for a tensor that is there. */
function resolve(
  node: OnnxNode,
  value: Value,
  target: readonly number[],
  allowZero: boolean,
  run: Run,
): number[] {
  const { shape } = value
  nd.checkRank(target.length)
  const asked = target.map((size, d) => (size === 0 && !allowZero ? (shape[d] ?? 0) : size))
  // A model exported with a fixed batch has that number in its shapes: it stands for the batch that there is.
  if (asked[0] === run.declaredBatch && shape[0] === run.batch && asked.length > 0) asked[0] = run.batch
  const open = asked.indexOf(-1)
  if (asked.some((size, d) => (!Number.isInteger(size) || size < 0 ? d !== open : false))) {
    throw node.error('ERR_SHAPE', `${show(target)} is no shape`)
  }
  if (open >= 0) {
    const rest = elements(asked.filter((_, d) => d !== open))
    asked[open] = rest === 0 ? 0 : elements(shape) / rest
  }
  if (elements(asked) !== elements(shape) || asked.some((size) => !Number.isInteger(size))) {
    throw node.error('ERR_SHAPE', `${formatShape(shape)} cannot be made ${show(target)}`)
  }
  return asked
}

const Reshape: Read = (node) => {
  const allowZero = node.flag('allowzero', false)
  const fixed = node.opset < 5 ? node.ints('shape') : undefined
  return (inputs, run) => {
    const value = required(node, inputs, 0)
    const target = fixed ?? integersOf(node, required(node, inputs, 1), 'the shape')
    // One number, in a model of one image: in a trace the batch stands for the scalar.
    const scalar = target?.length === 0 && run.declaredBatch === 1 && elements(value.shape) === 1
    if (scalar && isSymbolic(value)) return reshaped(node, value, [1])
    return reshaped(node, value, resolve(node, value, target as number[], allowZero, run))
  }
}

const Flatten: Read = (node) => {
  const axis = node.int('axis', 1)
  return (inputs) => {
    const value = required(node, inputs, 0)
    const { shape } = value
    const at = axis === shape.length ? axis : axisOf(node, axis, shape.length)
    keepBatch(node, value, at)
    if (at === 1 && shape.length > 1 && Tensor.is(value)) return flatten(value, 1)
    return reshaped(node, value, [elements(shape.slice(0, at)), elements(shape.slice(at))])
  }
}

const Squeeze: Read = (node) => {
  const fixed = node.opset < 13 ? node.ints('axes') : undefined
  return (inputs) => {
    const value = required(node, inputs, 0)
    const { shape } = value
    const given = fixed ?? integersOf(node, inputs[1], 'axes')
    // In a trace the batch is 1, but not one of the ones that are meant.
    const first = isSymbolic(value) ? 1 : 0
    const axes = given
      ? given.map((axis) => axisOf(node, axis, shape.length))
      : shape.flatMap((size, d) => (size === 1 && d >= first ? [d] : []))
    for (const axis of axes) {
      keepBatch(node, value, axis)
      if (shape[axis] !== 1) {
        throw node.error('ERR_SHAPE', `dimension ${axis} of ${formatShape(shape)} is not 1`)
      }
    }
    return reshaped(
      node,
      value,
      shape.filter((_, d) => !axes.includes(d)),
    )
  }
}

const Unsqueeze: Read = (node) => {
  const fixed = node.opset < 13 ? node.ints('axes') : undefined
  return (inputs) => {
    const value = required(node, inputs, 0)
    const given = fixed ?? integersOf(node, required(node, inputs, 1), 'axes')
    const rank = value.shape.length + (given as number[]).length
    nd.checkRank(rank)
    const axes = (given as number[]).map((axis) => axisOf(node, axis, rank))
    if (new Set(axes).size < axes.length) throw node.error('ERR_SHAPE', 'two axes are the same')
    const rest = [...value.shape]
    const shape = Array.from({ length: rank }, (_, d) => (axes.includes(d) ? 1 : (rest.shift() ?? 1)))
    // what is put before the batch moves it
    const batch = shape.findIndex((_, d) => !axes.includes(d))
    if (batch > 0 && isSymbolic(value))
      return batchAt(reshape(value, [1, ...shape.toSpliced(batch, 1)]), batch)
    return reshaped(node, value, shape)
  }
}

const Transpose: Read = (node) => {
  const perm = node.ints('perm')
  return (inputs) => {
    const value = required(node, inputs, 0)
    const rank = value.shape.length
    const axes = perm ?? value.shape.map((_, d) => rank - 1 - d)
    if (axes.length !== rank || axes.some((_, d) => !axes.includes(d))) {
      throw node.error('ERR_SHAPE', `perm ${show(axes)} does not order ${rank} dimensions`)
    }
    return isSymbolic(value) ? transposed(value, axes) : nd.transpose(arrayOf(node, value), axes)
  }
}

const Identity: Read = (node) => (inputs) => required(node, inputs, 0)

/** Values one behind the other along a dimension. */
export function joined(node: OnnxNode, values: readonly Value[], axis: number): Value {
  if (!values.some(isSymbolic)) {
    commonType(node, values)
    return nd.concat(
      values.map((value) => arrayOf(node, value)),
      axis,
    )
  }
  return values.length === 1
    ? (values[0] as Value)
    : cat(
        values.map((value) => tensorOf(value, node)),
        axis,
      )
}

const Concat: Read = (node) => {
  if (!node.has('axis')) throw node.error('ERR_FORMAT', 'attribute axis is missing')
  const axis = node.int('axis', 0)
  return (inputs) => {
    if (inputs.length === 0) throw node.error('ERR_FORMAT', 'it has no inputs')
    const values = inputs.map((_, i) => required(node, inputs, i))
    return joined(node, values, dimensionOf(node, axis, values[0] as Value))
  }
}

const Slice: Read = (node) => {
  const old = node.opset < 10
  const fixed = old ? [node.ints('starts'), node.ints('ends'), node.ints('axes')] : []
  return (inputs) => {
    let value = required(node, inputs, 0)
    const list = (i: number, what: string) => (old ? fixed[i - 1] : integersOf(node, inputs[i], what))
    const [starts, ends] = [list(1, 'starts'), list(2, 'ends')]
    if (!starts || ends?.length !== starts.length) {
      throw node.error('ERR_FORMAT', 'starts and ends are not two lists of one length')
    }
    const axes = list(3, 'axes') ?? starts.map((_, i) => i)
    const steps = (old ? undefined : integersOf(node, inputs[4], 'steps')) ?? starts.map(() => 1)
    if (axes.length !== starts.length || steps.length !== starts.length || steps.includes(0)) {
      throw node.error('ERR_FORMAT', 'axes or steps do not go with starts')
    }
    for (const [i, given] of axes.entries()) {
      const axis = dimensionOf(node, given, value)
      const all = starts[i] === 0 && steps[i] === 1 && (ends[i] ?? 0) >= 2 ** 31 - 1
      if (!all) keepBatch(node, value, axis)
      const [step, size] = [steps[i] ?? 0, value.shape[axis] ?? 0]
      // A step back may end before the first element.
      const [low, high] = step > 0 ? [0, size] : [-1, size - 1]
      const bound = (at: number) => Math.min(Math.max(at < 0 ? at + size : at, low), high)
      const [start, end] = [Math.max(bound(starts[i] ?? 0), 0), bound(ends[i] ?? 0)]
      const count = size === 0 ? 0 : Math.max(Math.ceil((end - start) / step), 0)
      value = cut(node, value, axis, start, step, count)
    }
    return value
  }
}

const Split: Read = (node) => {
  const axis = node.int('axis', 0)
  const fixed = node.opset < 13 ? node.ints('split') : undefined
  const parts = node.opset < 18 ? node.outputs.length : node.int('num_outputs', node.outputs.length)
  if (parts !== node.outputs.length) {
    throw node.error('ERR_FORMAT', `num_outputs is ${parts} but it has ${node.outputs.length} outputs`)
  }
  return (inputs) => {
    const value = required(node, inputs, 0)
    const at = dimensionOf(node, axis, value)
    keepBatch(node, value, at)
    const size = value.shape[at] ?? 0
    const each = Math.ceil(size / parts)
    const sizes =
      fixed ??
      integersOf(node, inputs[1], 'the sizes', parts) ??
      Array.from({ length: parts }, (_, i) => Math.max(Math.min(each, size - i * each), 0))
    const whole = sizes.reduce((sum, one) => sum + one, 0)
    if (sizes.length !== parts || whole !== size || sizes.some((one) => one < 0)) {
      throw node.error('ERR_SHAPE', `${size} cannot be split into ${show(sizes)}`)
    }
    let start = 0
    return sizes.map((count, i) => {
      const piece = node.outputs[i] === '' ? value : cut(node, value, at, start, 1, count)
      start += count
      return piece
    })
  }
}

const Shape: Read = (node) => {
  const [start, end] = [node.int('start', 0), node.has('end') ? node.int('end', 0) : undefined]
  return (inputs) => nd.integers(required(node, inputs, 0).shape.slice(start, end))
}

const Size: Read = (node) => (inputs) => {
  const value = required(node, inputs, 0)
  keepBatch(node, value, 0)
  return nd.filled(int64, [], BigInt(elements(value.shape)))
}

const Constant: Read = (node) => {
  const list = (type: ElementType, shape: number[], numbers: readonly number[]): nd.NdArray => ({
    type,
    shape,
    values: type.wide ? BigInt64Array.from(numbers, BigInt) : Float32Array.from(numbers),
  })
  const many = (type: ElementType, numbers: readonly number[]) => list(type, [numbers.length], numbers)
  const value =
    node.tensor('value') ??
    node.sparse('sparse_value') ??
    (node.has('value_float') ? list(float32, [], [node.float('value_float', 0)]) : undefined) ??
    (node.has('value_int') ? list(int64, [], [node.int('value_int', 0)]) : undefined) ??
    (node.has('value_floats') ? many(float32, node.floats('value_floats') as number[]) : undefined) ??
    (node.has('value_ints') ? many(int64, node.ints('value_ints') as number[]) : undefined)
  node.checkAttributes()
  if (!value) throw node.error('ERR_FORMAT', 'it has no value')
  return () => value
}

/** The batch stays: 0 takes that dimension over. */
const writeReshape: Write = (to, { node, inputs, output }) => {
  if (node.flat) to.add('Reshape', [...inputs, to.integers(`${output}.shape`, [-1])], output)
  else if (node.shape.length === 1) to.add('Flatten', inputs, output, { axis: 1 })
  else to.add('Reshape', [...inputs, to.integers(`${output}.shape`, [0, ...node.shape])], output)
}

const writeSlice: Write = (to, { node, inputs, output }) => {
  const { starts = [], steps = [] } = node
  // Past the last element taken; a step back from the first one would count from the end.
  const ends = node.shape.map((count, d) => {
    const step = steps[d] ?? 1
    const end = (starts[d] ?? 0) + (count - 1) * step + Math.sign(step)
    return end < 0 ? -(2 ** 31) : end
  })
  const list = (name: string, values: readonly number[]) => to.integers(`${output}.${name}`, values)
  const axes = node.shape.map((_, d) => d + 1)
  const names = [list('starts', starts.slice(0, axes.length)), list('ends', ends), list('axes', axes)]
  to.add('Slice', [...inputs, ...names, list('steps', steps.slice(0, axes.length))], output)
}

const writeConcat: Write = (to, { node, inputs, output }) => {
  if (inputs.some((name) => to.isConstant(name))) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `saveOnnx: ${node.name}: constants cannot be joined to a batch`,
    )
  }
  to.add('Concat', inputs, output, axisAttribute(node))
}

export const movement: Family = {
  operators: {
    Concat: { read: Concat, slot: anywhere },
    Constant,
    Flatten: { read: Flatten, moves: true },
    Identity: { read: Identity, moves: true, sequences: true },
    Reshape: { read: Reshape, moves: true },
    Shape: { read: Shape, type: () => int64 },
    Size: { read: Size, type: () => int64 },
    Slice: { read: Slice, moves: true },
    Split: { read: Split, moves: true },
    Squeeze: { read: Squeeze, moves: true },
    Transpose: { read: Transpose, moves: true },
    Unsqueeze: { read: Unsqueeze, moves: true },
  },
  writers: {
    flatten: writeReshape,
    reshape: writeReshape,
    permute: same('Transpose', ({ axes = [] }) => ({ perm: [0, ...axes.map((one) => one + 1)] })),
    slice: writeSlice,
    concat: writeConcat,
  },
}
