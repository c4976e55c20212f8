/** Facts of typed arrays that no property of their own can hide: `length` may be any number that a caller made up. */

import { types } from 'node:util'

/** Any typed array. */
export type TypedArray = NodeJS.TypedArray

const { apply } = Reflect
const prototype = Object.getPrototypeOf(Uint8Array.prototype)

function getter<T>(name: 'length' | 'buffer' | 'byteOffset' | 'byteLength'): (array: TypedArray) => T {
  const get = Object.getOwnPropertyDescriptor(prototype, name)?.get as () => T
  return (array) => apply(get, array, [])
}

/** Elements; 0 where the buffer was detached, or shrunk to less than the array wants of it. */
export const lengthOf: (array: TypedArray) => number = getter('length')
export const bufferOf: (array: TypedArray) => ArrayBufferLike = getter('buffer')
export const byteOffsetOf: (array: TypedArray) => number = getter('byteOffset')
export const byteLengthOf: (array: TypedArray) => number = getter('byteLength')

const isResizable = Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, 'resizable')?.get as () => boolean
const isGrowable = Object.getOwnPropertyDescriptor(SharedArrayBuffer.prototype, 'growable')
  ?.get as () => boolean

/** Can the buffer become longer, or shorter? */
export function hasVariableLength(buffer: ArrayBufferLike): boolean {
  return apply(types.isSharedArrayBuffer(buffer) ? isGrowable : isResizable, buffer, [])
}
