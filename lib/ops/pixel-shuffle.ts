/** Channels to pixels and back: reshapes and a permutation. */
import { checkTensor } from '../graph/apply.ts'
import { Module } from '../nn/module.ts'
import { formatShape } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { integer } from '../util/check.ts'
import { KerneletError } from '../util/errors.ts'
import { permute, reshape } from './movement.ts'

function imageOf(what: string, input: Tensor): [n: number, c: number, h: number, w: number] {
  const { shape } = checkTensor(what, input)
  if (shape.length === 4) return shape as unknown as [number, number, number, number]
  throw new KerneletError(
    'ERR_SHAPE',
    `${what}: expected [n, channels, height, width] but received ${formatShape(shape)}`,
  )
}

function factorOf(what: string, factor: unknown): number {
  const value = integer(factor, what)
  if (value >= 1) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be 1 or more but is ${value}`)
}

/**
 * Channels as blocks of pixels, `torch.nn.functional.pixel_shuffle`: [n, c·r², h, w] to [n, c, h·r, w·r].
 *
 * @throws KerneletError `ERR_SHAPE` when the channels are no multiple of r²
 * @example pixelShuffle(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 4, 1, 1]), 2) // → [[[[1, 2], [3, 4]]]]
 */
export function pixelShuffle(input: Tensor, upscaleFactor: number): Tensor {
  const r = factorOf('pixelShuffle: upscaleFactor', upscaleFactor)
  const [n, channels, h, w] = imageOf('pixelShuffle', input)
  const c = channels / r ** 2
  if (!Number.isInteger(c)) {
    throw new KerneletError(
      'ERR_SHAPE',
      `pixelShuffle: ${channels} channels do not make blocks of ${r}×${r} pixels`,
    )
  }
  const blocks = permute(reshape(input, [n, c, r, r, h, w]), [0, 1, 4, 2, 5, 3])
  return reshape(blocks, [n, c, h * r, w * r])
}

/**
 * Blocks of pixels as channels, `torch.nn.functional.pixel_unshuffle`: [n, c, h·r, w·r] to [n, c·r², h, w].
 *
 * @throws KerneletError `ERR_SHAPE` when height or width are no multiples of r
 * @example pixelUnshuffle(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 2, 2]), 2).shape // → [1, 4, 1, 1]
 */
export function pixelUnshuffle(input: Tensor, downscaleFactor: number): Tensor {
  const r = factorOf('pixelUnshuffle: downscaleFactor', downscaleFactor)
  const [n, c, height, width] = imageOf('pixelUnshuffle', input)
  const [h, w] = [height / r, width / r]
  if (!Number.isInteger(h) || !Number.isInteger(w)) {
    throw new KerneletError(
      'ERR_SHAPE',
      `pixelUnshuffle: an image of ${height}×${width} has no whole blocks of ${r}×${r} pixels`,
    )
  }
  const blocks = permute(reshape(input, [n, c, h, r, w, r]), [0, 1, 3, 5, 2, 4])
  return reshape(blocks, [n, c * r ** 2, h, w])
}

/**
 * `torch.nn.PixelShuffle`: see `pixelShuffle`.
 * @example new PixelShuffle(2).forward(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 4, 1, 1])).shape // → [1, 1, 2, 2]
 */
export class PixelShuffle extends Module {
  readonly upscaleFactor: number

  constructor(upscaleFactor: number) {
    super()
    this.upscaleFactor = factorOf('PixelShuffle: upscaleFactor', upscaleFactor)
  }

  forward(x: Tensor): Tensor {
    return pixelShuffle(x, this.upscaleFactor)
  }
}

/**
 * `torch.nn.PixelUnshuffle`: see `pixelUnshuffle`.
 * @example new PixelUnshuffle(2).forward(new Tensor(Float32Array.of(1, 2, 3, 4), [1, 1, 2, 2])).shape // → [1, 4, 1, 1]
 */
export class PixelUnshuffle extends Module {
  readonly downscaleFactor: number

  constructor(downscaleFactor: number) {
    super()
    this.downscaleFactor = factorOf('PixelUnshuffle: downscaleFactor', downscaleFactor)
  }

  forward(x: Tensor): Tensor {
    return pixelUnshuffle(x, this.downscaleFactor)
  }
}
