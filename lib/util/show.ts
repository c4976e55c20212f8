/** Values in the sentences of errors. */

/** A value as an error message names it: short, whatever it is. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) {
    return `[${value.slice(0, 8).map(show).join(', ')}${value.length > 8 ? ', …' : ''}]`
  }
  return `${/^[AEIOU]/.test(kind(value)) ? 'an' : 'a'} ${kind(value)}`
}

/** The name of an object's class: `Float64Array`, `Buffer`, `Object`. */
function kind(value: object): string {
  const made: unknown = value.constructor
  return typeof made === 'function' && made.name !== '' ? made.name : 'object'
}
