/**
 * Operators of sequences and optional values. A compiled model has neither: what they hold is known when it is made, and
 * their tensors are steps like others.
 */
import * as nd from '../array.ts'
import { capturedOf, NodeBody } from '../body.ts'
import { spend } from '../budget.ts'
import { bool, elementTypeOf, float32, int64 } from '../element.ts'
import { Loose } from '../loose.ts'
import type { OnnxNode } from '../node.ts'
import type { Family, Operator } from '../operator.ts'
import { cut } from '../pieces.ts'
import { Turned } from '../turned.ts'
import {
  arrayOf,
  axisOf,
  dimensionOf,
  keepBatch,
  Nothing,
  type Read,
  required,
  Sequence,
  typeOf,
  type Value,
} from '../value.ts'
import { resultType } from './control.ts'
import { joined, reshaped } from './shape.ts'

function sequenceOf(node: OnnxNode, inputs: readonly (Value | undefined)[], index: number): Sequence {
  const value = required(node, inputs, index)
  if (value instanceof Sequence && !(value instanceof Nothing)) return value
  throw node.error('ERR_FORMAT', `input ${index} is no sequence`)
}

/** A place in a sequence, which may count from the end; undefined: the input is left out. */
function placeOf(node: OnnxNode, value: Value | undefined, count: number): number | undefined {
  if (value === undefined) return undefined
  const { values } = arrayOf(node, value, 'the position')
  const place = Number(values[0])
  if (values.length === 1 && place >= -count && place < count) return place < 0 ? place + count : place
  throw node.error(
    'ERR_SHAPE',
    `there is no position ${values.length === 1 ? place : 'of several numbers'} here`,
  )
}

/** The same tensors but those from a place on, so many, in whose stead others come. */
function replaced(
  { type, items }: Sequence,
  place: number,
  count: number,
  others: readonly Value[],
): Sequence {
  spend(items.length)
  const kind = items.length === 0 && others[0] !== undefined ? typeOf(others[0]) : type
  return new Sequence(kind, items.toSpliced(place, count, ...others))
}

const SequenceConstruct: Read = (node) => (inputs) => {
  const items = inputs.map((_, i) => required(node, inputs, i))
  const [first] = items
  if (first === undefined) throw node.error('ERR_FORMAT', 'it has no inputs')
  return new Sequence(typeOf(first), items)
}

const SequenceEmpty: Read = (node) => {
  const type = elementTypeOf(node.int('dtype', 1)) ?? float32
  return () => new Sequence(type, [])
}

const SequenceAt: Read = (node) => (inputs) => {
  const { items } = sequenceOf(node, inputs, 0)
  return items[placeOf(node, required(node, inputs, 1), items.length) as number] as Value
}

const SequenceInsert: Read = (node) => (inputs) => {
  const sequence = sequenceOf(node, inputs, 0)
  const count = sequence.items.length
  const given = inputs[2]
  // behind the last is a place too
  const last = given !== undefined && Number(arrayOf(node, given, 'the position').values[0]) === count
  const place = last ? count : (placeOf(node, given, count) ?? count)
  return replaced(sequence, place, 0, [required(node, inputs, 1)])
}

const SequenceErase: Read = (node) => (inputs) => {
  const sequence = sequenceOf(node, inputs, 0)
  const count = sequence.items.length
  if (count === 0) throw node.error('ERR_SHAPE', 'the sequence is empty')
  return replaced(sequence, placeOf(node, inputs[1], count) ?? count - 1, 1, [])
}

const SequenceLength: Read = (node) => (inputs) =>
  nd.filled(int64, [], BigInt(sequenceOf(node, inputs, 0).items.length))

const SplitToSequence: Read = (node) => {
  const axis = node.int('axis', 0)
  const keepDims = node.flag('keepdims', true)
  return (inputs) => {
    const value = required(node, inputs, 0)
    const at = dimensionOf(node, axis, value)
    keepBatch(node, value, at)
    const size = value.shape[at] ?? 0
    const split = inputs[1] && arrayOf(node, inputs[1], 'the sizes')
    const given = split && Array.from<number | bigint, number>(split.values, Number)
    spend(size)
    const sizes: number[] = []
    if (given && split?.shape.length === 1) sizes.push(...given)
    else {
      const each = given?.[0] ?? 1
      if (!(each > 0)) throw node.error('ERR_SHAPE', `pieces of ${each} elements`)
      for (let left = size; left > 0; left -= each) sizes.push(Math.min(each, left))
    }
    if (sizes.some((one) => one < 0) || sizes.reduce((sum, one) => sum + one, 0) !== size) {
      throw node.error('ERR_SHAPE', `${size} elements cannot be split so`)
    }
    let start = 0
    const items = sizes.map((count) => {
      const piece = cut(node, value, at, start, 1, count)
      start += count
      const flat = given === undefined && !keepDims
      return flat ? reshaped(node, piece, piece.shape.toSpliced(at, 1)) : piece
    })
    return new Sequence(typeOf(value), items)
  }
}

const ConcatFromSequence: Read = (node) => {
  if (!node.has('axis')) throw node.error('ERR_FORMAT', 'attribute axis is missing')
  const [axis, isNew] = [node.int('axis', 0), node.flag('new_axis', false)]
  return (inputs) => {
    const { items } = sequenceOf(node, inputs, 0)
    const [first] = items
    if (first === undefined) throw node.error('ERR_SHAPE', 'the sequence is empty')
    if (items.some((one) => one instanceof Turned || one instanceof Loose)) {
      throw node.unsupported('the batch is not dimension 0 here, where a compiled model has it; run() can')
    }
    const at = axisOf(node, axis, first.shape.length + Number(isNew))
    for (const one of items) keepBatch(node, one, at)
    if (!isNew) return joined(node, items, at)
    const rows = items.map((one) => reshaped(node, one, one.shape.toSpliced(at, 0, 1)))
    return joined(node, rows, at)
  }
}

/** A graph for each tensor of a sequence; of other sequences the tensor at the same place, tensors as they are. */
const sequenceMap: Operator = {
  read: (node) => {
    const body = new NodeBody(node, 'body')
    const own = node.inputs.length - node.captured
    return (inputs, run) => {
      const { items } = sequenceOf(node, inputs, 0)
      const others = Array.from({ length: own - 1 }, (_, i) => required(node, inputs, i + 1))
      const around = capturedOf(node, inputs)
      const formal = node.inputs.slice(0, own).map((name) => run.types.get(name))
      const within = body.within(run, formal)
      const rows = items.map((item, i) => {
        const beside = others.map((one) => {
          const its = one instanceof Sequence ? one.items[i] : one
          if (its === undefined) throw node.error('ERR_SHAPE', 'its sequences have different lengths')
          return its
        })
        return body.run([item, ...beside], around, within)
      })
      return node.outputs.map((name, k) => {
        const results = rows.map((row) => row[k] as Value)
        return new Sequence(results[0] ? typeOf(results[0]) : (within.types.get(name) ?? float32), results)
      })
    }
  },
  type: (node, output, input) => {
    const own = node.inputs.length - node.captured
    const formal = Array.from({ length: own }, (_, i) => input(i))
    return resultType(new NodeBody(node, 'body'), output, formal, input)
  },
  sequences: true,
}

const Optional: Read = (node) => {
  node.ignore('type')
  return (inputs) => inputs[0] ?? new Nothing()
}

const OptionalHasElement: Read = () => (inputs) => {
  const [value] = inputs
  return nd.filled(bool, [], value === undefined || value instanceof Nothing ? 0 : 1)
}

const OptionalGetElement: Read = (node) => (inputs) => {
  const value = required(node, inputs, 0)
  if (value instanceof Nothing) throw node.error('ERR_FORMAT', 'the optional value is not there')
  return value
}

const sequence = (read: Read, type?: Operator['type']): Operator => ({
  read,
  ...(type && { type }),
  sequences: true,
})

export const sequencing: Family = {
  operators: {
    SequenceConstruct: sequence(SequenceConstruct),
    SequenceEmpty: sequence(SequenceEmpty, (node) => elementTypeOf(node.int('dtype', 1))),
    SequenceAt: sequence(SequenceAt),
    SequenceInsert: sequence(SequenceInsert, (_node, _output, input) => input(1)),
    SequenceErase: sequence(SequenceErase),
    SequenceLength: sequence(SequenceLength, () => int64),
    SplitToSequence: sequence(SplitToSequence),
    ConcatFromSequence: sequence(ConcatFromSequence),
    SequenceMap: sequenceMap,
    Optional: sequence(Optional),
    OptionalHasElement: sequence(OptionalHasElement, () => bool),
    OptionalGetElement: sequence(OptionalGetElement),
  },
}
