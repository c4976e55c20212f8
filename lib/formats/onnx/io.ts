/** What OnnxModel.run is given and gives. */

import { checkShape, elements } from '../../tensor/shape.ts'
import { noData, Tensor } from '../../tensor/tensor.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import type { NdArray } from './array.ts'
import { convert, type ElementType, elementTypeNamed, float32, float64 } from './element.ts'
import type { OnnxValueInfo } from './info.ts'
import { OnnxArray, type OnnxInput, type OnnxResult } from './onnx-array.ts'
import { typeOf, type Value } from './value.ts'

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
  const held = declared.single && !declared.name.startsWith('float8') ? float32 : declared
  if (Tensor.is(input) && held === float32 && elements(input.shape) > 0) return input
  // What only has a Tensor's prototype has no numbers to look at.
  const { data, shape } = input instanceof Tensor && !Tensor.is(input) ? {} : (input ?? {})
  if (!isList(data) || !isShape(shape) || data.length !== elements(shape)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `run: ${show(name)} must be a Tensor or { data, shape } with as many numbers as its shape says`,
    )
  }
  const values = held.make(data.length)
  if (held.wide) fillWide(values as BigInt64Array, data, held, name)
  else fill(values as Float64Array, data, held, name)
  const array: NdArray = { type: held, shape: [...shape], values }
  if (held !== float32 || data.length === 0) return array
  return new Tensor(values as Float32Array, checkShape(shape, name))
}

function isList(data: unknown): data is ArrayLike<number | bigint> {
  return (
    typeof data === 'object' && data !== null && Number.isSafeInteger((data as { length?: unknown }).length)
  )
}

function isShape(shape: unknown): shape is readonly number[] {
  return Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0)
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
    const value = Number(data[i])
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
