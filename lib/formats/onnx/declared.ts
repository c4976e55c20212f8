/** What a model says of its inputs and outputs, as others see it. */
import { type ElementType, elementTypeNamed } from './element.ts'
import type { OnnxValueInfo } from './info.ts'
import type { ValueInfoProto } from './proto.ts'
import { typeName } from './tensor.ts'

/** @param inferred the type that follows from the model */
export function valueInfo({ name, type }: ValueInfoProto, inferred?: ElementType): OnnxValueInfo {
  const tensor = type?.tensor_type
  const declared = tensor ? typeName(tensor.elem_type) : 'unknown'
  return {
    name,
    type: declared,
    dtype: (inferred ?? elementTypeNamed(declared))?.dtype,
    shape: tensor?.shape?.dim.map(({ value, dim_value: size, dim_param: symbol }) =>
      value === 'dim_value' && size > 0 ? size : value === 'dim_param' && symbol !== '' ? symbol : undefined,
    ),
  }
}
