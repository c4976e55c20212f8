/** The arrays that a plan reads and writes: checked, told apart, and watched for changes. */
import { types } from 'node:util'
import { KerneletError } from '../util/errors.ts'
import { show } from '../util/show.ts'
import { bufferOf, byteLengthOf, byteOffsetOf, hasVariableLength, lengthOf } from '../util/typed-array.ts'

/** What native code is handed as input. */
export type Values = Float32Array | Uint8Array | Uint8ClampedArray

export function checkPixels(value: unknown): Uint8Array | Uint8ClampedArray {
  if (types.isUint8Array(value) || types.isUint8ClampedArray(value)) return value
  throw new KerneletError(
    'ERR_ARGUMENT',
    `Expected a Uint8Array, Uint8ClampedArray or Buffer for input (inputType 'uint8') but received ${show(value)}`,
  )
}

export function checkFloats(value: unknown, what: string): Float32Array {
  if (types.isFloat32Array(value)) return value
  const hint = types.isUint8Array(value)
    ? "; compile with inputType: 'uint8' to run on bytes, or Float32Array.from(pixels, (p) => p / 255)"
    : Array.isArray(value) || ArrayBuffer.isView(value)
      ? `; convert it with Float32Array.from(${what})`
      : ''
  throw new KerneletError(
    'ERR_ARGUMENT',
    `Expected a Float32Array for ${what} but received ${show(value)}${hint}`,
  )
}

/** Outputs that a `runAsync` will write to, of all models, by the memory they lie in. */
export const inFlight: Map<ArrayBufferLike, Set<Float32Array>> = new Map()

/** @throws KerneletError `ERR_BUSY` for an output that a `runAsync` will write to */
export function checkFree(output: Float32Array): void {
  for (const busy of inFlight.get(bufferOf(output)) ?? []) {
    if (overlap(busy, output)) {
      throw new KerneletError(
        'ERR_BUSY',
        'output belongs to a runAsync call that has not finished: await it first, or bring another array',
      )
    }
  }
}

/** Marks `output` as waited for, unless it is already; returns what unmarks it. */
export function reserve(output: Float32Array): () => void {
  checkFree(output)
  const buffer = bufferOf(output)
  const outputs = inFlight.get(buffer) ?? new Set()
  inFlight.set(buffer, outputs.add(output))
  return () => {
    outputs.delete(output)
    if (outputs.size === 0) inFlight.delete(buffer)
  }
}

/** Whether two arrays share memory. */
export function overlap(a: Values, b: Values): boolean {
  return (
    bufferOf(a) === bufferOf(b) &&
    byteOffsetOf(a) < byteOffsetOf(b) + byteLengthOf(b) &&
    byteOffsetOf(b) < byteOffsetOf(a) + byteLengthOf(a)
  )
}

/**
 * A view of the same elements that nobody else has, so that its `length` is true: 0 once the buffer is detached. Where
 * the buffer can be resized it follows the end of the buffer, and differs from the array as soon as that is moved.
 */
export function viewOf<T extends Values>(array: T): T {
  const View = (types.isFloat32Array(array) ? Float32Array : Uint8Array) as unknown as new (
    buffer: ArrayBufferLike,
    byteOffset: number,
    length?: number,
  ) => T
  const buffer = bufferOf(array)
  const length = hasVariableLength(buffer) ? undefined : lengthOf(array)
  return new View(buffer, byteOffsetOf(array), length)
}
