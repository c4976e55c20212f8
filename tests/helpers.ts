import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { Module, type Parameter, readSafetensors, Tensor, type WeightsFile } from '../lib/index.ts'

export const root: string = fileURLToPath(new URL('..', import.meta.url))
export const fixtures: string = fileURLToPath(new URL('fixtures', import.meta.url))

/** A path outside the repository, by its variable or beside the checkout; undefined, with a word, if absent. */
export function outside(variable: string, beside: string): string | undefined {
  const path = process.env[variable] ?? fileURLToPath(new URL(`../../shared/${beside}`, import.meta.url))
  if (existsSync(path)) return path
  console.warn(`skipped: ${path} is not there; set ${variable} to the folder`)
  return undefined
}

/** LeNet-5's activations and logits for 16 real digits, computed by PyTorch. Not shipped: the digits are MNIST's. */
export function lenet5Golden(): WeightsFile | undefined {
  const path = outside('KERNELET_REFERENCE', 'reference')
  return path === undefined ? undefined : readSafetensors(`${path}/lenet5-golden.safetensors`)
}

/** The path of LeNet-5 weights that PyTorch trained and the safetensors package wrote: those of the goldens. */
export function lenet5Reference(): string | undefined {
  const path = outside('KERNELET_REFERENCE', 'reference')
  return path === undefined ? undefined : `${path}/lenet5.safetensors`
}

/** MNIST's 10,000 test images (values 0 … 1) and their labels. */
export function mnistTest(): { images: Float32Array; labels: Uint8Array } | undefined {
  const path = outside('KERNELET_MNIST', 'data/mnist')
  if (path === undefined) return undefined
  const read = (name: string, header: number) =>
    gunzipSync(readFileSync(`${path}/${name}.gz`)).subarray(header)
  return {
    images: Float32Array.from(read('t10k-images-idx3-ubyte', 16), (pixel) => pixel / 255),
    labels: read('t10k-labels-idx1-ubyte', 8),
  }
}

/** A stored F32 tensor, by name. */
export function tensorOf(file: WeightsFile, name: string): Tensor {
  const { dtype, shape, bytes } = file.tensors.get(name)!
  if (dtype !== 'F32') throw new Error(`${name} is ${dtype}`)
  return new Tensor(new Float32Array(bytes.slice().buffer), shape)
}

/** The integers of a stored I64 tensor. */
export function integersOf(file: WeightsFile, name: string): number[] {
  return Array.from(new BigInt64Array(file.tensors.get(name)!.bytes.slice().buffer), Number)
}

/** Numbers from −1 to 1 that are the same in every run and repeat nowhere near. */
export function noise(length: number, seed = 1): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin((i + 1) * 12.9898 * seed + seed) % 1)
}

/** Largest absolute difference; NaN when a NaN is on one side only. */
export function largestError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.NaN
  let largest = 0
  for (let i = 0; i < actual.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!]
    if (!Object.is(a, b)) largest = Math.max(largest, Math.abs(a - b))
  }
  return largest
}

/**
 * The bits of float32 numbers, so that −0 is not 0. A NaN is a NaN: its sign and payload come from whichever
 * operand the compiler put first, and no rule fixes them.
 */
export function bitsOf(values: Float32Array): Uint32Array {
  return Uint32Array.from(new Uint32Array(values.slice().buffer), (bits, i) =>
    Number.isNaN(values[i]) ? 0x7fc00000 : bits,
  )
}

export function argmax(values: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i
  return best
}

/** A function as a module; what it uses is found under the names in `parts`. */
export class Inline extends Module {
  readonly run: (x: Tensor) => Tensor

  constructor(run: (x: Tensor) => Tensor, parts: Record<string, Module | Parameter> = {}) {
    super()
    this.run = run
    Object.assign(this, parts)
  }

  forward(x: Tensor): Tensor {
    return this.run(x)
  }
}
