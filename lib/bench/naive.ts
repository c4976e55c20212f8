/** The convolution by its definition, in double precision: what every kernel must agree with. */
import type { Problem } from './problem.ts'

/**
 * Output `index` (of [mb][oc][oh][ow]).
 *
 * @param input [mb][ic][ih][iw]
 * @param weight [oc][ic / g][kh][kw]
 */
export function naiveConv(
  p: Problem,
  input: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  index: number,
): number {
  const x = index % p.ow
  const y = Math.floor(index / p.ow) % p.oh
  const oc = Math.floor(index / (p.ow * p.oh)) % p.oc
  const image = Math.floor(index / (p.ow * p.oh * p.oc))
  const inputs = p.ic / p.g
  const first = Math.floor(oc / (p.oc / p.g)) * inputs
  let sum = bias[oc] ?? 0
  for (let c = 0; c < inputs; c++) {
    const plane = (image * p.ic + first + c) * p.ih * p.iw
    const window = (oc * inputs + c) * p.kh * p.kw
    for (let i = 0; i < p.kh; i++) {
      const row = y * p.sh + i * p.dh - p.ph
      if (row < 0 || row >= p.ih) continue
      for (let j = 0; j < p.kw; j++) {
        const column = x * p.sw + j * p.dw - p.pw
        if (column < 0 || column >= p.iw) continue
        sum += (input[plane + row * p.iw + column] ?? 0) * (weight[window + i * p.kw + j] ?? 0)
      }
    }
  }
  return sum
}
