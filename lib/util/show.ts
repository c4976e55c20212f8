/** Values in the sentences of errors. */

/**
 * A value as an error message names it: short and quick, whatever it is. Arrays may hold each other in circles or a
 * thousand times over, getters and proxies may throw.
 */
export function show(value: unknown): string {
  try {
    return clip(describe(value, 3), 300)
  } catch {
    return 'an object'
  }
}

/** @param depth arrays within arrays that are still told apart */
function describe(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(clip(value, 40))
    case 'function':
      return 'a function'
    case 'bigint':
      // Its digits take a time that grows with the square of their number.
      return BigInt.asIntN(256, value) === value ? String(value) : 'a bigint of more than 256 bits'
    case 'object':
      break
    default:
      return clip(String(value), 40)
  }
  if (value === null) return 'null'
  if (Array.isArray(value)) {
    if (depth === 0) return '[…]'
    const items = Array.from(value.slice(0, 8), (one) => describe(one, depth - 1))
    return `[${items.join(', ')}${value.length > 8 ? ', …' : ''}]`
  }
  const kind = className(value)
  return `${/^[aeiou]/i.test(kind) ? 'an' : 'a'} ${kind}`
}

/** The name of an object's class: `Float64Array`, `Buffer`, `Object`. */
export function className(value: object): string {
  const made: unknown = value.constructor
  const name: unknown = typeof made === 'function' ? made.name : undefined
  return typeof name === 'string' && name !== '' ? clip(name, 40) : 'object'
}

function clip(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}…` : text
}
