/** What OnnxModel.run is given and gives. */

import { types } from 'node:util'
import { checkShape, elements, mostDimensions } from '../../tensor/shape.ts'
import { noData, Tensor } from '../../tensor/tensor.ts'
import { itemsOf } from '../../util/check.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import type { NdArray } from './array.ts'
import { convert, type ElementType, elementTypeNamed, float32, float64 } from './element.ts'
import type { OnnxValueInfo } from './info.ts'
import { OnnxArray, type OnnxInput, type OnnxResult } from './onnx-array.ts'
import { typeOf, type Value } from './value.ts'

/** Elements of one tensor. */
const largest = 2 ** 31 - 1

/** A tensor with a dimension of 0, which no function of tensors takes. */
class EmptyTensor extends Tensor {
  constructor(shape: readonly number[]) {
    super(noData, [1])
    Object.defineProperty(this, 'shape', { value: Object.freeze([...shape]) })
  }

  override get data(): Float32Array {
    return noData
  }
}

/**
 * What run() hands out. Narrow floats are float32 numbers and come as such.
 *
 * @param type the value's type in the model
 */
export function resultOf(value: Value, type: ElementType | undefined): OnnxResult {
  const held = typeOf(value)
  // What layers make of doubles are float32 numbers, which are doubles in the model.
  const own = held.single && type === float64 ? float64 : held
  if (own.single) {
    if (elements(value.shape) === 0) return new EmptyTensor(value.shape)
    return Tensor.is(value) ? value : new Tensor(value.values as Float32Array, value.shape)
  }
  const values = Tensor.is(value) ? value.data : value.values
  // a copy: it may be a constant of the model
  return new OnnxArray(convert(values, held, own, true), value.shape, own.dtype)
}

/** An input as the model declares it; narrow floats are as exact as they come. */
export function inputValue(input: OnnxInput, { name, type }: OnnxValueInfo): Value {
  const declared = elementTypeNamed(type) ?? float32
  // those that are quantized to tell operators their type
  const held = declared.single && !/^float[468]e/.test(declared.name) ? float32 : declared
  if (Tensor.is(input) && held === float32 && elements(input.shape) > 0) return input
  // What only has a Tensor's prototype has no numbers to look at.
  const { data, shape: sizes } = input instanceof Tensor && !Tensor.is(input) ? {} : (input ?? {})
  const shape = sizesOf(sizes)
  if (!isList(data) || !shape || data.length !== elements(shape)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `run: ${show(name)} must be a Tensor or { data, shape } with as many numbers as its shape says`,
    )
  }
  const values = held.make(data.length)
  if (held.wide) fillWide(values as BigInt64Array, data, held, name)
  else fill(values as Float64Array, data, held, name)
  const array: NdArray = { type: held, shape, values }
  if (held !== float32 || data.length === 0) return array
  return new Tensor(values as Float32Array, checkShape(shape, name))
}

/** What only says that it has so many numbers is none: it would be taken at its word for as much memory. */
function isList(data: unknown): data is ArrayLike<number | bigint> {
  if (typeof data !== 'object' || data === null) return false
  // One of a typed array has none of its getters.
  if (types.isProxy(data) && !Array.isArray(data)) return false
  const { length } = data as { length?: unknown }
  if (!Number.isInteger(length) || (length as number) < 0 || (length as number) > largest) return false
  return length === 0 || (data as ArrayLike<unknown>)[(length as number) - 1] !== undefined
}

/** The sizes, copied. */
function sizesOf(value: unknown): number[] | undefined {
  const sizes = itemsOf(value, mostDimensions)
  const fits = (one: unknown): one is number => Number.isSafeInteger(one) && (one as number) >= 0
  return sizes?.every(fits) ? sizes : undefined
}

function fillWide(
  values: BigInt64Array,
  data: ArrayLike<number | bigint>,
  type: ElementType,
  name: string,
): void {
  for (let i = 0; i < values.length; i++) {
    const value = data[i]
    const whole = typeof value === 'bigint' || Number.isInteger(value)
    const exact = whole ? BigInt(value as bigint) : 0n
    if (!whole || exact < type.lowest || exact > type.highest) throw misfit(value, type, name)
    values[i] = exact
  }
}

function fill(values: Float64Array, data: ArrayLike<number | bigint>, type: ElementType, name: string): void {
  const { round, kind, lowest, highest } = type
  for (let i = 0; i < values.length; i++) {
    const given = data[i]
    const fits =
      typeof given === 'number' ||
      typeof given === 'bigint' ||
      (kind === 'bool' && typeof given === 'boolean')
    if (!fits) throw misfit(given, type, name)
    const value = Number(given)
    if (kind === 'int' && !(Number.isInteger(value) && value >= lowest && value <= highest)) {
      throw misfit(data[i], type, name)
    }
    values[i] = round ? round(value) : value
  }
}

function misfit(value: unknown, type: ElementType, name: string): KerneletError {
  return new KerneletError('ERR_ARGUMENT', `run: ${show(name)} takes ${type.name} but holds ${show(value)}`)
}

export function bytesOf(values: readonly Value[]): number {
  return values.reduce(
    (sum, value) => sum + (Tensor.is(value) ? value.data.byteLength : value.values.byteLength),
    0,
  )
}
