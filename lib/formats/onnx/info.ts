/** Inputs and outputs of a model, as it declares them. */
import type { Kind } from './array.ts'
import type { ValueInfoProto } from './proto.ts'
import { typeName } from './tensor.ts'

/** An input or output of a model, as it declares it. */
export interface OnnxValueInfo {
  readonly name: string
  /** Element type: 'float', 'int64' … */
  readonly type: string
  /** Dimensions, the batch first; a name or undefined where they are not fixed. undefined: of any rank. */
  readonly shape: readonly (number | string | undefined)[] | undefined
}

export function valueInfo({ name, type }: ValueInfoProto): OnnxValueInfo {
  const tensor = type?.tensor_type
  return {
    name,
    type: tensor ? typeName(tensor.elem_type) : 'unknown',
    shape: tensor?.shape?.dim.map(({ value, dim_value: size, dim_param: symbol }) =>
      value === 'dim_value' && size > 0 ? size : value === 'dim_param' && symbol !== '' ? symbol : undefined,
    ),
  }
}

/** `image: float[N,1,28,28]`, and more of them. */
export function list(infos: readonly OnnxValueInfo[]): string {
  return infos
    .map(({ name, type, shape }) => `${name}: ${type}[${shape?.map((size) => size ?? '?') ?? '…'}]`)
    .join(', ')
}

/** What kind of numbers a declared type holds; 'float' where it does not say. */
export function kindOfType(type: string): Kind {
  return type === 'bool' ? 'bool' : /^u?int\d+$/.test(type) ? 'int' : 'float'
}
