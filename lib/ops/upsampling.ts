/** Images of another size, as a function and as a layer. */
import { checkTensor } from '../graph/apply.ts'
import { Module } from '../nn/module.ts'
import { formatShape, size } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { checkOptions, flag, itemsOf } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { cubic, type Resample, resampled, shares, triangle } from './resample.ts'
import { resize } from './resize.ts'

/** How pixels come to be: the nearest one; between neighbours, of [n, c, l] and of [n, c, h, w]; by four neighbours each way. */
export type InterpolationMode = 'nearest' | 'linear' | 'bilinear' | 'bicubic'

/** Options of `interpolate`: `size` or `scaleFactor`. */
export interface InterpolateOptions {
  /** Height and width, or the length, of the result. */
  size?: number | readonly number[] | undefined
  /** Of height and width, or of the length: sides are `floor(side · factor)`. */
  scaleFactor?: number | readonly number[] | undefined
  /** Default 'nearest'. */
  mode?: InterpolationMode | undefined
  /** All but 'nearest': whether the outermost pixels of both lie over each other, instead of their outer edges. */
  alignCorners?: boolean | undefined
  /** 'bilinear', 'bicubic': whether an image that is made smaller is smoothed, so that each of its pixels counts. */
  antialias?: boolean | undefined
}

/** One number for all sides, or one for each. */
type Sides = number | readonly number[]

/** Options that were checked. */
interface Interpolation {
  readonly size: Sides | undefined
  readonly factors: Sides | undefined
  readonly mode: InterpolationMode
  readonly alignCorners: boolean
  readonly antialias: boolean
}

const names = ['size', 'scaleFactor', 'mode', 'alignCorners', 'antialias'] as const
const modes: readonly InterpolationMode[] = ['nearest', 'linear', 'bilinear', 'bicubic']

/**
 * Images made larger or smaller, `torch.nn.functional.interpolate`, by PyTorch's arithmetic: 'nearest' takes the very
 * pixels that it takes.
 *
 * @param input [n, c, h, w] ('nearest', 'bilinear', 'bicubic') or [n, c, l] ('nearest', 'linear'); one image without n too, where the
 *   mode or two sizes say that it is one
 * @returns [n, c, oh, ow] or [n, c, ol]
 * @throws KerneletError `ERR_ARGUMENT` for a size that is no positive integer, a factor that is not above 0, none of the two
 *   or both, and a mode that goes not with the input
 * @example interpolate(new Tensor(Float32Array.of(1, 3), [1, 1, 1, 2]), { scaleFactor: 2, mode: 'bilinear' }) // → [[[[1, 1.5, 2.5, 3], [1, 1.5, 2.5, 3]]]]
 */
export function interpolate(input: Tensor, options: InterpolateOptions): Tensor {
  return run('interpolate', input, checked('interpolate', options))
}

function checked(who: string, options: InterpolateOptions): Interpolation {
  checkOptions(who, options, names)
  const { mode = 'nearest', alignCorners, scaleFactor } = options
  if (!modes.includes(mode)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: mode must be 'nearest', 'linear', 'bilinear' or 'bicubic' but is ${show(mode)}`,
    )
  }
  if (mode === 'nearest' && alignCorners !== undefined) {
    throw new KerneletError('ERR_ARGUMENT', `${who}: alignCorners goes with all modes but 'nearest'`)
  }
  const antialias = flag(options.antialias ?? false, `${who}: antialias`)
  if (antialias && mode !== 'bilinear' && mode !== 'bicubic') {
    throw new KerneletError('ERR_ARGUMENT', `${who}: antialias goes with 'bilinear' and 'bicubic' alone`)
  }
  if ((options.size === undefined) === (scaleFactor === undefined)) {
    throw new KerneletError('ERR_ARGUMENT', `${who}: either size or scaleFactor must be given`)
  }
  return {
    size: sidesOf(options.size, (side) => size(side, `${who}: size`, 1), `${who}: size`),
    factors: sidesOf(scaleFactor, (one) => factor(one, `${who}: scaleFactor`), `${who}: scaleFactor`),
    mode,
    alignCorners: flag(alignCorners ?? false, `${who}: alignCorners`),
    antialias,
  }
}

function sidesOf(value: unknown, read: (one: unknown) => number, what: string): Sides | undefined {
  if (value === undefined) return undefined
  if (!Array.isArray(value)) return read(value)
  const sides = itemsOf(value, 2)
  if (sides && sides.length > 0) return sides.map(read)
  throw new KerneletError(
    'ERR_ARGUMENT',
    `${what} must be a number or one or two of them but is ${show(value)}`,
  )
}

function factor(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be a number above 0 but is ${show(value)}`)
}

function run(
  who: string,
  input: Tensor,
  { size, factors, mode, alignCorners, antialias }: Interpolation,
): Tensor {
  const { shape } = checkTensor(who, input)
  const given = size ?? factors ?? 1
  const count = typeof given === 'number' ? undefined : given.length
  const two = mode.startsWith('bi') || (mode === 'nearest' && (shape.length === 4 || count === 2))
  const dims = two ? 2 : 1
  if ((count ?? dims) !== dims || shape.length < dims + 1 || shape.length > dims + 2) {
    const sides = count === undefined ? '' : ` with ${count} side${count === 1 ? '' : 's'}`
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: mode '${mode}'${sides} does not go with the shape ${formatShape(shape)}; 'linear' takes [n, c, l], ` +
        "'bilinear' and 'bicubic' [n, c, h, w], 'nearest' either",
    )
  }
  const image = shape.slice(-dims)
  const of = (sides: Sides, d: number) => (typeof sides === 'number' ? sides : (sides[d] ?? 1))
  const sides = image.map((side, d) => (size === undefined ? scaled(who, side, of(given, d)) : of(size, d)))
  const scales = image.map((side, d) => (factors === undefined ? (sides[d] ?? 1) / side : of(factors, d)))
  const both = ([first = 1, second]: number[]): [number, number] =>
    second === undefined ? [1, first] : [first, second]
  if (mode === 'nearest') {
    // as PyTorch rounds them: pixels of the input in one of the output's
    const steps = image.map((side, d) =>
      Math.fround(factors === undefined ? side / (sides[d] ?? 1) : 1 / (scales[d] ?? 1)),
    )
    return resize(input, { size: sides, scales: both(steps), coordinates: 'step', rounding: 'floor' })
  }
  if (mode === 'bicubic' || antialias) {
    const first = shape.length - dims
    return image.reduce((x, from, d) => {
      const [to, step] = [sides[d] ?? 1, 1 / (scales[d] ?? 1)]
      return resampled(x, first + d, shares(summing(from, to, step, mode, alignCorners, antialias)), to)
    }, input)
  }
  const coordinates = alignCorners ? 'align_corners' : 'half_pixel'
  return resize(input, { size: sides, scales: both(scales), coordinates })
}

/** PyTorch's kernels: the cubic one is less sharp where it smooths. */
function summing(
  from: number,
  to: number,
  step: number,
  mode: InterpolationMode,
  alignCorners: boolean,
  antialias: boolean,
): Resample {
  const along = alignCorners ? (to > 1 ? (from - 1) / (to - 1) : 0) : step
  const place = (i: number) => (alignCorners && !antialias ? i * along : (i + 0.5) * along - 0.5)
  const isCubic = mode === 'bicubic'
  return {
    from,
    to,
    place,
    kernel: isCubic ? cubic(antialias ? -0.5 : -0.75) : triangle,
    reach: isCubic ? 2 : 1,
    wider: antialias ? Math.max(along, 1) : 1,
    dropOutside: antialias,
  }
}

function scaled(who: string, side: number, factor: number): number {
  return size(Math.floor(side * factor), `${who}: a side of ${side} times scaleFactor ${factor}`, 1)
}

/** Options of `Upsample`. */
export type UpsampleOptions = InterpolateOptions

/**
 * Images made larger or smaller, `torch.nn.Upsample`: [n, c, h, w] → [n, c, oh, ow], [n, c, l] → [n, c, ol].
 * @example new Upsample({ scaleFactor: 2 }).forward(new Tensor(Float32Array.of(1, 2), [1, 1, 1, 2])) // → [[[[1, 1, 2, 2], [1, 1, 2, 2]]]]
 */
export class Upsample extends Module {
  readonly options: Readonly<InterpolateOptions>

  /** @throws KerneletError `ERR_ARGUMENT` as `interpolate` */
  constructor(options: UpsampleOptions) {
    super()
    checked('Upsample', options)
    this.options = { ...options }
  }

  forward(x: Tensor): Tensor {
    return run('Upsample', x, checked('Upsample', this.options))
  }
}
