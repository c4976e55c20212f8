/** Tensors of which a model stores only what is not 0. */
import { elements, formatShape } from '../../tensor/shape.ts'
import { KerneletError } from '../../util/errors.ts'
import { show } from '../../util/show.ts'
import { bits, mostDimensions } from '../dtype.ts'
import { give, spend } from './budget.ts'
import type { SparseTensorProto, TensorProto } from './proto.ts'
import { computed, type DataFolder, readTensor, storedTensor } from './tensor.ts'

/** The element type of indices, int64. */
const indexType = 7

/**
 * A sparse tensor with its zeros, under the same name.
 *
 * @param what names it in errors
 * @throws KerneletError `ERR_FORMAT` for indices that are out of range, out of order or not one for each value;
 *   `ERR_UNSUPPORTED` where its zeros are more than the budget has; otherwise as `storedTensor`
 */
export function dense(sparse: SparseTensorProto, what: string, folder: DataFolder): TensorProto {
  const { values, indices, dims } = sparse
  const wrong = (reason: string) => new KerneletError('ERR_FORMAT', `${what}: ${reason}`)
  if (!values || !indices) throw wrong(`it has no ${values ? 'indices' : 'values'}`)
  if (dims.length < 1 || dims.some((size) => !Number.isSafeInteger(size) || size < 0)) {
    throw wrong(`its shape is ${show(dims)}`)
  }
  if (dims.length > mostDimensions) {
    throw new KerneletError(
      'ERR_UNSUPPORTED',
      `${what}: it has ${dims.length} dimensions; at most ${mostDimensions} are read`,
    )
  }
  const stored = storedTensor(values, `${what}: its values`, folder)
  const places = placesOf(indices, stored.shape, dims, what, folder)
  const size = bits[stored.dtype] / 8
  const length = elements(dims) * size
  give(stored.bytes.length)
  try {
    spend(places.length, length)
  } catch (cause) {
    const { code, message } = cause as KerneletError
    throw new KerneletError(code, `${what}: with its zeros ${message}`, { cause })
  }
  const bytes = new Uint8Array(length)
  for (const [i, place] of places.entries()) {
    bytes.set(stored.bytes.subarray(i * size, (i + 1) * size), place * size)
  }
  const tensor = { ...values, dims, raw_data: bytes, data_location: 0, external_data: [] }
  computed.add(tensor)
  return tensor
}

/** Where each value goes, counted in row-major order: stored so, or as a row of indices for each. */
function placesOf(
  indices: TensorProto,
  valueShape: readonly number[],
  dims: readonly number[],
  what: string,
  folder: DataFolder,
): Float64Array {
  const wrong = (reason: string) => new KerneletError('ERR_FORMAT', `${what}: ${reason}`)
  const [count] = valueShape
  if (count === undefined || valueShape.length !== 1) {
    throw wrong(`its values have the shape ${formatShape(valueShape)}, not one dimension`)
  }
  if (indices.data_type !== indexType) throw wrong('its indices are no int64')
  const { shape, values } = readTensor(indices, `${what}: its indices`, folder)
  const rows = shape.length === 2 && shape[1] === dims.length
  if (shape[0] !== count || !(shape.length === 1 || rows)) {
    throw wrong(
      `its indices have the shape ${formatShape(shape)} instead of ${count} or ${count}×${dims.length}`,
    )
  }
  const sizes = rows ? dims : [elements(dims)]
  const places = new Float64Array(count)
  for (let i = 0, at = 0; i < count; i++) {
    let place = 0
    for (const size of sizes) {
      const index = Number(values[at++])
      if (!(index >= 0 && index < size)) throw wrong(`the index ${index} is outside a dimension of ${size}`)
      place = place * size + index
    }
    if (i > 0 && place <= (places[i - 1] ?? 0)) throw wrong('its indices do not ascend')
    places[i] = place
  }
  return places
}
