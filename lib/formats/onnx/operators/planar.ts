/** Windows of operators as the functions of images take them. */

/** A window over an image of a known size. */
export interface Window {
  readonly kernel: number[]
  readonly stride: number[]
  readonly dilation: number[]
  readonly before: number[]
  readonly after: number[]
}

/** How the functions of images take a window over two dimensions, but for its size. */
export function planar({ stride, dilation, before, after }: Window): {
  stride: [number, number]
  dilation: [number, number]
  padding: [number, number, number, number]
} {
  const two = (list: number[]) => list as [number, number]
  return { stride: two(stride), dilation: two(dilation), padding: [...two(before), ...two(after)] }
}
