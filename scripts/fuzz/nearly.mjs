/**
 * Calls as they should be, spoilt in one or two places: an argument, an option or an item of an array is another value.
 * A call gives a result or a KerneletError; what is plainly nonsense, such as a word for a number, is refused.
 */
import { types } from 'node:util'
import { callsOf } from './calls.mjs'
import { Ours, oddValues, written } from './values.mjs'

export const extension = 'json'

export function prepare(kernelet) {
  kernelet.manualSeed(0)
  return { kernelet, calls: callsOf(kernelet), odd: oddValues(kernelet) }
}

/** Which call, and what is put where: numbers of places (modulo how many there are) and of values. */
export function make({ calls, odd }, random) {
  const spoilt = Array.from({ length: random.oneIn(4) ? 2 : 1 }, () => [
    random.below(1000),
    random.below(odd.length),
  ])
  return Buffer.from(JSON.stringify({ call: random.pick(Object.keys(calls)), spoilt }))
}

/** Places in arguments that can hold something else: in plain objects and arrays, all the way down. */
export function placesOf(args) {
  const places = []
  const visit = (holder, path) => {
    for (const key of Object.keys(holder)) {
      places.push({ holder, key, path: [...path, key] })
      const value = holder[key]
      const plain = Array.isArray(value) || Object.getPrototypeOf(value ?? 0) === Object.prototype
      if (plain && !Object.isFrozen(value)) visit(value, [...path, key])
    }
  }
  visit(args, [])
  return places
}

/** The arguments, and what is where in them that does not belong there. */
function argumentsOf({ calls, odd }, { call, spoilt }) {
  const args = calls[call].args()
  const changes = []
  // Found before anything is put there: what is may hold itself a thousand times over.
  const places = placesOf(args)
  for (const [at, which] of spoilt) {
    if (places.length === 0) break
    const { holder, key, path } = places[at % places.length]
    const [right, wrong] = [holder[key], odd[which % odd.length]()]
    holder[key] = wrong
    changes.push({ path: path.join('.'), right, wrong })
  }
  return { args, changes }
}

/** Whether a value is nonsense in the place of another: of another type, and nothing that could be meant. */
function isNonsense(right, wrong) {
  if (wrong === undefined || wrong === null || isRevoked(wrong)) return false
  switch (typeof right) {
    case 'number':
      return Number.isNaN(wrong) || (typeof wrong !== 'number' && !Array.isArray(wrong))
    case 'boolean':
      return typeof wrong !== 'boolean'
    case 'string':
      return !['string', 'number'].includes(typeof wrong) && !Array.isArray(wrong) && !isSource(wrong)
    case 'function':
      return typeof wrong !== 'function'
    default:
      return (
        typeof right === 'object' &&
        typeof wrong !== 'object' &&
        typeof wrong !== 'string' &&
        typeof wrong !== 'number'
      )
  }
}

/** What a path may be given as. */
function isSource(value) {
  if (types.isProxy(value)) return false
  return types.isUint8Array(value) || types.isAnyArrayBuffer(value) || typeof value?.href === 'string'
}

export async function read(state, bytes) {
  const input = JSON.parse(Buffer.from(bytes).toString())
  const call = state.calls[input.call]
  // a name of another version of the package
  if (call === undefined) return
  const { args, changes } = argumentsOf(state, input)
  try {
    await call.run(...args)
  } catch (error) {
    if (error instanceof Ours) return
    // Only where the caller's own values were asked: a proxy that was revoked throws whatever is done with it.
    if (/proxy that has been revoked/.test(error?.message) && changes.some(({ wrong }) => isRevoked(wrong)))
      return
    throw error
  } finally {
    state.kernelet.setThreads(1)
  }
  // Of two changes one may be the reason that the other does not matter.
  if (changes.length !== 1) return
  const [{ path, right, wrong }] = changes
  const taken = call.takes?.some((one) => path === one || path.startsWith(`${one}.`))
  if (!taken && isNonsense(right, wrong)) throw new Error(`accepted: ${input.call}: ${path}`)
}

function isRevoked(value) {
  try {
    if (types.isProxy(value)) Array.isArray(value)
    return false
  } catch {
    return true
  }
}

/** The call as it would be written. */
export function describe(state, bytes) {
  const input = JSON.parse(Buffer.from(bytes).toString())
  try {
    const { changes } = argumentsOf(state, input)
    return `${input.call}: ${changes.map(({ path, right, wrong }) => `${path} ${written(right)} → ${written(wrong)}`).join('; ')}`
  } catch (error) {
    return `${input.call}: ${error}`
  }
}
