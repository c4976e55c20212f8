/** Inputs and outputs of a model, as it declares them. */
/** An input or output of a model, as it declares it. */
export interface OnnxValueInfo {
  readonly name: string
  /** Element type: 'float', 'int64' … */
  readonly type: string
  /**
   * The same as PyTorch calls it: 'float32', 'int64' … For an output it is the type of its numbers, which follows from
   * the model also where it does not say; undefined where it does not follow.
   */
  readonly dtype: string | undefined
  /** Dimensions, the batch first; a name or undefined where they are not fixed. undefined: of any rank. */
  readonly shape: readonly (number | string | undefined)[] | undefined
}

/** `image: float[N,1,28,28]`, and more of them. */
export function list(infos: readonly OnnxValueInfo[]): string {
  return infos
    .map(({ name, type, shape }) => `${name}: ${type}[${shape?.map((size) => size ?? '?') ?? '…'}]`)
    .join(', ')
}
