/** Options objects: a misspelt option is an error, not silence. */

import { KerneletError } from './errors.ts'
import { show } from './show.ts'

/** The names of all options of a type; one that is missing, or is none, does not compile. */
type Names<Options, Name> = readonly Name[] &
  ([Exclude<keyof Options, Name>] extends [never] ? unknown : { missing: Exclude<keyof Options, Name> })

/**
 * Checks that `options` is an object with no other keys than `names`, which are those of its type.
 *
 * @throws KerneletError `ERR_ARGUMENT` that lists what there is, so that `kernel_size` finds `kernelSize`.
 */
export function checkOptions<Options extends object, const Name extends keyof Options & string>(
  who: string,
  options: Options,
  names: Names<Options, Name>,
): void {
  const allowed: readonly string[] = names
  const known = `{ ${names.join(', ')} }`
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new KerneletError(
      'ERR_ARGUMENT',
      `${who}: options must be an object ${known} but is ${show(options)}`,
    )
  }
  for (const name of Object.keys(options)) {
    if (!allowed.includes(name)) {
      throw new KerneletError(
        'ERR_ARGUMENT',
        `${who}: unknown option ${show(name)}; the options are ${known}`,
      )
    }
  }
}

/** The keys of an object that was written down, so that there are no others. */
export function keysOf<T extends object>(object: T): (keyof T & string)[] {
  return Object.keys(object) as (keyof T & string)[]
}

/** `value`, if it is a number (not NaN). */
export function numberOf(value: unknown, what: string): number {
  if (typeof value === 'number' && !Number.isNaN(value)) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be a number but is ${show(value)}`)
}

/** `value`, if it is a finite number. */
export function finite(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be a number but is ${show(value)}`)
}

/** `value`, if it is a finite number of at least 0. */
export function atLeast0(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be a number of at least 0 but is ${show(value)}`)
}

export function isInteger(value: unknown): value is number {
  return Number.isInteger(value)
}

/** `value`, if it is an integer. */
export function integer(value: unknown, what: string): number {
  if (isInteger(value)) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be an integer but is ${show(value)}`)
}

/** `value`, if it is a function that can be called (a class cannot), or undefined. */
export function callbackOf<T>(value: T | undefined, what: string): T | undefined {
  if (value === undefined) return value
  const isClass = () => Object.getOwnPropertyDescriptor(value, 'prototype')?.writable === false
  if (typeof value === 'function' && !isClass()) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be a function but is ${show(value)}`)
}

/** `value`, if it is a string. */
export function text(value: unknown, what: string): string {
  if (typeof value === 'string') return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be a string but is ${show(value)}`)
}

/** `value`, if it is true or false. */
export function flag(value: unknown, what: string): boolean {
  if (typeof value === 'boolean') return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be true or false but is ${show(value)}`)
}

/**
 * The items of an array, copied and without holes, if there are no more than `most`: a caller's array may say that it
 * has billions. undefined for anything else.
 */
export function itemsOf(value: unknown, most: number): unknown[] | undefined {
  if (!Array.isArray(value)) return undefined
  const { length } = value as { length: unknown }
  if (!isInteger(length) || length > most) return undefined
  const items: unknown[] = []
  for (let i = 0; i < length; i++) items.push(value[i])
  return items
}

/** `value`, if it is an object and no array. */
export function objectOf(value: unknown, what: string): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new KerneletError('ERR_ARGUMENT', `${what} must be an object but is ${show(value)}`)
}

/** `value`, if it is an AbortSignal, of whatever realm, or nothing. */
export function signalOf(value: unknown, what: string): AbortSignal | undefined {
  if (value === undefined || value === null) return undefined
  const signal = value as Partial<AbortSignal>
  if (typeof signal.aborted === 'boolean' && typeof signal.addEventListener === 'function') {
    return value as AbortSignal
  }
  throw new KerneletError('ERR_ARGUMENT', `${what} must be an AbortSignal but is ${show(value)}`)
}
